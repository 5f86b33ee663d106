"""FastCGI requests straight to the pool's socket, as nginx sends them: to count what the pool does, and nothing beside it."""

from __future__ import annotations

import functools
import re
import socket
import struct
from pathlib import Path

from stack import REPOSITORY
from wire import ConnectionClosed

_BEGIN, _END, _PARAMS, _STDIN, _STDOUT = 1, 3, 4, 5, 6
# Content of one record, a multiple of 8.
_MOST = 65528
_HEAD = struct.Struct(">BBHHBx")


def _record(kind: int, content: bytes) -> bytes:
    padding = -len(content) % 8
    return _HEAD.pack(1, kind, 1, len(content), padding) + content + bytes(padding)


def _length(count: int) -> bytes:
    return bytes([count]) if count < 128 else struct.pack(">I", count | 0x80000000)


def _parameters(values: dict[str, str]) -> bytes:
    return b"".join(_length(len(name)) + _length(len(value)) + name.encode() + value.encode() for name, value in values.items())


@functools.cache
def _configured() -> tuple[tuple[str, str, bool], ...]:
    """Name, value and whether only a value is sent, of each parameter in nginx's configuration for requests."""
    text = "".join((REPOSITORY / f"nginx/durable-streams-{name}.conf").read_text() for name in ("fastcgi", "request"))
    found = re.findall(r'^fastcgi_param\s+(\w+)\s+(?:"([^"]*)"|(\$\w+))(\s+if_not_empty)?;$', text, re.MULTILINE)
    assert len(found) == text.count("\nfastcgi_param"), "a parameter that is not understood here"
    return tuple((name, quoted or plain, bool(condition)) for name, quoted, plain, condition in found)


def request(method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """The records of one request on a kept connection, with the parameters that nginx would send."""
    headers = {"Host": "127.0.0.1:4437", **(headers or {})}
    if body or method == "POST":
        headers["Content-Length"] = str(len(body))
    variables = {
        "$request_method": method,
        "$request_uri": target,
        "$scheme": "http",
        "$durable_streams_request_id": "0123456789abcdef0123456789abcdef",
        "$http_origin": "",
        "$content_type": headers.get("Content-Type", ""),
        "$content_length": headers.get("Content-Length", ""),
        # nginx strips the client's conditions where it may answer from its cache.
        "$http_if_none_match": headers.pop("If-None-Match", ""),
        "$durable_streams_uncached": "0" if method == "GET" else "1",
        "$durable_streams_takes_files": "1" if method == "GET" else "0",
    }
    values = [(name, re.sub(r"\$\w+", lambda found: variables[found[0]], text), condition) for name, text, condition in _configured()]
    parameters = {name: value for name, value, condition in values if value or not condition}
    known = {name for name, _, _ in values}
    for name, value in headers.items():
        if (parameter := "HTTP_" + name.upper().replace("-", "_")) not in known:
            parameters[parameter] = value
    return (
        _record(_BEGIN, b"\0\1\1\0\0\0\0\0")
        + _record(_PARAMS, _parameters(parameters))
        + _record(_PARAMS, b"")
        + b"".join(_record(_STDIN, body[start : start + _MOST]) for start in range(0, len(body), _MOST))
        + _record(_STDIN, b"")
    )


class PoolConnection:
    """One kept connection to the pool; it takes one request after another."""

    def __init__(self, path: Path, timeout: float = 60.0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.buffer = b""

    def close(self) -> None:
        self.socket.close()

    def send(self, records: bytes) -> None:
        self.socket.sendall(records)

    def receive(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case and body of the next answer."""
        output = b""
        while True:
            kind, content = self._next()
            if kind == _STDOUT:
                output += content
            elif kind == _END:
                head, _, body = output.partition(b"\r\n\r\n")
                lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
                headers = {name.lower(): value for name, value in lines}
                return int(headers["status"].split()[0]), headers, body

    def exchange(self, records: bytes) -> tuple[int, dict[str, str], bytes]:
        self.send(records)
        return self.receive()

    def _next(self) -> tuple[int, bytes]:
        _, kind, _, length, padding = _HEAD.unpack(self._take(8))
        return kind, self._take(length + padding)[:length]

    def _take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not (got := self.socket.recv(65536)):
                raise ConnectionClosed("the pool has closed the connection")
            self.buffer += got
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken
