"""The administrator's interface: projects, streams and figures as JSON, read and written strictly."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator

import jwt
import pytest

from access import Project, ask, project_name, wait_until
from admin import OWN, Admin, check_private, check_refused, expect_json
from client import Client, unique
from stack import Stack


@pytest.fixture
def admin(jwt_stack: Stack) -> Iterator[Admin]:
    """The interface of a server that asks for tokens, so that some are worth something."""
    made = Admin(jwt_stack)
    yield made
    made.close()


def create(admin: Admin, **more: object) -> tuple[str, dict[str, object]]:
    """A new project by its name, and its secret."""
    name = project_name()
    made = expect_json(admin.api("POST", "projects", {"name": name, **more}), 201)
    assert set(made) == {"name", "secret"} and made["name"] == name and set(made["secret"]) == {"id", "secret"}, made
    return name, made["secret"]


def test_life_of_a_project(admin: Admin, guarded: Client) -> None:
    """Made, limited, given and robbed of secrets; what is minted opens the public route."""
    name, first = create(admin, cors=["https://app.example.org"])
    assert first["secret"].startswith("dss_") and isinstance(first["id"], int)
    seen = admin.get(f"projects/{name}")
    assert seen["registered"] is True and seen["cors"] == ["https://app.example.org"]
    assert seen["quota"] == {"streams": None, "bytes": None, "body": None} and seen["usage"] == {"streams": 0, "bytes": 0}
    assert [secret["id"] for secret in seen["secrets"]] == [first["id"]]
    assert abs(seen["created_at"] - time.time() * 1000) < 60_000
    assert seen in admin.get("projects")["projects"]

    assert expect_json(admin.api("PUT", f"projects/{name}/cors", {"origins": ["*"]}), 200) == {"origins": ["*"]}
    assert expect_json(admin.api("PUT", f"projects/{name}/quota", {"streams": 5, "bytes": 1000}), 200)["bytes"] == 1000
    assert expect_json(admin.api("PUT", f"projects/{name}/quota", {"streams": None, "body": 10}), 200) == {
        "streams": None, "bytes": 1000, "body": 10,
    }  # fmt: skip
    assert admin.get(f"projects/{name}")["cors"] == ["*"]

    second = expect_json(admin.api("POST", f"projects/{name}/secrets", {}), 201)
    assert set(second) == {"id", "secret"} and second["secret"] != first["secret"] and second["id"] > first["id"]
    minted = expect_json(admin.api("POST", f"projects/{name}/tokens", {"scope": "write", "stream_id": "a/*", "expires_in_seconds": 60}), 200)
    claims = jwt.decode(minted["token"], second["secret"], algorithms=["HS256"])
    assert claims["sub"] == name and claims["stream_id"] == "a/*" and claims["exp"] * 1000 == minted["expires_at"]
    target = f"/v1/{name}/stream/a/b"
    wait_until(lambda: ask(guarded, "PUT", target, minted["token"], type="text/plain").status in (200, 201), "the project is known")
    assert ask(guarded, "GET", target, minted["token"]).status == 200
    assert ask(guarded, "GET", f"/v1/{name}/stream/c", minted["token"]).status == 403

    assert admin.api("DELETE", f"projects/{name}/secrets/{second['id']}").status == 204
    wait_until(lambda: ask(guarded, "GET", target, minted["token"]).status == 401, "the secret is gone")
    message = check_refused(admin.api("DELETE", f"projects/{name}/secrets/{first['id']}"), 409, "CONFLICT")
    assert "last one" in message
    check_refused(admin.api("DELETE", f"projects/{name}/secrets/{second['id']}"), 404, "NOT_FOUND")
    # Nothing shows a secret again.
    for path in ("projects", f"projects/{name}", f"projects/{name}/streams", f"projects/{name}/streams/a/b", "overview"):
        answer = admin.api("GET", path)
        assert b"dss_" not in answer.body and first["secret"].encode() not in answer.body


def test_reader_keys(admin: Admin) -> None:
    name, _ = create(admin)
    first = admin.stream("PUT", f"{name}/stream/one", Content_Type="text/plain").get("Stream-Reader-Key")
    assert expect_json(admin.api("POST", f"projects/{name}/reader-keys/rotate", {"path": "one"}), 200) == {"project": name, "stream": "one"}

    def key() -> str | None:
        return admin.stream("HEAD", f"{name}/stream/one").get("Stream-Reader-Key")

    wait_until(lambda: key() not in (None, first), "another key")
    second = key()
    assert expect_json(admin.api("POST", f"projects/{name}/reader-keys/rotate", {}), 200)["stream"] is None
    wait_until(lambda: key() not in (None, first, second), "another key")
    check_refused(admin.api("POST", f"projects/{name}/reader-keys/rotate", {"path": "none"}), 404, "NOT_FOUND")


BODIES = (
    ("POST", "projects", '{"name":"x","nmae":"x"}', "nmae"), ("POST", "projects", '{"name":"x","name":"y"}', "twice"),
    ("POST", "projects", "{}", "name"), ("POST", "projects", '{"name":7}', "name"), ("POST", "projects", '{"name":null}', "name"),
    ("POST", "projects", "[]", "object"), ("POST", "projects", '{"name":"x"', "object"), ("POST", "projects", '{"name":"x"} x', "object"),
    ("POST", "projects", '{"name":"x","cors":"*"}', "cors"), ("POST", "projects", '{"name":"x","cors":[1]}', "cors"),
    ("POST", "projects", '{"name":"x","cors":["https://a/"]}', "cors"), ("POST", "projects", '{"name":"x","cors":null}', "cors"),
    ("PUT", "projects/P/cors", '{"origins":["*","https://a"]}', "origins"), ("PUT", "projects/P/cors", "{}", "origins"),
    ("PUT", "projects/P/quota", '{"streams":-1}', "streams"), ("PUT", "projects/P/quota", '{"bytes":1.5}', "bytes"),
    ("PUT", "projects/P/quota", '{"body":"1"}', "body"), ("PUT", "projects/P/quota", '{"streams":9007199254740992}', "streams"),
    ("PUT", "projects/P/quota", '{"stream":1}', "stream"), ("POST", "projects/P/secrets", '{"x":1}', "x"),
    ("POST", "projects/P/tokens", '{"scope":"read"}', "expires_in_seconds"), ("POST", "projects/P/tokens", '{"expires_in_seconds":1}', "scope"),
    ("POST", "projects/P/tokens", '{"scope":"admin","expires_in_seconds":1}', "scope"),
    ("POST", "projects/P/tokens", '{"scope":"read write","expires_in_seconds":1}', "scope"),
    ("POST", "projects/P/tokens", '{"scope":"read","expires_in_seconds":0}', "expires_in_seconds"),
    ("POST", "projects/P/tokens", '{"scope":"read","expires_in_seconds":1,"stream_id":1}', "stream_id"),
    ("POST", "projects/P/reader-keys/rotate", '{"path":["x"]}', "path"), ("POST", "projects/P/reader-keys/rotate", '{"path":""}', "path"),
)  # fmt: skip


def test_bodies_are_read_strictly(admin: Admin) -> None:
    """The message names what is wrong, and nothing has changed."""
    name, _ = create(admin)
    before = admin.get("projects")
    for method, path, body, named in BODIES:
        headers = OWN | {"Content-Type": "application/json"}
        answer = admin.send(method, f"/api/{path.replace('P', name)}", headers, body)
        assert named in check_refused(answer, 400, "BODY_INVALID"), (path, body, answer.describe())
    assert admin.get("projects") == before
    check_refused(admin.send("POST", "/api/projects", OWN | {"Content-Type": "text/plain"}, '{"name":"x"}'), 415, "CONTENT_TYPE_UNSUPPORTED")
    check_refused(admin.send("POST", "/api/projects", OWN | {"Content-Type": "application/json"}, b" " * 70_000), 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("name", ["", ".", "..", "stream", "streams", "a/b", "a b", "<script>", '"', "x" * 65, "é"])
def test_names_of_projects(admin: Admin, name: str) -> None:
    check_refused(admin.api("POST", "projects", {"name": name}), 400, "REFUSED")


def test_what_is_not_there(admin: Admin) -> None:
    missing = project_name()
    check_refused(admin.api("GET", f"projects/{missing}"), 404, "PROJECT_NOT_FOUND")
    for method, path, body in (
        ("PUT", "cors", {"origins": []}), ("PUT", "quota", {}), ("POST", "secrets", None), ("DELETE", "secrets/1", None),
        ("POST", "tokens", {"scope": "read", "expires_in_seconds": 9}), ("POST", "reader-keys/rotate", {}),
    ):  # fmt: skip
        check_refused(admin.api(method, f"projects/{missing}/{path}", body), 404, "NOT_FOUND")
    check_refused(admin.api("GET", f"projects/{missing}/streams/x"), 404, "STREAM_NOT_FOUND")
    check_refused(admin.api("GET", f"projects/{missing}/streams/a/../b"), 400, "PATH_INVALID")
    check_refused(admin.api("GET", f"projects/{missing}/streams/a//b"), 400, "PATH_INVALID")
    name, _ = create(admin)
    check_refused(admin.api("POST", "projects", {"name": name}), 409, "PROJECT_EXISTS")


def test_projects_that_merely_have_streams(admin: Admin) -> None:
    names = [project_name() for _ in range(3)]
    # Names that lie between another's and its slash, and one behind it; none that another test may get.
    names += [names[0] + "-x", names[0] + ".x", names[0] + "0-x"]
    for name in names:
        for path in ("a", "b"):
            assert admin.stream("PUT", f"{name}/stream/{path}", Content_Type="text/plain").status == 201
    listed = {project["name"]: project for project in admin.get("projects")["projects"]}
    for name in names:
        assert listed[name]["registered"] is False and listed[name]["usage"] is None and listed[name]["secrets"] == []
        assert admin.get(f"projects/{name}") == listed[name]
    assert list(listed) == sorted(listed)


def test_one_stream(admin: Admin) -> None:
    """What is told of it, beside what the protocol says of the same stream."""
    name = project_name()
    root = f"{name}/stream/rooms/1"
    admin.stream("PUT", root, '[{"a":1},{"b":2}]', Content_Type="application/json", Stream_TTL="3600", Stream_Retention_Messages="50")
    for number in range(3):
        admin.stream(
            "POST", root, '{"c":3}', Content_Type="application/json", Producer_Id='<b>"p"</b>', Producer_Epoch="4", Producer_Seq=str(number)
        )
    fork = admin.stream("PUT", f"{name}/stream/fork", Stream_Forked_From=f"/v1/{root}")
    assert fork.status == 201, fork.describe()
    seen = admin.get(f"projects/{name}/streams/rooms/1")
    head = admin.stream("HEAD", root)
    assert seen["project"] == name and seen["path"] == "rooms/1" and seen["content_type"] == "application/json"
    assert seen["tail"] == head.get("Stream-Next-Offset") and seen["state"] == "open" and seen["public"] is False
    assert seen["messages"] == 5 and seen["hot"]["messages"] == 5 and seen["bytes"] == seen["hot"]["bytes"] > 0
    assert seen["cold"] == {"bytes": 0, "segments": [], "segment_count": 0} and seen["forks"] == 1 and seen["source"] is None
    assert seen["ttl_seconds"] == 3600 and seen["expires_at"] > time.time() * 1000
    assert seen["retention"] == {"age": None, "bytes": None, "messages": 50}
    assert [(one["id"], one["epoch"], one["sequence"]) for one in seen["producers"]] == [('<b>"p"</b>', 4, 2)] and seen["producer_count"] == 1
    assert seen["created_at"] <= seen["last_write_at"] <= time.time() * 1000 + 1000
    forked = admin.get(f"projects/{name}/streams/fork")
    assert forked["source"]["path"] == "rooms/1" and forked["source"]["project"] == name and forked["messages"] == 5
    admin.stream("POST", root, Stream_Closed="true")
    assert admin.get(f"projects/{name}/streams/rooms/1")["state"] == "closed"
    # The source of a living fork is gone for everybody, the administrator too.
    assert admin.stream("DELETE", root).status == 204
    check_refused(admin.api("GET", f"projects/{name}/streams/rooms/1"), 410, "STREAM_GONE")


def test_cold_segments(fresh_stack) -> None:
    """Many: the newest hundred, and how many there are."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=5, DS_SEGMENT_MAX_BYTES=1024, DS_SWEEP_INTERVAL=0.2)
    admin = Admin(stack)
    try:
        admin.stream("PUT", "stream/s", Content_Type="text/plain")
        for _ in range(40):
            admin.stream("POST", "stream/s", "x" * 500, Content_Type="text/plain")
        wait_until(lambda: admin.get("projects/_default/streams/s")["cold"]["segment_count"] >= 2, "segments", within=20)
        seen = admin.get("projects/_default/streams/s")
        cold = seen["cold"]
        assert seen["bytes"] == 20_000 and cold["bytes"] + seen["hot"]["bytes"] == 20_000 and seen["messages"] == 40
        assert len(cold["segments"]) == cold["segment_count"] and sum(one["bytes"] for one in cold["segments"]) == cold["bytes"]
        starts = [one["start"] for one in cold["segments"]]
        assert starts == sorted(starts, reverse=True) and starts[-1] == 0
    finally:
        admin.close()


