"""Load: several writers, and streams that come and go."""

from __future__ import annotations

import itertools
import json
import re
import threading
from contextlib import closing

from client import Client, at, expect, position, producer
from hooks import Hooks
from stack import Stack
from store import segment_files, wait_until


class Writer(threading.Thread):
    """Appends numbered lines, or batches of messages; every answer has to be a success."""

    def __init__(self, load: Load, number: int, stream: str, is_producer: bool):
        super().__init__(name=f"writer-{number}")
        self.load, self.number, self.stream, self.is_producer = load, number, stream, is_producer
        self.sent = self.acknowledged = 0
        self.failure = ""

    def run(self) -> None:
        try:
            with closing(Client(self.load.stack)) as http:
                while not self.load.halt.is_set():
                    who = producer(f"w{self.number}", 0, self.sent) if self.is_producer else {}
                    body, type = append_of(self.stream, self.number, self.sent)
                    self.sent += 1
                    http.append(self.stream, type, body, **who)
                    self.acknowledged += 1
        except BaseException as error:
            self.failure = repr(error)


def append_of(stream: str, writer: int, number: int) -> tuple[str, str]:
    """The body and the type of one append."""
    if "json" in stream:
        batch = [{"writer": writer, "n": number, "part": part} for part in range(1 + number % 4)]
        return json.dumps(batch), "application/json"
    return f"{writer}:{number}:{'x' * (number * 37 % 900)}\n", "text/plain"


def appends_in(stream: str, content: bytes) -> list[tuple[int, int]]:
    """The appends that a content is made of, each of them whole."""
    found = []
    if "json" in stream:
        messages, next = json.loads(content), 0
        while next < len(messages):
            writer, number = messages[next]["writer"], messages[next]["n"]
            whole = json.loads(append_of(stream, writer, number)[0])
            assert messages[next : next + len(whole)] == whole, f"a torn append: {messages[next : next + 4]}"
            next += len(whole)
            found.append((writer, number))
        return found
    for line in content.decode().splitlines(keepends=True):
        match = re.match("([0-9]+):([0-9]+):", line)
        assert match and line == append_of(stream, int(match[1]), int(match[2]))[0], f"a torn append: {line!r}"
        found.append((int(match[1]), int(match[2])))
    return found


class Comings(threading.Thread):
    """Makes streams and forks, appends, closes, deletes; moves the clock, so that files which nobody needs go soon."""

    def __init__(self, load: Load, hooks: Hooks):
        super().__init__(name="comings")
        self.load, self.hooks = load, hooks
        self.sent: dict[str, bytes] = {}
        self.ends: dict[str, list[int]] = {}
        self.inherited: dict[str, int] = {}
        self.acknowledged: dict[str, int] = {}
        self.doomed: set[str] = set()
        self.gone: set[str] = set()
        self.failure = ""

    def run(self) -> None:
        try:
            with closing(Client(self.load.stack)) as http:
                for number in itertools.count():
                    if self.load.halt.is_set():
                        return
                    self.make(http, f"short/{number}", number)
                    self.hooks.advance(6)
        except BaseException as error:
            self.failure = repr(error)

    def make(self, http: Client, name: str, number: int) -> None:
        self.sent[name], self.ends[name] = b"", [0]
        if number % 3 == 2:
            # Anywhere, so that it has part of an append and of a segment.
            tail = http.head("load/bytes").offset
            self.inherited[name] = position(tail) * 2 // 3
            http.fork(name, "load/bytes", at=at(tail, self.inherited[name]))
        else:
            http.create(name, "text/plain")
        self.acknowledged[name] = 0
        for turn in range(12):
            piece = f"{number}.{turn};".encode() * 20
            self.sent[name] += piece
            self.ends[name].append(len(self.sent[name]))
            closing_it = {"Stream_Closed": "true"} if turn == 11 and number % 2 else {}
            http.append(name, "text/plain", piece, **closing_it)
            self.acknowledged[name] = len(self.sent[name])
        # Late enough to have moved into files.
        if (old := f"short/{number - 30}") in self.sent and number % 5:
            self.doomed.add(old)
            expect(http.delete(old), 204)
            self.gone.add(old)


class Load:
    """Writers of a byte and a JSON stream, producers and plain ones, and streams that come and go."""

    STREAMS = {"load/bytes": "text/plain", "load/json": "application/json"}

    def __init__(self, stack: Stack, hooks: Hooks):
        self.stack, self.halt = stack, threading.Event()
        with closing(Client(stack)) as http:
            for name, type in self.STREAMS.items():
                http.create(name, type)
        plan = [(name, is_producer) for name in self.STREAMS for is_producer in (True, True, False)]
        self.writers = [Writer(self, number, *who) for number, who in enumerate(plan)]
        self.comings = Comings(self, hooks)

    def __enter__(self) -> Load:
        for thread in (*self.writers, self.comings):
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.halt.set()
        for thread in (*self.writers, self.comings):
            thread.join(60)

    def check(self) -> None:
        failures = [thread.failure for thread in (*self.writers, self.comings) if thread.failure]
        assert not failures, f"{failures}\n{self.stack.log_tail()}"

    def wait_for_progress(self, by: int = 20) -> None:
        """Appends of everybody, new segments, and files that went since nobody needs them."""
        files = set(segment_files(self.stack))
        # What is there at first may be full segments of streams that stay.
        seen = set(files)
        goals = [(writer, writer.acknowledged + by) for writer in self.writers]
        short = len(self.comings.acknowledged) + 3

        def is_further() -> bool:
            self.check()
            now = set(segment_files(self.stack))
            seen.update(now)
            return (
                len(now - files) >= 5
                and (not files or len(seen - now) >= 2)
                and len(self.comings.acknowledged) >= short
                and all(writer.acknowledged >= goal for writer, goal in goals)
            )

        wait_until(self.stack, is_further, "the load goes on", within=60)
