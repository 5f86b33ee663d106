"""Expiry of sources and forks: gone while forks need them, and the cascade that nobody asks for (8.3, 11.6)."""

from __future__ import annotations

import pytest

from checks import CACHEABLE, check_read
from client import Client, at, expect, instant
from test_fork_lifetime import check_absent, check_gone, wait_for

LATER = "2099-01-02T03:04:05Z"


@pytest.mark.parametrize("lifetime", ["Stream_TTL", "Stream_Expires_At"])
def test_expired_with_forks(http: Client, path: str, lifetime: str) -> None:
    """8.3: gone, from that instant on; forks keep reading, and the last one takes it along."""
    tail = http.create(path, "text/plain", "abc", **{lifetime: "1" if lifetime == "Stream_TTL" else instant(1)}).offset
    for name in "bc":
        http.fork(f"{path}/{name}", path, None, name, Stream_Expires_At=LATER)
    wait_for(http, path, 410)
    check_gone(http, path)
    for name in "bc":
        check_read(http.get(f"{path}/{name}"), b"abc" + name.encode(), type="text/plain", cache=CACHEABLE, next_offset=at(tail, 4))
    expect(http.delete(f"{path}/b"), 204)
    check_gone(http, path)
    expect(http.delete(f"{path}/c"), 204)
    check_absent(http, path)
    assert http.create(path, "application/json").offset > tail


@pytest.mark.parametrize("first", ["source", "fork"])
@pytest.mark.parametrize("asked", [False, True], ids=["swept", "asked-for"])
def test_expiry_cascades(fresh_stack, first: str, asked: bool) -> None:
    """An idle fork releases its source without being asked for (8.3), whichever expired first."""
    stack = fresh_stack(DS_SWEEP_INTERVAL=3600 if asked else 0.2)
    http = Client(stack)
    soon, later = instant(0.6), instant(1.2)
    http.create("a", "text/plain", "abc", Stream_Expires_At=soon if first == "source" else later)
    http.fork("b", "a", Stream_Expires_At=later if first == "source" else soon)
    http.fork("c", "b", Stream_Expires_At=later if first == "source" else soon)
    if asked:
        # Without a sweep whoever looks at an expired fork ends it, and its source with it.
        for name in "cba":
            wait_for(http, name, 404)
    for name in "abc":
        wait_for(http, name, 404)
        http.create(name, "text/plain")
    http.close()


@pytest.mark.parametrize("first", ["source", "fork", "middle"])
def test_expired_while_the_server_was_down(fresh_stack, first: str) -> None:
    """One sweep finds the whole chain expired, in whatever order: nothing is left that holds a name."""
    stack = fresh_stack(DS_SWEEP_INTERVAL=3600)
    http = Client(stack)
    times = {"source": (0.5, 0.6, 0.7), "fork": (0.7, 0.6, 0.5), "middle": (0.6, 0.5, 0.7)}[first]
    ends = [instant(seconds) for seconds in times]
    http.create("a", "text/plain", "abc", Stream_Expires_At=ends[0])
    http.fork("b", "a", Stream_Expires_At=ends[1])
    http.fork("c", "b", Stream_Expires_At=ends[2])
    for name, status in (("a", 410), ("b", 410), ("c", 404)):
        wait_for(http, name, status)
    http.close()
    stack.stop()
    stack.start()
    http = Client(stack)
    for name in "abc":
        wait_for(http, name, 404)
        http.create(name, "text/plain", "new")
        assert http.get(name).body == b"new"
    http.close()


@pytest.mark.parametrize("depth", [1, 5])
def test_deleting_the_fork_of_an_expired_source(http: Client, path: str, depth: int) -> None:
    """Expired, then released before any sweep has seen it: absent at once."""
    end = instant(1)
    http.create(f"{path}/0", "text/plain", "abc", Stream_Expires_At=end)
    for n in range(1, depth):
        http.fork(f"{path}/{n}", f"{path}/{n - 1}")
    http.fork(f"{path}/last", f"{path}/{depth - 1}", Stream_Expires_At=LATER)
    for n in range(depth):
        wait_for(http, f"{path}/{n}", 410)
    expect(http.delete(f"{path}/last"), 204)
    for n in reversed(range(depth)):
        wait_for(http, f"{path}/{n}", 404, within=3)
        http.create(f"{path}/{n}", "text/plain")


def test_fork_of_a_stream_that_is_about_to_expire(http: Client, path: str) -> None:
    """Creation of a fork touches the fork only (8.2); its inherited window begins with its own creation."""
    http.create(path, "text/plain", "abc", Stream_TTL="1")
    wait_for_half = instant(0.6)
    http.create(f"{path}/clock", "text/plain", Stream_Expires_At=wait_for_half)
    wait_for(http, f"{path}/clock", 404)
    http.fork(f"{path}/b", path)
    wait_for(http, path, 410)
    expect(http.head(f"{path}/b"), 200)
    wait_for(http, f"{path}/b", 404)
