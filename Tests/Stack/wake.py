"""The wake socket from both ends: a worker that a test plays, and somebody between the workers and the live process."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from access import wait_until
from stack import Stack
from test_sse_fan_out import LOOKS_AROUND, age

GREETING, OFFER = 0, (1 << 63) - 1
ACCEPTANCE = b"\x01"
MARK = -(1 << 63)
LIMIT = 8_192


def changed(*ids: int) -> bytes:
    """Streams that are to be looked at."""
    return struct.pack(f"<{len(ids)}q", *ids)


def appended(id: int, start: int, payload: bytes, units: int | None = None) -> bytes:
    """An append."""
    head = struct.pack("<4q", MARK + len(payload), id, start, start + (len(payload) if units is None else units))
    return head + payload + bytes(-len(payload) % 8)


def number(offset: str) -> int:
    """The id of a stream that is no fork, by one of its offsets."""
    return int(offset[:16])


def settle(stack: Stack) -> None:
    """Until the live process no longer looks at everything by itself: what no wake-up tells is found by nobody then."""
    wait_until(lambda: age(stack.processes("durable-streams-live")[0]) > LOOKS_AROUND, "it no longer looks around", 30)


class Worker:
    """Says to the live process what a test wants it to."""

    def __init__(self, stack: Stack):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(15)
        self.socket.connect(str(stack.data_dir / "run/wake.sock"))

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, message: bytes) -> None:
        self.socket.sendall(message)

    def answer(self) -> bytes:
        """What the live process says; empty when it closes the connection."""
        return self.socket.recv(16)


def parts(stream: bytearray) -> Iterator[bytes]:
    """Takes all whole parts of what workers say."""
    while len(stream) >= 8:
        (first,) = struct.unpack_from("<q", stream)
        size = 8
        if first < MARK // 2:
            size = 32 + (first - MARK + 7) // 8 * 8
        if len(stream) < size:
            return
        part = bytes(stream[:size])
        del stream[:size]
        yield part


def told(part: bytes) -> int | None:
    """The stream that a part is about; nil for times, greetings and offers."""
    (first,) = struct.unpack_from("<q", part)
    if first < MARK // 2:
        return struct.unpack_from("<q", part, 8)[0]
    return first if 0 < first < OFFER else None


class Between:
    """Takes the place of the wake socket, and passes on what `judge` makes of each part."""

    def __init__(self, stack: Stack):
        self.judge: Callable[[bytes], list[bytes]] = lambda part: [part]
        # What was said of streams so far.
        self.seen: list[bytes] = []
        self.stack = stack
        # Connections of workers that said something of streams.
        self.speakers: set[int] = set()
        self.path = stack.data_dir / "run/wake.sock"
        self.real = self.path.with_name("wake.rea")
        os.link(self.path, self.real)
        other = self.path.with_name("wake.tes")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(other))
        self.listener.listen(16)
        other.rename(self.path)
        self.onward: dict[socket.socket, socket.socket] = {}
        self.closing, self.halt = socket.socketpair()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        # Those that are connected to the live process come again, this time to here.
        before = stack.processes("durable-streams-worker")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(now := stack.processes("durable-streams-worker")) == len(before) and not set(now) & set(before), "new workers", 30)
        stack.wait_ready()
        wait_until(lambda: len(self.onward) == len(before), "they have come", 30)

    def __enter__(self) -> Between:
        return self

    def __exit__(self, *_: object) -> None:
        self.halt.close()
        self.thread.join()
        self.real.rename(self.path)
        for end in (self.closing, self.listener, *self.onward, *self.onward.values()):
            end.close()
        if self.failure:
            raise self.failure

    def _run(self) -> None:
        try:
            self._pass_on()
        except BaseException as error:
            self.failure = error

    def _pass_on(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self.closing, selectors.EVENT_READ)
        selector.register(self.listener, selectors.EVENT_READ)
        back: dict[socket.socket, socket.socket] = {}
        waiting: dict[socket.socket, bytearray] = {}
        while True:
            for key, _ in selector.select():
                end: socket.socket = key.fileobj  # type: ignore[assignment]
                if end is self.closing:
                    return selector.close()
                if end is self.listener:
                    worker, _ = end.accept()
                    live = socket.socket(socket.AF_UNIX)
                    live.connect(str(self.real))
                    self.onward[worker], back[live], waiting[worker] = live, worker, bytearray()
                    selector.register(worker, selectors.EVENT_READ)
                    selector.register(live, selectors.EVENT_READ)
                    continue
                data = end.recv(65536)
                if not data:
                    worker = back.get(end, end)
                    for one in (worker, self.onward.pop(worker)):
                        selector.unregister(one)
                        one.close()
                    continue
                if end in back:
                    back[end].sendall(data)
                    continue
                waiting[end] += data
                for part in parts(waiting[end]):
                    if told(part) is not None:
                        self.seen.append(part)
                        self.speakers.add(id(end))
                    for one in self.judge(part):
                        self.onward[end].sendall(one)

    def wait_seen(self, id: int, count: int) -> list[bytes]:
        """What was said of a stream, once it is so much."""
        wait_until(lambda: len(self.of(id)) >= count, f"{count} wake-ups of {id}")
        return self.of(id)

    def of(self, id: int) -> list[bytes]:
        return [part for part in self.seen if told(part) == id]

    def hold(self, id: int) -> Held:
        """Keeps back what is said of a stream from now on."""
        return Held(self, id)


class Held:
    """What is kept back of one stream, until the test lets the next part through together with one of these."""

    def __init__(self, between: Between, id: int):
        self.between, self.id, self.kept = between, id, []
        between.judge = self._judge

    def _judge(self, part: bytes) -> list[bytes]:
        if told(part) != self.id:
            return [part]
        self.kept.append(part)
        return []

    def release(self, *order: int) -> None:
        """Says what was kept back, in any order and as often as wanted, each part by itself; nothing is kept from now on."""
        self.between.judge = lambda part: [part]
        live = next(iter(self.between.onward.values()))
        for index in order:
            live.sendall(self.kept[index])
