"""Retention: what readers get of a stream that was cut, or emptied by its age."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from checks import CACHEABLE, check_empty, check_error, check_read
from client import NINES, ZERO, Client, at, expect, position, producer
from hooks import Hooks
from retention import EARLIEST, LIMITS, Log, check_cut_off, grow, let_age, segments, shown, split, wait_cold
from sse import EventSource
from stack import Stack, remove_tree, temporary_root
from store import segment_files, wait_until
from test_cache import STALE_LIMIT, hit, served
from test_long_poll import DIGITS, waiting


@pytest.fixture(scope="module")
def cut() -> Iterator[tuple[Stack, dict[str, Log], dict[str, str]]]:
    """A stack with streams of which the first six parts have gone, the last one hot; and entity tags of before."""
    root = temporary_root()
    stack = Stack(root / "data", DS_SEGMENT_MAX_MESSAGES=2, DS_LONG_POLL_TIMEOUT=25, DS_SSE_LIFETIME=120)
    try:
        stack.start()
        http = Client(stack)
        logs = {kind: Log(http, kind, kind, Stream_Retention_Messages="4") for kind in ("bytes", "json")}
        for log in logs.values():
            log.append(2)
        tags = {kind: http.get(kind).get("ETag") or "" for kind in logs}
        wait_cold(stack, *logs.values())
        for log in logs.values():
            grow(stack, log, 8)
            log.append()
        wait_until(stack, lambda: {log.gone() for log in logs.values()} == {6}, "both are cut")
        yield stack, logs, tags
        http.close()
        stack.stop()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


@pytest.mark.parametrize("kind", ["bytes", "json"])
@pytest.mark.parametrize("query", ["", "offset=-1", f"offset={ZERO}", "x=1"])
@pytest.mark.parametrize("by", ["nginx", "worker"])
def test_start(cut, kind: str, query: str, by: str) -> None:
    """What is kept, from its beginning, which is told; the entity tag has it in place of -1. Whoever sends a segment's file."""
    _, logs, tags = cut
    # With this condition, which means nothing to streams, nginx sends no files.
    headers = {} if by == "nginx" else {"If_Match": '"zz"'}
    log = logs[kind]
    earliest = log.token(6)
    first, content = log.read(query, headers)
    assert content == log.content(6)
    rest, found = split(first)
    assert found == {EARLIEST: earliest}, first.describe()
    instance = tags[kind].strip('"').split(":")[0]
    etag = f'"{instance}:{earliest}:{first.offset}"'
    check_read(rest, first.body, type=log.type, cache=CACHEABLE, next_offset=first.offset, etag=etag, up_to_date="Stream-Up-To-Date" in first)
    # By its token the same without a word about the cut.
    same, found = split(log.http.get(log.path, f"offset={earliest}", **headers))
    check_read(same, first.body, type=log.type, cache=CACHEABLE, next_offset=first.offset, etag=etag, up_to_date="Stream-Up-To-Date" in first)
    assert found == {}


@pytest.mark.parametrize("kind", ["bytes", "json"])
def test_conditions(cut, kind: str) -> None:
    """A tag of before the cut matches no more; 304 says what its 200 would; 410 goes ahead of all conditions."""
    _, logs, tags = cut
    log = logs[kind]
    plain, found = split(log.http.get(log.path))
    assert log.read(headers={"If_None_Match": tags[kind]})[1] == log.content(6)
    for field in (plain.get("ETag") or "", "*", f'"zz", W/{plain.get("ETag")}'):
        rest, told = split(log.http.get(log.path, If_None_Match=field))
        assert told == found == {EARLIEST: log.token(6)}
        names = ("ETag", "Stream-Next-Offset", "Stream-Up-To-Date")
        check_empty(rest, 304, **{name.replace("-", "_"): plain.get(name) for name in names})
        assert rest.get("Cache-Control") == plain.get("Cache-Control")
        expect(log.http.get(log.path, f"offset={log.token(6)}", If_None_Match=field), 304)
        check_cut_off(log.http.get(log.path, f"offset={log.token(5)}", If_None_Match=field), log.token(6))


@pytest.mark.parametrize("kind", ["bytes", "json"])
def test_every_offset(cut, kind: str) -> None:
    """410 before the cut, the units behind it, in catch-up, long-poll and SSE alike."""
    stack, logs, _ = cut
    log = logs[kind]
    for place in range(log.place(len(log.parts))):
        token = at(log.origin, place)
        for way in ("", "live=long-poll&", "live=sse&"):
            if place < log.place(6):
                check_cut_off(log.http.get(log.path, f"{way}offset={token}"), log.token(6))
        if place >= log.place(6):
            expected = log.content(place) if kind == "json" else log.content()[place:]
            assert log.read(f"offset={token}")[1] == expected
            answer = expect(log.http.get(log.path, f"live=long-poll&offset={token}"), 200)
            assert split(answer)[1] == {} and (answer.body.strip(b"[]") if kind == "json" else answer.body) == expected[: len(answer.body)]
    check_cut_off(log.http.get(log.path, f"offset={at(ZERO, 1)}"), log.token(6))
    # Another stream's is another matter.
    rest, found = split(log.http.get(log.path, f"offset={at(NINES, 1)}"))
    check_error(rest, 410, "OFFSET_GONE")
    assert found == {}


