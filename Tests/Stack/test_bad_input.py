"""Bad input: each gets its status and a JSON error, nothing is stored, nothing breaks.

After every refused request a good one follows on the same connection, where
HTTP allows it, and the stream still holds exactly what it held before.
"""

from __future__ import annotations

import socket

import pytest

from checks import check_error
from client import Client, expect, unique, url
from stack import Stack
from wire import Connection, ConnectionClosed, Response, build_request

LIMIT = 300_000  # DS_MAX_BODY_BYTES of the small stack
TEXT, JSON = "text/plain", "application/json"

# id: method, stream type, relative suffix, query, headers, body, status
ROWS: dict[str, tuple[str, str, str, dict[str, str], bytes | None, int]] = {
    "offset-malformed": ("GET", TEXT, "offset=12", {}, None, 400),
    "offset-repeated": ("GET", TEXT, "offset=-1&offset=-1", {}, None, 400),
    "offset-empty": ("GET", TEXT, "offset=", {}, None, 400),
    "json-broken": ("POST", JSON, "", {"Content-Type": JSON}, b'{"a":', 400),
    "json-deep": ("POST", JSON, "", {"Content-Type": JSON}, b"[" * 100_000, 400),
    "json-deep-closed": ("POST", JSON, "", {"Content-Type": JSON}, b"[" * 100_000 + b"]" * 100_000, 400),
    "json-deep-objects": ("POST", JSON, "", {"Content-Type": JSON}, b'{"a":' * 50_000, 400),
    "json-long-open-string": ("POST", JSON, "", {"Content-Type": JSON}, b'"' + b"a" * 250_000, 400),
    "json-long-number-then-junk": ("POST", JSON, "", {"Content-Type": JSON}, b"1" * 250_000 + b"x", 400),
    "json-blank": ("POST", JSON, "", {"Content-Type": JSON}, b" " * 250_000, 400),
    "json-not-utf8": ("POST", JSON, "", {"Content-Type": JSON}, b'["\xff\xfe"]', 400),
    "json-utf16": ("POST", JSON, "", {"Content-Type": JSON}, '{"a":1}'.encode("utf-16"), 400),
    "json-bom": ("POST", JSON, "", {"Content-Type": JSON}, b"\xef\xbb\xbf{}", 400),
    "json-empty-array": ("POST", JSON, "", {"Content-Type": JSON}, b"[]", 400),
    "body-over-the-limit": ("POST", TEXT, "", {"Content-Type": TEXT}, b"x" * (LIMIT + 1), 413),
    "body-far-over-the-limit": ("POST", TEXT, "", {"Content-Type": TEXT}, b"x" * (LIMIT * 10), 413),
    "body-over-the-limit-put": ("PUT", TEXT, "", {"Content-Type": TEXT}, b"x" * (LIMIT + 1), 413),
    "body-missing": ("POST", TEXT, "", {"Content-Type": TEXT}, b"", 400),
    "type-missing": ("POST", TEXT, "", {}, b"x", 400),
    "type-empty": ("POST", TEXT, "", {"Content-Type": ""}, b"x", 400),
    "type-wrong": ("POST", TEXT, "", {"Content-Type": "image/png"}, b"x", 409),
    "type-malformed": ("POST", TEXT, "", {"Content-Type": "///;;"}, b"x", 409),
    "type-not-ascii": ("POST", TEXT, "", {"Content-Type": "tëxt/plain"}, b"x", 409),
    "content-encoding": ("POST", TEXT, "", {"Content-Type": TEXT, "Content-Encoding": "gzip"}, b"x", 415),
    "producer-missing": ("POST", TEXT, "", {"Content-Type": TEXT, "Producer-Id": "p"}, b"x", 400),
    "producer-empty": ("POST", TEXT, "", {"Content-Type": TEXT, "Producer-Id": "", "Producer-Epoch": "0", "Producer-Seq": "0"}, b"x", 400),
    "producer-negative": ("POST", TEXT, "", {"Content-Type": TEXT, "Producer-Id": "p", "Producer-Epoch": "-1", "Producer-Seq": "0"}, b"x", 400),
    "producer-over-2-53": (
        "POST", TEXT, "", {"Content-Type": TEXT, "Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": "9007199254740992"}, b"x", 400,
    ),
    "producer-overflow": ("POST", TEXT, "", {"Content-Type": TEXT, "Producer-Id": "p", "Producer-Epoch": "9" * 400, "Producer-Seq": "0"}, b"x", 400),
    "stream-seq-too-long": ("POST", TEXT, "", {"Content-Type": TEXT, "Stream-Seq": "s" * 1025}, b"x", 400),
    "ttl-sign": ("PUT", TEXT, "", {"Content-Type": TEXT, "Stream-TTL": "+60"}, b"x", 400),
    "ttl-zeros": ("PUT", TEXT, "", {"Content-Type": TEXT, "Stream-TTL": "00060"}, b"x", 400),
    "ttl-overflow": ("PUT", TEXT, "", {"Content-Type": TEXT, "Stream-TTL": "99999999999999999999"}, b"x", 400),
    "expires-grammar": ("PUT", TEXT, "", {"Content-Type": TEXT, "Stream-Expires-At": "Jan 1 2030"}, b"x", 400),
    "expires-month-13": ("PUT", TEXT, "", {"Content-Type": TEXT, "Stream-Expires-At": "2099-13-01T00:00:00Z"}, b"x", 400),
    "method-unknown": ("BREW", TEXT, "", {"Content-Type": TEXT}, b"x", 405),
    "header-too-long": ("POST", TEXT, "", {"Content-Type": TEXT, "X-Long": "h" * 9000}, b"x", 431),
    "id-too-long": ("POST", TEXT, "", {"Content-Type": TEXT, "Producer-Id": "p" * 257, "Producer-Epoch": "0", "Producer-Seq": "0"}, b"x", 400),
    "live-without-offset": ("GET", TEXT, "live=sse", {}, None, 400),
    "query-too-long": ("GET", TEXT, "x=" + "q" * 5000, {}, None, 414),
}  # fmt: skip


