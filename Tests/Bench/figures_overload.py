"""What becomes of appends, and of the server, at three times the rate that it can store."""

from __future__ import annotations

import contextlib
import fcntl
import os
import statistics
import struct
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from load import Load, append_steadily, drive
from memory_curve import Look, look
from report import Row

if TYPE_CHECKING:
    from figures import Bench
    from stack import Stack

STREAMS = 100
APPEND_BYTES = 256
# Enough for full transactions, and at three times the rate for all that may wait and all that are refused meanwhile.
BUSY, CROWD = 2048, 7000
TIMES = 3
SECONDS = 4
# Seconds that the disk is away for each transaction: a fast one could not be overloaded from the same machine, where the
# load and nginx take what the refusals are to take.
AWAY, LOOK = 0.2, 0.0005
# struct flock of 64-bit Linux.
FLOCK = "hhqqi4x"
WHAT = f"{TIMES} × what a disk of {AWAY * 1000:.0f} ms bears"


def overload(bench: Bench) -> None:
    """The sustainable rate, then three times as much for some seconds: what is taken, what is refused, and how it ends."""
    taken, sustainable, refused, accepted, over, faults, peaks = [], [], [], [], [], [], []
    with bench.stack("overload", {"DS_QUEUE_MILLISECONDS": "500"}) as stack, slow_disk(stack):
        paths = [stack.create(f"s-{number}") for number in range(STREAMS)]
        for _ in range(1 if bench.options.quick else min(3, bench.rounds)):
            rate = drive(stack.url, Load("POST", paths, BUSY, APPEND_BYTES), SECONDS).rate
            before = look(stack.pid, 0)
            with watched(stack) as looks:
                result, fault = append_steadily(
                    bench.binaries, stack, paths, CROWD, round(TIMES * rate), APPEND_BYTES, SECONDS)
            statuses = result["statuses"]
            expected = f"{statuses.get('503', 0)} × 503"
            if fault != expected:
                faults.append(fault)
            sustainable.append(rate)
            taken.append(statuses.get("204", 0) / result["seconds"])
            accepted.append(result["p99_us"] / 1000)
            refused.append((result["refused"]["p99_us"] or 0) / 1000)
            over.append(max(0, result["seconds"] - result["appends"] / round(TIMES * rate)))
            peaks.append((max(each.megabytes for each in looks), before.megabytes))
    fault, middle = "; ".join(faults), statistics.median
    bench.add(Row(f"appends stored at {WHAT}", middle(taken), "req/s", middle(sustainable), 0.9, fault,
                  beside="as many as can be"))
    bench.add(Row("… p99 of those", middle(accepted), "ms", None, 1000, fault, note="from when they were due"))
    bench.add(Row("… refused with 503, p99", middle(refused), "ms", None, 100, fault))
    bench.add(Row("… last answer behind the end", middle(over), "s", None, 1, fault))
    bench.add(Row("… memory of pool and live process", middle(peak for peak, _ in peaks), "MB",
                  middle(before for _, before in peaks), beside="before it"))


@contextlib.contextmanager
def slow_disk(stack: Stack) -> Iterator[None]:
    """Holds up each transaction for as long as a slow disk would, by the lock that it takes."""
    done = threading.Event()

    def hold() -> None:
        # Ahead of the load where that is allowed, or transactions pass now and then that the disk should have held up.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        descriptor = os.open(os.path.join(stack.data, "write.lock"), os.O_RDWR)
        try:
            while not done.is_set():
                fcntl.lockf(descriptor, fcntl.LOCK_EX)
                done.wait(AWAY)
                fcntl.lockf(descriptor, fcntl.LOCK_UN)
                # The kernel wakes all who wait, and whoever comes first has it: let the transaction be the one.
                while not done.is_set() and not is_held(descriptor):
                    time.sleep(LOOK)
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def is_held(descriptor: int) -> bool:
    """Whether another process has a lock of the file (fcntl(2))."""
    question = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return struct.unpack(FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))[0] != fcntl.F_UNLCK


@contextlib.contextmanager
def watched(stack: Stack) -> Iterator[list[Look]]:
    """What the processes take, ten times a second."""
    found, done = [look(stack.pid, 0)], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            found.append(look(stack.pid, 0))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()
