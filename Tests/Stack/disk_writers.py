"""Writers on a disk that has no space for a while: each append is repeated until it is acknowledged."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing

from client import Client, producer, read_lines
from disk import check_full
from stack import Stack
from store import wait_until
from wire import ConnectionClosed


class Writer(threading.Thread):
    """Appends numbered lines; repeats each until it is acknowledged, and counts the refusals."""

    def __init__(self, stack: Stack, number: int, stop: threading.Event, size: int, accepts: set[int]):
        super().__init__(name=f"writer-{number}")
        self.stack, self.number, self.halt, self.size, self.accepts = stack, number, stop, size, accepts
        # Two share a stream as producers, the others have one each.
        self.is_producer = number < 2
        self.path = "full/shared" if self.is_producer else f"full/{number}"
        self.acknowledged, self.refused, self.failure = 0, 0, ""
        self.statuses: Counter[int] = Counter()

    def line(self, seq: int) -> str:
        return f"{self.number}:{seq:06d}:".ljust(self.size, ".") + "\n"

    def run(self) -> None:
        try:
            with closing(Client(self.stack)) as http:
                while not self.halt.is_set():
                    self.append(http)
        except BaseException as error:
            self.failure = repr(error)

    def append(self, http: Client) -> None:
        who = producer(f"w{self.number}", 0, self.acknowledged) if self.is_producer else {}
        try:
            answer = http.post(self.path, "text/plain", self.line(self.acknowledged), **who)
        except ConnectionClosed:
            assert 502 in self.accepts, "the connection was cut"
            return http.close()
        self.statuses[answer.status] += 1
        if answer.status in (200, 204):
            self.acknowledged += 1
            return None
        assert answer.status == 507 or answer.status in self.accepts, answer.describe()
        if answer.status == 507:
            check_full(answer)
            self.refused += 1
        # Whoever is refused asks again a little later.
        self.halt.wait(0.02)
        return None


class Writers:
    def __init__(self, stack: Stack, size: int, accepts: set[int] = frozenset()):
        self.stop = threading.Event()
        self.all = [Writer(stack, number, self.stop, size, accepts) for number in range(4)]
        self.stack = stack
        with closing(Client(stack)) as http:
            for path in {writer.path for writer in self.all}:
                http.create(path, "text/plain")

    def __enter__(self) -> Writers:
        for writer in self.all:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for writer in self.all:
            writer.join(40)

    def wait(self, what: str, of: Callable[[Writer], int], by: int, within: float = 60) -> None:
        goals = [(writer, of(writer) + by) for writer in self.all]

        def reached() -> bool:
            failures = [writer.failure for writer in self.all if writer.failure]
            assert not failures, f"{failures}\n{self.stack.log_tail()}"
            return all(of(writer) >= goal for writer, goal in goals)

        wait_until(self.stack, reached, what, within)

    def wait_refused(self, by: int = 3) -> None:
        self.wait("all are refused", lambda writer: writer.refused, by)

    def wait_accepted(self, by: int = 3) -> None:
        self.wait("all are accepted again", lambda writer: writer.acknowledged, by)

    def check(self, http: Client, at_most: int = 0) -> None:
        """Every acknowledged append is there, once and in order; of those without an answer at most so many."""
        for path in {writer.path for writer in self.all}:
            lines = read_lines(http, path)
            for writer in (writer for writer in self.all if writer.path == path):
                mine = [line for line in lines if line.startswith(f"{writer.number}:")]
                numbers = [int(line.split(":")[1]) for line in mine]
                if writer.is_producer:
                    assert numbers == list(range(len(numbers))), f"writer {writer.number}"
                    assert writer.acknowledged <= len(numbers) <= writer.acknowledged + at_most
                else:
                    # Without a producer an append that got no answer may be there twice, after it was sent again.
                    assert sorted(numbers) == numbers and set(range(writer.acknowledged)) <= set(numbers)
                    assert len(numbers) <= writer.acknowledged + at_most
                assert all(f"{line}\n" == writer.line(number) for line, number in zip(mine, numbers, strict=True))