def follow_up(stack: Stack, connection: Connection, answer: Response, path: str, body: bytes) -> None:
    """A good request on the same connection, or on a new one if the server closes this one."""
    if (answer.get("Connection") or "").lower() == "close" or connection.closed_by_peer:
        connection.close()
        connection = stack.connect()
    try:
        read = connection.exchange("GET", url(path))
    except ConnectionClosed:
        assert answer.status in (413, 414, 431), "the connection may close only where HTTP says so"
        connection = stack.connect()
        read = connection.exchange("GET", url(path))
    assert expect(read, 200).body == body
    connection.close()


@pytest.mark.parametrize(("method", "type", "query", "headers", "body", "status"), ROWS.values(), ids=ROWS.keys())
def test_refused(
    small_stack: Stack, small: Client, path: str, method: str, type: str, query: str, headers: dict[str, str], body: bytes | None, status: int
) -> None:
    held = b"0" if type == TEXT else b"[0]"
    before = small.create(path, type, b"0").offset
    connection = small_stack.connect()
    answer = connection.exchange(method, url(path, query), list(headers.items()), body)
    check_error(answer, status)
    follow_up(small_stack, connection, answer, path, held)
    assert small.head(path).offset == before
    if method == "PUT":
        # The same on a URL without a stream makes none.
        fresh = small_stack.connect()
        check_error(fresh.exchange(method, url(f"{path}-none"), list(headers.items()), body), status)
        fresh.close()
        expect(small.head(f"{path}-none"), 404)


def test_body_at_the_limit(small: Client, path: str) -> None:
    """The limit itself fits, by PUT and POST, with either framing."""
    small.create(path, TEXT, b"x" * LIMIT)
    small.append(path, TEXT, b"y" * LIMIT)
    expect(small.request("POST", url(path), [("Content-Type", TEXT)], chunks=[b"z" * 100_000] * 3), 204)
    content, _ = small.read_all(path)
    assert content == b"x" * LIMIT + b"y" * LIMIT + b"z" * LIMIT


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_chunked_body_over_the_limit(small_stack: Stack, small: Client, path: str, method: str) -> None:
    """413 although no Content-Length announced it; nothing is stored."""
    if method == "POST":
        small.create(path, TEXT, "0")
    with small_stack.connect() as connection:
        request = build_request(method, url(path), [("Content-Type", TEXT)], chunks=[b"x" * 50_000] * 7)
        try:
            connection.send(request)
        except ConnectionClosed:
            pass
        check_error(connection.read_response(), 413)
    expect(small.head(path), 200 if method == "POST" else 404)


def test_announced_body_over_the_limit_is_not_awaited(small_stack: Stack, small: Client, path: str) -> None:
    """3.2 row 5: may be answered from Content-Length; without the body no one has to wait."""
    small.create(path, TEXT, "0")
    with small_stack.connect() as connection:
        head = build_request("POST", url(path), [("Content-Type", TEXT), ("Content-Length", "99999999999")])
        connection.send(head)
        check_error(connection.read_response(), 413)
    assert small.get(path).body == b"0"


HALF = {
    "length-nothing-sent": b"Content-Length: 10\r\n\r\n",
    "length-half-sent": b"Content-Length: 10\r\n\r\n12345",
    "length-one-missing": b"Content-Length: 10\r\n\r\n123456789",
    "chunk-cut": b"Transfer-Encoding: chunked\r\n\r\nA\r\n12345",
    "chunk-without-end": b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    "chunk-size-only": b"Transfer-Encoding: chunked\r\n\r\n5",
    "head-cut": b"Content-Len",
    "json-whole-but-short": b"Content-Length: 10\r\n\r\n[1]",
}


