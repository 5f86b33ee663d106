"""Idempotent producers: rows 3-4 and 12-16 of table 3.2 and the state machine of 7.2."""

from __future__ import annotations

import pytest

from checks import check_empty, check_error
from client import Client, expect, position, producer

LARGEST = 9007199254740991


def trio(id: str | None, epoch: str | None, seq: str | None) -> dict[str, str]:
    named = {"Producer_Id": id, "Producer_Epoch": epoch, "Producer_Seq": seq}
    return {key: value for key, value in named.items() if value is not None}


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(trio("p", None, None), id="only-id"),
        pytest.param(trio(None, "0", None), id="only-epoch"),
        pytest.param(trio(None, None, "0"), id="only-seq"),
        pytest.param(trio("p", "0", None), id="no-seq"),
        pytest.param(trio("p", None, "0"), id="no-epoch"),
        pytest.param(trio(None, "0", "0"), id="no-id"),
        pytest.param(trio("", "0", "0"), id="empty-id"),
        pytest.param(trio("  ", "0", "0"), id="blank-id"),
        pytest.param(trio("p", "", "0"), id="empty-epoch"),
        pytest.param(trio("p", "0", ""), id="empty-seq"),
        pytest.param(trio("", "", ""), id="all-empty"),
        pytest.param(trio("p" * 257, "0", "0"), id="id-257-bytes"),
    ],
)
@pytest.mark.parametrize("closing", [False, True], ids=["append", "close"])
def test_row_3(http: Client, path: str, extra: dict[str, str], closing: bool) -> None:
    """One or two of the trio missing, or any of them empty: 400, nothing happens."""
    created = http.create(path, "text/plain")
    body = b"" if closing else b"x"
    more = {"Stream_Closed": "true"} if closing else {}
    check_error(http.post(path, "text/plain", body, **extra, **more), 400)
    head = http.head(path)
    assert head.offset == created.offset and "Stream-Closed" not in head


