"""What happens to the source while a fork is made or asked for again, born expired or in a ring (3.1, 11.1, 11.4, 11.5)."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from checks import check_empty, check_error
from client import ZERO, Client, at, expect, instant, position, url
from stack import Stack
from test_concurrency import at_once, statuses
from test_fork_lifetime import check_absent, check_gone, wait_for
from test_forks import check_unreferenced
from wire import encode

TEXT, JSON = "text/plain", "application/json"


def nothing(http: Client, source: str) -> None:
    pass


def replace(http: Client, source: str) -> None:
    expect(http.delete(source), 204)
    http.create(source, TEXT, "other")


def soft_delete(http: Client, source: str) -> None:
    http.fork(f"{source}-keeps", source)
    expect(http.delete(source), 204)


# What is done to the source between the two halves of the PUT; its answer, and what the fork then holds.
MEANWHILE = {
    "nothing": (nothing, {}, 201, b"abc!!"),
    "append": (lambda c, s: c.append(s, TEXT, "d"), {}, 201, b"abcd!!"),
    "close": (lambda c, s: c.append(s, TEXT, "d", Stream_Closed="true"), {}, 201, b"abcd!!"),
    "append-beyond-the-point": (lambda c, s: c.append(s, TEXT, "d"), {"at": "2"}, 201, b"ab!!"),
    "append-makes-it-valid": (lambda c, s: c.append(s, TEXT, "d"), {"at": "4"}, 201, b"abcd!!"),
    "delete": (lambda c, s: expect(c.delete(s), 204), {}, 404, None),
    "soft-delete": (soft_delete, {}, 409, None),
    "expire": (lambda c, s: wait_for(c, s, 404), {}, 404, None),
    "replace": (replace, {}, 201, b"other!!"),
    "replace-zero": (replace, {"at": ZERO}, 201, b"!!"),
    "replace-token": (replace, {"at": "2"}, 400, None),
    "target-created": (lambda c, s: c.create(f"{s}-fork", TEXT), {}, 409, b""),
    "same-fork-created": (lambda c, s: c.fork(f"{s}-fork", s), {}, 200, b"abc"),
}


@pytest.mark.parametrize("case", MEANWHILE.values(), ids=MEANWHILE.keys())
def test_source_changes_while_the_body_is_on_its_way(stack: Stack, http: Client, path: str, case: tuple) -> None:
    """Judged as things are when the last byte is in; a refusal leaves no reference."""
    change, extra, status, content = case
    lifetime = {"Stream_Expires_At": instant(0.5)} if case is MEANWHILE["expire"] else {}
    tail = http.create(path, TEXT, "abc", **lifetime).offset
    head = f"PUT {url(path)}-fork HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nStream-Forked-From: {url(path)}\r\n"
    for value in extra.values():
        head += f"Stream-Fork-Offset: {value if value == ZERO else at(tail, int(value))}\r\n"
    with stack.connect() as connection:
        connection.send(encode(head + "\r\n!"))
        change(http, path)
        connection.send(b"!")
        expect(connection.read_response("PUT"), status)
    if content is None:
        expect(http.head(f"{path}-fork"), 404)
        if status == 409:
            expect(http.delete(f"{path}-keeps"), 204)
            check_absent(http, path)
        elif status == 400:
            check_unreferenced(http, path)
    else:
        assert http.get(f"{path}-fork").body == content
        expect(http.delete(f"{path}-fork"), 204)
        check_unreferenced(http, path)


@pytest.mark.parametrize("workers", [1, 3])
def test_forks_of_a_busy_source(fresh_stack, workers: int) -> None:
    """11.4: the fork point is the tail of one moment, at the end of an append, and never moves."""
    stack = fresh_stack(DS_WORKERS=workers)
    with closing(Client(stack)) as http:
        tail, stop = http.create("a", JSON).offset, threading.Event()

        def write() -> None:
            with closing(Client(stack)) as client:
                n = 0
                while not stop.is_set():
                    client.append("a", JSON, f"[{n},{n + 1},{n + 2}]")
                    n += 3

        writer = threading.Thread(target=write)
        writer.start()
        try:
            made = [a.offset for _ in range(20) for a in at_once(stack, 4, lambda c, i: c.fork(f"f/{time.monotonic_ns()}-{i}", "a", None, '"own"'))]
            lengths = [position(offset) - 1 for offset in made]
            known = position(http.head("a").offset)
            http.fork("last", "a")
            assert position(http.head("last").offset) >= known
        finally:
            stop.set()
            writer.join()
        assert len(set(lengths)) > 3 and all(length % 3 == 0 for length in lengths)
        for round, length in enumerate(lengths):
            expected = b"[" + b",".join(b"%d" % n for n in range(length)) + b"]"
            http.fork(f"g/{round}", "a", at=at(tail, length))
            assert http.get(f"g/{round}").body == expected


def test_repeated_when_source_and_fork_have_moved_on(http: Client, path: str) -> None:
    """11.5, row 10: the offset is the one that was defaulted to; the answer shows the fork's present tail and closure."""
    tail = http.create(f"{path}/a", JSON, "[1,2]").offset
    http.fork(f"{path}/b", f"{path}/a", None, "3")
    moved = http.append(f"{path}/a", JSON, "[8,9]").offset
    end = http.append(f"{path}/b", JSON, "4").offset
    for extra in ({}, {"at": tail}, {"at": tail, "sub": "0"}):
        check_empty(http.put_fork(f"{path}/b", f"{path}/a", None, "[nonsense", **extra), 200, Stream_Next_Offset=end)
    for extra in ({"at": moved}, {"at": end}, {"at": at(tail, 1)}, {"at": at(tail, 1), "sub": "1"}, {"Stream_Closed": "true"}):
        check_error(http.put_fork(f"{path}/b", f"{path}/a", **extra), 409)
    expect(http.post(f"{path}/b", Stream_Closed="true"), 204)
    check_error(http.put_fork(f"{path}/b", f"{path}/a"), 409)
    again = http.put_fork(f"{path}/b", f"{path}/a", Stream_Closed="true")
    check_empty(again, 200, Stream_Next_Offset=end, Stream_Closed="true")
    assert http.get(f"{path}/b").body == b"[1,2,3,4]"


