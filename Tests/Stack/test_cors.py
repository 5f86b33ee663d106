"""CORS: which origins a project's answers name, on answers of every kind, out of the cache too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from access import NOTICED, LiveSource, Project, ask, command, command_json, wait_known
from checks import ALLOW_HEADERS, ALLOW_METHODS, check_fixed
from client import Client, at, expect, unique
from stack import DEFAULTS, Stack, remove_tree, temporary_root
from store import wait_for_rotation, wait_until
from wire import Response

APP, LOCAL = "https://app.example.com", "http://localhost:3000"
SETTINGS = {
    "DS_AUTH": "project-jwt",
    "DS_LONG_POLL_TIMEOUT": 0.5,
    "DS_SSE_LIFETIME": 20,
    "DS_READ_CHUNK_BYTES": 65536,
    "DS_MAX_BODY_BYTES": 300_000,
    "DS_SEGMENT_MAX_MESSAGES": 8,
    "DS_SWEEP_INTERVAL": 0.5,
}
BIG = b"0123456789abcdef" * 10_000
TEXT = "some text. " * 300  # Long enough to be compressed for those who ask for it.
Headers = list[tuple[str, str]]


@dataclass
class World:
    """A project with its setting, a connection, and streams of every kind."""

    project: Project
    http: Client
    tail: str = ""
    token: str = ""

    def fill(self) -> World:
        make = self.project.create
        make(self.http, "text", "text/plain", TEXT)
        make(self.http, "octets", "application/octet-stream", "abc")
        make(self.http, "open", "text/plain")
        make(self.http, "closed", "text/plain", "abc", Stream_Closed="true")
        make(self.http, "whole", "application/octet-stream", b"x" * 50_000, Stream_Closed="true")
        make(self.http, "shown", "text/plain", TEXT, query="public=true")
        self.tail = make(self.http, "big", "application/octet-stream", BIG).offset
        self.token = self.project.token("manage")
        return self

    def __call__(self, method: str, path: str, query: str = "", headers: Headers = (), token: str | None = "", **more: object) -> Response:
        token = self.token if token == "" else token
        return ask(self.http, method, self.project.url(path, query), token, headers=headers, **more)

    @property
    def piece(self) -> str:
        return f"offset={at(self.tail, 0)}"


def hit(world: World, headers: Headers) -> Response:
    """Filled by a reader without an origin."""
    expect(world("GET", "big", world.piece), 200)
    answer = world("GET", "big", world.piece, headers)
    assert answer.get("X-Cache") in ("HIT", "REVALIDATED"), answer.describe()
    return answer


def not_modified_hit(world: World, headers: Headers) -> Response:
    tag = expect(world("GET", "big", world.piece), 200).get("ETag") or ""
    return world("GET", "big", world.piece, [*headers, ("If-None-Match", tag)])


def whole_file(world: World, headers: Headers) -> Response:
    answer = world("GET", "whole", "", headers)
    assert answer.body == b"x" * 50_000
    return answer


def event_stream(world: World, path: str, headers: Headers, token: str | None) -> Response:
    with LiveSource(world.http.stack, world.project.url(path, "live=sse&offset=-1"), token, headers) as source:
        return source.head


def deleted(world: World, headers: Headers) -> Response:
    path = unique()
    world.project.create(world.http, path)
    return world("DELETE", path, "", headers)


def preflight(world: World, headers: Headers) -> Response:
    asked = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization,content-type")]
    return world("OPTIONS", "text", "", [*headers, *asked], token=None)


Kind = tuple[int, Callable[[World, Headers], Response]]
KINDS: dict[str, Kind] = {
    "200-get": (200, lambda w, h: w("GET", "text", "", h)),
    "200-octets": (200, lambda w, h: w("GET", "octets", "", h)),
    "200-now": (200, lambda w, h: w("GET", "text", "offset=now", h)),
    "200-gzip": (200, lambda w, h: w("GET", "text", "", [*h, ("Accept-Encoding", "gzip")])),
    "200-public": (200, lambda w, h: w("GET", "shown", "", h, token=None)),
    "200-head": (200, lambda w, h: w("HEAD", "text", "", h)),
    "200-put": (200, lambda w, h: w("PUT", "text", "", h, type="text/plain")),
    "200-hit": (200, hit),
    "200-file": (200, whole_file),
    "200-long-poll": (200, lambda w, h: w("GET", "text", "live=long-poll&offset=-1", h)),
    "200-sse": (200, lambda w, h: event_stream(w, "text", h, w.token)),
    "200-sse-public": (200, lambda w, h: event_stream(w, "shown", h, None)),
    "200-listing": (200, lambda w, h: ask(w.http, "GET", w.project.listing(), w.token, headers=h)),
    "201": (201, lambda w, h: w("PUT", unique(), "", h, type="text/plain", body="abc")),
    "204-post": (204, lambda w, h: w("POST", "open", "", h, type="text/plain", body="x")),
    "204-delete": (204, deleted),
    "204-options": (204, preflight),
    "204-options-absent": (204, lambda w, h: w("OPTIONS", "absent", "", h, token=None)),
    "204-options-listing": (204, lambda w, h: ask(w.http, "OPTIONS", w.project.listing(), headers=h)),
    "204-long-poll": (204, lambda w, h: w("GET", "closed", "live=long-poll&offset=now", h)),
    "204-long-poll-time-out": (204, lambda w, h: w("GET", "octets", "live=long-poll&offset=now", h)),
    "304": (304, lambda w, h: w("GET", "text", "", [*h, ("If-None-Match", "*")])),
    "304-hit": (304, not_modified_hit),
    "304-long-poll": (304, lambda w, h: w("GET", "text", "live=long-poll&offset=-1", [*h, ("If-None-Match", "*")])),
    "400": (400, lambda w, h: w("GET", "text", "offset=x", h)),
    "400-live": (400, lambda w, h: w("GET", "text", "offset=x&live=long-poll", h)),
    "400-public": (400, lambda w, h: w("PUT", unique(), "public=perhaps", h)),
    "400-listing": (400, lambda w, h: ask(w.http, "GET", w.project.listing("limit=0"), w.token, headers=h)),
    "401": (401, lambda w, h: w("GET", "text", "", h, token=None)),
    "401-bad": (401, lambda w, h: w("GET", "text", "", h, token="x")),
    "401-head": (401, lambda w, h: w("HEAD", "text", "", h, token=None)),
    "401-live": (401, lambda w, h: w("GET", "text", "live=sse&offset=-1", h, token=None)),
    "401-stored": (401, lambda w, h: w("GET", "big", w.piece, h, token=None)),
    "403": (403, lambda w, h: w("POST", "open", "", h, token=w.project.token("read"), type="text/plain", body="x")),
    "403-live": (403, lambda w, h: w("GET", "text", "live=long-poll&offset=-1", h, token=w.project.token("read", stream_id="open"))),
    "404": (404, lambda w, h: w("GET", "absent", "", h)),
    "404-live": (404, lambda w, h: w("GET", "absent", "live=sse&offset=-1", h)),
    "405": (405, lambda w, h: w("PATCH", "text", "", h)),
    "405-listing": (405, lambda w, h: ask(w.http, "POST", w.project.listing(), w.token, headers=h)),
    "409": (409, lambda w, h: w("PUT", "text", "", h, type="text/html")),
    "415": (415, lambda w, h: w("POST", "open", "", h, type="text/plain", body="x", Content_Encoding="gzip")),
}
# What nginx refuses by itself, before it knows of any project.
OWN: dict[str, Kind] = {
    "413": (413, lambda w, h: w("POST", "open", "", h, type="text/plain", body=b"x" * 300_001)),
    "431": (431, lambda w, h: w("GET", "text", "", [*h, ("X-Long", "a" * 60_000)])),
    "414": (414, lambda w, h: ask(w.http, "GET", "/v1/stream/" + "a" * 60_000, headers=h)),
}
OTHERS = {
    "absent": [],
    "other": [("Origin", "https://evil.example")],
    "null": [("Origin", "null")],
    "empty": [("Origin", "")],
    "upper-case": [("Origin", APP.upper())],
    "upper-case-scheme": [("Origin", APP.replace("https", "HTTPS"))],
    "longer": [("Origin", f"{APP}.evil.example")],
    "longer-in-front": [("Origin", f"https://evil.example,{APP}")],
    "shorter": [("Origin", APP[:-1])],
    "port": [("Origin", f"{APP}:443")],
    "http": [("Origin", APP.replace("https", "http"))],
    "slash": [("Origin", f"{APP}/")],
    "dot-is-a-dot": [("Origin", APP.replace(".", "x"))],
    "list": [("Origin", f"{APP} {LOCAL}")],
    "star": [("Origin", "*")],
}


@pytest.fixture(scope="module")
def worlds() -> Iterator[dict[str, World]]:
    """One server with a project of each setting: none, `*`, and a list of two."""
    root = temporary_root()
    stack = Stack(root / "data", **(DEFAULTS | SETTINGS))
    clients: list[Client] = []
    try:
        stack.start()
        made = {}
        for name, origins in (("none", []), ("star", ["*"]), ("list", [APP, LOCAL])):
            project = Project(stack)
            if origins:
                command_json(stack, "set-cors", project.name, *origins)
            clients.append(Client(stack))
            made[name] = World(project, clients[-1])
        for name, world in made.items():
            wait_known(stack, world.project)
            wait_cors(world, {"none": None, "star": "*", "list": APP}[name])
            world.fill()
        wait_for_rotation(stack)
        yield made
        for client in clients:
            client.close()
        stack.stop()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


def origin(answer: Response) -> list[str]:
    return answer.all("Access-Control-Allow-Origin")


def vary(answer: Response) -> list[str]:
    return sorted(part.strip().lower() for value in answer.all("Vary") for part in value.split(",") if part.strip())


def wait_cors(world: World, wanted: str | None) -> None:
    """Until pool and live process answer a listed origin so."""
    target = world.project.url("x")

    def holds() -> bool:
        headers = [("Origin", APP)]
        answers = [ask(world.http, method, target + query, headers=headers)
                   for method, query in (("OPTIONS", ""), ("GET", ""), ("GET", "?live=long-poll&offset=-1"))]  # fmt: skip
        return all(origin(answer) == ([wanted] if wanted else []) for answer in answers)

    wait_until(world.http.stack, holds, f"{world.project.name} answers {wanted}", NOTICED)


def check_cors(answer: Response, allowed: str | None, varies: bool, plain: list[str]) -> None:
    """The origin once, `Vary: Origin` once where it belongs, and all else that the answer varies by as it was."""
    assert origin(answer) == ([] if allowed is None else [allowed]), answer.describe()
    assert vary(answer) == sorted([*plain, "origin"] if varies else plain), answer.describe()
    assert "Access-Control-Allow-Credentials" not in answer, answer.describe()


@pytest.mark.parametrize(("status", "send"), KINDS.values(), ids=KINDS.keys())
def test_none(worlds: dict[str, World], status: int, send: Callable) -> None:
    """By default nobody is named, whatever the origin, and nothing varies by it."""
    for headers in ([], [("Origin", APP)], [("Origin", "null")]):
        answer = expect(send(worlds["none"], headers), status)
        assert origin(answer) == [] and "origin" not in vary(answer), answer.describe()


@pytest.mark.parametrize(("status", "send"), KINDS.values(), ids=KINDS.keys())
def test_everybody(worlds: dict[str, World], status: int, send: Callable) -> None:
    """`*` for all, with or without an Origin; the same for everybody, so nothing varies."""
    plain = vary(send(worlds["none"], []))
    for headers in ([], [("Origin", APP)], [("Origin", "https://evil.example")], [("Origin", "null")], [("Origin", APP.upper())]):
        check_cors(expect(send(worlds["star"], headers), status), "*", False, plain)


@pytest.mark.parametrize(("status", "send"), KINDS.values(), ids=KINDS.keys())
def test_list(worlds: dict[str, World], status: int, send: Callable) -> None:
    """An origin of the list is named as it was sent, no other is; all answers vary by it."""
    plain = vary(send(worlds["none"], []))
    for allowed in (APP, LOCAL):
        check_cors(expect(send(worlds["list"], [("Origin", allowed)]), status), allowed, True, plain)
    for name in ("absent", "other", "null"):
        check_cors(expect(send(worlds["list"], OTHERS[name]), status), None, True, plain)


@pytest.mark.parametrize("kind", ["200-get", "200-hit", "200-file", "200-sse", "204-options", "401"])
@pytest.mark.parametrize("headers", OTHERS.values(), ids=OTHERS.keys())
def test_not_in_the_list(worlds: dict[str, World], kind: str, headers: Headers) -> None:
    status, send = KINDS[kind]
    check_cors(expect(send(worlds["list"], headers), status), None, True, vary(send(worlds["none"], [])))


@pytest.mark.parametrize("kind", ["200-get", "200-hit", "200-file", "200-sse", "204-options", "401"])
@pytest.mark.parametrize("second", [APP, LOCAL, "https://evil.example"])
@pytest.mark.parametrize("first", [APP, "https://evil.example"])
def test_two_origins(worlds: dict[str, World], kind: str, first: str, second: str) -> None:
    """A header that came twice names nobody, or one of the list; never the other, and never two."""
    answer = KINDS[kind][1](worlds["list"], [("Origin", first), ("Origin", second)])
    assert origin(answer) in [[], *([one] for one in (first, second) if one in (APP, LOCAL))], answer.describe()
    assert vary(answer).count("origin") <= 1
    if answer.status == KINDS[kind][0]:
        assert "origin" in vary(answer), answer.describe()


@pytest.mark.parametrize("setting", ["none", "star", "list"])
@pytest.mark.parametrize(("status", "send"), OWN.values(), ids=OWN.keys())
def test_refusals_by_nginx(worlds: dict[str, World], setting: str, status: int, send: Callable) -> None:
    for headers in ([], [("Origin", APP)]):
        answer = expect(send(worlds[setting], headers), status)
        assert origin(answer) == [] and "origin" not in vary(answer), answer.describe()


@pytest.mark.parametrize(("method", "target", "status"), [
    ("GET", "/healthz", 200), ("GET", "/readyz", 200), ("OPTIONS", "/healthz", 204), ("GET", "/v1/nobody-made-it/stream/a", 401),
    ("OPTIONS", "/v1/nobody-made-it/stream/a", 204), ("GET", "/v1/nobody-made-it/stream/a?live=sse&offset=-1", 401),
    ("GET", "/v1/nobody-made-it/streams", 401), ("OPTIONS", "/nowhere", 204), ("OPTIONS", "/", 204)])  # fmt: skip
def test_what_belongs_to_no_project(worlds: dict[str, World], method: str, target: str, status: int) -> None:
    for headers in ([], [("Origin", APP)]):
        answer = expect(ask(worlds["list"].http, method, target, headers=headers), status)
        assert origin(answer) == [] and "origin" not in vary(answer), answer.describe()


def test_vary_by_encoding(worlds: dict[str, World]) -> None:
    """As before: on what is compressed for some, on every 304, and on nothing else."""
    for setting, more in (("none", []), ("star", []), ("list", ["origin"])):
        for kind, encodings in (("200-get", ["accept-encoding"]), ("200-gzip", ["accept-encoding"]), ("304", ["accept-encoding"]),
                                ("304-hit", ["accept-encoding"]), ("200-octets", []), ("200-hit", []), ("200-head", []), ("404", []),
                                ("200-file", []), ("200-sse", [])):  # fmt: skip
            answer = KINDS[kind][1](worlds[setting], [("Origin", APP)])
            assert vary(answer) == encodings + more, (setting, kind, answer.describe())


@pytest.mark.parametrize("setting", ["star", "list"])
def test_preflight(worlds: dict[str, World], setting: str) -> None:
    """204 without a token, with all that a browser asks for."""
    answer = preflight(worlds[setting], [("Origin", APP)])
    assert answer.status == 204 and answer.body == b"" and origin(answer) == ["*" if setting == "star" else APP]
    assert answer.get("Access-Control-Allow-Methods") == ALLOW_METHODS and answer.get("Access-Control-Allow-Headers") == ALLOW_HEADERS
    assert answer.get("Access-Control-Max-Age") == "86400"


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
def test_one_copy_for_all_origins(worlds: dict[str, World], public: bool) -> None:
    """A piece is stored once; each reader gets the header of its own origin with it, whoever asked first."""
    world, hits = worlds["list"], 0
    readers = [("Origin", APP)], [("Origin", LOCAL)], [], [("Origin", "https://evil.example")]
    for first in range(len(readers)):
        path = unique()
        query = "public=true" if public else ""
        tail = world.project.create(world.http, path, "application/octet-stream", BIG, query=query).offset
        token = None if public else world.token
        for headers in [*readers[first:], *readers[:first]] * 3:
            answer = expect(world("GET", path, f"offset={at(tail, 0)}", headers, token=token), 200)
            named = headers[0][1] if headers else None
            check_cors(answer, named if named in (APP, LOCAL) else None, True, [])
            assert BIG.startswith(answer.body) and answer.body
            hits += answer.get("X-Cache") == "HIT"
    assert hits >= 16, f"only {hits} of 48 came from the cache"


def test_copies_of_projects(worlds: dict[str, World]) -> None:
    """Settings of one project never show on the stored pieces of another."""
    for _ in range(2):
        for name, named in (("none", None), ("star", "*"), ("list", APP)):
            check_cors(hit(worlds[name], [("Origin", APP)]), named, name == "list", [])


def test_change_is_noticed(worlds: dict[str, World]) -> None:
    """Within a second, on answers of the pool, of the live process, of nginx's cache, and of segment files."""
    template = worlds["none"]
    world = World(Project(template.http.stack), template.http)
    wait_known(world.http.stack, world.project)
    world.fill()
    wait_for_rotation(world.http.stack)
    kinds = ("200-get", "200-hit", "200-file", "200-long-poll", "204-options", "401", "404-live")
    for origins, named in (([APP], APP), ([LOCAL], None), ([LOCAL, APP], APP), (["*"], "*"), (["--none"], None)):
        result = command_json(world.http.stack, "set-cors", world.project.name, *origins)
        assert set(result) == {"project", "cors"} and result["project"] == world.project.name, result
        assert sorted(result["cors"]) == ([] if origins == ["--none"] else sorted(origins)), result
        began = time.monotonic()
        varies = origins[0] not in ("*", "--none")

        def holds(named: str | None = named, varies: bool = varies) -> bool:
            answers = [KINDS[kind][1](world, [("Origin", APP)]) for kind in kinds]
            return all(origin(one) == ([named] if named else []) and ("origin" in vary(one)) == varies for one in answers)

        wait_until(world.http.stack, holds, f"{origins} is noticed by all", NOTICED)
        assert time.monotonic() - began < NOTICED
        (listed,) = [one for one in command_json(world.http.stack, "projects")["projects"] if one["project"] == world.project.name]
        assert listed["cors"] == result["cors"]


