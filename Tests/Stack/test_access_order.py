"""What comes before access control, what after it, and what has none."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from access import GUARDED, Project, ask, bearer, check_bad_token, check_forbidden, check_no_token, wait_known
from checks import check_fixed
from client import Client, expect, url
from stack import Stack
from wire import Response

BAD = "x.y.z"


@pytest.mark.parametrize("token", [None, BAD], ids=["no-token", "bad-token"])
@pytest.mark.parametrize("live", ["", "?live=sse&offset=-1", "?live=long-poll&offset=-1"], ids=["", "sse", "long-poll"])
def test_options_come_first(guarded: Client, project: Project, token: str | None, live: str) -> None:
    """A preflight has no token: 204 for every path, with no origin allowed, since none is set."""
    preflight = {"Origin": "https://a.example", "Access_Control_Request_Method": "GET"}
    paths = [project.url("a"), project.url("__ds/x"), project.listing()]
    for path in (*paths, "/v1/unknown/stream/a", "/v1/stream/a/../b", "/x"):
        answer = ask(guarded, "OPTIONS", path + live, token, **preflight)
        assert answer.status == 204 and answer.body == b"", answer.describe()
        assert "Access-Control-Allow-Origin" not in answer and "WWW-Authenticate" not in answer, answer.describe()


@pytest.mark.parametrize("token", [None, BAD], ids=["no-token", "bad-token"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"])
def test_unsafe_and_too_long_come_before_tokens(
    guarded: Client, project: Project, token: str | None, method: str
) -> None:
    rows = {"a/../b": 400, "a//b": 400, "a%2Fb": 400, "a%00": 400, "%FF": 400}
    rows |= {"a" * 2100: 414, "a?x=" + "y" * 4200: 414}
    for relative, status in rows.items():
        for root in (project.url(""), "/v1/stream/", f"/v1/{project.name}-unknown/stream/"):
            answer = ask(guarded, method, root + relative, token)
            assert answer.status == status and "WWW-Authenticate" not in answer, answer.describe()
    for live in ("long-poll", "sse"):
        expect(ask(guarded, "GET", project.url("a/../b", f"live={live}&offset=-1"), token), 400)


Ask = Callable[[Client, Project, str, str | None], Response]
# What a right token would get, and how to ask for it, where a closed text stream is.
LATER: dict[str, tuple[int, Ask]] = {
    "400-offset": (400, lambda c, p, n, t: ask(c, "GET", p.url(n, "offset=x"), t)),
    "400-offset-twice": (400, lambda c, p, n, t: ask(c, "GET", p.url(n, "offset=-1&offset=-1"), t)),
    "400-long-poll": (400, lambda c, p, n, t: ask(c, "GET", p.url(n, "live=long-poll&offset=x"), t)),
    "400-sse": (400, lambda c, p, n, t: ask(c, "GET", p.url(n, "live=sse"), t)),
    "400-post": (400, lambda c, p, n, t: ask(c, "POST", p.url(n), t, type="text/plain", body="")),
    "400-ttl": (400, lambda c, p, n, t: ask(c, "PUT", p.url(f"{n}-x"), t, type="text/plain", Stream_TTL="+1")),
    "400-public": (400, lambda c, p, n, t: ask(c, "PUT", p.url(f"{n}-x", "public=maybe"), t, type="text/plain")),
    "400-limit": (400, lambda c, p, n, t: ask(c, "GET", p.listing("limit=0"), t)),
    "404-get": (404, lambda c, p, n, t: ask(c, "GET", p.url(f"{n}-x"), t)),
    "404-post": (404, lambda c, p, n, t: ask(c, "POST", p.url(f"{n}-x"), t, type="text/plain", body="x")),
    "404-delete": (404, lambda c, p, n, t: ask(c, "DELETE", p.url(f"{n}-x"), t)),
    "404-long-poll": (404, lambda c, p, n, t: ask(c, "GET", p.url(f"{n}-x", "live=long-poll&offset=-1"), t)),
    "404-sse": (404, lambda c, p, n, t: ask(c, "GET", p.url(f"{n}-x", "live=sse&offset=-1"), t)),
    "404-control": (404, lambda c, p, n, t: ask(c, "GET", p.url("__ds/x"), t)),
    "405-patch": (405, lambda c, p, n, t: ask(c, "PATCH", p.url(n), t)),
    "405-brew": (405, lambda c, p, n, t: ask(c, "BREW", p.url(f"{n}-x"), t)),
    "405-listing": (405, lambda c, p, n, t: ask(c, "PUT", p.listing(), t)),
    "409-put": (409, lambda c, p, n, t: ask(c, "PUT", p.url(n), t, type="text/html")),
    "409-closed": (409, lambda c, p, n, t: ask(c, "POST", p.url(n), t, type="text/plain", body="x")),
    "415": (415, lambda c, p, n, t: ask(c, "POST", p.url(n), t, type="text/plain", body="x", Content_Encoding="gzip")),
    "304": (304, lambda c, p, n, t: ask(c, "GET", p.url(n), t, If_None_Match="*")),
}


@pytest.mark.parametrize(("status", "later"), LATER.values(), ids=LATER.keys())
def test_tokens_come_before_all_else(guarded: Client, project: Project, path: str, status: int, later: Ask) -> None:
    """401, then 403, then what the request by itself deserves."""
    project.create(guarded, path, "text/plain", "abc", Stream_Closed="true")
    check_no_token(later(guarded, project, path, None))
    check_bad_token(later(guarded, project, path, BAD))
    if later is not LATER["404-control"][1]:
        limited = later(guarded, project, path, project.token("read", stream_id="elsewhere/*"))
        if status == 405:
            # Such a method has no scope of its own; a token that covers nothing of it may be told either.
            assert limited.status in (403, 405), limited.describe()
        else:
            check_forbidden(limited)
    answer = expect(later(guarded, project, path, project.token("manage")), status)
    assert "WWW-Authenticate" not in answer, answer.describe()


@pytest.mark.parametrize("target", ["/", "/v1", "/v1/", "/v2/stream/a", "/nowhere", "/v1/stream", "/v1/a/b/stream/c"])
def test_outside_every_root(guarded: Client, target: str) -> None:
    """There is no project to have a token for: refused or not found, and nothing else."""
    for method in ("GET", "PUT", "DELETE"):
        for token in (None, BAD):
            assert ask(guarded, method, target, token).status in (401, 404)


@pytest.mark.parametrize("target", ["/healthz", "/readyz"])
def test_health_is_open(guarded: Client, project: Project, target: str) -> None:
    for token in (None, BAD, project.token(), project.token(expires_in=-10)):
        answer = expect(ask(guarded, "GET", target, token), 200)
        assert "WWW-Authenticate" not in answer


def test_nothing_is_open_at_first(fresh_stack) -> None:
    """A new server knows no project, `_default` neither; it begins to know each without a restart."""
    stack = fresh_stack(**GUARDED)
    client = Client(stack)
    for target in (url("a"), "/v1/_default/stream/a", "/v1/x/stream/a", "/v1/_default/streams"):
        for method in ("GET", "PUT", "POST", "DELETE", "PATCH"):
            check_no_token(ask(client, method, target, type="text/plain"))
            check_bad_token(ask(client, method, target, BAD, type="text/plain"))
    for name in ("_default", "x"):
        project = Project(stack, name)
        wait_known(stack, project)
        project.create(client, "a", "text/plain", name)
        assert ask(client, "GET", project.url("a"), project.token()).body == name.encode()
    client.close()


def test_projects_outlive_a_restart(fresh_stack) -> None:
    """Made before the first start, known after it and after the next."""
    stack = fresh_stack(start=False, **GUARDED)
    project = Project(stack)
    for expected in (201, 200):
        stack.start()
        client = Client(stack)
        answer = ask(client, "PUT", project.url("a"), project.token("write"), type="text/plain")
        assert answer.status == expected, answer.describe()
        client.close()
        stack.stop()


CREDENTIALS = {
    "bad-token": {"Authorization": f"Bearer {BAD}"},
    "unsigned": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."},
    "empty": {"Authorization": "Bearer "},
    "basic": {"Authorization": "Basic dXNlcjpwYXNz"},
    "odd": {"Authorization": "no scheme at all, é"},
}


@pytest.mark.parametrize("headers", CREDENTIALS.values(), ids=CREDENTIALS.keys())
@pytest.mark.parametrize("root", ["/v1/stream", "/v1/acme/stream"])
def test_mode_none_looks_at_no_token(http: Client, path: str, root: str, headers: dict[str, str]) -> None:
    """Whatever a client sends by habit changes nothing but who may keep the answer."""
    target, pairs = f"{root}/{path}", [*headers.items()]
    steps = [("PUT", "", b"abc", 201), ("POST", "", b"d", 204), ("GET", "", None, 200), ("HEAD", "", None, 200)]
    steps += [("GET", "?live=long-poll&offset=-1", None, 200), ("OPTIONS", "", None, 204), ("DELETE", "", None, 204)]
    for method, query, body, status in steps:
        answer = http.request(method, target + query, [*pairs, ("Content-Type", "text/plain")], body)
        check_fixed(expect(answer, status))
        for name in ("WWW-Authenticate", "Stream-Reader-Key"):
            assert name not in answer, answer.describe()
        if method == "GET":
            assert answer.body == b"abcd" and (answer.get("Cache-Control") or "").startswith("private")


def test_mode_none_with_a_good_token_of_a_project(http: Client, stack: Stack, path: str) -> None:
    """A project may be there for its quota; its tokens open nothing that is not open."""
    project = Project(stack)
    expect(ask(http, "PUT", project.url(path), project.token("read", stream_id="x"), type="text/plain"), 201)
    expect(ask(http, "PUT", project.url(path), type="text/plain"), 200)
    listed = json.loads(expect(ask(http, "GET", project.listing(), headers=[*bearer(BAD).items()]), 200).body)
    assert [stream["path"] for stream in listed["streams"]] == [path]
