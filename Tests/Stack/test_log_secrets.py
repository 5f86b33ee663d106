"""No token, secret, reader key or payload is in any log, whatever is asked, refused, slow or failing, and at the most talkative level."""

from __future__ import annotations

import base64
import fcntl
import os
import signal
import time
from pathlib import Path

import pytest

from access import GUARDED, Project, ask, bearer, wait_known
from bad_tokens import BAD
from client import Client, expect
from refusals import WAYS
from stack import Stack, wait_gone
from wire import Connection, build_request

MARK = "Payload5ecret"
TALKATIVE = {"DS_LOG_LEVEL": "trace", "DS_SLOW_REQUEST_MILLISECONDS": 1, "DS_DEBUG_TIMING": "true", "DS_MAX_BODY_BYTES": 100_000}


def exchange(stack: Stack, data: bytes) -> None:
    """Sends bytes that may be no request, and reads until the server closes or answers."""
    with Connection(stack.port, timeout=2) as connection:
        connection.send(data)
        try:
            connection.fill()
        except Exception:  # noqa: BLE001 - whatever it does with it
            pass


def ask_everything(http: Client, url, tokens: list[str | None], keys: list[str], mark: str) -> None:
    """Every way to a stream, with every token, and reader keys where queries may have them."""
    for number, token in enumerate(tokens):
        headers = bearer(token) if token is not None else {}
        for way, (method, query, body) in WAYS.items():
            for key in keys[: 2 if number else None]:
                if "sse" in way:
                    with http.stack.connect() as connection:
                        connection.send(build_request(method, url("s", f"{query}&rk={key}"), list(headers.items())))
                        connection.read_head()
                    continue
                pairs = headers | ({"Content-Type": "text/plain", "Stream-Seq": f"{mark}-{number}"} if body else {})
                http.request(method, url("s", f"{query}&rk={key}"), pairs, mark if body else None)
    token = tokens[0]
    headers = bearer(token) if token is not None else {}
    key = keys[0]
    for type, body in (("application/json", f'["{mark}"'), ("application/json", f'["{mark}"]'), ("text/plain", mark * 10_000)):
        http.request("PUT", url("j", f"rk={key}"), headers | {"Content-Type": type}, body)
        http.request("POST", url("j", f"rk={key}"), headers | {"Content-Type": type, "Producer-Id": mark, "Producer-Epoch": "x"}, body)
    # In places where they do not belong.
    for name in ("Cookie", "Referer", "User-Agent", "X-Forwarded-For", "Stream-Forked-From", "If-None-Match", "Origin", "X-Request-Id"):
        http.request("GET", url("s", f"token={token}&access_token={token}&rk={key}"), headers | {name: f"{token} {key} {mark}"})
    http.request("GET", url("s"), {"Authorization": f"Basic {token}"})
    http.request("GET", url("s") + f"#rk={key}", headers)
    http.request("GET", url("s", f"offset={key}&live={key}"), headers)
    for line in (
        f"GET /v1/s?rk={key} {token} HTTP/1.1", f"GET /v1/\x01?rk={key} HTTP/1.1", f"{token} / HTTP/1.1", f"GET http://{key}:{token}@h/ HTTP/1.1",
        f"GET /?rk={key}", f"PUT /v1/s?rk={key} HTTP/1.1\r\nContent-Length: 1e9", f"GET /%00?rk={key} HTTP/1.1", f"GET /v1/s?rk={key} HTTP/7.0",
        f"GET /?rk={key} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nBad Header {mark}: {mark}",
    ):  # fmt: skip
        exchange(http.stack, line.encode() + f"\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n{mark}".encode())


def ask_administration(http: Client, key: str) -> set[str]:
    """With the right password, a wrong one, and what is no user; returns what must not be in a log of it."""
    password = (http.stack.data_dir / "admin-password").read_text().strip()
    secrets = {password, (http.stack.data_dir / "admin.key").read_text().strip()}
    for user, given in (("admin", password), ("admin", "Wrong5ecretPassword"), ("Name5ecretUser", password)):
        basic = base64.b64encode(f"{user}:{given}".encode()).decode()
        for target in ("/admin/api/overview", "/admin/metrics", "/admin/v1/stream/s", "/admin/v1/stream/s?live=sse&offset=-1"):
            with http.stack.connect() as connection:
                mark = "&" if "?" in target else "?"
                connection.send(build_request("GET", f"{target}{mark}rk={key}", [("Authorization", f"Basic {basic}")]))
                assert (connection.read_head().status < 400) == (given == password and user == "admin") or "/s" in target
        secrets |= {given, basic} | ({user} if user != "admin" else set())
    return secrets


