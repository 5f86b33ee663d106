"""What a right token opens: by scope, by stream_id, by project; listing and control API."""

from __future__ import annotations

import json

import pytest

from access import LiveSource, Project, ask, bearer, check_bad_token, check_forbidden, check_no_token, wait_known
from client import Client, expect, unique
from stack import Stack
from wire import Response, build_request

READS, WRITES = ("get", "head", "long-poll", "sse"), ("put", "post", "delete", "put-new")
STREAMS = [
    "rooms",
    "rooms/lobby",
    "rooms/lobby/deep",
    "rooms2/x",
    "room",
    "rooms-x",
    "other/rooms/lobby",
    "*",
    "rooms/*",
]
NEEDS = {"read": {*READS}, "write": {*READS, *WRITES}, "manage": {*READS, *WRITES}, "read write": {*READS, *WRITES}}
STREAM_IDS = [
    None,
    "rooms",
    "rooms/lobby",
    "rooms/*",
    "rooms/lobby/*",
    "room",
    "room/*",
    "rooms2/*",
    "*",
    "rooms*",
    "rooms/lob*",
    "*/lobby",
    "ROOMS/LOBBY",
    "/rooms/lobby",
    "rooms/lobby/",
    "rooms//*",
    "rooms/./*",
    "..",
]


def covers(stream_id: str | None, path: str) -> bool:
    """The whole rule: nothing, the path itself, or a prefix of whole segments."""
    if stream_id is None:
        return True
    if stream_id.endswith("/*"):
        return path.startswith(stream_id[:-1]) and path != stream_id[:-1]
    return path == stream_id


def attempt(http: Client, project: Project, way: str, path: str, token: str) -> Response:
    """One use of a stream that exists, or of a new one beside it."""
    if way == "sse":
        # An event stream does not end by itself: its head is the answer, on a connection of its own.
        target = project.url(path, "live=sse&offset=-1")
        with http.stack.connect() as connection:
            connection.send(build_request("GET", target, [*bearer(token).items()]))
            answer = connection.read_head()
        return answer if answer.status == 200 else ask(http, "GET", target, token)
    query = "live=long-poll&offset=-1" if way == "long-poll" else ""
    method = {"long-poll": "GET", "put-new": "PUT"}.get(way, way.upper())
    type, body = "text/plain" if method in ("PUT", "POST") else None, b"x" if method == "POST" else None
    return ask(http, method, project.url(path, query), token, type=type, body=body)


DONE = {"get": 200, "head": 200, "long-poll": 200, "sse": 200, "put": 200, "post": 204, "delete": 204, "put-new": 201}


@pytest.mark.parametrize("stream_id", STREAM_IDS)
@pytest.mark.parametrize("scope", NEEDS)
def test_matrix(guarded: Client, project: Project, scope: str, stream_id: str | None) -> None:
    """Each scope by each way on streams at, below, above and beside what stream_id says."""
    token = project.token(scope, stream_id=stream_id)
    for path in STREAMS:
        project.create(guarded, path, "text/plain", "abc")
        for way in DONE:
            if way == "put-new":
                # The way before has deleted it, if it may.
                ask(guarded, "DELETE", project.url(path), project.token("write"))
            answer = attempt(guarded, project, way, path, token)
            if covers(stream_id, path) and way in NEEDS[scope]:
                assert answer.status == DONE[way], f"{way} {path}: {answer.describe()}"
            else:
                check_forbidden(answer, head=way == "head")


def test_refused_write_writes_nothing(guarded: Client, project: Project, path: str) -> None:
    project.create(guarded, path, "text/plain", "kept")
    token = project.token("read")
    for method in ("PUT", "POST", "DELETE"):
        for name in (path, f"{path}-new"):
            target = project.url(name)
            check_forbidden(ask(guarded, method, target, token, type="text/plain", body=b"x", Stream_Closed="true"))
    read = ask(guarded, "GET", project.url(path), token)
    assert expect(read, 200).body == b"kept" and "Stream-Closed" not in read
    expect(ask(guarded, "HEAD", project.url(f"{path}-new"), token), 404)


@pytest.mark.parametrize("way", DONE)
def test_refusal_tells_no_state(guarded: Client, project: Project, path: str, way: str) -> None:
    """403 is the same for a stream that is open, closed, deleted or was never there."""
    project.create(guarded, f"{path}/open", "text/plain", "abc", Stream_TTL="900")
    project.create(guarded, f"{path}/closed", "application/json", "[1]", Stream_Closed="true")
    project.create(guarded, f"{path}/deleted", "text/plain")
    expect(ask(guarded, "DELETE", project.url(f"{path}/deleted"), project.token("write")), 204)
    token = project.token("manage", stream_id=f"{path}/mine")
    found = set()
    for name in ("open", "closed", "deleted", "never"):
        answer = check_forbidden(attempt(guarded, project, way, f"{path}/{name}", token), head=way == "head")
        found.add((tuple(sorted(pair for pair in answer.headers if pair[0].lower() != "date")), answer.body))
    assert len(found) == 1, found


