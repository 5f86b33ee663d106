"""SSE: a stream with so many readers that an event goes out to them in several windows."""

from __future__ import annotations

import os
import re
import selectors
import socket
import time
from pathlib import Path

from access import wait_until
from client import Client, url
from stack import Stack

READERS = 700
STALLED = 40
APPENDS = 12
PATIENCE = 30
# So many seconds, and some, the live process looks at all streams again and again behind its start: whom a delivery forgot
# would be found by that.
LOOKS_AROUND = 5.5


class Follower:
    """A reader that keeps the bytes of its data events."""

    def __init__(self, stack: Stack, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", stack.port), timeout=PATIENCE)
        self.socket.sendall(f"GET {url(path)}?live=sse&offset=now HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        self.received = b""

    def receive(self) -> None:
        """Takes what has come."""
        got = self.socket.recv(1 << 20)
        assert got, f"the connection was closed behind {self.received!r}"
        self.received += got

    @property
    def content(self) -> bytes:
        """What the data events said. No CR is theirs: those belong to the chunks."""
        body = re.sub(rb"\r\n(?:[0-9a-f]+\r\n)?", b"", self.received.partition(b"\r\n\r\n")[2])
        return b"".join(re.findall(rb"event: data\ndata:([0-9.]*)\n\n", body))


def age(pid: int) -> float:
    """Seconds since a process began."""
    began = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")


def wait(followers: list[Follower], done) -> None:
    """Reads until `done` says so of each."""
    with selectors.DefaultSelector() as selector:
        for follower in followers:
            if not done(follower):
                selector.register(follower.socket, selectors.EVENT_READ, follower)
        deadline = time.monotonic() + PATIENCE
        while selector.get_map():
            assert time.monotonic() < deadline, f"{len(selector.get_map())} readers still wait"
            for key, _ in selector.select(1):
                key.data.receive()
                if done(key.data):
                    selector.unregister(key.fileobj)


def test_everybody_gets_everything_in_order(stack: Stack, http: Client, path: str) -> None:
    """Readers that take nothing, and readers that leave, hold up nobody; those that take it later get all of it."""
    http.create(path, "text/plain")
    wait_until(lambda: age(stack.processes("durable-streams-live")[0]) > LOOKS_AROUND, "it no longer looks around", PATIENCE)
    followers = [Follower(stack, path) for _ in range(READERS)]
    try:
        wait(followers, lambda follower: b"upToDate" in follower.received)
        stalled, leaving, reading = followers[:STALLED], followers[STALLED:2 * STALLED], followers[2 * STALLED:]
        expected = b""
        for number in range(APPENDS):
            message = b"%d." % number
            http.append(path, "text/plain", message)
            expected += message
            if number % 4 == 1:
                # In the middle of a delivery: the readers behind them move to their places.
                for follower in leaving[number % 8::8]:
                    follower.socket.close()
        wait(reading, lambda follower: follower.content == expected)
        wait(stalled, lambda follower: follower.content == expected)
    finally:
        for follower in followers:
            follower.socket.close()
