"""The list of a project's streams: paging, prefixes, what each entry says, and who may ask."""

from __future__ import annotations

import json
import re
import time
from calendar import timegm
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

import pytest

from access import Project, ask as ask_guarded, bearer, check_bad_token, check_forbidden, check_no_token, command_json
from checks import check_error, check_fixed
from client import Client, expect, position
from hooks import Hooks
from stack import Stack
from store import ask_store, wait_for_rotation, wait_until
from test_concurrency import at_once
from test_expiry import wait_absent
from wire import Response

MEMBERS = ["path", "content_type", "tail", "state", "public", "created_at", "last_write_at"]
# What sorts otherwise without regard to case, as numbers, or with `/` ahead of other characters.
MIXED = ["a", "a-b", "a.b", "a/b", "a/b/c", "a0", "a_b", "ab", "aXb", "A", "B/a", "b", "caf%C3%A9", "caf%C3%A9/x", "caf", "x%25y", "x%25", "xy", "z~"]
COUNT = 2_500


def ask(http: Client, project: str, query: str = "", **headers: str) -> Response:
    target = f"/v1/{project}/streams" + (f"?{query}" if query else "")
    return http.request("GET", target, [(name.replace("_", "-"), value) for name, value in headers.items()])


def listed(http: Client, project: str, query: str = "", **headers: str) -> tuple[list[dict], str | None]:
    """One page, whose form is checked, and where the next begins."""
    answer = expect(ask(http, project, query, **headers), 200)
    assert answer.get("Content-Type") == "application/json" and answer.get("Cache-Control") == "no-store", answer.describe()
    assert answer.get("X-Cache") not in (None, "HIT"), answer.describe()
    document = json.loads(answer.body)
    assert list(document) == ["streams", "next"], answer.describe()
    for entry in document["streams"]:
        assert list(entry) == MEMBERS, entry
        assert entry["state"] in ("open", "closed") and isinstance(entry["public"], bool), entry
    return document["streams"], document["next"]


def names(http: Client, project: str, query: str = "", **headers: str) -> list[str]:
    return [entry["path"] for entry in listed(http, project, query, **headers)[0]]


def pages(http: Client, project: str, query: str) -> Iterator[list[str]]:
    """The paths of each page to the end."""
    after = ""
    while True:
        entries, following = listed(http, project, query + after)
        yield [entry["path"] for entry in entries]
        if following is None:
            return
        assert entries and following == entries[-1]["path"], (following, entries[-1:])
        after = f"&after={quote(following, safe='')}"


def make(http: Client, project: str, path: str, type: str = "text/plain", body: str = "", query: str = "", **headers: str) -> Response:
    fields = [("Content-Type", type), *((name.replace("_", "-"), value) for name, value in headers.items())]
    return expect(http.request("PUT", f"/v1/{project}/stream/{path}{query}", fields, body), 201)


def moment(text: str) -> int:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text), text
    return timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


@pytest.fixture
def name(path: str) -> str:
    """A project that no other test uses."""
    return path.replace("/", "-")


@pytest.fixture(scope="module")
def crowd(stack: Stack) -> tuple[str, list[str]]:
    """A project of 2,500 streams, and their paths in order."""
    project = f"crowd-{stack.port}-{time.monotonic_ns()}"
    paths = [f"room/{n:05d}" for n in range(COUNT - len(MIXED))] + MIXED

    def fill(client: Client, index: int) -> Response:
        return [make(client, project, path) for path in paths[index::16]][-1]

    at_once(stack, 16, fill)
    return project, sorted(paths, key=str.encode)


