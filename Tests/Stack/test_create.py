"""PUT: table 3.1 row by row, its comparison table and its details."""

from __future__ import annotations

import pytest

from checks import check_empty, check_error, check_read
from client import Client, at, expect, incarnation, position, url

OCTETS = "application/octet-stream"
FUTURE = "2099-01-02T03:04:05Z"


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"Stream_TTL": "60", "Stream_Expires_At": FUTURE}, id="row1-both"),
        pytest.param({"Stream_TTL": "abc", "Stream_Expires_At": "abc"}, id="row1-both-malformed"),
        pytest.param({"Stream_TTL": "060"}, id="row2-ttl"),
        pytest.param({"Stream_Expires_At": "tomorrow"}, id="row3-expires"),
        pytest.param({"Stream_Fork_Sub_Offset": ""}, id="row4-sub-offset-empty"),
        pytest.param({"Stream_Fork_Sub_Offset": "0"}, id="row4-sub-offset-zero"),
        pytest.param({"Stream_Fork_Sub_Offset": "3"}, id="row4-sub-offset"),
        pytest.param({"Stream_Fork_Offset": "0000000000000000_0000000000000000"}, id="row5-fork-offset"),
        pytest.param({"Stream_Fork_Offset": "-1"}, id="row5-fork-offset-sentinel"),
        pytest.param({"Stream_Fork_Offset": "x", "Stream_Forked_From": ""}, id="row5-empty-source"),
    ],
)
def test_refused_headers(http: Client, path: str, extra: dict[str, str]) -> None:
    """Rows 1-5: 400, and nothing is created."""
    check_error(http.put(path, "text/plain", "abc", **extra), 400)
    check_error(http.get(path), 404, "STREAM_NOT_FOUND")


def test_header_rows_come_before_existence(http: Client, path: str) -> None:
    """Rows 1-5 come before row 10: a bad TTL on an existing stream is 400, not 409."""
    http.create(path, "text/plain")
    check_error(http.put(path, "text/plain", Stream_TTL="-1"), 400)
    check_error(http.put(path, "text/plain", Stream_TTL="1", Stream_Expires_At=FUTURE), 400)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"Stream_TTL": ""}, id="ttl"),
        pytest.param({"Stream_Expires_At": ""}, id="expires-at"),
        pytest.param({"Stream_TTL": "", "Stream_Expires_At": FUTURE}, id="ttl-beside-expires-at"),
        pytest.param({"Stream_TTL": "77", "Stream_Expires_At": ""}, id="expires-at-beside-ttl"),
        pytest.param({"Stream_Forked_From": ""}, id="forked-from"),
        pytest.param({"Stream_Fork_Offset": ""}, id="fork-offset"),
    ],
)
def test_empty_header_counts_as_absent(http: Client, path: str, extra: dict[str, str]) -> None:
    """4.1: empty Stream-TTL, Stream-Expires-At, Stream-Forked-From, Stream-Fork-Offset."""
    http.create(path, "text/plain", **extra)
    head = expect(http.head(path), 200)
    assert head.get("Stream-TTL") == (extra.get("Stream_TTL") or None)
    assert head.get("Stream-Expires-At") == (extra.get("Stream_Expires_At") or None)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        pytest.param(None, OCTETS, id="missing"),
        pytest.param("", OCTETS, id="empty"),
        pytest.param("   ", OCTETS, id="blank"),
        pytest.param("text", OCTETS, id="no-slash"),
        pytest.param("; charset=utf-8", OCTETS, id="only-parameters"),
        pytest.param("/plain", OCTETS, id="no-type"),
        pytest.param("text/", OCTETS, id="no-subtype"),
        pytest.param("text/plain", "text/plain", id="plain"),
        pytest.param("Text/PLAIN;  Charset=UTF-8", "Text/PLAIN;  Charset=UTF-8", id="verbatim"),
        pytest.param("application/ld+json", "application/ld+json", id="not-json"),
        pytest.param("application/vnd.a-b.c+xml;q=\"a;b\"", "application/vnd.a-b.c+xml;q=\"a;b\"", id="quoted-parameter"),
        pytest.param("  image/png\t", "image/png", id="trimmed"),
    ],
)
def test_content_type(http: Client, path: str, sent: str | None, stored: str) -> None:
    """3.1 details: a type without the shape type/subtype counts as omitted; else stored verbatim."""
    created = http.put(path, sent)
    check_empty(created, 201, Stream_Next_Offset=True, Location=f"http://127.0.0.1:{http.stack.port}{url(path)}")
    assert created.get("Content-Type") == stored
    assert http.head(path).get("Content-Type") == stored
    assert http.get(path).get("Content-Type") == stored


