"""A small file system of one's own, servers on it, and what they say when it is full."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from checks import check_error
from stack import DEFAULTS, Stack, remove_tree
from wire import Response

MIB = 1 << 20
# Seconds that the server may take to see what has changed on the disk: a quarter, and what a busy machine adds.
NOTICE = 2.0


def call(*words: object) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise OSError(f"{words[0]}: {done.stderr.strip() or done.stdout.strip()}")


def unmount(place: Path) -> None:
    """Waits for whoever is still busy there; in the end it goes whether they are or not."""
    deadline = time.monotonic() + 10
    while os.path.ismount(place):
        try:
            call("umount", *(["-l"] if time.monotonic() > deadline else []), place)
        except OSError:
            time.sleep(0.05)


class Disk:
    """A small file system of its own, and the servers on it."""

    def __init__(self, root: Path, size: int, reserved: int):
        self.root, self.place, self.numbers = root, root / "disk", itertools.count()
        self.stacks: list[Stack] = []
        self.place.mkdir()
        try:
            image = root / "image"
            with image.open("wb") as file:
                file.truncate(size)
            call("mkfs.ext4", "-q", "-F", "-m", reserved, image)
            call("mount", "-o", "loop", image, self.place)
        except OSError as error:
            if reserved:
                pytest.skip(f"needs root and a loop device: {error}")
            try:
                call("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.place)
            except OSError as second:
                pytest.skip(f"no file system of one's own: {error}; {second}")
        self.place.chmod(0o755)

    def start(self, **settings: object) -> Stack:
        stack = Stack(self.place / "data", **{**DEFAULTS, **settings})
        stack.log = self.root / "data.log"
        self.stacks.append(stack)
        return stack.start()

    def use(self) -> float:
        """In percent, as df(1) says it."""
        status = os.statvfs(self.place)
        used = status.f_blocks - status.f_bfree
        return 100 * used / (used + status.f_bavail)

    def fill(self, percent: float) -> Path:
        """A file that brings the use to so many percent."""
        status = os.statvfs(self.place)
        used = status.f_blocks - status.f_bfree
        wanted = percent / 100 * (used + status.f_bavail) - used
        return self.ballast(int(wanted * status.f_frsize))

    def ballast(self, size: int) -> Path:
        path = self.place / f"ballast-{next(self.numbers)}"
        with path.open("wb") as file:
            if size > 0:
                os.posix_fallocate(file.fileno(), 0, size)
        return path

    def relieve(self) -> None:
        """Much space all at once."""
        for path in self.place.glob("ballast-*"):
            path.unlink()

    def close(self) -> None:
        for stack in self.stacks:
            stack.stop(expect_clean=False)
        unmount(self.place)
        remove_tree(self.root)


def check_full(response: Response) -> None:
    check_error(response, 507, "STORAGE_FULL")
    assert response.get("Retry-After") == "5", response.describe()


def lines_of(stack: Stack, pattern: str, but: str | None = None) -> list[str]:
    lines = stack.log.read_text("utf-8", "replace").splitlines()
    return [line for line in lines if re.search(pattern, line) and not (but and but in line)]