SPELLINGS = [
    ("rooms/lobby", "rooms/%6Cobby"),
    ("rooms/lobby", "%72%6f%6f%6d%73/lobby"),
    ("rooms/*", "%72ooms/lobby"),
    ("rooms~1/*", "rooms%7E1/x"),
    ("rooms~1/*", "rooms%7e1/x"),
    ("caf%C3%A9/x", "caf%c3%a9/x"),
    ("caf%C3%A9/*", "caf%c3%A9/x"),
    ("a%3Ab", "a%3ab"),
    ("..a/x", "%2e%2ea/x"),
]


@pytest.mark.parametrize(("stream_id", "spelling"), SPELLINGS)
def test_spellings_of_a_covered_path(guarded: Client, project: Project, stream_id: str, spelling: str) -> None:
    """The path is normalised before it is compared."""
    token = project.token("write", stream_id=stream_id)
    expect(ask(guarded, "PUT", project.url(spelling), token, type="text/plain", body="abc"), 201)
    for query in ("", "live=long-poll&offset=-1"):
        assert expect(ask(guarded, "GET", project.url(spelling, query), token), 200).body == b"abc"
    with LiveSource(guarded.stack, project.url(spelling, "live=sse&offset=-1"), token) as source:
        assert source.batch()[0] == b"abc"
    expect(ask(guarded, "DELETE", project.url(spelling), token), 204)


@pytest.mark.parametrize(
    ("stream_id", "spelling", "status"),
    [
        ("rooms/*", "rooms/../secret", 400),
        ("rooms/*", "rooms/%2E%2E/secret", 400),
        ("rooms/*", "rooms/..%2Fsecret", 400),
        ("rooms/*", "rooms%2Fsecret", 400),
        ("rooms/*", "rooms//secret", 400),
        ("rooms/*", "rooms\\secret", 400),
        ("rooms/*", "rooms", 403),
        ("rooms/*", "rooms2/x", 403),
        ("rooms/*", "rooms%20/x", 403),
        ("rooms/*", "rooms%2B/x", 403),
        ("rooms/*", "Rooms/x", 403),
        ("a:b", "a%3Ab", 403),
        ("a%3Ab", "a:b", 403),
        ("a b", "a%20b", 403),
        ("a/b", "a/b%20", 403),
        ("a/b?x", "a/b%3Fx", 403),
        ("e%CC%81", "%C3%A9", 403),
    ],
)
def test_spellings_of_other_paths(
    guarded: Client, project: Project, stream_id: str, spelling: str, status: int
) -> None:
    """No spelling leads out of what is covered."""
    token = project.token("write", stream_id=stream_id)
    for method in ("PUT", "GET", "POST", "DELETE"):
        body = b"x" if method == "POST" else None
        answer = ask(guarded, method, project.url(spelling), token, type="text/plain", body=body)
        if status == 403:
            check_forbidden(answer)
        else:
            expect(answer, status)
    for live in ("long-poll", "sse"):
        expect(ask(guarded, "GET", project.url(spelling, f"live={live}&offset=-1"), token), status)
    listed = json.loads(expect(ask(guarded, "GET", project.listing(), project.token("manage")), 200).body)
    assert listed["streams"] == []


