"""Writes and syncs that fail: the worker ends or waits for space, it is told in one line, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from client import Client, expect, producer
from commands import check_clean
from disk import NOTICE, check_full, lines_of
from stack import Stack
from store import ask_store, records, segment_files, wait_for_rotation, wait_until
from test_crash import begin, check_content, wait_for_progress
from test_deletion import again

pytestmark = pytest.mark.timeout(120)
LOG, DATABASE, SEGMENTS, SHARDS = "*/hot.sqlite-wal", "*/hot.sqlite", "*/segments/*", "*/segments/[0-9a-f][0-9a-f]"


class Faults:
    """Makes calls of workers fail, as long as a test wants it."""

    def __init__(self, library: Path, folder: Path):
        self.folder = folder
        self.settings = {"LD_PRELOAD": library, "FAULTS": folder}

    def fail(self, kind: str, error: str, pattern: str) -> None:
        """From now on, calls of a kind (`sync`, `write`) on files whose path matches."""
        (self.folder / f"{kind}.fired").unlink(missing_ok=True)
        part = self.folder / "part"
        part.write_text(f"{error} {pattern}")
        part.rename(self.folder / kind)

    def fired(self, kind: str) -> bool:
        return (self.folder / f"{kind}.fired").exists()

    def end(self, kind: str) -> None:
        (self.folder / kind).unlink()


@pytest.fixture
def faults(faults_library: Path, tmp_path: Path) -> Faults:
    return Faults(faults_library, tmp_path)


@pytest.fixture
def start(fresh_stack, faults: Faults) -> Callable[..., Stack]:
    """Servers that are through with their start: a worker that ends by itself before ends them."""

    def start(**settings: object) -> Stack:
        stack = fresh_stack(**faults.settings, **settings)
        wait_until(stack, lambda: lines_of(stack, "is ready at") != [], "the supervisor is ready")
        return stack

    return start


def worker_ended(stack: Stack) -> int:
    """How often a worker has ended with status 70."""
    return len(lines_of(stack, r"worker \d+ \(pid \d+\) ended with status 70"))


# The log.


@pytest.mark.parametrize(("kind", "names"), [("sync", "f(data)?sync"), ("write", "write|I/O")])
def test_failed_commit(start, faults: Faults, kind: str, names: str) -> None:
    """The worker ends at once and acknowledges nothing of it; its successor reads what is on the disk."""
    stack = start()
    with closing(Client(stack)) as http:
        http.create("a", "text/plain")
        http.append("a", "text/plain", "0", **producer("p", 0, 0))
        http.create("b", "text/plain", "b")
        (before,) = stack.processes("durable-streams-worker")
        faults.fail(kind, "EIO", LOG)
        answer = http.post("a", "text/plain", "1", **producer("p", 0, 1))
        faults.end(kind)
        assert answer.status == 502, answer.describe()
        assert faults.fired(kind)
        wait_until(stack, lambda: worker_ended(stack) >= 1, "it ended with status 70")
        assert lines_of(stack, f"(?i){names}"), stack.log_tail()
        # Whether it is there or not, repeating it leaves one.
        assert again(http, lambda: http.post("a", "text/plain", "1", **producer("p", 0, 1))).status in (200, 204)
        expect(http.post("a", "text/plain", "2", **producer("p", 0, 2)), 200)
        assert http.get("a").body == b"012" and http.get("b").body == b"b"
        assert stack.processes("durable-streams-worker") != [before]
    assert worker_ended(stack) == 1, stack.log_tail()
    stack.stop()
    check_clean(data=stack.data_dir)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["sync", "write"])
def test_failed_commits_under_load(start, faults: Faults, kind: str, workers: int) -> None:
    """Again and again: every acknowledged append is there exactly once, in order; others get 502 and the like."""
    stack = start(DS_WORKERS=workers)
    writers, stop, client = begin(stack)
    try:
        for turn in range(5):
            wait_for_progress(stack, writers, by=10)
            ended = worker_ended(stack)
            faults.fail(kind, "EIO", LOG)
            wait_until(stack, lambda: faults.fired(kind), "it failed", pause=0.001)
            faults.end(kind)
            wait_until(stack, lambda ended=ended: worker_ended(stack) > ended, "the worker ended")
        wait_for_progress(stack, writers, by=3)
    finally:
        stop.set()
        for writer in writers:
            writer.join(40)
    assert not [writer.failure for writer in writers if writer.failure]
    check_content(client, writers)
    client.close()
    stack.stop()
    check_clean(data=stack.data_dir)


@pytest.mark.slow
def test_failed_sync_in_a_checkpoint(start, faults: Faults) -> None:
    """The database itself: what the kernel has dropped is not taken for written the next time."""
    stack = start(DS_SEGMENT_MAX_BYTES="1GiB")
    with closing(Client(stack)) as http:
        http.create("a", "application/octet-stream")
        written = 0

        def append() -> None:
            nonlocal written
            type, body, who = "application/octet-stream", b"%04d" % written * 100_000, producer("p", 0, written)
            assert again(http, lambda: http.post("a", type, body, **who)).status in (200, 204)
            written += 1

        faults.fail("sync", "EIO", DATABASE)
        # Enough for the log to be begun anew, which the sync comes before.
        while not faults.fired("sync"):
            append()
            assert written < 400, "no checkpoint"
        wait_until(stack, lambda: worker_ended(stack) >= 1, "it ended with status 70")
        faults.end("sync")
        for _ in range(60):
            append()
        wait_until(stack, stack.ready, "ready again")
        content, _ = http.read_all("a")
        assert content == b"".join(b"%04d" % n * 100_000 for n in range(written))
    stack.stop()
    check_clean(data=stack.data_dir)


@pytest.mark.parametrize("pattern", [LOG, "*/hot.sqlite*"])
def test_log_without_space(start, faults: Faults, pattern: str) -> None:
    """ENOSPC is no reason to end: 507 as long as it lasts."""
    stack = start()
    with closing(Client(stack)) as http:
        http.create("a", "text/plain", "abc")
        pids = stack.processes("durable-streams-worker")
        faults.fail("write", "ENOSPC", pattern)
        for _ in range(50):
            check_full(http.post("a", "text/plain", "x"))
            check_full(http.post("a", "text/plain", "x", **producer("p", 0, 0)))
            check_full(http.put("new", "text/plain", "x"))
            assert expect(http.get("a"), 200).body == b"abc"
        expect(http.head("new"), 404)
        lines = lines_of(stack, "(?i)full|no space")
        faults.end("write")

        def accepted() -> bool:
            return http.post("a", "text/plain", "d", **producer("p", 0, 0)).status == 200

        wait_until(stack, accepted, "appends work again", within=NOTICE)
        expect(http.put("new", "text/plain", "x"), 201)
        assert http.get("a").body == b"abcd"
    assert 1 <= len(lines) <= 6, "\n".join(lines)
    assert stack.processes("durable-streams-worker") == pids
    stack.stop()
    check_clean(data=stack.data_dir)


# Segments.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "error", "pattern"),
    [("sync", "EIO", SEGMENTS), ("sync", "EIO", SHARDS), ("write", "EIO", SEGMENTS), ("write", "ENOSPC", SEGMENTS)],
    ids=["sync", "sync-of-the-folder", "write", "no-space"],
)
def test_failed_rotation(start, faults: Faults, kind: str, error: str, pattern: str) -> None:
    """It is told, with the path; hot data stay; later it works."""
    stack = start(DS_SEGMENT_MAX_MESSAGES=4)
    with closing(Client(stack)) as http:
        pids = stack.processes("durable-streams-worker")
        faults.fail(kind, error, pattern)
        http.create("a", "text/plain")
        expected = b""
        for n in range(40):
            http.append("a", "text/plain", f"{n};")
            expected += f"{n};".encode()
        wait_until(stack, lambda: faults.fired(kind), "it failed")
        wait_until(stack, lambda: lines_of(stack, "error.*/segments/") != [], "it is told")
        assert ask_store(stack, "SELECT count(*) FROM segment") == [0] and records(stack) == 40
        assert http.get("a").body == expected
        http.append("a", "text/plain", "more")
        expected += b"more"
        faults.end(kind)
        wait_until(stack, lambda: segment_files(stack) != [], "it works later")
        wait_for_rotation(stack)
        assert ask_store(stack, "SELECT count(*) FROM segment")[0] > 0
        assert http.get("a").body == expected
        assert len(lines_of(stack, "error.*/segments/")) <= 3, stack.log_tail()
    assert stack.processes("durable-streams-worker") == pids
    # A file that was not made durable has no row, and goes at the next start.
    stack.stop()
    stack.start()
    rows = "SELECT count(*) FROM segment"
    wait_until(stack, lambda: ask_store(stack, rows) == [len(segment_files(stack))], "each file has a row")
    stack.stop()
    check_clean(data=stack.data_dir)
