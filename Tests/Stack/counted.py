"""The requests whose cost is counted, and what is needed to ask them again and again in the same way."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from client import url
from fastcgi import PoolConnection, request
from instrumented import wait_until
from stack import Stack
from wire import Connection, build_request

BYTES = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}
MESSAGE = b"x" * 256
# Appends that are committed together, messages of a JSON batch, readers of an event stream.
GROUP, BATCH, READERS = 64, 1_000, 100
# A piece of this size ends before the tail, so that nginx may keep it.
SETTINGS = {"DS_WORKER_THREADS": 1, "DS_READ_CHUNK_BYTES": 65536}


class Pool:
    """A connection to the pool's socket, and the requests that are counted on it."""

    def __init__(self, stack: Stack):
        self.stack = stack
        self.records = 0
        self.connection = self.connect()
        for name in ("a", *(f"g{number}" for number in range(GROUP))):
            self.expect(201, request("PUT", url(name), BYTES))
        self.expect(201, request("PUT", url("j"), JSON))
        self.append = request("POST", url("a"), BYTES, MESSAGE)
        self.batch = request("POST", url("j"), JSON, b"[" + b",".join(b'{"n":%d}' % n for n in range(BATCH)) + b"]")
        # Which become one group.
        self.appends = [request("POST", url(f"g{number}"), BYTES, MESSAGE) for number in range(GROUP)]
        self._prepare_reads()
        self.sequence = -1

    def _prepare_reads(self) -> None:
        self.expect(201, request("PUT", url("r"), BYTES))
        before = self.expect(204, request("POST", url("r"), BYTES, b"x" * 4096))["stream-next-offset"]
        self.expect(204, request("POST", url("r"), BYTES, b"y" * 1024))
        self.target = url("r", f"offset={before}")
        self.read = request("GET", self.target)
        self.tag = self.expect(200, self.read)["etag"]
        self.again = request("GET", self.target, {"If-None-Match": self.tag})
        self.head = request("HEAD", url("r"))

    def connect(self) -> PoolConnection:
        return PoolConnection(self.stack.data_dir / "run/worker.sock")

    def expect(self, status: int, records: bytes) -> dict[str, str]:
        found, headers, body = self.connection.exchange(records)
        assert found == status, (found, headers, body)
        self.records += b"POST" in records[:64]
        return headers

    def json(self) -> bytes:
        """The next append of a producer to the JSON stream."""
        self.sequence += 1
        producer = {"Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": str(self.sequence)}
        return request("POST", url("j"), {**JSON, **producer}, b'{"text":"' + b"x" * 245 + b'"}')

    def requests(self) -> dict[str, Callable[[], object]]:
        """What is asked on one connection, by name."""
        return {
            "append alone": lambda: self.expect(204, self.append),
            "JSON append of a producer": lambda: self.expect(200, self.json()),
            "read of 1 KiB at the tail": lambda: self.expect(200, self.read),
            "304 at the tail": lambda: self.expect(304, self.again),
            "HEAD": lambda: self.expect(200, self.head),
        }

    def cached(self) -> str:
        """The target of a read that nginx may answer by itself once it has been asked."""
        self.expect(201, request("PUT", url("c"), BYTES))
        tail = self.expect(204, request("POST", url("c"), BYTES, b"z" * 3 * 65536))["stream-next-offset"]
        return url("c", f"offset={tail[:17]}{0:016d}")

    def indexed(self) -> int:
        """Records that are in the index."""
        with sqlite3.connect(f"file:{self.stack.data_dir / 'hot.sqlite'}?mode=ro", uri=True) as log:
            return log.execute("SELECT indexed_through FROM log_state").fetchone()[0]


class Readers:
    """Server-sent events to many readers of one stream, through nginx."""

    def __init__(self, stack: Stack, count: int, path: str):
        self.connections = [Connection(stack.port, timeout=60) for _ in range(count)]
        for connection in self.connections:
            connection.send(build_request("GET", url(path, "live=sse&offset=now")))
            assert connection.read_head().status == 200
        self.wait()

    def wait(self) -> None:
        """Until each of them has had one more control event."""
        for connection in self.connections:
            connection.take_until(b"streamNextOffset")

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


Counts = dict[str, float]


def least(one: Callable[[], Counts], times: int = 3) -> Counts:
    """The least of several: what comes by itself from time to time is in some of them only."""
    found = [one() for _ in range(times)]
    return {kind: min(each[kind] for each in found) for kind in found[0]}


def deliveries(stack: Stack, measure: Callable[[Callable[[], object], int], Counts]) -> Counts:
    """What `measure` finds for each append with its delivery: to one reader, and for each reader more."""
    # For five seconds after its start a live process looks around by itself all the time.
    ready = time.monotonic()
    wait_until(lambda: time.monotonic() > ready + 5.5, "the end of the time of starting")
    connection = PoolConnection(stack.data_dir / "run/worker.sock")
    found = {}
    for count, times in ((1, 100), (READERS, 20)):
        path = f"s{count}"
        status, _, _ = connection.exchange(request("PUT", url(path), BYTES))
        assert status == 201
        append = request("POST", url(path), BYTES, MESSAGE)
        readers = Readers(stack, count, path)

        def deliver(readers: Readers = readers, append: bytes = append) -> None:
            status, _, _ = connection.exchange(append)
            assert status == 204
            readers.wait()

        for _ in range(5):
            deliver()
        found[count] = measure(deliver, times)
        readers.close()
    connection.close()
    counts = {f"event to one reader: {kind}": count for kind, count in found[1].items()}
    for kind, count in found[READERS].items():
        counts[f"event to each further reader: {kind}"] = (count - found[1][kind]) / (READERS - 1)
    return counts


def frames(stack: Stack) -> int:
    """Pages in the write-ahead log (`mxFrame` in the header of SQLite's WAL-index)."""
    return int.from_bytes((stack.data_dir / "hot.sqlite-shm").read_bytes()[16:20], "little")


def empty(root: Path, name: str) -> Path:
    """A folder of its own."""
    folder = root / name
    folder.mkdir(mode=0o755)
    return folder
