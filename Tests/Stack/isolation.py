"""A server that keeps small pieces, a stream that is warm in its cache, and all the ways in which others may ask for it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pytest

from access import (
    BAD_TOKEN,
    GUARDED,
    NO_TOKEN,
    Project,
    ask,
    bearer,
    check_bad_token,
    check_forbidden,
    check_no_token,
    check_refusal,
    wait_known,
)
from client import Client, at, expect, unique
from stack import DEFAULTS, Stack, remove_tree, temporary_root
from test_cache import own, served
from wire import Response

# Small pieces, so that a stream of some 200 KB has inner ones, and live reads that end soon.
SMALL_PIECES = GUARDED | {"DS_READ_CHUNK_BYTES": 65536, "DS_LONG_POLL_TIMEOUT": 0.5, "DS_SSE_LIFETIME": 1, "DS_SSE_KEEP_ALIVE": 1}
SIZE = 200_000

# Every header that a client may see. Whatever else is on an answer is one of those by which the server's parts talk.
VISIBLE = {
    "access-control-allow-headers", "access-control-allow-methods", "access-control-allow-origin", "access-control-expose-headers",
    "access-control-max-age", "allow", "cache-control", "connection", "content-encoding", "content-length", "content-type",
    "cross-origin-resource-policy", "date", "etag", "location", "retry-after", "server", "stream-closed", "stream-cursor",
    "stream-earliest-offset", "stream-expires-at", "stream-next-offset", "stream-public", "stream-reader-key", "stream-sse-data-encoding", "stream-ttl",
    "stream-up-to-date", "transfer-encoding", "vary", "www-authenticate", "x-accel-buffering", "x-cache", "x-content-type-options",
}  # fmt: skip

Headers = list[tuple[str, str]]


def look(answer: Response) -> Response:
    """Nothing of what the server's parts tell each other is visible, nor is anything there twice."""
    names = [name.lower() for name, _ in answer.headers]
    assert not (unknown := set(names) - VISIBLE), f"{unknown} on {answer.describe()}"
    twice = {name for name in names if names.count(name) > 1} - {"vary"}
    assert not twice, f"{twice} twice on {answer.describe()}"
    return answer


def scope(answer: Response) -> str:
    """`public` or `private`, of an answer that may be kept for a time."""
    value = answer.get("Cache-Control") or ""
    word, _, rest = value.partition(", max-age=")
    assert word in ("public", "private") and rest, answer.describe()
    return word


@contextmanager
def running(**settings: object) -> Iterator[Stack]:
    root = temporary_root()
    stack = Stack(root / "data", **(DEFAULTS | SMALL_PIECES | settings))
    try:
        stack.start()
        yield stack
        stack.stop()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


@pytest.fixture(scope="module")
def cut_stack() -> Iterator[Stack]:
    """Asks for tokens; pieces of 64 KiB."""
    with running() as stack:
        yield stack


@pytest.fixture
def cut(cut_stack: Stack) -> Iterator[Client]:
    with closing(Client(cut_stack)) as client:
        yield client


def new_project(stack: Stack, name: str | None = None) -> Project:
    made = Project(stack, name)
    wait_known(stack, made)
    return made


@pytest.fixture(scope="module")
def mine(cut_stack: Stack) -> Project:
    """The project whose streams are asked for."""
    return new_project(cut_stack)


@pytest.fixture(scope="module")
def other(cut_stack: Stack) -> Project:
    return new_project(cut_stack)


