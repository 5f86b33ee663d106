"""Races that 3.1, 3.2 and 7.3 decide, and many connections at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest

from checks import check_empty
from client import Client, expect, position, producer, url
from stack import Stack
from wire import Connection, Response, build_request


def at_once(stack: Stack, count: int, ask: Callable[[Client, int], Response]) -> list[Response]:
    """Run the same question on so many connections, released together."""
    barrier, answers, failures = threading.Barrier(count), [None] * count, []

    def run(index: int) -> None:
        client = Client(stack)
        try:
            client.connection  # connected before the start
            barrier.wait(15)
            answers[index] = ask(client, index)
        except BaseException as error:
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures, failures
    assert all(answers)
    return answers


def statuses(answers: list[Response]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


@pytest.mark.parametrize("round", range(5))
def test_one_stream_seq_wins(stack: Stack, http: Client, path: str, round: int) -> None:
    """3.2: of several concurrent requests with one Stream-Seq exactly one succeeds."""
    http.create(path, "text/plain")
    answers = at_once(stack, 16, lambda c, i: c.post(path, "text/plain", f"{i:02d}", Stream_Seq="1"))
    assert statuses(answers) == {204: 1, 409: 15}
    (winner,) = [i for i, a in enumerate(answers) if a.status == 204]
    assert http.get(path).body == b"%02d" % winner


@pytest.mark.parametrize("round", range(5))
def test_one_producer_tuple_wins(stack: Stack, http: Client, path: str, round: int) -> None:
    """7.3: exactly one 200; the others wait for that commit and get 204 with its tail."""
    http.create(path, "text/plain")
    answers = at_once(stack, 16, lambda c, i: c.post(path, "text/plain", f"{i:02d}", **producer("p", 0, 0)))
    assert statuses(answers) == {200: 1, 204: 15}
    for answer in answers:
        check_empty(answer, answer.status, Stream_Next_Offset=True, Producer_Epoch="0", Producer_Seq="0")
        assert position(answer.offset) == 2
    (winner,) = [i for i, a in enumerate(answers) if a.status == 200]
    assert http.get(path).body == b"%02d" % winner


@pytest.mark.parametrize("round", range(5))
def test_one_put_creates(stack: Stack, http: Client, path: str, round: int) -> None:
    """3.1: one 201, the others are judged by rows 9-11; one body only."""
    answers = at_once(stack, 16, lambda c, i: c.put(path, "text/plain", f"{i:02d}"))
    assert statuses(answers) == {201: 1, 200: 15}
    assert len({a.offset for a in answers}) == 1
    (winner,) = [i for i, a in enumerate(answers) if a.status == 201]
    assert http.get(path).body == b"%02d" % winner


def test_different_puts(stack: Stack, http: Client, path: str) -> None:
    types = ["text/plain", "text/html", "application/json", "image/png"]
    answers = at_once(stack, 16, lambda c, i: c.put(path, types[i % 4]))
    assert statuses(answers) == {201: 1, 200: 3, 409: 12}


def test_one_delete_wins(stack: Stack, http: Client, path: str) -> None:
    http.create(path, "text/plain")
    assert statuses(at_once(stack, 12, lambda c, i: c.delete(path))) == {204: 1, 404: 11}


def test_closing_and_appending(stack: Stack, http: Client, path: str) -> None:
    """Every accepted append is there, none after the closing one; every refused one names the final tail."""
    for round in range(5):
        name = f"{path}-{round}"
        http.create(name, "text/plain")

        def ask(client: Client, index: int) -> Response:
            if index == 7:
                return client.post(name, "text/plain", "END", Stream_Closed="true")
            return client.post(name, "text/plain", f"{index:02d}.")

        answers = at_once(stack, 16, ask)
        body, tail = http.get(name).body, http.head(name).offset
        assert body.endswith(b"END") and answers[7].status == 204
        for index, answer in enumerate(answers):
            if index != 7:
                assert (answer.status == 204) == (b"%02d." % index in body), answer.describe()
                assert answer.status == 204 or answer.offset == tail


def test_parallel_appends_are_whole_and_in_one_order(stack: Stack, http: Client, path: str) -> None:
    """1.3, 5.5: each answer's offset is where that batch ends; batches are contiguous."""
    http.create(path, "application/json")
    answers = at_once(stack, 24, lambda c, i: c.post(path, "application/json", f'["{i}a","{i}b","{i}c"]'))
    assert statuses(answers) == {204: 24}
    items = http.get(path).body[1:-1].split(b",")
    assert len(items) == 72 and sorted(position(a.offset) for a in answers) == list(range(3, 73, 3))
    for index, answer in enumerate(answers):
        end = position(answer.offset)
        assert items[end - 3 : end] == [b'"%d%s"' % (index, letter) for letter in (b"a", b"b", b"c")]


