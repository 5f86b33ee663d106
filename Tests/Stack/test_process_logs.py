"""What supervisor, workers, live process and nginx log: as JSON, with the ids of requests, and what took the time of slow ones."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from access import GUARDED, Project, wait_known, wait_until
from client import Client, expect
from commands import run
from stack import Stack, wait_gone
from wire import build_request

LEVELS = {"trace", "debug", "info", "notice", "warning", "error", "critical"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def entries(stack: Stack) -> list[dict[str, object]]:
    """Every line of the log, which is one JSON object each."""
    found = [json.loads(line) for line in stack.log.read_bytes().split(b"\n")[:-1]]
    for entry in found:
        assert TIME.fullmatch(entry["time"]) and entry["level"] in LEVELS and isinstance(entry["pid"], int) and entry["message"], entry
        assert entry["process"] in {"supervisor", "worker", "live", "nginx"}, entry
    return found


def wait_for(stack: Stack, message: str, **wanted: object) -> dict[str, object]:
    """The first line with such a message and such members."""
    hits: list[dict[str, object]] = []

    def there() -> bool:
        hits[:] = [
            entry
            for entry in entries(stack)
            if re.search(message, entry["message"]) and all(entry.get(name) == value for name, value in wanted.items())
        ]
        return bool(hits)

    wait_until(there, f"a line with {message!r} and {wanted}", 5)
    return hits[0]


@contextmanager
def stalled(stack: Stack) -> Iterator[None]:
    """No write gets on meanwhile, as on a disk that hangs."""
    with (stack.data_dir / "write.lock").open("r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        yield


def test_all_lines_are_json(fresh_stack) -> None:
    """From the start to the end, of all processes; a line about a request names it, whichever process writes it."""
    stack = fresh_stack(**GUARDED, DS_LOG_FORMAT="json")
    project = Project(stack, "p")
    wait_known(stack, project)
    http = Client(stack)
    for way, query in (("pool", ""), ("live", "live=sse&offset=-1")):
        expect(http.request("GET", project.url("a", query), {"X-Request-Id": f"refused-{way}", "Authorization": "Bearer x"}), 401)
    for way, process in (("pool", "worker"), ("live", "live")):
        line = wait_for(stack, "^refused ", process=process, request_id=f"refused-{way}")
        assert line["level"] == "notice" and line["message"].startswith("refused get /v1/p/stream/a: "), line
    # A socket that is not there: nginx says so, and for which request. It keeps connections, so their other end goes too;
    # one may be tried before nginx has noticed, to read (recv), or to write (writev).
    socket = stack.data_dir / "run/live.sock"
    live = stack.processes("durable-streams-live")[0]
    socket.rename(socket.with_suffix(".away"))
    os.kill(live, signal.SIGKILL)
    assert not wait_gone([who for who in stack.seen if who[0] == live], 5)
    answer = http.request("GET", project.url("a", "live=sse&offset=-1&rk=QUERYSECRET"), {"Referer": "http://h/?rk=QUERYSECRET"})
    assert answer.status in (502, 503), answer.describe()
    socket.with_suffix(".away").rename(socket)
    line = wait_for(stack, "upstream", process="nginx")
    assert line["level"] in ("error", "critical") and 'request: "GET /v1/p/stream/a"' in line["message"] and line["pid"] > 1, line
    http.close()
    stack.stop()
    assert b"QUERYSECRET" not in stack.log.read_bytes()
    found = entries(stack)
    assert {entry["process"] for entry in found} == {"supervisor", "worker", "live", "nginx"}
    assert "is ready at" in found[0]["message"] or any("is ready at" in entry["message"] for entry in found)
    assert found[-1]["process"] == "supervisor" and "stopping" in found[-1]["message"]


def test_level(fresh_stack) -> None:
    """LOG_LEVEL counts, in any case; what is less severe is not there."""
    stack = fresh_stack(**GUARDED, LOG_LEVEL="ERROR")
    http = Client(stack)
    expect(http.get("a"), 401)
    http.close()
    stack.stop()
    assert "refused" not in stack.log.read_text()


def test_slow_write(fresh_stack) -> None:
    """One line that says what took the time, and nothing of query and content. A live reader that waits is not slow."""
    stack = fresh_stack(DS_LOG_FORMAT="json", DS_SLOW_REQUEST_MILLISECONDS=100, DS_LONG_POLL_TIMEOUT=0.3)
    http = Client(stack)
    http.create("a", "text/plain", "x")
    poll = http.request("GET", "/v1/stream/a?live=long-poll&offset=now", {"X-Request-Id": "patient"})
    assert poll.status == 204
    with stalled(stack):
        http.connection.send(build_request(
            "POST", "/v1/stream/a?rk=QUERYSECRET", [("Content-Type", "text/plain"), ("X-Request-Id", "slow-1")], b"CONTENTSECRET"))  # fmt: skip
        # Of which a busy machine may take a part before the worker has it.
        time.sleep(1)
    assert http.connection.read_response("POST").status == 204
    line = wait_for(stack, "^slow request$")
    assert (line["request_id"], line["operation"], line["status"], line["path"]) == ("slow-1", "append", 204, "/v1/stream/a"), line
    assert line["process"] == "worker" and line["level"] == "notice" and (line["bytes_in"], line["bytes_out"]) == (13, 0)
    assert line["commit_ms"] > 100 and line["total_ms"] >= line["commit_ms"], line
    assert {"auth_ms", "queue_ms", "commit_ms", "send_ms"} <= set(line) and "read_ms" not in line, line
    text = stack.log.read_text()
    assert "SECRET" not in text and "patient" not in text and text.count("slow request") == 1
    http.close()


def test_stalled_disk_does_not_fill_the_log(fresh_stack) -> None:
    """Ten lines a second; a later one says how many were left out."""
    stack = fresh_stack(DS_LOG_FORMAT="json", DS_SLOW_REQUEST_MILLISECONDS=50)
    Client(stack).create("a", "text/plain")
    clients = [Client(stack) for _ in range(60)]
    with stalled(stack):
        for client in clients:
            client.connection.send(build_request("POST", "/v1/stream/a", [("Content-Type", "text/plain")], b"x"))
        # Of which a busy machine may take a part before the worker has them.
        time.sleep(1)
    for client in clients:
        assert client.connection.read_response("POST").status == 204
    wait_for(stack, "^slow request$")

    def told() -> bool:
        with stalled(stack):
            clients[0].connection.send(build_request("POST", "/v1/stream/a", [("Content-Type", "text/plain")], b"x"))
            time.sleep(0.1)
        assert clients[0].connection.read_response("POST").status == 204
        return any("more requests were slow" in entry["message"] for entry in entries(stack))

    wait_until(told, "how many were left out", 5)
    left_out = sum(int(entry["message"].split()[0]) for entry in entries(stack) if "more requests" in entry["message"])
    # Answers may fall into two seconds.
    assert 40 <= left_out <= 60, left_out
    for client in clients:
        client.close()


def test_slow_log_is_off(fresh_stack) -> None:
    stack = fresh_stack(DS_SLOW_REQUEST_MILLISECONDS=0)
    http = Client(stack)
    http.create("a", "text/plain")
    with stalled(stack):
        http.connection.send(build_request("POST", "/v1/stream/a", [("Content-Type", "text/plain")], b"x"))
        time.sleep(1.1)
    assert http.connection.read_response("POST").status == 204
    http.close()
    stack.stop()
    assert "slow request" not in stack.log.read_text()


def test_nginx_is_heard_behind_a_reload(fresh_stack) -> None:
    """The supervisor becomes another program in the same process; nginx stays, and what it writes still loses its queries."""
    stack = fresh_stack(DS_LOG_FORMAT="json")
    run("reload", DS_DATA_DIR=stack.data_dir).expect(0)
    socket = stack.data_dir / "run/live.sock"
    socket.rename(socket.with_suffix(".away"))
    http = Client(stack)
    # No reader has been there, so nginx has no connection to it.
    expect(http.get("a", "live=sse&offset=-1&rk=QUERYSECRET"), 503)
    socket.with_suffix(".away").rename(socket)
    http.close()
    wait_for(stack, r"connect\(\)", process="nginx")
    stack.stop()
    assert b"QUERYSECRET" not in stack.log.read_bytes()
