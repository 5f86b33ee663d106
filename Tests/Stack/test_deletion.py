"""Deletion in small steps: the space of deleted streams is used again, and a purge outlives kill -9 of its process."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from client import Client, expect, incarnation, read_lines
from stack import Stack, identity, wait_gone
from store import ask_store, records, segment_files, wait_until
from test_concurrency import at_once
from wire import ConnectionClosed

CONNECTIONS = 8
# Streams stay hot: what is deleted are records.
HOT = {"DS_SEGMENT_MAX_MESSAGES": 1_000_000, "DS_SEGMENT_MAX_BYTES": "1GiB"}
# They move into segments as they do by default.
COLD = {"DS_SEGMENT_MAX_MESSAGES": 1_000, "DS_SEGMENT_MAX_BYTES": "4MiB"}
# Free bytes that the database keeps for the next records.
KEPT_FREE = 16 << 20


def purged(stack: Stack) -> bool:
    return ask_store(stack, "SELECT count(*) FROM purge") == [0]


def size_of(files: Iterable[Path]) -> int:
    """Bytes, of those that are still there."""
    total = 0
    for file in files:
        with suppress(FileNotFoundError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def fill(stack: Stack, path: str, count: int, piece: bytes) -> None:
    """So many appends, over some connections at once."""
    with closing(Client(stack)) as http:
        http.create(path, "application/octet-stream")

    def some(client: Client, _: int):
        for _ in range(count // CONNECTIONS):
            answer = client.append(path, "application/octet-stream", piece)
        return answer

    at_once(stack, CONNECTIONS, some)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_space_is_used_again(fresh_stack) -> None:
    """The same amount written and deleted again and again does not make the files grow."""
    stack = fresh_stack(**HOT)
    http = Client(stack)
    http.create("kept", "text/plain", "kept")
    sizes = []
    for _ in range(4):
        fill(stack, "big", 4_000, b"x" * 4_096)
        assert records(stack) == 4_001
        expect(http.delete("big"), 204)
        expect(http.head("big"), 404)
        wait_until(stack, lambda: records(stack) == 1 and purged(stack), "the purge is done")
        pages, free, page = ask_store(stack, "PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA page_size")
        sizes.append(pages * page)
        assert (pages - free) * page < 2_000_000, "what is deleted is still in use"
        assert http.get("kept", f"{len(sizes)}").body == b"kept"
    assert max(sizes) <= KEPT_FREE + 4_000_000, sizes
    assert ask_store(stack, "SELECT count(*) FROM record_index WHERE stream NOT IN (SELECT id FROM stream) AND stream > 0") == [0]
    http.close()
    stack.stop()
    files = sum(entry.stat().st_size for entry in stack.data_dir.glob("hot.sqlite"))
    assert files <= KEPT_FREE + 4_000_000, files


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_space_of_segments_is_used_again(fresh_stack) -> None:
    """The same with streams that move into segments: their files go, and so does the whole folder's size."""
    stack = fresh_stack(**COLD)
    http = Client(stack)
    http.create("kept", "text/plain", "kept", Stream_Closed="true")
    wait_until(stack, lambda: len(segment_files(stack)) == 1, "the kept stream has its file")
    kept = segment_files(stack)
    for _ in range(3):
        fill(stack, "big", 4_000, b"x" * 4_096)
        http.post("big", Stream_Closed="true")
        wait_until(stack, lambda: ask_store(stack, "SELECT sum(end - start) FROM segment") == [4_000 * 4_096 + 4], "all of it is cold")
        wait_until(stack, lambda: records(stack) == 0 and purged(stack), "no record is left")
        assert size_of(segment_files(stack)) > 4_000 * 4_096
        expect(http.delete("big"), 204)
        expect(http.head("big"), 404)
        wait_until(stack, lambda: segment_files(stack) == kept and purged(stack), "the files are gone")
        wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM garbage") == [0], "no file is left to remove")
        assert http.get("kept").body == b"kept"
    assert ask_store(stack, *(f"SELECT count(*) FROM {table}" for table in ("segment", "rotation"))) == [1, 0]
    http.close()
    stack.stop()
    # The log keeps its size, for a disk that is full by the next start.
    files = size_of(file for file in stack.data_dir.rglob("*") if file.name != "hot.sqlite-wal")
    assert files <= KEPT_FREE + 4_000_000, files


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("limits", [HOT, COLD], ids=["hot", "cold"])
@pytest.mark.parametrize(("count", "size"), [(16, 12_000_000), (40_000, 4_000)])
def test_space_returns_to_the_disk(fresh_stack, count: int, size: int, limits: dict[str, object]) -> None:
    """The file gets shorter by what was deleted, while readers and writers go on, and what is left is whole.

    What moves into segments leaves the database the same way, and its files go when it is deleted.
    """
    stack = fresh_stack(**limits)
    with closing(Client(stack)) as http:
        http.create("before", "text/plain", "before")
        fill(stack, "big", count, os.urandom(size))
        http.create("behind", "text/plain")
        http.fork("fork", "behind")
        database, written, began = stack.data_dir / "hot.sqlite", 0, 0

        def stored() -> int:
            return size_of([database, *segment_files(stack)])

        def is_short() -> bool:
            nonlocal written
            http.append("behind", "text/plain", "x")
            written += 1
            assert http.get("before").body == b"before"
            return stored() <= KEPT_FREE + 4_000_000 and not segment_files(stack, big)

        big = incarnation(http.head("big").offset)
        wait_until(stack, lambda: stored() > count * size, "everything is copied into the database or into segments")
        began = stored()
        if limits is COLD:
            wait_until(stack, lambda: len(segment_files(stack, big)) > 0, "some of it is cold")
        expect(http.delete("big"), 204)
        wait_until(stack, is_short, "the files are short")
        print(f"{began:,} -> {stored():,} bytes")
        assert http.get("behind").body == b"x" * written and http.get("fork").body == b""
        http.append("fork", "text/plain", "y")
    assert ask_store(stack, "PRAGMA auto_vacuum") == [2]
    wait_until(stack, lambda: purged(stack), "nothing is left to purge")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("victim", ["one-worker", "all-of-two-workers", "supervisor"])
def test_purge_goes_on_after_a_kill(fresh_stack, victim: str) -> None:
    """kill -9 in the middle: whoever comes next removes the rest, and nothing else."""
    stack = fresh_stack(**HOT, DS_WORKERS=2 if victim == "all-of-two-workers" else 1)
    http = Client(stack)
    http.create("kept", "text/plain", "0\n")
    kept = ["0"]
    # The purge may be over before the kill; then again with more.
    for attempt in range(1, 5):
        count = 12_000 * attempt
        fill(stack, "big", count, b"x")
        http.append("kept", "text/plain", f"{attempt}\n")
        kept.append(str(attempt))
        http.fork("fork", "kept", None, "fork\n")
        expect(http.delete("big"), 204)
        wait_until(stack, lambda: records(stack) < count, "the purge has begun", pause=0.0005)
        pids = [stack.process.pid] if victim == "supervisor" else stack.processes("durable-streams-worker")
        who = [found for pid in pids if (found := identity(pid))]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert not wait_gone(who, 10)
        left = records(stack)
        http.close()
        if victim == "supervisor":
            stack.process.wait()
            assert not wait_gone(list(stack.seen), 10)
            stack.start()
        else:
            wait_until(stack, stack.ready, "ready again")
        expect(again(http, lambda: http.head("big")), 404)
        expect(again(http, lambda: http.delete("fork")), 204)
        if left > 100:
            break
    else:
        pytest.skip("every purge was over before the kill")
    print(f"killed with {left} of {count} records left")
    wait_until(stack, lambda: records(stack) == len(kept), "the purge is done")
    assert read_lines(http, "kept") == kept
    http.create("big", "text/plain", "new")
    assert http.get("big").body == b"new"
    http.close()


def again(http: Client, ask: Callable):
    """The answer, once a process is there to give it."""
    deadline = time.monotonic() + 20
    while True:
        try:
            answer = ask()
            if answer.status not in (502, 503, 504):
                return answer
        except ConnectionClosed:
            http.close()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("limits", [HOT, COLD], ids=["hot", "cold"])
def test_forks_keep_what_they_need(fresh_stack, limits: dict[str, object]) -> None:
    """A soft-deleted source keeps its content until its last fork has gone; then all of it goes."""
    stack = fresh_stack(**limits, DS_SWEEP_INTERVAL=0.2)
    http = Client(stack)
    fill(stack, "a", 2_400, b"abc")
    http.fork("b", "a", None, "b")
    http.fork("c", "b", None, "c")
    http.create("other", "text/plain", "x")
    expect(http.delete("a"), 204)
    expect(http.delete("b"), 204)
    # A purge of another stream behind these deletions goes through, and takes nothing of theirs.
    expect(http.delete("other"), 204)
    wait_until(stack, lambda: purged(stack), "the other stream is purged")
    if limits is HOT:
        assert records(stack) == 2_402
    else:
        wait_until(stack, lambda: segment_files(stack) != [], "some of it is cold")
    assert http.get("c").body == b"abc" * 2_400 + b"bc"
    expect(http.delete("c"), 204)
    wait_until(stack, lambda: records(stack) == 0 and segment_files(stack) == [], "the whole chain is purged")
    http.close()


@pytest.mark.timeout(120)
def test_thousands_that_expire_together(fresh_stack) -> None:
    """8.3: swept in the background, appends to others going on meanwhile."""
    stack = fresh_stack(**HOT, DS_SWEEP_INTERVAL=0.2)
    http = Client(stack)
    http.create("kept", "text/plain")

    def some(client: Client, number: int):
        for n in range(400):
            answer = client.create(f"x/{number}-{n}", "text/plain", "abc", Stream_TTL="0")
        return answer

    at_once(stack, CONNECTIONS, some)
    written = 0

    def swept() -> bool:
        nonlocal written
        http.append("kept", "text/plain", "x")
        written += 1
        return ask_store(stack, "SELECT count(*) FROM stream", "SELECT count(*) FROM record WHERE units > 0 AND stream <> 1") == [1, 0]

    wait_until(stack, swept, "all are removed")
    assert http.get("kept").body == b"x" * written
    http.close()


def test_many_producers(fresh_stack) -> None:
    """State of writers goes with the stream, however much of it there is."""
    stack = fresh_stack()
    http = Client(stack)
    http.create("a", "text/plain")
    for n in range(700):
        http.append("a", "text/plain", "x", Producer_Id=f"p{n}", Producer_Epoch="0", Producer_Seq="0")
    expect(http.delete("a"), 204)
    wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM producer") == [0], "the producers are gone")
    http.close()