def test_producers_do_not_disturb_each_other(stack: Stack, http: Client, path: str) -> None:
    http.create(path, "text/plain")

    def run(client: Client, index: int) -> Response:
        for seq in range(20):
            answer = client.append(path, "text/plain", f"{index:02d}:{seq:02d};", **producer(f"p{index}", 0, seq))
        return answer

    at_once(stack, 10, run)
    items = http.get(path).body.decode().rstrip(";").split(";")
    for index in range(10):
        assert [i for i in items if i.startswith(f"{index:02d}:")] == [f"{index:02d}:{seq:02d}" for seq in range(20)]


@pytest.mark.timeout(90)
@pytest.mark.parametrize("connections", [64, 256])
def test_many_keep_alive_connections(stack: Stack, http: Client, path: str, connections: int) -> None:
    """A pool with few threads serves them all: no 502, no 504, nobody starves."""
    rounds, names = 6, [f"{path}-{n}" for n in range(8)]
    for name in names:
        http.create(name, "text/plain")
    open_ = [Connection(stack.port, timeout=30) for _ in range(connections)]
    try:
        found: Counter[int] = Counter()
        for round in range(rounds):
            # All requests are out before the first answer is read.
            for index, connection in enumerate(open_):
                target = url(names[index % len(names)])
                if round % 3 == 2:
                    connection.send(build_request("GET", target))
                else:
                    connection.send(build_request("POST", target, [("Content-Type", "text/plain")], b"%04d" % index))
            for connection in open_:
                found[connection.read_response().status] += 1
        assert found == {204: connections * 4, 200: connections * 2}
    finally:
        for connection in open_:
            connection.close()
    total = sum(position(http.head(name).offset) for name in names)
    assert total == 4 * connections * 4


def test_idle_connections_hold_nobody_up(stack: Stack, http: Client, path: str) -> None:
    """Connections that are kept open after a request, or sent half of one, take no thread."""
    http.create(path, "text/plain")
    idle = []
    for index in range(200):
        connection = Connection(stack.port)
        if index % 2:
            expect(connection.exchange("HEAD", url(path)), 200)
        else:
            connection.send(b"POST " + url(path).encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
        idle.append(connection)
    for _ in range(20):
        http.append(path, "text/plain", "x")
    assert http.get(path).body == b"x" * 20
    for connection in idle:
        connection.close()


def test_waiting_readers_hold_nobody_up(stack: Stack, http: Client, path: str) -> None:
    """300 long-polls and SSE readers wait; appends and reads go on; then all are served."""
    tail = http.create(path, "text/plain").offset
    readers = []
    for index in range(300):
        connection = Connection(stack.port)
        connection.send(build_request("GET", url(path, f"live={'sse' if index % 2 else 'long-poll'}&offset={tail}")))
        readers.append(connection)
    for n in range(20):
        http.create(f"{path}-{n}", "text/plain", "x")
    http.append(path, "text/plain", "wake")
    for index, connection in enumerate(readers):
        if index % 2:
            expect(connection.read_head(), 200)
            connection.take_until(b"data:wake\n\n")
        else:
            assert expect(connection.read_response(), 200).body == b"wake"
        connection.close()
