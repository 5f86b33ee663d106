"""kill -9 while forks are made and deleted: the counts of references come out right."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pytest

from client import Client, expect
from stack import Stack, identity, wait_gone
from test_crash import RETRY, wait_for_victim
from test_deletion import again
from wire import ConnectionClosed

KILLS = int(os.environ.get("DS_KILLS", "100")) // 8
FORKERS, SOURCES = 4, 5


class Forker(threading.Thread):
    """Makes and deletes forks of the sources and of its own forks; knows which of them exist."""

    def __init__(self, stack: Stack, number: int, stop: threading.Event):
        super().__init__(name=f"forker-{number}")
        self.number, self.halt, self.random = number, stop, random.Random(number)
        self.client, self.made, self.content, self.failure = Client(stack, timeout=10), 0, {}, ""

    def run(self) -> None:
        try:
            while not self.halt.is_set():
                if self.content and self.random.random() < 0.45:
                    self.delete(self.random.choice(list(self.content)))
                else:
                    self.make()
        except BaseException as error:
            self.failure = repr(error)
        finally:
            self.client.close()

    def make(self) -> None:
        own = self.content and self.random.random() < 0.5
        source = self.random.choice(list(self.content)) if own else f"s{self.random.randrange(SOURCES)}"
        name, self.made = f"f{self.number}/{self.made}", self.made + 1
        # 200: made, but the answer was lost.
        self.persist({200, 201}, lambda: self.client.put_fork(name, source, None, f"{name};"))
        self.content[name] = self.content.get(source, source.encode() + b";") + f"{name};".encode()

    def delete(self, name: str) -> None:
        # 404 or 410: deleted, but the answer was lost.
        self.persist({204, 404, 410}, lambda: self.client.delete(name))
        del self.content[name]

    def persist(self, statuses: set[int], ask) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                answer = ask()
            except ConnectionClosed:
                self.client.close()
                time.sleep(0.01)
                continue
            if answer.status in statuses:
                return
            assert answer.status in RETRY, answer.describe()
            time.sleep(0.01)
        raise AssertionError("no answer within 30 s")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", [1, 3])
def test_references_survive_kills(fresh_stack, workers: int) -> None:
    stack = fresh_stack(DS_WORKERS=workers, DS_SWEEP_INTERVAL=0.5)
    http, stop = Client(stack), threading.Event()
    for n in range(SOURCES):
        http.create(f"s{n}", "text/plain", f"s{n};")
    forkers = [Forker(stack, number, stop) for number in range(FORKERS)]
    for forker in forkers:
        forker.start()
    try:
        # An only worker that ends again and again is started again ever later.
        for turn in range(kills := KILLS if workers > 1 else KILLS // 3):
            goals = [forker.made + 5 for forker in forkers]
            deadline = time.monotonic() + 30
            while any(forker.made < goal for forker, goal in zip(forkers, goals, strict=True)):
                assert not [f.failure for f in forkers if f.failure], [f.failure for f in forkers]
                assert time.monotonic() < deadline, stack.log_tail()
                time.sleep(0.002)
            pid = wait_for_victim(stack, "durable-streams-worker", turn)
            who = identity(pid)
            os.kill(pid, signal.SIGKILL)
            assert not who or not wait_gone([who], 5)
    finally:
        stop.set()
        for forker in forkers:
            forker.join(40)
    assert not [f.failure for f in forkers if f.failure], [f.failure for f in forkers]
    content = {name: data for forker in forkers for name, data in forker.content.items()}
    for name, data in content.items():
        # The last kill may still be felt on a connection.
        assert expect(again(http, lambda name=name: http.get(name)), 200).body == data
    # The sources first: they are gone, or absent when no fork is left; then everything, in any order.
    for n in range(SOURCES):
        expect(http.delete(f"s{n}"), 204)
    names = list(content)
    random.Random(1).shuffle(names)
    for name in names:
        expect(http.delete(name), 204)
    for forker in forkers:
        for n in range(forker.made):
            expect(http.head(f"f{forker.number}/{n}"), 404)
    for n in range(SOURCES):
        expect(http.head(f"s{n}"), 404)
    print(f"{sum(f.made for f in forkers)} forks, {len(content)} at the end, {kills} kills")
    http.close()
