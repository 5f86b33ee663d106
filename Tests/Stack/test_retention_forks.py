"""Retention and forks: what a fork inherits stays for it, whatever its source cuts; files go with the last reader."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from checks import CACHEABLE, check_empty, check_error, check_read
from client import NINES, ZERO, Client, at, expect, incarnation, position
from hooks import go_on, wait_stopped
from retention import EARLIEST, Log, check_cut_off, grow, is_quiet, let_age, segments, shown, split
from retention_forks import Server, fork, pieces, servers, wait_files
from sse import EventSource
from stack import Stack
from store import ask_store, segment_files, wait_until
from test_fork_races import Race

pytestmark = pytest.mark.timeout(120)
KINDS = pytest.mark.parametrize("kind", ["bytes", "json"])


@pytest.fixture
def server(fresh_stack, tmp_path: Path) -> Iterator[Server]:
    yield from servers(fresh_stack, tmp_path)


def cut_source(http: Client, stack: Stack, kind: str, keep: int = 4, path: str = "a", **extra: str) -> Log:
    """A stream of twelve parts, in segments of two, of which the last few are kept."""
    log = Log(http, path, kind, Stream_Retention_Messages=str(keep), **extra)
    grow(stack, log, 12)
    wait_until(stack, lambda: log.gone() == 12 - keep, "it is cut")
    return log


@KINDS
def test_a_fork_keeps_what_it_inherits(server: Server, kind: str) -> None:
    """Whatever its source cuts later; files stay as long as they are needed, no others, and go after the last fork."""
    stack, hooks, http = server()
    log = Log(http, "a", kind, Stream_Retention_Messages="4")
    grow(stack, log, 4)
    whole, inside = fork(log, "whole"), fork(log, "inside", 3)
    whole.append(1, letter=b"w")
    grow(stack, log, 8)
    wait_until(stack, lambda: log.gone() == 8, "the source is cut")
    wait_files(stack, hooks, lambda: pieces(stack, log) == [(0, 2), (2, 4), (8, 10), (10, 12)], "the rest has gone")
    for made in (whole, inside):
        assert shown(http, made.path) == {}
        first, content = made.read()
        assert content == made.content() and split(first)[1] == {}
        for n in range(len(made.parts)):
            assert made.read(f"offset={made.token(n)}")[1] == made.content(n)
    check_cut_off(http.get("a", f"offset={log.token(3)}"), log.token(8))
    assert log.read()[1] == log.content(8)
    # They need their inherited parts; of what "inside" needed, "whole" needs all.
    expect(http.delete("inside"), 204)
    grow(stack, log, 2)
    wait_files(stack, hooks, lambda: pieces(stack, log) == [(0, 2), (2, 4), (10, 12), (12, 14)], "two more have gone")
    assert whole.read()[1] == whole.content()
    expect(http.delete("whole"), 204)
    wait_files(stack, hooks, lambda: pieces(stack, log) == [(10, 12), (12, 14)], "nobody needs the beginning any more")
    wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM garbage") == [0], "no file is left to remove")
    assert len(segments(stack, "a")) == 2 and log.read()[1] == log.content(10)


@KINDS
def test_fork_points(server: Server, kind: str) -> None:
    """Before the earliest 410, with it; the zero token is the earliest; what is refused leaves no reference."""
    stack, hooks, http = server()
    log = cut_source(http, stack, kind)
    earliest = log.token(8)
    for n in (0, 1, 7):
        token = log.token(n)
        check_cut_off(http.put_fork("x", "a", at=token), earliest)
        check_cut_off(http.put_fork("x", "a", at=token, sub="1"), earliest)
    if kind == "bytes":
        check_cut_off(http.put_fork("x", "a", at=at(earliest, position(earliest) - 1)), earliest)
    # The table's order: another type is refused first, a body that is no JSON last.
    check_error(http.put_fork("x", "a", "text/html", at=log.token(1)), 409)
    check_cut_off(http.put_fork("x", "a", None, "{", at=log.token(1)), earliest)
    for token in (log.token(13), NINES, at(NINES, position(earliest))):
        check_error(http.put_fork("x", "a", at=token), 400)
    expect(http.head("x"), 404)
    assert ask_store(stack, "SELECT total(forks) FROM stream") == [0]
    for n in range(8, 13):
        made = fork(log, f"at-{n}", n)
        assert shown(http, made.path) == {EARLIEST: earliest} and made.read()[1] == made.content(8)
    made = fork(log, "all")
    assert made.read()[1] == made.content(8)
    size = 1 if kind == "json" else log.size
    assert http.fork("sub", "a", at=earliest, sub=str(size)).offset == log.token(9)
    check_error(http.put_fork("x", "a", at=earliest, sub=str(5 if kind == "json" else size + 1)), 400)
    created = http.fork("zero", "a", None, log.parts[0], at=ZERO)
    assert created.offset == at(earliest, position(earliest) + size)
    assert expect(http.get("zero"), 200).body.strip(b"[]") == log.parts[0]
    assert http.fork("zero-empty", "a", at=ZERO).offset == earliest
    assert shown(http, "zero-empty") == {EARLIEST: earliest} and http.get("zero-empty").body.strip(b"[]") == b""


@KINDS
def test_reads_of_a_fork_of_a_cut_stream(server: Server, kind: str) -> None:
    """It begins where its source does, and is read like any cut stream, in every way, over the fork point."""
    stack, hooks, http = server()
    log = cut_source(http, stack, kind)
    made = fork(log, "f", 11)
    grow(stack, made, 2, b"f")
    made.append(1, b"f")
    earliest = log.token(8)
    for query in ("", "offset=-1", f"offset={ZERO}", f"offset={earliest}"):
        first, content = made.read(query)
        assert content == made.content(8)
        rest, found = split(first)
        assert found == ({} if query.endswith(earliest) else {EARLIEST: earliest})
        instance = (rest.get("ETag") or "").strip('"').split(":")[0]
        etag, is_last = f'"{instance}:{earliest}:{first.offset}"', "Stream-Up-To-Date" in first
        check_read(
            rest, first.body, type=made.type, cache=CACHEABLE, next_offset=first.offset, etag=etag, up_to_date=is_last
        )
    for n in range(15):
        for way in ("", "live=long-poll&", "live=sse&") if n < 8 else ():
            check_cut_off(http.get("f", f"{way}offset={made.token(n)}"), earliest)
        if n >= 8:
            assert made.read(f"offset={made.token(n)}")[1] == made.content(n)
    with EventSource(stack, "f") as source:
        got, _ = source.until(made.token())
    assert (b",".join(piece[1:-1] for piece in got) if kind == "json" else b"".join(got)) == made.content(8)
    assert log.read()[1] == log.content(8)


def test_repeated_put_after_the_cut(server: Server) -> None:
    """Judged before anything about the source is looked at: also where its fork point has gone."""
    stack, hooks, http = server()
    log = Log(http, "a", Stream_Retention_Messages="2")
    grow(stack, log, 2)
    made = fork(log, "f", 1)
    grow(stack, log, 4)
    wait_until(stack, lambda: log.gone() == 4, "it is cut")
    for given in ({}, {"at": log.token(1)}):
        check_empty(http.put_fork("f", "a", **given), 200, Stream_Next_Offset=made.token())
    check_error(http.put_fork("f", "a", at=log.token(0)), 409, "STREAM_EXISTS")
    check_cut_off(http.put_fork("g", "a", at=log.token(1)), log.token(4))


@KINDS
def test_fork_of_an_emptied_stream(server: Server, kind: str) -> None:
    """Empty, and goes on at the tail; one that was made before still has everything."""
    stack, hooks, http = server()
    log = Log(http, "a", kind, Stream_Retention_Age="3600")
    grow(stack, log, 4)
    before = fork(log, "before")
    let_age(stack, hooks, 3600, log)
    for name, given in (("f", {}), ("zero", {"at": ZERO}), ("tail", {"at": log.token()})):
        assert http.fork(name, "a", **given).offset == log.token()
        rest, found = split(http.get(name))
        nothing = b"[]" if kind == "json" else b""
        check_read(rest, nothing, type=log.type, cache="no-store", next_offset=log.token(), etag=True)
        assert found == shown(http, name) == {EARLIEST: log.token()}
        part = log.next_part(b"f")
        assert http.append(name, log.type, part).offset == log.token(5)
        assert http.get(name).body.strip(b"[]") == part
    check_cut_off(http.put_fork("x", "a", at=log.token(3)), log.token())
    hooks.advance(10)
    assert before.read()[1] == before.content() and log.read()[1] == b""
    expect(http.delete("before"), 204)
    wait_files(stack, hooks, lambda: segment_files(stack) == [], "the files are gone")
    log.append(1)
    assert log.read()[1] == log.content(4)


@pytest.mark.slow
@KINDS
def test_forks_while_the_source_is_cut(server: Server, kind: str) -> None:
    """Each fork has everything from some beginning of the source's on, for good; or is refused for a cut just made."""
    stack, hooks, http = server(DS_WORKERS=2)
    with closing(Client(stack)) as writing:
        log = Log(writing, "a", kind, Stream_Retention_Messages="2")
        log.append(2)
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                log.append(1)

        writer = threading.Thread(target=write)
        writer.start()
        made: dict[str, tuple[int, int]] = {}
        refused = 0
        try:
            known = log.token(0)
            while len(made) < 60 or refused < 3:
                name = f"f{len(made)}"
                token = (None, ZERO, known, shown(http, "a").get(EARLIEST, known))[len(made) % 4]
                answer = http.put_fork(name, "a", **{} if token is None else {"at": token})
                if answer.status == 410:
                    rest, found = split(answer)
                    check_error(rest, 410, "OFFSET_GONE")
                    assert found[EARLIEST] > known
                    known, refused = found[EARLIEST], refused + 1
                    continue
                expect(answer, 201)
                begin = shown(http, name).get(EARLIEST, at(answer.offset, 0))
                assert known <= begin <= answer.offset and incarnation(begin) == incarnation(log.origin)
                assert token is None or answer.offset == (begin if token == ZERO else token)
                made[name] = (position(begin) // log.place(1), position(answer.offset) // log.place(1))
        finally:
            stop.set()
            writer.join(30)
        wait_cold_or_short(stack, log)
        reader = copy.copy(log)
        for name, (first, end) in made.items():
            reader.http, reader.path, reader.parts = http, name, log.parts[:end]
            assert reader.read()[1] == reader.content(first), (name, first, end)
            assert reader.gone() == first
        assert max(first for first, _ in made.values()) > 0, "nothing was cut meanwhile"
        for name in made:
            expect(http.delete(name), 204)
        first = log.gone()
        assert log.read()[1] == log.content(first) and len(log.parts) - first >= 2
        rows = [(start // log.place(1), end // log.place(1)) for start, end, _, _ in segments(stack, "a")]
        kept = [(start, end) for start, end in rows if start >= first]
        wait_files(stack, hooks, lambda: pieces(stack, log) == kept, "only what is kept has files")


def wait_cold_or_short(stack: Stack, log: Log) -> None:
    """Until nothing of a stream moves any more: at most one append is hot."""
    hot = f"SELECT {log.place(len(log.parts))} - max(end) FROM segment WHERE stream = {incarnation(log.origin)}"
    moving = "SELECT count(*) FROM rotation"
    wait_until(stack, lambda: ask_store(stack, hot, moving)[0] < log.place(2), "the rest is in segments")
    wait_until(stack, lambda: ask_store(stack, moving) == [0], "nothing moves any more")


def test_a_fork_goes_while_its_source_is_looked_at(fresh_stack, tmp_path: Path) -> None:
    """The look knows nothing of it, and must not have the last word."""
    race = Race(lambda **settings: fresh_stack(DS_SEGMENT_MAX_MESSAGES=2, **settings), tmp_path / "hooks")
    stack, hooks = race.stack, race.hooks
    log = cut_source(race.http, stack, "bytes", 12)
    fork(log, "first")
    fork(log, "second")
    # The newest gives up what it has inherited; its number stays the newest.
    late = fork(log, "late", Stream_Retention_Messages="2")
    grow(stack, late, 4)
    wait_until(stack, lambda: late.gone() == 14, "it is cut")
    grow(stack, log, 8)
    wait_until(stack, lambda: log.gone() == 8, "it is cut")
    wait_until(stack, lambda: is_quiet(stack, hooks), "nothing is on its way")
    hooks.arm("retention.judged", "stop")
    race.http.delete("first")
    wait_stopped(stack, hooks, "retention.judged")
    try:
        expect(race.other("late").delete("second"), 204)
    finally:
        go_on(stack)
    wait_files(stack, hooks, lambda: pieces(stack, log)[0] == (8, 10), "nobody needs the beginning any more")
    for client in race.clients:
        client.close()
