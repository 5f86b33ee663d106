"""Closure: section 6, table 3.2.1 and rows 9-10 of table 3.2."""

from __future__ import annotations

import pytest

from checks import CACHEABLE, check_empty, check_error, check_read
from client import Client, at, expect, producer

CLOSE = {"Stream_Closed": "true"}


def test_close_only_can_be_repeated(http: Client, path: str) -> None:
    """3.2.1 row 1: open or already closed."""
    tail = http.create(path, "text/plain", "abc").offset
    for _ in range(3):
        check_empty(http.post(path, **CLOSE), 204, Stream_Next_Offset=tail, Stream_Closed="true")


@pytest.mark.parametrize("value", ["true", "TRUE", "True"])
def test_final_append_closes(http: Client, path: str, value: str) -> None:
    """Row 19 with closing: one atomic step."""
    http.create(path, "text/plain")
    answer = http.post(path, "text/plain", "done.", Stream_Closed=value)
    check_empty(answer, 204, Stream_Next_Offset=True, Stream_Closed="true")
    check_error(http.post(path, "text/plain", "x", Stream_Closed="true"), 409, "STREAM_CLOSED",
                Stream_Closed="true", Stream_Next_Offset=answer.offset)  # fmt: skip
    assert http.get(path).body == b"done."


@pytest.mark.parametrize("value", ["false", "1", "yes", ""])
def test_other_values_append_without_closing(http: Client, path: str, value: str) -> None:
    http.create(path, "text/plain")
    check_empty(http.post(path, "text/plain", "a", Stream_Closed=value), 204, Stream_Next_Offset=True)
    assert "Stream-Closed" not in http.head(path)


@pytest.mark.parametrize(
    ("type", "extra"),
    [
        pytest.param("text/plain", {}, id="plain"),
        pytest.param("image/png", {}, id="closed-before-media-type"),
        pytest.param("text/plain", producer("q", 0, 0), id="other-producer"),
        pytest.param("text/plain", producer("p", 1, 0), id="stale-epoch-is-409-not-403"),
        pytest.param("text/plain", producer("p", 2, 0), id="older-tuple"),
        pytest.param("text/plain", producer("p", 2, 2), id="next-tuple"),
        pytest.param("text/plain", producer("p", 2, 9), id="gap"),
        pytest.param("text/plain", producer("p", 3, 4), id="new-epoch-bad-seq"),
        pytest.param("text/plain", {"Stream_Seq": "0"}, id="low-stream-seq"),
        pytest.param("text/plain", CLOSE, id="closing-again-with-a-body"),
    ],
)
def test_append_to_a_closed_stream(http: Client, path: str, type: str, extra: dict[str, str]) -> None:
    """Row 10 comes before every later row; no producer header is on it."""
    http.create(path, "text/plain")
    http.append(path, "text/plain", "a", **producer("p", 2, 0), Stream_Seq="5")
    tail = http.append(path, "text/plain", "b", **producer("p", 2, 1), **CLOSE).offset
    answer = http.post(path, type, "late", **extra)
    check_error(answer, 409, "STREAM_CLOSED", Stream_Closed="true", Stream_Next_Offset=tail)
    assert http.get(path).body == b"ab"


def test_complaints_that_come_before_closure(http: Client, path: str) -> None:
    """Rows 3-8 are judged on a closed stream too."""
    http.create(path, "text/plain", "a", **CLOSE)
    check_error(http.post(path, "text/plain", "x", Producer_Id="p"), 400)
    check_error(http.post(path, "text/plain", "x", **producer("p", "1e3", 0)), 400)
    check_error(http.post(path, "text/plain", ""), 400)
    check_error(http.post(path, None, "x"), 400)


@pytest.mark.parametrize("final", [b"z", b""], ids=["with-data", "close-only"])
def test_closing_request_retried(http: Client, path: str, final: bytes) -> None:
    """Rows 9 and 3.2.1 row 2: the closing tuple again is 204, whatever the body or type."""
    http.create(path, "text/plain")
    http.append(path, "text/plain", "a", **producer("p", 0, 0))
    closed = http.post(path, "text/plain", final, **producer("p", 0, 1), **CLOSE)
    headers = {"Stream_Closed": "true", "Producer_Epoch": "0", "Producer_Seq": "1"}
    check_empty(closed, 200 if final else 204, Stream_Next_Offset=True, **headers)
    for type, body, more in (("text/plain", final, CLOSE), ("text/plain", b"other", {}), ("image/png", b"q", CLOSE), (None, b"", CLOSE)):
        again = http.post(path, type, body, **producer("p", 0, 1), **more)
        check_empty(again, 204, Stream_Next_Offset=closed.offset, **headers)
    assert http.get(path).body == b"a" + final


