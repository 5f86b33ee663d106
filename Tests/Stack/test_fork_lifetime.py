"""Lifetimes of forks and of their sources: inheritance (11.3), soft delete and cascade (11.6, 3.7, 8.3)."""

from __future__ import annotations

import time

import pytest

from checks import check_empty, check_error, check_protocol_headers, check_read
from client import Client, at, expect, incarnation, instant, producer
from stack import Stack
from test_concurrency import at_once, statuses
from test_expiry import wait_absent
from test_forks import check_unreferenced

SOON, LATER = "2098-01-02T03:04:05.5+01:00", "2099-01-02T03:04:05Z"
TTL, AT = "Stream_TTL", "Stream_Expires_At"


def check_gone(http: Client, path: str) -> None:
    """Soft-deleted: 410 in every way but PUT, which is 409 (11.6)."""
    for answer in (http.get(path), http.get(path, "offset=bad"), http.get(path, "live=long-poll&offset=now"), http.get(path, "live=sse&offset=-1")):
        check_error(answer, 410)
    check_error(http.get(path, If_None_Match="*"), 410)
    check_error(http.post(path, "text/plain", "x"), 410)
    check_error(http.post(path, Stream_Closed="true"), 410)
    check_error(http.post(path, "text/plain", "x", Producer_Id="p"), 410)
    head = http.head(path)
    assert head.status == 410 and head.get("Cache-Control") == "no-store"
    check_protocol_headers(head)
    check_error(http.delete(path), 410)
    check_error(http.put(path, "text/plain"), 409)
    check_error(http.put(path, "application/json", "[", Stream_Closed="true"), 409)
    check_error(http.put_fork(f"{path}-new", path), 409)
    expect(http.head(f"{path}-new"), 404)


def check_absent(http: Client, path: str) -> None:
    check_error(http.get(path), 404, "STREAM_NOT_FOUND")
    check_error(http.post(path, "text/plain", "x"), 404)
    check_error(http.delete(path), 404)
    expect(http.head(path), 404)
    check_error(http.put_fork(f"{path}-new", path), 404)


def wait_for(http: Client, path: str, status: int, within: float = 10.0) -> None:
    """HEAD (which never touches) until it answers so."""
    deadline = time.monotonic() + within
    while (answer := http.head(path)).status != status:
        assert time.monotonic() < deadline, f"{path} is not {status}: {answer.describe()}"
        time.sleep(0.02)


# 11.3

INHERITANCE = [
    ({}, {}, {}),
    ({}, {TTL: "700"}, {TTL: "700"}),
    ({}, {AT: LATER}, {AT: LATER}),
    ({TTL: "600"}, {}, {TTL: "600"}),
    ({TTL: "600"}, {TTL: "700"}, {TTL: "700"}),
    ({TTL: "600"}, {TTL: "500"}, {TTL: "500"}),
    ({TTL: "600"}, {AT: LATER}, {AT: LATER}),
    ({AT: SOON}, {}, {AT: SOON}),
    ({AT: SOON}, {TTL: "700"}, {TTL: "700"}),
    ({AT: SOON}, {AT: LATER}, {AT: LATER}),
    ({AT: LATER}, {AT: SOON}, {AT: SOON}),
    ({TTL: "600"}, {TTL: "", AT: ""}, {TTL: "600"}),
]


@pytest.mark.parametrize(("source", "given", "effective"), INHERITANCE)
def test_inheritance(http: Client, path: str, source: dict, given: dict, effective: dict) -> None:
    """HEAD shows the effective value, through a second generation too; the source's stays."""
    http.create(path, "text/plain", "abc", **source)
    http.fork(f"{path}/b", path, **given)
    http.fork(f"{path}/c", f"{path}/b", None, "x")
    for name in (f"{path}/b", f"{path}/c"):
        check_protocol_headers(http.head(name), Stream_Next_Offset=True, **effective)
    check_protocol_headers(http.head(path), Stream_Next_Offset=True, **source)


REPEATS = [
    ({TTL: "600"}, {}, {TTL: "600"}, 200),
    ({TTL: "600"}, {}, {TTL: "601"}, 409),
    ({TTL: "600"}, {}, {AT: LATER}, 409),
    ({TTL: "600"}, {TTL: "600"}, {}, 409),
    ({AT: SOON}, {}, {}, 200),
    ({AT: SOON}, {}, {AT: "2098-01-02T02:04:05.500Z"}, 200),
    ({AT: SOON}, {}, {AT: LATER}, 409),
    ({AT: SOON}, {}, {TTL: "600"}, 409),
    ({TTL: "600"}, {TTL: "700"}, {TTL: "600"}, 409),
    ({}, {}, {TTL: "600"}, 409),
]


