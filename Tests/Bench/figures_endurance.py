"""Whether memory stays as it is through hours of everything that clients do."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from endurance import MixedLoad
from memory_curve import looks
from report import Row

if TYPE_CHECKING:
    from figures import Bench

EVERY = 10
# Seconds after which the first figure is taken.
BEGIN = 60
SETTINGS = {"DS_CACHE_SIZE": "256MiB"}


def endurance(bench: Bench) -> None:
    """Resident memory of pool and live process at the end of a mixed load beside that after a minute of it.

    The load is low: it leaves most of the machine idle, so that what is seen is what is kept, not what is in hand.
    """
    minutes = 2 if bench.options.quick else bench.options.minutes
    curve = []
    with bench.stack("endurance", SETTINGS) as stack, MixedLoad(stack) as load:
        begin = time.monotonic()
        for look in looks(stack.pid, 60 * minutes, EVERY):
            curve.append(look)
            if look.seconds % 300 == 0:
                bench.tell(f"{look.seconds / 60:.0f} min: {look.megabytes:.1f} MB, of which {look.anonymous / 1000:.1f} MB "
                           f"are no files; {load.requests:,} requests")
        rate = load.requests / (time.monotonic() - begin)
    after = [look for look in curve if look.seconds >= BEGIN]
    # A single look may catch a large body in hand: the median of a minute at either end.
    first, last = (sorted(part, key=lambda look: look.resident)[len(part) // 2] for part in (after[:6], after[-6:]))
    bench.add(Row(f"memory of pool and live process after {minutes:g} min of mixed load, {rate:.0f} requests/s",
                  last.megabytes, "MB", first.megabytes, 1.1, load.fault, at_most=True, beside="after a minute"))
    if bench.options.json:
        path = os.path.join(os.path.dirname(bench.options.json) or ".", "endurance.json")
        with open(path, "w") as file:
            json.dump([vars(look) for look in curve], file, indent=1)
