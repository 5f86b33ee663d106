"""Deleted is deleted: no copy of it is read, and no waiter of it woken, once the URL has a new stream (1.4, 1.7, 3.7, 10.2)."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from checks import check_error
from client import ZERO, Client, at, expect, fields, incarnation, position, url
from sse import EventSource
from stack import Stack
from test_cache import BIG, STALE_LIMIT, big_stream, served
from test_concurrency import at_once, statuses
from test_fork_lifetime import check_absent
from test_long_poll import waiting
from wire import ConnectionClosed, build_request

NEW = b"new!" * 40_000

# How the start of a stream is asked for: clients' spellings, and URLs that mean the same. None names the incarnation.
STARTS = {
    "absent": "{p}",
    "minus-1": "{p}?offset=-1",
    "zeros": "{p}?offset=" + ZERO,
    "unknown-parameter": "{p}?x=1",
    "cursor": "{p}?cursor=7&offset=-1",
    "live-of-no-meaning": "{p}?live=false&offset=-1",
    "escaped-offset": "{p}?offset=%2D1",
    "empty-query": "{p}?",
    "separators-only": "{p}?&&",
    "escaped-path": "{e}",
    "escaped-path-and-offset": "{e}?offset=-1",
    "project": "{d}",
    "project-and-offset": "{d}?offset=-1",
    "position-without-incarnation": "{p}?offset=0000000000000000_0000000000000007",
}
# The same by a token of the stream, which nginx may answer from its copies.
STORED = ["{p}?offset={t}", "{p}?x=1&offset={t}", "{p}?cursor=7&offset={t}", "{p}?%6Fffset={t}", "{e}?offset={t}", "{d}?offset={t}"]


def spell(form: str, path: str, tail: str = ZERO) -> str:
    target = url(path)
    escaped = target[:-1] + f"%{ord(target[-1]):X}"
    return form.format(p=target, e=escaped, d=f"/v1/_default/stream/{path}", t=at(tail, 0))


@pytest.mark.parametrize("fork", [False, True], ids=["deleted", "soft-deleted"])
@pytest.mark.parametrize("form", STARTS.values(), ids=STARTS.keys())
def test_a_new_stream_is_read_at_once(small: Client, path: str, form: str, fork: bool) -> None:
    """1.4: behind the answered DELETE and PUT no read sees the old stream, whatever its URL looks like: none of them is stored."""
    target = spell(form, path)
    big_stream(small, path)
    if fork:
        small.fork(f"{path}/b", path)
    for _ in range(2):
        read = expect(small.request("GET", target), 200)
        assert BIG[:3] in read.body and served(read) == "MISS"
    expect(small.delete(path), 204)
    if fork:
        check_error(small.request("GET", target), 410)
        expect(small.delete(f"{path}/b"), 204)
    check_error(small.request("GET", target), 404)
    small.create(path, None, NEW)
    assert set(expect(small.request("GET", target), 200).body) == set(NEW)


def test_no_spelling_outlives_two_seconds(small: Client, path: str) -> None:
    """Stored reads, asked for all the time, as a popular stream would be."""
    tail = big_stream(small, path)
    targets = [spell(form, path, tail) for form in STORED]
    for expected in ("MISS", "HIT"):
        assert {served(expect(small.request("GET", target), 200)) for target in targets} == {expected}
    expect(small.delete(path), 204)
    deadline = time.monotonic() + STALE_LIMIT
    while time.monotonic() < deadline:
        for target in targets:
            small.request("GET", target)
        time.sleep(0.05)
    for _ in range(2):
        assert [small.request("GET", target).status for target in targets] == [404] * len(targets)


def test_tags_of_a_fork_made_again(http: Client, path: str) -> None:
    """9.2: the same URL, offsets and content length, another instance."""
    tail = http.create(f"{path}/a", "text/plain", "abc").offset
    for query in ("", f"offset={at(tail, 1)}", "live=long-poll&offset=-1"):
        http.fork(path, f"{path}/a", None, "old")
        old = http.get(path, query).get("ETag") or ""
        expect(http.get(path, query, If_None_Match=old), 304)
        expect(http.delete(path), 204)
        http.fork(path, f"{path}/a", None, "new")
        read = expect(http.get(path, query, If_None_Match=old), 200)
        assert read.body.endswith(b"new") and read.get("ETag") != old
        expect(http.delete(path), 204)


@pytest.mark.parametrize("workers", [1, 3])
def test_waiters_of_a_fork_made_again(fresh_stack, workers: int) -> None:
    """Its tokens are those of its predecessor, whose waiters get 404 and not one byte of the new one (3.5, 10.2)."""
    stack = fresh_stack(DS_WORKERS=workers, DS_LONG_POLL_TIMEOUT=25)
    with closing(Client(stack)) as http:
        tail = http.create("a", "text/plain", "abc").offset
        for round in range(10):
            http.fork("b", "a")
            with waiting(stack, "b", tail, quiet=0.02) as poll, EventSource(stack, "b", f"offset={tail}") as events:
                events.control()
                # In one go, so that there is as little as possible between the old and the new.
                again = build_request("PUT", url("b"), [("Stream-Forked-From", url("a"))], b"new" if round % 2 else None)
                append = build_request("POST", url("b"), fields("text/plain", {}), b"newer")
                http.connection.send(build_request("DELETE", url("b")) + again + append)
                assert [http.connection.read_response().status for _ in range(3)] == [204, 201, 204]
                check_error(poll.read_response(), 404, "STREAM_NOT_FOUND")
                events.end()
            expected = b"newnewer" if round % 2 else b"newer"
            assert http.get("b", f"offset={tail}").body == expected
            assert http.get("b", f"live=long-poll&offset={tail}").body == expected
            with EventSource(stack, "b", f"offset={tail}") as events:
                assert events.batch()[0] == expected
            expect(http.delete("b"), 204)


def test_every_process_forgets(fresh_stack) -> None:
    """Three workers and the live process, each with the old stream at hand: none answers with it behind the DELETE."""
    stack = fresh_stack(DS_WORKERS=3)
    questions = ("", "offset=-1", "live=long-poll&offset=-1", "live=sse&offset=-1", "offset=now")

    def ask(client: Client, index: int):
        query = questions[index % 5]
        if "sse" not in query:
            return client.get("a", query)
        answer = client.get("a", query + "&x")  # closed below, so the response ends
        client.close()
        return answer

    with closing(Client(stack)) as http:
        http.create("source", "text/plain", "s")
        for round in range(10):
            text = f"round {round}"
            made = http.fork("a", "source", None, text) if round % 2 else http.create("a", "text/plain", text)
            http.post("a", Stream_Closed="true")
            for answer in at_once(stack, 10, ask):
                assert answer.status == 200 and (not answer.body or text.encode() in answer.body), answer.describe()
            if round % 3 == 2:
                http.fork("keeps", "a")
            expect(http.delete("a"), 204)
            assert statuses(at_once(stack, 10, ask)) == {410 if round % 3 == 2 else 404: 10}
            answers = at_once(stack, 6, lambda c, i: c.post("a", "text/plain", "x", Stream_Seq=str(i)))
            assert statuses(answers) == {410 if round % 3 == 2 else 404: 6}, made.describe()
            if round % 3 == 2:
                expect(http.delete("keeps"), 204)
                check_absent(http, "a")


def test_a_stalled_reader_of_a_deleted_stream(stack: Stack, http: Client, path: str) -> None:
    """10.2: it gets what was on its way, then the end; nothing of the stream that is at its URL by then."""
    piece = b"o" * 1_000_000
    http.create(path, "text/plain", piece)
    for _ in range(23):
        http.append(path, "text/plain", piece)
    received = 0
    with EventSource(stack, path) as events:
        events.batch()
        expect(http.delete(path), 204)
        http.create(path, "text/plain", b"n" * 5_000_000)
        while (event := events.next()) is not None:
            if event.kind == "data":
                received += len(event.text)
                assert set(event.text) == set(b"o"), event.text[:50]
    assert received < 24_000_000, "read on to the end of a stream that no longer was"


@pytest.mark.slow
@pytest.mark.parametrize("query", ["", "offset=-1", "live=long-poll&offset=-1", "offset=now"])
def test_reads_while_it_is_made_again_and_again(small_stack: Stack, small: Client, path: str, query: str) -> None:
    """1.4: whoever asks behind an answered PUT gets that generation or a later one, nginx's cache in full use."""
    generation, stop, failures = [-1], threading.Event(), []
    first = incarnation(small.create(f"{path}-before").offset)

    def follow() -> None:
        client = Client(small_stack)
        try:
            while not stop.is_set():
                known = generation[0]
                answer = client.get(path, query)
                if query == "offset=now" and answer.status == 200:
                    assert position(answer.offset) == 160_000 and incarnation(answer.offset) >= first + known, answer.describe()
                elif answer.status == 200:
                    found = int(answer.body[:4])
                    assert found >= known and answer.body == b"%04d" % found * (len(answer.body) // 4), (known, answer.describe())
                else:
                    expect(answer, 404)
        except (AssertionError, ConnectionClosed) as error:
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=follow) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for n in range(600):
            small.create(path, "text/plain", b"%04d" % n * 40_000)
            generation[0] = n
            stop.wait(0.002)
            expect(small.delete(path), 204)
            if failures:
                break
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[0]