@pytest.mark.parametrize(("source", "given", "again", "status"), REPEATS)
def test_repeated_with_an_inherited_lifetime(http: Client, path: str, source: dict, given: dict, again: dict, status: int) -> None:
    """The comparison table of 3.1: absent matches what was inherited, and so does the same value."""
    http.create(path, "text/plain", "abc", **source)
    http.fork(f"{path}/b", path, **given)
    expect(http.put_fork(f"{path}/b", path, **again), status)
    # The source's own value plays no part.
    expect(http.delete(path), 204)
    expect(http.put_fork(f"{path}/b", path, **again), status)


def test_max_age_follows_the_effective_lifetime(http: Client, path: str) -> None:
    """9.1."""
    tail = http.create(path, "text/plain", "abc", Stream_TTL="30").offset
    http.fork(f"{path}/b", path)
    check_read(http.get(f"{path}/b"), b"abc", type="text/plain", cache="public, max-age=30", next_offset=tail)


def test_windows_are_independent(http: Client, path: str) -> None:
    """8.2: what touches a fork never touches its source, nor the reverse; a fork may outlive its source."""
    http.create(path, "text/plain", "abc", Stream_TTL="1")
    http.fork(f"{path}/busy", path)
    http.fork(f"{path}/idle", path)
    http.fork(f"{path}/capped", path, Stream_Expires_At=instant(1))
    deadline = time.monotonic() + 5
    while http.head(path).status != 410:
        assert time.monotonic() < deadline
        assert http.get(f"{path}/busy", "offset=now").status == 200
        time.sleep(0.02)
    for name in ("idle", "capped"):
        wait_absent(http, f"{path}/{name}", 2)
    check_read(http.get(f"{path}/busy"), b"abc", type="text/plain", cache="public, max-age=1", next_offset=http.head(f"{path}/busy").offset)
    check_gone(http, path)


def test_touching_the_source_does_not_keep_the_fork(http: Client, path: str) -> None:
    http.create(path, "text/plain", "abc", Stream_TTL="1")
    http.fork(f"{path}/b", path)
    deadline = time.monotonic() + 5
    while http.head(f"{path}/b").status != 404:
        assert time.monotonic() < deadline
        expect(http.post(path, "text/plain", "x"), 204)
        time.sleep(0.02)
    check_absent(http, f"{path}/b")
    expect(http.get(path), 200)


# 11.6


def test_soft_delete(http: Client, path: str) -> None:
    """DELETE with a fork: gone for everybody, while the fork reads on and takes appends and forks."""
    tail = http.create(path, "text/plain", "abc").offset
    http.fork(f"{path}/b", path, None, "d")
    check_empty(http.delete(path), 204)
    check_gone(http, path)
    check_gone(http, path)
    http.append(f"{path}/b", "text/plain", "e")
    http.fork(f"{path}/c", f"{path}/b", None, "!", at=at(tail, 2))
    assert http.get(f"{path}/b").body == b"abcde" and http.get(f"{path}/c").body == b"ab!"
    expect(http.delete(f"{path}/b"), 204)
    check_gone(http, path)
    check_gone(http, f"{path}/b")
    assert http.get(f"{path}/c", "again").body == b"ab!"
    expect(http.delete(f"{path}/c"), 204)
    for name in (path, f"{path}/b", f"{path}/c"):
        check_absent(http, name)


def test_a_closed_source_is_soft_deleted_too(http: Client, path: str) -> None:
    """3.7: closed streams are deleted like open ones; no answer of a gone stream says closed."""
    http.create(path, "text/plain", "abc", Stream_Closed="true")
    http.fork(f"{path}/b", path)
    expect(http.delete(path), 204)
    check_gone(http, path)
    expect(http.delete(f"{path}/b"), 204)
    check_absent(http, path)


@pytest.mark.parametrize("order", ["down", "up", "odd-first"])
def test_cascade_along_a_chain(http: Client, path: str, order: str) -> None:
    """Whatever the order, the last deletion takes everything that waits along, and nothing else."""
    count = 8
    http.create(f"{path}/0", "text/plain", "0")
    for n in range(1, count):
        http.fork(f"{path}/{n}", f"{path}/{n - 1}", None, str(n))
    turns = {"down": range(count), "up": reversed(range(count)), "odd-first": [*range(1, count, 2), *range(0, count, 2)]}[order]
    alive = set(range(count))
    for turn in turns:
        expect(http.delete(f"{path}/{turn}"), 204)
        alive.remove(turn)
        for n in range(count):
            needed = any(m > n for m in alive)
            status = 200 if n in alive else 410 if needed else 404
            assert http.head(f"{path}/{n}").status == status, (turn, n)
            if status == 200:
                assert http.get(f"{path}/{n}", f"t{turn}").body == "".join(map(str, range(n + 1))).encode()
    http.create(f"{path}/0", "text/plain")


