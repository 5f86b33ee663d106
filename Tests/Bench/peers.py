"""Servers that somebody might pick instead, measured in turn with this one when they are installed.

They are spoken to without a proxy, as their own documentation has it, so each request costs them less than it costs us.
"""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from load import Load, Outcome, drive
from processes import BenchError, free_port, output_of, request, running, wait_until
from stack import ROOT

if TYPE_CHECKING:
    from figures import Bench

HERE = os.path.dirname(os.path.abspath(__file__))
ENVIRONMENT = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".venv-bench")
APPEND_BYTES = 256
STREAMS = 100
# All entries of all streams.
COUNT = "local n=0 for _,k in ipairs(redis.call('KEYS','*')) do n=n+redis.call('XLEN',k) end return n"


class Missing:
    """A peer that is not there, and how to get it."""

    there = False

    def __init__(self, name: str, note: str) -> None:
        self.name, self.note = name, note


class Redis:
    """Redis Streams with `appendfsync always`: an answer means that the entry is on the disk."""

    name = "Redis Streams"
    there = True
    note = "appendfsync always, its own protocol on TCP, load by redis-benchmark without pipelining"

    def __init__(self, port: int) -> None:
        self.port = port
        self.rate = 10_000.0

    def append(self, connections: int) -> Callable[[int], Outcome]:
        """Entries of 256 bytes to 100 streams."""

        def side(seconds: int) -> Outcome:
            count = int(self.rate * seconds)
            out = self.call("redis-benchmark", "--csv", "-c", str(connections), "-n", str(count), "-r", str(STREAMS),
                            "XADD", "stream:__rand_int__", "*", "d", "x" * APPEND_BYTES, seconds=60 + 10 * seconds)
            self.rate = float(list(csv.reader(out.splitlines()))[-1][1])
            stored = int(self.call("redis-cli", "EVAL", COUNT, "0"))
            if stored != count:
                raise BenchError(f"{stored} of {count} entries are in Redis")
            # So that its memory stays small.
            self.call("redis-cli", "FLUSHALL", "SYNC")
            return Outcome(count, self.rate)

        return side

    def call(self, program: str, *arguments: str, seconds: float = 20) -> str:
        """What one of Redis's programs says."""
        status, out, err = output_of([program, "-p", str(self.port), *arguments], seconds)
        if status != 0:
            raise BenchError(f"{program} ended with status {status}: {out}{err}")
        return out


@contextlib.contextmanager
def redis(bench: Bench) -> Iterator[Redis | Missing]:
    """A server on a free port, with its data on the same disk as ours."""
    if any(shutil.which(name) is None for name in ("redis-server", "redis-benchmark", "redis-cli")):
        yield Missing(Redis.name, "not installed: apt-get install redis-server, or make bench-peers")
        return
    port, folder = free_port(), os.path.join(bench.folder, "redis")
    log = os.path.join(bench.folder, "redis.log")
    os.makedirs(folder)
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--daemonize", "no",
               "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]
    peer = Redis(port)

    def answers() -> bool:
        return peer.call("redis-cli", "PING").strip() == "PONG"

    try:
        with running(command, log) as child:
            wait_until(answers, child, "redis-server", log)
            yield peer
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Rakaia:
    """`rakaia-streams`, the protocol's Python server: in memory, as it comes, or in files with fsync."""

    there = True

    def __init__(self, kind: str, port: int) -> None:
        self.name, self.note = title(kind), NOTES[kind]
        self.url, self.port = f"http://127.0.0.1:{port}", port

    def create(self, name: str, body: bytes | None = None) -> str:
        """Make a stream; its path."""
        path = ROOT + name
        status, _, answer = request(self.port, "PUT", path, body, {"Content-Type": "application/octet-stream"})
        if status not in (200, 201):
            raise BenchError(f"{self.name}: PUT {path} was answered with {status}: {answer[:200]!r}")
        return path

    def append(self, connections: int) -> Callable[[int], Outcome]:
        """The same appends as ours."""
        paths = [self.create(f"append-{number}") for number in range(STREAMS)]
        load = Load("POST", paths, connections, APPEND_BYTES, {"Content-Type": "application/octet-stream"})
        return lambda seconds: drive(self.url, load, seconds)

    def read(self, content: bytes, connections: int) -> Callable[[int], Outcome]:
        """Reads of a whole stream."""
        path = self.create("read", content)
        if (found := request(self.port, "GET", path)[2]) != content:
            raise BenchError(f"{self.name}: {len(found)} bytes of {len(content)} were read")
        return lambda seconds: drive(self.url, Load("GET", [path], connections), seconds)


NOTES = {
    "memory": "as it comes: in memory, nothing is durable; one uvicorn process without a proxy",
    "disk": "its JsonlStreamStore, which calls fsync; one uvicorn process without a proxy",
}


def title(kind: str) -> str:
    """What the table calls it."""
    return f"rakaia-streams, {kind}"


@contextlib.contextmanager
def rakaia(bench: Bench, kind: str) -> Iterator[Rakaia | Missing]:
    """A server on a free port; `kind` is `memory` or `disk`."""
    python = os.path.join(ENVIRONMENT, "bin", "python")
    if not os.access(python, os.X_OK) or output_of([python, "-c", "import rakaia, uvicorn"], 30)[0] != 0:
        yield Missing(title(kind), "not installed: make bench-peers, which asks PyPI for it")
        return
    port, folder = free_port(), os.path.join(bench.folder, f"rakaia-{kind}")
    log = os.path.join(bench.folder, f"rakaia-{kind}.log")
    os.makedirs(folder)
    command = [python, "-m", "uvicorn", "--app-dir", HERE, "--host", "127.0.0.1", "--port", str(port),
               "--no-access-log", "--log-level", "warning", "rakaia:app" if kind == "memory" else "rakaia_disk:app"]
    env = {**os.environ, "RAKAIA_FOLDER": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        with running(command, log, env) as child:
            wait_until(lambda: request(port, "HEAD", ROOT + "nothing")[0] == 404, child, "rakaia", log)
            yield Rakaia(kind, port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
