"""Load beside reloads: whoever has a failed request, a lost or repeated message, or a gap remembers it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing

from client import Client, expect, producer, read_lines
from sse import EventSource
from stack import Stack
from store import wait_until
from wire import ConnectionClosed

PIECE = 65_536


class Lost(Exception):
    """A message that came twice, too early, or not at all."""


class Worker(threading.Thread):
    """Does one thing again and again until it is to stop; an exception ends it and is kept."""

    def __init__(self, load: Load, name: str):
        super().__init__(name=name, daemon=True)
        self.load, self.failure, self.done = load, "", 0
        # The longest time that one request took, and when it began.
        self.longest, self.longest_at = 0.0, 0.0

    def run(self) -> None:
        try:
            with closing(Client(self.load.stack, timeout=30)) as http:
                self.serve(http)
        except BaseException as error:
            self.failure = f"{self.name}: {error!r}"

    def serve(self, http: Client) -> None:
        while not self.load.halt.is_set():
            began = time.monotonic()
            if not self.attempt(http):
                continue
            took = time.monotonic() - began
            if took > self.longest:
                self.longest, self.longest_at = took, began
            self.done += 1
            # Connections of nginx to the pool are idle in between, each for another time.
            time.sleep(random.random() * self.load.pause)

    def attempt(self, http: Client) -> bool:
        """A step, which may fail where processes are killed."""
        try:
            self.step(http)
            return True
        except (ConnectionClosed, AssertionError):
            if not self.load.patient:
                raise
            http.close()
            time.sleep(0.05)
            return False

    def say(self, http: Client, stream: str, body: str) -> None:
        """Appends, with a number where it may have to be said again."""
        if not self.load.patient and self.name.endswith(("0", "2", "4", "6")):
            http.append(stream, "text/plain", body)
            return
        answer = http.post(stream, "text/plain", body, **producer(self.name, 0, self.done))
        assert answer.status == 200 or self.load.patient and answer.status == 204, answer.describe()

    def step(self, http: Client) -> None: ...


class Appender(Worker):
    def __init__(self, load: Load, number: int):
        super().__init__(load, f"appender {number}")
        self.number, self.stream = number, load.stream(f"a{number % 4}")

    def step(self, http: Client) -> None:
        self.say(http, self.stream, f"{self.number}:{self.done}\n")


class Asker(Worker):
    """Reads: the same piece (from the cache), the tail (never from there), HEAD."""

    def __init__(self, load: Load, kind: str, number: int):
        super().__init__(load, f"{kind} {number}")
        self.kind = kind

    def step(self, http: Client) -> None:
        big = self.load.big
        if self.kind == "HIT":
            answer = expect(http.get(big, f"offset={self.load.offsets[1]}"), 200)
            assert len(answer.body) == PIECE
        elif self.kind == "MISS":
            answer = expect(http.get(big, f"offset={self.load.offsets[-2]}"), 200)
            assert answer.get("Stream-Up-To-Date") == "true" and answer.get("X-Cache") != "HIT"
        else:
            assert expect(http.head(big), 200).offset == self.load.offsets[-1]


class Speaker(Worker):
    """Appends the messages that the live readers wait for."""

    def step(self, http: Client) -> None:
        self.say(http, self.load.live, f"{self.done}\n")


class Follower(Worker):
    """Reads every message once, in order."""

    def __init__(self, load: Load, number: int):
        super().__init__(load, f"{type(self).__name__} {number}")
        self.offset, self.seen, self.closed = "-1", 0, False
        self.reconnected: list[float] = []

    def take(self, content: bytes) -> None:
        for line in content.decode().splitlines():
            if int(line) != self.seen:
                raise Lost(f"message {line} where {self.seen} was due")
            self.seen += 1

    def serve(self, http: Client) -> None:
        # The stream is closed behind the last message.
        while not self.closed:
            self.attempt(http)


class LongPoller(Follower):
    cursor = ""

    def step(self, http: Client) -> None:
        query = f"offset={self.offset}&live=long-poll" + (f"&cursor={self.cursor}" if self.cursor else "")
        answer = http.get(self.load.live, query)
        assert answer.status in (200, 204), answer.describe()
        self.take(answer.body)
        self.offset, self.cursor = answer.offset, answer.get("Stream-Cursor") or ""
        self.closed = "Stream-Closed" in answer


class EventReader(Follower):
    def step(self, http: Client) -> None:
        with EventSource(self.load.stack, self.load.live, f"offset={self.offset}", timeout=30) as events:
            while (event := events.next()) is not None:
                if event.kind == "data":
                    self.take(event.text + b"\n" if event.text and not event.text.endswith(b"\n") else event.text)
                elif event.kind == "control":
                    self.offset = event.control["streamNextOffset"]
                    self.closed = "streamClosed" in event.control
            self.reconnected.append(time.monotonic())


class Load:
    """All kinds of requests at once: `with Load(stack) as load: …`; leaving it checks everything."""

    def __init__(
        self,
        stack: Stack,
        *,
        appenders: int = 8,
        askers: int = 2,
        long_pollers: int = 3,
        readers: int = 9,
        pause: float = 0.02,
        patient: bool = False,
        checks: bool = True,
    ):
        """With `patience` requests may fail and are repeated; without `checks` the server may be gone at the end."""
        self.patient, self.checks = patient, checks
        self.stack, self.pause, self.halt = stack, pause, threading.Event()
        self.live, self.big = self.stream("live"), self.stream("big")
        with closing(Client(stack)) as http:
            for name in ("a0", "a1", "a2", "a3", "live"):
                http.put(self.stream(name), "text/plain")
            http.create(self.big, "application/octet-stream", random.randbytes(3 * PIECE + 1000))
            self.offsets, answer = ["-1"], None
            while answer is None or "Stream-Up-To-Date" not in answer:
                answer = expect(http.get(self.big, f"offset={self.offsets[-1]}"), 200)
                self.offsets.append(answer.offset)
        self.appenders = [Appender(self, number) for number in range(appenders)]
        self.askers = [Asker(self, kind, number) for kind in ("HIT", "MISS", "HEAD") for number in range(askers)]
        self.speaker = Speaker(self, "speaker")
        self.readers = [EventReader(self, number) for number in range(readers)]
        self.followers: list[Follower] = [LongPoller(self, number) for number in range(long_pollers)] + self.readers
        self.workers: list[Worker] = [*self.appenders, *self.askers, self.speaker, *self.followers]

    def stream(self, name: str) -> str:
        return f"load/{name}"

    def __enter__(self) -> Load:
        for worker in self.workers:
            worker.start()
        self.run_for(lambda: all(worker.done or isinstance(worker, Follower) for worker in self.workers), 10)
        return self

    def run_for(self, condition: Callable[[], object], within: float = 20) -> None:
        """Until something holds, with the load on; a worker that fails ends it."""
        wait_until(self.stack, lambda: condition() or any(worker.failure for worker in self.workers), "under load", within)
        self.check_alive()

    def pass_requests(self, count: int = 20) -> None:
        """Until every appender has had so many more answers."""
        goals = [(worker, worker.done + count) for worker in self.appenders]
        self.run_for(lambda: all(worker.done >= goal for worker, goal in goals))

    def check_alive(self) -> None:
        failures = [worker.failure for worker in self.workers if worker.failure]
        assert not failures, "\n".join(failures) + "\n" + self.stack.log_tail()

    def __exit__(self, kind: object, *_: object) -> None:
        self.halt.set()
        for worker in [*self.appenders, *self.askers, self.speaker]:
            worker.join(40)
        if not self.checks:
            return
        with closing(Client(self.stack)) as http:
            http.post(self.live, None, None, Stream_Closed="true")
        for follower in self.followers:
            follower.join(40)
        if kind is None:
            self.check_alive()
            self.check_content()

    def check_content(self) -> None:
        """Each acknowledged append is there once, in the order of its writer."""
        expected = {worker.number: [f"{worker.number}:{n}" for n in range(worker.done)] for worker in self.appenders}
        found: dict[int, list[str]] = {number: [] for number in expected}
        with closing(Client(self.stack)) as http:
            for name in ("a0", "a1", "a2", "a3"):
                for line in read_lines(http, self.stream(name)):
                    found[int(line.split(":")[0])].append(line)
        for number, lines in expected.items():
            assert found[number] == lines, f"writer {number}: {len(lines)} acknowledged, {len(found[number])} stored"
        for follower in self.followers:
            assert follower.seen == self.speaker.done, f"{follower.name} saw {follower.seen} of {self.speaker.done}"
