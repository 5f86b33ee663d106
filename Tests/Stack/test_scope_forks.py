"""Forks with tokens: who makes one reads its source, so the token has to cover that too, or the source is public."""

from __future__ import annotations

import json

import pytest

from access import Project, ask, check_bad_token, check_forbidden, command_json, wait_known, wait_until
from client import Client, expect
from stack import Stack
from wire import Response


@pytest.fixture
def other(jwt_stack: Stack) -> Project:
    """A second project that the server knows."""
    made = Project(jwt_stack)
    wait_known(jwt_stack, made)
    return made


def fork(http: Client, project: Project, path: str, source: str, token: str, **extra: str) -> Response:
    """`source` is a whole target, as clients give it."""
    return ask(http, "PUT", project.url(path), token, Stream_Forked_From=source, **extra)


def content(http: Client, project: Project, path: str) -> bytes:
    return expect(ask(http, "GET", project.url(path), project.token()), 200).body


@pytest.mark.parametrize("scope", ["write", "manage"])
@pytest.mark.parametrize("stream_id", [None, "rooms/*"])
def test_both_covered(guarded: Client, project: Project, scope: str, stream_id: str | None) -> None:
    """A token that may write the fork may read the source, since write includes read."""
    project.create(guarded, "rooms/a", "text/plain", "abc")
    token = project.token(scope, stream_id=stream_id)
    expect(fork(guarded, project, "rooms/b", project.url("rooms/a"), token), 201)
    expect(fork(guarded, project, "rooms/b", project.url("rooms/%61"), token), 200)
    assert content(guarded, project, "rooms/b") == b"abc"
    expect(fork(guarded, project, "rooms/c", project.url("rooms/missing"), token), 404)


@pytest.mark.parametrize("stream_id", ["mine/*", "mine/b"])
@pytest.mark.parametrize("source", ["secret", "mine", "mine2/a", "mine/../secret", "mine%2Fx", "secret-missing"])
def test_source_not_covered(guarded: Client, project: Project, stream_id: str, source: str) -> None:
    """403 whether or not it is there; nothing is made, and nothing holds the source."""
    for name in ("secret", "mine", "mine2/a"):
        project.create(guarded, name, "text/plain", "kept")
    token = project.token("manage", stream_id=stream_id)
    answer = fork(guarded, project, "mine/b", project.url(source), token)
    if "%2F" in source or ".." in source:
        # An unsafe path names nothing at all.
        assert answer.status in (400, 403), answer.describe()
    else:
        check_forbidden(answer)
    expect(ask(guarded, "HEAD", project.url("mine/b"), project.token()), 404)
    for name in ("secret", "mine", "mine2/a"):
        expect(ask(guarded, "DELETE", project.url(name), project.token("write")), 204)
        expect(ask(guarded, "HEAD", project.url(name), project.token()), 404)


def test_refusals_are_alike(guarded: Client, project: Project, other: Project) -> None:
    """A source that is there, closed, deleted, missing, of another or of no project: the same 403."""
    project.create(guarded, "open", "text/plain", "kept")
    project.create(guarded, "closed", "application/json", "[1]", Stream_Closed="true")
    project.create(guarded, "deleted")
    expect(ask(guarded, "DELETE", project.url("deleted"), project.token("write")), 204)
    other.create(guarded, "open", "text/plain", "kept")
    token = project.token("write", stream_id="mine/*")
    sources = [project.url(name) for name in ("open", "closed", "deleted", "missing")]
    sources += [other.url("open"), other.url("missing"), f"/v1/{other.name}-unknown/stream/open", other.url("mine/a")]
    bodies = {check_forbidden(fork(guarded, project, "mine/b", source, token)).body for source in sources}
    assert len(bodies) == 1, bodies


def test_target_not_covered(guarded: Client, project: Project, other: Project) -> None:
    """What may be read may not therefore be forked to anywhere."""
    project.create(guarded, "rooms/a", "text/plain", "abc")
    check_forbidden(fork(guarded, project, "rooms/b", project.url("rooms/a"), project.token("read")))
    limited = project.token("write", stream_id="rooms/*")
    check_forbidden(fork(guarded, project, "copy", project.url("rooms/a"), limited))
    check_bad_token(fork(guarded, other, "rooms/b", project.url("rooms/a"), limited))