def test_middle_of_a_tree(http: Client, path: str) -> None:
    """A branch goes when its own forks have gone; the count of a live stream reaching 0 does nothing."""
    http.create(f"{path}/root", "text/plain", "r")
    for name, source in (("m", "root"), ("x", "m"), ("y", "m"), ("side", "root")):
        http.fork(f"{path}/{name}", f"{path}/{source}", None, name)
    expect(http.delete(f"{path}/m"), 204)
    expect(http.delete(f"{path}/x"), 204)
    check_gone(http, f"{path}/m")
    assert http.get(f"{path}/y").body == b"rmy"
    expect(http.delete(f"{path}/y"), 204)
    check_absent(http, f"{path}/m")
    expect(http.delete(f"{path}/side"), 204)
    assert http.get(f"{path}/root").body == b"r"
    check_unreferenced(http, f"{path}/root")


def test_new_stream_at_a_released_name(http: Client, path: str) -> None:
    """1.7: after the cascade the names are free; nothing leaks, and old tokens are recognised."""
    old = http.create(path, "text/plain", "old", Stream_TTL="600").offset
    http.append(path, "text/plain", "er", **producer("p", 5, 0), Stream_Seq="z", Stream_Closed="true")
    http.fork(f"{path}/b", path, None, "fork")
    expect(http.post(f"{path}/b", "text/plain", "!", **producer("q", 5, 0), Stream_Seq="z"), 200)
    etag = http.get(f"{path}/b").get("ETag") or ""
    expect(http.delete(path), 204)
    expect(http.delete(f"{path}/b"), 204)
    for name in (path, f"{path}/b"):
        created = http.create(name, "text/plain")
        assert incarnation(created.offset) > incarnation(old) and created.offset.endswith("_" + "0" * 16)
        check_protocol_headers(http.head(name), Stream_Next_Offset=created.offset)
        check_error(http.get(name, f"offset={old}"), 410, "OFFSET_GONE")
        expect(http.post(name, "text/plain", "n", **producer("p", 0, 0), Stream_Seq="a"), 200)
        expect(http.post(name, "text/plain", "ew", **producer("q", 0, 0)), 200)
        assert expect(http.get(name, If_None_Match=etag), 200).body == b"new"
        check_unreferenced(http, name)


def test_a_refused_creation_holds_nothing(http: Client, path: str) -> None:
    """11.4: 20 refusals of each kind, and the source is removed at once."""
    http.create(path, "application/json", "[1]")
    for _ in range(20):
        for type, body, extra in ((None, "{", {}), ("text/plain", None, {}), (None, None, {"sub": "1"}), (None, None, {"at": at("9" * 16 + "_", 1)})):
            assert http.put_fork(f"{path}/x", path, type, body, **extra).status in (400, 409)
    http.fork(f"{path}/b", path)
    for _ in range(20):
        expect(http.put_fork(f"{path}/b", path), 200)
        expect(http.put_fork(f"{path}/b", path, sub="1"), 409)
    expect(http.delete(f"{path}/b"), 204)
    check_unreferenced(http, path)


@pytest.mark.parametrize("round", range(10))
def test_race_of_forks_and_deletion(stack: Stack, http: Client, path: str, round: int) -> None:
    """11.4: looking at the source and taking the reference is one step, so the counts come out right."""
    http.create(path, "text/plain", "abc")
    answers = at_once(stack, 12, lambda c, i: c.delete(path) if i == 5 else c.put_fork(f"{path}/{i % 6}", path))
    assert answers[5].status == 204
    assert all(a.status in (200, 201, 404, 409) for i, a in enumerate(answers) if i != 5), statuses(answers)
    made = [n for n in range(6) if http.head(f"{path}/{n}").status == 200]
    assert len(made) == statuses(answers)[201]
    expect(http.head(path), 410 if made else 404)
    for n in made:
        assert http.get(f"{path}/{n}").body == b"abc"
        expect(http.head(path), 410)
        expect(http.delete(f"{path}/{n}"), 204)
    check_absent(http, path)


@pytest.mark.parametrize("round", range(3))
def test_race_of_deletions(stack: Stack, http: Client, path: str, round: int) -> None:
    """All forks and the source at once: everything is gone behind the last answer."""
    http.create(path, "text/plain", "abc")
    for n in range(11):
        http.fork(f"{path}/{n}", path if n < 6 else f"{path}/{n - 6}")
    answers = at_once(stack, 12, lambda c, i: c.delete(path if i == 11 else f"{path}/{i}"))
    assert statuses(answers) == {204: 12}
    for name in (path, *(f"{path}/{n}" for n in range(11))):
        expect(http.head(name), 404)
