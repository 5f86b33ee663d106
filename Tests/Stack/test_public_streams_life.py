"""What becomes of a public stream: restarts, closure, segments, forks, deletion and creation as the other kind; and mode `none`."""

from __future__ import annotations

from contextlib import closing

import pytest

from access import Project, ask, check_bad_token, check_forbidden, check_no_token, command_json, wait_until
from client import Client, expect, unique, url
from isolation import SMALL_PIECES, hold, look, new_project, scope
from store import wait_for_rotation
from test_cache import own, served
from test_public_streams import FALSE, MALFORMED, TRUE, check_private, check_public, head, put


def test_it_lasts_over_restarts_and_in_files(fresh_stack) -> None:
    """In pool and live process; closed or open, in records or in a segment."""
    stack = fresh_stack(**SMALL_PIECES | {"DS_SEGMENT_MAX_MESSAGES": 2})
    project = new_project(stack)
    with closing(Client(stack)) as client:
        closed, opened = hold(client, project, query="public=true", Stream_Closed="true"), hold(client, project, query="public=true")
        private = hold(client, project, Stream_Closed="true")
        wait_for_rotation(stack)
    for _ in range(2):
        with closing(Client(stack)) as client:
            for held in (closed, opened):
                check_public(ask(client, "HEAD", project.url(held.path)))
                for query in ("", own(held.tail), "live=long-poll&offset=-1"):
                    answer = expect(look(ask(client, "GET", project.url(held.path, query))), 200)
                    assert held.content.startswith(answer.body) and answer.body and scope(answer) == "public", answer.describe()
                check_no_token(look(ask(client, "POST", project.url(held.path), type="text/plain", body="x")))
            check_private(head(client, project, private.path))
            check_no_token(private.deny(look(ask(client, "GET", private.target))))
            expect(put(client, project, opened.path), 409)
            check_public(put(client, project, opened.path, "public=true"))
        stack.stop()
        stack.start()


def test_it_is_kept_for_anybody(fresh_stack) -> None:
    """An inner piece, once: whoever asks."""
    stack = fresh_stack(**SMALL_PIECES)
    project = new_project(stack)
    with closing(Client(stack)) as client:
        held = hold(client, project, query="public=true")
        for token in (None, held.good, None, "x") * 2:
            held.warm(anonymous=True)
            answer = expect(look(ask(client, "GET", held.target, token)), 200)
            assert answer.body == held.content[:65536] and scope(answer) == "public", answer.describe()
            same = expect(look(ask(client, "GET", held.target, token, If_None_Match=answer.get("ETag") or "")), 304)
            assert scope(same) == "public", same.describe()
        for n in range(3):
            for _ in range(2):
                answer = expect(look(ask(client, "GET", project.url(held.path, own(held.tail, 196_608)))), 200)
                assert answer.body == held.content[196_608:] + b"+" * n and served(answer) != "HIT", answer.describe()
            project.append(client, held.path, "+")


def test_closure(guarded: Client, project: Project, path: str) -> None:
    put(guarded, project, path, "public=true", body="abc")
    expect(ask(guarded, "POST", project.url(path), project.token("write"), Stream_Closed="true"), 204)
    answer = look(ask(guarded, "GET", project.url(path)))
    assert expect(answer, 200).body == b"abc" and answer.get("Stream-Closed") == "true" and scope(answer) == "public"
    check_public(put(guarded, project, path, "public=true", Stream_Closed="true"))
    assert check_public(ask(guarded, "HEAD", project.url(path))).get("Stream-Closed") == "true"


def test_expiry(guarded: Client, project: Project, path: str) -> None:
    """When it has ended by time it is as absent as any other: nobody without a token is told even that."""
    put(guarded, project, path, "public=true", body="abc", Stream_TTL="1")
    check_public(ask(guarded, "HEAD", project.url(path)))
    wait_until(lambda: ask(guarded, "HEAD", project.url(path), project.token("read")).status == 404, "it has expired", within=10)
    for method in ("GET", "HEAD"):
        check_no_token(look(ask(guarded, method, project.url(path))), method == "HEAD")
    check_private(put(guarded, project, path), 201)
    check_no_token(look(ask(guarded, "GET", project.url(path))))


