"""What a server has stored, asked straight from its data directory, and waiting until it is so."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from stack import Stack


def wait_until(stack: Stack, holds: Callable[[], bool], what: str, within: float = 30.0, pause: float = 0.02) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within} s: {what}\n{stack.log_tail()}"
        time.sleep(pause)


def ask_store(stack: Stack, *questions: str) -> list[int]:
    """Numbers straight from the store, through a connection that can't write."""
    with closing(sqlite3.connect(f"file:{stack.data_dir}/hot.sqlite?mode=ro", uri=True, timeout=5)) as store:
        return [store.execute(question).fetchone()[0] for question in questions]


def records(stack: Stack) -> int:
    """Records with content that are still stored."""
    return ask_store(stack, "SELECT count(*) FROM record WHERE units > 0")[0]


def segment_files(stack: Stack, stream: int | str = "*") -> list[Path]:
    """Files below `segments`, of one stream or of all: a name begins with the stream's number."""
    return [file for file in (stack.data_dir / "segments").rglob(f"{stream}-*") if file.is_file()]


def files(stack: Stack) -> list[Path]:
    return sorted(path for path in (stack.data_dir / "segments").rglob("*") if path.is_file())


def files_of(stack: Stack, path: str) -> list[Path]:
    (id,) = ask_store(stack, f"SELECT id FROM stream WHERE name = '_default/{path}'")
    found = [path for path in files(stack) if path.name.startswith(f"{id}-")]
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def wait_for_rotation(stack: Stack) -> None:
    """Until everything that is to move has moved, and the hot copies are gone."""
    quiet = "SELECT (SELECT count(*) FROM rotation) + (SELECT count(*) FROM purge)"
    wait_until(stack, lambda: files(stack) != [] and ask_store(stack, quiet) == [0], "everything has moved")