def marked(mark: str, size: int = SIZE) -> bytes:
    """Content every part of which tells where it is from."""
    word = f"<{mark}>".encode()
    return (word * (size // len(word) + 1))[:size]


@dataclass
class Held:
    """A stream with content of its own, and a reader who may see it."""

    http: Client
    project: Project
    path: str
    tail: str
    mark: str
    good: str = field(repr=False)

    @property
    def target(self) -> str:
        """An inner piece, by token: what may be stored."""
        return self.project.url(self.path, own(self.tail))

    @property
    def content(self) -> bytes:
        return marked(self.mark)

    def read(self, target: str | None = None, token: str | None = None, **extra: object) -> Response:
        return look(ask(self.http, "GET", target or self.target, token or self.good, **extra))

    def warm(self, target: str | None = None, anonymous: bool = False) -> Response:
        """Read until it comes from the cache. A copy lasts a second, so it may just have ended."""
        for _ in range(5):
            answer = expect(look(ask(self.http, "GET", target or self.target, None if anonymous else self.good)), 200)
            if served(answer) == "HIT":
                return answer
        raise AssertionError(f"it is not kept: {answer.describe()}")

    def key(self) -> str:
        head = expect(look(ask(self.http, "HEAD", self.project.url(self.path), self.good)), 200)
        return head.get("Stream-Reader-Key") or ""

    def deny(self, answer: Response) -> Response:
        """Not a byte of the content."""
        assert self.mark.encode() not in answer.body and answer.status not in (200, 206, 304), answer.describe()
        return answer


def hold(http: Client, project: Project, path: str | None = None, type: str = "text/plain", **extra: str) -> Held:
    """A new stream of four pieces, with characters in its path that can be spelled in several ways."""
    path, mark = path or f"{unique('iso')}/caf%C3%A9~", unique("mark")
    tail = look(project.create(http, path, type, marked(mark), **extra)).offset
    return Held(http, project, path, tail, mark, project.token("read", jti=mark))


# How one may ask.


@dataclass(frozen=True)
class Question:
    """One way to ask for a stream; `seen` says whether who may read gets content by it, None that it does not matter."""

    what: str
    target: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    seen: bool | None = True


def spellings(path: str) -> list[str]:
    """Other ways to write a path of `hold`."""
    return [path.replace("iso/", "%69so/"), path.replace("iso/", "is%6F/"), path.replace("iso/", "%69%73%6f/"), path.replace("%C3%A9", "%c3%a9"),
            path.replace("~", "%7E"), path.replace("~", "%7e")]  # fmt: skip


def questions(held: Held, etag: str, key: str) -> list[Question]:
    """By all spellings, parameters, headers and methods that may meet something warm."""
    url, path, token = held.project.url, held.path, own(held.tail)
    plain = url(path, token)
    found = [Question("plain", plain)]
    queries = ["", "offset=-1", "offset=%2D1", own(held.tail, 7), f"{token}&x=1", f"x=1&{token}", f"{token}&", f"&{token}", f"{token}&live=other",
               f"cursor=7&{token}", f"%6Fffset={at(held.tail, 0)}", f"offset=%30{at(held.tail, 0)[1:]}", f"{token}&rk={key}", f"rk={key}&{token}",
               f"rk={key}", f"{token}&rk=", f"{token}&rk=x&rk={key}", f"{token}&public=true", f"live=long-poll&{token}",
               f"{token}&live=long-poll&rk={key}"]  # fmt: skip
    found += [Question(query or "no query", url(path, query)) for query in queries]
    # What is refused, or has no content, for everybody.
    none = ["offset=now", f"{token}&{token}", f"{token}&offset=now", f"offset={token}", "live=long-poll", "live=sse"]
    found += [Question(query, url(path, query), seen=False) for query in none]
    # Not asked by who may read: it would last.
    found += [Question(query, url(path, query), seen=None) for query in (f"live=sse&{token}", f"live=sse&{token}&rk={key}", f"live=ss%65&{token}")]
    found += [Question(spelled, url(spelled, token)) for spelled in spellings(path)]
    found += [Question(f"start of {spelled}", url(spelled)) for spelled in spellings(path)]
    headers = {
        "range": ("Range", "bytes=0-99"), "last-range": ("Range", "bytes=-5"), "if-range": ("If-Range", etag), "gzip": ("Accept-Encoding", "gzip"),
        "if-modified-since": ("If-Modified-Since", "Sat, 01 Jan 2050 00:00:00 GMT"), "no-cache": ("Cache-Control", "no-cache"),
        "only-if-cached": ("Cache-Control", "only-if-cached, max-stale"), "pragma": ("Pragma", "no-cache"), "origin": ("Origin", "https://a.example"),
    }  # fmt: skip
    found += [Question(what, plain, headers=(header,)) for what, header in headers.items()]
    conditions = [etag, f"W/{etag}", f'"zz", {etag}', "*"]
    found += [Question(f"if-none-match {tag}", plain, headers=(("If-None-Match", tag),), seen=False) for tag in conditions]
    found += [Question(f"if-match {tag}", plain, headers=(("If-Match", tag),), seen=None) for tag in (etag, "*")]
    return found + [Question("head", plain, "HEAD", seen=False), Question("head of the start", url(path), "HEAD", seen=False)]


# Who may not read.

Check = Callable[[Response, bool], Response]


def encoded(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def check_unknown(answer: Response, head: bool = False) -> Response:
    """401, without a judgement about what an empty or other kind of credentials is."""
    challenge = answer.get("WWW-Authenticate")
    assert challenge in (NO_TOKEN, BAD_TOKEN), answer.describe()
    return check_refusal(answer, 401, None if head else "TOKEN_REQUIRED" if challenge == NO_TOKEN else "TOKEN_INVALID", challenge)


def _other_payload(held: Held, other: Project) -> str:
    head, _, signature = held.good.split(".")
    return f"{head}.{encoded(held.project.claims('manage'))}.{signature}"


def _other_signature(held: Held, other: Project) -> str:
    return ".".join([*held.good.split(".")[:2], held.project.token("manage").split(".")[2]])


def _of_expired(held: Held, other: Project) -> str:
    """The claims of a token that was good once, with the signature of one that is good now."""
    return ".".join([*held.project.token(expires_in=-5).split(".")[:2], held.good.split(".")[2]])


def _unsigned(held: Held, other: Project) -> str:
    return f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{held.good.split('.')[1]}."


TOKENS: dict[str, tuple[Callable[[Held, Project], str], Check]] = {
    "other-project": (lambda held, other: other.token("read"), check_bad_token),
    "other-project-manage": (lambda held, other: other.token("manage"), check_bad_token),
    "our-name-their-secret": (lambda held, other: other.token("read", sub=held.project.name), check_bad_token),
    "their-name-our-secret": (lambda held, other: held.project.token("read", sub=other.name), check_bad_token),
    "expired": (lambda held, other: held.project.token("read", expires_in=-5), check_bad_token),
    "not-yet": (lambda held, other: held.project.token("read", nbf=int(time.time()) + 3600), check_bad_token),
    "same-signature-other-payload": (_other_payload, check_bad_token),
    "signature-of-another": (_other_signature, check_bad_token),
    "expired-with-good-signature": (_of_expired, check_bad_token),
    "unsigned": (_unsigned, check_bad_token),
    "cut": (lambda held, other: held.good[:-1], check_bad_token),
    "longer": (lambda held, other: held.good + "A", check_bad_token),
    "upper-case": (lambda held, other: held.good.swapcase(), check_bad_token),
    "other-stream": (lambda held, other: held.project.token("read", stream_id=f"{held.path}x"), check_forbidden),
    "prefix-of-it": (lambda held, other: held.project.token("manage", stream_id=held.path[:-1]), check_forbidden),
    "below-it": (lambda held, other: held.project.token("read", stream_id=f"{held.path}/*"), check_forbidden),
    "beside-it": (lambda held, other: held.project.token("write", stream_id="iso/elsewhere/*"), check_forbidden),
}


def _basic(held: Held) -> Headers:
    return [("Authorization", "Basic " + base64.b64encode(f"x:{held.good}".encode()).decode())]


STRANGERS: dict[str, Callable[[Held, Project], tuple[Headers, Check]]] = {
    "nobody": lambda held, other: ([], check_no_token),
    "basic": lambda held, other: (_basic(held), check_unknown),
    "empty-token": lambda held, other: ([("Authorization", "Bearer ")], check_unknown),
    "no-scheme": lambda held, other: ([("Authorization", held.good)], check_unknown),
    "other-scheme": lambda held, other: ([("Authorization", f"Token {held.good}")], check_unknown),
} | {
    name: lambda held, other, make=make, check=check: (list(bearer(make(held, other)).items()), check)
    for name, (make, check) in TOKENS.items()
}  # fmt: skip
