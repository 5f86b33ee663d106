"""A little of everything that clients do, at a low rate, for as long as one likes."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import threading
import time
from collections import Counter
from typing import Callable, Iterator

from stack import ROOT, Stack

BYTES = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}
# What an answer may be beside 2xx: 304 where it is asked for, 404 and 410 of streams that have expired meanwhile.
EXPECTED = {304, 404, 410}
STREAMS = 100
PIECE = 1 << 20


class Client:
    """A kept connection that counts answers."""

    def __init__(self, stack: Stack, statuses: Counter):
        self.stack, self.statuses = stack, statuses
        self.connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=60)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> dict[str, str]:
        """One request: the headers of its answer, in lower case, with its status."""
        try:
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.statuses[f"no answer: {type(error).__name__}"] += 1
            return {"status": "0"}
        self.statuses[answer.status] += 1
        found = {name.lower(): value for name, value in answer.getheaders()}
        if found.get("x-cache") in ("HIT", "MISS"):
            self.statuses[found["x-cache"]] += 1
        return found | {"status": str(answer.status)}


class MixedLoad:
    """Appends of all kinds, creations, deletions, expiries, reads from everywhere, and readers that wait.

    `scale` multiplies the rates: 1 makes some 300 requests a second.
    """

    WAITING, EVENTS = 10, 30

    def __init__(self, stack: Stack, scale: float = 1):
        self.stack, self.scale = stack, scale
        self.statuses: Counter = Counter()
        self.done = threading.Event()
        # Threads that ended before their time: less load than there should be.
        self.failures: list[str] = []
        self.numbers = iter(range(1 << 62))
        self.plain = [stack.create(f"plain-{number}") for number in range(STREAMS)]
        self.messages = [stack.create(f"json-{number}", "application/json") for number in range(STREAMS // 5)]
        # One that moves into segments, and one that stays in the hot log, so that nginx's cache answers reads of it.
        self.long, self.hot = stack.create("long"), stack.create("hot")
        stack.fill(self.long, 8 * PIECE, PIECE)
        stack.fill(self.hot, 4 * PIECE - 1000, PIECE)
        self.starts = {path: incarnation(stack, path) for path in (self.long, self.hot)}
        self.large = ROOT + "large"
        stack.expect(201, "PUT", self.large, None, BYTES | {"Stream-Retention-Bytes": str(32 * PIECE)})
        self.sequences: Counter = Counter()
        self.short: list[str] = []
        kinds = (
            (100, self.append), (30, self.append_batch), (30, self.append_as_producer), (10, self.create),
            (5, self.delete), (60, self.read_tail), (30, self.read_unchanged), (10, self.read_piece),
            (2, self.read_elsewhere), (5, self.append_large), (0.2, self.append_huge), (5, self.ask_nonsense))
        self.threads = [self.thread(self.repeat, *kind) for kind in kinds]
        self.threads += [self.thread(self.wait, number) for number in range(self.WAITING)]
        self.threads += [self.thread(self.listen, number) for number in range(self.EVENTS)]

    def thread(self, act: Callable[..., None], *args: object) -> threading.Thread:
        """One that is to go on to the end."""
        def run() -> None:
            try:
                act(*args)
            except Exception as error:  # Whatever it is, the load goes on with the others.
                self.failures.append(f"a client ended: {error!r}")

        return threading.Thread(target=run, daemon=True)

    def __enter__(self) -> MixedLoad:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        for thread in self.threads:
            thread.join(90)

    @property
    def requests(self) -> int:
        """Answers so far."""
        # A copy, since other threads add to it meanwhile.
        return sum(count for status, count in list(self.statuses.items()) if isinstance(status, int))

    @property
    def fault(self) -> str:
        """What is wrong with the answers, if anything."""
        return ", ".join([*self.failures, *(
            f"{count} × {status}" for status, count in list(self.statuses.items())
            if not (isinstance(status, int) and (status < 300 or status in EXPECTED))
            and status not in ("HIT", "MISS", "events", 400))])

    def repeat(self, rate: float, act: Callable[[Client], object]) -> None:
        """One thread: `act`, so many times a second."""
        client, due = Client(self.stack, self.statuses), time.monotonic()
        while not self.done.is_set():
            act(client)
            due = max(due + 1 / rate / self.scale, time.monotonic() - 1)
            self.done.wait(max(0, due - time.monotonic()))

    # Each is one request.

    def append(self, client: Client) -> None:
        client.ask("POST", random.choice(self.plain), random.randbytes(256), BYTES)

    def append_batch(self, client: Client) -> None:
        batch = json.dumps([{"number": next(self.numbers), "text": "x" * 80} for _ in range(10)])
        client.ask("POST", random.choice(self.messages), batch.encode(), JSON)

    def append_as_producer(self, client: Client) -> None:
        name = f"producer-{random.randrange(20)}"
        headers = JSON | {"Producer-Id": name, "Producer-Epoch": "0", "Producer-Seq": str(self.sequences[name])}
        path = self.messages[hash(name) % len(self.messages)]
        if client.ask("POST", path, b'{"by":"a producer"}', headers)["status"] in ("200", "204"):
            self.sequences[name] += 1

    def create(self, client: Client) -> None:
        path = f"{ROOT}short-{next(self.numbers)}"
        client.ask("PUT", path, b"begin", BYTES | {"Stream-TTL": random.choice(("10", "60"))})
        self.short.append(path)

    def delete(self, client: Client) -> None:
        if self.short:
            client.ask("DELETE", self.short.pop(random.randrange(len(self.short))))
        del self.short[:-200]

    def read_tail(self, client: Client) -> None:
        path = random.choice(self.plain + self.messages + self.short[-5:])
        offset = client.ask("HEAD", path).get("stream-next-offset")
        if offset:
            client.ask("GET", f"{path}?offset={offset}")

    def read_unchanged(self, client: Client) -> None:
        path = self.at(self.long, 8 * PIECE - 1000)
        tag = client.ask("GET", path).get("etag")
        client.ask("GET", path, None, {"If-None-Match": tag or "-"})

    def read_piece(self, client: Client) -> None:
        client.ask("GET", self.at(random.choice((self.long, self.hot)), random.randrange(3) * PIECE))

    def read_elsewhere(self, client: Client) -> None:
        client.ask("GET", self.at(self.long, random.randrange(6 * PIECE)))

    def append_large(self, client: Client) -> None:
        client.ask("POST", self.large, random.randbytes(64 << 10), BYTES)

    def append_huge(self, client: Client) -> None:
        client.ask("POST", self.large, bytes(random.randrange(1, 9) << 20), BYTES)

    def ask_nonsense(self, client: Client) -> None:
        client.ask("GET", f"{self.plain[0]}?offset={next(self.numbers)}-")

    def at(self, path: str, position: int) -> str:
        """The target of a read that begins there."""
        return f"{path}?offset={self.starts[path]}_{position:016d}"

    # Readers that wait.

    def wait(self, number: int) -> None:
        """Long-polls one after another."""
        client, path, offset = Client(self.stack, self.statuses), self.plain[number], "now"
        while not self.done.is_set():
            answer = client.ask("GET", f"{path}?live=long-poll&offset={offset}")
            offset = answer.get("stream-next-offset", "now")

    def listen(self, number: int) -> None:
        """Event streams one after another, each left after a while or at its end."""
        path = (self.plain + self.messages)[-number - 1]
        while not self.done.is_set():
            with contextlib.suppress(OSError):
                for _ in events(self.stack, path, random.uniform(5, 90), self.done):
                    self.statuses["events"] += 1


def incarnation(stack: Stack, path: str) -> str:
    """What offsets of a stream begin with."""
    headers, _ = stack.expect(200, "HEAD", path)
    return headers["stream-next-offset"].split("_")[0]


def events(stack: Stack, path: str, seconds: float, done: threading.Event) -> Iterator[bytes]:
    """What comes of an event stream, in pieces as they arrive."""
    deadline = time.monotonic() + seconds
    with socket.create_connection(("127.0.0.1", stack.port), timeout=20) as connection:
        connection.sendall(f"GET {path}?live=sse&offset=now HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        while time.monotonic() < deadline and not done.is_set():
            piece = connection.recv(65536)
            if not piece or piece.endswith(b"0\r\n\r\n"):
                return
            yield piece