@pytest.mark.parametrize("kind", ["bytes", "json"])
def test_other_reads(cut, kind: str) -> None:
    """The tail, `now` and what lies beyond are as ever; HEAD tells of the cut."""
    _, logs, _ = cut
    log, tail = logs[kind], logs[kind].token()
    empty = b"[]" if kind == "json" else b""
    for query, etag in (("offset=now", None), (f"offset={tail}", True), (f"offset={log.token(99)}", True)):
        rest, found = split(log.http.get(log.path, query))
        check_read(rest, empty, type=log.type, cache="no-store", next_offset=tail, etag=etag)
        assert found == {}
    assert shown(log.http, log.path) == {EARLIEST: log.token(6), LIMITS[2]: "4"}
    expect(log.http.put(log.path, log.type, Stream_Retention_Messages="4"), 200)


@pytest.mark.parametrize("kind", ["bytes", "json"])
@pytest.mark.parametrize("offset", ["-1", ZERO])
def test_live_start(cut, kind: str, offset: str) -> None:
    """Live reads begin there too, and say so."""
    stack, logs, _ = cut
    log = logs[kind]
    rest, found = split(log.http.get(log.path, f"live=long-poll&offset={offset}"))
    check_read(rest, rest.body, type=log.type, cache=CACHEABLE, next_offset=rest.offset, etag=True, cursor=DIGITS, up_to_date="Stream-Up-To-Date" in rest)
    assert found == {EARLIEST: log.token(6)} and rest.body.lstrip(b"[").startswith(log.parts[6])
    with EventSource(stack, log.path, f"offset={offset}") as source:
        assert split(source.head)[1] == {EARLIEST: log.token(6)}
        pieces, control = source.until(log.token())
    joined = b",".join(piece[1:-1] for piece in pieces) if kind == "json" else b"".join(pieces)
    assert joined == log.content(6) and control["upToDate"] is True
    with EventSource(stack, log.path, f"offset={log.token(6)}") as source:
        assert source.until(log.token())[0]


@pytest.mark.parametrize("live", ["long-poll", "sse"])
def test_waiting_reader_before_the_cut_is_ended(fresh_stack, live: str) -> None:
    """One that the live process had no time for, while much came and went again."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2, DS_LONG_POLL_TIMEOUT=60, DS_SSE_LIFETIME=120)
    with closing(Client(stack)) as http:
        log = Log(http, "a", Stream_Retention_Messages="2")
        grow(stack, log, 2)
        if live == "sse":
            source = EventSource(stack, "a", f"offset={log.token()}", timeout=30)
            source.control()
        else:
            reader = waiting(stack, "a", log.token())
        (pid,) = stack.processes("durable-streams-live")
        os.kill(pid, signal.SIGSTOP)
        try:
            grow(stack, log, 4)
            wait_until(stack, lambda: log.gone() == 4, "what the reader waits for has gone")
        finally:
            os.kill(pid, signal.SIGCONT)
        if live == "sse":
            source.end()
            source.connection.close()
            check_cut_off(http.get("a", f"live=sse&offset={log.token(2)}"), log.token(4))
        else:
            check_cut_off(reader.read_response(), log.token(4))
            reader.close()


def test_stored_piece_is_gone_two_seconds_later(fresh_stack) -> None:
    """nginx's copy of what was cut is served for a moment at most; the start of the stream never is one."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2, DS_READ_CHUNK_BYTES=65536)
    with closing(Client(stack)) as http:
        log = Log(http, "a", size=100_000, Stream_Retention_Messages="2")
        grow(stack, log, 2)
        queries = [f"offset={at(log.origin, place)}" for place in (5, 100_005)]
        stored = {query: hit(http, "a", query).body for query in queries}
        log.append(2)
        while log.gone() == 0:
            for query in queries:
                assert http.get("a", query).body == stored[query] or log.gone() > 0
        seen = time.monotonic()
        while time.monotonic() - seen < STALE_LIMIT:
            for query in queries:
                answer = http.get("a", query)
                assert answer.status == 410 or served(answer) == "HIT" and answer.body == stored[query], answer.describe()
            first, found = split(expect(http.get("a"), 200))
            assert found == {EARLIEST: log.token(2)} and log.content(2).startswith(first.body)
            time.sleep(0.05)
        for query in queries * 2:
            check_cut_off(http.get("a", query), log.token(2))


# Emptied by age

Emptied = Callable[..., tuple[Stack, Hooks, Client, Log]]


