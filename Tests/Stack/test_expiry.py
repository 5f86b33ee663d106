"""TTL and Expires-At: section 8 and the cap on max-age in 9.1."""

from __future__ import annotations

import re
import time

import pytest

from checks import CACHEABLE, check_empty, check_error, check_read
from client import Client, expect, incarnation, instant, producer, url

LARGEST = "9007199254740991"


def wait_absent(client: Client, path: str, within: float = 10.0) -> None:
    """HEAD (which never touches) until the stream has expired."""
    deadline = time.monotonic() + within
    while client.head(path).status != 404:
        assert time.monotonic() < deadline, f"{path} did not expire within {within} s"
        time.sleep(0.05)


@pytest.mark.parametrize("ttl", ["1", "3600", "60", LARGEST, " 77 "])
def test_ttl_accepted(http: Client, path: str, ttl: str) -> None:
    """8.1; HEAD shows the configured window, not the time left."""
    http.create(path, "text/plain", Stream_TTL=ttl)
    head = http.head(path)
    assert head.status == 200 and head.get("Stream-TTL") == ttl.strip() and "Stream-Expires-At" not in head


@pytest.mark.parametrize(
    "ttl",
    ["-1", "-0", "+60", "00060", "00", "01", "60.5", "60.", "1e3", "0x10", "abc", "60s", "6 0", "60,60", "1_000", "٦",
     "9007199254740992", "9223372036854775807", "18446744073709551616", "9" * 60, "inf", "NaN", "null", "true"],
)  # fmt: skip
def test_ttl_refused(http: Client, path: str, ttl: str) -> None:
    check_error(http.put(path, "text/plain", "x", Stream_TTL=ttl), 400)
    expect(http.head(path), 404)


@pytest.mark.parametrize(
    "text",
    ["2099-01-02T03:04:05Z", "2099-01-02T03:04:05.5Z", "2099-01-02T03:04:05.123456789012345678Z", "2099-01-02T03:04:05+00:00",
     "2099-01-02T03:04:05-23:59", "2099-12-31T23:59:59.999+05:45", "2096-02-29T00:00:00Z", "9999-12-31T23:59:59Z"],
)  # fmt: skip
def test_expires_at_accepted(http: Client, path: str, text: str) -> None:
    """8.1; the text is echoed on HEAD as given."""
    http.create(path, "text/plain", Stream_Expires_At=text)
    head = http.head(path)
    assert head.status == 200 and head.get("Stream-Expires-At") == text and "Stream-TTL" not in head


@pytest.mark.parametrize(
    "text",
    ["not-a-timestamp", "2099", "2099-01-02", "2099-01-02T03:04:05", "2099-01-02T03:04Z", "Jan 1 2030", "1893456000",
     "2099-13-01T00:00:00Z", "2099-00-01T00:00:00Z", "2099-01-32T00:00:00Z", "2099-01-00T00:00:00Z", "2099-02-29T00:00:00Z",
     "2100-02-29T00:00:00Z", "2099-04-31T00:00:00Z", "2099-01-02T24:00:00Z", "2099-01-02T03:60:00Z", "2099-01-02T03:04:61Z",
     "2099-01-02T03:04:05.Z", "2099-01-02T03:04:05,5Z", "2099-01-02T03:04:05+0100", "2099-01-02T03:04:05+01", "2099-01-02T03:04:05+24:00",
     "2099-01-02T03:04:05+01:60", "2099-01-02T03:04:05 Z", "2099-01-02T03:04:05ZZ", "2099-01-02T03:04:05Z+01:00", "2099-01-02_03:04:05Z",
     "099-01-02T03:04:05Z", "12099-01-02T03:04:05Z", "-2099-01-02T03:04:05Z", "2099-1-2T3:4:5Z", "20990102T030405Z", "2099-W01-1T00:00:00Z",
     "2099-01-02T03:04:0٥Z", "Thu, 01 Jan 2099 00:00:00 GMT", "2099-01-02T+3:04:05Z", "2099-01-02T03:04:05.-5Z"],
)  # fmt: skip
def test_expires_at_refused(http: Client, path: str, text: str) -> None:
    check_error(http.put(path, "text/plain", "x", Stream_Expires_At=text), 400)
    expect(http.head(path), 404)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"Stream_TTL": "0"}, id="ttl-0"),
        pytest.param({"Stream_Expires_At": "2000-02-29T00:00:00Z"}, id="past"),
        pytest.param({"Stream_Expires_At": "1969-12-31T23:59:59.9-01:00"}, id="before-1970"),
        pytest.param({"Stream_Expires_At": "0001-01-01T00:00:00Z"}, id="year-1"),
    ],
)
def test_expired_at_birth(http: Client, path: str, extra: dict[str, str]) -> None:
    """8.1: 201, and expired by the next request, whatever that is; then absent everywhere (8.3)."""
    created = http.put(path, "text/plain", "abc", **extra)
    check_empty(created, 201, Stream_Next_Offset=True, Location=True)
    check_error(http.get(path), 404, "STREAM_NOT_FOUND")
    check_error(http.get(path, "live=sse&offset=-1"), 404, "STREAM_NOT_FOUND")
    check_error(http.get(path, "live=long-poll&offset=now"), 404, "STREAM_NOT_FOUND")
    check_error(http.post(path, "text/plain", "x"), 404, "STREAM_NOT_FOUND")
    check_error(http.delete(path), 404, "STREAM_NOT_FOUND")
    assert http.head(path).status == 404
    again = http.put(path, "application/json", "1")
    check_empty(again, 201, Stream_Next_Offset=True, Location=True)
    assert incarnation(again.offset) > incarnation(created.offset)


