"""Wake-ups that say what was appended: they spare the live process a look, and whatever becomes of them, readers get all, once, in order."""

from __future__ import annotations

import json
import random
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from client import Client, at, expect, instant, position
from sse import EventSource
from stack import Stack, running
from wake import ACCEPTANCE, GREETING, LIMIT, MARK, OFFER, Between, Worker, appended, changed, number, settle, told

TEXT = "text/plain"


@pytest.fixture(scope="module")
def quiet() -> Iterator[Stack]:
    """A server whose live process began long ago."""
    with running(DS_LONG_POLL_TIMEOUT=25, DS_SSE_LIFETIME=120, DS_WORKERS=2) as stack:
        settle(stack)
        yield stack


@pytest.fixture
def ask(quiet: Stack) -> Iterator[Client]:
    client = Client(quiet)
    yield client
    client.close()


@pytest.fixture(scope="module")
def between(quiet: Stack) -> Iterator[Between]:
    """Somebody between its workers and its live process."""
    with Between(quiet) as between:
        yield between


def follow(stack: Stack, path: str, offset: str = "now") -> EventSource:
    """A reader at the tail."""
    source = EventSource(stack, path, f"offset={offset}")
    source.control()
    return source


# MARK: what the live process makes of them. The test is a worker, and says what is in no store.


def test_it_takes_the_word_for_it(quiet: Stack, ask: Client, path: str) -> None:
    """So the store is not asked: it holds nothing of this."""
    tail = ask.create(path, TEXT).offset
    with follow(quiet, path) as source, Worker(quiet) as worker:
        worker.say(appended(number(tail), 0, b"word\nfor it"))
        data, control = source.batch()
        assert data == b"word\nfor it" and control["streamNextOffset"] == at(tail, 11) and control["upToDate"] is True
        worker.say(appended(number(tail), 11, b"!"))
        assert source.batch()[0] == b"!"


def test_json_and_bytes(quiet: Stack, ask: Client, path: str) -> None:
    for name, type, payload, units, text in (("j", "application/json", b'1,{"a":2}', 2, b'[1,{"a":2}]'), ("b", "image/png", b"\0\1", 2, b"AAE=")):
        tail = ask.create(f"{path}-{name}", type).offset
        with follow(quiet, f"{path}-{name}") as source, Worker(quiet) as worker:
            worker.say(appended(number(tail), 0, payload, units))
            data, control = source.batch()
            assert data == text and control["streamNextOffset"] == at(tail, units)


@pytest.mark.parametrize("start", [0, 2, 4, 1_000_000])
def test_what_does_not_follow_is_looked_for(quiet: Stack, ask: Client, path: str, start: int) -> None:
    """A gap, or something that is known already: the store decides, and it has nothing of this."""
    tail = ask.create(path, TEXT, "abc").offset
    with follow(quiet, path) as source, Worker(quiet) as worker:
        worker.say(appended(number(tail), start, b"wrong"))
        worker.say(appended(number(tail) + 1_000_000, 3, b"nobody's"))
        ask.append(path, TEXT, "de")
        data, control = source.batch()
        assert data == b"de" and control["streamNextOffset"] == at(tail, 5)


def test_who_stands_elsewhere(quiet: Stack, ask: Client, path: str) -> None:
    """A reader that keeps half a character back stands before the tail, and gets all of it."""
    tail = ask.create(path, TEXT).offset
    with follow(quiet, path) as source:
        ask.append(path, TEXT, b"a\xc3")
        data, control = source.batch()
        assert data == b"a" and control["streamNextOffset"] == at(tail, 1)
        ask.append(path, TEXT, b"\xa9b")
        data, control = source.batch()
        assert data == "éb".encode() and control["streamNextOffset"] == at(tail, 4)


def test_it_says_that_it_understands(quiet: Stack) -> None:
    with Worker(quiet) as worker:
        worker.say(changed(GREETING, OFFER))
        assert worker.answer() == ACCEPTANCE


def test_an_older_worker_is_understood_and_told_nothing(quiet: Stack, ask: Client, path: str) -> None:
    """Which sends ids alone, and makes of an answer that it is still there."""
    tail = ask.create(path, TEXT).offset
    with Worker(quiet) as worker:
        worker.say(changed(GREETING))
        worker.say(struct.pack("<2q", -time.monotonic_ns(), number(tail)))
        with follow(quiet, path) as source:
            ask.append(path, TEXT, "a")
            assert source.batch()[0] == b"a"
            worker.say(changed(number(tail)) * 3)
            ask.append(path, TEXT, "b")
            assert source.batch()[0] == b"b"
        worker.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            worker.answer()


