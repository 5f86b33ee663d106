"""SSE payloads: section 10.3, byte for byte, and what a hostile writer may try."""

from __future__ import annotations

import json
import re

import pytest

from client import Client, at, expect, position
from sse import EventSource, decode_base64
from stack import Stack


def lines_of(text: bytes) -> list[bytes]:
    """Split at every CRLF, CR and LF; CRLF counts once; empty pieces stay."""
    return re.split(rb"\r\n|\r|\n", text)


def test_example_of_the_protocol(stack: Stack, http: Client, path: str) -> None:
    """10.4: `one` CR LF `two` LF space `z` in two appends; the doubled space."""
    http.create(path, "text/plain", b"one\r\ntwo")
    tail = http.append(path, "text/plain", b"\n z").offset
    assert position(tail) == 11
    with EventSource(stack, path) as source:
        assert source.event().raw == b"event: data\ndata:one\ndata:two\ndata:  z"
        assert source.control()["streamNextOffset"] == tail


HOSTILE = {
    "lf": b"a\nb",
    "cr": b"a\rb",
    "crlf": b"a\r\nb",
    "lfcr": b"a\n\rb",
    "crcr": b"a\r\rb",
    "crcrlf": b"a\r\r\nb",
    "only-lf": b"\n",
    "only-cr": b"\r",
    "only-crlf": b"\r\n",
    "blank-lines": b"\n\n\n\n",
    "trailing-lf": b"a\n",
    "trailing-cr": b"a\r",
    "leading-lf": b"\na",
    "event-end": b"a\n\nb",
    "fake-control-lf": b'x\n\nevent: control\ndata:{"streamNextOffset":"-1","streamClosed":true}\n\n',
    "fake-control-cr": b'x\r\revent: control\rdata:{"streamNextOffset":"-1"}\r\r',
    "fake-control-crlf": b'x\r\n\r\nevent: control\r\ndata:{"streamNextOffset":"-1"}\r\n\r\n',
    "field-names": b"event: control\ndata:x\nid:1\nretry:1\n:comment\ndata",
    "colon-first": b": keep-alive\n\n:",
    "space": b" ",
    "spaces": b"   x\n  y\n z\n \n",
    "tab": b"\tx\n\t",
    "nul": b"a\x00b",
    "other-line-ends": "a\u2028b\u2029c\u0085d\x0be\x0cf".encode(),
    "bom": b"\xef\xbb\xbfabc",
    "non-ascii": "žluťoučký kůň €\U0001f600\n\U0001f600".encode(),
    "chunk-lookalike": b"0\r\n\r\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_text(stack: Stack, http: Client, path: str, text: bytes) -> None:
    """Nothing in a payload can end an event, open another, or pose as a control event."""
    http.create(path, "text/plain")
    with EventSource(stack, path) as live:
        live.control()
        tail = http.append(path, "text/plain", text).offset
        with EventSource(stack, path) as backlog:
            for source in (live, backlog):
                event = source.event()
                assert event.kind == "data" and event.lines == lines_of(text), event
                assert source.control()["streamNextOffset"] == tail
        http.append(path, "text/plain", "after")
        assert live.batch()[0] == b"after"


def test_line_end_split_over_appends(stack: Stack, http: Client, path: str) -> None:
    """Read as backlog, CR and LF of two appends are one CRLF of the payload."""
    http.create(path, "text/plain", b"a\r")
    http.append(path, "text/plain", b"\nb")
    with EventSource(stack, path) as source:
        assert source.event().lines == [b"a", b"b"]


@pytest.mark.parametrize("whole", ["€", "é", "\U0001f600"], ids=["3-bytes", "2-bytes", "4-bytes"])
def test_character_split_over_appends_live(stack: Stack, http: Client, path: str, whole: str) -> None:
    """14: an incomplete tail is held back until the next append completes it."""
    raw = whole.encode()
    for cut in range(1, len(raw)):
        name = f"{path}-{cut}"
        http.create(name, "text/plain")
        with EventSource(stack, name) as source:
            source.control()
            first = http.append(name, "text/plain", b"a" + raw[:cut]).offset
            data, control = source.batch()
            assert data == b"a", "the incomplete character has to wait"
            assert control["streamNextOffset"] == at(first, 1) and "upToDate" not in control, control
            second = http.append(name, "text/plain", raw[cut:] + b"z").offset
            data, control = source.batch()
            assert data == raw + b"z" and control["streamNextOffset"] == second and control["upToDate"] is True


def test_character_alone_and_split(stack: Stack, http: Client, path: str) -> None:
    """Successive controls strictly increase, so an append that completes nothing gives no event."""
    http.create(path, "text/plain")
    with EventSource(stack, path) as source:
        source.control()
        for byte in "€".encode()[:2]:
            http.append(path, "text/plain", bytes([byte]))
        tail = http.append(path, "text/plain", "€".encode()[2:]).offset
        data, control = source.batch()
        assert data == "€".encode() and control["streamNextOffset"] == tail


@pytest.mark.parametrize("live", [False, True], ids=["backlog", "live"])
@pytest.mark.parametrize(
    ("first", "second"),
    [(b"\xc3", b"\xa9"), (b"abc\xe2\x82", b"\xac"), (b"\xf0\x9f\x98", b"\x80"), (b"\r", b"\n"), (b"a\r", b"\n")],
    ids=["2-bytes", "behind-text", "4-bytes", "line-break", "line-break-behind-text"],
)
def test_split_before_an_append_that_fills_an_event(stack: Stack, http: Client, path: str, first: bytes, second: bytes, live: bool) -> None:
    """What was held back comes with the next append also where the two are more than one event holds."""
    http.create(path, "text/plain", first)
    rest = second + b"x" * (65_536 - len(second))
    tail = None if live else http.append(path, "text/plain", rest).offset
    text, control = b"", {}
    with EventSource(stack, path) as source:
        while control.get("streamNextOffset") != tail or tail is None:
            event = source.event()
            if event.kind == "data":
                text += event.text
            else:
                control = event.control
                tail = tail or http.append(path, "text/plain", rest).offset
    # At the tail a CR is a whole line break: nobody knows yet what comes behind it.
    line_breaks = b"\n\n" if live else b"\n"
    assert text == (first + rest).replace(b"\r\n", line_breaks)
    assert control["upToDate"] is True


def test_incomplete_tail_in_the_backlog_and_closure(stack: Stack, http: Client, path: str) -> None:
    """14: reported is the position before it; closure releases it as U+FFFD."""
    tail = http.create(path, "text/plain", b"a\xe2\x82").offset
    with EventSource(stack, path) as source:
        data, control = source.batch()
        assert data == b"a" and control["streamNextOffset"] == at(tail, 1) and "upToDate" not in control
        expect(http.post(path, Stream_Closed="true"), 204)
        data, control = source.batch()
        assert re.fullmatch("\ufffd{1,2}", data.decode()), data
        assert control == {"streamNextOffset": tail, "upToDate": True, "streamClosed": True}
        source.end()


@pytest.mark.parametrize(
    "raw",
    [b"a\xffb", b"a\x80b", b"a\xc3(b", b"a\xc0\x80b", b"a\xed\xa0\x80b", b"a\xf4\x90\x80\x80b", b"a\xe2\x82b", b"\xff\nb", b"a\xe2\nb"],
    ids=lambda raw: raw.hex(),
)
def test_invalid_utf8_is_replaced(stack: Stack, http: Client, path: str, raw: bytes) -> None:
    """14: invalid bytes become U+FFFD; the event stream itself is UTF-8; offsets count stored bytes."""
    tail = http.create(path, "text/plain", raw).offset
    with EventSource(stack, path) as source:
        data, control = source.batch()
    text = data.decode("utf-8")
    assert "\ufffd" in text and re.sub("\ufffd+", "?", text) == re.sub("\ufffd+", "?", raw.decode("utf-8", "replace"))
    assert control["streamNextOffset"] == tail and control["upToDate"] is True


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 57, 58, 1000, 65536, 65537])
def test_base64(stack: Stack, http: Client, path: str, size: int) -> None:
    """Standard base64 with padding of the very bytes; control events are never base64."""
    content = bytes((n * 7 + n // 256) % 256 for n in range(size))
    tail = http.create(path, "application/octet-stream", content).offset
    with EventSource(stack, path) as source:
        assert source.head.get("Stream-SSE-Data-Encoding") == "base64"
        pieces, control = source.until(tail)
        assert b"".join(decode_base64(piece) for piece in pieces) == content
        assert control["upToDate"] is True
        http.append(path, "application/octet-stream", b"\x00\n\r\xff")
        assert source.event().raw == b"event: data\ndata:AAoN/w=="


def test_json_payload_with_line_ends(stack: Stack, http: Client, path: str) -> None:
    """10.3: line ends between tokens inside a message split lines; joined they parse to the same."""
    body = b'[{"a":\r\n[1,\n2]},"x\\ny"]'
    http.create(path, "application/json", body)
    with EventSource(stack, path) as source:
        event = source.event()
    assert event.lines == lines_of(b'[{"a":\r\n[1,\n2]},"x\\ny"]')
    assert json.loads(event.text) == json.loads(body)


def test_large_backlog_comes_in_pieces(small_stack: Stack, small: Client, path: str) -> None:
    """Sequence 1, and 10.3: text is cut between characters; only the last control is up to date."""
    content = ("€" * 50_000).encode()
    tail = small.create(path, "text/plain", content).offset
    with EventSource(small_stack, path) as source:
        place, pieces = 0, 0
        while place < len(content):
            data, control = source.batch()
            data.decode("utf-8")
            assert data and content.startswith(data, place)
            place, pieces = place + len(data), pieces + 1
            assert control["streamNextOffset"] == at(tail, place)
            assert ("upToDate" in control) == (place == len(content))
    assert pieces >= 3


def test_large_json_backlog_comes_in_pieces(small_stack: Stack, small: Client, path: str) -> None:
    messages = [b'{"n":%d,"pad":"%s"}' % (n, b"p" * 500) for n in range(400)]
    tail = small.create(path, "application/json", b"[" + b",".join(messages) + b"]").offset
    with EventSource(small_stack, path) as source:
        pieces, control = source.until(tail)
    assert len(pieces) >= 3 and control["upToDate"] is True
    assert [m for piece in pieces for m in json.loads(piece)] == [json.loads(m) for m in messages]
    assert b",".join(piece[1:-1] for piece in pieces) == b",".join(messages)


def test_append_of_up_to_64_kib_is_never_split(small_stack: Stack, small: Client, path: str) -> None:
    """10.2, Choice: a data event covers whole consecutive appends."""
    small.create(path, "text/plain")
    for letter in b"abcd":
        tail = small.append(path, "text/plain", bytes([letter]) * 40_000).offset
    with EventSource(small_stack, path) as source:
        pieces, _ = source.until(tail)
    assert [len(piece) % 40_000 for piece in pieces] == [0] * len(pieces), [len(p) for p in pieces]
    assert b"".join(pieces) == b"".join(bytes([letter]) * 40_000 for letter in b"abcd")


@pytest.mark.parametrize("before", [65_533, 65_534, 65_535, 65_536])
def test_a_cut_leaves_line_breaks_whole(stack: Stack, http: Client, path: str, before: int) -> None:
    """10.3: CRLF counts once, also where the server cuts a large append into events."""
    http.create(path, "text/plain", b"x" * before + b"\r\n" + b"y" * 10, Stream_Closed="true")
    tail = http.head(path).offset
    with EventSource(stack, path) as source:
        parts, control = source.until(tail)
        assert b"".join(parts) == b"x" * before + b"\n" + b"y" * 10
        assert control["streamClosed"] is True


def test_head_tells_proxies_not_to_buffer(stack: Stack, http: Client, path: str) -> None:
    """10.1: proxies in front of nginx get to know it too."""
    http.create(path, "text/plain")
    with EventSource(stack, path) as source:
        assert source.head.get("X-Accel-Buffering") == "no"