@pytest.mark.parametrize("text", ["app.example.com", "https://", "https://app.example.com/", "https://app.example.com/path", "https://a b",
                                  "", " ", "https://a\r\nX-Evil: 1", "https://a,https://b", "https://user@a.example", "//a.example"])  # fmt: skip
def test_malformed_origin(worlds: dict[str, World], text: str) -> None:
    """64; nothing changes, not for the well-formed ones beside it either."""
    world = worlds["list"]
    for origins in ([text], [LOCAL, text]):
        command(world.http.stack, "set-cors", world.project.name, *origins).expect(64)
    (listed,) = [one for one in command_json(world.http.stack, "projects")["projects"] if one["project"] == world.project.name]
    assert sorted(listed["cors"]) == sorted([APP, LOCAL])


def test_unknown_project(worlds: dict[str, World]) -> None:
    command(worlds["list"].http.stack, "set-cors", "nobody-made-it", APP).expect(66)


def test_mode_none_knows_no_lists(stack: Stack, http: Client) -> None:
    """`*` on everything, and no answer varies by the origin, whatever was set for a project."""
    project = Project(stack)
    command_json(stack, "set-cors", project.name, APP)
    world = World(project, http).fill()
    began = time.monotonic()
    while True:
        # Long enough for the server to have noticed, had it looked.
        last = time.monotonic() - began > 1.5
        for headers in ([], [("Origin", APP)], [("Origin", "https://evil.example")], [("Origin", "null")]):
            for kind in ("200-get", "200-put", "200-head", "200-long-poll", "201", "204-post", "204-options", "304", "400", "404", "405"):
                status, send = KINDS[kind]
                answer = check_fixed(expect(send(world, headers), status))
                assert "origin" not in vary(answer), answer.describe()
        if last:
            return
