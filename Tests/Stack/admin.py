"""The administrator's view of a stack, and FastCGI spoken by hand."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from client import Client
from stack import Stack
from wire import Response

OWN = {"X-DS-Admin": "1"}
JSON = "application/json"


def password(stack: Stack) -> str:
    return (stack.data_dir / "admin-password").read_text().rstrip("\n")


def basic(user: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()}


class Admin:
    """Requests with the password; those that change something say that they are meant."""

    def __init__(self, stack: Stack):
        self.stack, self.http = stack, Client(stack)
        self.login = basic("admin", password(stack))

    def close(self) -> None:
        self.http.close()

    def send(
        self, method: str, target: str, headers: dict[str, str] | Iterable[tuple[str, str]] = (), body: bytes | str | None = None
    ) -> Response:
        """A request below /admin, with nothing but the password added."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        return self.http.request(method, "/admin" + target, list(self.login.items()) + pairs, body)

    def api(self, method: str, path: str, document: object = None) -> Response:
        """A request to the interface, as the page sends it."""
        headers = {} if method in ("GET", "HEAD") else dict(OWN)
        if document is not None:
            headers["Content-Type"] = JSON
        return check_private(self.send(method, f"/api/{path}", headers, None if document is None else json.dumps(document)))

    def get(self, path: str) -> dict[str, object]:
        return expect_json(self.api("GET", path), 200)

    def stream(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Response:
        """A request to a stream with every right; `path` begins behind /v1."""
        pairs = {name.replace("_", "-"): value for name, value in headers.items()}
        own = {} if method in ("GET", "HEAD") else OWN
        return check_private(self.send(method, f"/v1/{path}", own | pairs, body))


def check_private(answer: Response) -> Response:
    """For nobody's eyes but the administrator's: no other site's, no cache's."""
    names = {name.lower() for name, _ in answer.headers}
    assert not [name for name in names if name.startswith("access-control-") or name.startswith("ds-")], answer.describe()
    assert answer.all("X-Content-Type-Options") == ["nosniff"] and answer.all("X-Frame-Options") == ["DENY"], answer.describe()
    assert answer.all("Referrer-Policy") == ["no-referrer"] and len(answer.all("Content-Security-Policy")) == 1, answer.describe()
    assert answer.all("Cache-Control") == ["no-store"] and "X-Cache" not in answer, answer.describe()
    assert "Set-Cookie" not in answer, answer.describe()
    return answer


def expect_json(answer: Response, status: int) -> dict[str, object]:
    assert answer.status == status and answer.get("Content-Type") == JSON, answer.describe()
    return json.loads(answer.body)


def check_refused(answer: Response, status: int, code: str) -> str:
    """A refusal as JSON; returns its message."""
    document = expect_json(check_private(answer), status)
    assert set(document) == {"error"} and set(document["error"]) == {"code", "message"}, answer.describe()
    assert document["error"]["code"] == code and document["error"]["message"], answer.describe()
    return document["error"]["message"]


# FastCGI 1.0, one request on a connection.


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content


def _length(number: int) -> bytes:
    return bytes([number]) if number < 128 else struct.pack("!I", number | 1 << 31)


def fastcgi(path: Path, method: str, target: str, parameters: dict[str, str], body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """What the pool answers on its own socket: status, headers in lower case, body."""
    all = {"REQUEST_METHOD": method, "REQUEST_URI": target, "REQUEST_SCHEME": "http", "CONTENT_LENGTH": str(len(body) or "")} | parameters
    pairs = b"".join(
        _length(len(name.encode())) + _length(len(value.encode())) + name.encode() + value.encode() for name, value in all.items()
    )
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(15)
        connection.connect(os.fspath(path))
        connection.sendall(_record(1, struct.pack("!HB5x", 1, 0)) + _record(4, pairs) + _record(4, b""))
        connection.sendall((_record(5, body) if body else b"") + _record(5, b""))
        data = b""
        while part := connection.recv(65536):
            data += part
    output, rest = b"", data
    while rest:
        _, kind, _, length, padding = struct.unpack("!BBHHBx", rest[:8])
        if kind == 6:
            output += rest[8 : 8 + length]
        rest = rest[8 + length + padding :]
    head, _, content = output.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    headers = {name.lower(): value for name, value in headers.items()}
    return int(headers.pop("status").split()[0]), headers, content
