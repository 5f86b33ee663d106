"""Long-poll: table 3.5 row by row, conditions and cursors (9.4)."""

from __future__ import annotations

import re
import signal
import threading
import time

import pytest

from checks import CACHEABLE, check_empty, check_error, check_fixed, check_read
from client import Client, at, expect, instant, url
from stack import Stack
from test_conditional import check_not_modified
from wire import Connection, build_request

DIGITS = re.compile(r"[0-9]+")


def interval() -> int:
    """9.4: 20-second intervals since 2024-10-09T00:00:00Z."""
    return int((time.time() - 1728432000) // 20)


def waiting(stack: Stack, path: str, offset: str, *headers: tuple[str, str], quiet: float = 0.15) -> Connection:
    """A long-poll that was sent and has not been answered at once."""
    connection = stack.connect()
    connection.send(build_request("GET", url(path, f"live=long-poll&offset={offset}"), list(headers)))
    assert connection.quiet_for(quiet), f"should wait, but got {connection.read_response().describe()}"
    return connection


@pytest.mark.parametrize(("type", "body"), [("text/plain", b"abc"), ("application/json", b'["abc"]')])
def test_units_exist(http: Client, path: str, type: str, body: bytes) -> None:
    """Row 1: at once, as catch-up plus cursor."""
    tail = http.create(path, type, body).offset
    for query in ("live=long-poll&offset=-1", "offset=0000000000000000_0000000000000000&live=long-poll", "live=long%2Dpoll&offset=-1"):
        read = http.get(path, query)
        check_read(read, body, type=type, cache=CACHEABLE, next_offset=tail, cursor=DIGITS)
        assert (read.get("ETag") or "").endswith(f':-1:{tail}"')


def test_cut_chunk(small: Client, path: str) -> None:
    """Row 1 as 3.4 row 3: a cut chunk is not up to date."""
    tail = small.create(path, "text/plain", b"x" * 100_000).offset
    read = small.get(path, "live=long-poll&offset=-1")
    assert read.status == 200 and len(read.body) <= 65536 and "Stream-Up-To-Date" not in read
    rest = small.get(path, f"live=long-poll&offset={read.offset}")
    assert read.body + rest.body == b"x" * 100_000 and rest.offset == tail and "Stream-Up-To-Date" in rest


@pytest.mark.parametrize(("type", "empty"), [("text/plain", b""), ("application/json", b"[]")])
def test_beyond_the_tail(http: Client, path: str, type: str, empty: bytes) -> None:
    """Row 2: at once, empty, with cursor."""
    tail = http.create(path, type, "1").offset
    read = http.get(path, f"live=long-poll&offset={at(tail, 7)}")
    check_read(read, empty, type=type, cache="no-store", next_offset=tail, cursor=DIGITS)


@pytest.mark.parametrize("offset", ["now", "tail", "start"])
def test_closed_at_the_tail(http: Client, path: str, offset: str) -> None:
    """Row 3: 204 at once, without cursor."""
    tail = http.create(path, "text/plain", None if offset == "start" else "abc", Stream_Closed="true").offset
    answer = http.get(path, "live=long-poll&offset=" + {"now": "now", "tail": tail, "start": "-1"}[offset])
    check_empty(answer, 204, Stream_Next_Offset=tail, Stream_Up_To_Date="true", Stream_Closed="true")
    assert answer.get("Cache-Control") == "no-store"


def test_closed_with_backlog(http: Client, path: str) -> None:
    """Section 6: the 200 that delivers the rest carries the closure."""
    tail = http.create(path, "text/plain", "abc", Stream_Closed="true").offset
    read = http.get(path, f"live=long-poll&offset={at(tail, 1)}")
    check_read(read, b"bc", type="text/plain", cache=CACHEABLE, next_offset=tail, closed=True, cursor=DIGITS)


@pytest.mark.parametrize("offset", ["now", "-1", "tail"])
@pytest.mark.parametrize(("type", "first", "second"), [("text/plain", b"", b"hi"), ("application/json", b"[]", b"[5]")])
def test_data_arrives(stack: Stack, http: Client, path: str, offset: str, type: str, first: bytes, second: bytes) -> None:
    """Row 4a; `offset=-1` on an empty open stream waits."""
    start = http.create(path, type, first).offset
    with waiting(stack, path, start if offset == "tail" else offset) as reader:
        tail = http.append(path, type, second).offset
        answer = reader.read_response()
    # 4.2 and 9.1: what said `offset=now` has no ETag and is never to be stored.
    now = {"etag": None, "cache": "no-store"} if offset == "now" else {"cache": CACHEABLE}
    check_read(answer, second, type=type, next_offset=tail, cursor=DIGITS, **now)


def test_closing_append_reaches_the_waiting_reader(stack: Stack, http: Client, path: str) -> None:
    """Row 4a: 200 with the data and Stream-Closed, never 204 with the old offset."""
    for attempt in range(10):
        name = f"{path}-{attempt}"
        start = http.create(name, "text/plain", "a").offset
        with waiting(stack, name, start, quiet=0.02) as reader:
            tail = http.append(name, "text/plain", "last", Stream_Closed="true").offset
            answer = reader.read_response()
        check_read(answer, b"last", type="text/plain", cache=CACHEABLE, next_offset=tail, closed=True, cursor=DIGITS)


@pytest.mark.parametrize("offset", ["now", "tail"])
def test_closed_without_data(stack: Stack, http: Client, path: str, offset: str) -> None:
    """Row 4b: 204 as row 3."""
    tail = http.create(path, "text/plain", "a").offset
    with waiting(stack, path, tail if offset == "tail" else "now") as reader:
        expect(http.post(path, Stream_Closed="true"), 204)
        answer = reader.read_response()
    check_empty(answer, 204, Stream_Next_Offset=tail, Stream_Up_To_Date="true", Stream_Closed="true")


@pytest.mark.parametrize("offset", ["now", "tail"])
def test_timeout(small: Client, path: str, offset: str) -> None:
    """Row 4c: 204 with next offset, up-to-date and cursor; no-store, no ETag."""
    tail = small.create(path, "text/plain", "a").offset
    began = time.monotonic()
    answer = small.get(path, "live=long-poll&offset=" + (tail if offset == "tail" else "now"))
    elapsed = time.monotonic() - began
    check_empty(answer, 204, Stream_Next_Offset=tail, Stream_Up_To_Date="true", Stream_Cursor=DIGITS)
    assert answer.get("Cache-Control") == "no-store"
    assert 0.45 <= elapsed < 5, elapsed
    # The connection stays usable and the next poll is answered anew.
    again = small.get(path, f"live=long-poll&offset={tail}&cursor={answer.get('Stream-Cursor')}")
    check_empty(again, 204, Stream_Next_Offset=tail, Stream_Up_To_Date="true", Stream_Cursor=DIGITS)


def test_each_has_its_own_time(small: Client, path: str) -> None:
    """Row 4c: who was answered, or has gone, takes nobody's time-out along."""
    names = [f"{path}-{number}" for number in range(4)]
    tails = [small.create(name, "text/plain", "a").offset for name in names]
    polls = []
    try:
        for number in range(24):
            connection = small.stack.connect()
            polls.append((number, connection, time.monotonic()))
            connection.send(build_request("GET", url(names[number % 4], f"live=long-poll&offset={tails[number % 4]}"), []))
            time.sleep(0.01)
        # The first that waits, some in the middle, and the last.
        small.append(names[0], "text/plain", "b")
        small.append(names[3], "text/plain", "b")
        for number, connection, began in polls:
            if number % 4 == 1:
                connection.close()
                continue
            answer = connection.read_response()
            elapsed = time.monotonic() - began
            if number % 4 == 2:
                check_empty(answer, 204, Stream_Next_Offset=tails[2], Stream_Up_To_Date="true", Stream_Cursor=DIGITS)
                assert 0.45 <= elapsed < 5, elapsed
            else:
                assert answer.status == 200 and answer.body == b"b"
    finally:
        for _, connection, _ in polls:
            connection.close()


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "deleted-and-created-again"])
def test_deleted(stack: Stack, http: Client, path: str, again: bool) -> None:
    """Row 4d: 404; the former stream's reader never gets the new stream's data."""
    tail = http.create(path, "text/plain", "a").offset
    with waiting(stack, path, tail) as reader:
        expect(http.delete(path), 204)
        if again:
            http.create(path, "text/plain", "other")
        check_error(reader.read_response(), 404, "STREAM_NOT_FOUND")


