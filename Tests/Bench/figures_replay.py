"""Replaying a long history from cold segments, beside the same bytes as static files."""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING

import pagecache
from load import Load, read_through
from memory import Sampler, descendants, kilobytes, program
from processes import BenchError
from report import Row
from store import Store

if TYPE_CHECKING:
    from baseline import Baseline
    from figures import Bench
    from stack import Stack

MIB = 1 << 20
LENGTH = 96 * MIB
APPEND = 256 * 1024
# 1.3 times the time is 0.77 times the speed.
REACH = 0.77
CLIENTS = 200
# MB that the pool may grow by while they read.
GROWTH = 16
POOL = "durable-streams-worker"
# A pass over everything takes a fraction of a second, and disks vary.
PASSES = 3


class History:
    """A closed stream that lies in segments, and the same bytes as static files, one for each piece."""

    def __init__(self, stack: Stack, baseline: Baseline, name: str, length: int = LENGTH) -> None:
        self.length = length
        self.paths: list[str] = []
        self.files: list[str] = []
        stream = stack.create(name)
        for number in range(length // APPEND):
            stack.append(stream, bytes([65 + number % 26]) * APPEND)
        stack.close(stream)
        with Store(stack) as store:
            store.wait_for_rotation()
        path = stream
        while True:
            headers, piece = stack.read(path)
            self.paths.append(path)
            self.files.append(baseline.serve_file(f"{name}-{len(self.files)}", piece))
            if "stream-closed" in headers:
                break
            path = f"{stream}?offset={headers['stream-next-offset']}"
        self.segments = segments(stack, headers["stream-next-offset"])
        self.copies = [baseline.place_of(file) for file in self.files]

    @property
    def mean(self) -> float:
        """Bytes of a piece."""
        return self.length / len(self.paths)


def segments(stack: Stack, offset: str) -> list[str]:
    """The segment files of the stream that an offset belongs to."""
    start = f"{int(offset.split('_')[0])}-"
    found = [os.path.join(folder, name)
             for folder, _, names in os.walk(os.path.join(stack.data, "segments"))
             for name in names if name.startswith(start)]
    if not found:
        raise BenchError("the history has no segment files")
    return found


def replay(bench: Bench, stack: Stack, baseline: Baseline) -> None:
    """A closed stream piece by piece, on one connection as one client reads, and on eight."""
    history = History(stack, baseline, "history")
    for connections in (1, 8):
        name = f"replay of {LENGTH // MIB} MiB in {len(history.paths)} pieces, {connections} at a time"
        bench.beside(name, Load("GET", history.paths, connections), baseline.url,
                     Load("GET", history.files, connections), stack, "MB/s", history.mean / 1e6, REACH)


def replay_many(bench: Bench, stack: Stack, baseline: Baseline) -> None:
    """Many clients at once, and by how much the pool grows meanwhile: nginx sends the files, not the pool."""
    history = History(stack, baseline, "history-of-many")
    before = pool_memory(stack)
    with Sampler(every=0.1) as sampler:
        sampler.watch(stack.pid)
        name = f"replay of {LENGTH // MIB} MiB by {CLIENTS} clients at once"
        bench.beside(name, Load("GET", history.paths, CLIENTS), baseline.url,
                     Load("GET", history.files, CLIENTS), stack, "MB/s", history.mean / 1e6, REACH)
    growth = (max(sampler.by_program.get(POOL, 0), pool_memory(stack)) - before) * 1024 / 1e6
    bench.add(Row(f"growth of the pool while {CLIENTS} clients replay, VmRSS", growth, "MB", reach=GROWTH))


def pool_memory(stack: Stack) -> int:
    """VmRSS of all workers, in kilobytes."""
    found = sum(kilobytes(f"/proc/{pid}/status", "VmRSS:") for pid in descendants(stack.pid) if program(pid) == POOL)
    if not found:
        raise BenchError("no worker is running")
    return found


def replay_cold(bench: Bench, stack: Stack, baseline: Baseline) -> None:
    """One pass of one client over everything, from the disk: nothing of either side's files is in memory."""
    length = 32 * MIB if bench.options.quick else LENGTH
    history = History(stack, baseline, "history-on-disk", length)
    sides = [(stack.port, history.paths), (baseline.port, history.files)]
    rates: list[list[float]] = [[], []]
    # The pool has checked each file as a whole when the pieces were read for the first time.
    for turn in range(bench.rounds * PASSES):
        pagecache.drop(history.segments + history.copies)
        order = list(enumerate(sides))
        for index, (port, paths) in order if turn % 2 else reversed(order):
            received, seconds = read_through(port, paths)
            if received != length:
                raise BenchError(f"{received} bytes instead of {length} were read")
            rates[index].append(received / seconds / 1e6)
    mine, theirs = map(statistics.median, rates)
    name = f"replay of {length // MIB} MiB in {len(history.paths)} pieces from the disk, 1 at a time"
    bench.add(Row(name, mine, "MB/s", theirs, REACH))
