"""Forks: what it costs to make one, and to read through a chain of them."""

from load import Load, cache_state, compare, size
from processes import BenchError
from report import Row

CONNECTIONS = 64
READERS = 32
CHAINS = (1, 10, 100)
# What the first stream of a chain holds before the part to which each link adds a piece of its own.
LEAD = PART = 64 * 1024
# Enough for rates as high as these, so that many rows stay cheap.
SECONDS, ROUNDS = 1, 3


def fork_creation(bench, stack, _baseline):
    """Forks of large sources beside forks of a small one: no data is copied, so it costs the same."""
    large = 1 << 26 if bench.options.quick else 1 << 30
    sides = []
    for length in (1 << 10, 1 << 20, large):
        source = stack.create(f"source-{length}")
        stack.fill(source, length)
        headers = {"Content-Type": "application/octet-stream", "Stream-Forked-From": source}
        path = f"{source}-fork-*"
        sides.append((stack.url, Load("PUT", [path], CONNECTIONS, headers=headers)))
    outcomes = compare(sides, min(bench.rounds, ROUNDS), min(bench.seconds, 2))
    small = outcomes[0]
    for length, outcome in zip((1 << 10, 1 << 20, large), outcomes):
        beside = None if outcome is small else small.rate
        fault = outcome.fault or (f"baseline: {small.fault}" if small.fault else "")
        if not fault and set(outcome.statuses) != {"201"}:
            fault = f"not only new forks: {outcome.statuses}"
        bench.add(Row(f"fork creation, {size(length)} source", outcome.rate, "forks/s", beside,
                      None if beside is None else 0.9, fault))


def fork_chains(bench, stack, _baseline):
    """Reads that need every link of a chain beside the same reads of a plain stream of the same records."""
    for links in CHAINS:
        plain, chain, start = build(stack, links)
        for what, first in (("last 64 KiB", start), ("from the start", None)):
            pair = [path if first is None else f"{path}?offset={first[path]}" for path in (chain, plain)]
            check(stack, *pair, PART if first else LEAD + PART)
            loads = [(stack.url, Load("GET", [path], READERS)) for path in pair]
            mine, theirs = compare(loads, min(bench.rounds, ROUNDS), SECONDS)
            name = f"catch-up across {links} fork{'s' if links > 1 else ''}, {what}"
            fault = mine.fault or (f"baseline: {theirs.fault}" if theirs.fault else "")
            bench.add(Row(name, mine.rate, "req/s", theirs.rate, 0.5, fault))


def build(stack, links):
    """A plain stream, the last fork of a chain with the same records, and for both the offset behind the lead."""
    plain = stack.create(f"plain-{links}")
    chain = stack.create(f"chain-{links}-0")
    for path in (plain, chain):
        stack.append(path, b"l" * LEAD)
    start = {plain: tail(stack, plain)}
    behind = tail(stack, chain)
    # Each stream of the chain, the first included, adds one record.
    bounds = [PART * number // (links + 1) for number in range(links + 2)]
    for number, (begin, end) in enumerate(zip(bounds, bounds[1:])):
        if number > 0:
            chain = stack.fork(f"chain-{links}-{number}", chain)
        piece = bytes([97 + number % 26]) * (end - begin)
        stack.append(chain, piece)
        stack.append(plain, piece)
    start[chain] = behind
    return plain, chain, start


def tail(stack, path):
    """The offset of a stream's tail."""
    return stack.expect(200, "HEAD", path)[0]["stream-next-offset"]


def check(stack, chain, plain, length):
    """Both reads give the same bytes, and neither comes from nginx's cache."""
    contents = [stack.read(path)[1] for path in (chain, plain)]
    if contents[0] != contents[1] or len(contents[0]) != length:
        raise BenchError(f"{chain} and {plain} are not the same {length} bytes")
    for path in (chain, plain):
        if (state := cache_state(stack, path)) == "HIT":
            raise BenchError(f"X-Cache is {state} for {path}")
