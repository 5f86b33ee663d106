"""`Stream-Reader-Key`, by which a reader of a guarded stream lets shared caches keep what they read: where it is, and when it is another."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from access import GUARDED, Project, ask, check_bad_token, check_forbidden, check_no_token, check_refusal, command_json, wait_until
from checks import check_empty, check_fixed
from client import Client, expect
from isolation import look, new_project
from wire import Response

KEY = re.compile(r"[A-Za-z0-9_-]{22}")


def key_of(answer: Response) -> str:
    """The key that an answer carries; browsers are let see it."""
    key = look(answer).get("Stream-Reader-Key") or ""
    assert KEY.fullmatch(key), answer.describe()
    assert "Stream-Reader-Key" in re.split(r",\s*", answer.get("Access-Control-Expose-Headers") or ""), answer.describe()
    return key


def head_key(http: Client, project: Project, path: str, token: str | None = None) -> str:
    return key_of(expect(ask(http, "HEAD", project.url(path), token or project.token("read")), 200))


def check_none(answer: Response) -> Response:
    assert "Stream-Reader-Key" not in look(answer), answer.describe()
    return answer


@pytest.mark.parametrize("type", ["text/plain", "application/json", None])
@pytest.mark.parametrize(
    "extra",
    [{}, {"Stream_Closed": "true"}, {"Stream_TTL": "3600"}, {"query": "public=false"}],
    ids=["plain", "closed", "ttl", "public-false"],
)
def test_put_and_head_tell_it(guarded: Client, project: Project, path: str, type: str | None, extra: dict[str, str]) -> None:
    """The same on creation, on each repetition, and on HEAD by whoever may read."""
    target, writer = project.url(path, extra.get("query", "")), project.token("write")
    headers = {name: value for name, value in extra.items() if name != "query"}
    made = expect(ask(guarded, "PUT", target, writer, type=type, **headers), 201)
    key = key_of(made)
    for _ in range(2):
        assert key_of(expect(ask(guarded, "PUT", target, writer, type=type, **headers), 200)) == key
    for token in (writer, project.token("read"), project.token("manage"), project.token("read", stream_id=path)):
        assert head_key(guarded, project, path, token) == key
    assert key_of(expect(ask(guarded, "HEAD", project.url(path, "offset=-1&rk=x"), writer), 200)) == key


def test_no_other_answer_tells_it(guarded: Client, project: Project, path: str) -> None:
    writer = project.token("manage")
    project.create(guarded, path, "text/plain", "abc")
    key = head_key(guarded, project, path)
    for query in ("", "offset=-1", "offset=now", f"rk={key}", "live=long-poll&offset=-1", f"live=long-poll&offset=-1&rk={key}"):
        check_none(expect(ask(guarded, "GET", project.url(path, query), writer), 200))
    etag = ask(guarded, "GET", project.url(path), writer).get("ETag") or ""
    check_none(expect(ask(guarded, "GET", project.url(path), writer, If_None_Match=etag), 304))
    check_none(expect(ask(guarded, "POST", project.url(path), writer, type="text/plain", body="d"), 204))
    check_none(expect(ask(guarded, "OPTIONS", project.url(path)), 204))
    check_none(expect(ask(guarded, "GET", project.listing(), writer), 200))
    check_none(expect(ask(guarded, "DELETE", project.url(path), writer), 204))


def test_refusals_do_not_tell_it(guarded: Client, project: Project, path: str) -> None:
    """Who may not read does not get it, and an error is never the place for it."""
    project.create(guarded, path, "text/plain", "abc")
    target, writer = project.url(path), project.token("write")
    for method in ("HEAD", "PUT"):
        head = method == "HEAD"
        check_no_token(ask(guarded, method, target, type="text/plain"), head)
        check_bad_token(ask(guarded, method, target, "x.y.z", type="text/plain"), head)
        check_bad_token(ask(guarded, method, target, project.token("write", expires_in=-1), type="text/plain"), head)
        check_forbidden(ask(guarded, method, target, project.token("write", stream_id=f"{path}/*"), type="text/plain"), head)
    check_forbidden(ask(guarded, "PUT", target, project.token("read"), type="text/plain"))
    check_none(expect(ask(guarded, "PUT", target, writer, type="application/json"), 409))
    check_none(expect(ask(guarded, "PUT", target, writer, type="text/plain", Stream_TTL="bad"), 400))
    check_none(expect(ask(guarded, "HEAD", project.url(f"{path}x"), writer), 404))
    check_refusal(ask(guarded, "GET", project.url(f"{path}x"), writer), 404, "STREAM_NOT_FOUND")


def test_streams_have_keys_of_their_own(guarded: Client, project: Project, path: str) -> None:
    """Also at one path in two projects, and a fork beside its source."""
    other = new_project(guarded.stack)
    keys = [key_of(project.create(guarded, f"{path}/{n}", "text/plain", "abc")) for n in range(20)]
    keys += [key_of(other.create(guarded, f"{path}/{n}", "text/plain", "abc")) for n in range(20)]
    source = project.url(f"{path}/0")
    keys.append(key_of(project.create(guarded, f"{path}/fork", "text/plain", Stream_Forked_From=source)))
    assert len(set(keys)) == len(keys) == 41
    # Nothing in common either, as counters or a common secret would have.
    assert len({key[:6] for key in keys}) == len(keys) and len({key[-6:] for key in keys}) == len(keys)


def test_appends_and_closure_leave_it(guarded: Client, project: Project, path: str) -> None:
    key = key_of(project.create(guarded, path))
    for n in range(3):
        project.append(guarded, path, f"{n}")
        assert head_key(guarded, project, path) == key
    expect(ask(guarded, "POST", project.url(path), project.token("write"), Stream_Closed="true"), 204)
    assert head_key(guarded, project, path) == key


def test_a_stream_made_again_has_another(guarded: Client, project: Project, path: str) -> None:
    """After DELETE, after its end by time, and after a time as a public stream."""
    seen = [key_of(project.create(guarded, path))]
    for public in (False, True, False):
        expect(ask(guarded, "DELETE", project.url(path), project.token("write")), 204)
        made = project.create(guarded, path, "text/plain", **({"query": "public=true"} if public else {}))
        seen += [] if public else [key_of(made)]
    assert len(set(seen)) == len(seen) == 3
    short = f"{path}/short"
    first = key_of(project.create(guarded, short, "text/plain", Stream_TTL="1"))
    wait_until(lambda: ask(guarded, "HEAD", project.url(short), project.token("read")).status == 404, "it has expired", within=10)
    assert key_of(project.create(guarded, short, "text/plain")) != first


def test_it_lasts_over_restarts(fresh_stack) -> None:
    """As URLs with it are kept by others."""
    stack = fresh_stack(**GUARDED)
    project = new_project(stack)
    with closing(Client(stack)) as client:
        keys = {f"s/{n}": key_of(project.create(client, f"s/{n}")) for n in range(5)}
    for _ in range(2):
        stack.stop()
        stack.start()
        with closing(Client(stack)) as client:
            assert {path: head_key(client, project, path) for path in keys} == keys
            for path in keys:
                assert key_of(expect(ask(client, "PUT", project.url(path), project.token("write"), type="text/plain"), 200)) == keys[path]


def test_it_is_the_same_for_all_workers(fresh_stack) -> None:
    stack = fresh_stack(**GUARDED | {"DS_WORKERS": 3})
    project = new_project(stack)
    with closing(Client(stack)) as client:
        key = key_of(project.create(client, "a"))
    for _ in range(30):
        with closing(Client(stack)) as client:
            assert head_key(client, project, "a") == key


def test_rotation_of_one_stream(guarded: Client, project: Project, path: str) -> None:
    paths = [path, f"{path}/below", f"{path}x"]
    keys = {name: key_of(project.create(guarded, name)) for name in paths}
    assert command_json(guarded.stack, "rotate-reader-key", project.name, path) == {"project": project.name, "stream": path}
    wait_until(lambda: head_key(guarded, project, path) != keys[path], "the key is another")
    rotated = head_key(guarded, project, path)
    assert all(head_key(guarded, project, name) == keys[name] for name in paths[1:])
    assert key_of(expect(ask(guarded, "PUT", project.url(path), project.token("write"), type="text/plain"), 200)) == rotated
    # Once more: neither of those before.
    command_json(guarded.stack, "rotate-reader-key", project.name, path)
    wait_until(lambda: head_key(guarded, project, path) != rotated, "the key is another")
    assert head_key(guarded, project, path) not in keys.values()


def test_rotation_of_a_project(guarded: Client, project: Project, path: str) -> None:
    """All of its streams, those of others not; streams made later have keys of their own too."""
    other, paths = new_project(guarded.stack), [path, f"{path}/a", f"{path}/b"]
    keys = {name: key_of(project.create(guarded, name)) for name in paths}
    theirs = key_of(other.create(guarded, path))
    assert command_json(guarded.stack, "rotate-reader-key", project.name) == {"project": project.name, "stream": None}
    wait_until(lambda: all(head_key(guarded, project, name) != keys[name] for name in paths), "the keys are others")
    now = [head_key(guarded, project, name) for name in paths] + [key_of(project.create(guarded, f"{path}/later"))]
    assert len(set(now) | set(keys.values())) == 7 and head_key(guarded, other, path) == theirs


def test_rotation_outlives_a_restart(fresh_stack) -> None:
    stack = fresh_stack(**GUARDED)
    project = new_project(stack)
    with closing(Client(stack)) as client:
        first = [key_of(project.create(client, name)) for name in ("a", "b")]
        command_json(stack, "rotate-reader-key", project.name, "a")
        wait_until(lambda: head_key(client, project, "a") != first[0], "the key is another")
        rotated = head_key(client, project, "a")
    stack.stop()
    command_json(stack, "rotate-reader-key", project.name, "b")
    stack.start()
    with closing(Client(stack)) as client:
        assert head_key(client, project, "a") == rotated and head_key(client, project, "b") not in (*first, rotated)


def test_public_streams_have_none(guarded: Client, project: Project, path: str) -> None:
    project.create(guarded, path, "text/plain", "abc", query="public=true")
    for token in (None, project.token("read"), project.token("manage")):
        check_none(expect(ask(guarded, "HEAD", project.url(path), token), 200))
    for answer in (project.create(guarded, f"{path}/b", "text/plain", query="public=true"),
                   ask(guarded, "PUT", project.url(path, "public=true"), project.token("write"), type="text/plain")):  # fmt: skip
        check_none(answer)


def test_none_without_access_control(http: Client, path: str) -> None:
    """Mode `none`: no key, and `rk` is a parameter that nobody knows."""
    for answer in (http.create(path, "text/plain", "abc"), expect(http.put(path, "text/plain"), 200), expect(http.head(path), 200)):
        assert "Stream-Reader-Key" not in check_fixed(answer)
    for query in ("rk=x", "rk=", "rk=x&rk=y"):
        read = expect(http.get(path, query), 200)
        assert check_fixed(read).get("Cache-Control") == http.get(path).get("Cache-Control") and read.body == b"abc"
        private = expect(http.get(path, query, Authorization="Bearer x"), 200)
        assert (private.get("Cache-Control") or "").startswith("private, ")
    check_empty(http.delete(path), 204)
