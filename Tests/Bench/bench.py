#!/usr/bin/env python3
"""Measures the built stack beside baselines from the same run, and prints one table.

It starts the stack in a temporary folder on a free port of the loopback interface, and beside it an nginx
with a FastCGI responder that only answers 204 and with static files. Each figure is taken on both in turn,
several times; the table shows the medians. Some figures have another baseline, which their names tell: the same
server without what is looked at, or the bytes themselves. Needs nginx, wrk and the release build.

The exit status is 0 when all was measured (whether or not each reach was met), 1 when a figure can't be
believed (wrong answers, missing deliveries), 2 when the benchmark could not run.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
import time

import figures
import memory
import plot
import report
from processes import BenchError, end_on_signals, raise_file_limit

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RESULTS = os.path.join(REPOSITORY, ".build", "bench")
IN_MEMORY = ("tmpfs", "ramfs")


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round of one second each")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each figure (default 5)")
    parser.add_argument("--seconds", type=int, default=1, help="length of a run (default 1)")
    parser.add_argument("--all", action="store_true",
                        help="take also the figures about purge, rotation, backup, forks, replay, scale and access")
    parser.add_argument("--only", metavar="NAME[,NAME]", default="",
                        help="take only these figures: " + ", ".join(figures.names()))
    parser.add_argument("--purge-bytes", metavar="BYTES", type=byte_count,
                        help="size of the deleted stream that is purged, such as 10GiB (default 1GiB)")
    parser.add_argument("--minutes", type=float, default=60,
                        help="length of the figure endurance, the first minute not counted (1 or more; default 60)")
    parser.add_argument("--json", metavar="FILE", default=os.path.join(RESULTS, "results.json"),
                        help="write the rows there too (default .build/bench/results.json)")
    parser.add_argument("--plot", metavar="FILE", default=os.path.join(RESULTS, "results.svg"),
                        help="draw them there (default .build/bench/results.svg)")
    parser.add_argument("--markdown", metavar="FILE", help="write the table there too, as Markdown")
    parser.add_argument("--binaries", default=os.path.join(REPOSITORY, ".build", "release"),
                        help="folder of the built programs (default: the release build)")
    parser.add_argument("--work-dir", default="/var/tmp",
                        help="folder on a real disk for the temporary files (default /var/tmp)")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds take numbers from 1")
    if not 1 <= options.minutes < 10_000:
        parser.error("--minutes takes numbers from 1")
    if options.quick:
        options.rounds = options.seconds = 1
    if options.purge_bytes is None:
        options.purge_bytes = 128 << 20 if options.quick else 1 << 30
    options.only = [name for name in options.only.split(",") if name]
    if unknown := set(options.only) - set(figures.names()):
        parser.error(f"--only knows no {', '.join(sorted(unknown))}, but {', '.join(figures.names())}")
    return options


def byte_count(text):
    """A number of bytes, perhaps in KiB, MiB or GiB."""
    match = re.fullmatch(r"([1-9][0-9]*)(|KiB|MiB|GiB)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"not a number of bytes: {text}")
    return int(match[1]) << 10 * ("", "KiB", "MiB", "GiB").index(match[2])


def file_system(path):
    """The type of the file system that holds `path`."""
    with open("/proc/self/mounts") as mounts:
        entries = [line.split()[1:3] for line in mounts]
    real = os.path.realpath(path)
    holding = [(len(point), kind) for point, kind in entries
               if point == "/" or (real + "/").startswith(point + "/")]
    return max(holding)[1] if holding else "unknown"


def check(options):
    """Say what is missing before anything starts."""
    for name in ("wrk", "nginx"):
        if shutil.which(name, path=search_path()) is None:
            raise BenchError(f"{name} is not installed")
    for name in ("durable-streams", "bench-responder", "bench-sse", "bench-append",
                 "bench-writer"):
        if not os.access(os.path.join(options.binaries, name), os.X_OK):
            raise BenchError(f"{name} is not built in {options.binaries}")
    if file_system(options.work_dir) in IN_MEMORY:
        raise BenchError(f"{options.work_dir} is in memory: fsync would cost nothing there")


def busy_share(seconds=0.5):
    """How much of all processors' time is in use now."""

    def ticks():
        with open("/proc/stat") as stat:
            values = [int(value) for value in stat.readline().split()[1:9]]
        return sum(values), values[3] + values[4]

    total, idle = ticks()
    time.sleep(seconds)
    later, idle_later = ticks()
    return 1 - (idle_later - idle) / max(1, later - total)


def search_path():
    """PATH, with the folder of nginx that Debian leaves out for ordinary users."""
    return os.environ.get("PATH", "") + ":/usr/sbin"


def tell(line):
    """Progress, apart from the result."""
    print(line, file=sys.stderr, flush=True)


def measure(options, folder):
    """What was measured, complete or up to a failure, and the exit status that it asks for."""
    with memory.Sampler() as sampler:
        bench = figures.Bench(options, folder, sampler, tell)
        try:
            bench.run()
            return bench, 0
        except BenchError as error:
            tell(f"bench: {error}")
            return bench, 2


def publish(options, bench):
    """The table, and the files."""
    print(report.table(bench.rows))
    report.write_json(bench.rows, options.json)
    plot.write(bench.rows, bench.curves, options.plot)
    if options.markdown:
        with open(options.markdown, "w") as file:
            file.write(report.markdown(bench.rows) + "\n")
    tell(f"{options.json}, {options.plot}")


def main():
    options = arguments()
    os.environ["PATH"] = search_path()
    end_on_signals()
    # nginx takes two for each of 10,000 readers, and one of its workers may get most of them.
    raise_file_limit(24_000)
    begin = time.monotonic()
    try:
        check(options)
    except BenchError as error:
        tell(f"bench: {error}")
        return 2
    if (share := busy_share()) > 0.1:
        tell(f"bench: {share:.0%} of this machine is busy with other things: the figures will suffer")
    # nginx's workers, which run as another user when started as root, have to get in.
    folder = os.path.realpath(tempfile.mkdtemp(prefix="ds-bench-", dir=options.work_dir))
    os.chmod(folder, 0o755)
    try:
        bench, status = measure(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    publish(options, bench)
    tell(f"{time.monotonic() - begin:.0f} s")
    return status or int(any(row.failure for row in bench.rows))


if __name__ == "__main__":
    sys.exit(main())
