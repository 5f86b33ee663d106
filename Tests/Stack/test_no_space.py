"""A disk without any space: appends are refused, reads and deletes work, and all goes on when there is space again."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import closing
from datetime import datetime

import pytest

from client import Client, at, expect
from disk import MIB, check_full, lines_of
from disk_writers import Writers
from sse import EventSource, decode_base64
from stack import StartFailed, Stack, identity, wait_gone
from store import ask_store, wait_until
from test_crash import RETRY
from wire import ConnectionClosed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def full_lines_are_few(stack: Stack, since: float) -> None:
    """The same line comes at most once in 10 s from each process."""
    lines = lines_of(stack, "(?i)full|no space|ENOSPC", but="high-water")
    print(*lines[:20], sep="\n")
    stamp = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\S* ")
    times: dict[str, list[datetime]] = {}
    for line in lines:
        if found := stamp.match(line):
            times.setdefault(line[found.end() :], []).append(datetime.fromisoformat(found[1]))
    for text, when in times.items():
        gaps = [(later - earlier).total_seconds() for earlier, later in zip(when, when[1:])]
        assert all(gap >= 9 for gap in gaps), f"{text!r} again after {min(gaps)} s"
    # Words that differ in numbers only would be the same flood.
    assert len(lines) <= 10 * (2 + (time.monotonic() - since) / 10), f"{len(lines)} lines"


@pytest.mark.parametrize("how", ["delete", "ballast"])
@pytest.mark.parametrize("size", [2_000, 60_000])
def test_no_space_left(make_disk, how: str, size: int) -> None:
    """Refused while it lasts; reads and deletes work; then all goes on by itself, in the same processes."""
    disk = make_disk()
    stack = disk.start(DS_DISK_HIGH_WATER=100, DS_SWEEP_INTERVAL=0.5)
    ballast, _ = disk.ballast(32 * MIB), disk.ballast(32 * MIB)
    with closing(Client(stack)) as http:
        kept = os.urandom(10_000)
        http.create("kept", "application/octet-stream", kept)
        for name in ("victim", "small"):
            http.create(name, "application/octet-stream", os.urandom(10_000_000 if name == "victim" else 10))
        pids = [stack.processes(f"durable-streams-{name}") for name in ("worker", "live")]
        with Writers(stack, size) as writers:
            writers.wait_refused(by=5)
            began = time.monotonic()
            # Meanwhile.
            assert http.read_all("kept")[0] == kept
            tail = http.head("kept").offset
            for live in ("", "&live=long-poll"):
                assert expect(http.get("kept", f"offset={at(tail, 9_000)}{live}"), 200).body == kept[9_000:]
            # More than may be found for a moment between two appends.
            check_full(http.put("new", "text/plain", b"x" * 15_000_000))
            for writer in writers.all:
                expect(http.head(writer.path), 200)
            expect(http.delete("small"), 204)
            expect(http.head("small"), 404)
            writers.wait_refused(by=100)
            # Space comes back.
            if how == "delete":
                expect(http.delete("victim"), 204)
            else:
                ballast.unlink()
            writers.wait_accepted()
            print([(writer.acknowledged, dict(writer.statuses)) for writer in writers.all])
        assert not [writer.failure for writer in writers.all if writer.failure]
        assert [stack.processes(f"durable-streams-{name}") for name in ("worker", "live")] == pids, "they live on"
        full_lines_are_few(stack, began)
        disk.relieve()
        writers.check(http)
        quiet = "SELECT (SELECT count(*) FROM rotation) + (SELECT count(*) FROM purge)"
        wait_until(stack, lambda: ask_store(stack, quiet) == [0], "what could not move before has moved", within=60)
        writers.check(http)
    stack.stop()
    stack.start()
    with closing(Client(stack)) as http:
        writers.check(http)
        assert http.read_all("kept")[0] == kept
    stack.stop()


@pytest.mark.parametrize("cold", [False, True], ids=["hot", "cold"])
def test_large_reads_and_bodies_without_space(make_disk, cold: bool) -> None:
    """More than nginx has in memory: from the log, from segments, by offset and so for its cache; and larger bodies."""
    disk = make_disk()
    disk.ballast(64 * MIB)
    stack = disk.start(DS_DISK_HIGH_WATER=100, **({} if cold else {"DS_SEGMENT_MAX_BYTES": "1GiB"}))
    with closing(Client(stack)) as http:
        kept = os.urandom(6_000_000)
        http.create("kept", "application/octet-stream", kept[:5_000_000])
        http.append("kept", "application/octet-stream", kept[5_000_000:])
        if cold:
            wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM segment") != [0], "some of it has moved")
        with Writers(stack, 20_000) as writers:
            writers.wait_refused()
            for turn in range(3):
                assert http.read_all("kept")[0] == kept
                tail = http.head("kept").offset
                assert http.read_all("kept", at(tail, 1_000_000 + turn))[0] == kept[1_000_000 + turn :]
            with EventSource(stack, "kept", timeout=30) as source:
                payloads, _ = source.until(tail)
            assert b"".join(map(decode_base64, payloads)) == kept
            check_full(http.post("kept", "application/octet-stream", b"x" * 1_000_000))


def serves(http: Client, path: str, content: bytes) -> bool:
    try:
        answer = http.get(path)
    except ConnectionClosed:
        http.close()
        return False
    assert answer.status in RETRY or answer.body == content, answer.describe()
    return answer.status == 200


def test_kill_while_full(make_disk) -> None:
    """kill -9 of the worker without space: its successor serves what is there, and writes once there is space."""
    disk = make_disk()
    stack = disk.start(DS_DISK_HIGH_WATER=100)
    ballast, _ = disk.ballast(32 * MIB), disk.ballast(32 * MIB)
    with closing(Client(stack)) as http:
        http.create("kept", "text/plain", "kept")
        with Writers(stack, 20_000, accepts={500, 502, 503, 504}) as writers:
            writers.wait_refused()
            for _ in range(3):
                (pid,) = stack.processes("durable-streams-worker")
                who = identity(pid)
                os.kill(pid, signal.SIGKILL)
                assert not wait_gone([who], 5)
                wait_until(stack, lambda: serves(http, "kept", b"kept"), "it serves what is there")
                writers.wait_refused(by=1)
            assert stack.process.poll() is None, stack.log_tail()
            ballast.unlink()
            writers.wait_accepted()
        assert not [writer.failure for writer in writers.all if writer.failure]
        disk.relieve()
        # Each kill may have cut off one append of each.
        writers.check(http, at_most=4)
    stack.stop()
    stack.start()
    with closing(Client(stack)) as http:
        writers.check(http, at_most=4)
        assert http.get("kept").body == b"kept"


def test_start_without_space(make_disk) -> None:
    """A server that was stopped on a full disk comes up again, or says what it lacks; with space it serves all."""
    disk = make_disk()
    stack = disk.start(DS_DISK_HIGH_WATER=100)
    disk.ballast(64 * MIB)
    with closing(Client(stack)) as http, Writers(stack, 20_000) as writers:
        writers.wait_refused()
    stack.stop()
    # What the stop has given back.
    disk.ballast(int(os.statvfs(disk.place).f_bavail * os.statvfs(disk.place).f_frsize * 0.99))
    try:
        stack.start()
    except StartFailed as failure:
        assert re.search("(?i)no space|full", str(failure)), failure
    else:
        with closing(Client(stack)) as http:
            expect(http.head("full/shared"), 200)
    stack.stop(expect_clean=False)
    disk.relieve()
    stack.start()
    with closing(Client(stack)) as http:
        writers.check(http)
        http.append("full/shared", "text/plain", "more")
    stack.stop()