@pytest.mark.parametrize("name", ["Stream-Forked-From", "Stream-Fork-Offset", "Stream-Fork-Sub-Offset", "Stream-TTL", "Stream-Expires-At"])
@pytest.mark.parametrize("same", [True, False], ids=["equal", "different"])
def test_header_given_twice(http: Client, path: str, name: str, same: bool) -> None:
    """4: none of them is a list, so two lines name no value and nothing is made of them."""
    tail = http.create(f"{path}/a", TEXT, "abcd").offset
    http.create(f"{path}/c", TEXT, "wxyz")
    values = {
        "Stream-Forked-From": (url(f"{path}/a"), url(f"{path}/c")),
        "Stream-Fork-Offset": (at(tail, 1), at(tail, 2)),
        "Stream-Fork-Sub-Offset": ("1", "2"),
        "Stream-TTL": ("500", "600"),
        "Stream-Expires-At": ("2098-01-02T03:04:05Z", "2099-01-02T03:04:05Z"),
    }
    lifetime = name if name.startswith(("Stream-TTL", "Stream-Exp")) else "Stream-TTL"
    names = ["Stream-Forked-From", "Stream-Fork-Offset", "Stream-Fork-Sub-Offset", lifetime]
    pairs = [(each, values[each][0]) for each in names] + [(name, values[name][0 if same else 1])]
    answer = http.request("PUT", url(f"{path}/b"), pairs)
    assert answer.status in (400, 404), answer.describe()
    check_error(answer, answer.status)
    expect(http.head(f"{path}/b"), 404)
    check_unreferenced(http, f"{path}/a")


