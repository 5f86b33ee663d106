"""The p99 of appends while other streams are purged, beside the same without a purge.

Appends go out at a fixed rate (see steady.py). Each round has a server of its own and takes both: first
the window without a purge, with all data in place, then the one with it. That one ends when the purge
does, its giving back of space included, so no append in it goes without.
"""

import os
import shutil
import statistics
import time

from load import Load, drive, size
from processes import BenchError
from report import Row
from steady import CONNECTIONS, STREAMS, append, judge
from store import Cleaning, Store

ROUNDS = 2
EXPIRING_BYTES = 256
# Seconds of a window with a purge, at most: files of deleted streams go five seconds later than their rows.
LONGEST = 30
# How much of a window may be left over when the purge has ended.
IDLE_SHARE = 0.2
# Sweeps begin when the streams expire, not some seconds later.
SETTINGS = {"DS_SWEEP_INTERVAL": "0.1"}


def purge_one(bench):
    """One large deleted stream, of the largest appends that are taken."""
    length = bench.options.purge_bytes
    free = shutil.disk_usage(bench.folder).free
    if free < 2 * length:
        raise BenchError(f"{bench.folder} has {size(free)} free and {size(2 * length)} are needed")

    def prepare(stack):
        stack.fill(stack.create("big"), length)
        with Store(stack) as store:
            store.wait_for_rotation()
        return lambda: stack.delete("/v1/stream/big")

    compare_p99(bench, f"append p99 while {size(length)} are purged", prepare)


def purge_expired(bench):
    """Many streams that expire at one moment: all have to be found, ended and purged."""
    count = 10_000 if bench.options.quick else 100_000

    def prepare(stack):
        # How fast they can be made tells when the last will be there, and the window without a purge over.
        rate = create(stack, "lasting", {})
        moment = int(time.time() + 1.5 * count / rate + window(bench) + 5)
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
        with Store(stack) as store:
            while store.value("SELECT count(*) FROM stream WHERE deadline = ?", moment * 1000) < count:
                create(stack, "expiring", {"Stream-Expires-At": text})
                if time.time() > moment - window(bench) - 1:
                    raise BenchError(f"less than {count:,} streams were made in time")
        return lambda: wait_for(moment)

    def wait_for(moment):
        if time.time() > moment:
            raise BenchError("the streams expired before the window without a purge was over")
        time.sleep(moment - time.time())

    compare_p99(bench, f"append p99 while {count:,} expired streams are purged", prepare)


def create(stack, prefix, headers):
    """Make streams for a second: how many."""
    load = Load("PUT", [f"/v1/stream/{prefix}-*"], CONNECTIONS, EXPIRING_BYTES, headers)
    outcome = drive(stack.url, load, 1)
    if outcome.fault or set(outcome.statuses) != {"201"}:
        raise BenchError(f"streams were made with {outcome.statuses} {outcome.fault}")
    return outcome.rate


def window(bench):
    """Seconds of a window, at most."""
    return 2 if bench.options.quick else 5


def compare_p99(bench, name, prepare):
    """One row. `prepare` fills a server and returns what begins the purge."""
    quiet, purging, faults = [], [], []
    for turn in range(min(bench.rounds, ROUNDS)):
        with bench.stack(f"purge-{turn}", SETTINGS) as stack, Store(stack) as store:
            paths = [stack.create(f"append-{number}") for number in range(STREAMS)]
            begin = prepare(stack)
            # What was prepared is not to be written to the disk during the window without a purge.
            os.sync()
            append(bench, stack, paths, 1)
            if store.has_backlog():
                raise BenchError("something is purged before the purge was to begin")
            outcome = append(bench, stack, paths, window(bench))
            quiet.append(judge(bench, "without a purge", outcome, faults)["p99_us"])
            begin()
            purging.append(measure_purge(bench, stack, store, paths, faults))
    value, baseline = (statistics.median(each) / 1000 for each in (purging, quiet))
    bench.add(Row(name, value, "ms", baseline, 2, "; ".join(faults), at_most=True))


def measure_purge(bench, stack, store, paths, faults):
    """The p99 of a window that lasts as long as the purge, or as windows do."""
    before, pages = store.backlog(), store.pages()
    cleaning, begin = Cleaning(store), time.monotonic()
    outcome = append(bench, stack, paths, LONGEST, cleaning.goes_on)
    idle, length = cleaning.idle, time.monotonic() - begin
    bench.tell(f"streams to purge: {before} before and {store.backlog()} after the window; "
               f"pages of the database: {pages} and {store.pages()}")
    if before == 0 or idle > IDLE_SHARE * length:
        raise BenchError(f"the purge went on for {length - idle:.1f} s of a window of {length:.1f} s: "
                         "it needs more to purge (--purge-bytes)")
    return judge(bench, "with a purge", outcome, faults)["p99_us"]
