"""Retention and forks: what a fork inherits stays for it, its own limits cut by themselves, and files go with the last reader."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from checks import CACHEABLE, check_empty, check_error, check_read
from client import NINES, ZERO, Client, at, expect, incarnation, position
from hooks import Hooks
from sse import EventSource
from stack import Stack
from test_deletion import ask_store, segment_files, wait_until
from retention import EARLIEST, LIMITS, Log, check_cut_off, grow, let_age, pass_time, segments, select, shown, split

pytestmark = pytest.mark.timeout(120)
KINDS = pytest.mark.parametrize("kind", ["bytes", "json"])
Server = Callable[..., tuple[Stack, Hooks, Client]]


@pytest.fixture
def server(fresh_stack, tmp_path: Path) -> Iterator[Server]:
    """Makes a stack with segments of two parts, and a clock to move: files go five seconds after the last reader."""
    clients = []

    def make(**settings: object) -> tuple[Stack, Hooks, Client]:
        hooks = Hooks(tmp_path / "hooks")
        stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2, **hooks.settings, **settings)
        clients.append(Client(stack))
        return stack, hooks, clients[0]

    yield make
    for client in clients:
        client.close()


def fork(source: Log, path: str, parts: int | None = None, **extra: str) -> Log:
    """A fork behind so many parts of its source, by default all."""
    made = copy.copy(source)
    made.path, made.parts = path, source.parts[:parts]
    made.inherited = len(made.parts)
    token = {} if parts is None else {"at": source.token(parts)}
    created = source.http.fork(path, source.path, **token, **extra)
    assert created.offset == made.token()
    return made


def pieces(stack: Stack, log: Log) -> list[tuple[int, int]]:
    """Beginning and end, in parts, of each file of a stream's own part."""
    (id,) = select(stack, "SELECT id FROM stream WHERE name = ?", f"_default/{log.path}")[0]
    places = [tuple(int(place) for place in file.name.split("-")[1:]) for file in segment_files(stack, id)]
    return sorted((start // log.place(1), end // log.place(1)) for start, end in places)


def wait_files(stack: Stack, hooks: Hooks, holds: Callable[[], bool], what: str) -> None:
    """Time goes by meanwhile."""
    wait_until(stack, lambda: hooks.advance(1) or holds(), what)


def cut_source(http: Client, stack: Stack, kind: str, keep: int = 4, path: str = "a", **extra: str) -> Log:
    """A stream of twelve parts, in segments of two, of which the last few are kept."""
    log = Log(http, path, kind, Stream_Retention_Messages=str(keep), **extra)
    grow(stack, log, 12)
    wait_until(stack, lambda: log.gone() == 12 - keep, "it is cut")
    return log


@KINDS
def test_a_fork_keeps_what_it_inherits(server: Server, kind: str) -> None:
    """Whatever its source cuts later; the files stay as long as they are needed, no others, and go after the last fork."""
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
        check_read(rest, first.body, type=made.type, cache=CACHEABLE, next_offset=first.offset, up_to_date="Stream-Up-To-Date" in first,
                   etag=f'"{instance}:{earliest}:{first.offset}"')  # fmt: skip
    for n in range(15):
        for way in ("", "live=long-poll&", "live=sse&") if n < 8 else ():
            check_cut_off(http.get("f", f"{way}offset={made.token(n)}"), earliest)
        if n >= 8:
            assert made.read(f"offset={made.token(n)}")[1] == made.content(n)
    with EventSource(stack, "f") as source:
        got, _ = source.until(made.token())
    assert (b",".join(piece[1:-1] for piece in got) if kind == "json" else b"".join(got)) == made.content(8)
    assert log.read()[1] == log.content(8)


@KINDS
def test_limits_are_not_inherited(server: Server, kind: str) -> None:
    """Neither shown nor held nor compared; a fork's own are."""
    stack, hooks, http = server()
    log = Log(http, "a", kind, Stream_Retention_Messages="2", Stream_Retention_Age="86400")
    grow(stack, log, 2)
    made, own = fork(log, "f"), fork(log, "own", Stream_Retention_Messages="4", Stream_Retention_Bytes="0")
    assert shown(http, "f") == {} and shown(http, "own") == {EARLIEST: log.token(0), LIMITS[1]: "0", LIMITS[2]: "4"}
    grow(stack, made, 8, b"f")
    assert made.gone() == 0 and made.read()[1] == made.content()
    check_empty(http.put_fork("f", "a"), 200, Stream_Next_Offset=made.token())
    check_error(http.put_fork("f", "a", Stream_Retention_Messages="2", Stream_Retention_Age="86400"), 409, "STREAM_EXISTS")
    expect(http.put_fork("own", "a", Stream_Retention_Messages="4", Stream_Retention_Bytes="0"), 200)
    check_error(http.put_fork("own", "a"), 409, "STREAM_EXISTS")
    check_error(http.put_fork("x", "a", Stream_Retention_Age="x"), 400, "RETENTION_INVALID")
    check_error(http.put_fork("x", "a", Stream_Retention_Age="07", at=NINES), 400, "RETENTION_INVALID")
    assert own.read()[1] == own.content()


# Limits of forks, and how many parts of 100 bytes they ask for.
OWN = {"messages": ({"Stream_Retention_Messages": "4"}, 4), "bytes": ({"Stream_Retention_Bytes": "350"}, 4)}


@KINDS
@pytest.mark.parametrize("limit", OWN)
def test_what_is_inherited_goes_as_one_piece(server: Server, kind: str, limit: str) -> None:
    """As soon as the fork's own part is as much as is asked for; then its own segments; the source keeps everything."""
    stack, hooks, http = server()
    headers, promise = OWN[limit]
    log = Log(http, "a", kind, 100)
    grow(stack, log, 6)
    log.append(1)
    made = fork(log, "f", 5, **headers)
    beside = fork(made, "beside")
    grow(stack, made, 2, b"f")
    assert made.gone() == 0 and made.read()[1] == made.content()
    late = fork(made, "late")
    grow(stack, made, 2, b"f")
    wait_until(stack, lambda: made.gone() == 5, "what is inherited has gone")
    assert made.read()[1] == made.content(5)
    for n in range(5):
        check_cut_off(http.get("f", f"offset={made.token(n)}"), made.token(5))
        check_cut_off(http.put_fork("x", "f", at=made.token(n)), made.token(5))
    for own in (7, 9):
        grow(stack, made, 2, b"f")
        wait_until(stack, lambda own=own: made.gone() == own, "a segment of its own has gone")
        assert len(made.parts) - own >= promise and made.read()[1] == made.content(own)
    # Nobody else has lost anything.
    for other in (log, beside, late):
        assert other.gone() == 0 and other.read()[1] == other.content()
    expect(http.delete("a"), 204)
    expect(http.head("a"), 410)
    made.append(1, b"f")
    for other, first in ((made, 9), (beside, 0), (late, 0)):
        assert other.read()[1] == other.content(first)
    for name in ("f", "beside", "late"):
        expect(http.delete(name), 204)
    wait_files(stack, hooks, lambda: http.head("a").status == 404 and segment_files(stack) == [], "everything has gone")


def test_the_default_cuts_forks_too(server: Server) -> None:
    """A fork that says 0 keeps all, though its source has not."""
    stack, hooks, http = server(DS_RETENTION_MESSAGES=2)
    log = Log(http, "a")
    grow(stack, log, 2)
    made, kept = fork(log, "f"), fork(log, "kept", Stream_Retention_Messages="0")
    for one in (log, made, kept):
        grow(stack, one, 2, one.path[:1].encode())
    wait_until(stack, lambda: (log.gone(), made.gone(), kept.gone()) == (2, 2, 0), "source and fork are cut")
    assert [one.read()[1] for one in (log, made, kept)] == [log.content(2), made.content(2), kept.content()]


@KINDS
def test_chain(server: Server, kind: str) -> None:
    """Each in a row is cut by its own limits; the last ones read what both before them have given up."""
    stack, hooks, http = server()
    a = Log(http, "a", kind, Stream_Retention_Messages="2")
    grow(stack, a, 4)
    wait_until(stack, lambda: a.gone() == 2, "the first is cut")
    b = fork(a, "b", Stream_Retention_Messages="2")
    c = fork(b, "c")
    c.append(1, b"c")
    grow(stack, a, 4)
    grow(stack, b, 2, b"b")
    wait_until(stack, lambda: (a.gone(), b.gone()) == (6, 4), "nobody but the third has what the second has inherited")
    e = fork(b, "e", 5)
    grow(stack, b, 2, b"b")
    wait_until(stack, lambda: b.gone() == 6, "a segment of the second's own has gone")
    d = fork(c, "d", 3)
    for name in "abc":
        expect(http.delete(name), 204)
        expect(http.head(name), 410)
    hooks.advance(10)
    for one, first in ((d, 2), (e, 4)):
        assert one.gone() == first and one.read()[1] == one.content(first)
        check_cut_off(http.get(one.path, f"offset={one.token(first - 1)}"), one.token(first))
        expect(http.delete(one.path), 204)
    wait_until(stack, lambda: [http.head(name).status for name in "abcde"] == [404] * 5, "the chain has gone")
    wait_files(stack, hooks, lambda: segment_files(stack) == [], "and so have all files")


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
def test_age(server: Server, kind: str) -> None:
    """A fork that is never written to is emptied by its own age, not before; its source and other forks are not."""
    stack, hooks, http = server()
    log = Log(http, "a", kind)
    grow(stack, log, 4)
    log.append(1)
    made, beside = fork(log, "f", Stream_Retention_Age="3600"), fork(log, "beside", 3)
    pass_time(stack, hooks, 3570)
    assert made.gone() == 0 and made.read()[1] == made.content()
    let_age(stack, hooks, 3600, made)
    assert http.head("f").offset == made.token() and made.read()[1] == b""
    assert log.read()[1] == log.content() and beside.read()[1] == beside.content()
    grow(stack, made, 2, b"f")
    assert made.read()[1] == made.content(5)
    # Nobody but the fork's own forks begins where it does.
    lower = fork(made, "lower")
    assert lower.gone() == 5 and lower.read()[1] == lower.content(5)


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
        check_read(rest, b"[]" if kind == "json" else b"", type=log.type, cache="no-store", next_offset=log.token(), etag=True)
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
    """Each fork has everything from some beginning of the source's on, for good; or was refused for a cut that had been made."""
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
        kept = [(start // log.place(1), end // log.place(1)) for start, end, _, _ in segments(stack, "a") if start >= log.place(first)]
        wait_files(stack, hooks, lambda: pieces(stack, log) == kept, "only what is kept has files")


def wait_cold_or_short(stack: Stack, log: Log) -> None:
    """Until nothing of a stream moves any more: at most one append is hot."""
    hot = f"SELECT {log.place(len(log.parts))} - max(end) FROM segment WHERE stream = {incarnation(log.origin)}"
    wait_until(stack, lambda: ask_store(stack, hot, "SELECT count(*) FROM rotation")[0] < log.place(2), "the rest is in segments")
    wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM rotation") == [0], "nothing moves any more")