BAD = [
    struct.pack("<q", MARK + LIMIT + 1),
    struct.pack("<q", MARK // 2 - 1),
    struct.pack("<4q", MARK + 1, 0, 0, 1),
    struct.pack("<4q", MARK + 1, -5, 0, 1),
    struct.pack("<4q", MARK + 1, OFFER, 0, 1),
    struct.pack("<4q", MARK + 1, 7, -1, 1),
    struct.pack("<4q", MARK + 1, 7, 1, 1),
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_no_message(quiet: Stack, ask: Client, path: str, bad: bytes) -> None:
    """The connection ends, everything is looked at, and all goes on."""
    tail = ask.create(path, TEXT).offset
    with follow(quiet, path) as source, Worker(quiet) as worker:
        worker.say(appended(number(tail), 0, b"before"))
        assert source.batch()[0] == b"before"
        worker.say(bad + appended(number(tail), 6, b"behind"))
        assert worker.answer() == b""
        # The reader is ahead of what is stored: whatever comes up to there is known to it.
        ask.append(path, TEXT, "before")
        ask.append(path, TEXT, "now")
        assert source.batch()[0] == b"now"


def test_a_message_in_pieces(quiet: Stack, ask: Client, path: str) -> None:
    """Each byte by itself, and one that is never ended."""
    tail = ask.create(path, TEXT).offset
    with follow(quiet, path) as source, Worker(quiet) as worker:
        for byte in appended(number(tail), 0, b"abc") + appended(number(tail), 3, b"x" * 20)[:-1]:
            worker.say(bytes([byte]))
        assert source.batch()[0] == b"abc"
        worker.socket.close()
        ask.append(path, TEXT, "abc")
        ask.append(path, TEXT, "d")
        assert source.batch()[0] == b"d"


# MARK: what workers say, and what is lost, late or told twice of it.


def test_appends_are_told(quiet: Stack, ask: Client, between: Between, path: str) -> None:
    tail = ask.create(path, TEXT).offset
    json_tail = ask.create(f"{path}-j", "application/json").offset
    with follow(quiet, path) as source, follow(quiet, f"{path}-j") as other:
        ask.append(path, TEXT, "ab")
        ask.append(path, TEXT, "c")
        ask.append(f"{path}-j", "application/json", "[1, 2]")
        assert between.wait_seen(number(tail), 2) == [appended(number(tail), 0, b"ab"), appended(number(tail), 2, b"c")]
        assert between.wait_seen(number(json_tail), 1) == [appended(number(json_tail), 0, b"1,2", 2)]
        assert b"".join(source.until(at(tail, 3))[0]) == b"abc"
        assert other.batch()[0] == b"[1,2]"


@pytest.mark.parametrize("kind", ["large", "closing", "closure", "deletion"])
def test_what_is_told_by_the_id_alone(quiet: Stack, ask: Client, between: Between, path: str, kind: str) -> None:
    tail = ask.create(path, TEXT).offset
    with follow(quiet, path) as source:
        if kind == "large":
            ask.append(path, TEXT, "x" * (LIMIT + 1))
            assert source.batch()[0] == b"x" * (LIMIT + 1)
        elif kind == "closing":
            ask.append(path, TEXT, "end", Stream_Closed="true")
            data, control = source.batch()
            assert data == b"end" and control["streamClosed"] is True
            source.end()
        elif kind == "closure":
            expect(ask.post(path, None, None, Stream_Closed="true"), 204)
            assert source.control()["streamClosed"] is True
            source.end()
        else:
            expect(ask.delete(path), 204)
            source.end()
        assert between.wait_seen(number(tail), 1)[0] == changed(number(tail))


def test_closing_behind_an_append(quiet: Stack, ask: Client, between: Between, path: str) -> None:
    """Whichever of the two is told first."""
    for order in ((0, 1), (1, 0), (1,), (0, 0, 1, 1)):
        name = f"{path}-{len(order)}{order[0]}"
        tail = ask.create(name, TEXT).offset
        with follow(quiet, name) as source:
            held = between.hold(number(tail))
            ask.append(name, TEXT, "last")
            expect(ask.post(name, None, None, Stream_Closed="true"), 204)
            between.wait_seen(number(tail), 2)
            held.release(*order)
            pieces, control = source.until(at(tail, 4))
            assert pieces == [b"last"]
            if "streamClosed" not in control:
                assert source.control()["streamClosed"] is True
            source.end()


def test_a_lost_wake_up(quiet: Stack, ask: Client, between: Between, path: str) -> None:
    """The next one does not follow on what was delivered, so both are read."""
    tail = ask.create(path, TEXT).offset
    with follow(quiet, path) as source:
        ask.append(path, TEXT, "one.")
        assert source.batch()[0] == b"one."
        held = between.hold(number(tail))
        ask.append(path, TEXT, "two.")
        between.wait_seen(number(tail), 2)
        held.release()
        ask.append(path, TEXT, "three.")
        data, control = source.batch()
        assert data == b"two.three." and control["streamNextOffset"] == at(tail, 14)


@pytest.mark.parametrize("seed", range(6))
def test_late_mixed_up_and_twice(quiet: Stack, ask: Client, between: Between, path: str, seed: int) -> None:
    rng = random.Random(seed)
    tail = ask.create(path, TEXT).offset
    with follow(quiet, path) as source:
        held = between.hold(number(tail))
        messages = [b"%d." % index for index in range(12)]
        for message in messages:
            ask.append(path, TEXT, message)
        between.wait_seen(number(tail), len(messages))
        order = rng.choices(range(len(messages)), k=20)
        held.release(*order)
        end = position(ask.head(path).offset)
        pieces, _ = source.until(at(tail, end))
        assert b"".join(pieces) == b"".join(messages)
        # Nothing comes behind it that was there already.
        ask.append(path, TEXT, "next")
        assert source.batch()[0] == b"next"


def test_deleted_and_made_again_meanwhile(quiet: Stack, ask: Client, between: Between, path: str) -> None:
    """What is told of the one before is no reader's of its successor, though it begins at the same place."""
    old = ask.create(path, TEXT).offset
    with follow(quiet, path) as source:
        held = between.hold(number(old))
        ask.append(path, TEXT, "old")
        between.wait_seen(number(old), 1)
        expect(ask.delete(path), 204)
        between.wait_seen(number(old), 2)
        new = ask.create(path, TEXT).offset
        assert number(new) != number(old)
        with follow(quiet, path) as other:
            held.release(0)
            # It was appended before the deletion, whoever hears of that first.
            assert source.batch()[0] == b"old"
            ask.append(path, TEXT, "new")
            assert other.batch()[0] == b"new"
        held.release(1)
        source.end()


def test_a_fork_and_its_source(quiet: Stack, ask: Client, between: Between, path: str) -> None:
    """Their offsets have the same incarnation, and each its own id."""
    ask.create(path, TEXT, "abc")
    tail = ask.fork(f"{path}-fork", path, TEXT).offset
    with follow(quiet, path) as source, follow(quiet, f"{path}-fork") as fork:
        before = len(between.seen)
        ask.append(path, TEXT, "source")
        assert source.batch()[0] == b"source"
        ask.append(f"{path}-fork", TEXT, "fork")
        data, control = fork.batch()
        assert data == b"fork" and control["streamNextOffset"] == at(tail, 7)
        parts = between.seen[before:]
        assert len({told(part) for part in parts}) == 2 and all(len(part) > 8 for part in parts)


def test_two_workers_in_turn(quiet: Stack, ask: Client, between: Between, path: str) -> None:
    """Their wake-ups overtake each other; readers get everything once, in order, and so do those that come meanwhile."""
    tail = ask.create(path, "application/json").offset
    count, each = 8, 25
    failures: list[BaseException] = []

    def run(index: int) -> None:
        try:
            with closing(Client(quiet)) as client:
                for step in range(each):
                    client.append(path, "application/json", f"[{index * each + step}]")
        except BaseException as error:
            failures.append(error)

    with follow(quiet, path) as first, follow(quiet, path) as second:
        threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
        for thread in threads:
            thread.start()
        with EventSource(quiet, path, "offset=-1") as third:
            for thread in threads:
                thread.join()
            assert not failures, failures
            stored = json.loads(ask.get(path).body)
            assert sorted(stored) == list(range(count * each))
            end = at(tail, count * each)
            for source in (first, second):
                assert [number for piece in source.until(end)[0] for number in json.loads(piece)] == stored
            if (event := third.event()).kind == "control":
                got, event = [], None
            else:
                got = json.loads(event.text)
                event = third.control()
            if event is None or event["streamNextOffset"] != end:
                got += [number for piece in third.until(end)[0] for number in json.loads(piece)]
            assert got == stored
    assert sum(len(part) > 8 for part in between.of(number(tail))) > 0


def test_a_worker_that_dies(quiet: Stack, ask: Client, between: Between, path: str) -> None:
    """What it did not come to say is looked for when its connection breaks."""
    tail = ask.create(path, TEXT).offset
    with follow(quiet, path) as source:
        held = between.hold(number(tail))
        ask.append(path, TEXT, "untold")
        between.wait_seen(number(tail), 1)
        with Worker(quiet) as worker:
            worker.say(changed(number(tail) + 1_000_000))
        assert source.batch()[0] == b"untold"
        held.release(0)
        ask.append(path, TEXT, "told")
        assert source.batch()[0] == b"told"


def test_long_polls_beside_events(quiet: Stack, ask: Client, between: Between, path: str) -> None:
    tail = ask.create(path, TEXT).offset
    with follow(quiet, path) as source, closing(Client(quiet)) as poller:
        for message in (b"a", b"bc", b"def"):
            answers: list[object] = []
            thread = threading.Thread(target=lambda at=tail: answers.append(poller.get(path, f"live=long-poll&offset={at}")))
            thread.start()
            ask.append(path, TEXT, message)
            thread.join()
            assert answers[0].status == 200 and answers[0].body == message
            tail = answers[0].offset
            assert source.batch()[0] == message


def test_expired_meanwhile(quiet: Stack, ask: Client, between: Between, path: str) -> None:
    """A stream that has come to its end is read no further."""
    tail = ask.create(path, TEXT, Stream_Expires_At=instant(1.5)).offset
    with follow(quiet, path) as source:
        held = between.hold(number(tail))
        ask.append(path, TEXT, "late")
        between.wait_seen(number(tail), 1)
        source.end()
        held.release(0)
