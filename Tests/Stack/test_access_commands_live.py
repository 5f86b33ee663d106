"""Commands beside a running server: it notices what they change and lists what they list; secrets stay secret."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest

from access import GUARDED, NOTICED, Project, ask, bearer, command, command_json, project_name, wait_known, wait_until
from client import Client, unique
from stack import Stack
from wire import Response, build_request

# A verdict of nginx's may be a second old when the server learns of a change.
REFUSED = NOTICED + 1


def fresh(project: Project, scope: str = "write", secret: str | None = None) -> str:
    """A token that nobody has seen yet, so that no verdict on it is remembered."""
    return project.token(scope, secret=secret, jti=f"{time.monotonic_ns()}")


def within(seconds: float, holds: Callable[[], bool], what: str) -> None:
    wait_until(holds, what, seconds)


def status(project: Project, target: str, token: str) -> int:
    """Of an answer whose end is not waited for."""
    with project.stack.connect() as connection:
        connection.send(build_request("GET", target, list(bearer(token).items())))
        return connection.read_head().status


# What a running server notices.


def test_a_new_project(jwt_stack: Stack, guarded: Client) -> None:
    """Its own token opens nothing before it is there, and everything soon after."""
    name = project_name()
    stranger = Project(jwt_stack)
    token = stranger.token("manage", sub=name)
    assert ask(guarded, "PUT", f"/v1/{name}/stream/a", token, type="text/plain").status == 401
    project = Project(jwt_stack, name)
    within(NOTICED, lambda: ask(guarded, "HEAD", project.url("a"), fresh(project)).status == 404, "it is known")
    project.create(guarded, "a")
    assert ask(guarded, "HEAD", project.url("a"), token).status == 401


def test_a_new_secret(project: Project, guarded: Client) -> None:
    """The old one goes on beside it."""
    project.create(guarded, "a")
    (first,) = project.secrets.values()
    project.add_secret()
    within(NOTICED, lambda: ask(guarded, "HEAD", project.url("a"), fresh(project)).status == 200, "it is known")
    assert ask(guarded, "HEAD", project.url("a"), fresh(project, secret=first)).status == 200


def test_a_removed_secret(project: Project, guarded: Client) -> None:
    """Also for a token whose verdict was asked for over and over; with the other nothing is ever refused."""
    project.create(guarded, "a", "text/plain", "abc")
    (number,) = project.secrets
    old = project.token("read")
    project.add_secret()
    wait_known(project.stack, project)
    new = project.token("read")
    assert ask(guarded, "GET", project.url("a"), old).body == b"abc"
    project.remove_secret(number)
    deadline = time.monotonic() + REFUSED
    while (answer := ask(guarded, "GET", project.url("a"), old)).status != 401:
        assert answer.status == 200 and time.monotonic() < deadline, answer.describe()
        assert ask(guarded, "GET", project.url("a"), new).body == b"abc"
    for query in ("", "live=long-poll&offset=-1", "live=sse&offset=-1"):
        within(REFUSED, lambda: status(project, project.url("a", query), old) == 401, f"refused with {query!r}")
    assert ask(guarded, "GET", project.url("a"), new).body == b"abc"


def test_origins(project: Project, guarded: Client) -> None:
    token, page = project.token("write"), "https://shop.example.org"
    project.create(guarded, "a")

    def allowed() -> list[str]:
        return ask(guarded, "HEAD", project.url("a"), token, Origin=page).all("Access-Control-Allow-Origin")

    assert allowed() == []
    for arguments, expected in (([page], [page]), (["*"], ["*"]), (["https://other.example"], []), (["--none"], [])):
        command_json(project.stack, "set-cors", project.name, *arguments)
        within(NOTICED, lambda: allowed() == expected, f"set-cors {arguments}")


def test_quotas(project: Project, guarded: Client) -> None:
    """What is there counts, and lifting a limit is noticed like setting one."""
    token = project.token("write")
    project.create(guarded, "a", "text/plain", "x" * 100)

    def post(size: int) -> Response:
        return ask(guarded, "POST", project.url("a"), token, type="text/plain", body="x" * size)

    def put() -> int:
        return ask(guarded, "PUT", project.url(unique()), token, type="text/plain").status

    command_json(project.stack, "set-quota", project.name, "--body", 10)
    within(NOTICED, lambda: post(11).status == 413, "a large body is refused")
    assert post(10).status == 204
    command_json(project.stack, "set-quota", project.name, "--body", 0, "--streams", 1)
    within(NOTICED, lambda: put() == 507, "one more stream is refused")
    command_json(project.stack, "set-quota", project.name, "--streams", 0, "--bytes", 1)
    within(NOTICED, lambda: post(1).status == 507, "more bytes are refused")
    command_json(project.stack, "set-quota", project.name, "--bytes", 0)
    within(NOTICED, lambda: post(1).status == 204, "all limits are lifted")
    (found,) = [one for one in command_json(project.stack, "projects")["projects"] if one["project"] == project.name]
    assert found["usage"]["streams"] >= 1 and found["usage"]["bytes"] > 100, found


def test_reader_keys(project: Project, guarded: Client) -> None:
    """Of one stream, then of all; public streams have none."""
    token = project.token("write")
    for name in ("a", "b/c"):
        project.create(guarded, name)
    project.create(guarded, "open", query="public=true")

    def keys() -> dict[str, str | None]:
        heads = {name: ask(guarded, "HEAD", project.url(name), token) for name in ("a", "b/c", "open")}
        return {name: head.get("Stream-Reader-Key") for name, head in heads.items()}

    first = keys()
    assert first["open"] is None and None not in (first["a"], first["b/c"]), first
    answer = command_json(project.stack, "rotate-reader-key", project.name, "b/c")
    assert answer == {"project": project.name, "stream": "b/c"}
    within(NOTICED, lambda: keys()["b/c"] != first["b/c"], "one stream has a new key")
    second = keys()
    assert second["a"] == first["a"], "the other keeps its key"
    command_json(project.stack, "rotate-reader-key", project.name)
    within(NOTICED, lambda: all(keys()[name] != second[name] for name in ("a", "b/c")), "all have new keys")
    assert keys()["open"] is None
    command(project.stack, "rotate-reader-key", project.name, "b").expect(66)
    outcome = command(project.stack, "rotate-reader-key", project.name, "a").expect(0)
    assert "a" in outcome.out.split() and project.name in outcome.out.split(), outcome.describe()


def test_a_server_begins_with_what_commands_have_made(fresh_stack) -> None:
    """Projects made before the first start are there, and what is changed between two starts counts."""
    project = Project(fresh_stack(start=False, **GUARDED))
    token = project.token("write")
    for status in (201, 200):
        project.stack.start()
        with closing(Client(project.stack)) as http:
            assert ask(http, "PUT", project.url("a"), token, type="text/plain").status == status
        project.stack.stop()
    (first,) = project.secrets
    project.add_secret()
    project.remove_secret(first)
    project.stack.start()
    with closing(Client(project.stack)) as http:
        assert ask(http, "PUT", project.url("a"), token, type="text/plain").status == 401


# Listing.


def test_streams_are_those_of_the_listing(project: Project, guarded: Client) -> None:
    """The same document as over HTTP, page by page."""
    token = project.token("manage")
    for name in ("rooms/lobby", "rooms/attic", "rooms-2", "a", "caf%C3%A9"):
        project.create(guarded, name, "text/plain", name)
    project.create(guarded, "empty", "application/json")
    project.create(guarded, "open", query="public=true")
    project.create(guarded, "closed", "text/plain", "x", Stream_Closed="true")
    project.create(guarded, "gone")
    assert ask(guarded, "DELETE", project.url("gone"), token).status == 204
    for flags, query in (
        ([], ""),
        (["--prefix", "rooms"], "prefix=rooms"),
        (["--prefix", "rooms/"], "prefix=rooms/"),
        (["--prefix", "caf%C3"], "prefix=caf%25C3"),
        (["--prefix", "no/such"], "prefix=no/such"),
        (["--limit", 3], "limit=3"),
        (["--limit", 3, "--after", "closed"], "limit=3&after=closed"),
        (["--limit", 1000, "--after", "rooms-2", "--prefix", "rooms"], "limit=1000&after=rooms-2&prefix=rooms"),
        (["--after", "zzz"], "after=zzz"),
    ):
        expected = ask(guarded, "GET", project.listing(query), token)
        assert expected.status == 200, expected.describe()
        found = command_json(project.stack, "streams", project.name, *flags)
        assert found == json.loads(expected.body), flags
        assert list(found) == ["streams", "next"]
    whole = command_json(project.stack, "streams", project.name)["streams"]
    assert [one["path"] for one in whole] == sorted(one["path"] for one in whole) and len(whole) == 8
    assert {one["path"]: one["state"] for one in whole if one["state"] != "open"} == {"closed": "closed"}
    assert [one["path"] for one in whole if one["public"]] == ["open"]
    for one in whole:
        head = ask(guarded, "HEAD", project.url(one["path"]), token)
        assert (one["tail"], one["content_type"]) == (head.offset, head.get("Content-Type")), one
        assert (one["last_write_at"] is None) == (one["path"] in ("empty", "open")), one


def test_streams_for_people(project: Project, guarded: Client) -> None:
    """A table; where the next page begins is on standard error."""
    for name in ("a", "b/c", "d"):
        project.create(guarded, name)
    outcome = command(project.stack, "streams", project.name).expect(0)
    heading, *rows = outcome.out.splitlines()
    assert [row.split()[0] for row in rows] == ["a", "b/c", "d"] and outcome.err == "", outcome.describe()
    assert len({row.index("text/plain") for row in rows} | {heading.index("CONTENT TYPE")}) == 1, outcome.describe()
    outcome = command(project.stack, "streams", project.name, "--limit", 2).expect(0)
    assert len(outcome.out.splitlines()) == 3 and "--after b/c" in outcome.err, outcome.describe()


def test_streams_without_a_server(fresh_stack) -> None:
    """What a server has left behind, or killed, is read just so; streams of other projects are not."""
    stack = fresh_stack(**GUARDED)
    project, other = Project(stack), Project(stack)
    for one in (project, other):
        wait_known(stack, one)
    with closing(Client(stack)) as http:
        project.create(http, "a", "text/plain", "abc")
        other.create(http, "b")
    running = command_json(stack, "streams", project.name)
    assert [one["path"] for one in running["streams"]] == ["a"]
    stack.stop()
    assert command_json(stack, "streams", project.name) == running


def test_streams_of_a_project_that_was_never_created(fresh_stack) -> None:
    """Without authentication there are such: what it has is listed; where there is nothing, the name is unknown."""
    stack = fresh_stack()
    with closing(Client(stack)) as http:
        http.create("a", "text/plain", "abc")
    assert [one["path"] for one in command_json(stack, "streams", "_default")["streams"]] == ["a"]
    assert command_json(stack, "streams", "_default", "--prefix", "b") == {"streams": [], "next": None}
    command(stack, "streams", "default").expect(66)


# Secrets stay secret, and commands get along with each other.


def test_secrets_are_nowhere(fresh_stack) -> None:
    """Not in any file of the data directory, not in the log; nor has the log any token, good or bad."""
    stack = fresh_stack(**GUARDED, DS_LOG_LEVEL="debug")
    project = Project(stack)
    project.add_secret()
    wait_known(stack, project)
    tokens = [project.token("write"), project.token(expires_in=-1), project.token(secret="dss_" + "x" * 40)]
    printed = [command_json(stack, "token", project.name, "--scope", "read")["token"]]
    with closing(Client(stack)) as http:
        project.create(http, "a", "text/plain", "abc")
        for token in tokens + printed:
            for query in ("", "offset=-1&live=long-poll", "offset=now&live=sse"):
                if not query.endswith("sse") or token not in (tokens[0], printed[0]):
                    ask(http, "GET", project.url("a", query), token)
    for token in tokens + printed:
        command(stack, "check-token", token)
    hidden = {secret.encode() for secret in project.secrets.values()}
    hidden |= {secret.removeprefix(b"dss_") for secret in hidden}
    signatures = {token.rsplit(".", 1)[1].encode() for token in tokens + printed}

    def search() -> None:
        places = [file for file in stack.data_dir.rglob("*") if file.is_file()] + [stack.log]
        assert {"hot.sqlite", "secrets.key"} <= {file.name for file in places}
        for file in places:
            # nginx and chores remove files of theirs whenever they like.
            with suppress(FileNotFoundError):
                assert not any(secret in file.read_bytes() for secret in hidden), f"{file} has a secret"
        for signature in signatures:
            assert signature not in stack.log.read_bytes(), "the log has a token"

    search()
    stack.stop()
    search()


def test_commands_side_by_side(project: Project, guarded: Client) -> None:
    """All get what they ask for, while the server appends."""
    project.create(guarded, "a")
    with ThreadPoolExecutor(8) as pool:
        added = [pool.submit(command_json, project.stack, "add-secret", project.name) for _ in range(12)]
        made = [pool.submit(Project, project.stack) for _ in range(4)]
        count = 0
        while not all(future.done() for future in added + made):
            project.append(guarded, "a", "x")
            count += 1
        numbers = {future.result()["id"] for future in added}
        secrets = {future.result()["secret"] for future in added}
        assert len(numbers) == len(secrets) == 12 and len({future.result().name for future in made}) == 4
    assert count and ask(guarded, "GET", project.url("a"), project.token()).body == b"x" * count
    for future in added:
        project.secrets[future.result()["id"]] = future.result()["secret"]
    wait_known(project.stack, project)


@pytest.mark.parametrize("mode", ["none", "project-jwt"])
def test_one_of_two_creations(fresh_stack, mode: str) -> None:
    """Of the same project at the same time, in whatever mode the server runs."""
    stack, name = fresh_stack(DS_AUTH=mode), project_name()
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(lambda _: command(stack, "create-project", name, "--json"), range(6)))
    assert sorted(outcome.status for outcome in outcomes) == [0] + [73] * 5, [one.describe() for one in outcomes]
    assert stack.ready()
