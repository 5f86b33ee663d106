"""Many forks: 10,000 of one stream, a chain of 1,000, and what becomes of them when they are deleted."""

from __future__ import annotations

import random
import time

import pytest

from client import Client, at, expect
from test_concurrency import at_once

FORKS, CHAIN, CONNECTIONS = 10_000, 1_000, 16


def spread(stack, ask) -> None:
    """Ask for each fork once, over some keep-alive connections."""
    each = FORKS // CONNECTIONS

    def some(client: Client, number: int):
        for n in range(number * each, (number + 1) * each):
            answer = ask(client, n)
        return answer

    at_once(stack, CONNECTIONS, some)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_ten_thousand_forks(fresh_stack) -> None:
    """The count is right to the last one; the source costs its readers and writers nothing more."""
    stack = fresh_stack()
    http, pick = Client(stack), random.Random(7)
    tail = http.create("a", "text/plain", "abcdef").offset
    began = time.monotonic()
    spread(stack, lambda c, n: c.fork(f"f/{n}", "a", None, f"{n}", at=at(tail, n % 7)))
    made = time.monotonic()
    http.append("a", "text/plain", "!")
    sample = [0, FORKS - 1, *pick.sample(range(FORKS), 200)]
    for n in sample:
        assert http.get(f"f/{n}").body == b"abcdef"[: n % 7] + b"%d" % n
    expect(http.delete("a"), 204)
    expect(http.head("a"), 410)
    for n in sample:
        assert http.get(f"f/{n}", "again").body == b"abcdef"[: n % 7] + b"%d" % n
    last = sample[-1]
    deleting = time.monotonic()
    spread(stack, lambda c, n: expect(c.delete(f"f/{n}"), 204) if n != last else c.head(f"f/{n}"))
    expect(http.head("a"), 410)
    assert http.get(f"f/{last}", "last").body == b"abcdef"[: last % 7] + b"%d" % last
    expect(http.delete(f"f/{last}"), 204)
    expect(http.head("a"), 404)
    http.create("a", "text/plain")
    print(f"{FORKS} forks made in {made - began:.1f} s, deleted in {time.monotonic() - deleting:.1f} s")
    http.close()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_chain_of_a_thousand(fresh_stack) -> None:
    """Each fork adds a message; reads from anywhere; the whole chain goes with its last link."""
    stack = fresh_stack()
    http = Client(stack)
    tail = http.create("0", "application/json", "0").offset
    began = time.monotonic()
    for n in range(1, CHAIN + 1):
        assert http.fork(f"{n}", f"{n - 1}", None, str(n)).offset == at(tail, n + 1)
    made = time.monotonic()
    for n in (*range(0, CHAIN, 97), CHAIN):
        for start in {0, n // 2, n, max(0, n - 3)}:
            read = expect(http.get(f"{n}", f"offset={at(tail, start)}"), 200)
            assert read.body == b"[" + b",".join(b"%d" % m for m in range(start, n + 1)) + b"]"
    # A fork of the very first part, made at the far end of the chain.
    http.fork("early", f"{CHAIN}", None, '"x"', at=at(tail, 2))
    assert http.get("early").body == b'[0,1,"x"]'
    expect(http.delete("early"), 204)
    for n in range(CHAIN):
        expect(http.delete(f"{n}"), 204)
    assert [http.head(f"{n}").status for n in range(CHAIN)] == [410] * CHAIN
    assert http.get(f"{CHAIN}", "again").body == b"[" + b",".join(b"%d" % m for m in range(CHAIN + 1)) + b"]"
    deleting = time.monotonic()
    expect(http.delete(f"{CHAIN}"), 204)
    deleted = time.monotonic()
    assert [http.head(f"{n}").status for n in range(CHAIN + 1)] == [404] * (CHAIN + 1)
    print(f"{CHAIN} links made in {made - began:.1f} s, removed together in {1000 * (deleted - deleting):.0f} ms")
    http.close()
