"""Driving load: wrk for requests, bench-sse for subscribers."""

import dataclasses
import json
import os
import statistics

from processes import BenchError, output_of

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclasses.dataclass
class Load:
    """The same requests for both sides of a comparison."""

    method: str
    paths: list
    connections: int
    body_bytes: int = 0


@dataclasses.dataclass
class Outcome:
    """What one run, or several added up, brought."""

    requests: int = 0
    rate: float = 0
    statuses: dict = dataclasses.field(default_factory=dict)
    socket_errors: int = 0

    @property
    def fault(self):
        """What is wrong with the answers, if anything."""
        bad = {status: count for status, count in self.statuses.items() if not status.startswith("2")}
        parts = [f"{count} × {status}" for status, count in sorted(bad.items())]
        if self.socket_errors:
            parts.append(f"{self.socket_errors} socket errors")
        return ", ".join(parts)

    def gateway_errors(self):
        """Answers that say that nginx did not get one from the pool."""
        return self.statuses.get("502", 0) + self.statuses.get("504", 0)

    def add(self, other):
        """Count the answers of another run too."""
        self.requests += other.requests
        self.socket_errors += other.socket_errors
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count


def drive(url, load, seconds):
    """One run of wrk."""
    command = [
        "wrk", f"--threads={min(2, load.connections)}", f"--connections={load.connections}",
        f"--duration={seconds}s", "--timeout=10s", f"--script={HERE}/load.lua", url, "--",
        load.method, str(load.body_bytes), *load.paths]
    status, out, err = output_of(command, seconds + 30)
    line = next((line for line in out.splitlines() if line.startswith("RESULT ")), None)
    if status != 0 or line is None:
        raise BenchError(f"wrk failed: {out}{err}")
    result = json.loads(line.removeprefix("RESULT "))
    return Outcome(
        requests=result["requests"], rate=result["requests"] / result["seconds"],
        statuses=result["statuses"], socket_errors=result["socket_errors"])


def compare(sides, rounds, seconds):
    """Run each (url, load) of `sides` in turn, again and again, forwards and backwards so that neither has
    the better place; a summed-up outcome for each, whose rate is the median of its rounds. A short run of
    each goes first and counts for its errors only."""
    totals = [Outcome() for _ in sides]
    rates = [[] for _ in sides]
    for turn in range(rounds + 1):
        order = list(enumerate(sides))
        for index, (url, load) in order if turn % 2 else reversed(order):
            outcome = drive(url, load, seconds if turn else 1)
            totals[index].add(outcome)
            if turn:
                rates[index].append(outcome.rate)
    for total, measured in zip(totals, rates):
        total.rate = statistics.median(measured)
    return totals


def deliver(binaries, url, subscribers, appends, rate, size):
    """One run of bench-sse: its result, and what is wrong with it."""
    command = [
        os.path.join(binaries, "bench-sse"), "--url", url, "--subscribers", str(subscribers),
        "--appends", str(appends), "--rate", str(rate), "--size", str(size)]
    status, out, err = output_of(command, 60 + appends / rate)
    if status not in (0, 1) or not out:
        raise BenchError(f"bench-sse failed: {err.strip()}")
    return json.loads(out), err.strip()
