"""The request log: one line for each request that nginx sees, which nothing can break and which holds no secret."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from access import wait_until
from client import Client, expect
from stack import Stack, remove_tree, temporary_root
from test_startup import one_line, refused
from wire import Connection

HEX = r"[0-9a-f]{32}"
TEXT = re.compile(
    r"(?P<time>\S+) (?P<request_id>\S+) (?P<client>\S+) (?P<protocol>\S+) (?P<method>\S+) \"(?P<path>[^\"]*)\" live=(?P<live>\S*) "
    r"offset=(?P<offset>\S*) (?P<status>\d+) in=(?P<bytes_in>\d+) out=(?P<bytes_out>\d+) duration=(?P<duration>[\d.]+) "
    r"upstream=(?P<upstream>\w+):(?P<upstream_time>[\d.]+|null) cache=(?P<cache>\w+)"
)
FIELDS = set(TEXT.groupindex)


class RequestLog:
    """A request log, read as it grows."""

    def __init__(self, path: Path):
        self.path = path

    def lines(self) -> list[bytes]:
        return self.path.read_bytes().split(b"\n")[:-1] if self.path.exists() else []

    def entries(self) -> list[dict[str, object]]:
        return [json.loads(line.decode("utf-8")) for line in self.lines() if line.startswith(b'{"time"') and b'"process"' not in line]

    def wait(self, found: Callable[[dict[str, object]], bool], within: float = 5) -> dict[str, object]:
        """The first line that is it; nginx writes what it has gathered once a second."""
        hits: list[dict[str, object]] = []

        def there() -> bool:
            hits[:] = [entry for entry in self.entries() if found(entry)]
            return bool(hits)

        wait_until(there, "a line in the request log", within)
        assert len(hits) == 1, hits
        return hits[0]

    def of(self, request_id: str) -> dict[str, object]:
        entry = self.wait(lambda entry: entry["request_id"] == request_id)
        assert set(entry) == FIELDS, entry
        return entry


@pytest.fixture(scope="module")
def logged() -> Iterator[tuple[Client, RequestLog]]:
    root = temporary_root()
    # nginx's workers open it anew as another user.
    (root / "logs").mkdir(mode=0o755)
    log = root / "logs/requests.log"
    stack = Stack(root / "data", DS_REQUEST_LOG=log, DS_READ_CHUNK_BYTES=65536)
    client = Client(stack)
    try:
        stack.start()
        yield client, RequestLog(log)
        client.close()
        stack.stop()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


def test_fields(logged) -> None:
    """What a line says of an append, of a read that missed the cache and one that was answered from it."""
    http, log = logged
    body = b"x" * 1500
    answer = http.request("PUT", "/v1/stream/f", {"Content-Type": "text/plain", "X-Request-Id": "put-1"}, body)
    put = log.of("put-1")
    assert put | {"time": "", "duration": 0, "upstream_time": 0} == {
        "time": "", "request_id": "put-1", "client": "127.0.0.1", "method": "PUT", "path": "/v1/stream/f", "live": "", "offset": "",
        "protocol": "HTTP/1.1", "status": 201, "bytes_in": put["bytes_in"], "bytes_out": len(answer.head) + 4, "duration": 0,
        "upstream": "pool", "upstream_time": 0, "cache": "BYPASS",
    }  # fmt: skip
    assert 1500 < put["bytes_in"] < 1900 and 0 <= put["upstream_time"] <= put["duration"] + 0.002 < 10
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\+|-)\d\d:\d\d", put["time"])
    http.request("PUT", "/v1/stream/big", {"Content-Type": "text/plain"}, b"y" * 200_000)
    start = http.get("big").offset
    for number in (1, 2):
        expect(http.request("GET", f"/v1/stream/big?offset={start}", {"X-Request-Id": f"get-{number}"}), 200)
    miss, hit = log.of("get-1"), log.of("get-2")
    assert (miss["upstream"], miss["cache"], hit["upstream"], hit["cache"]) == ("pool", "MISS", "nginx", "HIT")
    assert hit["upstream_time"] is None and hit["offset"] == start and hit["bytes_out"] > 65536
    http.request("GET", "/v1/stream/f?live=long-poll&offset=-1", {"X-Request-Id": "poll-1"})
    poll = log.of("poll-1")
    assert (poll["upstream"], poll["live"], poll["offset"], poll["status"]) == ("live", "long-poll", "-1", 200)


def test_request_ids(logged) -> None:
    """The client's, if it is 1 to 64 of the characters allowed; else one of nginx's."""
    http, log = logged
    kept, refused = ("a" * 64, "A.b_c-9"), ("a" * 65, "a b", 'a"b', "a\u00e4", "", "a;b")
    for number, given in enumerate(kept + refused):
        http.request("GET", f"/v1/stream/id-{number}", {"X-Request-Id": given})
    for number, given in enumerate(kept + refused):
        shown = log.wait(lambda entry: entry["path"] == f"/v1/stream/id-{number}")["request_id"]
        assert shown == given if given in kept else re.fullmatch(HEX, shown), (given, shown)


def test_nothing_breaks_a_line(logged) -> None:
    """Quotes, escapes, bytes that are no UTF-8, long paths and what is no HTTP: each is one line of JSON."""
    http, log = logged
    paths = {
        b'/v1/stream/q"u\\o\'te': 'q"u\\o\'te', b"/v1/stream/%0a%22": "%0a%22", "/v1/stream/\u00e4\u20ac".encode(): "\u00e4\u20ac",
        b"/v1/stream/bad\xffbyte": "bad...", b"/v1/stream/surrogate\xed\xa0\x80": "surrogate...", b"/v1/stream/over\xc0\xaf": "over...",
        b"/v1/stream/" + b"l" * 1013: "l" * 1013, b"/v1/stream/" + b"l" * 1014: "l" * 1013 + "...",
        b"/v1/stream/" + "\u00e4".encode() * 900: "...", b"/v1/stream/{}$request_uri": "{}$request_uri", b"/v1/stream/a#b": "a",
    }  # fmt: skip
    for number, (path, _) in enumerate(paths.items()):
        http.request("GET", path + b"?rk=QUERYSECRET", {"X-Request-Id": f"path-{number}"})
    for number, (_, shown) in enumerate(paths.items()):
        assert log.of(f"path-{number}")["path"] == "/v1/stream/" + shown
    before = len([1 for entry in log.entries() if entry["status"] in (400, 405, 414, 505)])
    malformed = (
        b"GET /v1/a?rk=QUERYSECRET b HTTP/1.1", b"GET /v1/\x01?rk=QUERYSECRET HTTP/1.1", b'G"T / HTTP/1.1', b"GET /?rk=QUERYSECRET HTTP/9.9",
        b"GET http://u:QUERYSECRET@h/ HTTP/1.1", b"\x16\x03\x01QUERYSECRET", b"GET /" + b"x" * 20000 + b" HTTP/1.1", b"GET /%00?rk=QUERYSECRET HTTP/1.1",
    )  # fmt: skip
    for line in malformed:
        with Connection(http.stack.port) as connection:
            connection.send(line + b"\r\nHost: h\r\n\r\n")
            while connection.fill():
                pass
    wait_until(lambda: len([1 for entry in log.entries() if entry["status"] in (400, 405, 414, 505)]) >= before + len(malformed), "a line for each", 5)
    # Each is JSON, or `entries` would fail. nginx's other process may have gathered some of before.
    assert len(log.entries()) == len(log.lines())
    assert b"QUERYSECRET" not in log.path.read_bytes()


def test_other_parameters_are_not_logged(logged) -> None:
    http, log = logged
    http.request("GET", "/v1/stream/a?live=QUERYSECRET&offset=QUERYSECRET", {"X-Request-Id": "query-1"})
    entry = log.of("query-1")
    assert entry["live"] == entry["offset"] == "" and entry["path"] == "/v1/stream/a"
    assert b"QUERYSECRET" not in log.path.read_bytes()


def test_rotation(logged) -> None:
    """Behind USR1 the renamed file gets nothing more; its successor does, from nginx's workers too."""
    http, log = logged
    http.request("GET", "/v1/stream/r", {"X-Request-Id": "before-rotation"})
    log.of("before-rotation")
    old = log.path.rename(log.path.with_suffix(".log.1"))
    os.kill(int((http.stack.data_dir / "nginx/nginx.pid").read_text()), signal.SIGUSR1)
    wait_until(log.path.exists, "a new file", 5)
    for number in range(20):
        http.request("GET", "/v1/stream/r", {"X-Request-Id": f"after-rotation-{number}"})
    for number in range(20):
        # A worker may take a moment until it has opened the new file.
        wait_until(
            lambda: f'"after-rotation-{number}"'.encode() in old.read_bytes() + log.path.read_bytes(), f"line {number}", 5
        )
    http.request("GET", "/v1/stream/r", {"X-Request-Id": "long-after-rotation"})
    log.of("long-after-rotation")


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_standard_output(fresh_stack, kind: str) -> None:
    """As text; in a file the lines of nginx and of the server come one behind the other."""
    stack = fresh_stack(start=False, DS_REQUEST_LOG="stdout", DS_REQUEST_LOG_FORMAT="text")
    if kind == "file":
        # As a shell's `>` opens it: nginx would write over what others write.
        with stack.log.open("wb") as out:
            stack.process = stack.spawn(stdout=out, stderr=subprocess.DEVNULL)
    else:
        stack.process = stack.spawn(stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    stack.wait_ready()
    client = Client(stack)
    for number in range(3):
        client.request("GET", f'/v1/stream/s"{number}?rk=QUERYSECRET')
    client.close()
    process, begin = stack.process, b""
    # It answers a moment before it says so.
    if kind == "pipe":
        while b"Ctrl-C" not in begin:
            # What Python had read ahead `communicate` would not give.
            begin += os.read(process.stdout.fileno(), 65536)
    else:
        wait_until(lambda: b"Ctrl-C stops" in stack.log.read_bytes(), "the lines of the start", 5)
    stack.signal(signal.SIGTERM)
    out = begin + (process.communicate(timeout=20)[0] or b"")
    assert process.returncode == 0
    text = (out if kind == "pipe" else stack.log.read_bytes()).decode()
    lines = text.splitlines()
    found = [match for line in lines if (match := TEXT.fullmatch(line))]
    assert [match["path"] for match in found if "/v1/" in match["path"]] == [f"/v1/stream/s\\x22{number}" for number in range(3)], text
    others = [line for line in lines if not TEXT.fullmatch(line)]
    assert len(others) >= 4 and others[0].startswith("Durable Streams is ready") and others[-1].startswith("stopping"), text
    assert "QUERYSECRET" not in text


def test_standard_output_that_is_a_socket(fresh_stack) -> None:
    """As under systemd: nginx can't open it; one line says so, and what to do."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stack = fresh_stack(start=False, DS_REQUEST_LOG="stdout")
        stack.process = stack.spawn(stdout=theirs, stderr=subprocess.PIPE)
        _, errors = stack.process.communicate(timeout=20)
        status, stack.process = stack.process.returncode, None
    line = one_line(errors.decode())
    assert status == 78 and "socket" in line and "request_log" in line and "/var/log/" in line, line


def test_file_that_can_not_be(fresh_stack) -> None:
    """A folder that is not there: one line that names it, and the setting's status."""
    status, errors = refused(fresh_stack(start=False, DS_REQUEST_LOG="/nonexistent/requests.log"))
    assert status in (71, 78) and "/nonexistent" in one_line(errors)


def test_off_is_off(fresh_stack) -> None:
    """Also beside an `access_log` of the `http` block around it."""
    stack = fresh_stack()
    Client(stack).get("none")
    text = "\n".join(path.read_text() for path in (stack.data_dir / "nginx").glob("*.conf"))
    # One in the server, for what the cache did, keeps that of the `http` block out.
    found = re.findall(r"^\s*access_log\s+([^\s;]+)", text, re.MULTILINE)
    assert sorted(found) == sorted(["off", f"{stack.data_dir}/run/cache.tally"]), found
    assert "/v1/stream/none" not in stack.log.read_text()