def test_made_again_as_the_other_kind(guarded: Client, project: Project, path: str) -> None:
    """The new stream alone decides, from its creation on."""
    for round in range(6):
        public = round % 2 == 0
        (check_public if public else check_private)(put(guarded, project, path, "public=true" if public else "", body=f"<{round}>"), 201)
        for query in ("", "offset=-1", "live=long-poll&offset=-1"):
            answer = look(ask(guarded, "GET", project.url(path, query)))
            if public:
                assert expect(answer, 200).body == f"<{round}>".encode() and scope(answer) == "public"
            else:
                check_no_token(answer)
                answer = look(ask(guarded, "GET", project.url(path, query), project.token("read")))
                assert expect(answer, 200).body == f"<{round}>".encode() and scope(answer) == "private"
        expect(look(ask(guarded, "DELETE", project.url(path), project.token("write"))), 204)


# Forks


def fork(http: Client, project: Project, path: str, source: str, query: str = "", **extra: str):
    return put(http, project, path, query, Stream_Forked_From=source, **extra)


def test_forks_do_not_inherit_it(guarded: Client, project: Project, path: str) -> None:
    """Nor do forks of forks; each says for itself."""
    put(guarded, project, path, "public=true", body="abc")
    check_private(fork(guarded, project, f"{path}/a", project.url(path)), 201)
    check_no_token(look(ask(guarded, "GET", project.url(f"{path}/a"))))
    check_public(fork(guarded, project, f"{path}/b", project.url(path), "public=true"), 201)
    assert expect(look(ask(guarded, "GET", project.url(f"{path}/b"))), 200).body == b"abc"
    check_private(fork(guarded, project, f"{path}/b/c", project.url(f"{path}/b"), "public=false"), 201)
    check_no_token(look(ask(guarded, "GET", project.url(f"{path}/b/c"))))
    # A public fork of a private stream shows what it inherits; its source stays as it is.
    check_public(fork(guarded, project, f"{path}/a/d", project.url(f"{path}/a"), "public=true"), 201)
    assert expect(look(ask(guarded, "GET", project.url(f"{path}/a/d"))), 200).body == b"abc"
    check_no_token(look(ask(guarded, "GET", project.url(f"{path}/a"))))


def test_repeated_forks_are_compared(guarded: Client, project: Project, path: str) -> None:
    """Leaving it out means `false`, whatever the source is."""
    source = project.url(path)
    put(guarded, project, path, "public=true", body="abc")
    fork(guarded, project, f"{path}/a", source)
    check_private(fork(guarded, project, f"{path}/a", source))
    expect(fork(guarded, project, f"{path}/a", source, "public=true"), 409)
    fork(guarded, project, f"{path}/b", source, "public=true")
    check_public(fork(guarded, project, f"{path}/b", source, "public=true"))
    for query in ("", "public=false"):
        expect(fork(guarded, project, f"{path}/b", source, query), 409)


def test_public_sources_may_be_forked(guarded: Client, project: Project, path: str) -> None:
    """By whoever may write the fork in the same project; private ones only where the token reaches."""
    other = new_project(guarded.stack)
    put(guarded, project, f"{path}/public", "public=true", body="abc")
    put(guarded, project, f"{path}/private", body="abc")
    for source in ("public", "private", "absent"):
        check_forbidden(fork(guarded, other, path, project.url(f"{path}/{source}")))
    small = project.token("write", stream_id=f"{path}/small")
    for source, status in (("public", 201), ("private", 403)):
        answer = look(ask(guarded, "PUT", project.url(f"{path}/small"), small, Stream_Forked_From=project.url(f"{path}/{source}")))
        expect(answer, status)
        if status == 201:
            expect(ask(guarded, "DELETE", project.url(f"{path}/small"), small), 204)
    # As soon as it is there no more, it is like any other that nobody may see.
    expect(ask(guarded, "DELETE", project.url(f"{path}/public"), project.token("write")), 204)
    check_forbidden(look(ask(guarded, "PUT", project.url(f"{path}/small"), small, Stream_Forked_From=project.url(f"{path}/public"))))