@pytest.mark.parametrize("limit", [1000, 999, 500, 7, None], ids=lambda limit: f"limit-{limit}")
def test_paging(http: Client, crowd: tuple[str, list[str]], limit: int | None) -> None:
    """Every stream once, in the order of bytes; no page but the last is short, and none is empty."""
    project, paths = crowd
    size = limit or 100
    found = list(pages(http, project, f"limit={limit}" if limit else ""))
    assert [path for page in found for path in page] == paths
    assert [len(page) for page in found] == [size] * (COUNT // size) + ([COUNT % size] if COUNT % size else [])


def test_pages_while_streams_come_and_go(http: Client, name: str) -> None:
    """A cursor is a path, not a number: it holds when that stream has gone, and what is behind it is neither lost nor repeated."""
    for path in "abcdefgh":
        make(http, name, path)
    assert listed(http, name, "limit=3")[1] == "c"
    for path in "ac":
        expect(http.request("DELETE", f"/v1/{name}/stream/{path}"), 204)
    make(http, name, "aa")
    make(http, name, "cc")
    assert names(http, name, "limit=3&after=c") == ["cc", "d", "e"]
    assert names(http, name, "after=e") == ["f", "g", "h"]


@pytest.mark.parametrize(
    ("prefix", "wanted"),
    [
        pytest.param("", MIXED, id="empty"),
        pytest.param("a", ["a", "a-b", "a.b", "a/b", "a/b/c", "a0", "aXb", "a_b", "ab"], id="letter"),
        pytest.param("a/", ["a/b", "a/b/c"], id="slash"),
        pytest.param("a/b", ["a/b", "a/b/c"], id="within"),
        pytest.param("a_", ["a_b"], id="underscore"),
        pytest.param("a%", [], id="percent"),
        pytest.param("%", [], id="percent-alone"),
        pytest.param("x%", ["x%25", "x%25y"], id="percent-in-name"),
        pytest.param("x%25", ["x%25", "x%25y"], id="escape-in-name"),
        pytest.param("x%25y", ["x%25y"], id="behind-an-escape"),
        pytest.param("caf%C3%A9", ["caf%C3%A9", "caf%C3%A9/x"], id="accent"),
        pytest.param("caf%C3", ["caf%C3%A9", "caf%C3%A9/x"], id="half-an-accent"),
        pytest.param("A", ["A"], id="upper-case"),
        pytest.param("*", [], id="star"),
        pytest.param("'", [], id="quote"),
        pytest.param("_default/", [], id="project"),
        pytest.param("../", [], id="dots"),
        pytest.param("z~z", [], id="longer"),
    ],
)
def test_prefix(http: Client, crowd: tuple[str, list[str]], prefix: str, wanted: list[str]) -> None:
    """A plain prefix of the path as it is listed; no character of it means anything else."""
    query = f"limit=1000&prefix={quote(prefix, safe='')}"
    found = names(http, crowd[0], query) if prefix else [p for page in pages(http, crowd[0], query) for p in page if not p.startswith("room/")]
    assert found == sorted(wanted, key=str.encode)


def test_prefix_and_cursor_together(http: Client, crowd: tuple[str, list[str]]) -> None:
    project, paths = crowd
    within = [path for path in paths if path.startswith("room/01")]
    assert [path for page in pages(http, project, "prefix=room/01&limit=300") for path in page] == within
    # A cursor ahead of all that has the prefix, inside it, at its end, and behind it.
    assert names(http, project, "prefix=room/01&after=a&limit=2") == within[:2]
    assert names(http, project, "prefix=room/01&after=room/01000&limit=2") == within[1:3]
    assert names(http, project, f"prefix=room/01&after={within[-1]}") == []
    assert names(http, project, "prefix=room/01&after=z") == []


@pytest.mark.parametrize("spelling", ["prefix=room/00010", "prefix=room%2F00010", "%70refix=%72oom/00010", "x=1&prefix=room/00010&y"])
def test_spellings_of_a_query(http: Client, crowd: tuple[str, list[str]], spelling: str) -> None:
    assert names(http, crowd[0], spelling) == ["room/00010"]


@pytest.mark.parametrize("after", ["z~", "z~~", "~", "%7F", "%F4%8F%BF%BF"])
def test_after_the_end(http: Client, crowd: tuple[str, list[str]], after: str) -> None:
    assert listed(http, crowd[0], f"after={after}") == ([], None)


def test_exactly_full_page_is_the_last(http: Client, name: str) -> None:
    for path in "abc":
        make(http, name, path)
    assert [(len(entries), following) for limit in (2, 3, 4) for entries, following in [listed(http, name, f"limit={limit}")]] == [
        (2, "b"), (3, None), (3, None)]  # fmt: skip


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "abc", "1.5", "1e2", "", "+5", "%205", "5%20", "0x10", "99999999999999999999", "5,6"])
def test_bad_limit(http: Client, name: str, limit: str) -> None:
    check_error(ask(http, name, f"limit={limit}"), 400, "LIMIT_INVALID")