@pytest.mark.parametrize("rest", HALF.values(), ids=HALF.keys())
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_half_sent_body(small_stack: Stack, small: Client, path: str, method: str, rest: bytes) -> None:
    """1.5: a body cut off in transit appends nothing and creates nothing."""
    if method == "POST":
        small.create(path, JSON)
    for polite in (True, False):
        connection = small_stack.connect()
        connection.send(f"{method} {url(path)} HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n".encode() + rest)
        if polite:
            connection.socket.shutdown(socket.SHUT_WR)
            assert b"HTTP/1.1 2" not in drain(connection)
        connection.close()
    if method == "POST":
        small.append(path, JSON, "7")
        assert small.get(path).body == b"[7]"
    else:
        expect(small.head(path), 404)


def drain(connection: Connection) -> bytes:
    try:
        while connection.fill():
            pass
    except ConnectionClosed:
        pass
    return connection.buffer


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_body_where_none_belongs(small: Client, path: str, method: str, chunked: bool) -> None:
    """It is read and dropped; the connection stays in step."""
    small.create(path, TEXT, "abc")
    body = b"GET /v1/stream/none HTTP/1.1\r\nHost: smuggled\r\n\r\n"
    answer = small.request(method, url(path), [], None if chunked else body, chunks=[body] if chunked else None)
    assert answer.status == {"GET": 200, "HEAD": 200, "DELETE": 204, "OPTIONS": 204, "PATCH": 405}[method], answer.describe()
    expect(small.get(path), 404 if method == "DELETE" else 200)


def test_pipelined_requests(small_stack: Stack, path: str) -> None:
    """Several requests in one packet are answered in order."""
    with small_stack.connect() as connection:
        text = [("Content-Type", TEXT)]
        requests = [("PUT", text, b"a"), ("POST", text, b"b"), ("POST", text, b""), ("POST", text, b"c"), ("GET", [], None)]
        connection.send(b"".join(build_request(m, url(path), h, b) for m, h, b in requests))
        answers = [connection.read_response(m) for m, _, _ in requests]
    assert [a.status for a in answers] == [201, 204, 400, 204, 200] and answers[-1].body == b"abc"


def test_expect_100_continue(small_stack: Stack, path: str) -> None:
    with small_stack.connect() as connection:
        connection.send(build_request("PUT", url(path), [("Content-Type", TEXT), ("Expect", "100-continue"), ("Content-Length", "3")]))
        assert connection.read_head().status == 100
        connection.send(b"abc")
        expect(connection.read_response("PUT"), 201)
        assert connection.exchange("GET", url(path)).body == b"abc"


@pytest.mark.parametrize("name", ["Producer-Seq", "Producer-Epoch", "Producer-Id", "Stream-Seq", "Content-Type", "Stream-Closed", "Authorization"])
def test_header_given_twice(small: Client, path: str, name: str) -> None:
    """However two lines are understood: no 5xx, and at most one append."""
    small.create(path, TEXT)
    fields = {"Content-Type": TEXT, "Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": "0", "Stream-Seq": "1"}
    pairs = list(fields.items()) + [(name, "7"), (name, "7")]
    answer = small.request("POST", url(path), pairs, b"x")
    assert answer.status in (200, 204, 400, 409), answer.describe()
    assert small.get(path).body == (b"x" if answer.status in (200, 204) else b"")


HEADER_BYTES = {
    "nul": b"a\x00b",
    "control": b"a\x01b",
    "bare-cr": b"a\rb",
    "delete": b"a\x7fb",
    "not-utf8": b"\xff\xfe",
    "latin-1": b"caf\xe9",
}


@pytest.mark.parametrize("value", HEADER_BYTES.values(), ids=HEADER_BYTES.keys())
@pytest.mark.parametrize("name", [b"Content-Type", b"Stream-Seq", b"Producer-Id", b"Stream-Expires-At", b"If-None-Match", b"X-Other"])
def test_odd_bytes_in_headers(small_stack: Stack, path: str, name: bytes, value: bytes) -> None:
    """Refused or taken, never a 5xx; answers carry no such byte back and stay well-formed."""
    if name == b"Content-Type":
        value = b"text/" + value
    headers = [(name, value)] if name == b"Content-Type" else [(b"Content-Type", b"text/plain"), (name, value)]
    if name == b"Producer-Id":
        headers += [(b"Producer-Epoch", b"0"), (b"Producer-Seq", b"0")]
    for method in (b"PUT", b"POST", b"GET", b"HEAD"):
        with small_stack.connect() as connection:
            body = b"x" if method in (b"PUT", b"POST") else None
            answer = connection.exchange(method, url(path), headers, body)
            assert answer.status < 500, answer.describe()
            assert b"\x00" not in answer.head and b"\r" not in answer.head.replace(b"\r\n", b"")
    with small_stack.connect() as connection:
        expect(connection.exchange("GET", "/readyz"), 200)


def test_many_good_requests_after_all_this(small: Client) -> None:
    """The pool is whole: more requests than it has threads, all answered."""
    name = unique("after")
    small.create(name, TEXT)
    for n in range(50):
        small.append(name, TEXT, "x")
    assert small.get(name).body == b"x" * 50