@pytest.mark.parametrize(
    ("type", "body", "tail", "content"),
    [
        pytest.param("text/plain", None, 0, b"", id="text-none"),
        pytest.param("text/plain", b"", 0, b"", id="text-empty"),
        pytest.param("text/plain", b"hello", 5, b"hello", id="text"),
        pytest.param(OCTETS, bytes(range(256)), 256, bytes(range(256)), id="every-byte"),
        pytest.param("application/json", None, 0, b"[]", id="json-none"),
        pytest.param("application/json", b"[]", 0, b"[]", id="json-empty-array"),
        pytest.param("application/json", b" [ \r\n\t] ", 0, b"[]", id="json-empty-array-spaced"),
        pytest.param("application/json", b'{"a":1}', 1, b'[{"a":1}]', id="json-object"),
        pytest.param("application/json", b'[1, 2,[3]]', 3, b"[1,2,[3]]", id="json-array"),
        pytest.param("Application/JSON; charset=utf-8", b"[1,2]", 2, b"[1,2]", id="json-any-case"),
        pytest.param("application/ndjson", b"[1,2]", 5, b"[1,2]", id="ndjson-is-bytes"),
    ],
)
def test_first_body(http: Client, path: str, type: str, body: bytes | None, tail: int, content: bytes) -> None:
    """The body is the first append; a zero-length one, or [] for JSON, makes an empty stream."""
    created = http.create(path, type, body)
    assert position(created.offset) == tail and incarnation(created.offset) >= 1
    read = http.get(path)
    check_read(
        read,
        content,
        type=type,
        cache="public, max-age=60, stale-while-revalidate=300" if tail else "no-store",
        next_offset=created.offset,
    )


def test_chunked_body(http: Client, path: str) -> None:
    """The body is read whatever its framing."""
    created = http.request("PUT", url(path), [("Content-Type", "text/plain")], chunks=[b"ab", b"", b"cde"])
    expect(created, 201)
    assert position(created.offset) == 5
    assert http.get(path).body == b"abcde"


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1,]", b" ", b"1 2", b"\xef\xbb\xbf1", b'"\xff"', b"[1] // no", b"NaN"],
    ids=["cut", "trailing-comma", "blank", "two-values", "bom", "not-utf8", "comment", "nan"],
)
def test_invalid_json_creates_nothing(http: Client, path: str, body: bytes) -> None:
    """Row 17."""
    check_error(http.put(path, "application/json", body), 400)
    check_error(http.get(path), 404, "STREAM_NOT_FOUND")


@pytest.mark.parametrize("value", ["true", "TRUE", "True", "tRuE"])
def test_created_closed(http: Client, path: str, value: str) -> None:
    """`Stream-Closed: true`, any letter case, makes a stream that is complete at birth."""
    created = http.put(path, "application/json", b'{"ok":true}', Stream_Closed=value)
    check_empty(created, 201, Stream_Next_Offset=True, Location=True, Stream_Closed="true")
    assert position(created.offset) == 1
    read = http.get(path)
    assert read.body == b'[{"ok":true}]' and read.get("Stream-Closed") == "true"
    check_error(
        http.post(path, "application/json", b"1"), 409, "STREAM_CLOSED", Stream_Closed="true", Stream_Next_Offset=created.offset
    )


@pytest.mark.parametrize("value", ["false", "1", "yes", "", "true true", "truee"])
def test_other_closed_values_are_ignored(http: Client, path: str, value: str) -> None:
    created = http.put(path, "text/plain", "x", Stream_Closed=value)
    check_empty(created, 201, Stream_Next_Offset=True, Location=True)
    http.append(path, "text/plain", "y")


def test_repeated_put(http: Client, path: str) -> None:
    """Row 10: 200 without Location, body ignored, nothing appended."""
    created = http.create(path, "application/json", b'[{"op":"join"},{"op":"ping"}]')
    for body in (b'[{"op":"join"},{"op":"ping"}]', b"", b"[3]", b"{ not json", b"\xff"):
        again = http.put(path, "application/json", body)
        check_empty(again, 200, Stream_Next_Offset=created.offset)
        assert again.get("Content-Type") == "application/json"
    assert http.get(path).body == b'[{"op":"join"},{"op":"ping"}]'


def test_repeated_put_reports_the_present_tail(http: Client, path: str) -> None:
    http.create(path, "text/plain", "abc")
    tail = http.append(path, "text/plain", "de").offset
    check_empty(http.put(path, "text/plain"), 200, Stream_Next_Offset=tail)


SAME = {"Stream_Expires_At": "2099-01-02T03:04:05Z"}


