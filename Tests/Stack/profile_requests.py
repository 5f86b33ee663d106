"""Prints where the instructions of requests and events go: functions by callgrind, per request (`make profile`)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import callgrind
from counted import GROUP, READERS, SETTINGS, deliveries, empty
from counts import NOT_DELIVERING, missing, worker_profiles
from instrumented import LIVE, Callgrind
from stack import remove_tree, temporary_root


def live_profiles(root: Path) -> Iterator[tuple[str, callgrind.Profile, int]]:
    """What the live process does for an event to one reader, and to many."""
    counted = Callgrind(root, LIVE, **SETTINGS)
    found: list[tuple[str, callgrind.Profile, int]] = []

    def measure(work: Callable[[], object], times: int = 20) -> dict[str, float]:
        counted.take()
        for _ in range(times):
            work()
        profile = callgrind.total(each for name, each in counted.take().items() if name not in NOT_DELIVERING)
        found.append((f"event to {(1, READERS)[len(found)]} readers", profile, times))
        return {}

    try:
        deliveries(counted.stack, measure)
    finally:
        counted.stop()
    yield from found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--live", action="store_true", help="events of the live process instead of requests to the worker")
    parser.add_argument("--only", metavar="TEXT", default="", help="only requests whose names hold this, such as 304")
    parser.add_argument("--top", type=int, default=60, help="functions of each list (default 60)")
    parser.add_argument("--times", type=int, default=500, help="requests of each kind (default 500)")
    parser.add_argument("--callers", metavar="TEXT", action="append", default=[], help="also print who calls the functions whose names hold this")  # fmt: skip
    parser.add_argument("--output", type=Path, help="folder for one file per kind, instead of standard output")
    options = parser.parse_args()
    if (lack := missing()) is not None:
        sys.exit(lack)
    root = temporary_root()
    try:
        folder = empty(root, "profile")
        for name, profile, requests in live_profiles(folder) if options.live else worker_profiles(folder, options.times):
            if options.only not in name:
                continue
            title = name
            if name == "group":
                title, requests = f"append, mean of one alone and {GROUP} in a group behind it", requests * (GROUP + 1)
            text = f"== {title}\n{callgrind.table(profile, requests, options.top)}"
            for wanted in options.callers:
                text += callgrind.callers(profile, requests, wanted, options.top)
            if options.output:
                options.output.mkdir(parents=True, exist_ok=True)
                (options.output / f"profile-{name.replace(' ', '-')}.txt").write_text(text)
                print(f"{title}: {callgrind.summary(profile, requests, 0)}")
            else:
                print(text, flush=True)
    finally:
        remove_tree(root)


if __name__ == "__main__":
    main()
