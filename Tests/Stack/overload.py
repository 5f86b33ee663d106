"""More than a server can take: a disk that stalls, and crowds of clients that ask all at once."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import selectors
import socket
import time
from dataclasses import dataclass, field

from stack import Stack
from store import wait_until
from wire import Connection, Response, build_request

PATIENCE = 30.0


class Stall:
    """Holds the lock that each transaction takes, so that nothing is stored until it is let go."""

    def __init__(self, stack: Stack):
        self.path = stack.data_dir / "write.lock"
        self.stack = stack

    def __enter__(self) -> Stall:
        # Until then the supervisor asks whether it is, which takes a place among those that wait.
        wait_until(self.stack, lambda: "is ready at" in self.stack.log.read_text(), "the server is ready")
        self.descriptor = os.open(self.path, os.O_RDWR)
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def let_go(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    @property
    def waiting(self) -> int:
        """Processes whose transaction waits for the lock."""
        inode = f":{os.fstat(self.descriptor).st_ino} "
        with open("/proc/locks") as locks:
            return sum("->" in line and inode in line for line in locks)

    def wait_for(self, count: int) -> None:
        wait_until(self.stack, lambda: self.waiting >= count, f"{count} transactions wait for the disk")


@dataclass
class Asked:
    """A client of a crowd: its one request and what came back."""

    socket: socket.socket
    request: bytes
    began: float = 0.0
    sent: int = 0
    answer: bytes = b""
    ended: float = 0.0
    closed: bool = False

    @property
    def is_answered(self) -> bool:
        return self.ended > 0

    @property
    def status(self) -> int:
        return int(self.answer.split(b" ", 2)[1]) if self.answer.startswith(b"HTTP/1.1 ") else 0

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def response(self) -> Response:
        """The answer, read as any other."""
        connection = Connection.__new__(Connection)
        connection.buffer, connection.closed_by_peer = self.answer, False
        return connection.read_response("POST")

    def take(self) -> bool:
        """Reads what is there; whether the answer is whole."""
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        self.answer += data
        self.closed = not data
        head, mark, body = self.answer.partition(b"\r\n\r\n")
        if self.closed or mark and len(body) >= content_length(head):
            self.ended = time.monotonic()
        return self.is_answered


def content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


@dataclass
class Crowd:
    """Clients that ask at once, each on a connection of its own."""

    stack: Stack
    members: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Crowd:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.selector = selectors.DefaultSelector()
        return self

    def __exit__(self, *_: object) -> None:
        self.selector.close()
        for member in self.members:
            member.socket.close()

    def ask(self, count: int, target: str, headers: list[tuple[str, str]], body: bytes, method: str = "POST") -> list[Asked]:
        """So many more clients; their answers are waited for by `wait`."""
        request = build_request(method, target, headers, body)
        new = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", self.stack.port), timeout=PATIENCE)
            connection.setblocking(False)
            new.append(Asked(connection, request))
        for member in new:
            member.began = time.monotonic()
            self.selector.register(member.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, member)
            self.push(member)
        self.members += new
        return new

    def push(self, member: Asked) -> None:
        try:
            member.sent += member.socket.send(memoryview(member.request)[member.sent :])
        except BlockingIOError:
            return
        except OSError:
            # Answered before all was there; what came is read.
            member.sent = len(member.request)
        if member.sent == len(member.request):
            self.selector.modify(member.socket, selectors.EVENT_READ, member)

    def wait(self, members: list[Asked], count: int | None = None, within: float = PATIENCE) -> list[Asked]:
        """Those of them who are answered, once so many are; all of them, if nothing else is said."""
        wanted, deadline = len(members) if count is None else count, time.monotonic() + within
        left = {id(member) for member in members if not member.is_answered}
        while len(members) - len(left) < wanted:
            assert time.monotonic() < deadline, f"{len(members) - len(left)} of {wanted} were answered\n{self.stack.log_tail()}"
            for key, mask in self.selector.select(0.1):
                member: Asked = key.data
                if mask & selectors.EVENT_WRITE:
                    self.push(member)
                if mask & selectors.EVENT_READ and member.take():
                    self.selector.unregister(member.socket)
                    left.discard(id(member))
        return [member for member in members if member.is_answered]


def fill_backlog(path: str) -> list[socket.socket]:
    """Connections that nobody accepts, until one more is refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        try:
            client.connect(path)
        except BlockingIOError as error:
            client.close()
            assert error.errno == errno.EAGAIN and found, error
            return found
        found.append(client)


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))