NAMES = ('a"b', "<img src=x onerror=alert(1)>", "a&b'c", "ünï", "a%b", "back`tick", "{{x}}", "line\tbreak?")


def test_names_with_markup(admin: Admin) -> None:
    """They come as JSON strings of what stands in URLs; none of their characters means anything in it."""
    from urllib.parse import quote

    name = project_name()
    for text in NAMES:
        target = quote(text, safe="")
        if "%09" in target:
            assert admin.stream("PUT", f"{name}/stream/{target}", Content_Type="text/plain").status == 400
            continue
        assert admin.stream("PUT", f"{name}/stream/{target}", Content_Type='text/plain; note="<b>"').status == 201
        seen = admin.api("GET", f"projects/{name}/streams/{target}")
        document = expect_json(seen, 200)
        assert document["content_type"] == 'text/plain; note="<b>"' and seen.get("Content-Type") == "application/json"
    listed = admin.get(f"projects/{name}/streams?limit=1000")["streams"]
    assert len(listed) == len(NAMES) - 1
    for stream in listed:
        assert admin.get(f"projects/{name}/streams/{stream['path']}")["path"] == stream["path"]


def test_listing_pages(admin: Admin) -> None:
    name = project_name()
    paths = sorted([f"a/{number}" for number in range(5)] + ["b"])
    for path in paths:
        admin.stream("PUT", f"{name}/stream/{path}", Content_Type="text/plain")
    found, after = [], ""
    while after is not None:
        page = admin.get(f"projects/{name}/streams?limit=4&after={after}")
        found += [stream["path"] for stream in page["streams"]]
        after = page["next"]
    assert found == paths
    assert [stream["path"] for stream in admin.get(f"projects/{name}/streams?prefix=a/")["streams"]] == paths[:5]
    assert admin.get(f"projects/{name}/streams") == json.loads(admin.stream("GET", f"{name}/streams").body)
    for limit in ("0", "1001", "x", "1&limit=1"):
        check_refused(admin.api("GET", f"projects/{name}/streams?limit={limit}"), 400, "LIMIT_INVALID")
    assert not admin.api("HEAD", f"projects/{name}/streams").body


