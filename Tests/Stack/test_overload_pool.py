"""Half of the pool killed under load: what it had in hand fails, and nothing else."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing
from pathlib import Path

import pytest

from client import Client, expect, producer, url
from overload import Crowd, Stall
from stack import Stack
from store import wait_until
from wire import ConnectionClosed

TEXT = [("Content-Type", "text/plain")]


def connections(pid: int) -> int:
    """Sockets of a process."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(link).startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def test_what_two_of_four_had_in_hand(fresh_stack) -> None:
    """Sixty appends in hand all over the pool: those of the two that are killed get 502, all others are stored."""
    stack = fresh_stack(DS_WORKERS=4)
    with closing(Client(stack)) as http, Crowd(stack) as crowd:
        http.create("s", "text/plain")
        workers = stack.processes("durable-streams-worker")
        assert len(workers) == 4
        with Stall(stack) as stall:
            before = {pid: connections(pid) for pid in workers}
            members = crowd.ask(60, url("s"), TEXT, b"x")

            def in_hand() -> dict[int, int]:
                return {pid: connections(pid) - before[pid] for pid in workers}

            # nginx may send one or two of them on connections that it had.
            wait_until(stack, lambda: sum(in_hand().values()) >= 58, "the pool has them all in hand")
            counts = in_hand()
            killed = sorted(workers, key=lambda pid: counts[pid])[1:3]
            lost = sum(counts[pid] for pid in killed)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            failed = crowd.wait(members, max(0, lost - 2))
            assert {member.status for member in failed} <= {502}
        crowd.wait(members)
        statuses = [member.status for member in members]
        assert statuses.count(502) <= lost + 2 and statuses.count(204) == 60 - statuses.count(502)
        # They waited for the disk, so nothing of theirs was stored.
        assert http.read_all("s")[0] == b"x" * statuses.count(204)
        wait_until(stack, lambda: len(stack.processes("durable-streams-worker")) == 4, "four workers again")


class Producer(threading.Thread):
    """Appends numbered lines, each sent again until it is acknowledged."""

    def __init__(self, stack: Stack, name: str, halt: threading.Event):
        super().__init__(name=name)
        self.stack, self.halt = stack, halt
        self.stored = self.lost = 0
        self.failure = ""

    def run(self) -> None:
        try:
            with closing(Client(self.stack)) as http:
                while not self.halt.is_set():
                    while not self.send(http):
                        self.lost += 1
                    self.stored += 1
        except BaseException as error:
            self.failure = repr(error)

    def send(self, http: Client) -> bool:
        try:
            answer = http.post("s", "text/plain", f"{self.name}:{self.stored}\n", **producer(self.name, 0, self.stored))
        except ConnectionClosed:
            return False
        if answer.status == 502:
            return False
        assert answer.status in (200, 204), answer.describe()
        return True


@pytest.mark.slow
def test_producers_go_on(fresh_stack) -> None:
    """Two of four killed while twelve producers send: each loses at most one answer a kill, and every line is there once, in order."""
    stack = fresh_stack(DS_WORKERS=4)
    with closing(Client(stack)) as http:
        http.create("s", "text/plain")
        halt = threading.Event()
        writers = [Producer(stack, f"p{number}", halt) for number in range(12)]
        for writer in writers:
            writer.start()
        try:
            wait_until(stack, lambda: all(writer.stored > 20 for writer in writers), "all send")
            for pid in stack.processes("durable-streams-worker")[:2]:
                os.kill(pid, signal.SIGKILL)
            reached = [writer.stored + 50 for writer in writers]
            wait_until(stack, lambda: all(writer.stored > goal for writer, goal in zip(writers, reached)), "all go on")
        finally:
            halt.set()
            for writer in writers:
                writer.join(30)
        assert not [writer.failure for writer in writers if writer.failure]
        assert max(writer.lost for writer in writers) <= 2, [writer.lost for writer in writers]
        lines = http.read_all("s")[0].decode().splitlines()
        for writer in writers:
            mine = [line for line in lines if line.startswith(f"{writer.name}:")]
            assert mine == [f"{writer.name}:{number}" for number in range(writer.stored)]
        expect(http.get("s", "offset=now"), 200)
