"""Long-poll and SSE on forks: inherited data at once, then the fork's own appends only (11.4)."""

from __future__ import annotations

import base64

import pytest

from checks import CACHEABLE, check_empty, check_error, check_read
from client import ZERO, Client, at, expect, instant
from sse import EventSource
from stack import Stack
from test_long_poll import DIGITS, waiting
from test_sse import check_head

JSON = "application/json"


@pytest.mark.parametrize("type", ["text/plain", JSON])
def test_long_poll_below_and_at_the_fork_point(stack: Stack, http: Client, path: str, type: str) -> None:
    """Below: 200 at once. At the fork's tail: waits for the fork's appends; the source's do not wake it."""
    json = type == JSON

    def content(text: str) -> bytes:
        return b"[" + ",".join(text).encode() + b"]" if json else text.encode()

    tail = http.create(f"{path}/a", type, "1").offset
    for digit in "234":
        http.append(f"{path}/a", type, digit)
    http.fork(f"{path}/b", f"{path}/a", at=at(tail, 3))
    for start, token in ((0, "-1"), (0, ZERO), (1, at(tail, 1)), (2, at(tail, 2))):
        read = http.get(f"{path}/b", f"live=long-poll&offset={token}")
        check_read(read, content("123"[start:]), type=type, cache=CACHEABLE, next_offset=at(tail, 3), cursor=DIGITS)
    # Position 3 has content on the source, and none on the fork.
    with waiting(stack, f"{path}/b", at(tail, 3)) as reader, waiting(stack, f"{path}/a", at(tail, 4)) as other:
        http.append(f"{path}/a", type, "5")
        assert other.read_response().body == content("5")
        assert reader.quiet_for(0.2), "woken by an append to the source"
        end = http.append(f"{path}/b", type, "9").offset
        check_read(reader.read_response(), content("9"), type=type, cache=CACHEABLE, next_offset=end, cursor=DIGITS)
    read = http.get(f"{path}/b", f"live=long-poll&offset={at(tail, 2)}")
    check_read(read, content("39"), type=type, cache=CACHEABLE, next_offset=end, cursor=DIGITS)


def test_appends_to_a_fork_do_not_wake_others(stack: Stack, http: Client, path: str) -> None:
    """Neither its source's readers, nor its siblings', nor its own forks'."""
    tail = http.create(f"{path}/a", "text/plain", "abc").offset
    for name, source in (("b", "a"), ("c", "a"), ("d", "b")):
        http.fork(f"{path}/{name}", f"{path}/{source}")
    readers = {name: waiting(stack, f"{path}/{name}", tail, quiet=0) for name in "acd"}
    with waiting(stack, f"{path}/b", tail) as own:
        http.append(f"{path}/b", "text/plain", "own", Stream_Closed="true")
        answer = own.read_response()
        assert answer.body == b"own" and answer.get("Stream-Closed") == "true"
    for name, reader in readers.items():
        assert reader.quiet_for(0.1), name
        http.append(f"{path}/{name}", "text/plain", name)
        assert reader.read_response().body == name.encode()
        reader.close()


def test_closure_wakes_only_its_own_readers(stack: Stack, http: Client, path: str) -> None:
    tail = http.create(f"{path}/a", "text/plain", "abc").offset
    http.fork(f"{path}/b", f"{path}/a")
    with waiting(stack, f"{path}/a", tail) as source, waiting(stack, f"{path}/b", tail) as fork:
        expect(http.post(f"{path}/a", Stream_Closed="true"), 204)
        check_empty(source.read_response(), 204, Stream_Next_Offset=tail, Stream_Up_To_Date="true", Stream_Closed="true")
        assert fork.quiet_for(0.2)
        expect(http.post(f"{path}/b", Stream_Closed="true"), 204)
        check_empty(fork.read_response(), 204, Stream_Next_Offset=tail, Stream_Up_To_Date="true", Stream_Closed="true")


def test_long_poll_chunks(small: Client, path: str) -> None:
    """A cut chunk below the fork point is not up to date; the next goes across it."""
    tail = small.create(f"{path}/a", "text/plain", "s" * 100_000).offset
    small.fork(f"{path}/b", f"{path}/a", None, "o" * 10_000, at=at(tail, 80_000))
    first = small.get(f"{path}/b", "live=long-poll&offset=-1")
    assert first.status == 200 and len(first.body) == 65536 and "Stream-Up-To-Date" not in first
    second = small.get(f"{path}/b", f"live=long-poll&offset={first.offset}")
    assert second.body == b"s" * (80_000 - 65536) + b"o" * 10_000 and "Stream-Up-To-Date" in second


