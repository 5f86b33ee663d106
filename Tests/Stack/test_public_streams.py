"""`PUT ?public=true` on a server that asks for tokens: what it takes, what it compares, and who may then read and write."""

from __future__ import annotations

import pytest

from access import LiveSource, Project, ask, check_bad_token, check_forbidden, check_no_token, check_refusal
from client import Client, expect
from isolation import STRANGERS, hold, look, new_project, scope
from stack import Stack
from wire import Connection, Response, build_request


@pytest.fixture(scope="module")
def project(jwt_stack: Stack) -> Project:
    """One for all tests here, each of which has paths of its own."""
    return new_project(jwt_stack)


@pytest.fixture(scope="module")
def other(jwt_stack: Stack) -> Project:
    return new_project(jwt_stack)


def check_public(answer: Response, status: int = 200) -> Response:
    """A PUT or HEAD that says so, without a reader key."""
    assert look(answer).status == status and answer.get("Stream-Public") == "true" and "Stream-Reader-Key" not in answer, answer.describe()
    return answer


def check_private(answer: Response, status: int = 200) -> Response:
    assert look(answer).status == status and "Stream-Public" not in answer and "Stream-Reader-Key" in answer, answer.describe()
    return answer


def put(http: Client, project: Project, path: str, query: str = "", **extra: str) -> Response:
    return look(ask(http, "PUT", project.url(path, query), project.token("write"), type="text/plain", **extra))


def head(http: Client, project: Project, path: str) -> Response:
    return look(ask(http, "HEAD", project.url(path), project.token("read")))


# Creation

TRUE = {
    "plain": "public=true",
    "name-escaped": "%70ublic=true",
    "name-escaped-whole": "%70%75%62%6C%69%63=true",
    "value-escaped": "public=tru%65",
    "value-escaped-lower": "public=%74%72%75%65",
    "beside-others": "x=1&public=true&y=2",
    "among-empty-ones": "&&public=true&",
    "beside-longer-names": "publicx=false&xpublic=false&public=true",
}
FALSE = {
    "none": "",
    "false": "public=false",
    "false-escaped": "%70ublic=f%61lse",
    "other-case": "PUBLIC=true",
    "longer-name": "publicly=true",
    "in-a-value": "x=public=true",
    "after-a-semicolon": "x=1;public=true",
    "escaped-twice": "%2570ublic=true",
}
MALFORMED = {
    "empty": "public=",
    "no-value": "public",
    "one": "public=1",
    "zero": "public=0",
    "yes": "public=yes",
    "upper-case": "public=TRUE",
    "capital": "public=True",
    "capital-false": "public=False",
    "space-after": "public=true%20",
    "plus-after": "public=true+",
    "space-before": "public=%20true",
    "nul-after": "public=true%00",
    "quoted": "public=%22true%22",
    "list": "public=true,true",
    "longer": "public=truex",
    "cut": "public=tru",
    "null": "public=null",
    "escaped-twice": "public=%2574rue",
    "with-equals": "public=true=",
    "twice": "public=true&public=true",
    "twice-false": "public=false&public=false",
    "true-then-false": "public=true&public=false",
    "false-then-true": "public=false&public=true",
    "twice-apart": "public=true&x=1&public=true",
    "twice-escaped": "public=true&%70ublic=true",
    "then-empty": "public=true&public=",
    "empty-then-true": "public=&public=true",
    "then-no-value": "public=true&public",
}


@pytest.mark.parametrize("query", TRUE.values(), ids=TRUE.keys())
def test_spellings_of_true(guarded: Client, project: Project, path: str, query: str) -> None:
    check_public(put(guarded, project, path, query), 201)
    check_public(put(guarded, project, path, query))
    check_public(put(guarded, project, path, "public=true"))
    check_public(ask(guarded, "HEAD", project.url(path)))


@pytest.mark.parametrize("query", FALSE.values(), ids=FALSE.keys())
def test_spellings_of_absent(guarded: Client, project: Project, path: str, query: str) -> None:
    check_private(put(guarded, project, path, query), 201)
    for same in (query, "", "public=false"):
        check_private(put(guarded, project, path, same))
    check_private(head(guarded, project, path))
    check_no_token(look(ask(guarded, "GET", project.url(path))))