def test_expiry_leaves_nothing(http: Client, path: str) -> None:
    """8.3: PUT then creates afresh, with no old data, producers, sequence or closure (1.7)."""
    http.create(path, "text/plain", Stream_TTL="1")
    http.append(path, "text/plain", "abc", **producer("p", 7, 0), Stream_Seq="z", Stream_Closed="true")
    wait_absent(http, path)
    check_error(http.post(path, "text/plain", "x"), 404, "STREAM_NOT_FOUND")
    http.create(path, "text/plain")
    http.append(path, "text/plain", "new", **producer("p", 0, 0), Stream_Seq="a")
    read = http.get(path)
    assert read.body == b"new" and "Stream-TTL" not in http.head(path)


def test_what_touches(http: Client, path: str) -> None:
    """8.2: one stream per operation, TTL 4 s, the operation at 2 s, a look at 4.6 s."""
    ttl, moment, look = 4, 2.0, 4.6
    names = {
        "get": True, "get-304": True, "now": True, "post": True, "duplicate": True, "close": True, "long-poll": True,
        "head": False, "options": False, "put-200": False, "put-409": False, "post-400": False, "post-409": False, "get-400": False,
        "nothing": False,
    }  # fmt: skip
    began = time.monotonic()
    for name in names:
        http.create(f"{path}-{name}", "text/plain", Stream_TTL=str(ttl))
        http.append(f"{path}-{name}", "text/plain", "x", **producer("p", 0, 0))
    created = time.monotonic()
    time.sleep(max(0.0, began + moment - time.monotonic()))

    def of(name: str) -> str:
        return f"{path}-{name}"

    expect(http.get(of("get")), 200)
    expect(http.get(of("get-304"), If_None_Match="*"), 304)
    expect(http.get(of("now"), "offset=now"), 200)
    expect(http.post(of("post"), "text/plain", "y"), 204)
    expect(http.post(of("duplicate"), "text/plain", "y", **producer("p", 0, 0)), 204)
    expect(http.post(of("close"), Stream_Closed="true"), 204)
    expect(http.get(of("long-poll"), "live=long-poll&offset=-1"), 200)
    expect(http.head(of("head")), 200)
    expect(http.request("OPTIONS", url(of("options"))), 204)
    expect(http.put(of("put-200"), "text/plain", Stream_TTL=str(ttl)), 200)
    expect(http.put(of("put-409"), "text/html"), 409)
    expect(http.post(of("post-400"), "text/plain", ""), 400)
    expect(http.post(of("post-409"), "text/html", "y"), 409)
    expect(http.get(of("get-400"), "offset=bad"), 400)
    time.sleep(max(0.0, created + look - time.monotonic()))
    found = {name: http.head(of(name)).status == 200 for name in names}
    if time.monotonic() - began > moment + ttl:
        pytest.skip("the machine was too slow to tell")
    assert found == names


@pytest.mark.parametrize(
    ("ttl", "cache"),
    [
        ("1", "public, max-age=1"),
        ("30", "public, max-age=30"),
        ("60", "public, max-age=60"),
        ("61", "public, max-age=60"),
        ("359", "public, max-age=60"),
        ("360", CACHEABLE),
        ("3600", CACHEABLE),
        (LARGEST, CACHEABLE),
    ],
)
def test_max_age_is_capped_by_the_ttl(http: Client, path: str, ttl: str, cache: str) -> None:
    """9.1: n = min(60, TTL, …); no stale-while-revalidate below 360 s."""
    tail = http.create(path, "text/plain", "abc", Stream_TTL=ttl).offset
    check_read(http.get(path), b"abc", type="text/plain", cache=cache, next_offset=tail)
    check_read(http.get(path, f"offset={tail}"), b"", type="text/plain", cache="no-store", next_offset=tail)


@pytest.mark.parametrize(
    ("seconds", "pattern"),
    [
        (0.9, r"no-store"),
        (20, r"public, max-age=(1[5-9]|20)"),
        (90, r"public, max-age=60"),
        (300, r"public, max-age=60"),
        (4000, re.escape(CACHEABLE)),
    ],
)
def test_max_age_is_capped_by_expires_at(http: Client, path: str, seconds: float, pattern: str) -> None:
    http.create(path, "text/plain", "abc", Stream_Expires_At=instant(seconds))
    value = expect(http.get(path), 200).get("Cache-Control") or ""
    assert re.fullmatch(pattern, value), value


def test_max_age_of_every_kind_of_read(http: Client, path: str) -> None:
    """9.1: what a 304, a long-poll and the end of a closed stream say is capped too."""
    tail = http.create(path, "text/plain", "abc", Stream_TTL="30").offset
    for query in ("", "live=long-poll&offset=-1"):
        for extra in ({}, {"If_None_Match": "*"}):
            assert http.get(path, query, **extra).get("Cache-Control") == "public, max-age=30"
    assert http.get(path, Authorization="Bearer x").get("Cache-Control") == "private, max-age=30"
    expect(http.post(path, Stream_Closed="true"), 204)
    for query in ("", f"offset={tail}"):
        assert expect(http.get(path, query), 200).get("Cache-Control") == "public, max-age=30"


def test_expires_at_is_not_moved(http: Client, path: str) -> None:
    """8.2: nothing moves it, reads and appends neither."""
    began = time.monotonic()
    http.create(path, "text/plain", "abc", Stream_Expires_At=instant(1.5))
    while (answer := http.get(path)).status == 200:
        assert time.monotonic() - began < 3.5, "still there two seconds after its end"
        http.post(path, "text/plain", "x")
        time.sleep(0.05)
    check_error(answer, 404, "STREAM_NOT_FOUND")
    assert time.monotonic() - began >= 1.4
