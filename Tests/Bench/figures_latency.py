"""How long an append takes at half of the load that the server can bear, beside one write that is synced."""

from __future__ import annotations

import gc
import os
import statistics
import time
from typing import TYPE_CHECKING

from figures_appends import APPEND_BYTES, BUSY, STREAMS
from load import Load, append_steadily, drive
from processes import BenchError
from report import Row

if TYPE_CHECKING:
    from baseline import Baseline
    from figures import Bench
    from stack import Stack

# A page of the log that an append goes to.
WRITE_BYTES = 4096
# A file of that length is there before, as the log is: a longer one would cost its inode too.
FILE_BYTES = 16 << 20
REACH = 5
# Milliseconds in which nginx accepts all connections and opens its own to the pool: no append's cost at this load.
LEAD_IN = 500


def append_at_half_of_peak(bench: Bench, stack: Stack, baseline: Baseline) -> None:
    """Open loop: an append is due when it is due, whatever the answers take, and its time counts from then."""
    paths = [stack.create(f"half-{number}") for number in range(STREAMS)]
    if not bench.peak:
        bench.peak = drive(stack.url, Load("POST", paths, BUSY, APPEND_BYTES), bench.seconds).rate
    rate = int(bench.peak / 2)
    faults: list[str] = []

    def appends(server: Stack | Baseline) -> dict:
        result, fault = append_steadily(
            bench.binaries, server, paths, BUSY, rate, APPEND_BYTES, bench.seconds, lead_in=LEAD_IN)
        faults.extend(filter(None, [fault]))
        return result

    with DiskProbe(bench.folder) as disk:
        # The second waits for the same processors, and for no disk.
        sides = {"mine": lambda: appends(stack), "204 responder, the same load": lambda: appends(baseline),
                 "one fdatasync of 4 KiB": lambda: disk.measure(bench.seconds)}
        results: dict[str, list[dict]] = {name: [] for name in sides}
        for turn in range(bench.rounds + 1):
            for name in list(sides) if turn % 2 else reversed(sides):
                stack.rest()
                results[name].append(sides[name]())
    # The first round of each finds everything cold.
    measured = {name: found[1:] for name, found in results.items()}
    mine = measured.pop("mine")
    name = f"append at half of peak, {rate:,}/s"
    for percentile in ("p50_us", "p99_us"):
        value = statistics.median(result[percentile] for result in mine) / 1000
        for beside, others in measured.items():
            theirs = statistics.median(result[percentile] for result in others) / 1000
            reach = REACH if percentile == "p99_us" and beside.startswith("one") else None
            bench.add(Row(f"{name}, {percentile.removesuffix('_us')}", value, "ms", theirs, reach, "; ".join(faults),
                          at_most=True, beside=beside))
    bench.add_curve(name, middle(mine)["curve"])
    for beside, others in measured.items():
        bench.add_curve(beside, middle(others)["curve"])


def middle(results: list[dict]) -> dict:
    """The one with the median p99."""
    return sorted(results, key=lambda result: result["p99_us"])[len(results) // 2]


class DiskProbe:
    """Writes of a page, each synced, in a file that does not grow."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, "probe")

    def __enter__(self) -> DiskProbe:
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        os.pwrite(self.descriptor, bytes(FILE_BYTES), 0)
        os.fsync(self.descriptor)
        return self

    def __exit__(self, *_) -> None:
        os.close(self.descriptor)
        os.unlink(self.path)

    def measure(self, seconds: int) -> dict:
        """Percentiles in microseconds, and the whole curve."""
        page, samples, position = os.urandom(WRITE_BYTES), [], 0
        end = time.monotonic_ns() + seconds * 1_000_000_000
        gc.disable()
        try:
            while (begin := time.monotonic_ns()) < end:
                if os.pwrite(self.descriptor, page, position) != WRITE_BYTES:
                    raise BenchError(f"{self.path}: a short write")
                os.fdatasync(self.descriptor)
                samples.append(time.monotonic_ns() - begin)
                position = (position + WRITE_BYTES) % FILE_BYTES
        finally:
            gc.enable()
        return percentiles(samples)


def percentiles(nanoseconds: list[int]) -> dict:
    """What bench-append says of its latencies, of these."""
    if not nanoseconds:
        raise BenchError("not one write was synced")
    ordered = sorted(nanoseconds)

    def at(percent: float) -> float:
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] / 1000

    curve, distance = [(0.0, at(0))], 100.0
    while distance * len(ordered) >= 100:
        curve += [(100 - distance * (1 - step / 10), at(100 - distance * (1 - step / 10))) for step in range(1, 6)]
        distance /= 2
    return {"p50_us": at(50), "p99_us": at(99), "curve": [*curve, (100.0, at(100))]}
