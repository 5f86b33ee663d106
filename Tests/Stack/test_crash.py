"""kill -9 of each process under load: every acknowledged append is there exactly once, in order."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from client import Client, expect, producer, read_lines
from stack import Stack, alive, command_line, identity, wait_gone
from wire import ConnectionClosed

KILLS = int(os.environ.get("DS_KILLS", "100"))
WRITERS = 4
RETRY = {502, 503, 504}


class Writer(threading.Thread):
    """Appends numbered lines as a producer; retries each until it is acknowledged."""

    def __init__(self, stack: Stack, number: int, stop: threading.Event):
        super().__init__(name=f"writer-{number}")
        self.stack, self.number, self.halt = stack, number, stop
        self.path, self.acknowledged, self.duplicates, self.failure = f"crash/{number % 2}", 0, 0, ""
        self.client = Client(stack, timeout=10)

    def run(self) -> None:
        try:
            while not self.halt.is_set():
                self.append(self.acknowledged)
                self.acknowledged += 1
        except BaseException as error:
            self.failure = repr(error)
        finally:
            self.client.close()

    def append(self, seq: int) -> None:
        line = f"{self.number}:{seq:06d}\n"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                answer = self.client.post(self.path, "text/plain", line, **producer(f"w{self.number}", 0, seq))
            except ConnectionClosed:
                self.client.close()
                time.sleep(0.01)
                continue
            if answer.status == 200:
                return
            if answer.status == 204:
                assert answer.get("Producer-Seq") == str(seq), answer.describe()
                self.duplicates += 1
                return
            assert answer.status in RETRY, answer.describe()
            time.sleep(0.01)
        raise AssertionError(f"append {seq} of writer {self.number} was not acknowledged within 30 s")


def victim(stack: Stack, kind: str, turn: int) -> int | None:
    """A process of that kind; of nginx the master and its workers in turn."""
    pids = stack.processes("nginx" if kind.startswith("nginx") else kind)
    if kind == "nginx-master":
        pids = [pid for pid in pids if "master" in command_line(pid)]
    elif kind == "nginx-worker":
        pids = [pid for pid in pids if "worker process" in command_line(pid)]
    return pids[turn % len(pids)] if pids else None


def wait_for_victim(stack: Stack, kind: str, turn: int) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if (pid := victim(stack, kind, turn)) is not None:
            return pid
        time.sleep(0.02)
    raise AssertionError(f"no {kind} came back within 20 s\n{stack.log_tail()}")


def wait_for_progress(stack: Stack, writers: list[Writer], by: int) -> None:
    """The load goes on: each writer gets so many more acknowledgements."""
    goals = [writer.acknowledged + by for writer in writers]
    deadline = time.monotonic() + 30
    while any(w.acknowledged < goal for w, goal in zip(writers, goals, strict=True)):
        failures = [w.failure for w in writers if w.failure]
        assert not failures, f"{failures}\n{stack.log_tail()}"
        assert time.monotonic() < deadline, f"no progress for 30 s\n{stack.log_tail()}"
        time.sleep(0.005)


def check_content(client: Client, writers: list[Writer]) -> None:
    """Per writer: 0, 1, 2, … without gap or repetition; at most the one unanswered append more."""
    for path in {writer.path for writer in writers}:
        lines = read_lines(client, path)
        mine = [writer for writer in writers if writer.path == path]
        assert len(lines) == len(set(lines)), "an append is there twice"
        for writer in mine:
            numbers = [int(line.split(":")[1]) for line in lines if line.startswith(f"{writer.number}:")]
            assert numbers == list(range(len(numbers))), f"writer {writer.number}: out of order"
            assert writer.acknowledged <= len(numbers) <= writer.acknowledged + 1
        assert {line.split(":")[0] for line in lines} == {str(writer.number) for writer in mine}


def begin(stack: Stack) -> tuple[list[Writer], threading.Event, Client]:
    client, stop = Client(stack), threading.Event()
    for number in range(2):
        client.create(f"crash/{number}", "text/plain")
    writers = [Writer(stack, number, stop) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    return writers, stop, client


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_each_process_in_turn(fresh_stack) -> None:
    # Three workers: while one is down the others commit to the same data.
    stack = fresh_stack(DS_WORKERS=3, DS_LONG_POLL_TIMEOUT=5)
    writers, stop, client = begin(stack)
    kinds = ["durable-streams-worker", "durable-streams-live", "nginx-worker", "durable-streams-worker", "nginx-master"]
    killed: dict[str, list[float]] = {}
    began = time.monotonic()
    try:
        wait_for_progress(stack, writers, by=10)
        for turn in range(KILLS):
            kind, then = kinds[turn % len(kinds)], time.monotonic()
            pid = wait_for_victim(stack, kind, turn)
            who = identity(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            if who:
                assert not wait_gone([who], 5)
            wait_for_progress(stack, writers, by=3)
            killed.setdefault(kind, []).append(time.monotonic() - then)
    finally:
        stop.set()
        for writer in writers:
            writer.join(40)
    shown = ", ".join(f"{kind} {len(times)} times, longest {max(times):.1f} s, all {sum(times):.1f} s" for kind, times in killed.items())
    print(f"{shown}; {sum(w.acknowledged for w in writers)} appends, {sum(w.duplicates for w in writers)} retries of accepted ones, "
          f"{time.monotonic() - began:.1f} s")  # fmt: skip
    assert not [w.failure for w in writers if w.failure]
    check_content(client, writers)
    # Everything works again, live reads too, and stops in order.
    tail = client.head("crash/0").offset
    with stack.connect() as reader:
        reader.send(f"GET /v1/stream/crash/0?live=long-poll&offset={tail} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert reader.quiet_for(0.1)
        client.append("crash/0", "text/plain", "after")
        assert reader.read_response().body == b"after"
    client.close()
    stack.stop()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_kill_the_supervisor(fresh_stack) -> None:
    """Its kill -9 leaves no process; a restart on the same data serves everything, state included."""
    stack = fresh_stack()
    writers, stop, client = begin(stack)
    for _ in range(3):
        wait_for_progress(stack, writers, by=10)
        children = stack.remember()
        assert len(children) >= 4, "supervisor, nginx, worker, live process"
        stack.process.kill()
        stack.process.wait()
        left = wait_gone(children, 10)
        assert not left, f"left behind: {[(who, command_line(who[0])) for who in left if alive(who)]}"
        stack.start()
    wait_for_progress(stack, writers, by=3)
    stop.set()
    for writer in writers:
        writer.join(40)
    assert not [w.failure for w in writers if w.failure]
    check_content(client, writers)
    client.close()
    stack.stop()


def test_state_survives_a_restart(fresh_stack) -> None:
    """7.4: producers, last Stream-Seq, closedBy; also tails, types, TTL, tokens and incarnations."""
    stack = fresh_stack()
    client = Client(stack)
    tail = client.create("a", "text/plain;x=y", "abc", Stream_TTL="5000").offset
    client.append("a", "text/plain", "d", **producer("p", 3, 0), Stream_Seq="m")
    client.create("b", "application/json", "[1,2]")
    closed = client.append("b", "application/json", "3", **producer("q", 0, 0), Stream_Closed="true").offset
    etag = client.get("a").get("ETag")
    client.create("gone", "text/plain", "x")
    expect(client.delete("gone"), 204)
    client.close()
    stack.process.kill()
    stack.process.wait()
    wait_gone(list(stack.seen), 10)
    stack.start()
    client = Client(stack)
    head = expect(client.head("a"), 200)
    assert head.get("Content-Type") == "text/plain;x=y" and head.get("Stream-TTL") == "5000"
    assert client.get("a", f"offset={tail}").body == b"d" and client.get("a").get("ETag") == etag
    expect(client.post("a", "text/plain", "d", **producer("p", 3, 0)), 204)
    expect(client.post("a", "text/plain", "e", **producer("p", 2, 0)), 403)
    expect(client.post("a", "text/plain", "e", Stream_Seq="m"), 409)
    expect(client.post("a", "text/plain", "e", **producer("p", 3, 1), Stream_Seq="n"), 200)
    assert client.get("b").body == b"[1,2,3]" and client.head("b").get("Stream-Closed") == "true"
    again = expect(client.post("b", "application/json", "3", **producer("q", 0, 0), Stream_Closed="true"), 204)
    assert again.offset == closed
    expect(client.head("gone"), 404)
    assert client.create("gone", "text/plain").offset > closed
    client.close()
