"""Whether appends stay as fast beside many streams, and at the end of a long one.

Both servers of a figure run at the same time, with the defaults, and get their load in turn.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
from typing import TYPE_CHECKING, Callable

from load import Load, compare, drive, size
from processes import BenchError
from report import Row
from stack import ROOT
from store import Store

if TYPE_CHECKING:
    from figures import Bench
    from load import Outcome
    from stack import Stack

CONNECTIONS = 64
APPEND_BYTES = 256
FEW = 100
# Making streams goes faster with more connections, and has to end: a million takes some forty seconds.
CREATORS = 256
LONGEST_CREATION = 300
JSON = {"Content-Type": "application/json"}
BATCH = 10_000
MESSAGE_BYTES = 100


def append_to_many_streams(bench: Bench) -> None:
    """Appends to random ones of a million streams beside appends to random ones of a hundred."""
    many = 50_000 if bench.options.quick else 1_000_000
    with bench.stack("few", {}) as few_stack, bench.stack("many", {}) as many_stack:
        for number in range(1, FEW + 1):
            few_stack.create(f"s-{number}")
        create(bench, many_stack, many)
        loads = [Load("POST", [f"{ROOT}s-{{{count}}}"], CONNECTIONS, APPEND_BYTES) for count in (many, FEW)]
        outcomes = beside(bench, f"append to random ones of {many:,} streams, {CONNECTIONS} connections",
                          [(many_stack, loads[0]), (few_stack, loads[1])], 0.8)
        check(bench, [many_stack, few_stack], outcomes, [0, 0], APPEND_BYTES)


def create(bench: Bench, stack: Stack, count: int) -> None:
    """Make the streams s-1 to s-`count`, and perhaps some more."""
    headers = {"Content-Type": "application/octet-stream"}
    begin, made, seconds = time.monotonic(), 0, 1
    with Store(stack) as store:
        # Answers may come in another order, and requests without an answer are left over at the end of a run.
        while made <= count + CREATORS:
            if time.monotonic() > begin + LONGEST_CREATION:
                raise BenchError(f"only {made:,} streams were made in {LONGEST_CREATION} s")
            path = f"{ROOT}s-{{{max(0, made - CREATORS)}+}}"
            outcome = drive(stack.url, Load("PUT", [path], CREATORS, headers=headers, threads=1), seconds)
            if outcome.fault:
                raise BenchError(f"streams were made with {outcome.fault}")
            made = store.value("SELECT count(*) FROM stream")
            seconds = max(1, min(10, int((count - made) / max(1, outcome.rate))))
    bench.tell(f"{made:,} streams were made in {time.monotonic() - begin:.0f} s")
    # Only some are looked at here; an append to one that was left out would be a 404.
    for number in (1, count // 2, count):
        stack.position(f"{ROOT}s-{number}")


def append_to_long_stream(bench: Bench) -> None:
    """Single messages at the end of a long JSON stream that lies in segments, beside an empty one."""
    length = 200_000 if bench.options.quick else 10_000_000
    needed = 3 * length * (MESSAGE_BYTES + 1)
    if (free := shutil.disk_usage(bench.folder).free) < needed:
        raise BenchError(f"{bench.folder} has {size(free)} free and {size(needed)} are needed")
    with bench.stack("empty", {}) as empty_stack, bench.stack("long", {}) as long_stack:
        path = long_stack.create("long", JSON["Content-Type"])
        fill(bench, long_stack, path, length)
        numbers = itertools.count(1)

        def empty() -> Load:
            """A new stream for each run: none is empty for long."""
            path = empty_stack.create(f"empty-{next(numbers)}", JSON["Content-Type"])
            return Load("POST", [path], CONNECTIONS, APPEND_BYTES, JSON)

        load = Load("POST", [path], CONNECTIONS, APPEND_BYTES, JSON)
        outcomes = beside(bench, f"append to a stream of {length:,} messages, {CONNECTIONS} connections",
                          [(long_stack, load), (empty_stack, empty)], 0.95)
        check(bench, [long_stack, empty_stack], outcomes, [length, 0], 1)


def fill(bench: Bench, stack: Stack, path: str, length: int) -> None:
    """Append messages in batches, and wait until they lie in segments."""
    message = b'"%s"' % (b"m" * (MESSAGE_BYTES - 2))
    body = b"[" + b",".join([message] * BATCH) + b"]"
    begin = time.monotonic()
    for _ in range(length // BATCH):
        stack.append(path, body, JSON["Content-Type"])
    filled = time.monotonic()
    with Store(stack) as store:
        if not store.settle():
            bench.tell("the database still changes its length")
        if store.stored() != length or store.rotated() < length - BATCH:
            raise BenchError(f"{store.rotated():,} of {store.stored():,} messages lie in segments")
    bench.tell(f"{length:,} messages were appended in {filled - begin:.0f} s, "
               f"and had moved into segments {time.monotonic() - filled:.0f} s later")


def beside(bench: Bench, name: str, sides: list[tuple[Stack, Load | Callable[[], Load]]],
           reach: float) -> list[Outcome]:
    """One row: appends to the first server beside appends to the second."""
    os.sync()
    outcomes = compare([(stack.url, load) for stack, load in sides], bench.rounds, bench.seconds)
    mine, theirs = outcomes
    fault = mine.fault or (f"baseline: {theirs.fault}" if theirs.fault else "")
    bench.add(Row(name, mine.rate, "req/s", theirs.rate, reach, fault))
    return outcomes


def check(bench: Bench, stacks: list[Stack], outcomes: list[Outcome], before: list[int], units: int) -> None:
    """Everything acknowledged has to be there."""
    for stack, outcome, units_before in zip(stacks, outcomes, before):
        with Store(stack) as store:
            found = (store.stored() - units_before) / units
        if found < (acknowledged := outcome.statuses.get("204", 0)):
            bench.fail_last(f"{found:.0f} of {acknowledged} acknowledged appends are there")