def test_a_public_fork_outlives_its_source(guarded: Client, project: Project, path: str) -> None:
    put(guarded, project, path, body="abc")
    fork(guarded, project, f"{path}/f", project.url(path), "public=true")
    expect(ask(guarded, "DELETE", project.url(path), project.token("write")), 204)
    check_no_token(look(ask(guarded, "GET", project.url(path))))
    check_public(ask(guarded, "HEAD", project.url(f"{path}/f")))
    assert expect(look(ask(guarded, "GET", project.url(f"{path}/f"))), 200).body == b"abc"


def test_projects_list_says_it(guarded: Client, project: Project) -> None:
    """The command line and the list know the same."""
    for name, query in (("a", "public=true"), ("b", "")):
        put(guarded, project, name, query)
    listed = command_json(guarded.stack, "streams", project.name)["streams"]
    assert [(entry["path"], entry["public"]) for entry in listed] == [("a", True), ("b", False)]


# Mode `none`


@pytest.mark.parametrize("query", TRUE.values(), ids=TRUE.keys())
def test_true_without_access_control(http: Client, path: str, query: str) -> None:
    """The mark is kept and compared; reading is as before, and so is its scope."""
    for status in (201, 200):
        assert expect(http.request("PUT", url(path, query), [("Content-Type", "text/plain")], b"abc"), status).get("Stream-Public") == "true"
    assert http.head(path).get("Stream-Public") == "true"
    for other in ("", "public=false"):
        expect(http.request("PUT", url(path, other), [("Content-Type", "text/plain")]), 409)
    for _ in range(2):
        read = expect(http.get(path), 200)
        assert scope(read) == "public" and read.body == b"abc" and "Stream-Reader-Key" not in read
        assert scope(expect(http.get(path, Authorization="Bearer x"), 200)) == "private"
    expect(http.post(path, "text/plain", "d"), 204)
    expect(http.delete(path), 204)


@pytest.mark.parametrize("query", FALSE.values(), ids=FALSE.keys())
def test_absent_without_access_control(http: Client, path: str, query: str) -> None:
    for status in (201, 200):
        answer = expect(http.request("PUT", url(path, query), [("Content-Type", "text/plain")]), status)
        assert "Stream-Public" not in answer and "Stream-Reader-Key" not in answer, answer.describe()
    assert "Stream-Public" not in http.head(path)
    expect(http.request("PUT", url(path, "public=true"), [("Content-Type", "text/plain")]), 409)
    expect(http.put(path, "text/plain"), 200)


@pytest.mark.parametrize("query", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_without_access_control(http: Client, path: str, query: str) -> None:
    answer = expect(http.request("PUT", url(path, query), [("Content-Type", "text/plain")], b"abc"), 400)
    assert b'"PUBLIC_INVALID"' in answer.body and answer.get("Cache-Control") == "no-store", answer.describe()
    expect(http.head(path), 404)
    http.create(path, "text/plain", "abc")
    for method in ("GET", "HEAD", "POST"):
        headers, body = ([("Content-Type", "text/plain")], b"d") if method == "POST" else ([], None)
        assert http.request(method, url(path, query), headers, body).status in (200, 204)


def test_forks_without_access_control(http: Client) -> None:
    path = unique("pub")
    expect(http.request("PUT", url(path, "public=true"), [("Content-Type", "text/plain")], b"abc"), 201)
    assert "Stream-Public" not in http.fork(f"{path}/a", path)
    made = http.request("PUT", url(f"{path}/b", "public=true"), [("Stream-Forked-From", url(path))])
    assert expect(made, 201).get("Stream-Public") == "true" and "Stream-Public" not in http.head(f"{path}/a")


def test_the_mark_counts_once_tokens_are_asked_for(fresh_stack) -> None:
    """Made in mode `none`, and served later by a server that guards: only what was marked is everybody's."""
    stack = fresh_stack()
    with closing(Client(stack)) as client:
        expect(client.request("PUT", url("a", "public=true"), [("Content-Type", "text/plain")], b"abc"), 201)
        client.create("b", "text/plain", "abc")
    stack.stop()
    stack.settings |= {"DS_AUTH": "project-jwt"}
    stack.start()
    default = new_project(stack, "_default")
    with closing(Client(stack)) as client:
        assert expect(look(ask(client, "GET", default.url("a"))), 200).body == b"abc"
        check_no_token(look(ask(client, "GET", default.url("b"))))
        check_private(head(client, default, "b"))
        check_public(head(client, default, "a"))
