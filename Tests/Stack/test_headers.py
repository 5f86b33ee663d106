"""13.1, 13.2 and 3.0: what is on every answer, whoever made it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from checks import check_error, check_fixed
from client import Client, expect, producer, url
from sse import EventSource
from stack import Stack
from wire import Response

Ask = Callable[[Client, str], Response]


def with_stream(ask: Ask) -> Ask:
    def run(client: Client, path: str) -> Response:
        client.create(path, "text/plain", "abc", Stream_TTL="900")
        return ask(client, path)

    return run


def closed(ask: Ask) -> Ask:
    def run(client: Client, path: str) -> Response:
        client.create(path, "text/plain", "abc", Stream_Closed="true")
        return ask(client, path)

    return run


def gone(client: Client, path: str) -> Response:
    old = client.create(path).offset
    expect(client.delete(path), 204)
    client.create(path)
    return client.get(path, f"offset={old}")


def stale(client: Client, path: str) -> Response:
    client.create(path, "text/plain")
    client.append(path, "text/plain", "a", **producer("p", 1, 0))
    return client.post(path, "text/plain", "a", **producer("p", 0, 0))


ANSWERS: dict[str, tuple[int, Ask]] = {
    "201": (201, lambda c, p: c.put(p, "text/plain", "abc")),
    "200-put": (200, with_stream(lambda c, p: c.put(p, "text/plain", Stream_TTL="900"))),
    "200-get": (200, with_stream(lambda c, p: c.get(p))),
    "200-get-now": (200, with_stream(lambda c, p: c.get(p, "offset=now"))),
    "200-head": (200, with_stream(lambda c, p: c.head(p))),
    "200-post-producer": (200, with_stream(lambda c, p: c.post(p, "text/plain", "x", **producer("p", 0, 0)))),
    "200-long-poll": (200, with_stream(lambda c, p: c.get(p, "live=long-poll&offset=-1"))),
    "204-post": (204, with_stream(lambda c, p: c.post(p, "text/plain", "x"))),
    "204-close": (204, with_stream(lambda c, p: c.post(p, Stream_Closed="true"))),
    "204-delete": (204, with_stream(lambda c, p: c.delete(p))),
    "204-options": (204, lambda c, p: c.request("OPTIONS", url(p))),
    "204-long-poll-closed": (204, closed(lambda c, p: c.get(p, "live=long-poll&offset=now"))),
    "304": (304, with_stream(lambda c, p: c.get(p, If_None_Match="*"))),
    "304-long-poll": (304, with_stream(lambda c, p: c.get(p, "live=long-poll&offset=-1", If_None_Match="*"))),
}
ERRORS: dict[str, tuple[int, Ask]] = {
    "400-offset": (400, with_stream(lambda c, p: c.get(p, "offset=x"))),
    "400-long-poll": (400, with_stream(lambda c, p: c.get(p, "offset=x&live=long-poll"))),
    "400-sse": (400, with_stream(lambda c, p: c.get(p, "live=sse"))),
    "400-path": (400, lambda c, p: c.request("GET", "/v1/stream/a/../b")),
    "400-post": (400, with_stream(lambda c, p: c.post(p, "text/plain", ""))),
    "403-fenced": (403, stale),
    "404-get": (404, lambda c, p: c.get(p)),
    "404-post": (404, lambda c, p: c.post(p, "text/plain", "x")),
    "404-delete": (404, lambda c, p: c.delete(p)),
    "404-long-poll": (404, lambda c, p: c.get(p, "live=long-poll&offset=-1")),
    "404-sse": (404, lambda c, p: c.get(p, "live=sse&offset=-1")),
    "404-outside": (404, lambda c, p: c.request("GET", "/nowhere")),
    "404-root": (404, lambda c, p: c.request("GET", "/")),
    "405": (405, lambda c, p: c.request("PATCH", url(p))),
    "409-put": (409, with_stream(lambda c, p: c.put(p, "text/html"))),
    "409-post": (409, with_stream(lambda c, p: c.post(p, "text/html", "x"))),
    "409-closed": (409, closed(lambda c, p: c.post(p, "text/plain", "x"))),
    "409-gap": (409, with_stream(lambda c, p: c.post(p, "text/plain", "x", **producer("p", 0, 3)))),
    "410": (410, gone),
    "413": (413, with_stream(lambda c, p: c.post(p, "text/plain", b"x" * (17 << 20)))),
    "414-path": (414, lambda c, p: c.request("GET", "/v1/stream/" + "a" * 2100)),
    "414-query": (414, with_stream(lambda c, p: c.get(p, "x=" + "a" * 4200))),
    "414-line": (414, lambda c, p: c.request("GET", "/v1/stream/" + "a" * 60000)),
    "415": (415, with_stream(lambda c, p: c.post(p, "text/plain", "x", Content_Encoding="gzip"))),
    "431-one": (431, with_stream(lambda c, p: c.get(p, X_Long="a" * 9000))),
    "431-all": (431, with_stream(lambda c, p: c.request("GET", url(p), [(f"X-{n}", "a" * 4000) for n in range(10)]))),
    "431-huge": (431, with_stream(lambda c, p: c.get(p, X_Long="a" * 60000))),
}


@pytest.mark.parametrize(("status", "ask"), (ANSWERS | ERRORS).values(), ids=(ANSWERS | ERRORS).keys())
def test_fixed_headers(http: Client, path: str, status: int, ask: Ask) -> None:
    """13.1 on every response, each exactly once."""
    check_fixed(expect(ask(http, path), status))


@pytest.mark.parametrize(("status", "ask"), (ANSWERS | ERRORS).values(), ids=(ANSWERS | ERRORS).keys())
def test_served_how(http: Client, path: str, status: int, ask: Ask) -> None:
    """Each response says how it was served; none of these may be a HIT."""
    served = expect(ask(http, path), status).get("X-Cache")
    assert served and re.fullmatch(r"[A-Z]+", served) and served != "HIT"


@pytest.mark.parametrize(("status", "ask"), ANSWERS.values(), ids=ANSWERS.keys())
def test_status_line(http: Client, path: str, status: int, ask: Ask) -> None:
    """RFC 9112 section 4: `HTTP/1.1 SP code SP [reason]`; the second space is no option."""
    line = ask(http, path).head.split(b"\r\n")[0]
    assert re.fullmatch(rb"HTTP/1\.1 %d [ -~]*" % status, line), line


@pytest.mark.parametrize(("status", "ask"), ERRORS.values(), ids=ERRORS.keys())
def test_error_shape(http: Client, path: str, status: int, ask: Ask) -> None:
    """JSON body, no-store; headers of 4.2 only where they belong."""
    answer = ask(http, path)
    headers: dict[str, object] = {}
    code = json.loads(answer.body)["error"]["code"] if answer.body.startswith(b'{"error"') else None
    if code == "STREAM_CLOSED":
        headers = {"Stream_Closed": "true", "Stream_Next_Offset": True}
    elif "Producer-Expected-Seq" in answer:
        headers = {"Producer_Expected_Seq": "0", "Producer_Received_Seq": "3"}
    elif status == 403:
        headers = {"Producer_Epoch": "1"}
    check_error(answer, status, **headers)


@pytest.mark.parametrize(("status", "ask"), ANSWERS.values(), ids=ANSWERS.keys())
def test_no_vary_beyond_accept_encoding(http: Client, path: str, status: int, ask: Ask) -> None:
    """9.5: no per-client headers, no Vary beyond Accept-Encoding."""
    answer = expect(ask(http, path), status)
    assert {part.strip().lower() for value in answer.all("Vary") for part in value.split(",")} <= {"accept-encoding"}
    assert "Set-Cookie" not in answer


def test_sse_fixed_headers(stack: Stack, http: Client, path: str) -> None:
    http.create(path, "text/plain")
    with EventSource(stack, path) as source:
        check_fixed(source.head)
        assert source.head.get("X-Cache") not in (None, "", "HIT"), source.head.describe()


def test_origin_makes_no_difference(http: Client, path: str) -> None:
    """The default configuration answers `*` and never reflects an origin."""
    http.create(path, "text/plain", "abc")
    for origin in ("https://app.example.com", "null", "https://evil.example"):
        check_fixed(http.get(path, Origin=origin))


@pytest.mark.parametrize("target", ["/healthz", "/readyz"])
def test_health(http: Client, target: str) -> None:
    answer = expect(http.request("GET", target), 200)
    check_fixed(answer)
    assert answer.get("X-Cache") != "HIT"


RAW: dict[str, tuple[bytes, set[int]]] = {
    "no-host": (b"GET /v1/stream/a HTTP/1.1\r\n\r\n", {400}),
    "two-hosts": (b"GET /v1/stream/a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    "bad-host": (b"GET /v1/stream/a HTTP/1.1\r\nHost: a/b\r\n\r\n", {400}),
    "bad-line": (b"GARBAGE\r\n\r\n", {400}),
    "no-target": (b"GET HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    "relative-target": (b"GET v1/stream/a HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    "nul-in-target": (b"GET /v1/stream/\x00a HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    "space-in-target": (b"GET /v1/stream/a b HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    "lower-case-method": (b"get /v1/stream/a HTTP/1.1\r\nHost: a\r\n\r\n", {400, 405}),
    "bad-length": (b"PUT /v1/stream/a HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", {400}),
    "text-length": (b"PUT /v1/stream/a HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\n", {400}),
    "two-lengths": (b"PUT /v1/stream/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", {400}),
    "length-and-chunked": (
        b"PUT /v1/stream/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "unknown-transfer-coding": (b"PUT /v1/stream/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", {400, 501}),
    "bad-chunk-size": (b"PUT /v1/stream/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n", {400}),
    "http-9": (b"GET /v1/stream/a HTTP/9.1\r\nHost: a\r\n\r\n", {400, 505}),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32, {400}),
}


@pytest.mark.parametrize(("raw", "statuses"), RAW.values(), ids=RAW.keys())
def test_answers_nginx_makes_itself(stack: Stack, http: Client, raw: bytes, statuses: set[int]) -> None:
    """Unparsable requests: fixed headers and a JSON body here too; nothing is stored."""
    with stack.connect() as connection:
        connection.send(raw)
        answer = connection.read_response()
    assert answer.status in statuses, answer.describe()
    check_error(answer, answer.status)
    expect(http.request("GET", "/v1/stream/a"), 404)
