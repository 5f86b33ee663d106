"""Isolation where answers come about in other ways: whole segment files, forks, long-poll and server-sent events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from access import LiveSource, Project, ask, check_bad_token, check_forbidden, check_no_token
from client import Client, at, expect, unique
from isolation import SIZE, STRANGERS, Held, cut, cut_stack, hold, look, mine, new_project, other, questions, running, scope  # noqa: F401 (fixtures)
from stack import Stack
from store import wait_for_rotation
from test_cache import own, served
from wire import Connection, build_request

# Whole files


@pytest.fixture(scope="module")
def cold_stack() -> Iterator[Stack]:
    with running(DS_SEGMENT_MAX_MESSAGES=2) as stack:
        yield stack


@pytest.fixture(scope="module")
def cold(cold_stack: Stack) -> Iterator[tuple[Held, Held, Project]]:
    """A private stream and a public one, closed, each of which is a file; another project."""
    with closing(Client(cold_stack)) as client:
        project, stranger = new_project(cold_stack), new_project(cold_stack)
        held = hold(client, project, Stream_Closed="true"), hold(client, project, Stream_Closed="true", query="public=true")
        wait_for_rotation(cold_stack)
        yield *held, stranger


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_file_is_not_sent_to_strangers(cold, stranger) -> None:
    held, _, other = cold
    headers, check = stranger(held, other)
    read = expect(held.read(), 200)
    assert read.body == held.content and served(read) != "HIT", read.describe()
    for question in questions(held, read.get("ETag") or "", held.key()):
        if question.seen:
            assert expect(held.read(question.target, headers=question.headers), 200).body
        answer = look(held.http.request(question.method, question.target, [*question.headers, *headers]))
        check(held.deny(answer), question.method == "HEAD")


def test_a_file_is_private_unless_its_key_is_known(cold) -> None:
    """The headers of an answer that nginx takes from the file, 304 included."""
    held, _, _ = cold
    key = held.key()
    for query, expected in (("", "private"), (f"rk={key}", "public"), ("rk=x", "private"), (f"rk={key}&rk={key}", "private")):
        for start in ("", "offset=-1", own(held.tail)):
            target = held.project.url(held.path, "&".join(filter(None, (start, query))))
            for _ in range(2):
                read = expect(held.read(target), 200)
                assert read.body == held.content and scope(read) == expected and "Stream-Reader-Key" not in read, read.describe()
            same = expect(held.read(target, If_None_Match=read.get("ETag") or ""), 304)
            assert scope(same) == expected, same.describe()
            check_no_token(held.deny(look(ask(held.http, "GET", target))))


def test_a_public_file_is_sent_to_all(cold) -> None:
    _, held, other = cold
    for token in (None, "x", other.token("read"), held.project.token("read", expires_in=-5)):
        for query in ("", own(held.tail)):
            read = expect(look(ask(held.http, "GET", held.project.url(held.path, query), token)), 200)
            assert read.body == held.content and scope(read) == "public", read.describe()
            assert read.offset == held.tail and read.get("Stream-Closed") == "true" and "Access-Control-Allow-Origin" not in read, read.describe()


# Forks


def test_a_fork_and_its_source_are_guarded_apart(cut: Client, mine: Project, other: Project) -> None:
    """They share offsets and content, not readers."""
    held = hold(cut, mine)
    fork = f"{held.path}/fork"
    made = look(ask(cut, "PUT", mine.url(fork), mine.token("write"), Stream_Forked_From=mine.url(held.path)))
    expect(made, 201)
    of_source, of_fork = mine.token("read", stream_id=held.path), mine.token("read", stream_id=fork)
    for query in ("", own(held.tail), own(held.tail, 7), f"{own(held.tail)}&live=long-poll"):
        source_url, fork_url = mine.url(held.path, query), mine.url(fork, query)
        for _ in range(2):
            assert expect(held.read(source_url, of_source), 200).body == expect(held.read(fork_url, of_fork), 200).body
            check_forbidden(held.deny(held.read(fork_url, of_source)))
            check_forbidden(held.deny(held.read(source_url, of_fork)))
            for target in (source_url, fork_url):
                check_no_token(held.deny(look(ask(cut, "GET", target))))
                check_bad_token(held.deny(held.read(target, other.token("read"))))


def test_a_private_fork_of_a_public_source(cut: Client, mine: Project) -> None:
    """What was everybody's in the source is not so in the fork."""
    held = hold(cut, mine, query="public=true")
    held.warm(anonymous=True)
    fork = unique("iso")
    expect(look(ask(cut, "PUT", mine.url(fork), mine.token("write"), Stream_Forked_From=mine.url(held.path))), 201)
    mine.append(cut, fork, "<secret>")
    for query in ("", own(held.tail), own(held.tail, SIZE - 5), own(held.tail, SIZE)):
        for _ in range(2):
            expect(look(ask(cut, "GET", mine.url(held.path, query))), 200)
            expect(look(ask(cut, "GET", mine.url(fork, query), mine.token("read"))), 200)
            check_no_token(held.deny(look(ask(cut, "GET", mine.url(fork, query)))))