@pytest.mark.parametrize("method", ["HEAD", "PUT", "POST", "DELETE", "PATCH", "PROPFIND"])
def test_other_methods(http: Client, name: str, method: str) -> None:
    make(http, name, "a")
    answer = http.request(method, f"/v1/{name}/streams", [("Content-Type", "text/plain")] if method in ("PUT", "POST") else [])
    assert answer.status == 405 and answer.get("Allow") == "GET, OPTIONS", answer.describe()
    if method != "HEAD":
        check_error(answer, 405, "METHOD_NOT_ALLOWED")
    assert names(http, name) == ["a"]


def test_preflight(http: Client, name: str) -> None:
    check_fixed(expect(http.request("OPTIONS", f"/v1/{name}/streams"), 204))


def test_live_parameters_mean_nothing(http: Client, name: str) -> None:
    """The list is no stream that one could wait for."""
    make(http, name, "a")
    for live in ("sse", "long-poll"):
        assert names(http, name, f"live={live}&offset=-1") == ["a"]


def test_without_a_token(http: Client, name: str) -> None:
    """In mode none anybody may ask, also for a project that has no stream; fixed headers are there."""
    check_fixed(expect(ask(http, name), 200))
    assert listed(http, name) == ([], None)


def test_entries(http: Client, name: str) -> None:
    """Type, state, tail and publicity, as HEAD has them."""
    make(http, name, "empty")
    make(http, name, "text", "text/plain; charset=utf-8", "héllo")
    make(http, name, "json", "application/json", "[1,2,3]")
    make(http, name, "closed", "text/plain", "x", Stream_Closed="true")
    make(http, name, "shown", "text/plain", "x", query="?public=true")
    make(http, name, "hidden", "text/plain", "x", query="?public=false")
    make(http, name, "fork", Stream_Forked_From=f"/v1/{name}/stream/json", type="application/json")
    expect(http.request("POST", f"/v1/{name}/stream/fork", [("Content-Type", "application/json")], "[4,5]"), 204)
    entries = {entry["path"]: entry for entry in listed(http, name)[0]}
    assert list(entries) == sorted(entries)
    for path, entry in entries.items():
        head = expect(http.request("HEAD", f"/v1/{name}/stream/{path}"), 200)
        assert (entry["tail"], entry["content_type"]) == (head.offset, head.get("Content-Type")), path
        assert entry["state"] == ("closed" if "Stream-Closed" in head else "open"), path
        assert entry["public"] is ("Stream-Public" in head), path
    assert {path: position(entry["tail"]) for path, entry in entries.items()} == {
        "empty": 0, "text": 6, "json": 3, "closed": 1, "shown": 1, "hidden": 1, "fork": 5}  # fmt: skip
    assert [path for path, entry in entries.items() if entry["public"]] == ["shown"]
    assert [path for path, entry in entries.items() if entry["state"] == "closed"] == ["closed"]


def test_seen_at_once(http: Client, name: str) -> None:
    """What was acknowledged is in the next list, every time."""
    make(http, name, "a")
    for n in range(1, 30):
        tail = expect(http.request("POST", f"/v1/{name}/stream/a", [("Content-Type", "text/plain")], "x"), 204).offset
        assert [entry["tail"] for entry in listed(http, name)[0]] == [tail]
    expect(http.request("DELETE", f"/v1/{name}/stream/a"), 204)
    assert names(http, name) == []