def test_expires_at_passes(stack: Stack, http: Client, path: str) -> None:
    """8.2: when that instant passes, waiters end with 404."""
    tail = http.create(path, "text/plain", "a", Stream_Expires_At=instant(1.2)).offset
    with waiting(stack, path, tail) as reader:
        check_error(reader.read_response(), 404, "STREAM_NOT_FOUND")


def test_waiting_keeps_the_stream_alive(stack: Stack, http: Client, path: str) -> None:
    """8.2: connected live readers are continuous use of a TTL stream."""
    tail = http.create(path, "text/plain", "a", Stream_TTL="1").offset
    with waiting(stack, path, tail, quiet=2.5) as reader:
        expect(http.head(path), 200)
        tail = http.append(path, "text/plain", "b").offset
        answer = reader.read_response()
    assert answer.status == 200 and answer.body == b"b" and answer.offset == tail


def test_server_shuts_down(fresh_stack) -> None:
    """Row 4e: 204 as for a time-out."""
    stack = fresh_stack(DS_LONG_POLL_TIMEOUT=25)
    client = Client(stack)
    tail = client.create("a", "text/plain", "x").offset
    client.close()
    with waiting(stack, "a", tail) as reader:
        stack.signal(signal.SIGTERM)
        check_empty(reader.read_response(), 204, Stream_Next_Offset=tail, Stream_Up_To_Date="true", Stream_Cursor=DIGITS)
    assert stack.wait() == 0


