"""Readers remember what they have read; nobody sees less than what was acknowledged before, whichever process wrote it."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing

import pytest

from client import Client, expect, position

READS = 150


@pytest.mark.parametrize("workers", [1, 2])
def test_each_reader_sees_what_was_acknowledged(fresh_stack, workers: int) -> None:
    """Several clients append to a stream of their own and read it at once, on connections of their own, while others append
    all the time: with two workers what one has committed is read by the other, in between its own commits."""
    stack = fresh_stack(DS_WORKERS=workers)
    faults: list[str] = []
    done = threading.Event()

    def write(number: int) -> None:
        with closing(Client(stack)) as http:
            while not done.is_set():
                http.post(f"busy-{number}", "text/plain", b"x")

    def follow(number: int) -> None:
        with ExitStack() as opened:
            # Writes and reads come to the workers by connections of nginx's choice.
            writer, reader, other = (opened.enter_context(closing(Client(stack))) for _ in range(3))
            name = f"s-{number}"
            for length in range(1, READS + 1):
                expect(writer.post(name, "text/plain", b"y"), 204)
                for each in (reader, other):
                    if (seen := position(expect(each.head(name), 200).offset)) != length:
                        faults.append(f"{name}: HEAD says {seen} of {length}")
                    if (content := expect(each.get(name), 200).body) != b"y" * length:
                        faults.append(f"{name}: {len(content)} of {length} bytes")
                    # Those that have not changed since are read too, so that they are remembered.
                    expect(each.get("still"), 200)

    with closing(Client(stack)) as http:
        for name in ("s-0", "s-1", "s-2", "busy-0", "busy-1"):
            http.create(name, "text/plain")
        http.create("still", "text/plain", b"still")
        writers = [threading.Thread(target=write, args=[number]) for number in range(2)]
        followers = [threading.Thread(target=follow, args=[number]) for number in range(3)]
        for thread in writers + followers:
            thread.start()
        for thread in followers:
            thread.join()
        done.set()
        for thread in writers:
            thread.join()
        assert not faults, faults[:5]
        for number in range(3):
            assert http.read_all(f"s-{number}")[0] == b"y" * READS, "a follower has ended before its time"