def test_a_million_streams(fresh_stack) -> None:
    """A page, and the list of projects, cost what they cost with few."""
    stack = fresh_stack(start=False)
    stack.start()
    stack.stop()
    log = sqlite3.connect(stack.data_dir / "hot.sqlite")
    with log:
        log.execute("PRAGMA synchronous = OFF")
        log.execute(
            """
            INSERT INTO stream (incarnation, name, content_type, created_at)
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
            SELECT i, 'many/' || printf('%07d', i), 'text/plain', 1 FROM n
            """
        )
        log.execute("INSERT INTO stream (incarnation, name, content_type, created_at) VALUES (1000001, 'one/x', 'text/plain', 1)")
    log.close()
    stack.start()
    admin = Admin(stack)
    try:
        def quickest(path: str) -> float:
            times = []
            for _ in range(5):
                start = time.monotonic()
                admin.get(path)
                times.append(time.monotonic() - start)
            return min(times)

        page = admin.get("projects/many/streams?limit=100&after=0500000")
        assert [stream["path"] for stream in page["streams"]] == [f"{number:07}" for number in range(500_001, 500_101)]
        assert page["next"] == "0500100"
        # Generous: of a scan over a million rows each would take some hundred milliseconds.
        assert quickest("projects/many/streams?limit=100&after=0999000") < 0.1
        assert quickest("projects") < 0.1 and quickest("projects/many/streams/0777777") < 0.1
        assert [project["name"] for project in admin.get("projects")["projects"]] == ["many", "one"]
    finally:
        admin.close()


