"""Expiry to the instant, in every process, whoever looks first; and what live readers do to a window (8.2, 8.3)."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest

from checks import check_error
from client import Client, expect, incarnation, instant
from sse import EventSource
from stack import Stack
from test_concurrency import at_once, statuses
from test_fork_lifetime import check_absent, wait_for
from test_long_poll import waiting

# How late a waiting reader may learn that its stream has ended.
SLACK = 0.5
NO_SWEEP = {"DS_WORKERS": 3, "DS_SWEEP_INTERVAL": 3600, "DS_LONG_POLL_TIMEOUT": 25, "DS_SSE_LIFETIME": 120}


def sleep_until(moment: float) -> None:
    """The wall clock is what is tested here, so there is no signal to wait for."""
    while (left := moment - time.time()) > 0:
        time.sleep(left)


LOOKS = {
    "get": lambda c, p: c.get(p),
    "get-if-none-match": lambda c, p: c.get(p, If_None_Match="*"),
    "get-now": lambda c, p: c.get(p, "offset=now"),
    "get-bad-offset": lambda c, p: c.get(p, "offset=bad"),
    "head": lambda c, p: c.head(p),
    "post": lambda c, p: c.post(p, "text/plain", "x"),
    "post-bad": lambda c, p: c.post(p, "text/html", "x", Producer_Id="p"),
    "close": lambda c, p: c.post(p, Stream_Closed="true"),
    "delete": lambda c, p: c.delete(p),
    "long-poll": lambda c, p: c.get(p, "live=long-poll&offset=-1"),
    "long-poll-now": lambda c, p: c.get(p, "live=long-poll&offset=now"),
    "sse": lambda c, p: c.get(p, "live=sse&offset=-1"),
    "fork": lambda c, p: c.put_fork(f"{p}-new", p),
    "put": lambda c, p: c.put(p, "text/plain", Stream_Expires_At="2099-01-02T03:04:05Z"),
}


@pytest.mark.parametrize("forked", [False, True], ids=["absent", "gone"])
def test_whoever_looks_first(fresh_stack, forked: bool) -> None:
    """Every process has the stream at hand, nobody sweeps, and the first look is of any kind."""
    stack = fresh_stack(**NO_SWEEP)
    with closing(Client(stack)) as http:
        end = time.time() + 1.0
        ends = instant(1.0)
        old = {}
        for name in LOOKS:
            old[name] = http.create(name, "text/plain", "abc", Stream_Expires_At=ends).offset
            if forked:
                http.fork(f"{name}-fork", name, Stream_TTL="600")
        at_once(stack, 6, lambda c, i: [c.get(name, ("", "live=long-poll&offset=-1")[i % 2]) for name in LOOKS][-1])
        sleep_until(end)
        found = {name: look(http, name).status for name, look in LOOKS.items()}
        wanted = {name: 410 if forked else 404 for name in LOOKS}
        wanted |= {"put": 409, "fork": 409} if forked else {"put": 201}
        assert found == wanted
        for name in LOOKS:
            if forked:
                expect(http.head(name), 410)
                expect(http.delete(f"{name}-fork"), 204)
            elif name != "put":
                assert incarnation(http.create(name, "application/json").offset) > incarnation(old[name])
            assert statuses(at_once(stack, 4, lambda c, i: c.get(name))) == {404 if forked else 200: 4}, name


@pytest.mark.parametrize("zone", [0, 345, -570], ids=["Z", "+05:45", "-09:30"])
def test_expires_at_is_exact(fresh_stack, zone: int) -> None:
    """Not before the instant and not after it, for six connections to three workers and for live readers."""
    stack = fresh_stack(**NO_SWEEP)
    with closing(Client(stack)) as http:
        local = (datetime.now(timezone.utc) + timedelta(seconds=0.7)).astimezone(timezone(timedelta(minutes=zone)))
        end = local.timestamp()
        text = local.isoformat(timespec="microseconds").replace("+00:00", "Z")
        tail = http.create("a", "text/plain", "abc", Stream_Expires_At=text).offset

        def follow(client: Client, index: int):
            while True:
                before = time.time()
                answer = client.head("a") if index % 2 else client.get("a")
                if answer.status == 404:
                    assert time.time() >= end - 0.001, "expired early"
                    return answer
                expect(answer, 200)
                assert before < end + 0.001, f"still there {before - end} s after its end"

        with waiting(stack, "a", tail) as poll, EventSource(stack, "a") as events:
            events.batch()
            at_once(stack, 6, follow)
            check_error(poll.read_response(), 404, "STREAM_NOT_FOUND")
            events.end()
            assert time.time() - end < SLACK, time.time() - end


def test_created_again_after_expiry(fresh_stack) -> None:
    """No process, and no copy of nginx's, mixes the two: the new content is read by everybody at once (1.4, 1.7)."""
    stack = fresh_stack(**NO_SWEEP, DS_READ_CHUNK_BYTES=65536)
    with closing(Client(stack)) as http:
        for round in range(8):
            letter, end = b"%d" % round, time.time() + 0.12
            lifetime = {} if round == 7 else {"Stream_Expires_At": instant(0.12)}
            http.create("a", "text/plain", letter * 150_000, **lifetime)
            for answer in at_once(stack, 6, lambda c, i: c.get("a", ("", "offset=-1", "live=long-poll&offset=-1")[i % 3])):
                assert answer.status == 404 or set(answer.body) == set(letter), answer.describe()
            if lifetime:
                sleep_until(end)
        assert http.read_all("a")[0] == b"7" * 150_000


