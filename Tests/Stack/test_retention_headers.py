"""Retention: headers, the comparison of PUT, HEAD, CORS, and the server's defaults."""

from __future__ import annotations

from contextlib import closing

import pytest

from checks import ALLOW_HEADERS, check_empty, check_error, check_fixed, check_protocol_headers
from client import Client, at, expect, url
from retention import DAY, EARLIEST, LARGEST, LIMITS, Log, NAMES, grow, shown, split, wait_cold
from store import wait_until
from test_startup import one_line, refused


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", ["0", "1", "77", " 77 ", "\t77\t", " \t77", LARGEST])
def test_accepted(http: Client, path: str, name: str, value: str) -> None:
    """HEAD shows the number, and the earliest offset if it asks for anything; other answers say nothing."""
    answers = [http.create(path, "text/plain", "abc", **{name: value}), http.put(path, "text/plain", **{name: value}),
               http.post(path, "text/plain", "d"), http.get(path), http.get(path, "offset=now")]  # fmt: skip
    assert [split(answer)[1] for answer in answers] == [{}] * 5
    number = value.strip(" \t")
    earliest = {} if number == "0" else {EARLIEST: at(answers[0].offset, 0)}
    assert shown(http, path) == {name: number} | earliest


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize(
    "value",
    ["-1", "-0", "+60", "00", "01", "00060", "60.5", "60.", "1e3", "0x10", "abc", "60s", "6 0", "6\t0", "60,60", "60,", "1_000", "1KiB", "٦",
     "9007199254740992", "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 60, "inf", "NaN", "null", "-"],
)  # fmt: skip
def test_refused(http: Client, path: str, name: str, value: str) -> None:
    check_error(http.put(path, "text/plain", "x", **{name: value}), 400, "RETENTION_INVALID")
    expect(http.head(path), 404)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("values", [("60", "60"), ("60", "61"), ("0", "0")])
def test_two_lines(http: Client, path: str, name: str, values: tuple[str, str]) -> None:
    """They count as one line joined by a comma, which is no number."""
    answer = http.request("PUT", url(path), [(name, value) for value in values])
    check_error(answer, 400, "RETENTION_INVALID")
    expect(http.head(path), 404)


@pytest.mark.parametrize("value", ["", " ", "\t"])
def test_empty_counts_as_absent(http: Client, path: str, value: str) -> None:
    http.create(path, "text/plain", **dict.fromkeys(LIMITS, value))
    assert shown(http, path) == {}
    expect(http.put(path, "text/plain"), 200)


def test_refused_before_existence(http: Client, path: str) -> None:
    """As a bad TTL: 400 also where the stream is there; several may be wrong at once."""
    http.create(path, "text/plain")
    check_error(http.put(path, "text/plain", Stream_Retention_Age="x"), 400, "RETENTION_INVALID")
    check_error(http.put(path, "text/plain", Stream_Retention_Bytes="60", Stream_Retention_Messages="-1"), 400, "RETENTION_INVALID")
    check_error(http.put(path, "text/plain", Stream_TTL="-1", Stream_Retention_Messages="-1"), 400)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize(
    ("first", "second", "status"),
    [(None, None, 200), (None, "", 200), ("", None, 200), ("5", "5", 200), ("5", " 5", 200), ("0", "0", 200), (LARGEST, LARGEST, 200),
     ("5", "6", 409), ("5", None, 409), (None, "5", 409), ("5", "0", 409), ("0", None, 409), (None, "0", 409), ("5", "", 409)],
)  # fmt: skip
def test_comparison(http: Client, path: str, name: str, first: str | None, second: str | None, status: int) -> None:
    """Part of what makes a second PUT match."""
    created = http.create(path, "text/plain", **{name: first} if first is not None else {})
    before = shown(http, path)
    answer = http.put(path, "text/plain", **{name: second} if second is not None else {})
    if status == 200:
        check_empty(answer, 200, Stream_Next_Offset=created.offset)
    else:
        check_error(answer, 409, "STREAM_EXISTS")
    assert shown(http, path) == before


def test_comparison_of_all(http: Client, path: str) -> None:
    """Every one counts by itself."""
    given = {"Stream_Retention_Age": "60", "Stream_Retention_Bytes": "70", "Stream_Retention_Messages": "80"}
    http.create(path, "text/plain", **given)
    expect(http.put(path, "text/plain", **given), 200)
    for name in given:
        check_error(http.put(path, "text/plain", **given | {name: "81"}), 409, "STREAM_EXISTS")
        check_error(http.put(path, "text/plain", **{key: value for key, value in given.items() if key != name}), 409, "STREAM_EXISTS")


def test_head(http: Client, path: str) -> None:
    """Beside everything else that HEAD shows; nothing on a stream without."""
    tail = http.create(path, "application/json", "[1,2]", Stream_TTL="900", Stream_Closed="true", Stream_Retention_Bytes="7",
                       Stream_Retention_Age="0", Stream_Retention_Messages=LARGEST).offset  # fmt: skip
    rest, found = split(expect(http.head(path), 200))
    check_protocol_headers(check_fixed(rest), Stream_Next_Offset=tail, Stream_TTL="900", Stream_Closed="true")
    assert rest.get("Cache-Control") == "no-store"
    assert found == {EARLIEST: at(tail, 0), **dict(zip(LIMITS, ("0", "7", LARGEST), strict=True))}
    http.create(f"{path}-none", "text/plain", "abc")
    assert split(http.head(f"{path}-none"))[1] == {}


@pytest.mark.parametrize("value", ["5", "0", "-1", "x", "007", ""])
def test_ignored_on_post(http: Client, path: str, value: str) -> None:
    http.create(path, "text/plain", Stream_Retention_Bytes="100")
    before = shown(http, path)
    expect(http.post(path, "text/plain", "abc", **dict.fromkeys(LIMITS, value)), 204)
    expect(http.post(path, Stream_Closed="true", **dict.fromkeys(LIMITS, value)), 204)
    assert shown(http, path) == before and http.get(path, **dict.fromkeys(LIMITS, value)).body == b"abc"


@pytest.mark.parametrize(
    ("asked", "more"),
    [("stream-retention-age", True), ("content-type, stream-retention-bytes", True), ("content-type,stream-retention-messages,stream-ttl", True),
     ("Stream-Retention-Age", True), ("stream-retention-unknown", True), ("content-type", False), ("x-stream-retention-age", False),
     ("stream-retention", False), ("", False)],
)  # fmt: skip
def test_preflight(http: Client, path: str, asked: str, more: bool) -> None:
    """Allowed to whoever asks for them; a preflight carries none of them itself."""
    headers = [("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", asked)]
    answer = http.request("OPTIONS", url(path), headers)
    check_empty(answer, 204)
    assert answer.get("Access-Control-Allow-Headers") == ", ".join([ALLOW_HEADERS, *(LIMITS if more else ())])


# Settings


@pytest.mark.parametrize("name", ["DS_RETENTION_AGE", "DS_RETENTION_BYTES", "DS_RETENTION_MESSAGES"])
@pytest.mark.parametrize("value", ["-1", "x", "1.5.0"])
def test_malformed_setting(fresh_stack, name: str, value: str) -> None:
    status, errors = refused(fresh_stack(start=False, **{name: value}))
    assert status == 78 and name.removeprefix("DS_").lower() in one_line(errors).lower()


def test_defaults(fresh_stack) -> None:
    """Shown and held for streams without a header; a stream's own number goes ahead, 0 too."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2, DS_RETENTION_MESSAGES=4, DS_RETENTION_BYTES="1KiB", DS_RETENTION_AGE=86400)
    with closing(Client(stack)) as http:
        plain, more = Log(http, "plain"), Log(http, "more", Stream_Retention_Messages="8")
        none = Log(http, "none", "json", **dict.fromkeys(LIMITS, "0"))
        for _ in range(6):
            for log in (plain, more, none):
                log.append(2)
            wait_cold(stack, plain, more, none)
        wait_until(stack, lambda: [log.gone() for log in (plain, more, none)] == [8, 4, 0], "what no limit asks for has gone")
        assert shown(http, "plain") == dict(zip(NAMES, (plain.token(8), DAY, "1024", "4"), strict=True))
        assert shown(http, "more") == dict(zip(NAMES, (more.token(4), DAY, "1024", "8"), strict=True))
        assert shown(http, "none") == dict.fromkeys(LIMITS, "0")
        # The comparison knows the headers only.
        expect(http.put("plain", "text/plain"), 200)
        check_error(http.put("plain", "text/plain", Stream_Retention_Messages="4"), 409, "STREAM_EXISTS")


def test_defaults_that_change(fresh_stack) -> None:
    """They hold for streams that are there already, from the next segment on; what has gone stays gone without them."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2)
    with closing(Client(stack)) as http:
        old, own = Log(http, "old"), Log(http, "own", Stream_Retention_Messages="0")
        for log in (old, own):
            grow(stack, log, 6)
        assert shown(http, "old") == {}
        http.close()
        stack.stop()
        stack.settings["DS_RETENTION_MESSAGES"] = "2"
        stack.start()
        assert shown(http, "old") | {EARLIEST: ""} == {EARLIEST: "", LIMITS[2]: "2"} and shown(http, "own") == {LIMITS[2]: "0"}
        for log in (old, own):
            grow(stack, log, 2)
        wait_until(stack, lambda: old.gone() == 6, "all but the last two have gone")
        expect(http.put("old", "text/plain"), 200)
        http.close()
        stack.stop()
        del stack.settings["DS_RETENTION_MESSAGES"]
        stack.start()
        assert shown(http, "old") == {EARLIEST: old.token(6)} and shown(http, "own") == {LIMITS[2]: "0"}
        grow(stack, old, 4)
        assert old.gone() == 6 and old.read()[1] == old.content(6) and own.read()[1] == own.content()


def test_default_age_empties_idle_streams(fresh_stack) -> None:
    """One that is set when the streams have long been idle, their ends in hot records and in segments."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2)
    with closing(Client(stack)) as http:
        hot, cold, own = Log(http, "hot"), Log(http, "cold", "json"), Log(http, "own", Stream_Retention_Age="0")
        hot.append(1)
        for log in (cold, own):
            grow(stack, log, 4)
        cold.append(1)
        http.close()
        stack.stop()
        stack.settings["DS_RETENTION_AGE"] = "2"
        stack.start()
        wait_until(stack, lambda: (hot.gone(), cold.gone()) == (1, 5), "both are empty", within=15)
        assert own.gone() == 0 and shown(http, "cold") == {EARLIEST: cold.token(), LIMITS[0]: "2"}