def test_paths_are_normalised(http: Client, name: str) -> None:
    for path in ("%41bc", "caf%c3%a9", "a%2eb", "a%20b"):
        make(http, name, path)
    assert names(http, name) == ["Abc", "a%20b", "a.b", "caf%C3%A9"]
    assert names(http, name.replace("-", "%2D")) == names(http, name)


def test_deleted_expired_and_soft_deleted(fresh_stack, tmp_path) -> None:
    hooks = Hooks(tmp_path / "hooks")
    stack = fresh_stack(**hooks.settings)
    with closing(Client(stack)) as http:
        for path in ("deleted", "kept", "source"):
            http.create(path, "text/plain", "x")
        http.create("expired", "text/plain", "x", Stream_TTL="60")
        http.create("lasting", "text/plain", "x", Stream_TTL="6000")
        http.fork("fork", "source", "text/plain")
        assert names(http, "_default") == ["deleted", "expired", "fork", "kept", "lasting", "source"]
        hooks.advance(61)
        assert names(http, "_default") == ["deleted", "fork", "kept", "lasting", "source"]
        wait_absent(http, "expired")
        for path in ("deleted", "source"):
            expect(http.delete(path), 204)
        assert names(http, "_default") == ["fork", "kept", "lasting"]
        # Left-out streams do not count for the limit.
        assert listed(http, "_default", "limit=1&after=deleted")[1] == "fork"
        assert listed(http, "_default", "limit=2&after=fork")[1] is None


def test_projects_side_by_side(http: Client, name: str) -> None:
    """Names that begin alike, and names around the slash in the order of bytes."""
    projects = [name, f"{name}.b", f"{name}-b", f"{name}0", f"{name}~", f"{name}_", name.upper()]
    for n, project in enumerate(projects):
        make(http, project, f"only-{n}")
        make(http, project, f"{name}/stream/x")
    for n, project in enumerate(projects):
        assert names(http, project) == sorted([f"only-{n}", f"{name}/stream/x"], key=str.encode)
        assert names(http, project, "after=zzz") == names(http, project, f"prefix={name}.b/") == []
    for target in (f"/v1/{name}/../{name}0/streams", f"/v1/{name}%2F..%2F{name}0/streams"):
        expect(http.request("GET", target), 400)


def test_default_project(http: Client, path: str) -> None:
    """`/v1/_default/streams` lists it; `/v1/stream/streams` is a stream like any other, and so is what lies below."""
    http.create(path, "text/plain", "x")
    assert names(http, "_default", f"prefix={path}") == [path]
    try:
        http.create("streams", "text/plain", "abc")
        http.append("streams", "text/plain", "d")
        assert http.get("streams").body == b"abcd"
        assert names(http, "_default", "prefix=streams") == ["streams"]
        expect(http.request("GET", "/v1/_default/stream/streams"), 200)
    finally:
        expect(http.delete("streams"), 204)


