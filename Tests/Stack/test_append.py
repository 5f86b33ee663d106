"""POST without producer headers: table 3.2 and Stream-Seq."""

from __future__ import annotations

import pytest

from checks import check_empty, check_error
from client import Client, expect, position, url


def test_append_answers_with_the_new_tail(http: Client, path: str) -> None:
    """Row 19: 204, next offset only; bytes advance P by their number."""
    created = http.create(path, "text/plain")
    last = created.offset
    total = 0
    for body in (b"a", b"bcd", b"\x00\xff\r\n", b"x" * 1000):
        answer = check_empty(http.post(path, "text/plain", body), 204, Stream_Next_Offset=True)
        total += len(body)
        assert position(answer.offset) == total and answer.offset > last
        last = answer.offset
    assert http.get(path).body == b"abcd\x00\xff\r\n" + b"x" * 1000


def test_json_append_counts_messages(http: Client, path: str) -> None:
    http.create(path, "application/json")
    assert position(http.append(path, "application/json", "[1,2,3]").offset) == 3
    assert position(http.append(path, "application/json", '{"a":[1,2]}').offset) == 4


@pytest.mark.parametrize(
    ("type", "body", "extra"),
    [
        pytest.param("text/plain", b"x", {}, id="plain"),
        pytest.param(None, b"", {}, id="empty"),
        pytest.param(None, b"x", {}, id="no-type"),
        pytest.param("text/plain", b"x", {"Producer_Id": "p"}, id="producer-incomplete"),
        pytest.param("text/plain", b"x", {"Producer_Id": "p", "Producer_Epoch": "-1", "Producer_Seq": "x"}, id="producer-bad"),
        pytest.param(None, b"", {"Stream_Closed": "true"}, id="close-only"),
        pytest.param("application/json", b"{", {}, id="bad-json"),
    ],
)
def test_existence_first(http: Client, path: str, type: str | None, body: bytes, extra: dict[str, str]) -> None:
    """Row 1 comes before every other complaint."""
    check_error(http.post(path, type, body, **extra), 404, "STREAM_NOT_FOUND")
    check_error(http.get(path), 404, "STREAM_NOT_FOUND")


@pytest.mark.parametrize("closed", [None, "false", "1", ""])
@pytest.mark.parametrize("type", ["text/plain", None, "image/png"])
def test_empty_body_without_closing(http: Client, path: str, type: str | None, closed: str | None) -> None:
    """Row 6."""
    http.create(path, "text/plain", "abc")
    extra = {} if closed is None else {"Stream_Closed": closed}
    check_error(http.post(path, type, b"", **extra), 400)
    assert http.get(path).body == b"abc"


def test_empty_chunked_body(http: Client, path: str) -> None:
    """Row 6 whatever the framing."""
    http.create(path, "text/plain")
    check_error(http.request("POST", url(path), [("Content-Type", "text/plain")], chunks=[]), 400)


@pytest.mark.parametrize("type", [None, "", "  "])
def test_content_type_missing(http: Client, path: str, type: str | None) -> None:
    """Row 8; also on a stream of the default type."""
    http.create(path)
    check_error(http.post(path, type, b"abc"), 400)
    assert http.get(path).body == b""


@pytest.mark.parametrize(
    ("stored", "sent", "status"),
    [
        ("text/plain", "text/plain", 204),
        ("text/plain", "TEXT/PLAIN", 204),
        ("text/plain", "text/plain; charset=latin1", 204),
        ("text/plain;charset=utf-8", "text/plain", 204),
        ("text/plain", "text/plain ;x", 204),
        ("text/plain", "text/html", 409),
        ("text/plain", "text", 409),
        ("text/plain", "text/plain2", 409),
        ("text/plain", "; charset=utf-8", 409),
        ("text/plain", "application/octet-stream", 409),
        (None, "application/octet-stream", 204),
        (None, "nonsense", 409),
        ("application/json", "application/ld+json", 409),
        ("application/json", "application/ndjson", 409),
        ("application/json", "text/json", 409),
    ],
)
def test_media_type(http: Client, path: str, stored: str | None, sent: str, status: int) -> None:
    """Row 11: parameters and case never take part; a malformed type lands here too."""
    created = http.create(path, stored)
    answer = http.post(path, sent, b"1")
    if status == 409:
        check_error(answer, 409)
        assert http.head(path).offset == created.offset
    else:
        check_empty(answer, 204, Stream_Next_Offset=True)


def test_mismatch_comes_before_json_and_sequence(http: Client, path: str) -> None:
    """Row 11 before rows 16 and 17, and it uses up no sequence value."""
    http.create(path, "application/json")
    check_error(http.post(path, "text/plain", b"{", Stream_Seq="5"), 409)
    http.append(path, "application/json", b"1", Stream_Seq="5")


