"""Durable appends beside what nginx and a responder without a log do, and beside each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import peers
from load import Load, Outcome, drive, in_turn
from processes import BenchError, output_of
from report import Row

if TYPE_CHECKING:
    from baseline import Baseline
    from figures import Bench
    from stack import Stack

APPEND_BYTES = 256
STREAMS = 100
CONNECTIONS = (64, 256)
PEERS = "Peers, in turn with the same appends and reads"
JSON = {"Content-Type": "application/json"}
BUSY = CONNECTIONS[-1]


class Target:
    """Streams, the load on them, and how much of what was acknowledged is there."""

    def __init__(self, stack: Stack, name: str, count: int = STREAMS, content_type: str = "application/octet-stream",
                 producer: str = "") -> None:
        self.stack, self.producer = stack, producer
        self.paths = [stack.create(f"{name}-{number}", content_type) for number in range(count)]
        self.headers = {"Content-Type": content_type}
        # Positions count messages in JSON streams.
        self.unit = 1 if self.headers == JSON else APPEND_BYTES
        self.right = "200" if producer else "204"
        self.acknowledged = 0

    def load(self, connections: int) -> Load:
        """Appends that go round the streams. One stream is named as often as many are: wrk then does the same for
        each request."""
        paths = self.paths * (STREAMS // len(self.paths))
        return Load("POST", paths, connections, APPEND_BYTES, self.headers, producer=self.producer)

    def run(self, connections: int) -> Callable[[int], Outcome]:
        """One side of a comparison."""

        def side(seconds: int) -> Outcome:
            outcome = drive(self.stack.url, self.load(connections), seconds)
            self.acknowledged += outcome.statuses.get(self.right, 0)
            return outcome

        return side

    def fault(self, outcome: Outcome) -> str:
        """What is wrong with the answers, or with what is stored."""
        wrong = {status: count for status, count in outcome.statuses.items() if status != self.right}
        parts = [outcome.fault] + [f"{count} × {status} instead of {self.right}"
                                   for status, count in wrong.items() if status.startswith("2")]
        stored = sum(map(self.stack.position, self.paths)) // self.unit
        if stored < self.acknowledged:
            parts.append(f"{stored} of {self.acknowledged} acknowledged appends are there")
        return ", ".join(filter(None, parts))


class Fsyncs:
    """How many groups of writes the server has committed during some runs: each is one fdatasync."""

    def __init__(self, bench: Bench, stack: Stack) -> None:
        self.bench, self.stack = bench, stack
        self.groups = self.writes = 0

    def counting(self, side: Callable[[int], Outcome]) -> Callable[[int], Outcome]:
        """The same side, counted."""

        def counted(seconds: int) -> Outcome:
            before = self.read()
            outcome = side(seconds)
            groups, writes = (after - earlier for after, earlier in zip(self.read(), before))
            self.groups, self.writes = self.groups + groups, self.writes + writes
            return outcome

        return counted

    def read(self) -> tuple[int, int]:
        """Groups and appends so far, from the server's own metrics."""
        program = f"{self.bench.binaries}/durable-streams"
        status, out, err = output_of([program, "status", "--prometheus", "--data-dir", self.stack.data], 20)
        if status not in (0, 1) or not out:
            raise BenchError(f"status ended with {status}: {err.strip()}")
        return total(out, "commit_group_requests_count"), total(out, "appends_total")


def total(metrics: str, name: str) -> int:
    """The sum over all series of a metric."""
    found = re.findall(rf"^durable_streams_{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", metrics, re.MULTILINE)
    if not found:
        raise BenchError(f"the server has no metric {name}")
    return int(sum(map(float, found)))


def appends(bench: Bench, stack: Stack, baseline: Baseline) -> None:
    """Appends of 256 bytes: plain, to one stream, as JSON, by producers; beside the 204 responder, and by peers."""
    plain, one = Target(stack, "plain"), Target(stack, "one", 1)
    kinds = {"one stream": one, "JSON": Target(stack, "json", content_type="application/json"),
             "producers": Target(stack, "producer", producer="bench")}
    reaches = {"one stream": (0.95, "100 streams"), "JSON": (0.85, "plain bytes"), "producers": (0.85, "plain bytes")}
    fsyncs = Fsyncs(bench, stack)
    with peers.redis(bench) as redis, peers.rakaia(bench, "memory") as memory, peers.rakaia(bench, "disk") as disk:
        for connections in CONNECTIONS:
            sides = {"plain": plain.run(connections),
                     "responder": lambda seconds: drive(baseline.url, plain.load(connections), seconds)}
            if connections == BUSY:
                sides["plain"] = fsyncs.counting(sides["plain"])
            sides |= {name: kind.run(connections) for name, kind in kinds.items()}
            others = [redis] + ([memory, disk] if connections != BUSY else [])
            sides |= {peer.name: peer.append(connections) for peer in others if peer.there}
            outcomes = dict(zip(sides, in_turn(list(sides.values()), bench.rounds, bench.seconds, stack.rest)))
            mine = outcomes["plain"]
            rate = bench.peak = max(mine.rate, bench.peak)
            bench.gateway_errors = (bench.gateway_errors or 0) + mine.gateway_errors()
            where = f"{connections} connections"
            responder, fault = outcomes["responder"], plain.fault(mine)
            other = f"baseline: {responder.fault}" if responder.fault else ""
            bench.add(Row(f"append, {STREAMS} streams, {where}", mine.rate, "req/s", responder.rate, 0.9,
                          fault or other, beside="204 responder"))
            for name, kind in kinds.items():
                reach, beside = reaches[name]
                bench.add(Row(f"append, {name}, {where}", outcomes[name].rate, "req/s", mine.rate, reach,
                              kind.fault(outcomes[name]), beside=beside))
            for peer in others:
                theirs = outcomes.get(peer.name)
                bench.add(Row(f"append, {where}, and {peer.name}", mine.rate, "req/s", theirs and theirs.rate,
                              failure=f"{peer.name}: {theirs.fault}" if theirs and theirs.fault else "",
                              beside=peer.name, note=peer.note, group=PEERS))
    if fsyncs.writes == 0:
        raise BenchError("the server has counted no appends")
    bench.add(Row(f"fsyncs per append, {BUSY} connections", fsyncs.groups / fsyncs.writes, "fsyncs", 1.0, 0.05,
                  at_most=True, beside="one each"))
