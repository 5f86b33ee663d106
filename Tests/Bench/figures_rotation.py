"""Appends while full streams move into segments and these are merged, beside appends while nothing moves.

Appends go out at a fixed rate (see steady.py). Each round starts two servers one after the other, which differ in
their limits alone. What goes before a window is the same for both, and long enough that the window has all of it:
streams that become full, merging, and the removal of merged segments' files, which begins five seconds later.
"""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING

from load import Load, drive
from processes import BenchError
from report import Row
from steady import APPEND_BYTES, CONNECTIONS, STREAMS, append, judge
from store import Store

if TYPE_CHECKING:
    from figures import Bench

ROUNDS = 3
# Nothing reaches such limits here.
RESTING = {"DS_SEGMENT_MAX_MESSAGES": "1000000", "DS_SEGMENT_MAX_BYTES": "1GiB"}
# Each stream gets fifty appends a second, so twenty-five of them are full each second, and three are merged.
ROTATING = {"DS_SEGMENT_MAX_MESSAGES": "200"}
# As much of what a window appends has to move during it; rotation rests while files are removed.
FEWEST_MOVED = 0.2


def append_during_rotation(bench: Bench) -> None:
    """The p50 and p99 of 5,000 appends a second to 100 streams."""
    resting: list[dict] = []
    rotating: list[dict] = []
    faults: list[str] = []
    sides = [(resting, "without rotation", RESTING), (rotating, "during rotation", ROTATING)]
    for turn in range(min(bench.rounds, ROUNDS)):
        for results, what, settings in sides if turn % 2 else reversed(sides):
            results.append(measure(bench, f"rotation-{turn}", what, settings, faults))
    for percentile, reach in (("p50", 1.5), ("p99", 2)):
        value, baseline = (statistics.median(result[f"{percentile}_us"] for result in results) / 1000
                           for results in (rotating, resting))
        bench.add(Row(f"append {percentile} during rotation of {STREAMS} streams", value, "ms", baseline, reach,
                      "; ".join(faults), at_most=True))


def measure(bench: Bench, name: str, what: str, settings: dict[str, str], faults: list[str]) -> dict:
    """One window on a server of its own."""
    ahead, lead, window = (1, 1, 2) if bench.options.quick else (4, 6, 15)
    with bench.stack(name, settings) as stack, Store(stack) as store:
        paths = [stack.create(f"append-{number}") for number in range(STREAMS)]
        # Each gets a little more than the one before, the last some segments, so that they are full one after another.
        staggered = [path for number, path in enumerate(paths) for _ in range(number)]
        outcome = drive(stack.url, Load("POST", staggered, CONNECTIONS, APPEND_BYTES), ahead)
        faults += filter(None, [outcome.fault])
        append(bench, stack, paths, lead)
        # What was written so far is not to be written to the disk during the window.
        os.sync()
        before = store.rotated()
        result = judge(bench, what, append(bench, stack, paths, window), faults)
        moved = store.rotated() - before
        bench.tell(f"{what}: {moved} of {result['answered']} appends moved into segments, "
                   f"{store.value('SELECT count(*) FROM segment')} segments, "
                   f"{store.value('SELECT count(*) FROM garbage')} files to be removed")
    if moved < FEWEST_MOVED * result["answered"] if settings is ROTATING else moved > 0:
        raise BenchError(f"{what}: {moved} of {result['answered']} appends moved into segments")
    return result
