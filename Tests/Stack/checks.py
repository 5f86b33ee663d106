"""Assertions that hold for whole kinds of answers, straight from the protocol's tables."""

from __future__ import annotations

import json
import re

from wire import Response

TOKEN = re.compile(r"[0-9]{16}_[0-9]{16}")

EXPOSED = (
    "Stream-Next-Offset, Stream-Cursor, Stream-Up-To-Date, Stream-Closed, Stream-TTL, "
    "Stream-Expires-At, Stream-SSE-Data-Encoding, Producer-Epoch, Producer-Seq, "
    "Producer-Expected-Seq, Producer-Received-Seq, ETag, Location, Content-Type, "
    "Content-Encoding, Vary, Retry-After"
)
ALLOW_METHODS = "GET, POST, PUT, DELETE, HEAD, OPTIONS"
ALLOW_HEADERS = (
    "Accept, Authorization, Cache-Control, Content-Type, If-None-Match, Last-Event-ID, "
    "Stream-Seq, Stream-TTL, Stream-Expires-At, Stream-Closed, Stream-Forked-From, "
    "Stream-Fork-Offset, Stream-Fork-Sub-Offset, Producer-Id, Producer-Epoch, Producer-Seq"
)
CACHEABLE = "public, max-age=60, stale-while-revalidate=300"

# Header names of this protocol that 4.2 lists for responses.
PROTOCOL_HEADERS = {
    "stream-next-offset",
    "stream-up-to-date",
    "stream-closed",
    "stream-cursor",
    "stream-ttl",
    "stream-expires-at",
    "etag",
    "location",
    "producer-epoch",
    "producer-seq",
    "producer-expected-seq",
    "producer-received-seq",
    "stream-sse-data-encoding",
}


def check_fixed(response: Response) -> Response:
    """13.1: the headers that are on every response."""
    for name, value in (
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Expose-Headers", EXPOSED),
    ):
        assert response.all(name) == [value], f"{name} is {response.all(name)} on {response.describe()}"
    for name, _ in response.headers:
        assert not name.lower().startswith(("stream-fork", "x-accel")) or name.lower() == "x-accel-buffering", (
            f"{name} must not be sent: {response.describe()}"
        )
    return response


def protocol_headers(response: Response) -> dict[str, str]:
    """All headers of 4.2 that the response carries, each at most once."""
    names = {name.lower() for name, _ in response.headers} & PROTOCOL_HEADERS
    return {name: response.get(name) or "" for name in sorted(names)}


def check_protocol_headers(response: Response, **expected: object) -> Response:
    """Exactly these headers of 4.2 and no other.

    Keywords are header names with underscores; the value True accepts any
    value, a compiled expression has to match the whole value.
    """
    found = protocol_headers(response)
    wanted = {key.lower().replace("_", "-"): value for key, value in expected.items() if value is not None}
    assert set(found) == set(wanted), f"expected {sorted(wanted)}, got {sorted(found)} on {response.describe()}"
    for name, value in wanted.items():
        if value is True:
            continue
        if isinstance(value, re.Pattern):
            assert value.fullmatch(found[name]), f"{name}: {found[name]!r} does not match {value.pattern}"
        else:
            assert found[name] == value, f"{name}: expected {value!r}, got {response.describe()}"
    return response


def check_error(response: Response, status: int, code: str | None = None, **headers: object) -> Response:
    """3.0: JSON error body, no-store, fixed headers, and only the named headers of 4.2."""
    assert response.status == status, f"expected {status}, got {response.describe()}"
    check_fixed(response)
    assert response.get("Content-Type") == "application/json", response.describe()
    assert response.get("Cache-Control") == "no-store", response.describe()
    document = json.loads(response.body)
    assert set(document) == {"error"}, response.describe()
    error = document["error"]
    assert set(error) == {"code", "message"}, response.describe()
    assert re.fullmatch(r"[A-Z][A-Z0-9_]*", error["code"]), error
    assert isinstance(error["message"], str) and error["message"], error
    if code is not None:
        assert error["code"] == code, response.describe()
    check_protocol_headers(response, **headers)
    return response


def check_empty(response: Response, status: int, **headers: object) -> Response:
    """A bodiless success answer with exactly the named headers of 4.2."""
    assert response.status == status, f"expected {status}, got {response.describe()}"
    check_fixed(response)
    assert response.body == b"", response.describe()
    if status == 204:
        assert "Content-Length" not in response and "Transfer-Encoding" not in response, response.describe()
        assert "Content-Type" not in response, response.describe()
    check_protocol_headers(response, **headers)
    return response


def check_read(
    response: Response,
    body: bytes,
    *,
    type: str | None,
    cache: str,
    next_offset: str,
    etag: object = True,
    up_to_date: bool = True,
    closed: bool = False,
    cursor: object = None,
) -> Response:
    """3.4: a 200 of catch-up or long-poll, with every header."""
    assert response.status == 200, f"expected 200, got {response.describe()}"
    check_fixed(response)
    assert response.body == body, f"expected body {body[:200]!r}, got {response.describe()}"
    assert response.get("Content-Type") == type, response.describe()
    assert response.get("Cache-Control") == cache, response.describe()
    check_protocol_headers(
        response,
        Stream_Next_Offset=next_offset,
        Stream_Up_To_Date="true" if up_to_date else None,
        Stream_Closed="true" if closed else None,
        ETag=etag,
        Stream_Cursor=cursor,
    )
    return response
