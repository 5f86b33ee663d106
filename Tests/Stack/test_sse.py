"""SSE: response head, order of events, closure, deletion and delivery (10.1, 10.2)."""

from __future__ import annotations

import re
import signal
import threading

import pytest

from checks import check_fixed, check_protocol_headers
from client import ZERO, Client, at, expect, instant, url
from sse import EventSource
from stack import Stack
from test_long_poll import interval

CONTROL = rb'event: control\ndata:\{"streamNextOffset":"%s","streamCursor":"[0-9]+","upToDate":true\}'


def check_head(source: EventSource, **headers: str) -> None:
    """10.1: exact values, and what must never be there."""
    head = source.head
    assert head.status == 200, head.describe()
    check_fixed(head)
    assert head.get("Content-Type") == "text/event-stream" and head.get("Cache-Control") == "no-cache", head.describe()
    for name in ("Content-Length", "Content-Encoding", "ETag", "Last-Modified"):
        assert name not in head, head.describe()
    check_protocol_headers(head, **headers)


@pytest.mark.parametrize(
    ("type", "encoding"),
    [
        ("text/plain", None),
        ("TEXT/Html; charset=utf-8", None),
        ("text/event-stream", None),
        ("application/json", None),
        ("Application/JSON;x=y", None),
        ("application/octet-stream", "base64"),
        ("application/ld+json", "base64"),
        ("application/ndjson", "base64"),
        ("application/xml", "base64"),
        ("image/svg+xml", "base64"),
        ("textual/plain", "base64"),
    ],
)
@pytest.mark.parametrize("accept", [None, "gzip"])
def test_head(stack: Stack, http: Client, path: str, type: str, encoding: str | None, accept: str | None) -> None:
    """The encoding header iff the media type is neither text/* nor application/json; sent at once."""
    http.create(path, type)
    with EventSource(stack, path, headers=[("Accept-Encoding", accept)] if accept else ()) as source:
        check_head(source, **({"Stream_SSE_Data_Encoding": encoding} if encoding else {}))


@pytest.mark.parametrize("query", ["offset=-1", f"offset={ZERO}", "offset=now", "offset=-1&x=1", "offset=-1&cursor=bad"])
def test_nothing_to_send(stack: Stack, http: Client, path: str, query: str) -> None:
    """Sequence 2: one control immediately, with the real tail token."""
    tail = http.create(path, "text/plain").offset
    with EventSource(stack, path, query) as source:
        event = source.event()
        assert re.fullmatch(CONTROL % tail.encode(), event.raw), event.raw


def test_now_has_no_history(stack: Stack, http: Client, path: str) -> None:
    tail = http.create(path, "text/plain", "history").offset
    with EventSource(stack, path, "offset=now") as source:
        assert source.control()["streamNextOffset"] == tail
        end = http.append(path, "text/plain", "news").offset
        data, control = source.batch()
        assert data == b"news" and control["streamNextOffset"] == end and control["upToDate"] is True


def test_backlog_then_live(stack: Stack, http: Client, path: str) -> None:
    """Sequences 1 and 3; each control follows its data at once and moves forward."""
    tail = http.create(path, "application/json", '[{"t":1},{"t":2}]').offset
    with EventSource(stack, path) as source:
        data, control = source.batch()
        assert data == b'[{"t":1},{"t":2}]' and control["streamNextOffset"] == tail and control["upToDate"] is True
        for n in range(20):
            end = http.append(path, "application/json", f'{{"t":{n}}}').offset
            data, control = source.batch()
            assert data == b'[{"t":%d}]' % n and control["streamNextOffset"] == end and control["upToDate"] is True


def test_from_the_middle(stack: Stack, http: Client, path: str) -> None:
    tail = http.create(path, "text/plain", "abcdef").offset
    with EventSource(stack, path, f"offset={at(tail, 4)}") as source:
        assert source.batch()[0] == b"ef"


def test_beyond_the_tail(stack: Stack, http: Client, path: str) -> None:
    """2.5: control with the tail, then live from the tail."""
    tail = http.create(path, "text/plain", "abc").offset
    with EventSource(stack, path, f"offset={at(tail, 10)}") as source:
        control = source.control()
        assert control["streamNextOffset"] == tail and control["upToDate"] is True
        http.append(path, "text/plain", "d")
        assert source.batch()[0] == b"d"


def test_unbuffered(stack: Stack, http: Client, path: str) -> None:
    """Each event has arrived before the next append is even sent, however small it is."""
    http.create(path, "text/plain")
    with EventSource(stack, path, "offset=now") as source:
        source.control()
        for letter in "abcdefghijklmnopqrstuvwxyz":
            http.append(path, "text/plain", letter)
            assert source.batch()[0] == letter.encode()


def test_closing_append_reaches_the_waiting_reader(stack: Stack, http: Client, path: str) -> None:
    """Sequence 4: data, control with streamClosed and upToDate, then the end."""
    for attempt in range(10):
        name = f"{path}-{attempt}"
        http.create(name, "text/plain", "a")
        with EventSource(stack, name, "offset=now") as source:
            source.control()
            tail = http.append(name, "text/plain", "last", Stream_Closed="true").offset
            data, control = source.batch()
            assert data == b"last"
            assert control == {"streamNextOffset": tail, "upToDate": True, "streamClosed": True}
            source.end()


def test_closed_without_data(stack: Stack, http: Client, path: str) -> None:
    tail = http.create(path, "text/plain", "a").offset
    with EventSource(stack, path) as source:
        source.batch()
        expect(http.post(path, Stream_Closed="true"), 204)
        assert source.control() == {"streamNextOffset": tail, "upToDate": True, "streamClosed": True}
        source.end()