@pytest.mark.parametrize(
    ("extra", "status", "headers"),
    [
        pytest.param(producer("p", 1, 0), 403, {"Producer_Epoch": "2"}, id="row4-stale"),
        pytest.param(producer("p", 3, 1), 400, {}, id="row5-new-epoch-seq"),
        pytest.param(producer("p", 2, 3), 409, {"Producer_Expected_Seq": "2", "Producer_Received_Seq": "3"}, id="row7-gap"),
        pytest.param(producer("q", 0, 1), 409, {"Producer_Expected_Seq": "0", "Producer_Received_Seq": "1"}, id="row7-unknown"),
    ],
)
def test_close_only_refused(http: Client, path: str, extra: dict[str, str], status: int, headers: dict[str, str]) -> None:
    """3.2.1 rows 4, 5, 7: the stream stays open and the state as it was."""
    http.create(path, "text/plain")
    for seq in (0, 1):
        http.append(path, "text/plain", "a", **producer("p", 2, seq))
    check_error(http.post(path, **extra, **CLOSE), status, **headers)
    http.append(path, "text/plain", "b", **producer("p", 2, 2))


@pytest.mark.parametrize(
    ("epoch", "seq"), [(0, 1), (1, 0)], ids=["next", "new-epoch"]
)
def test_close_only_by_a_producer(http: Client, path: str, epoch: int, seq: int) -> None:
    """3.2.1 row 8: 204, closedBy = tuple; row 3 for any other tuple afterwards."""
    http.create(path, "text/plain")
    tail = http.append(path, "text/plain", "a", **producer("p", 0, 0)).offset
    headers = {"Producer_Epoch": str(epoch), "Producer_Seq": str(seq)}
    for _ in range(2):
        answer = http.post(path, **producer("p", epoch, seq), **CLOSE)
        check_empty(answer, 204, Stream_Next_Offset=tail, Stream_Closed="true", **headers)
    for other in (producer("p", epoch, seq + 1), producer("p", 0, 0), producer("q", epoch, seq), producer("p", epoch + 1, 0)):
        if other == producer("p", epoch, seq):
            continue
        check_error(http.post(path, **other, **CLOSE), 409, "STREAM_CLOSED", Stream_Closed="true", Stream_Next_Offset=tail)
    check_empty(http.post(path, **CLOSE), 204, Stream_Next_Offset=tail, Stream_Closed="true")


def test_plain_close_leaves_no_closed_by(http: Client, path: str) -> None:
    """A producer's close-only on a stream somebody else closed is 409 (row 3)."""
    http.create(path, "text/plain")
    http.append(path, "text/plain", "a", **producer("p", 0, 0))
    tail = http.post(path, **CLOSE).offset
    for seq in (0, 1):
        answer = http.post(path, **producer("p", 0, seq), **CLOSE)
        check_error(answer, 409, "STREAM_CLOSED", Stream_Closed="true", Stream_Next_Offset=tail)


def test_created_closed_has_no_closed_by(http: Client, path: str) -> None:
    """3.1 details: closedBy is none."""
    tail = http.create(path, "text/plain", "a", **CLOSE, **producer("p", 0, 0)).offset
    answer = http.post(path, **producer("p", 0, 0), **CLOSE)
    check_error(answer, 409, "STREAM_CLOSED", Stream_Closed="true", Stream_Next_Offset=tail)


@pytest.mark.parametrize("body", ["{", "[]", "nope"])
def test_refused_final_append_closes_nothing(http: Client, path: str, body: str) -> None:
    """1.5: all or nothing."""
    http.create(path, "application/json")
    check_error(http.post(path, "application/json", body, **CLOSE), 400)
    http.append(path, "application/json", "1")


def test_reads_of_a_closed_stream(http: Client, path: str) -> None:
    """3.4: end of file is 200, no units, Stream-Closed; reads and DELETE work as before."""
    tail = http.create(path, "application/json", "[1,2]").offset
    expect(http.post(path, **CLOSE), 204)
    common = {"type": "application/json", "cache": CACHEABLE, "next_offset": tail, "closed": True}
    check_read(http.get(path), b"[1,2]", **common)
    check_read(http.get(path, f"offset={at(tail, 1)}"), b"[2]", **common)
    check_read(http.get(path, f"offset={tail}"), b"[]", **common)
    check_read(http.get(path, "offset=now"), b"[]", **(common | {"cache": "no-store", "etag": None}))
    assert http.head(path).get("Stream-Closed") == "true"
    expect(http.delete(path), 204)
    expect(http.head(path), 404)


def test_open_stream_never_says_closed(http: Client, path: str) -> None:
    """Section 6, Absence."""
    answers = [http.put(path, "text/plain", "a"), http.put(path, "text/plain"), http.post(path, "text/plain", "b"), http.head(path)]
    answers += [http.get(path), http.get(path, "offset=now"), http.post(path, "text/html", "b"), http.post(path, "text/plain", "")]
    assert [a.status for a in answers] == [201, 200, 204, 200, 200, 200, 409, 400]
    for answer in answers:
        assert "Stream-Closed" not in answer, answer.describe()
