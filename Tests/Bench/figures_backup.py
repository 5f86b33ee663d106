"""A backup of a running server beside a plain copy of the same files."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from typing import TYPE_CHECKING

import pagecache
from load import size
from processes import BenchError, output_of
from report import Row
from store import Store

if TYPE_CHECKING:
    from figures import Bench
    from stack import Stack

STREAMS = 16
# Seconds that one copy may take.
LONGEST = 300
HOT = "hot.sqlite"


def backup(bench: Bench) -> None:
    """A first backup, into an empty folder, beside `cp -r` and `sync -f`; both read from memory and end on the disk."""
    program = os.path.join(bench.binaries, "durable-streams")
    require_command(program)
    length = (64 if bench.options.quick else 512) << 20
    if (free := shutil.disk_usage(bench.folder).free) < 4 * length:
        raise BenchError(f"{bench.folder} has {size(free)} free and {size(4 * length)} are needed")
    with bench.stack("backup", {}) as stack:
        for number in range(STREAMS):
            path = stack.create(f"stream-{number}")
            stack.fill(path, length // STREAMS, 1 << 20)
            # So that all of it goes into segments, and next to nothing stays in the database.
            stack.close(path)
        with Store(stack) as store:
            store.settle()
        mine: list[float] = []
        theirs: list[float] = []
        sides = [(mine, "backed-up", lambda target: back_up(program, stack, target)),
                 (theirs, "copied", lambda target: copy(stack, target))]
        total = 0
        for turn in range(bench.rounds):
            for seconds, name, run in sides if turn % 2 else reversed(sides):
                target = os.path.join(bench.folder, f"{name}-{turn}")
                total = pagecache.warm(data_files(stack.data))
                # What was written or removed before is not to be on the way to the disk.
                os.sync()
                begin = time.monotonic()
                run(target)
                seconds.append(time.monotonic() - begin)
                check(stack.data, target)
                shutil.rmtree(target)
    value, baseline = (total / statistics.median(seconds) / 1e6 for seconds in (mine, theirs))
    bench.add(Row(f"backup of {size(length)} (beside cp -r and sync)", value, "MB/s", baseline, 0.5))


def require_command(program: str) -> None:
    """Older builds have no such command, and answer with the list of those that they have."""
    status, out, _ = output_of([program, "backup", "--help"], 20)
    if status != 0 or "durable-streams backup" not in out:
        raise BenchError("no backup command in this build")


def back_up(program: str, stack: Stack, target: str) -> None:
    """The command, beside the running server."""
    run([program, "backup", target, "--data-dir", stack.data])


def copy(stack: Stack, target: str) -> None:
    """The same files by hand, which nobody appends to meanwhile."""
    os.mkdir(target)
    run(["cp", "-r", *(os.path.join(stack.data, name) for name in (HOT, "segments")), target])
    run(["sync", "-f", target])


def run(command: list[str]) -> None:
    """A program that has to succeed."""
    status, out, err = output_of(command, LONGEST)
    if status != 0:
        raise BenchError(f"{' '.join(command[:2])} ended with {status}: {out}{err}")


def data_files(folder: str) -> list[str]:
    """The database and the segments in a data directory, or in a copy of it."""
    return [os.path.join(folder, HOT)] + [
        os.path.join(place, name)
        for place, _, names in os.walk(os.path.join(folder, "segments")) for name in names]


def check(data: str, target: str) -> None:
    """All segments are there, and as long as they were; so is a database."""
    def lengths(folder: str) -> dict[str, int]:
        """What lies in the folder of segments."""
        return {os.path.relpath(path, folder): os.path.getsize(path) for path in data_files(folder)[1:]}

    if lengths(data) != lengths(target) or not os.path.isfile(os.path.join(target, HOT)):
        raise BenchError(f"{target} is no whole copy of {data}")
