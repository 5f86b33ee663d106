"""Appends at a fixed rate, each measured from the moment at which it was due: a pause of the server counts for all
appends that it holds up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from load import append_steadily
from processes import BenchError

if TYPE_CHECKING:
    from figures import Bench
    from stack import Stack

RATE = 5000
CONNECTIONS = 64
STREAMS = 100
APPEND_BYTES = 256
# A window with fewer appends has too few beyond its p99.
FEWEST = 1000

Outcome = tuple[dict, str]


def always() -> bool:
    """For a window that nothing ends before its time."""
    return True


def append(bench: Bench, stack: Stack, paths: list[str], seconds: int,
           goes_on: Callable[[], bool] = always) -> Outcome:
    """One window: the result, and what is wrong with it."""
    return append_steadily(bench.binaries, stack, paths, CONNECTIONS, RATE, APPEND_BYTES, seconds, goes_on)


def judge(bench: Bench, what: str, outcome: Outcome, faults: list[str]) -> dict:
    """The result of a window that has enough appends; what is wrong with it is added to `faults`."""
    result, fault = outcome
    faults += filter(None, [fault])
    latencies = " ".join(f"{key.removesuffix('_us')} {value / 1000:.1f}"
                         for key, value in result.items() if key.endswith("_us") and value is not None)
    bench.tell(f"{what}: {result['answered']} appends in {result['seconds']:.1f} s, ms: {latencies}")
    if result["answered"] < FEWEST:
        raise BenchError(f"{what}: {result['answered']} appends are too few for a p99, and {FEWEST} are needed")
    return result