@pytest.mark.parametrize("given", [{"Stream_TTL": "600"}, {"Stream_Expires_At": "2099-01-02T03:04:05Z"}], ids=lambda g: next(iter(g)))
def test_nothing_with_an_end_is_stored(small: Client, path: str, given: dict[str, str]) -> None:
    """nginx would go on with its copy for a moment after the end."""
    small.create(path, None, b"x" * 200_000, **given)
    for _ in range(3):
        assert expect(small.get(path), 200).get("X-Cache") == "MISS"


def time_to_expiry(http: Client, path: str) -> float:
    began = time.monotonic()
    wait_for(http, path, 404)
    return time.monotonic() - began


@pytest.mark.parametrize("live", ["long-poll", "sse"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_reader_of_a_fork_keeps_the_fork_only(fresh_stack, live: str, workers: int) -> None:
    """8.2: neither its source nor its own forks; and the stream ends some time after its reader has gone."""
    stack = fresh_stack(**NO_SWEEP | {"DS_WORKERS": workers})
    with closing(Client(stack)) as http:
        tail = http.create("a", "text/plain", "abc", Stream_TTL="1").offset
        http.fork("b", "a")
        http.fork("c", "b")
        if live == "sse":
            reader = EventSource(stack, "b", f"offset={tail}").connection
        else:
            reader = waiting(stack, "b", tail, quiet=0)
        wait_for(http, "a", 410)
        wait_for(http, "c", 404)
        for _ in range(20):
            expect(http.head("b"), 200)
            time.sleep(0.05)
        reader.close()
        assert time_to_expiry(http, "b") < 2.5
        for name in "abc":
            check_absent(http, name)


@pytest.mark.parametrize("live", ["long-poll", "sse"])
def test_the_end_of_a_live_read_touches(small_stack: Stack, small: Client, path: str, live: str) -> None:
    """8.2: a time-out or a rotation, after half a window or more, is the beginning of a whole one."""
    tail = small.create(path, "text/plain", "abc", Stream_TTL="2" if live == "sse" else "1").offset
    if live == "sse":
        with EventSource(small_stack, path) as source:
            source.batch()
            while (event := source.next()) is not None:
                assert event.kind == "comment", event
    else:
        expect(small.get(path, f"live=long-poll&offset={tail}"), 204)
    window = 2 if live == "sse" else 1
    assert window * 0.75 <= time_to_expiry(small, path) < window + 1.5


@pytest.mark.parametrize("live", ["long-poll", "sse"])
def test_one_of_two_readers_goes_away(stack: Stack, http: Client, path: str, live: str) -> None:
    """The other one keeps the stream; without it the stream ends."""
    tail = http.create(path, "text/plain", "abc", Stream_TTL="1").offset

    def reader():
        return EventSource(stack, path, f"offset={tail}").connection if live == "sse" else waiting(stack, path, tail, quiet=0)

    first, second = reader(), reader()
    first.close()
    end = time.monotonic() + 1.6
    while time.monotonic() < end:
        expect(http.head(path), 200)
        time.sleep(0.05)
    second.close()
    assert time_to_expiry(http, path) < 2.5


@pytest.mark.parametrize("live", ["sse", "long-poll"])
def test_a_reader_that_goes_away_touches(stack: Stack, http: Client, path: str, live: str) -> None:
    """8.2: when it ends, however it does; seen at five moments, whenever the server itself renews the window."""
    readers = {}
    for n in range(5):
        tail = http.create(f"{path}/{n}", "text/plain", "abc", Stream_TTL="2").offset
        query = f"offset={tail}"
        readers[f"{path}/{n}"] = EventSource(stack, f"{path}/{n}", query).connection if live == "sse" else waiting(stack, f"{path}/{n}", tail, quiet=0)
    assert next(iter(readers.values())).quiet_for(0.3) or live == "sse"
    left, lives = {}, {}
    for name, reader in readers.items():
        time.sleep(0.2)
        reader.close()
        left[name] = time.monotonic()
    while len(lives) < len(left):
        for name, moment in left.items():
            if name not in lives and http.head(name).status == 404:
                lives[name] = time.monotonic() - moment
        time.sleep(0.01)
    assert min(lives.values()) >= 1.75 and max(lives.values()) < 3.5, lives


@pytest.mark.parametrize("kind", ["plain", "fork"])
def test_repeated_put_until_it_expires(http: Client, path: str, kind: str) -> None:
    """A PUT answered 200 does not touch: asked all the time, the stream ends in time, and the same PUT makes a new one."""
    http.create(f"{path}/a", "text/plain", "abc", Stream_TTL="600")

    def ask():
        return http.put_fork(path, f"{path}/a", Stream_TTL="1") if kind == "fork" else http.put(path, "text/plain", Stream_TTL="1")

    began = time.monotonic()
    expect(ask(), 201)
    http.append(path, "text/plain", "old", Stream_Seq="z")
    while (answer := ask()).status == 200:
        assert time.monotonic() - began < 3, "kept alive by repeated PUTs"
        time.sleep(0.02)
    expect(answer, 201)
    assert time.monotonic() - began >= 0.9
    http.append(path, "text/plain", "new", Stream_Seq="a")
    assert http.get(path).body == (b"abcnew" if kind == "fork" else b"new")
    expect(http.delete(path), 204)
    expect(http.delete(f"{path}/a"), 204)
    check_absent(http, f"{path}/a")


@pytest.mark.parametrize("look", ["get", "long-poll", "sse", "head", "post", "delete"])
def test_any_look_at_an_expired_fork_releases_its_source(fresh_stack, look: str) -> None:
    """8.3, 11.6: also a look that the live process takes; the chain above is gone within seconds."""
    stack = fresh_stack(**NO_SWEEP)
    with closing(Client(stack)) as http:
        http.create("a", "text/plain", "abc")
        http.fork("b", "a")
        end = time.time() + 0.3
        http.fork("c", "b", Stream_Expires_At=instant(0.3))
        for name in "ab":
            expect(http.delete(name), 204)
        sleep_until(end)
        expect(LOOKS[look](http, "c"), 404)
        for name in "ba":
            wait_for(http, name, 404, within=2)
            http.create(name, "text/plain")