@pytest.mark.parametrize(("type", "encoding"), [("text/plain", None), (JSON, None), ("application/octet-stream", "base64")])
def test_events(stack: Stack, http: Client, path: str, type: str, encoding: str | None) -> None:
    """Inherited, then own, then live data; the source's appends never show."""

    def content(data: bytes) -> bytes:
        return base64.b64decode(data.replace(b"\n", b"")) if encoding else data.strip(b"[]").replace(b",", b"")

    tail = http.create(f"{path}/a", type, "1").offset
    for digit in "234":
        http.append(f"{path}/a", type, digit)
    http.fork(f"{path}/b", f"{path}/a", None, "7", at=at(tail, 3))
    http.append(f"{path}/b", type, "8")
    with EventSource(stack, f"{path}/b") as source, EventSource(stack, f"{path}/b", f"offset={at(tail, 2)}") as later:
        check_head(source, **({"Stream_SSE_Data_Encoding": encoding} if encoding else {}))
        for reader, expected in ((source, b"12378"), (later, b"378")):
            pieces, control = reader.until(at(tail, 5))
            assert b"".join(map(content, pieces)) == expected and control["upToDate"] is True
        http.append(f"{path}/a", type, "5")
        assert source.connection.quiet_for(0.2) and later.connection.quiet_for(0)
        for n in range(5):
            end = http.append(f"{path}/b", type, str(n)).offset
            for reader in (source, later):
                data, control = reader.batch()
                assert content(data) == b"%d" % n and control["streamNextOffset"] == end
        tail = http.append(f"{path}/b", type, "0", Stream_Closed="true").offset
        for reader in (source, later):
            data, control = reader.batch()
            assert content(data) == b"0" and control == {"streamNextOffset": tail, "upToDate": True, "streamClosed": True}
            reader.end()
    assert "Stream-Closed" not in http.head(f"{path}/a")


@pytest.mark.parametrize("offset", ["now", "at", "beyond"])
def test_events_at_the_fork_point(stack: Stack, http: Client, path: str, offset: str) -> None:
    """A control with the fork's tail at once, then own data; the source's tail is beyond it."""
    tail = http.create(f"{path}/a", "text/plain", "abcdef").offset
    end = http.fork(f"{path}/b", f"{path}/a", at=at(tail, 4)).offset
    with EventSource(stack, f"{path}/b", "offset=" + {"now": "now", "at": end, "beyond": tail}[offset]) as source:
        control = source.control()
        assert control["streamNextOffset"] == end and control["upToDate"] is True
        http.append(f"{path}/b", "text/plain", "x")
        assert source.batch()[0] == b"x"


def test_events_over_a_long_chain(stack: Stack, http: Client, path: str) -> None:
    """Large parts, each from another ancestor: events of at most 64 KiB, without gap or repetition."""
    tail, content = http.create(f"{path}/0", "text/plain", "0" * 50_000).offset, b"0" * 50_000
    for n in range(1, 8):
        content = content[: 40_000 * n] + b"%d" % n * 50_000
        http.fork(f"{path}/{n}", f"{path}/{n - 1}", None, b"%d" % n * 50_000, at=at(tail, 40_000 * n))
    with EventSource(stack, f"{path}/7") as source:
        pieces, _ = source.until(at(tail, len(content)))
    assert b"".join(pieces) == content and max(map(len, pieces)) <= 65536


@pytest.mark.parametrize("cut", range(1, 4))
def test_events_inside_a_character(stack: Stack, http: Client, path: str, cut: int) -> None:
    """10.2: a fork point inside a character is held back until the fork's own bytes complete it."""
    text = "a😀".encode()
    tail = http.create(f"{path}/a", "text/plain", text).offset
    http.fork(f"{path}/b", f"{path}/a", at=ZERO, sub=str(1 + cut))
    with EventSource(stack, f"{path}/b") as source:
        data, control = source.batch()
        assert data == b"a" and control["streamNextOffset"] == at(tail, 1) and "upToDate" not in control
        end = http.append(f"{path}/b", "text/plain", text[1 + cut :] + b"!").offset
        data, control = source.batch()
        assert data == "😀!".encode() and control["streamNextOffset"] == end and control["upToDate"] is True