def test_query_is_not_the_path(guarded: Client, project: Project) -> None:
    """What follows the question mark covers nothing, nor do conditions."""
    project.create(guarded, "secret", "text/plain", "kept")
    token, good = project.token("manage", stream_id="rooms/*"), project.token("manage")
    for query in ("rooms/x", "path=rooms/x", "offset=-1&/rooms/x", "stream_id=rooms/x", f"access_token={good}"):
        check_forbidden(ask(guarded, "GET", project.url("secret", query), token))
    for header in ("X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "Stream-Forked-From"):
        check_forbidden(ask(guarded, "GET", project.url("secret"), token, headers=[(header, project.url("rooms/x"))]))
    check_forbidden(ask(guarded, "GET", project.url("secret"), token, headers=[("X-Original-Method", "OPTIONS")]))
    override = [("X-HTTP-Method-Override", "GET")]
    check_forbidden(ask(guarded, "DELETE", project.url("secret"), project.token(), headers=override))
    check_forbidden(ask(guarded, "GET", project.url("secret"), token, If_None_Match="*"))


def test_projects_are_apart(guarded: Client, jwt_stack: Stack, project: Project, path: str) -> None:
    """The same path in two projects: each token opens its own; an escaped project name is the same project."""
    other = Project(jwt_stack)
    wait_known(jwt_stack, other)
    for one in (project, other):
        one.create(guarded, path, "text/plain", one.name)
    for one, stranger in ((project, other), (other, project)):
        assert expect(ask(guarded, "GET", one.url(path), one.token()), 200).body == one.name.encode()
        check_bad_token(ask(guarded, "GET", one.url(path), stranger.token("manage")))
        check_bad_token(ask(guarded, "DELETE", one.url(path), stranger.token("manage")))
        escaped = f"/v1/%{ord(one.name[0]):02X}{one.name[1:]}/stream/{path}"
        assert expect(ask(guarded, "GET", escaped, one.token()), 200).body == one.name.encode()
        check_bad_token(ask(guarded, "GET", escaped, stranger.token("manage")))


def test_default_project(guarded: Client, default_project: Project, project: Project, path: str) -> None:
    """Its two URLs are guarded alike."""
    default_project.create(guarded, path, "text/plain", "abc")
    for target in (f"/v1/stream/{path}", f"/v1/_default/stream/{path}", f"/v1/%5Fdefault/stream/{path}"):
        assert expect(ask(guarded, "GET", target, default_project.token()), 200).body == b"abc"
        expect(ask(guarded, "GET", target, default_project.token(stream_id=path)), 200)
        check_forbidden(ask(guarded, "GET", target, default_project.token(stream_id=f"{path}-other")))
        check_bad_token(ask(guarded, "GET", target, project.token("manage")))
        check_no_token(ask(guarded, "GET", target))


LISTS = {"read": {"scope": "read"}, "write": {"scope": "write"}, "manage": {"scope": "manage"}}


@pytest.mark.parametrize("claims", LISTS.values(), ids=LISTS.keys())
def test_listing(guarded: Client, project: Project, path: str, claims: dict[str, str]) -> None:
    project.create(guarded, path)
    answer = expect(ask(guarded, "GET", project.listing(), project.token(**claims)), 200)
    assert [stream["path"] for stream in json.loads(answer.body)["streams"]] == [path]
    assert answer.get("Cache-Control") == "no-store"


@pytest.mark.parametrize("scope", ["read", "write", "read write"])
@pytest.mark.parametrize("stream_id", ["rooms/*", "rooms/lobby"])
def test_listing_is_not_for_who_has_a_part(guarded: Client, project: Project, scope: str, stream_id: str) -> None:
    """Names of streams are more than such a token opens, even when the prefix asked for is its own."""
    project.create(guarded, "rooms/lobby")
    for query in ("", "prefix=rooms/", "prefix=rooms/lobby&limit=1", "limit=0"):
        check_forbidden(ask(guarded, "GET", project.listing(query), project.token(scope, stream_id=stream_id)))


def test_listing_of_others(guarded: Client, jwt_stack: Stack, project: Project, default_project: Project) -> None:
    """Without a token, with another project's, with an expired one; other methods come after that."""
    other = Project(jwt_stack)
    for method in ("GET", "POST", "DELETE", "PATCH"):
        check_no_token(ask(guarded, method, project.listing()))
        check_no_token(ask(guarded, method, f"/v1/{project.name}-unknown/streams"))
        for token in (other.token("manage"), default_project.token("manage"), project.token("manage", expires_in=-1)):
            check_bad_token(ask(guarded, method, project.listing(), token))
    check_bad_token(ask(guarded, "GET", "/v1/_default/streams", project.token("manage")))
    expect(ask(guarded, "GET", "/v1/_default/streams", default_project.token("manage")), 200)
    refused = expect(ask(guarded, "POST", project.listing(), project.token("manage")), 405)
    assert refused.get("Allow") == "GET, OPTIONS"


CONTROL = ["__ds", "__ds/x", "__ds/subscriptions/s", "__ds/jwks.json", "%5F%5Fds/x", "_%5Fds", "__d%73/x"]


@pytest.mark.parametrize("name", CONTROL)
def test_control_api(guarded: Client, project: Project, default_project: Project, name: str) -> None:
    """401 without a right token; with any right one 404, whatever it covers."""
    for method in ("GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"):
        head = method == "HEAD"
        for one in (project, default_project):
            check_no_token(ask(guarded, method, one.url(name)), head)
            check_bad_token(ask(guarded, method, one.url(name), one.token("manage", expires_in=-1)), head)
            for token in (one.token("read"), one.token("manage"), one.token("read", stream_id=unique())):
                answer = ask(guarded, method, one.url(name), token)
                assert answer.status == 404 and "WWW-Authenticate" not in answer, answer.describe()
        check_bad_token(ask(guarded, method, default_project.url(name), project.token("manage")), head)