@pytest.mark.parametrize("chunks", [[b"one"], [b"o", b"ne"], [b"o" * 1, b"n", b"e"]], ids=len)
def test_chunked_append(http: Client, path: str, chunks: list[bytes]) -> None:
    http.create(path, "text/plain", "<")
    answer = http.request("POST", url(path), [("Content-Type", "text/plain")], chunks=chunks)
    check_empty(answer, 204, Stream_Next_Offset=True)
    assert http.get(path).body == b"<one"


def test_large_append(http: Client, path: str) -> None:
    """10 MiB fit (13.3), whole and unchanged."""
    http.create(path)
    body = bytes(range(251)) * (10 * 1024 * 1024 // 251)
    assert position(http.append(path, "application/octet-stream", body).offset) == len(body)
    content, last = http.read_all(path)
    assert content == body and position(last.offset) == len(body)


# Stream-Seq (4.1, row 16)


@pytest.mark.parametrize(
    ("first", "second", "ok"),
    [
        ("1", "2", True),
        ("1", "1", False),
        ("2", "1", False),
        ("2", "10", False),
        ("10", "2", True),
        ("09", "10", True),
        ("10", "09", False),
        ("B", "a", True),
        ("a", "B", False),
        ("a", "aa", True),
        ("aa", "a", False),
        ("a", "a ", False),
        ("Z", "~", True),
        ("z", "é", True),
        ("é", "z", False),
        ("9" * 1024, "9" * 1023, False),
        ("9" * 1023, "9" * 1024, True),
    ],
    ids=lambda value: str(value)[:8],
)
def test_stream_seq_order(http: Client, path: str, first: str, second: str, ok: bool) -> None:
    """Compared byte by byte; must be strictly greater. (A trailing space is trimmed.)"""
    http.create(path, "text/plain")
    tail = http.append(path, "text/plain", "a", Stream_Seq=first).offset
    answer = http.post(path, "text/plain", "b", Stream_Seq=second)
    if ok:
        check_empty(answer, 204, Stream_Next_Offset=True)
    else:
        check_error(answer, 409)
        assert http.head(path).offset == tail


def test_empty_stream_seq_counts_as_absent(http: Client, path: str) -> None:
    http.create(path, "text/plain")
    http.append(path, "text/plain", "a", Stream_Seq="5")
    http.append(path, "text/plain", "b", Stream_Seq="")
    http.append(path, "text/plain", "c")
    check_error(http.post(path, "text/plain", "d", Stream_Seq="5"), 409)
    http.append(path, "text/plain", "e", Stream_Seq="6")
    assert http.get(path).body == b"abce"


def test_stream_seq_too_long(http: Client, path: str) -> None:
    """13.3: more than 1 KiB is 400."""
    http.create(path, "text/plain")
    check_error(http.post(path, "text/plain", "a", Stream_Seq="x" * 1025), 400)
    assert position(http.head(path).offset) == 0


def test_rejected_append_uses_up_no_stream_seq(http: Client, path: str) -> None:
    """Rows 12-18 leave every piece of state as it was."""
    http.create(path, "application/json")
    for body in (b"{", b"[]", b"", b"nul"):
        expect(http.post(path, "application/json", body, Stream_Seq="7"), 400)
    http.append(path, "application/json", b"1", Stream_Seq="7")


def test_stream_seq_comes_before_json(http: Client, path: str) -> None:
    """Row 16 before row 17."""
    http.create(path, "application/json")
    http.append(path, "application/json", b"1", Stream_Seq="7")
    check_error(http.post(path, "application/json", b"{", Stream_Seq="7"), 409)


def test_stream_seq_is_ignored_without_a_body(http: Client, path: str) -> None:
    """Row 7: close-only ignores Content-Type and Stream-Seq."""
    http.create(path, "text/plain")
    http.append(path, "text/plain", "a", Stream_Seq="7")
    check_empty(
        http.post(path, "image/png", b"", Stream_Seq="1", Stream_Closed="true"), 204, Stream_Next_Offset=True, Stream_Closed="true"
    )


def test_stream_seq_is_per_stream(http: Client, path: str) -> None:
    for name in ("a", "b"):
        http.create(f"{path}-{name}", "text/plain")
        http.append(f"{path}-{name}", "text/plain", "x", Stream_Seq="1")


def test_query_is_no_part_of_the_identity(http: Client, path: str) -> None:
    """4.3: POST and HEAD ignore query parameters."""
    http.create(path, "text/plain")
    answer = http.request("POST", url(path, "offset=bad&offset=&live=sse&x"), [("Content-Type", "text/plain")], b"abc")
    check_empty(answer, 204, Stream_Next_Offset=True)
    assert http.request("HEAD", url(path, "live=sse")).offset == answer.offset
