"""Limits of forks: they are a fork's own, and cut it by themselves; what is inherited goes as one piece."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from checks import check_empty, check_error
from client import NINES, expect
from retention import EARLIEST, LIMITS, Log, check_cut_off, grow, let_age, pass_time, shown
from retention_forks import Server, fork, servers, wait_files
from store import segment_files, wait_until

pytestmark = pytest.mark.timeout(120)
KINDS = pytest.mark.parametrize("kind", ["bytes", "json"])


@pytest.fixture
def server(fresh_stack, tmp_path: Path) -> Iterator[Server]:
    yield from servers(fresh_stack, tmp_path)


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
    of_source = {"Stream_Retention_Messages": "2", "Stream_Retention_Age": "86400"}
    check_error(http.put_fork("f", "a", **of_source), 409, "STREAM_EXISTS")
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