def fail_everything(http: Client, url, token: str | None, key: str, mark: str) -> None:
    """Writes on a disk that hangs, a pool that dies with requests in hand, a live process that can't be reached."""
    stack = http.stack
    headers = bearer(token) if token is not None else {}
    pairs = list((headers | {"Content-Type": "text/plain"}).items())
    with (stack.data_dir / "write.lock").open("r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        http.connection.send(build_request("POST", url("s", f"rk={key}"), pairs, mark.encode()))
        time.sleep(0.1)
    http.connection.read_response("POST")
    live = stack.processes("durable-streams-live")[0]
    # On a busy machine the worker may not have the request when it ends, and the next one takes it.
    for pause in (0.1, 0.5, 2.5):
        worker = stack.processes("durable-streams-worker")[0]
        with (stack.data_dir / "write.lock").open("r+b") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            http.connection.send(build_request("POST", url("s", f"rk={key}"), pairs, mark.encode()))
            time.sleep(pause)
            os.kill(worker, signal.SIGKILL)
            assert not wait_gone([who for who in stack.seen if who[0] == worker], 5)
        status = http.connection.read_response("POST").status
        stack.wait_ready()
        if status == 502:
            break
    assert status == 502
    http.close()
    socket = stack.data_dir / "run/live.sock"
    socket.rename(socket.with_suffix(".away"))
    # nginx keeps connections to it.
    os.kill(live, signal.SIGKILL)
    assert not wait_gone([who for who in stack.seen if who[0] == live], 5)
    for query in ("live=long-poll&offset=-1", "live=sse&offset=-1"):
        assert http.request("GET", url("s", f"{query}&rk={key}"), headers | {"Referer": f"http://h/?rk={key}"}).status in (502, 503)
    socket.with_suffix(".away").rename(socket)


def logs(root: Path) -> dict[str, str]:
    """Everything that is a log, and what nginx has for itself."""
    return {str(path): path.read_bytes().decode("latin-1") for path in root.rglob("*.log*") if path.is_file()}


@pytest.mark.parametrize("format", ["json", "text"])
@pytest.mark.parametrize("auth", ["none", "project-jwt"])
def test_no_secret_in_any_log(fresh_stack, tmp_path: Path, auth: str, format: str) -> None:
    stack = fresh_stack(start=False, **(TALKATIVE | {"DS_LOG_FORMAT": format, "DS_REQUEST_LOG_FORMAT": format}))
    requests = stack.data_dir.with_name("requests.log")
    stack.settings |= {"DS_REQUEST_LOG": str(requests)} | ({k: str(v) for k, v in GUARDED.items()} if auth == "project-jwt" else {})
    stack.start()
    http = Client(stack)
    secrets: set[str] = {MARK}
    tokens: list[str | None]
    if auth == "project-jwt":
        project = Project(stack, "p")
        wait_known(stack, project)
        project.create(http, "s", "text/plain", MARK)
        key = ask(http, "HEAD", project.url("s"), project.token("read")).get("Stream-Reader-Key")
        assert key
        tokens = [project.token("manage"), None, *(bad.make(project) for bad in BAD.values() if "\n" not in bad.make(project))]
        secrets |= {project.secret, (stack.data_dir / "secrets.key").read_text().strip()}
        url = project.url
    else:
        key, tokens = "Reader5ecretKey", ["Token5ecret.Token5ecret.Token5ecret", None]
        http.create("s", "text/plain", MARK)

        def url(path: str, query: str = "") -> str:
            return f"/v1/stream/{path}" + (f"?{query}" if query else "")

    keys = [key, key[::-1] + "x"]
    secrets |= ask_administration(http, key)
    ask_everything(http, url, [token for token in tokens if token is None or token.isascii() and token.isprintable()], keys, MARK)
    http.close()
    if auth == "project-jwt":
        project.create(http, "s", "text/plain", MARK) if ask(http, "HEAD", url("s"), tokens[0]).status == 404 else None
    else:
        http.request("PUT", url("s"), {"Content-Type": "text/plain"}, MARK)
    fail_everything(http, url, tokens[0], key, MARK)
    http.close()
    stack.stop()
    found = logs(stack.data_dir.parent)
    assert {str(stack.log), str(requests)} <= set(found), found.keys()
    # They do hold what was asked.
    assert len(found[str(requests)].splitlines()) > 40 and "slow request" in found[str(stack.log)]
    assert "connect() " in found[str(stack.log)] or "recv() failed" in found[str(stack.log)] or "prematurely closed" in found[str(stack.log)]
    for token in tokens:
        secrets |= {part for part in (token or "").split(".") if len(part) > 15} | ({token} if token and len(token) > 15 else set())
    secrets |= set(keys)
    for path, text in found.items():
        for secret in secrets:
            at = text.find(secret)
            assert at < 0, f"{path}: {text[max(0, at - 300) : at + 100]!r}"


def test_it_would_be_found(fresh_stack) -> None:
    """The proof can fail: what is a path is in the request log, and what is written there is seen by it."""
    stack = fresh_stack(start=False)
    requests = stack.data_dir.with_name("requests.log")
    stack.settings["DS_REQUEST_LOG"] = str(requests)
    stack.start()
    http = Client(stack)
    expect(http.get(MARK), 404)
    http.close()
    stack.stop()
    assert any(MARK in text for text in logs(stack.data_dir.parent).values())
