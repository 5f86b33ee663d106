"""Live delivery: events beside a bare writer and nchan, long-polls beside nchan, and what idle readers cost."""

import contextlib
import json
import os
import statistics
import subprocess
import time

import live_peers
import stack as stacks
from memory import descendants, kilobytes, program
from processes import BenchError, output_of
from report import Row

RATE, BYTES = 50, 256
READERS = (1, 100, 1000, 5000)
# A second has so few deliveries to one reader that the p99 would be the longest of all: it gets so many times as many.
LONGER_FOR_ONE = 4
# A bare writer is one program that does one thing: this much slower is the price of a log and of everything else.
BARE_REACH = 1.25
POLL_READERS, POLL_STREAMS = 2000, 100
IDLE_READERS, IDLE_STREAMS, IDLE_SECONDS = 10_000, 100, 15
# For so long behind its start the live process looks at all streams again and again.
SETTLING_SECONDS = 6
# Milliseconds from which on a server isn't slow but overloaded.
OVERLOADED = 1000


class Side:
    """The runs on one server."""

    def __init__(self, name, peer, kind):
        self.name, self.peer, self.kind = name, peer, kind
        self.results, self.faults, self.runs = [], [], 0

    def run(self, binaries, *options):
        """One run of bench-sse."""
        self.runs += 1
        url = f"{self.peer.url}{stacks.ROOT}live-{'-'.join(options).replace('--', '')}-{self.runs}"
        command = [os.path.join(binaries, "bench-sse"), "--url", url, "--peer", self.kind, *options]
        status, out, err = output_of(command, 120)
        if status not in (0, 1) or not out:
            raise BenchError(f"bench-sse on {self.name} failed: {err.strip()}")
        self.results.append(json.loads(out))
        if err.strip():
            self.faults.append(f"{self.name}: {err.strip()}")

    def median(self, percentile):
        """Milliseconds, over the runs."""
        values = [result[f"{percentile}_us"] for result in self.results]
        return None if None in values or not values else statistics.median(values) / 1000

    @property
    def curve(self):
        """That of the run in the middle."""
        return sorted(self.results, key=lambda result: result["p50_us"] or 0)[len(self.results) // 2].get("curve", [])


def in_turn(bench, stack, sides, rounds, *options):
    """Runs of all sides in turn, forwards and backwards, so that none has the better place. Before each, the server does
    what it has put off."""
    for turn in range(rounds):
        for side in sides if turn % 2 == 0 else reversed(sides):
            stack.rest()
            side.run(bench.binaries, *options)


def started_peers(bench, stack, started, syncs):
    """The sides of a comparison that can be had; without nchan a note says so."""
    def writer(name, syncs):
        return started.enter_context(
            live_peers.bare_writer(bench.binaries, os.path.join(bench.folder, name), stack, syncs))

    servers = {"server": (stack, "server"), "writer": (writer("bare-writer", False), "writer")}
    if syncs:
        servers["syncing"] = (writer("syncing-writer", True), "writer")
    if live_peers.nchan_module() is not None:
        servers["nchan"] = (started.enter_context(live_peers.nchan(os.path.join(bench.folder, "nchan"))), "nchan")
    return servers


def live(bench, stack, _baseline):
    """From the time an append was due to its arrival at the readers of events."""
    with contextlib.ExitStack() as started:
        servers = started_peers(bench, stack, started, syncs=True)
        for readers in READERS:
            # The writer that fsyncs tells how much of the difference is the disk, which matters where little else does.
            sides = {name: Side(name, *server) for name, server in servers.items()
                     if name != "syncing" or readers <= 100}
            # An overloaded baseline takes many times as long as the run should.
            rounds = min(bench.rounds, 3 if readers <= 1000 else 2)
            appends = RATE * bench.seconds * (LONGER_FOR_ONE if readers == 1 else 1)
            in_turn(bench, stack, list(sides.values()), rounds, "--subscribers", str(readers),
                    "--appends", str(appends), "--rate", str(RATE), "--size", str(BYTES))
            for percentile in ("p50", "p99"):
                delivery_rows(bench, sides, readers, percentile)
            for name in ("server", "writer", "nchan"):
                if name in sides:
                    bench.add_curve(f"append to SSE, {counted(readers)}, {name}", sides[name].curve)


def counted(readers):
    """A number of readers for a name."""
    return "1 reader" if readers == 1 else f"{readers:,} readers"


def delivery_rows(bench, sides, readers, percentile):
    """The rows of one number of readers and one percentile."""
    name = f"append to SSE, {counted(readers)}, {percentile}"
    value = sides["server"].median(percentile)

    def row(other, beside, reach):
        side = sides[other]
        failure = "; ".join(sides["server"].faults + side.faults)
        theirs = side.median(percentile)
        is_overloaded = theirs is not None and theirs > OVERLOADED
        note = "the baseline is overloaded: its figure grows with the length of the run" if is_overloaded else ""
        bench.add(Row(name, value, "ms", theirs, reach, failure, at_most=True, beside=beside, note=note))

    row("writer", "bare writer", BARE_REACH)
    if "syncing" in sides:
        row("syncing", "bare writer, fsync first", None)
    if "nchan" in sides:
        row("nchan", "nchan", 1.0)
    else:
        bench.add(Row(name, value, "ms", beside="nchan", note=live_peers.NCHAN_HINT))


def long_poll(bench, stack, _baseline):
    """From the time an append was due to its arrival in the answers to long-polls."""
    with contextlib.ExitStack() as started:
        sides = [Side("server", stack, "server")]
        if live_peers.nchan_module() is not None:
            peer = started.enter_context(live_peers.nchan(os.path.join(bench.folder, "nchan-poll")))
            sides.append(Side("nchan", peer, "nchan"))
        appends = max(POLL_STREAMS, RATE * bench.seconds // POLL_STREAMS * POLL_STREAMS)
        in_turn(bench, stack, sides, min(bench.rounds, 3), "--mode", "poll", "--subscribers", str(POLL_READERS),
                "--streams", str(POLL_STREAMS), "--appends", str(appends), "--rate", str(RATE), "--size", str(BYTES))
    name = f"append to long-poll, {POLL_READERS:,} readers on {POLL_STREAMS} streams"
    failure = "; ".join(fault for side in sides for fault in side.faults)
    for percentile, reach in (("p50", None), ("p99", 1.0)):
        theirs = sides[1].median(percentile) if len(sides) > 1 else None
        bench.add(Row(f"{name}, {percentile}", sides[0].median(percentile), "ms", theirs,
                      None if theirs is None else reach, failure, at_most=True, beside="nchan",
                      note="" if len(sides) > 1 else live_peers.NCHAN_HINT))


def idle(bench, stack, _baseline):
    """What readers of events cost while nothing happens: memory and time of the live process and of nginx."""
    processes = descendants(stack.pid)
    parts = {"live process": [pid for pid in processes if program(pid) == "durable-streams-live"],
             "nginx": [pid for pid in processes if program(pid) == "nginx"]}
    command = [os.path.join(bench.binaries, "bench-sse"), "--url", f"{stack.url}{stacks.ROOT}idle", "--mode", "hold",
               "--subscribers", str(IDLE_READERS), "--streams", str(IDLE_STREAMS)]
    before = {name: resident(pids) for name, pids in parts.items()}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, start_new_session=True) as readers:
        try:
            if readers.stdout.readline() != "ready\n":
                raise BenchError(f"bench-sse failed: {readers.communicate()[1].strip()}")
            time.sleep(SETTLING_SECONDS)
            # Any time as long as this has one comment for each reader.
            busy = busy_for(IDLE_SECONDS, parts)
            after = {name: resident(pids) for name, pids in parts.items()}
        finally:
            readers.kill()
    for name, reach in (("live process", 5.0), ("nginx", 12.0)):
        bench.add(Row(f"{IDLE_READERS:,} idle SSE connections, {name}", (after[name] - before[name]) / IDLE_READERS,
                      "KB each", reach=reach, note="kilobytes of 1,024 bytes that are resident more than before"))
    shares = ", ".join(f"{name} {seconds / IDLE_SECONDS:.2%}" for name, seconds in busy.items())
    bench.add(Row(f"{IDLE_READERS:,} idle SSE connections, processor", sum(busy.values()) / IDLE_SECONDS * 100,
                  "%", reach=1.0, note=f"of one core, with a comment to each reader in this time: {shares}"))


def busy_for(seconds, parts):
    """Seconds of a core that processes use in a time, by the name of their part."""
    before = {name: sum(map(processor_time, pids)) for name, pids in parts.items()}
    time.sleep(seconds)
    return {name: sum(map(processor_time, pids)) - before[name] for name, pids in parts.items()}


def resident(pids):
    """Kilobytes of some processes."""
    return sum(kilobytes(f"/proc/{pid}/status", "VmRSS:") for pid in pids)


def processor_time(pid):
    """Seconds that a process has used."""
    with open(f"/proc/{pid}/stat") as stat:
        user, system = stat.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