def test_events_of_a_fork_closed_inside_a_character(stack: Stack, http: Client, path: str) -> None:
    """Section 14: the incomplete character is held back until the closure, which replaces it."""
    text = "a😀".encode()
    tail = http.create(f"{path}/a", "text/plain", text).offset
    http.fork(f"{path}/b", f"{path}/a", at=ZERO, sub="3")
    with EventSource(stack, f"{path}/b") as source:
        assert source.batch()[0] == b"a"
        expect(http.post(f"{path}/b", Stream_Closed="true"), 204)
        data, control = source.batch()
        assert set(data.decode()) == {"\ufffd"}
        assert control == {"streamNextOffset": at(tail, 3), "upToDate": True, "streamClosed": True}
        source.end()
    assert http.get(f"{path}/b").body == text[:3] and http.get(f"{path}/a").body == text


@pytest.mark.parametrize("live", ["long-poll", "sse"])
def test_tokens_of_a_former_source(http: Client, path: str, live: str) -> None:
    """2.5: a fork knows the tokens of its source's incarnation only, and of that one in its own part too."""
    former = http.create(f"{path}/a", "text/plain", "abc").offset
    expect(http.delete(f"{path}/a"), 204)
    tail = http.create(f"{path}/a", "text/plain", "abc").offset
    end = http.fork(f"{path}/b", f"{path}/a", None, "d", Stream_Closed="true").offset
    for place in (0, 1, 3, 4, 9):
        check_error(http.get(f"{path}/b", f"live={live}&offset={at(former, place)}"), 410, "OFFSET_GONE")
        assert http.get(f"{path}/b", f"live={live}&offset={at(tail, place)}").status in (200, 204)
    assert end == at(tail, 4)


def test_readers_of_a_soft_deleted_source(stack: Stack, http: Client, path: str) -> None:
    """3.7: long-polls end with 410, events just end; the fork's readers go on."""
    tail = http.create(f"{path}/a", "text/plain", "abc").offset
    http.fork(f"{path}/b", f"{path}/a")
    with waiting(stack, f"{path}/a", tail) as poll, waiting(stack, f"{path}/b", tail) as other, EventSource(stack, f"{path}/a") as events:
        events.batch()
        with EventSource(stack, f"{path}/b") as others:
            others.batch()
            expect(http.delete(f"{path}/a"), 204)
            check_error(poll.read_response(), 410)
            events.end()
            assert other.quiet_for(0.2) and others.connection.quiet_for(0)
            http.append(f"{path}/b", "text/plain", "d")
            assert other.read_response().body == b"d" and others.batch()[0] == b"d"
    for query in (f"live=long-poll&offset={tail}", "live=sse&offset=-1", "offset=bad&live=sse", "live=sse"):
        check_error(http.get(f"{path}/a", query), 410)


def test_readers_of_an_expiring_source(stack: Stack, http: Client, path: str) -> None:
    """8.2: when Expires-At passes, waiters of a stream with forks end with 410, SSE connections end."""
    tail = http.create(f"{path}/a", "text/plain", "abc", Stream_Expires_At=instant(1.2)).offset
    http.fork(f"{path}/b", f"{path}/a", Stream_TTL="600")
    with waiting(stack, f"{path}/a", tail) as poll, EventSource(stack, f"{path}/a") as events:
        events.batch()
        check_error(poll.read_response(), 410)
        events.end()
    check_read(http.get(f"{path}/b"), b"abc", type="text/plain", cache=CACHEABLE, next_offset=tail)


def test_readers_of_a_deleted_fork(stack: Stack, http: Client, path: str) -> None:
    """404 for the fork's waiters; the last fork of a soft-deleted source takes that along, and nobody else."""
    tail = http.create(f"{path}/a", "text/plain", "abc").offset
    for name in "bc":
        http.fork(f"{path}/{name}", f"{path}/a")
    with waiting(stack, f"{path}/b", tail) as first, waiting(stack, f"{path}/c", tail) as second:
        expect(http.delete(f"{path}/a"), 204)
        expect(http.delete(f"{path}/b"), 204)
        check_error(first.read_response(), 404)
        assert second.quiet_for(0.1)
        expect(http.delete(f"{path}/c"), 204)
        check_error(second.read_response(), 404)
    expect(http.head(f"{path}/a"), 404)