@pytest.mark.parametrize(
    "number",
    ["1abc", "0xyz", "0x1", "1e3", "-1", "+1", "-0", "1.0", "1,2", "0,0", "1 2", "٣", "inf", "null",
     str(LARGEST + 1), "9" * 40, "18446744073709551616"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["Producer_Epoch", "Producer_Seq"])
def test_row_4(http: Client, path: str, number: str, place: str) -> None:
    """Not decimal digits only, or above 2^53-1."""
    created = http.create(path, "text/plain")
    check_error(http.post(path, "text/plain", "x", **(producer("p", 0, 0) | {place: number})), 400)
    assert http.head(path).offset == created.offset
    http.append(path, "text/plain", "y", **producer("p", 0, 0))


@pytest.mark.parametrize(
    ("epoch", "shown"),
    [("0", "0"), ("000", "0"), ("007", "7"), (str(LARGEST), str(LARGEST)), ("0" * 30 + "5", "5")],
)
def test_epoch_spellings(http: Client, path: str, epoch: str, shown: str) -> None:
    """4.1: `[0-9]+`, so leading zeros are digits like any other; the value counts."""
    http.create(path, "text/plain")
    answer = http.post(path, "text/plain", "x", **producer("p", epoch, "00"))
    check_empty(answer, 200, Stream_Next_Offset=True, Producer_Epoch=shown, Producer_Seq="0")
    again = http.post(path, "text/plain", "x", **producer("p", shown, "0"))
    check_empty(again, 204, Stream_Next_Offset=answer.offset, Producer_Epoch=shown, Producer_Seq="0")


@pytest.mark.parametrize("id", ["p" * 256, "a b", "é" * 128, "x,y", '"', "\\", "p\tq", "%00", "'; drop"], ids=lambda v: v[:6])
def test_ids(http: Client, path: str, id: str) -> None:
    """Any non-empty string of at most 256 bytes."""
    http.create(path, "text/plain")
    http.append(path, "text/plain", "x", **producer(id, 0, 0))
    expect(http.post(path, "text/plain", "x", **producer(id, 0, 0)), 204)
    check_error(
        http.post(path, "text/plain", "x", **producer(id, 0, 2)), 409, Producer_Expected_Seq="1", Producer_Received_Seq="2"
    )


# 7.2: stored state is reached by accepted appends, then one request is judged.
STORED_2_3 = [(2, 0), (2, 1), (2, 2), (2, 3)]


@pytest.mark.parametrize(
    ("stored", "epoch", "seq", "status", "headers"),
    [
        pytest.param([], 0, 0, 200, {"Producer_Epoch": "0", "Producer_Seq": "0"}, id="nothing-0-0"),
        pytest.param([], 9, 0, 200, {"Producer_Epoch": "9", "Producer_Seq": "0"}, id="nothing-any-epoch"),
        pytest.param([], 0, 1, 409, {"Producer_Expected_Seq": "0", "Producer_Received_Seq": "1"}, id="nothing-gap"),
        pytest.param([], 4, 7, 409, {"Producer_Expected_Seq": "0", "Producer_Received_Seq": "7"}, id="nothing-gap-epoch"),
        pytest.param(STORED_2_3, 1, 0, 403, {"Producer_Epoch": "2"}, id="stale"),
        pytest.param(STORED_2_3, 0, 4, 403, {"Producer_Epoch": "2"}, id="stale-next-seq"),
        pytest.param(STORED_2_3, 3, 0, 200, {"Producer_Epoch": "3", "Producer_Seq": "0"}, id="new-epoch"),
        pytest.param(STORED_2_3, LARGEST, 0, 200, {"Producer_Epoch": str(LARGEST), "Producer_Seq": "0"}, id="largest-epoch"),
        pytest.param(STORED_2_3, 3, 1, 400, {}, id="new-epoch-seq"),
        pytest.param(STORED_2_3, 3, 4, 400, {}, id="new-epoch-next-seq"),
        pytest.param(STORED_2_3, 2, 3, 204, {"Producer_Epoch": "2", "Producer_Seq": "3"}, id="duplicate-last"),
        pytest.param(STORED_2_3, 2, 0, 204, {"Producer_Epoch": "2", "Producer_Seq": "3"}, id="duplicate-first"),
        pytest.param(STORED_2_3, 2, 4, 200, {"Producer_Epoch": "2", "Producer_Seq": "4"}, id="next"),
        pytest.param(STORED_2_3, 2, 5, 409, {"Producer_Expected_Seq": "4", "Producer_Received_Seq": "5"}, id="gap"),
        pytest.param(
            STORED_2_3, 2, LARGEST, 409, {"Producer_Expected_Seq": "4", "Producer_Received_Seq": str(LARGEST)}, id="gap-largest"
        ),
    ],
)
def test_state_machine(
    http: Client, path: str, stored: list[tuple[int, int]], epoch: int, seq: int, status: int, headers: dict[str, str]
) -> None:
    tail = http.create(path, "text/plain", "").offset
    for e, s in stored:
        tail = http.append(path, "text/plain", "abc", **producer("relay-3", e, s)).offset
    answer = http.post(path, "text/plain", "de", **producer("relay-3", epoch, seq))
    if status in (200, 204):
        check_empty(answer, status, Stream_Next_Offset=True, **headers)
        assert position(answer.offset) == position(tail) + (2 if status == 200 else 0)
    else:
        check_error(answer, status, **headers)
    # The new state: a refused or duplicate request changed nothing.
    next_epoch, next_seq = (epoch, seq + 1) if status == 200 else (stored[-1][0], stored[-1][1] + 1) if stored else (0, 0)
    http.append(path, "text/plain", "f", **producer("relay-3", next_epoch, next_seq))


def test_new_epoch_fences_the_old_session(http: Client, path: str) -> None:
    http.create(path, "text/plain")
    http.append(path, "text/plain", "a", **producer("p", 1, 0))
    http.append(path, "text/plain", "b", **producer("p", 2, 0))
    check_error(http.post(path, "text/plain", "c", **producer("p", 1, 1)), 403, Producer_Epoch="2")
    http.append(path, "text/plain", "d", **producer("p", 2, 1))
    assert http.get(path).body == b"abd"


def test_duplicate_reports_the_present_tail_and_ignores_the_body(http: Client, path: str) -> None:
    """7.2: recognition looks at the tuple only; the body of the retry may differ or be invalid."""
    http.create(path, "application/json")
    http.append(path, "application/json", "[1,2]", **producer("p", 0, 0))
    tail = http.append(path, "application/json", "3").offset
    for body in ("[1,2]", "{", "[]", "4"):
        answer = http.post(path, "application/json", body, **producer("p", 0, 0))
        check_empty(answer, 204, Stream_Next_Offset=tail, Producer_Epoch="0", Producer_Seq="0")
    assert http.get(path).body == b"[1,2,3]"


def test_duplicate_comes_before_stream_seq(http: Client, path: str) -> None:
    """Row 14 before row 16: a retry with both kinds of sequence is 204, not 409."""
    http.create(path, "text/plain")
    for _ in range(2):
        answer = http.post(path, "text/plain", "a", **producer("p", 0, 0), Stream_Seq="5")
    check_empty(answer, 204, Stream_Next_Offset=True, Producer_Epoch="0", Producer_Seq="0")


def test_duplicate_that_asks_to_close_closes_nothing(http: Client, path: str) -> None:
    """Row 14, with and without a body (3.2.1 row 6)."""
    http.create(path, "text/plain")
    tail = http.append(path, "text/plain", "a", **producer("p", 0, 0)).offset
    for type, body in (("text/plain", b"a"), (None, b"")):
        answer = http.post(path, type, body, **producer("p", 0, 0), Stream_Closed="true")
        check_empty(answer, 204, Stream_Next_Offset=tail, Producer_Epoch="0", Producer_Seq="0")
    assert "Stream-Closed" not in http.head(path)


@pytest.mark.parametrize(
    ("type", "body", "extra", "status"),
    [
        pytest.param("application/json", "{", {}, 400, id="bad-json"),
        pytest.param("application/json", "[]", {}, 400, id="empty-array"),
        pytest.param("application/json", "", {}, 400, id="empty-body"),
        pytest.param("application/json", "1", {"Stream_Seq": "4"}, 409, id="stream-seq"),
        pytest.param("text/plain", "1", {}, 409, id="media-type"),
        pytest.param(None, "1", {}, 400, id="no-type"),
    ],
)
def test_refused_append_uses_up_no_sequence_number(
    http: Client, path: str, type: str | None, body: str, extra: dict[str, str], status: int
) -> None:
    """Rows 12-18 leave every piece of state as it was, a new epoch included."""
    http.create(path, "application/json")
    http.append(path, "application/json", "0", **producer("p", 0, 0), Stream_Seq="5")
    for epoch, seq in ((0, 1), (1, 0)):
        check_error(http.post(path, type, body, **producer("p", epoch, seq), **extra), status)
    http.append(path, "application/json", "1", **producer("p", 0, 1), Stream_Seq="6")
    http.append(path, "application/json", "2", **producer("p", 1, 0), Stream_Seq="7")


def test_gap_comes_before_stream_seq_and_json(http: Client, path: str) -> None:
    http.create(path, "application/json")
    http.append(path, "application/json", "0", Stream_Seq="5")
    answer = http.post(path, "application/json", "{", **producer("p", 0, 3), Stream_Seq="1")
    check_error(answer, 409, Producer_Expected_Seq="0", Producer_Received_Seq="3")


def test_media_type_comes_before_producer_state(http: Client, path: str) -> None:
    """Row 11 before row 12; its 409 carries no producer header."""
    http.create(path, "text/plain")
    http.append(path, "text/plain", "a", **producer("p", 5, 0))
    check_error(http.post(path, "text/html", "a", **producer("p", 1, 0)), 409)


def test_ids_and_streams_are_unrelated(http: Client, path: str) -> None:
    """7.1: state of different ids, and of one id on different streams."""
    for name in (path, f"{path}-other"):
        http.create(name, "text/plain")
        for id in ("p", "P", "p2"):
            http.append(name, "text/plain", "x", **producer(id, 0, 0))
            check_error(
                http.post(name, "text/plain", "x", **producer(id, 0, 2)), 409, Producer_Expected_Seq="1", Producer_Received_Seq="2"
            )


def test_pipeline_out_of_order(http: Client, path: str) -> None:
    """7.3: arrival 0, 2, 1 gives 200, 409, 200; then 2 is accepted."""
    http.create(path, "text/plain")
    statuses = [http.post(path, "text/plain", str(s), **producer("p", 0, s)).status for s in (0, 2, 1, 2)]
    assert statuses == [200, 409, 200, 200]
    assert http.get(path).body == b"012"