@pytest.fixture
def emptied(fresh_stack, tmp_path: Path) -> Emptied:
    """A stream of which everything is too old, though its other limits ask for much; the server was started anew since."""

    def make(kind: str, closed: bool = False) -> tuple[Stack, Hooks, Client, Log]:
        hooks = Hooks(tmp_path / "hooks")
        stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2, DS_LONG_POLL_TIMEOUT=5, **hooks.settings)
        http = Client(stack)
        log = Log(http, "a", kind, Stream_Retention_Age="3600", Stream_Retention_Messages="1000", Stream_Retention_Bytes="0")
        grow(stack, log, 4)
        log.append(1, **producer("p", 3, 0), Stream_Seq="m")
        if closed:
            expect(http.post("a", Stream_Closed="true"), 204)
        let_age(stack, hooks, 3600, log)
        http.close()
        stack.stop()
        stack.start()
        return stack, hooks, http, log

    return make


@pytest.mark.parametrize("kind", ["bytes", "json"])
def test_emptied(emptied: Emptied, kind: str) -> None:
    """Nothing but the tail is left, and it goes on there: also for producers, sequences and whoever waits."""
    stack, hooks, http, log = emptied(kind)
    tail, empty = log.token(), b"[]" if kind == "json" else b""
    numbers = dict(zip(LIMITS, ("3600", "0", "1000"), strict=True))
    assert http.head("a").offset == tail and shown(http, "a") == {EARLIEST: tail} | numbers
    assert segments(stack, "a") == []
    for query, told in (("", {EARLIEST: tail}), (f"offset={ZERO}", {EARLIEST: tail}), (f"offset={tail}", {})):
        rest, found = split(http.get("a", query))
        instance = (rest.get("ETag") or "").strip('"').split(":")[0]
        check_read(rest, empty, type=log.type, cache="no-store", next_offset=tail, etag=f'"{instance}:{tail}:{tail}"')
        assert found == told
    for way in ("", "live=long-poll&", "live=sse&"):
        check_cut_off(http.get("a", f"{way}offset={log.token(4)}"), tail)
        check_cut_off(http.get("a", f"{way}offset={log.token(0)}"), tail)
    expect(http.put("a", log.type, Stream_Retention_Age="3600", Stream_Retention_Messages="1000", Stream_Retention_Bytes="0"), 200)
    expect(http.post("a", log.type, log.next_part(), **producer("p", 3, 0), Stream_Seq="z"), 204)
    expect(http.post("a", log.type, log.next_part(), Stream_Seq="a"), 409)
    hooks.advance(10)
    wait_until(stack, lambda: segment_files(stack) == [], "the files are gone")
    with waiting(stack, "a", "-1") as reader, EventSource(stack, "a") as source:
        assert source.control()["streamNextOffset"] == tail
        log.append(1, **producer("p", 3, 1), Stream_Seq="n")
        got = expect(reader.read_response(), 200)
        assert got.offset == log.token() and got.body.strip(b"[]") == log.parts[-1]
        assert source.batch()[0].strip(b"[]") == log.parts[-1]
    log.append(3)
    wait_cold(stack, log)
    assert log.gone() == 5 and log.read()[1] == log.content(5)
    check_cut_off(http.get("a", f"offset={log.token(4)}"), tail)
    let_age(stack, hooks, 3600, log)
    assert http.head("a").offset == log.token() and log.read()[1] == b""
    http.close()


@pytest.mark.parametrize("kind", ["bytes", "json"])
def test_emptied_and_closed(emptied: Emptied, kind: str) -> None:
    """It stays closed, and says so at once in every way of reading."""
    stack, _, http, log = emptied(kind, closed=True)
    tail, empty = log.token(), b"[]" if kind == "json" else b""
    rest, found = split(http.get("a"))
    instance = (rest.get("ETag") or "").strip('"').split(":")[0]
    check_read(rest, empty, type=log.type, cache=CACHEABLE, next_offset=tail, etag=f'"{instance}:{tail}:{tail}:c"', closed=True)
    assert found == {EARLIEST: tail} and http.head("a").get("Stream-Closed") == "true"
    rest, _ = split(http.get("a", "live=long-poll&offset=-1"))
    check_empty(rest, 204, Stream_Next_Offset=tail, Stream_Up_To_Date="true", Stream_Closed="true")
    with EventSource(stack, "a") as source:
        assert source.control() == {"streamNextOffset": tail, "upToDate": True, "streamClosed": True}
        source.end()
    check_error(http.post("a", log.type, "1"), 409, "STREAM_CLOSED", Stream_Closed="true", Stream_Next_Offset=tail)
    check_cut_off(http.get("a", f"offset={log.token(1)}"), tail)
    http.close()


def test_deleted_and_created_again(emptied: Emptied) -> None:
    """Nothing of the old stream is left in the new one, its beginning neither."""
    stack, _, http, log = emptied("bytes")
    expect(http.delete("a"), 204)
    new = http.create("a", "text/plain", "new").offset
    assert shown(http, "a") == {} and http.get("a").body == b"new" and position(new) == 3
    rest, found = split(http.get("a", f"offset={log.token(4)}"))
    check_error(rest, 410, "OFFSET_GONE")
    assert found == {}
    http.close()
