"""How long a start takes until the first append and the first read are answered, beside an empty store."""

from __future__ import annotations

import glob
import http.client
import os
import shutil
import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

import pagecache
import stack as stacks
from figures_scale import create
from processes import BenchError, free_port, running, tail_of
from report import Row

if TYPE_CHECKING:
    from figures import Bench

ROUNDS = 5
PATIENCE = 60
BYTES = {"Content-Type": "application/octet-stream"}


class Start(NamedTuple):
    """Seconds from the start of the program."""

    append: float
    read: float


def cold_start(bench: Bench) -> None:
    """Starts with a million streams in the store beside starts with an empty one; warm, then with nothing in memory."""
    many = 50_000 if bench.options.quick else 1_000_000
    folders = [os.path.join(bench.folder, f"cold-start-{name}") for name in ("many", "few")]
    try:
        for folder, count in zip(folders, (many, 0)):
            with stacks.start(bench.binaries, folder, {}) as stack:
                if count:
                    create(bench, stack, count)
                else:
                    stack.create("s-1")
        for how in ("", ", nothing of it in memory"):
            beside(bench, folders, many, how)
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def beside(bench: Bench, folders: list[str], many: int, how: str) -> None:
    """Starts of both in turn, and a row for each kind of request."""
    rounds = 1 if bench.options.quick else ROUNDS
    starts: list[list[Start]] = [[], []]
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            if how:
                pagecache.drop([path for path in glob.glob(f"{folders[side]}/data/hot.sqlite*") if os.path.getsize(path)])
            starts[side].append(start(bench.binaries, folders[side]))
    for kind in Start._fields:
        mine, theirs = (statistics.median(getattr(each, kind) for each in side) * 1000 for side in starts)
        # The start of the programs themselves, which are the same, is in both.
        bench.add(Row(f"cold start to first {kind}, {many:,} streams{how}", mine, "ms", theirs, None if how else 2,
                      at_most=True, beside="an empty store"))


def start(binaries: str, folder: str) -> Start:
    """One start, from exec(2) to both answers."""
    port, log = free_port(), os.path.join(folder, "stack.log")
    env = {name: value for name, value in os.environ.items() if not name.startswith("DS_")}
    env.update(DS_LISTEN=f"127.0.0.1:{port}", DS_DATA_DIR=os.path.join(folder, "data"))
    begin = time.monotonic()
    with running([os.path.join(binaries, "durable-streams"), "serve"], log, env) as child:
        times = []
        for method, body, wanted in (("POST", b"x" * 256, 204), ("GET", None, 200)):
            while answer(port, method, body) != wanted:
                if child.poll() is not None or time.monotonic() > begin + PATIENCE:
                    raise BenchError(f"{method} was not answered with {wanted}:\n{tail_of(log)}")
                time.sleep(0.001)
            times.append(time.monotonic() - begin)
        return Start(*times)


def answer(port: int, method: str, body: bytes | None) -> int:
    """The status of one request; 0 while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, f"{stacks.ROOT}s-1", body, BYTES if body else {})
        found = connection.getresponse()
        found.read()
        return found.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
