"""Catch-up reads beside what nginx does with a static file, and with a responder that does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import peers
from figures_appends import PEERS
from load import Load, cache_state, compare, drive, in_turn, size, writer
from processes import BenchError
from report import Row

if TYPE_CHECKING:
    from baseline import Baseline
    from figures import Bench
    from load import Outcome
    from stack import Stack

MIB = 1 << 20
TAIL_BYTES = 1024
CONNECTIONS = 64
# An answer without a body has less than this.
HEAD_BYTES = 900
# Streams that are read beside a writer, its appends a second, and bytes in each: few, as what is read shall stay as it is.
READ_STREAMS, RATE, WRITTEN_BYTES = 100, 1000, 8


def catch_up_hit(bench: Bench, stack: Stack, baseline: Baseline) -> None:
    """A piece out of nginx's cache beside a static file of the same bytes."""
    for length in (1024, MIB):
        path, piece = cached_piece(stack, length)
        file = baseline.serve_file(f"piece-{length}", piece)
        connections = CONNECTIONS if length < MIB else CONNECTIONS // 4
        before = cache_state(stack, path)
        mine, theirs = compare([(stack.url, Load("GET", [path], connections)),
                                (baseline.url, Load("GET", [file], connections))], bench.rounds, bench.seconds)
        after = cache_state(stack, path)
        fault = mine.fault or (f"baseline: {theirs.fault}" if theirs.fault else "")
        if (before, after) != ("HIT", "HIT"):
            fault = f"X-Cache was {before} before and {after} after"
        bench.add(Row(f"catch-up HIT, {size(length)}", mine.rate, "req/s", theirs.rate, 0.95, fault,
                      beside="static file in nginx"))


def cached_piece(stack: Stack, length: int) -> tuple[str, bytes]:
    """A piece that the cache may keep, its target and its bytes: neither the first of its stream, nor the last."""
    stream = stack.create(f"hit-{length}")
    stack.append(stream, b"f" * MIB)
    target = f"{stream}?offset={tail(stack, stream)}"
    content = bytes(65 + number % 26 for number in range(length))
    stack.append(stream, content)
    # It does not fit into the piece before.
    stack.append(stream, b"l" * MIB)
    headers, piece = stack.read(target)
    if piece != content or "stream-up-to-date" in headers:
        raise BenchError(f"GET {target} gives {len(piece)} bytes, and not the {length} that were appended there")
    return target, piece


def tail(stack: Stack, stream: str) -> str:
    """The offset of a stream's tail."""
    return stack.expect(200, "HEAD", stream)[0]["stream-next-offset"]


def catch_up_tail(bench: Bench, stack: Stack, baseline: Baseline) -> None:
    """Reads that reach the tail, which the cache never answers: with a body, and for one who has it already."""
    stream, content = stack.create("tail"), bytes(97 + number % 26 for number in range(TAIL_BYTES))
    start = f"{stream}?offset={tail(stack, stream)}"
    stack.append(stream, content)
    headers, found = stack.read(start)
    if found != content or cache_state(stack, start) == "HIT":
        raise BenchError(f"a read of {TAIL_BYTES} bytes at the tail is not a MISS of that length")
    known = {"If-None-Match": headers["etag"]}
    stack.expect(304, "GET", start, None, known)
    if cache_state(baseline, start, expected=204) == "HIT":
        raise BenchError("the baseline's nginx keeps the responder's answers")
    read, ask = Load("GET", [start], CONNECTIONS), Load("GET", [start], CONNECTIONS, headers=known)
    with peers.rakaia(bench, "memory") as memory:
        sides = [lambda seconds: drive(stack.url, read, seconds), lambda seconds: drive(stack.url, ask, seconds),
                 lambda seconds: drive(baseline.url, read, seconds)]
        if memory.there:
            sides.append(memory.read(content, CONNECTIONS))
        with_body, unchanged, responder, *others = in_turn(sides, bench.rounds, bench.seconds)
    stack.expect(304, "GET", start, None, known)
    fault = f"baseline: {responder.fault}" if responder.fault else ""
    for name, outcome, reach in ((f"catch-up at the tail, {size(TAIL_BYTES)}", with_body, 0.8),
                                 ("304 for If-None-Match at the tail", unchanged, 0.9)):
        # wrk tells 200 and 304 apart by their lengths alone.
        mean = outcome.bytes / max(1, outcome.requests)
        wrong = mean < TAIL_BYTES if outcome is with_body else mean > HEAD_BYTES
        bench.add(Row(name, outcome.rate, "req/s", responder.rate, reach,
                      outcome.fault or (f"answers of {mean:.0f} bytes" if wrong else fault), beside="204 responder"))
    theirs = others[0] if others else None
    bench.add(Row(f"catch-up at the tail, {size(TAIL_BYTES)}, and {memory.name}", with_body.rate, "req/s",
                  theirs and theirs.rate,
                  failure=f"{memory.name}: {theirs.fault}" if theirs and theirs.fault else "",
                  beside=memory.name, note=memory.note, group=PEERS))


def tail_beside_writer(bench: Bench, stack: Stack, baseline: Baseline) -> None:
    """The same reads of many streams while somebody appends: to others, and to those that are read."""
    content = bytes(97 + number % 26 for number in range(TAIL_BYTES))
    streams, others = ([stack.create(f"{name}-{number}") for number in range(READ_STREAMS)] for name in ("read", "written"))
    targets = [f"{stream}?offset={tail(stack, stream)}" for stream in streams]
    for stream in streams:
        stack.append(stream, content)
    reads, faults = Load("GET", targets, CONNECTIONS), []

    def beside(server: Stack | Baseline, written: list[str]) -> Callable[[int], Outcome]:
        def run(seconds: int) -> Outcome:
            with writer(bench.binaries, server.url, written, RATE, WRITTEN_BYTES) as wrong:
                outcome = drive(server.url, reads, seconds)
            faults.extend(wrong)
            return outcome
        return run

    sides = (lambda seconds: drive(stack.url, reads, seconds), beside(stack, others), beside(stack, streams),
             beside(baseline, others))
    alone, elsewhere, here, responder = in_turn(sides, bench.rounds, bench.seconds, stack.rest)
    name = f"catch-up at the tail of {READ_STREAMS} streams, {size(TAIL_BYTES)}"
    for title, outcome in ((f"{name}, beside {RATE:,} appends/s to others", elsewhere),
                           (f"{name}, beside {RATE:,} appends/s to them", here)):
        short = outcome.bytes < TAIL_BYTES * outcome.requests
        fault = outcome.fault or ("answers are too short" if short else "; ".join(faults[:3]))
        bench.add(Row(title, outcome.rate, "req/s", responder.rate, None, fault or responder.fault,
                      beside="204 responder beside as many"))
        bench.add(Row(title, outcome.rate, "req/s", alone.rate, None, fault or alone.fault, beside="without a writer"))
