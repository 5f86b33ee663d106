"""Appends and catch-up reads, beside what nginx does without a log behind it."""

from load import Load, cache_state, size
from processes import BenchError

APPEND_BYTES = 256
STREAMS = 100
MIB = 1 << 20
FEW = 16
READERS = 32


def append_of_few(bench, stack, baseline):
    """Durable appends of few clients, for which each group waits, beside the 204 responder."""
    paths = [stack.create(f"append-{number}") for number in range(STREAMS)]
    load = Load("POST", paths, FEW, APPEND_BYTES)
    outcome = bench.beside(f"append, {STREAMS} streams, {FEW} connections", load, baseline.url, load, stack,
                           beside="204 responder")
    bench.gateway_errors = (bench.gateway_errors or 0) + outcome.gateway_errors()
    stored = sum(map(stack.position, paths)) / APPEND_BYTES
    if stored < outcome.statuses.get("204", 0):
        bench.fail_last(f"{stored:.0f} of {outcome.requests} acknowledged appends are there")


def hit_of_small_pieces(bench, stack, baseline):
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
    bench.beside(name, Load("GET", [path], READERS), baseline.url, Load("GET", [file], READERS),
                 stack, reach=0.8, beside="static file in nginx")
    after = cache_state(stack, path)
    if (before, after) != ("HIT", "HIT"):
        bench.fail_last(f"X-Cache was {before} before and {after} after")


def miss_of_large_body(bench, stack, baseline):
    """A read of 1 MiB that reaches the tail, which the cache never answers, beside a file of these bytes."""
    stream = stack.create("miss")
    stack.append(stream, b"m" * MIB)
    _, content = stack.read(stream)
    if len(content) != MIB or cache_state(stack, stream) == "HIT":
        raise BenchError(f"a read of {MIB} bytes at the tail is not a MISS of that length")
    other = Load("GET", [baseline.serve_file("miss", content)], READERS)
    bench.beside("catch-up MISS, 1 MiB", Load("GET", [stream], READERS), baseline.url, other,
                 stack, "MB/s", MIB / 1e6, beside="static file in nginx")
