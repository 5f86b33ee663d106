"""Running the commands that are clients of a server: exact bytes in and out, signals, and a server that misbehaves."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

from commands import environment
from stack import BINARY, Stack, _die_with_parent

PATIENCE = 30.0


@dataclass(frozen=True)
class Done:
    """How a command ended, with its exact output."""

    status: int
    out: bytes
    err: str

    def expect(self, status: int) -> Done:
        assert self.status == status, f"expected {status}, got {self.status}\nstdout: {self.out[:500]!r}\nstderr: {self.err}"
        return self

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def refusal(self) -> str:
        """The one line on standard error."""
        (line,) = [line for line in self.err.splitlines() if line and not line.startswith("next offset:")]
        return line


def clean(settings: dict[str, object]) -> dict[str, str]:
    """Without proxies, which would stand between the command and the loopback interface."""
    return {key: value for key, value in environment(settings).items() if "proxy" not in key.lower()}


def start(*arguments: object, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE, **settings: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(BINARY), *map(str, arguments)],
        env=clean(settings),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=_die_with_parent,
    )


def finish(process: subprocess.Popen[bytes], input: bytes | None = None, within: float = PATIENCE) -> Done:
    try:
        out, err = process.communicate(input, timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"did not end: {out[-500:]!r} {err!r}") from None
    return Done(process.returncode, out or b"", err.decode("utf-8", "replace"))


def ask(stack: Stack | None, *arguments: object, input: bytes | None = None, **settings: object) -> Done:
    """A command to its end, at a server's address."""
    if stack is not None:
        settings = {"DS_URL": f"http://127.0.0.1:{stack.port}"} | settings
    return finish(start(*arguments, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE, **settings), input)


class Follower:
    """`read --follow`, whose output is collected as it comes."""

    def __init__(self, stack: Stack, *arguments: object, **settings: object):
        url = {"DS_URL": f"http://127.0.0.1:{stack.port}"}
        self.process = start("read", "--follow", *arguments, **(url | settings))
        self.out, self.err = bytearray(), bytearray()
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._take, args=(pipe, into), daemon=True)
            for pipe, into in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def _take(self, pipe: object, into: bytearray) -> None:
        while part := os.read(pipe.fileno(), 65_536):
            with self._changed:
                into += part
                self._changed.notify_all()

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(5)
        self.process.stdout.close()
        self.process.stderr.close()

    def wait(self, expected: bytes, within: float = PATIENCE) -> None:
        """Until exactly so much has come."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.out) >= len(expected), within)
        assert bytes(self.out) == expected, (bytes(self.out[-300:]), expected[-300:], bytes(self.err))

    def end(self, number: int | None = None, within: float = PATIENCE) -> int:
        """Its exit status, after a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(within)
        for thread in self._threads:
            thread.join(5)
        return status


INTERRUPTED = -signal.SIGINT


@contextmanager
def answering(*handlers: Callable[[socket.socket, bytes], None]):
    """A server on a port of its own: each connection gets the next handler with its request; the last one is kept."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)
    requests: list[bytes] = []

    def serve() -> None:
        number = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(PATIENCE)
                try:
                    request = b""
                    while b"\r\n\r\n" not in request and (part := connection.recv(65_536)):
                        request += part
                    requests.append(request)
                    handlers[min(number, len(handlers) - 1)](connection, request)
                except OSError:
                    pass
            number += 1

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def answer(text: str) -> Callable[[socket.socket, bytes], None]:
    """A handler that sends a response and closes."""
    return lambda connection, _: connection.sendall(text.replace("\n", "\r\n").encode())


def wait_for(condition: Callable[[], bool], within: float = PATIENCE) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