def test_times(fresh_stack, tmp_path) -> None:
    """Each to about a second: of creation and of the last content; also from segments, and after a restart."""
    hooks = Hooks(tmp_path / "hooks")
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2, DS_SWEEP_INTERVAL=0.2, **hooks.settings)
    wanted: dict[str, list[float | None]] = {}
    with closing(Client(stack)) as http:
        for path, body in (("empty", ""), ("begun", "a"), ("grown", ""), ("cold", "a"), ("closed", "a"), ("ended", "a"), ("half", "a")):
            http.create(path, "text/plain", body)
            wanted[path] = [hooks.now(), hooks.now() if body else None]
        for path, appends in (("grown", 1), ("cold", 6), ("ended", 1), ("half", 2)):
            for _ in range(appends):
                hooks.advance(1000)
                http.append(path, "text/plain", "b")
                wanted[path][1] = hooks.now()
        hooks.advance(1000)
        for path in ("closed", "ended"):  # closing is no content
            expect(http.post(path, Stream_Closed="true"), 204)
        hooks.advance(1000)

        def check(client: Client, when: str) -> None:
            entries = {entry["path"]: entry for entry in listed(client, "_default")[0]}
            assert set(entries) == set(wanted)
            for path, (created, written) in wanted.items():
                entry = entries[path]
                assert abs(moment(entry["created_at"]) - created) <= 1.5, (when, path, entry, created)
                assert (entry["last_write_at"] is None) == (written is None), (when, path, entry)
                assert written is None or abs(moment(entry["last_write_at"]) - written) <= 1.5, (when, path, entry, written)

        check(http, "at once")
        wait_for_rotation(stack)
        cold = "SELECT count(DISTINCT stream) FROM segment"
        wait_until(stack, lambda: ask_store(stack, cold)[0] >= 4, "what is closed or long has moved into segments")
        check(http, "from segments")
    stack.stop()
    stack.start()
    with closing(Client(stack)) as http:
        check(http, "after a restart")
        hooks.advance(1000)
        http.append("cold", "text/plain", "c")
        wanted["cold"][1] = hooks.now()
        check(http, "after one more append")


GRANTS = {
    "read": ("read", None, True),
    "write": ("write", None, True),
    "manage": ("manage", None, True),
    "several": ("write read", None, True),
    "read-one": ("read", "a", False),
    "read-below": ("read", "a/*", False),
    "write-below": ("write", "a/*", False),
}


@pytest.mark.parametrize(("scope", "stream_id", "allowed"), GRANTS.values(), ids=GRANTS.keys())
def test_who_may_ask(guarded: Client, project: Project, scope: str, stream_id: str | None, allowed: bool) -> None:
    """A list shows every path, so a token for some of them is not enough, even for a prefix that it covers."""
    for path in ("a", "a/b", "c"):
        project.create(guarded, path)
    token = project.token(scope, stream_id=stream_id)
    for query in ("", "prefix=a/"):
        if allowed:
            assert names(guarded, project.name, query, **bearer(token)) == (["a/b"] if query else ["a", "a/b", "c"])
        else:
            check_forbidden(ask_guarded(guarded, "GET", project.listing(query), token))


def test_who_may_not_ask(guarded: Client, project: Project) -> None:
    """No token, that of another project, an expired one; refused before anything else is looked at."""
    project.create(guarded, "shown", query="public=true")
    other = Project(project.stack)
    for query in ("", "limit=0", "prefix=shown"):
        for method in ("GET", "POST"):
            check_no_token(ask_guarded(guarded, method, project.listing(query)))
            for token in (other.token("manage"), project.token("manage", expires_in=-10)):
                check_bad_token(ask_guarded(guarded, method, project.listing(query), token))
    check_bad_token(ask_guarded(guarded, "GET", "/v1/nobody-made-it/streams", project.token("manage")))
    expect(ask_guarded(guarded, "OPTIONS", project.listing()), 204)


def test_default_project_with_tokens(guarded: Client, default_project: Project, path: str) -> None:
    default_project.create(guarded, path)
    token = default_project.token("read")
    assert names(guarded, "_default", f"prefix={path}", **bearer(token)) == [path]


def test_command_says_the_same(guarded: Client, project: Project) -> None:
    for path in ("a/1", "a/2", "a/3", "b"):
        project.create(guarded, path, "text/plain", "abc")
    entries, following = listed(guarded, project.name, "prefix=a/&after=a/1&limit=1", **bearer(project.token("read")))
    assert (len(entries), following) == (1, "a/2")
    assert command_json(project.stack, "streams", project.name, "--prefix", "a/", "--after", "a/1", "--limit", "1") == {
        "streams": entries, "next": following}  # fmt: skip
