"""SSE: rotation, keep-alive comments and slow readers (10.4)."""

from __future__ import annotations

import os
import json
import threading
import time
from pathlib import Path

import pytest

from client import Client, expect
from sse import EventSource
from stack import Stack
from wire import ConnectionClosed

MEGABYTE = 1024 * 1024


def test_rotation(small_stack: Stack, small: Client, path: str) -> None:
    """The response ends after its lifetime plus at most 5 s, in order; the reader resumes by offset."""
    tail = small.create(path, "text/plain", "abc").offset
    began = time.monotonic()
    with EventSource(small_stack, path) as source:
        _, control = source.batch()
        while (event := source.next()) is not None:
            assert event.kind == "comment", event
    assert 0.9 <= time.monotonic() - began < 8
    assert control["streamNextOffset"] == tail and "streamClosed" not in control
    small.append(path, "text/plain", "def")
    again = f"cursor={control['streamCursor']}&offset={tail}"
    with EventSource(small_stack, path, again) as source:
        data, second = source.batch()
    assert data == b"def" and int(str(second["streamCursor"])) > int(str(control["streamCursor"]))


def test_rotation_under_load_loses_nothing(small_stack: Stack, small: Client, path: str) -> None:
    """Only between events, after a control that covers everything sent."""
    start = small.create(path, "application/json").offset
    stop, count = threading.Event(), 0

    def write() -> None:
        nonlocal count
        client = Client(small_stack)
        while not stop.is_set():
            client.append(path, "application/json", str(count))
            count += 1
            stop.wait(0.005)
        client.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen, offset, ended = [], start, 0
        while ended < 2:
            with EventSource(small_stack, path, f"offset={offset}") as source:
                while (event := source.next()) is not None:
                    if event.kind == "data":
                        seen += json.loads(event.text)
                    elif event.kind == "control":
                        offset = str(event.control["streamNextOffset"])
                    if event.kind != "comment":
                        last = event.kind
                assert last == "control"
            ended += 1
    finally:
        stop.set()
        writer.join()
    assert len(seen) > 20 and seen == list(range(len(seen)))


def test_keep_alive(fresh_stack) -> None:
    """Comment lines only: `: keep-alive` and an empty line, without traffic."""
    stack = fresh_stack(DS_SSE_KEEP_ALIVE=1, DS_SSE_LIFETIME=60)
    client = Client(stack)
    client.create("quiet", "text/plain", "abc")
    began = time.monotonic()
    with EventSource(stack, "quiet") as source:
        source.batch()
        for _ in range(2):
            event = source.next()
            assert event is not None and event.raw == b": keep-alive", event
        assert 1.5 <= time.monotonic() - began < 8
        client.append("quiet", "text/plain", "d")
        assert source.batch()[0] == b"d"
    client.close()


@pytest.mark.parametrize("interval", [1, 2.5])
def test_keep_alive_of_many(fresh_stack, interval: float) -> None:
    """Each of many readers that began at different moments gets its comments in time, counted from the last write to it."""
    stack = fresh_stack(DS_SSE_KEEP_ALIVE=interval, DS_SSE_LIFETIME=60)
    client = Client(stack)
    client.create("quiet", "text/plain"), client.create("busy", "text/plain")
    arrivals: list[list[float]] = []
    lock = threading.Lock()

    def read(name: str) -> None:
        times = []
        with EventSource(stack, name, "offset=now") as source:
            source.control()
            times.append(time.monotonic())
            while len(times) < 4:
                event = source.next()
                assert event is not None
                times.append(time.monotonic())
        with lock:
            arrivals.append(times)

    readers = []
    for number in range(40):
        readers.append(threading.Thread(target=read, args=("quiet",)))
        readers[-1].start()
        time.sleep(interval / 40)
    with EventSource(stack, "busy", "offset=now") as source:
        source.control()
        for _ in range(3):
            # In the middle of the time to the next comment, unless the machine is busy.
            time.sleep(interval / 2)
            client.append("busy", "text/plain", "x")
            assert source.event().kind == "data"
            source.control()
            written = time.monotonic()
        event = source.next()
        assert event is not None and event.kind == "comment", event
        check_gap(time.monotonic() - written, interval)
    for reader in readers:
        reader.join()
    assert len(arrivals) == 40
    for times in arrivals:
        for before, after in zip(times, times[1:]):
            check_gap(after - before, interval)
    client.close()


def check_gap(seconds: float, interval: float) -> None:
    """A comment comes behind its time, and at most half a second (and what a busy machine adds) late."""
    assert interval - 0.3 <= seconds <= interval + 1.5, seconds


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_slow_reader_is_bounded(fresh_stack) -> None:
    """A reader that does not read delays nobody and costs bounded memory; it can resume."""
    stack = fresh_stack(DS_SSE_LIFETIME=100)
    client = Client(stack)
    start = client.create("flood", "text/plain").offset
    (live,) = stack.processes("durable-streams-live")
    lazy = [EventSource(stack, "flood", "offset=now") for _ in range(4)]
    before, highest = resident(live), 0
    piece = b"x" * 999_999 + b"\n"
    with EventSource(stack, "flood", "offset=now") as brisk:
        brisk.control()
        for _ in range(40):
            tail = client.append("flood", "text/plain", piece).offset
            received, _ = brisk.until(tail)
            assert sum(len(part) for part in received) == len(piece)
            highest = max(highest, resident(live))
    assert highest - before < 48 * MEGABYTE, f"grew by {(highest - before) / MEGABYTE:.0f} MiB"
    total = 0
    for source in lazy:
        offset = start
        try:
            while (event := source.next()) is not None:
                if event.kind == "control":
                    offset = str(event.control["streamNextOffset"])
                    if offset == tail:
                        break
        except (ConnectionClosed, AssertionError):
            pass  # cut off in the middle: resume from the last control
        source.connection.close()
        content, _ = client.read_all("flood", offset)
        total += len(content)
        assert set(content) <= {10, 120}
    expect(client.head("flood"), 200)
    client.close()


def open_sockets(process: int) -> int:
    """How many sockets a process holds."""
    count = 0
    for entry in os.scandir(f"/proc/{process}/fd"):
        try:
            count += os.readlink(entry.path).startswith("socket:")
        except FileNotFoundError:
            pass  # closed meanwhile
    return count


@pytest.mark.slow
def test_stalled_reader_is_cut_off(fresh_stack) -> None:
    """A reader that takes nothing for 30 s, with something to take, loses its connection; a brisk one keeps its own."""
    stack = fresh_stack(DS_SSE_LIFETIME=300)
    client = Client(stack)
    client.create("flood", "text/plain")
    (live,) = stack.processes("durable-streams-live")
    with EventSource(stack, "flood", "offset=now") as brisk, EventSource(stack, "flood", "offset=now") as lazy:
        lazy.control(), brisk.control()
        # The first append has the worker connect to the live process.
        brisk.until(client.append("flood", "text/plain", "first\n").offset)
        before = open_sockets(live)
        for _ in range(20):
            brisk.until(client.append("flood", "text/plain", b"x" * 999_999 + b"\n").offset)
        blocked = time.monotonic()
        while open_sockets(live) >= before:
            assert time.monotonic() - blocked < 45, "the stalled reader is still connected"
            time.sleep(0.2)
        assert time.monotonic() - blocked > 20, "cut off too soon"
        assert brisk.until(client.append("flood", "text/plain", "still here").offset)[0] == [b"still here"]
    client.close()