@pytest.mark.parametrize("lifetime", [{"Stream_TTL": "0"}, {"Stream_Expires_At": "2000-01-01T00:00:00Z"}], ids=["ttl-0", "past"])
def test_fork_born_expired(http: Client, path: str, lifetime: dict[str, str]) -> None:
    """8.1: 201, expired by the next request, and whoever notices gives the source's name back."""
    tail = http.create(path, TEXT, "abc").offset
    for _ in range(3):
        check_empty(http.put_fork(f"{path}/b", path, None, "d", **lifetime), 201, Stream_Next_Offset=at(tail, 4), Location=True)
    check_absent(http, f"{path}/b")
    check_unreferenced(http, path)


def test_fork_that_expired_with_its_source_waiting(http: Client, path: str) -> None:
    """Row 9 to 12: the target's own end releases the source it is to be made from; so there is none."""
    http.create(path, TEXT, "abc")
    http.fork(f"{path}/b", path, Stream_TTL="0")
    expect(http.delete(path), 204)
    check_error(http.put_fork(f"{path}/b", path), 404)
    check_absent(http, f"{path}/b")
    check_absent(http, path)


def test_expired_names_in_a_ring(http: Client, path: str) -> None:
    """A name that has expired is free for a fork; made of itself it has no source, and gone it is no target."""
    http.create(path, TEXT, "abc", Stream_TTL="0")
    check_error(http.put_fork(path, path), 404)
    http.create(f"{path}/a", TEXT, "a", Stream_Expires_At=instant(0.3))
    http.fork(f"{path}/b", f"{path}/a", None, "b", Stream_TTL="600")
    wait_for(http, f"{path}/a", 410)
    check_error(http.put_fork(f"{path}/a", f"{path}/b"), 409)
    check_error(http.put_fork(f"{path}/a", f"{path}/a"), 409)
    assert http.get(f"{path}/b").body == b"ab"
    expect(http.delete(f"{path}/b"), 204)
    http.create(f"{path}/b", TEXT, "b")
    http.fork(f"{path}/a", f"{path}/b", None, "a")
    assert http.get(f"{path}/a").body == b"ba"


@pytest.mark.parametrize("length", [3, 5])
def test_no_ring_of_deleted_streams(http: Client, path: str, length: int) -> None:
    """Each but the last soft-deleted, none can be made again from the end; once it goes, all can, the other way round."""
    http.create(f"{path}/0", TEXT, "0")
    for n in range(1, length):
        http.fork(f"{path}/{n}", f"{path}/{n - 1}", None, str(n))
    last = length - 1
    for n in range(last):
        expect(http.delete(f"{path}/{n}"), 204)
    for n in range(length):
        check_error(http.put_fork(f"{path}/{n}", f"{path}/{last}"), 409)
    check_gone(http, f"{path}/0")
    expect(http.delete(f"{path}/{last}"), 204)
    check_error(http.put_fork(f"{path}/0", f"{path}/{last}"), 404)
    http.create(f"{path}/{last}", TEXT, str(last))
    for n in reversed(range(last)):
        http.fork(f"{path}/{n}", f"{path}/{n + 1}", None, str(n))
    assert http.get(f"{path}/0").body == "".join(map(str, reversed(range(length)))).encode()


@pytest.mark.parametrize("round", range(5))
def test_race_of_two_forks_of_each_other(stack: Stack, http: Client, path: str, round: int) -> None:
    """Both names free but for one: exactly one way round comes about."""
    http.create(f"{path}/a", TEXT, "a")
    answers = at_once(stack, 12, lambda c, i: c.put_fork(*((f"{path}/b", f"{path}/a") if i % 2 else (f"{path}/a", f"{path}/b"))))
    found = statuses(answers)
    assert found[201] == 1 and found[200] == 5 and found[404] + found[409] == 6, found
    check_unreferenced(http, f"{path}/b")
    check_unreferenced(http, f"{path}/a")