@pytest.mark.parametrize("query", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(guarded: Client, project: Project, path: str, query: str) -> None:
    """400, whatever is there already; nothing is made or changed. Who has no token learns nothing of it."""
    check_no_token(look(ask(guarded, "PUT", project.url(path, query), type="text/plain")))
    check_refusal(put(guarded, project, path, query, body="abc"), 400, "PUBLIC_INVALID")
    check_refusal(put(guarded, project, path, query, Stream_Forked_From=project.url(f"{path}/source")), 400, "PUBLIC_INVALID")
    expect(head(guarded, project, path), 404)
    for public, check in (("public=true", check_public), ("", check_private)):
        check(put(guarded, project, path, public), 201)
        check_refusal(put(guarded, project, path, query), 400, "PUBLIC_INVALID")
        check(head(guarded, project, path))
        expect(ask(guarded, "DELETE", project.url(path), project.token("write")), 204)


@pytest.mark.parametrize("query", [*MALFORMED.values(), "public=true", "public=false"], ids=[*MALFORMED.keys(), "true", "false"])
def test_other_methods_ignore_it(guarded: Client, project: Project, path: str, query: str) -> None:
    """It makes nothing public, and refuses nothing, but on PUT."""
    put(guarded, project, path, body="abc")
    target, writer = project.url(path, query), project.token("write")
    for method in ("GET", "HEAD", "POST", "DELETE"):
        check_no_token(look(ask(guarded, method, target, type="text/plain", body="x" if method == "POST" else None)), method == "HEAD")
    expect(look(ask(guarded, "POST", target, writer, type="text/plain", body="d")), 204)
    assert expect(look(ask(guarded, "GET", target, writer)), 200).body == b"abcd"
    check_private(ask(guarded, "HEAD", target, writer))
    check_no_token(look(ask(guarded, "GET", project.url(path))))
    expect(look(ask(guarded, "DELETE", target, writer)), 204)
    put(guarded, project, path, "public=true", body="abc")
    assert expect(look(ask(guarded, "GET", target)), 200).body == b"abc"
    check_public(ask(guarded, "HEAD", target))


# Repetition


def test_other_value_is_a_conflict(guarded: Client, project: Project, path: str) -> None:
    """409 in both directions; nothing changes, and a body is not appended."""
    for name, made, others in (
        (f"{path}/p", "public=true", ("", "public=false")),
        (f"{path}/n", "", ("public=true",)),
        (f"{path}/f", "public=false", ("public=true",)),
    ):
        check = check_public if made == "public=true" else check_private
        check(put(guarded, project, name, made, body="abc"), 201)
        for other in others:
            answer = put(guarded, project, name, other, body="abc")
            expect(answer, 409)
            for header in ("Stream-Public", "Stream-Reader-Key"):
                assert header not in answer, answer.describe()
        check(put(guarded, project, name, made, body="x"))
        check(head(guarded, project, name))
        assert ask(guarded, "GET", project.url(name), project.token("read")).body == b"abc"


def test_it_is_compared_beside_the_rest(guarded: Client, project: Project, path: str) -> None:
    check_public(put(guarded, project, path, "public=true", Stream_TTL="3600"), 201)
    check_public(put(guarded, project, path, "public=true", Stream_TTL="3600"))
    for query, extra in (("public=true", {}), ("public=true", {"Stream_TTL": "60"}), ("", {"Stream_TTL": "3600"}),
                         ("public=true", {"Stream_TTL": "3600", "Stream_Closed": "true"})):  # fmt: skip
        expect(put(guarded, project, path, query, **extra), 409)


# Reading and writing


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
def test_anybody_may_read(guarded: Client, project: Project, other: Project, stranger) -> None:
    """With no token, or with whatever is sent as one: GET, HEAD and both live modes."""
    held = hold(guarded, project, query="public=true")
    end = ask(guarded, "POST", project.url(held.path), project.token("write"), Stream_Closed="true")
    assert expect(end, 204).offset == held.tail
    headers, _ = stranger(held, other)
    for _ in range(2):
        for query in ("", "offset=-1", f"offset={held.tail}", "offset=now", "live=long-poll&offset=-1"):
            answer = look(guarded.request("GET", project.url(held.path, query), headers))
            assert expect(answer, 200).body in held.content and "WWW-Authenticate" not in answer, answer.describe()
            if query != "offset=now":
                assert scope(answer) == "public", answer.describe()
        check_public(guarded.request("HEAD", project.url(held.path), headers))
        events = look(guarded.request("GET", project.url(held.path, "live=sse&offset=-1"), headers))
        assert expect(events, 200).get("Content-Type") == "text/event-stream" and held.mark.encode() in events.body
    etag = guarded.request("GET", project.url(held.path), headers).get("ETag") or ""
    same = look(guarded.request("GET", project.url(held.path), [*headers, ("If-None-Match", etag)]))
    assert expect(same, 304).get("ETag") == etag and scope(same) == "public"


def test_two_authorizations_are_malformed(guarded: Client, project: Project, path: str) -> None:
    """For nginx, whatever the stream is."""
    put(guarded, project, path, "public=true", body="abc")
    answer = guarded.request("GET", project.url(path), [("Authorization", "Bearer x"), ("Authorization", "Bearer y")])
    assert look(answer).status == 400, answer.describe()


def test_only_the_own_project_may_write(guarded: Client, project: Project, other: Project, path: str) -> None:
    put(guarded, project, path, "public=true", body="abc")
    for method, extra in (("POST", {"body": "x"}), ("POST", {"Stream_Closed": "true"}), ("PUT", {"body": "abc"}), ("DELETE", {})):
        for query in ("public=true", ""):
            target = project.url(path, query)
            check_no_token(look(ask(guarded, method, target, type="text/plain", **extra)))
            for bad in (other.token("manage"), project.token("write", expires_in=-1), "x"):
                check_bad_token(look(ask(guarded, method, target, bad, type="text/plain", **extra)))
            for small in (project.token("read"), project.token("write", stream_id=f"{path}x"), project.token("manage", stream_id=f"{path}/*")):
                check_forbidden(look(ask(guarded, method, target, small, type="text/plain", **extra)))
    answer = look(ask(guarded, "GET", project.url(path)))
    assert expect(answer, 200).body == b"abc" and "Stream-Closed" not in answer
    expect(look(ask(guarded, "POST", project.url(path), project.token("write", stream_id=path), type="text/plain", body="d")), 204)
    assert look(ask(guarded, "GET", project.url(path))).body == b"abcd"
    expect(look(ask(guarded, "DELETE", project.url(path), project.token("write"))), 204)
    check_no_token(look(ask(guarded, "GET", project.url(path))))


def test_what_is_beside_it_stays_guarded(guarded: Client, project: Project, other: Project, path: str) -> None:
    """Streams above, below and with longer names; the same path elsewhere; the list of the project."""
    put(guarded, project, path, "public=true", body="abc")
    put(guarded, other, path, body="abc")
    for name in (f"{path}/below", f"{path}x", path.rsplit("/", 1)[0]):
        put(guarded, project, name, body="abc")
        check_no_token(look(ask(guarded, "GET", project.url(name))))
    check_no_token(look(ask(guarded, "GET", other.url(path))))
    check_no_token(look(ask(guarded, "GET", f"/v1/stream/{path}")))
    check_no_token(look(ask(guarded, "GET", project.listing())))
    check_no_token(look(ask(guarded, "GET", project.url(f"{path}/absent"))))
    expect(look(ask(guarded, "GET", project.url(path))), 200)


def test_other_errors_are_told_to_anybody(guarded: Client, project: Project, path: str) -> None:
    """Once somebody may read, what is wrong with a read is no secret."""
    tail = put(guarded, project, path, "public=true", body="abc").offset
    for query, status, code in (("offset=x", 400, "OFFSET_INVALID"), ("live=long-poll", 400, None), ("live=sse", 400, None),
                                (f"offset={int(tail[:16]) + 1:016d}_{0:016d}", 410, "OFFSET_GONE")):  # fmt: skip
        for token in (None, "x"):
            check_refusal(look(ask(guarded, "GET", project.url(path, query), token)), status, code)


# Live readers without a token


def test_long_poll_waits_and_gets(guarded: Client, project: Project, path: str) -> None:
    tail = put(guarded, project, path, "public=true").offset
    for headers in ([], [("Authorization", "Bearer x")]):
        target = project.url(path, f"offset={tail}&live=long-poll")
        with Connection(guarded.stack.port, timeout=20) as connection:
            connection.send(build_request("GET", target, headers))
            assert connection.quiet_for(0.2)
            tail = project.append(guarded, path, "abc").offset
            answer = look(connection.read_response())
        assert expect(answer, 200).body == b"abc" and scope(answer) == "public", answer.describe()
        ended = look(guarded.request("GET", project.url(path, f"offset={tail}&live=long-poll"), headers))
        assert expect(ended, 204).get("Cache-Control") == "no-store"


@pytest.mark.parametrize("token", ["none", "bad", "ends"])
def test_events_go_on(guarded: Client, project: Project, path: str, token: str) -> None:
    """A token that ends does not end what needs none."""
    put(guarded, project, path, "public=true")
    sent = {"none": None, "bad": "x", "ends": project.token("read", expires_in=1)}[token]
    with LiveSource(guarded.stack, project.url(path, "live=sse&offset=-1"), sent) as source:
        assert look(source.head).get("Cache-Control") == "no-cache"
        source.control()
        if token == "ends":
            assert source.connection.quiet_for(1.5), "it goes on after the token's end"
        for text in ("abc", "def"):
            project.append(guarded, path, text)
            assert source.batch()[0] == text.encode()
        expect(ask(guarded, "DELETE", project.url(path), project.token("write")), 204)
        source.end()
