"""Which tokens are refused, by every way in, and that a refusal tells nothing but that it is one."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from access import Project, ask, bearer, check_bad_token, check_no_token, wait_until
from bad_tokens import BAD, Bad, base64url, raw, rest
from client import Client, expect
from refusals import WAYS, Log, check_everywhere, seen, send
from stack import Stack


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_bad_token(guarded: Client, project: Project, path: str, guarded_log: Log, bad: Bad) -> None:
    """401 by every way; the log says why, and never with what."""
    token = bad.make(project)
    check_everywhere(guarded, project, path, bearer(token), check_bad_token)
    guarded_log.wait_for(bad.reason)
    # The first part is alike in most tokens; a line that has it has been copied from a token all the same.
    guarded_log.check_without(token, project.secret, *(part for part in token.split(".") if len(part) > 15))


def test_reason_is_for_the_log_alone(guarded: Client, project: Project, path: str) -> None:
    """All refused tokens are answered with the same bytes."""
    answers = {seen(ask(guarded, "GET", project.url(path), bad.make(project))) for bad in BAD.values()}
    assert len(answers) == 1, answers


def test_other_project(guarded: Client, jwt_stack: Stack, project: Project, path: str, guarded_log: Log) -> None:
    """A good token of another project is a bad one here, and an unknown project is answered alike."""
    other = Project(jwt_stack)
    named = [other.token("manage", sub=project.name), project.token("manage", sub=other.name)]
    for number, token in enumerate([other.token("manage"), *named]):
        check_everywhere(guarded, project, f"{path}-{number}", bearer(token), check_bad_token)
    known = ask(guarded, "GET", project.url(path), other.token())
    unknown = ask(guarded, "GET", f"/v1/{project.name}-unknown/stream/{path}", other.token())
    named = ask(guarded, "GET", f"/v1/{project.name}-unknown/stream/{path}", other.token(sub=f"{project.name}-unknown"))
    assert seen(check_bad_token(known)) == seen(check_bad_token(unknown)) == seen(check_bad_token(named))
    assert seen(check_no_token(ask(guarded, "GET", project.url(path)))) == seen(
        check_no_token(ask(guarded, "GET", f"/v1/{project.name}-unknown/stream/{path}"))
    )
    guarded_log.check_without(project.secret, other.secret)


GOOD: dict[str, Callable[[Project], str]] = {
    "pyjwt": lambda p: p.token(),
    "fractional-exp": lambda p: p.token(exp=time.time() + 60.75),
    "exp-with-exponent": lambda p: raw(p, '{"sub":"%s","scope":"read","exp":4.1e9}' % p.name),
    "exp-far-away": lambda p: p.token(exp=99_999_999_999),
    "nbf-now": lambda p: p.token(nbf=int(time.time())),
    "nbf-fractional": lambda p: p.token(nbf=time.time() - 0.5, iat=time.time() - 0.25),
    "nbf-within-the-leeway": lambda p: p.token(nbf=time.time() + 50, iat=time.time() + 50),
    "iat-long-ago": lambda p: p.token(iat=0, nbf=0),
    "extra-claims": lambda p: p.token(iss="https://a.example", jti="1", roles=["a", {"b": None}], deep={"exp": 0}),
    "array-aud": lambda p: p.token(aud=["https://a.example", "https://b.example"]),
    "string-aud": lambda p: p.token(aud="streams"),
    "kid-and-typ": lambda p: p.token(header={"kid": "key-1", "typ": "at+jwt", "x": {"alg": "none"}}),
    "no-typ": lambda p: raw(p, "{%s}" % rest(p), '{"alg":"HS256"}'),
    "white-space": lambda p: raw(p, " {\n\t%s }\r\n" % rest(p), ' { "alg" :\t"HS256" } '),
    "escaped-member": lambda p: raw(p, ("{%s}" % rest(p)).replace('"sub"', '"\\u0073ub"')),
    "not-ascii": lambda p: p.token(name="Zoë 😀"),
    "scopes": lambda p: p.token("write read manage"),
}


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD.keys())
def test_good_token(guarded: Client, project: Project, path: str, make: Callable[[Project], str]) -> None:
    """What others make by the same rules opens the stream, by each way to read it."""
    project.create(guarded, path, "text/plain", "abc", Stream_Closed="true")
    token = make(project)
    for query in ("", "live=long-poll&offset=-1"):
        assert expect(ask(guarded, "GET", project.url(path, query), token), 200).body == b"abc"
    expect(ask(guarded, "HEAD", project.url(path), token), 200)
    assert b"data:abc" in expect(ask(guarded, "GET", project.url(path, "live=sse&offset=-1"), token), 200).body


UNUSABLE = {
    "scope-missing": {"scope": None},
    "scope-empty": {"scope": ""},
    "scope-blank": {"scope": " "},
    "scope-unknown": {"scope": "admin"},
    "scope-upper-case": {"scope": "READ"},
    "scope-with-comma": {"scope": "read,write"},
    "stream-id-empty": {"scope": "manage", "stream_id": ""},
    "stream-id-slash": {"scope": "manage", "stream_id": "/*"},
}


@pytest.mark.parametrize("claims", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_no_usable_scope(guarded: Client, project: Project, path: str, claims: dict[str, str | None]) -> None:
    """401 or 403, but never in; and nothing is told."""
    project.create(guarded, path, "text/plain", "kept")
    headers = bearer(project.token(**claims))
    for way in WAYS:
        there = send(guarded, lambda query: project.url(path, query), way, headers)
        missing = send(guarded, lambda query: project.url(f"{path}-missing", query), way, headers)
        assert there.status in (401, 403), there.describe()
        assert seen(there) == seen(missing), f"{there.describe()}\n{missing.describe()}"
    assert ask(guarded, "GET", project.url(path), project.token()).body == b"kept"


def test_rotation(guarded: Client, project: Project, path: str) -> None:
    """A new secret works beside the old one; a removed one ends within three seconds, by every way."""
    project.create(guarded, path, "text/plain", "abc")
    old_id, old = next(iter(project.secrets.items()))

    def status(secret: str, query: str = "", method: str = "GET") -> int:
        # A claim of its own: nginx may remember a verdict for a second.
        token = project.token("write", secret=secret, jti=str(time.monotonic_ns()))
        return ask(guarded, method, project.url(path, query), token).status

    project.add_secret()
    ways = [("", "GET"), ("live=long-poll&offset=-1", "GET"), ("", "HEAD")]
    wait_until(lambda: all(status(project.secret, *way) == 200 for way in ways), "the new secret works")
    kept = project.token("read", secret=old)
    for way in ways:
        assert status(old, *way) == 200
    assert ask(guarded, "GET", project.url(path), kept).status == 200

    project.remove_secret(old_id)
    wait_until(lambda: all(status(old, *way) == 401 for way in ways), "the old secret works no more")
    # The token that was taken a moment ago too.
    wait_until(lambda: ask(guarded, "GET", project.url(path), kept).status == 401, "the remembered verdict ends")
    check_bad_token(ask(guarded, "PUT", project.url(path), project.token("write", secret=old)))
    for way in ways:
        assert status(project.secret, *way) == 200


def test_rotation_back_and_forth(guarded: Client, project: Project) -> None:
    """Old secrets never come back, however many have been there."""
    gone = []
    for _ in range(3):
        project.add_secret()
        gone.append(project.remove_secret(min(project.secrets)))
    newest = project.token()
    wait_until(lambda: ask(guarded, "GET", project.url("a"), newest).status == 404, "the newest works")
    olds = [project.token(secret=secret) for secret in gone]
    wait_until(lambda: all(ask(guarded, "GET", project.url("a"), old).status == 401 for old in olds), "no old one does")


def test_padding_of_the_signed_text_is_no_spelling_of_it(guarded: Client, project: Project) -> None:
    """The claims of a good token under another header that says the same: signed is what was sent."""
    header, claims, signature = project.token().split(".")
    other = base64url('{"typ":"JWT","alg":"HS256"}')
    assert other != header
    check_bad_token(ask(guarded, "GET", project.url("a"), f"{other}.{claims}.{signature}"))
