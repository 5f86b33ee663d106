"""Nobody gets below /admin but through nginx's protected location, with the password and from an allowed address."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from access import wait_until
from admin import OWN, Admin, basic, check_private, check_refused, expect_json, fastcgi, password
from client import Client, unique
from commands import run
from stack import Stack
from wire import Response

PLACES = ("/admin/", "/admin/api/overview", "/admin/api/projects", "/admin/metrics", "/admin/v1/stream/x", "/admin/vendor/dygraph.min.js")
LIVE = ("/admin/v1/stream/x?live=sse&offset=-1", "/admin/v1/stream/x?live=long-poll&offset=-1", "/admin/v1/stream/x?%6Cive=sse&offset=-1")


@pytest.fixture
def admin(stack: Stack) -> Iterator[Admin]:
    made = Admin(stack)
    yield made
    made.close()


@pytest.fixture
def guarded_admin(jwt_stack: Stack) -> Iterator[Admin]:
    made = Admin(jwt_stack)
    yield made
    made.close()


def check_challenged(answer: Response) -> None:
    check_refused(answer, 401, "PASSWORD_REQUIRED")
    assert answer.all("WWW-Authenticate") == ['Basic realm="Durable Streams admin"'], answer.describe()


@pytest.mark.parametrize("target", PLACES + LIVE)
def test_password_is_asked_for(http: Client, stack: Stack, target: str) -> None:
    right = password(stack)
    wrong = ("", right[:-1], right + "x", right.swapcase(), stack.data_dir.joinpath("admin.key").read_text().strip())
    check_challenged(http.request("GET", target))
    for secret in wrong:
        check_challenged(http.request("GET", target, basic("admin", secret)))
    check_challenged(http.request("GET", target, basic("root", right)))
    check_challenged(http.request("GET", target, {"Authorization": f"Bearer {right}"}))
    for method in ("PUT", "POST", "DELETE", "OPTIONS", "PATCH"):
        check_challenged(http.request(method, target, OWN))


SPELLINGS = (
    "/%61dmin/api/overview", "/admi%6E/api/overview", "/admin%2Fapi/overview", "//admin/api/overview", "/./admin/api/overview",
    "/v1/../admin/api/overview", "/admin/../admin/api/overview", "/admin/./api/overview", "/admin//api/overview", "/admin/api%2foverview",
    "/x/%2e%2e/admin/api/overview", "/ADMIN/api/overview", "/admin\\api/overview", "/admin;x/api/overview", "/admin/%61pi/overview",
    "/.durable-streams-admin-live", "/.durable-streams-admin-refusal", "/.durable-streams-admin-method", "/admin.key", "/admin/../admin.htpasswd",
)  # fmt: skip


@pytest.mark.parametrize("target", SPELLINGS)
def test_no_spelling_leads_past_the_password(http: Client, admin: Admin, target: str) -> None:
    """Nor to the interface with it: what is served is spelled in one way."""
    for headers in ({}, {"X-DS-Admin": "1"}):
        answer = http.request("GET", target, headers)
        assert answer.status in (400, 401, 403, 404), answer.describe()
        assert b"messages_appended" not in answer.body
    answer = http.request("GET", target, admin.login)
    assert answer.status in (400, 404), answer.describe()


FORGED = (
    {"DS-Admin": "KEY"}, {"DS_ADMIN": "KEY"}, {"HTTP_DS_ADMIN": "KEY"}, {"X-DS-Admin": "1"}, {"DS-Admin": "1", "DS_Admin": "KEY"},
    {"X-Accel-Redirect": "@durable_streams_admin_live"}, {"X-Forwarded-For": "127.0.0.1", "X-Original-URI": "/admin/api/overview"},
)  # fmt: skip


@pytest.mark.parametrize("forged", FORGED, ids=str)
def test_headers_make_nobody_administrator(guarded: Client, project, forged: dict[str, str]) -> None:
    """Not even the key, which only nginx sends: to public places it adds nothing, and to /admin no way."""
    key = (guarded.stack.data_dir / "admin.key").read_text().strip()
    headers = {name: key if value == "KEY" else value for name, value in forged.items()}
    path = unique()
    project.create(guarded, path, "text/plain", "secret")
    for query in ("", "offset=-1", "live=sse&offset=-1", "live=long-poll&offset=-1", "%6Cive=sse&offset=-1"):
        assert guarded.request("GET", project.url(path, query), headers).status == 401
        check_challenged(guarded.request("GET", "/admin" + project.url(path, query), headers))
    for method in ("PUT", "POST", "DELETE"):
        assert guarded.request(method, project.url(path), headers, b"x").status == 401


def live(stack: Stack, target: str, headers: dict[str, str]) -> str:
    """The status line of the live process on its own socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(15)
        connection.connect(os.fspath(stack.data_dir / "run/live.sock"))
        lines = [f"GET {target} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return connection.recv(65536).decode().split("\r\n", 1)[0]


def test_sockets_ask_for_the_key(guarded: Client, project) -> None:
    """Requests straight to the pool or the live process know no administrator without it."""
    stack, path = guarded.stack, unique()
    project.create(guarded, path, "text/plain", "secret")
    key = (stack.data_dir / "admin.key").read_text().strip()
    worker, target = stack.data_dir / "run/worker.sock", "/admin" + project.url(path)
    wrong = ("", "1", key[:-1], key + "0", key.upper() if key.upper() != key else "x", "0" * 64)
    for parameters in ({}, *({"DS_ADMIN": value} for value in wrong), {"HTTP_DS_ADMIN": key}, {"HTTP_X_DS_ADMIN": "1"}):
        for place in (target, "/admin/api/overview", "/admin/api/projects", "/admin/metrics"):
            status, _, body = fastcgi(worker, "GET", place, parameters)
            assert status == 404 and b"secret" not in body, (parameters, place, body)
        status, _, body = fastcgi(worker, "POST", "/admin/api/projects", parameters | {"HTTP_X_DS_ADMIN": "1"}, b'{"name":"x"}')
        assert status == 404
        # A public URL asks for a token, whatever else is said.
        assert fastcgi(worker, "GET", project.url(path), parameters)[0] == 401
    for headers in ({}, *({"DS-Admin": value} for value in wrong), {"X-DS-Admin": "1"}):
        for mode in ("sse", "long-poll"):
            assert " 404 " in live(stack, f"{target}?live={mode}&offset=-1", headers) + " "
            assert " 401 " in live(stack, f"{project.url(path)}?live={mode}&offset=-1", headers) + " "
    # With it they serve, which shows that the rest was refused for the lack of it.
    status, _, body = fastcgi(worker, "GET", target, {"DS_ADMIN": key})
    assert status == 200 and body == b"secret"
    assert " 200 " in live(stack, f"{target}?live=sse&offset=-1", {"DS-Admin": key})
    # A public URL is no place of the administrator's, key or not.
    assert " 401 " in live(stack, f"{project.url(path)}?live=sse&offset=-1", {"DS-Admin": key})
    assert fastcgi(worker, "GET", "/healthz", {"DS_ADMIN": key})[0] == 404


def test_addresses_beyond_the_list(fresh_stack) -> None:
    """Even with the password."""
    stack = fresh_stack(DS_ADMIN_ALLOW="10.0.0.0/8 ::1")
    admin = Admin(stack)
    try:
        for target in PLACES + LIVE:
            for login in ({}, admin.login):
                check_refused(admin.http.request("GET", target, login), 403, "FORBIDDEN")
        assert admin.http.get(unique()).status == 404
    finally:
        admin.close()


@pytest.mark.parametrize("settings", [{}, {"DS_AUTH": "project-jwt"}, {"DS_AUTH": "delegate"}], ids=str)
def test_off(fresh_stack, tmp_path: Path, settings: dict[str, str]) -> None:
    """Nothing is there then, and no file holds a key."""
    if settings.get("DS_AUTH") == "delegate":
        # Whatever nobody answers for is refused; what is rendered says enough.
        settings = settings | {"DS_AUTH_DELEGATE_URL": "http://127.0.0.1:9/check"}
        run("nginx-config", "--output", tmp_path / "out", DS_DATA_DIR=tmp_path / "data", DS_ADMIN="false", **settings).expect(0)
        assert not list((tmp_path / "out").glob("*admin*")) and not list((tmp_path / "data").glob("admin*"))
        return
    stack = fresh_stack(**settings)
    key = (stack.data_dir / "admin.key").read_text().strip()
    stack.stop()
    again = fresh_stack(data_dir=stack.data_dir, DS_ADMIN="false", **settings)
    client = Client(again)
    try:
        for target in ("/admin", *PLACES, *LIVE):
            assert client.request("GET", target, basic("admin", password(again))).status == 404
        assert fastcgi(again.data_dir / "run/worker.sock", "GET", "/admin/api/overview", {"DS_ADMIN": key})[0] == 404
        assert " 404 " in live(again, "/admin/v1/stream/x?live=sse&offset=-1", {"DS-Admin": key})
    finally:
        client.close()
    assert not [path for path in (again.data_dir / "nginx").rglob("*.conf") if key in path.read_text()]


def test_files(fresh_stack) -> None:
    """Made once, for those who need them, and never told."""
    stack = fresh_stack()
    data = stack.data_dir
    secret, key = password(stack), (data / "admin.key").read_text()
    assert re.fullmatch(r"[A-Za-z0-9]{24,}", secret) and re.fullmatch(r"[0-9a-f]{64}\n", key)
    for name in ("admin.key", "admin-password"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
    hashed = data / "nginx/admin.htpasswd"
    assert stat.S_IMODE(hashed.stat().st_mode) == 0o640 and hashed.read_text().startswith("admin:{SSHA}")
    assert hashed.stat().st_gid == (data / "run").stat().st_gid
    for path in (data / "nginx").glob("*.conf"):
        assert secret not in path.read_text()
        assert key.strip() not in path.read_text() or stat.S_IMODE(path.stat().st_mode) & 0o137 == 0
    before = hashed.read_bytes()
    # The server may be ready for others before it has said so itself.
    wait_until(lambda: "Ctrl-C stops everything" in stack.log.read_text(), "the server's first lines", 10)
    stack.stop()
    log = stack.log.read_text()
    assert secret not in log and key.strip() not in log and str(data / "admin-password") in log
    again = fresh_stack(data_dir=data)
    assert (password(again), (data / "admin.key").read_text(), hashed.read_bytes()) == (secret, key, before)
    again.stop()
    # Another password takes the place of the first.
    (data / "admin-password").write_text("correct horse battery staple\n")
    third = fresh_stack(data_dir=data)
    client = Client(third)
    try:
        assert client.request("GET", "/admin/api/overview", basic("admin", "correct horse battery staple")).status == 200
        assert client.request("GET", "/admin/api/overview", basic("admin", secret)).status == 401
    finally:
        client.close()


def test_unfit_files_stop_the_start(tmp_path: Path) -> None:
    """A link is not followed, and what others can read is no secret: one line, 78."""
    data = tmp_path / "data"
    elsewhere = tmp_path / "elsewhere"

    def refused(name: str, *, lines: str) -> None:
        outcome = run("nginx-config", "--output", tmp_path / "out", DS_DATA_DIR=data).expect(78)
        assert name in outcome.refusal and re.search(lines, outcome.refusal), outcome.refusal
        (data / name).unlink()

    run("nginx-config", "--output", tmp_path / "out", DS_DATA_DIR=data).expect(0)
    for name in ("admin.key", "admin-password"):
        (data / name).unlink()
        (data / name).symlink_to(elsewhere)
        refused(name, lines="no regular file")
        assert not elsewhere.exists()
        (data / name).write_text("0" * 64 + "\n")
        (data / name).chmod(0o644)
        refused(name, lines="chmod 600")
        (data / name).touch(0o600)
        refused(name, lines="does not hold")
        os.mkfifo(data / name, 0o600)
        refused(name, lines="no regular file")
        run("nginx-config", "--output", tmp_path / "out", DS_DATA_DIR=data).expect(0)
    (data / "nginx/admin.htpasswd").unlink()
    (data / "nginx/admin.htpasswd").symlink_to(elsewhere)
    run("nginx-config", "--output", tmp_path / "out", DS_DATA_DIR=data).expect(0)
    assert not elsewhere.exists() and not (data / "nginx/admin.htpasswd").is_symlink()


CROSS = (
    {}, {"X-DS-Admin": ""}, {"X-DS-Admin": "0"}, {"X-DS-Admin": "1, 1"}, {"X-DS-Admin": "1", "Origin": "https://evil.example"},
    {"X-DS-Admin": "1", "Origin": "null"}, {"X-DS-Admin": "1", "Origin": "https://127.0.0.1:PORT"}, {"X-DS-Admin": "1", "Origin": "http://127.0.0.1"},
    {"X-DS-Admin": "1", "Origin": "http://127.0.0.1:PORT.evil.example"}, {"X-DS-Admin": "1", "Sec-Fetch-Site": "cross-site"},
    {"X-DS-Admin": "1", "Sec-Fetch-Site": "same-site"}, {"X-DS-Admin": "1", "Origin": "http://127.0.0.1:PORT", "Sec-Fetch-Site": "cross-site"},
)  # fmt: skip
CHANGES = (
    ("POST", "/api/projects", {"name": "crossed"}), ("PUT", "/api/projects/p/cors", {"origins": ["*"]}), ("PUT", "/api/projects/p/quota", {}),
    ("POST", "/api/projects/p/secrets", {}), ("DELETE", "/api/projects/p/secrets/1", None),
    ("POST", "/api/projects/p/tokens", {"scope": "manage", "expires_in_seconds": 9}), ("POST", "/api/projects/p/reader-keys/rotate", {}),
    ("PUT", "/v1/stream/crossed", "x"), ("POST", "/v1/stream/crossed", "x"), ("DELETE", "/v1/stream/crossed", None),
    ("OPTIONS", "/v1/stream/crossed", None), ("OPTIONS", "/api/projects", None),
)  # fmt: skip


@pytest.mark.parametrize(("method", "target", "document"), CHANGES, ids=[f"{method} {target}" for method, target, _ in CHANGES])
def test_other_sites_change_nothing(admin: Admin, method: str, target: str, document: object) -> None:
    for headers in CROSS:
        said = {name: value.replace("PORT", str(admin.stack.port)) for name, value in headers.items()}
        body = document if document is None or isinstance(document, str) else json.dumps(document)
        answer = admin.send(method, target, said | {"Content-Type": "application/json"}, body)
        check_refused(answer, 403, "CROSS_SITE")
    assert admin.http.get("crossed").status == 404
    assert "crossed" not in [project["name"] for project in admin.get("projects")["projects"]]


def test_own_page_changes_things(admin: Admin, path: str) -> None:
    origin = {"Origin": f"http://127.0.0.1:{admin.stack.port}"}
    for headers in ({}, origin, origin | {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        answer = admin.send("PUT", f"/v1/stream/{path}", OWN | headers | {"Content-Type": "text/plain"}, "x")
        assert check_private(answer).status in (200, 201), answer.describe()


def test_reads_need_no_header(admin: Admin) -> None:
    for method in ("GET", "HEAD"):
        for target in ("/api/overview", "/api/processes", "/api/projects", "/api/history?range=hour"):
            answer = check_private(admin.send(method, target, {"Origin": "https://evil.example"}))
            assert answer.status == 200 and bool(answer.body) == (method == "GET"), answer.describe()


WRONG = (
    ("POST", "overview", "GET, HEAD"), ("DELETE", "history?range=hour", "GET, HEAD"), ("PUT", "processes", "GET, HEAD"),
    ("DELETE", "projects", "GET, HEAD, POST"), ("PUT", "projects/p", "GET, HEAD"), ("GET", "projects/p/cors", "PUT"),
    ("POST", "projects/p/quota", "PUT"), ("GET", "projects/p/secrets", "POST"), ("HEAD", "projects/p/secrets/1", "DELETE"),
    ("GET", "projects/p/tokens", "POST"), ("GET", "projects/p/reader-keys/rotate", "POST"), ("POST", "projects/p/streams", "GET, HEAD"),
    ("DELETE", "projects/p/streams/x", "GET, HEAD"), ("OPTIONS", "overview", "GET, HEAD"), ("PATCH", "overview", "GET, HEAD"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path", "allow"), WRONG)
def test_wrong_methods(admin: Admin, method: str, path: str, allow: str) -> None:
    answer = check_private(admin.send(method, f"/api/{path}", OWN))
    assert answer.status == 405 and answer.all("Allow") == [allow], answer.describe()
    if method != "HEAD":
        check_refused(answer, 405, "METHOD_NOT_ALLOWED")


def test_nothing_here(admin: Admin) -> None:
    for target in ("/api/", "/api/nothing", "/api/overview/", "/api/projects/", "/api/projects/a%2Fb", "/api/projects/../overview2", "/api/projects/p/x"):
        assert check_private(admin.send("GET", target)).status == 404


def test_page_is_files_alone(admin: Admin) -> None:
    """Sent by nginx with a policy that lets nothing else in; the redirect leads there."""
    answer = admin.http.request("GET", "/admin", {})
    assert answer.status == 301 and answer.get("Location") == "/admin/" and "Access-Control-Allow-Origin" not in answer
    for target, kind in (("/", "text/html"), ("/vendor/dygraph.min.js", "text/javascript"), ("/vendor/dygraph.min.css", "text/css")):
        answer = admin.send("GET", target)
        assert answer.status == 200 and answer.get("Content-Type").split(";")[0] == kind, answer.describe()
        policy = answer.get("Content-Security-Policy")
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]
        assert answer.get("Cache-Control") == "no-cache" and answer.get("X-Frame-Options") == "DENY"
        for method in ("PUT", "POST", "DELETE", "OPTIONS"):
            refused = admin.send(method, target, OWN)
            assert refused.status == 405 and refused.get("Allow") == "GET, HEAD", refused.describe()
    check_refused(admin.send("GET", "/nothing.js"), 404, "NOT_FOUND")


@pytest.mark.parametrize("type", ["text/html", "image/svg+xml", "application/xhtml+xml; charset=utf-8", "text/xml"])
def test_content_of_streams_acts_in_nobodys_name(admin: Admin, http: Client, path: str, type: str) -> None:
    """A page that somebody wrote into a stream is of no origin, or it could use the browser's password for /admin."""
    http.create(path, type, "<script>1</script>")
    for query in ("", "offset=-1"):
        answer = http.get(path, query)
        assert answer.status == 200 and answer.get("Content-Security-Policy").startswith("sandbox"), answer.describe()
        assert "allow-same-origin" not in answer.get("Content-Security-Policy")
    inside = admin.stream("GET", f"stream/{path}")
    assert inside.status == 200 and "sandbox" in inside.get("Content-Security-Policy")


def test_guarded_streams_with_every_right(guarded_admin: Admin, guarded: Client, project) -> None:
    """The protocol itself, without a token; what it says of places is for the public."""
    admin, path = guarded_admin, unique()
    root = f"{project.name}/stream/{path}"
    made = admin.stream("PUT", root, "one", Content_Type="text/plain")
    assert made.status == 201 and made.get("Location") == f"http://127.0.0.1:{admin.stack.port}/v1/{root}", made.describe()
    assert admin.stream("POST", root, " two", Content_Type="text/plain").status == 204
    read = admin.stream("GET", root)
    assert (read.status, read.body) == (200, b"one two")
    head = admin.stream("HEAD", root)
    assert head.status == 200 and head.get("Stream-Next-Offset") == read.get("Stream-Next-Offset") and not head.body
    assert guarded.request("GET", project.url(path)).status == 401
    live = admin.stream("GET", f"{root}?live=long-poll&offset=-1")
    assert (live.status, live.body) == (200, b"one two")
    # nginx can't read this `live`; the pool sends it to the live process.
    assert admin.stream("GET", f"{root}?%6Cive=long-poll&offset=-1").body == b"one two"
    assert admin.stream("OPTIONS", root).status == 405
    assert admin.stream("POST", root, Stream_Closed="true").status == 204
    assert admin.stream("POST", root, "x", Content_Type="text/plain").status == 409
    assert admin.stream("DELETE", root).status == 204 and admin.stream("GET", root).status == 404
    listed = expect_json(admin.stream("GET", f"{project.name}/streams"), 200)
    assert listed["streams"] == []
