"""The figures: what is asked of the stack, beside what, and how good it has to be."""

import os
import statistics

import baseline as baselines
import stack as stacks
from load import Load, compare, deliver
from processes import BenchError, request
from report import Row

APPEND_BYTES = 256
STREAMS = 100
MIB = 1 << 20
READERS = 32
SSE_RATE = 50
SSE_BYTES = 256


class Bench:
    """Takes the figures one after another; the rows are complete up to the one that failed."""

    def __init__(self, binaries, folder, rounds, seconds, sampler, tell):
        self.binaries, self.folder, self.sampler, self.tell = binaries, folder, sampler, tell
        self.rounds, self.seconds = rounds, seconds
        self.rows = []
        self.gateway_errors = 0

    def run(self):
        """Everything: one stack with the default pieces, then one with small ones, then what was counted
        on the way."""
        self.with_stack("default", None, [
            self.appends, self.catch_up_hit, self.catch_up_miss, self.live])
        self.with_stack("small", 64 * 1024, [self.catch_up_hit])
        self.rows.append(Row(
            "502 and 504 answers to appends", self.gateway_errors, "answers", reach=1))
        self.memory()

    def with_stack(self, name, chunk_bytes, figures):
        """Start a stack and its baseline, take some figures, and stop both."""
        folder = os.path.join(self.folder, name)
        with stacks.start(self.binaries, folder, chunk_bytes) as stack:
            self.sampler.watch(stack.pid)
            with baselines.start(self.binaries, folder, stack) as baseline:
                self.tell(f"nginx configuration of the baselines: {baseline.how}")
                for figure in figures:
                    self.take(figure, stack, baseline)
            self.sampler.watch(None)

    def take(self, figure, stack, baseline):
        """One figure; what stops it is a row that says so, and the others still get their turn."""
        try:
            figure(stack, baseline)
        except BenchError as error:
            self.add(Row(figure.__name__.replace("_", "-"), None, "", failure=str(error)))

    def add(self, row):
        """Keep a row, and say it at once."""
        self.rows.append(row)
        self.tell(" ".join(filter(None, row.as_cells())) + (f" ({row.failure})" if row.failure else ""))

    def beside(self, name, load, other_url, other, stack, unit="req/s", scale=1.0, reach=None):
        """One row: `load` on the stack beside `other` on a baseline; the stack's outcome."""
        mine, theirs = compare([(stack.url, load), (other_url, other)], self.rounds, self.seconds)
        fault = mine.fault or (f"baseline: {theirs.fault}" if theirs.fault else "")
        self.add(Row(name, mine.rate * scale, unit, theirs.rate * scale, reach, fault))
        return mine

    def appends(self, stack, baseline):
        """Durable appends beside the 204 responder, given the very same requests."""
        paths = [stack.create(f"append-{number}") for number in range(STREAMS)]
        for connections, reach in ((16, None), (64, 0.7), (256, 0.7)):
            self.append(f"append, {STREAMS} streams, {connections} connections",
                        paths, connections, reach, stack, baseline)
        self.append("append, one stream, 64 connections", paths[:1], 64, None, stack, baseline)

    def append(self, name, paths, connections, reach, stack, baseline):
        """One row of appends; afterwards everything acknowledged has to be in the streams."""
        load = Load("POST", paths, connections, APPEND_BYTES)
        before = sum(map(stack.position, paths))
        outcome = self.beside(name, load, baseline.url, load, stack, reach=reach)
        self.gateway_errors += outcome.gateway_errors()
        stored = (sum(map(stack.position, paths)) - before) / APPEND_BYTES
        if stored < outcome.statuses.get("204", 0):
            self.rows[-1].failure = f"{stored:.0f} of {outcome.requests} acknowledged appends are there"
            self.tell(f"{name}: {self.rows[-1].failure}")

    def catch_up_hit(self, stack, baseline):
        """A piece out of nginx's cache beside a static file of the same bytes."""
        stream = stack.create("hit")
        for number in range(24):
            stack.append(stream, bytes([65 + number]) * (MIB // 4))
        # The piece after the first: one from the start is cached briefly only.
        headers, _ = stack.read(stream)
        path = f"{stream}?offset={headers['stream-next-offset']}"
        _, piece = stack.read(path)
        name = f"catch-up HIT, {size(len(piece))} piece"
        file = baseline.serve_file(f"piece-{len(piece)}", piece)
        before = cache_state(stack, path)
        self.beside(name, Load("GET", [path], READERS), baseline.url, Load("GET", [file], READERS),
                    stack, reach=0.8)
        after = cache_state(stack, path)
        if (before, after) != ("HIT", "HIT"):
            self.rows[-1].failure = f"X-Cache was {before} before and {after} after"
            self.tell(f"{name}: {self.rows[-1].failure}")

    def catch_up_miss(self, stack, baseline):
        """Reads that reach the tail, which the cache never answers."""
        for length, unit, reached in ((1024, "req/s", False), (MIB, "MB/s", True)):
            stream = stack.create(f"miss-{length}")
            stack.append(stream, b"m" * length)
            _, content = stack.read(stream)
            if len(content) != length or cache_state(stack, stream) == "HIT":
                raise BenchError(f"a read of {length} bytes at the tail is not a MISS of that length")
            if cache_state(baseline, stream, expected=204) == "HIT":
                raise BenchError("the baseline's nginx keeps the responder's answers")
            load = Load("GET", [stream], READERS)
            if reached:
                other = Load("GET", [baseline.serve_file("miss", content)], READERS)
                self.beside("catch-up MISS, 1 MiB piece (beside a file)", load, baseline.url, other,
                            stack, unit, length / 1e6)
            else:
                self.beside("catch-up MISS, 1 KiB body", load, baseline.url, load, stack, unit)

    def live(self, stack, _baseline):
        """From the time an append was due to its arrival at the subscribers."""
        appends = SSE_RATE * (self.seconds + 1)
        for subscribers in (1, 100, 1000):
            results, faults = [], []
            for turn in range(min(self.rounds, 3)):
                url = f"{stack.url}{stacks.ROOT}live-{subscribers}-{turn}"
                result, fault = deliver(self.binaries, url, subscribers, appends, SSE_RATE, SSE_BYTES)
                results.append(result)
                faults += filter(None, [fault])
            readers = "1 subscriber" if subscribers == 1 else f"{subscribers} subscribers"
            for percentile in ("p50", "p99"):
                values = [result[f"{percentile}_us"] for result in results]
                value = None if None in values else statistics.median(values) / 1000
                self.add(Row(f"append to SSE, {readers}, {percentile}", value, "ms",
                             failure="; ".join(faults)))

    def memory(self):
        """The peak of the sum over all worker and live processes."""
        sampler = self.sampler
        failure = "" if sampler.samples else "no worker or live process was seen"
        self.add(Row("memory of pool and live process, VmRSS", sampler.peak_rss * 1024 / 1e6, "MB",
                     reach=100, failure=failure))
        self.add(Row("memory of pool and live process, Pss", sampler.peak_pss * 1024 / 1e6, "MB",
                     failure=failure))
        for name, kilobytes in sorted(sampler.by_program.items()):
            self.tell(f"peak VmRSS of {name}: {kilobytes * 1024 / 1e6:.1f} MB")


def cache_state(server, path, expected=200):
    """What X-Cache says of one more read, the second of two."""
    request(server.port, "GET", path)
    status, headers, _ = request(server.port, "GET", path)
    if status != expected:
        raise BenchError(f"GET {path} was answered with {status}")
    return headers.get("x-cache", "absent")


def size(count):
    """A number of bytes for a name."""
    return f"{count / MIB:g} MiB" if count >= MIB else f"{count / 1024:g} KiB"
