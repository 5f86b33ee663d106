"""The test hooks of a server: a clock that a test moves, and points at which a process kills or stops itself."""

from __future__ import annotations

import os
import signal
import struct
import time
from pathlib import Path

from stack import Stack, _stat


class Hooks:
    """A folder that the server is told of by DURABLE_STREAMS_TEST_HOOKS; make it before the start."""

    def __init__(self, folder: Path):
        self.folder, self.offset = folder, 0.0
        folder.mkdir(exist_ok=True)
        (folder / "clock").write_bytes(bytes(8))

    @property
    def settings(self) -> dict[str, object]:
        return {"DURABLE_STREAMS_TEST_HOOKS": self.folder}

    def now(self) -> float:
        """The server's idea of the time, in seconds since 1970."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Counts at once for all processes, which have the file mapped."""
        self.offset += int(seconds * 1000) / 1000
        descriptor = os.open(self.folder / "clock", os.O_WRONLY)
        try:
            os.pwrite(descriptor, struct.pack("<q", round(self.offset * 1000)), 0)
        finally:
            os.close(descriptor)

    def arm(self, point: str, action: str = "kill", passes: int = 1) -> None:
        """The first process whose pass is the last of so many ends or stops itself, once."""
        part = self.folder / "part"
        part.write_text(str(passes))
        part.rename(self.folder / f"{point}.{action}")

    def armed(self, point: str, action: str = "kill") -> bool:
        return (self.folder / f"{point}.{action}").exists()

    def disarm(self, point: str, action: str = "kill") -> None:
        (self.folder / f"{point}.{action}").unlink(missing_ok=True)

    def wait_fired(self, point: str, action: str = "kill", within: float = 20.0) -> None:
        deadline = time.monotonic() + within
        while self.armed(point, action):
            assert time.monotonic() < deadline, f"nobody came by {point}"
            time.sleep(0.002)


def stopped(stack: Stack) -> list[int]:
    """Workers that have stopped themselves."""
    return [pid for pid in stack.processes("durable-streams-worker") if (stat := _stat(pid)) and stat[1] == "T"]


def wait_stopped(stack: Stack, hooks: Hooks, point: str) -> int:
    """The worker that a `.stop` has stopped."""
    hooks.wait_fired(point, "stop")
    deadline = time.monotonic() + 10
    while not (pids := stopped(stack)):
        assert time.monotonic() < deadline, "no worker has stopped"
        time.sleep(0.002)
    return pids[0]


def go_on(stack: Stack) -> None:
    """Continues whatever worker has stopped."""
    for pid in stack.processes("durable-streams-worker"):
        os.kill(pid, signal.SIGCONT)
