"""HEAD, DELETE and OPTIONS: 3.7, 3.8; other methods: 3.0 row 9."""

from __future__ import annotations

import pytest

from checks import ALLOW_HEADERS, ALLOW_METHODS, check_empty, check_error, check_fixed, check_protocol_headers
from client import Client, expect, url

ALLOW = "GET, HEAD, PUT, POST, DELETE, OPTIONS"


@pytest.mark.parametrize(
    ("extra", "shown"),
    [
        pytest.param({}, {}, id="plain"),
        pytest.param({"Stream_TTL": "3600"}, {"Stream_TTL": "3600"}, id="ttl"),
        pytest.param({"Stream_Expires_At": "2099-01-01T00:00:00.250+01:00"}, {"Stream_Expires_At": "2099-01-01T00:00:00.250+01:00"}, id="at"),
        pytest.param({"Stream_Closed": "true"}, {"Stream_Closed": "true"}, id="closed"),
        pytest.param({"Stream_Closed": "true", "Stream_TTL": "9"}, {"Stream_Closed": "true", "Stream_TTL": "9"}, id="closed-ttl"),
    ],
)
@pytest.mark.parametrize("type", ["text/plain", "application/json", "application/octet-stream"])
def test_head(http: Client, path: str, type: str, extra: dict[str, str], shown: dict[str, str]) -> None:
    """200 with type, tail, no-store and configuration; no body, no ETag."""
    tail = http.create(path, type, "1", **extra).offset
    for _ in range(2):
        head = http.head(path)
        assert head.status == 200 and head.body == b""
        check_fixed(head)
        assert head.get("Content-Type") == type and head.get("Cache-Control") == "no-store", head.describe()
        check_protocol_headers(head, Stream_Next_Offset=tail, **shown)
    # Nothing was sent after the head: the connection is still in step.
    expect(http.get(path), 200)


@pytest.mark.parametrize("body", ["", "x", "x" * 5000])
def test_head_speaks_of_no_compression(http: Client, path: str, body: str) -> None:
    """What a GET of this size would get is not known to a HEAD (3.7, 13.3)."""
    http.create(path, "text/plain", body)
    head = expect(http.request("HEAD", url(path), [("Accept-Encoding", "gzip, deflate")]), 200)
    assert head.get("Content-Encoding") is None and head.get("Vary") is None, head.describe()


def test_head_absent(http: Client, path: str) -> None:
    """404, fixed headers, no body."""
    head = http.head(path)
    assert head.status == 404 and head.body == b"" and head.get("Cache-Control") == "no-store", head.describe()
    check_fixed(head)
    check_protocol_headers(head)
    expect(http.put(path), 201)


def test_head_ignores_the_query(http: Client, path: str) -> None:
    tail = http.create(path, "text/plain", "abc").offset
    for query in ("offset=bad", "offset=", "offset=now&offset=now", "live=sse", "live=long-poll&offset=now", "live=sse&offset=-1"):
        head = http.request("HEAD", url(path, query))
        assert head.status == 200 and head.offset == tail and "Stream-Up-To-Date" not in head, head.describe()


@pytest.mark.parametrize("closed", ["true", "false"])
@pytest.mark.parametrize("query", ["", "offset=bad&live=sse"])
def test_delete(http: Client, path: str, closed: str, query: str) -> None:
    """204, then absent; closed streams like open ones."""
    http.create(path, "text/plain", "abc", Stream_Closed=closed)
    check_empty(http.request("DELETE", url(path, query)), 204)
    check_error(http.delete(path), 404, "STREAM_NOT_FOUND")
    check_error(http.get(path), 404, "STREAM_NOT_FOUND")
    check_error(http.post(path, "text/plain", "x"), 404, "STREAM_NOT_FOUND")
    assert http.head(path).status == 404


def test_delete_takes_that_stream_only(http: Client, path: str) -> None:
    names = [path, f"{path}/below", f"{path}x", path.upper()]
    for name in names:
        http.create(name, "text/plain", name)
    expect(http.delete(path), 204)
    for name in names[1:]:
        assert http.get(name).body == name.encode()


@pytest.mark.parametrize(
    "target",
    ["/v1/stream/t/absent", "/v1/stream", "/v1/stream/", "/", "/elsewhere", "/v1/p/stream/a", "/v1/stream/__ds/x", "/v1/stream/a/../b",
     "/v1/stream/a//b", "/v1/stream/%2F", "/healthz", "/v1/stream/t/a?live=sse&offset=-1", "/v1/stream/t/a?live=long-poll"],
)  # fmt: skip
def test_preflight(http: Client, target: str) -> None:
    """3.8: 204 for every path, before any look at it."""
    answer = http.request(
        "OPTIONS",
        target,
        [
            ("Origin", "https://app.example.com"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type,producer-id,producer-epoch,producer-seq"),
        ],
    )
    check_empty(answer, 204)
    assert answer.get("Access-Control-Allow-Methods") == ALLOW_METHODS
    assert answer.get("Access-Control-Allow-Headers") == ALLOW_HEADERS
    assert answer.get("Access-Control-Max-Age") == "86400"


def test_plain_options(http: Client, path: str) -> None:
    """Without preflight headers too, on a stream that exists, with a body."""
    http.create(path, "text/plain", "abc")
    check_empty(http.request("OPTIONS", url(path)), 204)
    check_empty(http.request("OPTIONS", url(path), (), b"body"), 204)
    assert http.get(path).body == b"abc"


@pytest.mark.parametrize("method", ["PATCH", "PROPFIND", "LOCK", "MKCOL", "COPY", "QUERY", "FOO", "GETX", "STREAM-APPEND", "X" * 30])
@pytest.mark.parametrize("query", ["", "offset=-1", "live=sse&offset=-1"])
def test_other_methods(http: Client, path: str, method: str, query: str) -> None:
    """405 with Allow, whether or not the stream exists; nothing happens."""
    answer = check_error(http.request(method, url(path, query), [("Content-Type", "text/plain")], b"abc"), 405)
    assert answer.get("Allow") == ALLOW
    http.create(path, "text/plain", "x")
    answer = check_error(http.request(method, url(path, query)), 405)
    assert answer.get("Allow") == ALLOW
    assert http.get(path).body == b"x"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_methods_nginx_knows_better(http: Client, path: str, method: str) -> None:
    """nginx refuses these itself; the answer has our shape all the same."""
    http.create(path, "text/plain", "x")
    answer = http.request(method, url(path))
    check_error(answer, answer.status)
    assert answer.status in (400, 405), answer.describe()
    assert http.get(path).body == b"x"


def test_allow_headers_are_for_preflight_only(http: Client, path: str) -> None:
    """13.2."""
    for answer in (http.put(path, "text/plain", "a"), http.get(path), http.head(path), http.get(path, "offset=bad")):
        for name, _ in answer.headers:
            assert not name.lower().startswith(("access-control-allow-m", "access-control-allow-h", "access-control-max"))
            assert name.lower() != "access-control-allow-credentials"