def test_figures(admin: Admin) -> None:
    seen = admin.get("overview")
    assert set(seen) == {
        "version", "auth", "now", "started_at", "ready", "streams", "projects", "messages_appended", "hot_bytes", "cold_bytes",
        "segments", "disk", "rates", "live", "cache",
    }  # fmt: skip
    assert seen["ready"] is True and seen["auth"] == "project-jwt" and abs(seen["now"] - time.time() * 1000) < 60_000
    assert set(seen["rates"]) == {"appends_per_second", "append_bytes_per_second", "reads_per_second", "errors_per_second"}
    before = seen["messages_appended"]
    name = project_name()
    admin.stream("PUT", f"{name}/stream/x", "[1,2,3]", Content_Type="application/json")
    assert admin.get("overview")["messages_appended"] >= before + 3
    for range, step in (("hour", 10), ("day", 300)):
        history = admin.get(f"history?range={range}")
        assert history["range"] == range and history["step_seconds"] == step and len({len(one) for one in history["series"].values()}) == 1
        assert len(history["series"]["live_readers"]) == 3600 // 10 if range == "hour" else 288
    for query in ("", "?range=week", "?range=hour&range=day"):
        check_refused(admin.api("GET", f"history{query}"), 400, "RANGE_INVALID")


def test_metrics(admin: Admin) -> None:
    answer = check_private(admin.send("GET", "/metrics"))
    assert answer.status == 200 and answer.get("Content-Type") == "text/plain; version=0.0.4; charset=utf-8", answer.describe()
    assert b"appends_total" in answer.body and not check_private(admin.send("HEAD", "/metrics")).body
    check_refused(admin.send("POST", "/metrics", OWN), 405, "METHOD_NOT_ALLOWED")


def test_processes(admin: Admin) -> None:
    processes = admin.get("processes")["processes"]
    roles = [process["role"] for process in processes]
    for role in ("supervisor", "worker", "live", "nginx"):
        assert role in roles
    pids = set(admin.stack.processes("durable-streams-worker")) | set(admin.stack.processes("durable-streams-live"))
    assert pids <= {process["pid"] for process in processes}
    for process in processes:
        assert process["state"] == "running" and process["resident_bytes"] > 0 and process["uptime_seconds"] >= 0, process


def test_events_arrive_on_the_administrators_route(admin: Admin, guarded: Client, project: Project) -> None:
    from access import LiveSource

    path = unique()
    admin.stream("PUT", f"{project.name}/stream/{path}", Content_Type="text/plain")
    source = LiveSource(admin.stack, f"/admin/v1/{project.name}/stream/{path}?live=sse&offset=-1", headers=list(admin.login.items()))
    check_private(source.head)
    assert source.head.get("Content-Type") == "text/event-stream"
    admin.stream("POST", f"{project.name}/stream/{path}", "hello", Content_Type="text/plain")
    content = b""
    while b"hello" not in content:
        event = source.event()
        content += event.text if isinstance(event.text, bytes) else event.data
    source.connection.close()