def test_across_projects(
    guarded: Client, project: Project, other: Project, default_project: Project, path: str
) -> None:
    """A token is of one project; a private stream of another is out of reach in either direction."""
    for one in (project, other, default_project):
        one.create(guarded, path, "text/plain", one.name)
    for mine, theirs in ((project, other), (other, project), (project, default_project), (default_project, project)):
        answer = fork(guarded, mine, f"{path}-fork", theirs.url(path), mine.token("manage"))
        check_forbidden(answer)
        assert theirs.name.encode() not in answer.body
        check_bad_token(fork(guarded, mine, f"{path}-fork", theirs.url(path), theirs.token("manage")))
        expect(ask(guarded, "HEAD", mine.url(f"{path}-fork"), mine.token()), 404)


def test_the_default_project_by_its_other_url(guarded: Client, default_project: Project, path: str) -> None:
    default_project.create(guarded, f"{path}/a", "text/plain", "abc")
    token = default_project.token("write", stream_id=f"{path}/*")
    expect(fork(guarded, default_project, f"{path}/b", f"/v1/_default/stream/{path}/a", token), 201)
    assert content(guarded, default_project, f"{path}/b") == b"abc"


@pytest.mark.parametrize("stream_id", [None, "mine/*"])
def test_public_source(guarded: Client, project: Project, other: Project, stream_id: str | None) -> None:
    """Anyone may read it, so whoever may write the fork may make it; the fork itself is private. But a fork holds the name
    and the bytes of its source, so nobody makes one of another project's."""
    other.create(guarded, "news", "text/plain", "abc", query="public=true")
    project.create(guarded, "news", "text/plain", "def", query="public=true")
    token = project.token("write", stream_id=stream_id)
    made = expect(fork(guarded, project, "mine/c", project.url("news"), token), 201)
    assert "Stream-Public" not in made, made.describe()
    assert content(guarded, project, "mine/c") == b"def"
    expect(ask(guarded, "GET", project.url("mine/c")), 401)
    check_forbidden(fork(guarded, project, "mine/b", other.url("news"), token))


def test_nothing_is_held_from_another_project(guarded: Client, project: Project, other: Project) -> None:
    """Neither the name nor the bytes of a public stream: its owner deletes it, and has room for another."""
    project.create(guarded, "news", "text/plain", "x" * 900, query="public=true")
    command_json(project.stack, "set-quota", project.name, "--streams", "1", "--bytes", "1000")
    token = project.token("write")
    wait_until(lambda: ask(guarded, "POST", project.url("news"), token, type="text/plain", body="x" * 101).status == 507, "the quota is noticed")
    for _ in range(2):
        check_forbidden(fork(guarded, other, "mine", project.url("news"), other.token("manage")))
    expect(ask(guarded, "HEAD", other.url("mine"), other.token()), 404)
    expect(ask(guarded, "DELETE", project.url("news"), token), 204)
    expect(ask(guarded, "HEAD", project.url("news"), token), 404)
    (usage,) = [one["usage"] for one in command_json(project.stack, "projects")["projects"] if one["project"] == project.name]
    assert usage == {"streams": 0, "bytes": 0}
    project.create(guarded, "news", "application/json", json.dumps("y" * 900))


def test_once_covered(guarded: Client, project: Project) -> None:
    """A fork that was made is a stream of its own: reading it asks for nothing of its source."""
    project.create(guarded, "secret", "text/plain", "abc")
    expect(fork(guarded, project, "mine/b", project.url("secret"), project.token("write")), 201)
    limited = project.token("write", stream_id="mine/*")
    assert expect(ask(guarded, "GET", project.url("mine/b"), limited), 200).body == b"abc"
    check_forbidden(ask(guarded, "GET", project.url("secret"), limited))
    # Even a repeated PUT that would change nothing tells whether the source is this one.
    check_forbidden(fork(guarded, project, "mine/b", project.url("secret"), limited))


@pytest.mark.parametrize("source", ["/healthz", "/", "*", "secret", "/v2/stream/secret", "/v1/stream", "{control}"])
def test_no_stream_at_all(guarded: Client, project: Project, source: str) -> None:
    """What names no stream makes none."""
    token = project.token("write", stream_id="mine/*")
    answer = fork(guarded, project, "mine/b", source.format(control=project.url("__ds/x")), token)
    assert answer.status in (403, 404), answer.describe()
    expect(ask(guarded, "HEAD", project.url("mine/b"), project.token()), 404)