def test_closed_before_the_request(stack: Stack, http: Client, path: str) -> None:
    """The same right after the backlog; the head does not yet say so."""
    tail = http.create(path, "text/plain", "abc", Stream_Closed="true").offset
    with EventSource(stack, path) as source:
        check_head(source)
        data, control = source.batch()
        assert data == b"abc" and control == {"streamNextOffset": tail, "upToDate": True, "streamClosed": True}
        source.end()


@pytest.mark.parametrize("offset", ["now", "tail", "beyond"])
def test_at_the_tail_of_a_closed_stream(stack: Stack, http: Client, path: str, offset: str) -> None:
    """2.4 and 10.1: one control, and the three headers on the head."""
    tail = http.create(path, "application/json", "1", Stream_Closed="true").offset
    token = {"now": "now", "tail": tail, "beyond": at(tail, 5)}[offset]
    with EventSource(stack, path, f"offset={token}") as source:
        if offset != "beyond":
            check_head(source, Stream_Closed="true", Stream_Up_To_Date="true", Stream_Next_Offset=tail)
        assert source.control() == {"streamNextOffset": tail, "upToDate": True, "streamClosed": True}
        source.end()


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "deleted-and-created-again"])
def test_deleted(stack: Stack, http: Client, path: str, again: bool) -> None:
    """Sequence 5: the response ends without a further event."""
    http.create(path, "text/plain", "a")
    with EventSource(stack, path) as source:
        source.batch()
        expect(http.delete(path), 204)
        if again:
            http.create(path, "text/plain", "other")
        source.end()


def test_expires_at_passes(stack: Stack, http: Client, path: str) -> None:
    """8.2: SSE connections end."""
    http.create(path, "text/plain", "a", Stream_Expires_At=instant(1.2))
    with EventSource(stack, path) as source:
        source.batch()
        source.end()


def test_open_connection_keeps_the_stream_alive(stack: Stack, http: Client, path: str) -> None:
    """8.2: while it is open the stream does not expire by TTL."""
    http.create(path, "text/plain", "a", Stream_TTL="1")
    with EventSource(stack, path) as source:
        source.batch()
        assert source.connection.quiet_for(2.5), source.next()
        http.append(path, "text/plain", "b")
        assert source.batch()[0] == b"b"


def test_server_shuts_down(fresh_stack) -> None:
    """Sequence 5: an orderly end."""
    stack = fresh_stack()
    client = Client(stack)
    client.create("a", "text/plain", "x")
    client.close()
    with EventSource(stack, "a") as source:
        source.batch()
        stack.signal(signal.SIGTERM)
        source.end()
    assert stack.wait() == 0


@pytest.mark.parametrize("sent", [None, "0", "garbage", "ahead", str(2**60)])
def test_cursor(stack: Stack, http: Client, path: str, sent: str | None) -> None:
    """9.4: computed from the request once; never decreases within one connection."""
    http.create(path, "text/plain", "a")
    ahead = interval() + 1000
    query = "offset=-1" + ("" if sent is None else f"&cursor={ahead if sent == 'ahead' else sent}")
    before = interval()
    with EventSource(stack, path, query) as source:
        first = int(str(source.batch()[1]["streamCursor"]))
        if sent == "ahead":
            assert ahead < first <= ahead + 180
        else:
            assert before <= first <= interval()
        http.append(path, "text/plain", "b")
        second = int(str(source.batch()[1]["streamCursor"]))
        assert first <= second <= max(first, interval())


def test_many_subscribers_get_the_same(stack: Stack, http: Client, path: str) -> None:
    http.create(path, "text/plain", "backlog")
    sources = [EventSource(stack, path) for _ in range(50)]
    for source in sources:
        assert source.batch()[0] == b"backlog"
    for n in range(5):
        tail = http.append(path, "text/plain", f"message {n}").offset
        for source in sources:
            data, control = source.batch()
            assert data == b"message %d" % n and control["streamNextOffset"] == tail
    for source in sources:
        source.connection.close()


def test_concurrent_appends_lose_nothing(stack: Stack, http: Client, path: str) -> None:
    """1.3: one order for all readers, whichever worker took an append."""
    http.create(path, "application/json")
    writers, each = 6, 60
    with EventSource(stack, path, "offset=now") as early:
        early.control()

        def write(number: int) -> None:
            client = Client(stack)
            for n in range(each):
                client.append(path, "application/json", f'"{number}-{n}"')
            client.close()

        threads = [threading.Thread(target=write, args=(w,)) for w in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tail = http.head(path).offset
        live, control = early.until(tail)
    assert control["upToDate"] is True
    whole = http.get(path).body
    assert b"[" + b",".join(piece[1:-1] for piece in live) + b"]" == whole
    for number in range(writers):
        order = [int(n) for n in re.findall(rb'"%d-(\d+)"' % number, whole)]
        assert order == list(range(each))


@pytest.mark.parametrize("query", ["live=%73se&offset=-1", "x=live&l%69ve=sse&offset=-1", "offset=-1&live=ss%65"])
def test_escaped_parameter(stack: Stack, http: Client, path: str, query: str) -> None:
    """2.3: query components are decoded once, then matched; so this is SSE."""
    http.create(path, "text/plain", "abc")
    with stack.connect() as connection:
        connection.send(f"GET {url(path, query)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = connection.read_head()
    assert head.status == 200 and head.get("Content-Type") == "text/event-stream", head.describe()
