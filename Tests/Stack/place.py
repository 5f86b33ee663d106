"""A server to be backed up: its data, its backup, and the servers that are restored from it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

from client import Client, expect, pieces
from commands import Outcome, Started, back_up, check_clean, restore, run
from hooks import Hooks
from stack import Stack, wait_gone
from store import wait_for_rotation

SMALL_SEGMENTS = {"DS_SEGMENT_MAX_MESSAGES": 8, "DS_SEGMENT_MAX_BYTES": "64KiB", "DS_SWEEP_INTERVAL": 0.5}
Contents = dict[str, bytes | int]


class Place:
    """A server with hooks, a folder for its backup, and the servers that are restored from it."""

    def __init__(self, root: Path, make: Callable[..., Stack]):
        self.root, self.make = root, make
        self.data, self.backup = root / "data", root / "backup"
        self.hooks, self.numbers = Hooks(root / "hooks"), itertools.count(1)
        self.clients: list[Client] = []
        self.stack: Stack | None = None
        self.http: Client | None = None

    def client(self, stack: Stack) -> Client:
        self.clients.append(Client(stack))
        return self.clients[-1]

    def start(self, **settings: object) -> Place:
        self.stack = self.serve(self.data, **settings)
        self.http = self.client(self.stack)
        return self

    def serve(self, data: Path, **settings: object) -> Stack:
        return self.make(data_dir=data, **(SMALL_SEGMENTS | self.hooks.settings | settings))

    def fill(self, prefix: str, count: int = 4, size: int = 20_000) -> Contents:
        """Closed streams, each of which has moved into a segment."""
        written = {f"{prefix}/{n}": os.urandom(size) for n in range(count)}
        for name, content in written.items():
            self.http.create(name, "application/octet-stream", content, Stream_Closed="true")
        wait_for_rotation(self.stack)
        return written

    def delete(self, name: str) -> None:
        expect(self.http.delete(name), 204)
        wait_for_rotation(self.stack)

    def kill(self) -> None:
        """kill -9 of the supervisor, with which all others end."""
        self.http.close()
        self.stack.process.kill()
        self.stack.process.wait()
        assert not wait_gone(list(self.stack.seen), 10)

    def back_up(self) -> dict[str, int]:
        return back_up(self.data, self.backup, **self.hooks.settings)

    def started(self) -> Started:
        """A backup that may stop itself on the way."""
        return Started("backup", self.backup, "--data-dir", self.data, **self.hooks.settings)

    def command(self, *arguments: object) -> Outcome:
        return run(*arguments, **self.hooks.settings)

    def restore(self, folder: Path | None = None, **settings: object) -> Client:
        """A client of a server on what was restored."""
        data = self.root / f"restored-{next(self.numbers)}"
        restore(folder or self.backup, data, **self.hooks.settings)
        check_clean(data=data)
        return self.client(self.serve(data, **settings))

    def copies(self) -> dict[str, tuple[int, int, int]]:
        """The segments of the backup, each by inode, time of change and size."""
        top = self.backup / "segments"
        found = {str(file.relative_to(top)): file.stat() for file in top.rglob("*") if file.is_file()}
        return {name: (stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in found.items()}

    def segments(self) -> list[Path]:
        return sorted(file for file in (self.data / "segments").rglob("*") if file.is_file())


def see(http: Client, names: Contents) -> Contents:
    """Content, or the status of what has none."""
    found: Contents = {}
    for name in names:
        status = http.head(name).status
        found[name] = b"".join(pieces(http, name)) if status == 200 else status
    return found


def spoil_file(path: Path, damage: str) -> None:
    whole = path.read_bytes()
    if damage == "flipped":
        path.write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
    elif damage == "truncated":
        os.truncate(path, len(whole) - 1)
    else:
        path.unlink()