@pytest.mark.parametrize("field", ["*", "{e}", 'W/{e}, "zz"'])
def test_condition_with_units(http: Client, path: str, field: str) -> None:
    """9.3 applies to row 1; the 304 carries the cursor a 200 would have."""
    tail = http.create(path, "text/plain", "abc").offset
    plain = http.get(path, "live=long-poll&offset=-1")
    answer = http.get(path, "live=long-poll&offset=-1", If_None_Match=field.format(e=plain.get("ETag")))
    assert answer.offset == tail and DIGITS.fullmatch(answer.get("Stream-Cursor") or "")
    answer.headers = [(k, plain.get(k) or "") if k.lower() == "stream-cursor" else (k, v) for k, v in answer.headers]
    check_not_modified(answer, plain)


def test_conditional_poll_at_the_tail_still_waits(stack: Stack, http: Client, path: str) -> None:
    """3.5: the 304 decision is made on the response, after data arrived."""
    tail = http.create(path, "text/plain", "abc").offset
    etag = http.get(path, f"offset={tail}").get("ETag") or ""
    with waiting(stack, path, tail, ("If-None-Match", etag)) as other, waiting(stack, path, tail, ("If-None-Match", "*")) as star:
        end = http.append(path, "text/plain", "d").offset
        read, matched = other.read_response(), star.read_response()
    check_read(read, b"d", type="text/plain", cache=CACHEABLE, next_offset=end, cursor=DIGITS)
    assert matched.status == 304 and matched.offset == end and matched.body == b"", matched.describe()
    check_fixed(matched)


def test_condition_is_ignored_for_now(stack: Stack, http: Client, path: str) -> None:
    """3.5: If-None-Match does not apply when the request said `offset=now`."""
    http.create(path, "text/plain", "abc")
    with waiting(stack, path, "now", ("If-None-Match", "*")) as reader:
        http.append(path, "text/plain", "d")
        answer = reader.read_response()
    assert answer.status == 200 and answer.body == b"d", answer.describe()


@pytest.mark.parametrize("cursor", ["", "0", "-5", "abc", "1.5", "+3", "%00", "1 2", "9007199254740001", "9" * 30, "old"])
def test_unusable_or_old_cursor(http: Client, path: str, cursor: str) -> None:
    """9.4: the present interval is answered."""
    http.create(path, "text/plain", "abc")
    value = str(interval() - 3) if cursor == "old" else cursor.replace(" ", "%20")
    before = interval()
    read = http.get(path, f"cursor={value}&live=long-poll&offset=-1")
    assert before <= int(read.get("Stream-Cursor") or "") <= interval()


@pytest.mark.parametrize("ahead", [0, 1, 500, None], ids=["same", "one", "far", "largest"])
def test_cursor_always_moves_on(http: Client, path: str, ahead: int | None) -> None:
    """9.4: request cursor ≥ now gives +1…+180."""
    http.create(path, "text/plain", "abc")
    for _ in range(8):
        sent = 9007199254740000 if ahead is None else interval() + ahead
        read = http.get(path, f"cursor={sent}&live=long-poll&offset=-1")
        # An interval may have ended between the two clocks' readings.
        assert sent < int(read.get("Stream-Cursor") or "") <= sent + 181, read.describe()


def test_many_waiters(stack: Stack, http: Client, path: str) -> None:
    """One append wakes them all."""
    tail = http.create(path, "application/json").offset
    readers = [waiting(stack, path, tail, quiet=0) for _ in range(100)]
    assert readers[-1].quiet_for(0.1)
    end = http.append(path, "application/json", '{"n":1}').offset
    for reader in readers:
        answer = reader.read_response()
        reader.close()
        assert (answer.status, answer.body, answer.offset) == (200, b'[{"n":1}]', end), answer.describe()


def test_nothing_is_missed_between_polls(stack: Stack, http: Client, path: str) -> None:
    """3.5: register before the final look; a reader that follows appends in full cry loses none."""
    total, start = 300, http.create(path, "application/json").offset
    seen: list[bytes] = []
    failures: list[BaseException] = []

    def follow() -> None:
        try:
            reader, offset = Client(stack), start
            while len(seen) < total:
                answer = expect(reader.get(path, f"live=long-poll&offset={offset}"), 200)
                seen.extend(answer.body[1:-1].split(b","))
                offset = answer.offset
            reader.close()
        except BaseException as error:  # handed to the test's own thread
            failures.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    for n in range(total):
        http.append(path, "application/json", str(n))
    thread.join(20)
    assert not failures, failures
    assert seen == [b"%d" % n for n in range(total)]


def test_readers_that_go_away(stack: Stack, http: Client, path: str) -> None:
    """3.5: a disconnect frees the waiter; others are not disturbed."""
    tail = http.create(path, "text/plain").offset
    for _ in range(50):
        waiting(stack, path, tail, quiet=0).close()
    with waiting(stack, path, tail) as reader:
        http.append(path, "text/plain", "x")
        assert reader.read_response().body == b"x"