def test_a_fork_made_again_as_a_private_one(cut: Client, mine: Project) -> None:
    """It has the same tokens as the public fork before it, and so the same URLs."""
    held = hold(cut, mine)
    fork, writer = unique("iso"), mine.token("write")
    targets = [mine.url(fork, query) for query in ("", own(held.tail), own(held.tail, SIZE))]
    for mark, query in (("<everybody>", "public=true"), ("<nobody>", "")):
        expect(look(ask(cut, "PUT", mine.url(fork, query), writer, Stream_Forked_From=mine.url(held.path))), 201)
        mine.append(cut, fork, mark * 20_000)
        for target in targets * 3:
            assert expect(held.read(target), 200).body
            answer = look(ask(cut, "GET", target))
            if query:
                assert expect(answer, 200).body
            else:
                check_no_token(held.deny(answer))
        expect(look(ask(cut, "DELETE", mine.url(fork), writer)), 204)


# Readers that wait


@pytest.mark.parametrize("live", ["long-poll", "sse"])
def test_a_stranger_does_not_get_to_wait(cut: Client, mine: Project, other: Project, live: str) -> None:
    """Refused at once, by the live process and by whoever sends there, at the tail and before it."""
    held = hold(cut, mine)
    key = held.key()
    for name in STRANGERS:
        headers, check = STRANGERS[name](held, other)
        for start in (own(held.tail, SIZE), own(held.tail), "offset=-1", "offset=now"):
            for query in (f"{start}&live={live}", f"live={live}&{start}&cursor=7", f"live={live.replace('l', '%6C').replace('e', '%65')}&{start}",
                          f"%6Cive={live}&{start}", f"{start}&live={live}&rk={key}"):  # fmt: skip
                before = time.monotonic()
                answer = look(cut.request("GET", mine.url(held.path, query), headers))
                check(held.deny(answer))
                assert time.monotonic() - before < 5


@pytest.fixture(scope="module")
def patient() -> Iterator[tuple[Stack, Project, Project]]:
    """Live readers wait as long as their tokens let them."""
    with running(DS_LONG_POLL_TIMEOUT=25, DS_SSE_LIFETIME=60, DS_SSE_KEEP_ALIVE=60) as stack:
        yield stack, new_project(stack), new_project(stack)


def waiting(stack: Stack, target: str, token: str) -> Connection:
    connection = Connection(stack.port, timeout=20)
    connection.send(build_request("GET", target, [("Authorization", f"Bearer {token}")]))
    return connection