@pytest.mark.parametrize(
    ("type", "extra", "again", "more", "status"),
    [
        ("text/plain", {}, "TEXT/Plain ; x=1", {}, 200),
        ("text/plain;charset=utf-8", {}, "text/plain", {}, 200),
        ("text/plain", {}, "text/html", {}, 409),
        ("text/plain", {}, None, {}, 409),
        (OCTETS, {}, None, {}, 200),
        (None, {}, OCTETS, {}, 200),
        (None, {}, "nonsense", {}, 200),
        ("application/json", {}, "application/ld+json", {}, 409),
        ("text/plain", {"Stream_TTL": "600"}, "text/plain", {"Stream_TTL": "600"}, 200),
        ("text/plain", {"Stream_TTL": "600"}, "text/plain", {"Stream_TTL": "601"}, 409),
        ("text/plain", {"Stream_TTL": "600"}, "text/plain", {}, 409),
        ("text/plain", {}, "text/plain", {"Stream_TTL": "600"}, 409),
        ("text/plain", {"Stream_TTL": "600"}, "text/plain", SAME, 409),
        ("text/plain", SAME, "text/plain", SAME, 200),
        ("text/plain", SAME, "text/plain", {"Stream_Expires_At": "2099-01-02T03:04:05+00:00"}, 200),
        ("text/plain", SAME, "text/plain", {"Stream_Expires_At": "2099-01-02T03:04:05.000Z"}, 200),
        ("text/plain", SAME, "text/plain", {"Stream_Expires_At": "2099-01-02T05:34:05+02:30"}, 200),
        ("text/plain", SAME, "text/plain", {"Stream_Expires_At": "2099-01-02T03:04:05.001Z"}, 409),
        ("text/plain", SAME, "text/plain", {"Stream_Expires_At": "2099-01-02T03:04:06Z"}, 409),
        ("text/plain", SAME, "text/plain", {}, 409),
        ("text/plain", {}, "text/plain", SAME, 409),
        ("text/plain", {}, "text/plain", {"Stream_Closed": "true"}, 409),
        ("text/plain", {"Stream_Closed": "true"}, "text/plain", {}, 409),
        ("text/plain", {"Stream_Closed": "true"}, "text/plain", {"Stream_Closed": "True"}, 200),
        ("text/plain", {}, "text/plain", {"Stream_Closed": "false"}, 200),
        ("text/plain", {}, "text/plain", {"Stream_Seq": "9", "Producer_Id": "x"}, 200),
    ],
)
def test_comparison(
    http: Client, path: str, type: str | None, extra: dict[str, str], again: str | None, more: dict[str, str], status: int
) -> None:
    """The table under 3.1: what makes a second PUT match."""
    created = http.create(path, type, **extra)
    answer = http.put(path, again, **more)
    if status == 409:
        check_error(answer, 409)
    else:
        closed = "true" if extra.get("Stream_Closed") else None
        check_empty(answer, 200, Stream_Next_Offset=created.offset, Stream_Closed=closed)
        assert answer.get("Content-Type") == (type or OCTETS), "the stored value, not the request's"


def test_closure_compares_with_the_present_state(http: Client, path: str) -> None:
    """The stream is closed *now*: a plain PUT matched before the closure and not after it."""
    http.create(path, "text/plain")
    expect(http.put(path, "text/plain"), 200)
    expect(http.post(path, Stream_Closed="true"), 204)
    check_error(http.put(path, "text/plain"), 409)
    expect(http.put(path, "text/plain", Stream_Closed="true"), 200)


def test_producer_and_sequence_headers_are_ignored(http: Client, path: str) -> None:
    """Even malformed ones; and they leave no state behind."""
    http.create(path, "text/plain", "a", Producer_Id="p", Producer_Epoch="x", Stream_Seq="9")
    http.append(path, "text/plain", "b", Stream_Seq="1")
    http.append(path, "text/plain", "c", Producer_Id="p", Producer_Epoch="0", Producer_Seq="0")


@pytest.mark.parametrize("host", ["streams.example.net", "localhost:4437"])
def test_location_names_the_host_of_the_request(http: Client, path: str, host: str) -> None:
    """Without a configured base URL: scheme and Host of the connection."""
    created = http.request("PUT", url(path), [("Host", host), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https")])
    expect(created, 201)
    assert created.get("Location") == f"http://{host}{url(path)}"


def test_tokens_grow_over_all_streams(http: Client, path: str) -> None:
    """2.2: R is always greater than any given before; the empty tail is R_0."""
    numbers = []
    for index in range(3):
        created = http.create(f"{path}-{index}")
        assert created.offset == at(created.offset, 0)
        numbers.append(incarnation(created.offset))
    expect(http.delete(f"{path}-2"), 204)
    numbers.append(incarnation(http.create(f"{path}-2").offset))
    assert numbers == sorted(set(numbers)) and numbers[0] >= 1


def test_clean_re_creation(http: Client, path: str) -> None:
    """1.7: no data, producer state, sequence state, closure or configuration leaks."""
    http.create(path, "text/plain", "old", Stream_TTL="900")
    http.append(path, "text/plain", "er", Producer_Id="p", Producer_Epoch="5", Producer_Seq="0", Stream_Seq="zz", Stream_Closed="true")
    expect(http.delete(path), 204)
    http.create(path, "application/json")
    head = expect(http.head(path), 200)
    assert "Stream-TTL" not in head and "Stream-Closed" not in head and position(head.offset) == 0
    http.append(path, "application/json", "1", Producer_Id="p", Producer_Epoch="0", Producer_Seq="0", Stream_Seq="0")
    assert http.get(path, "offset=now").body == b"[]"