def test_waiters_of_two_streams_at_one_offset(patient) -> None:
    """Each gets what is appended to its own: same path in two projects, same offset of a fork and its source."""
    stack, mine, other = patient
    with closing(Client(stack)) as client:
        path = unique("iso")
        tails = {project: project.create(client, path, "text/plain", "abc").offset for project in (mine, other)}
        fork = unique("iso")
        expect(look(ask(client, "PUT", mine.url(fork), mine.token("write"), Stream_Forked_From=mine.url(path))), 201)
        readers = [(mine, path, mine.token("read", stream_id=path), tails[mine]), (mine, fork, mine.token("read", stream_id=fork), tails[mine]),
                   (other, path, other.token("read"), tails[other])]  # fmt: skip
        polls = [waiting(stack, project.url(name, f"offset={tail}&live=long-poll"), token) for project, name, token, tail in readers]
        events = [LiveSource(stack, project.url(name, f"offset={tail}&live=sse"), token) for project, name, token, tail in readers]
        for source in events:
            look(source.head)
            assert source.control()["upToDate"] is True
        for number, (project, name, _, _) in enumerate(readers):
            project.append(client, name, f"<only {number}>")
        for number, (poll, source) in enumerate(zip(polls, events, strict=True)):
            body = f"<only {number}>".encode()
            assert look(expect(poll.read_response(), 200)).body == body
            assert source.batch()[0] == body
            assert source.connection.quiet_for(0.05) and not source.text
            source.connection.close()
            poll.close()


@pytest.mark.parametrize("live", ["long-poll", "sse"])
def test_nothing_reaches_a_waiter_whose_token_has_ended(patient, live: str) -> None:
    """What is appended afterwards is for those who may still read."""
    stack, mine, _ = patient
    with closing(Client(stack)) as client:
        path = unique("iso")
        tail = mine.create(client, path, "text/plain", "abc").offset
        ending = int(time.time()) + 2
        token = mine.token("read", exp=ending)
        target = mine.url(path, f"offset={tail}&live={live}")
        if live == "long-poll":
            with waiting(stack, target, token) as poll:
                answer = look(poll.read_response())
                assert answer.status == 204 and answer.offset == tail, answer.describe()
        else:
            with LiveSource(stack, target, token) as source:
                source.control()
                source.end()
        assert ending - 1 <= time.time() < ending + 3
        mine.append(client, path, "later")
        check_bad_token(look(ask(client, "GET", target, token)))
        assert look(ask(client, "GET", mine.url(path, f"offset={tail}&live=long-poll"), mine.token("read"))).body == b"later"


def test_answers_of_live_readers_are_not_kept(cut: Client, mine: Project, other: Project) -> None:
    """By nginx; what a browser or CDN may keep is said by Cache-Control."""
    held = hold(cut, mine)
    key = held.key()
    for query, expected in ((f"{own(held.tail)}&live=long-poll", "private"), (f"{own(held.tail)}&live=long-poll&rk={key}", "public")):
        for _ in range(3):
            answer = expect(held.read(mine.url(held.path, query)), 200)
            assert served(answer) in ("BYPASS", "MISS") and scope(answer) == expected, answer.describe()
            check_no_token(held.deny(look(ask(cut, "GET", mine.url(held.path, query)))))
    events = LiveSource(cut.stack, mine.url(held.path, f"{own(held.tail)}&live=sse&rk={key}"), held.good)
    assert look(events.head).get("Cache-Control") == "no-cache" and "Stream-Reader-Key" not in events.head
    assert held.content.startswith(events.batch()[0])
    events.connection.close()
    closed = unique("iso")
    tail = mine.create(cut, closed, "text/plain", "abc", Stream_Closed="true").offset
    for _ in range(2):
        answer = expect(look(ask(cut, "GET", mine.url(closed, f"live=sse&offset={at(tail, 0)}"), held.good)), 200)
        assert b"data:abc" in answer.body
        for token, check in ((None, check_no_token), (other.token("read"), check_bad_token)):
            check(look(ask(cut, "GET", mine.url(closed, f"live=sse&offset={at(tail, 0)}"), token)))
