"""What was allowed ends: tokens, secrets, keys and streams go, and what is kept of them reaches nobody any more."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable

import pytest

from access import NOTICED, Project, ask, check_bad_token, check_no_token, command_json, wait_known, wait_until
from client import Client, expect, unique
from isolation import Held, cut, cut_stack, hold, look, marked, mine, new_project, other, questions, scope  # noqa: F401 (fixtures)
from stack import Stack
from test_cache import STALE_LIMIT, own, served
from wire import Response


def expiry(token: str) -> int:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]


@pytest.mark.parametrize("query", ["{piece}", "", "{piece}&live=long-poll", "{piece}&rk={key}"], ids=["piece", "start", "long-poll", "key"])
def test_an_expired_token_gets_nothing(cut: Client, mine: Project, query: str) -> None:
    """Not a moment longer than it says, though its reader has filled the cache and others keep it warm."""
    held = hold(cut, mine)
    target = mine.url(held.path, query.format(piece=own(held.tail), key=held.key()))
    token = mine.token("read", expires_in=2)
    allowed = refused = 0
    while refused < 20:
        held.read(target)
        before = time.time()
        answer = held.read(target, token)
        if before >= expiry(token):
            check_bad_token(held.deny(answer))
            refused += 1
        elif time.time() < expiry(token):
            assert expect(answer, 200).body == held.content[:65536]
            allowed += 1
    assert allowed > 20
    assert expect(held.read(target), 200).body == held.content[:65536]


@pytest.mark.parametrize("part", [0.1, 0.35, 0.6, 0.85])
def test_a_token_that_ends_within_a_second(cut: Client, mine: Project, part: float) -> None:
    """What nginx remembers of it is for whole seconds; the token ends between two, and nothing is served from then on."""
    held = hold(cut, mine)
    held.warm()
    exp = int(time.time() + 1.2) + part
    exp += exp < time.time() + 0.5
    token, hits, refused = mine.token("read", exp=exp), 0, 0
    while (sent := time.time()) < exp + 1.2:
        answer = held.read(token=token)
        if sent >= exp:
            check_bad_token(held.deny(answer))
            refused += 1
        elif answer.status == 200:
            hits += served(answer) in ("HIT", "REVALIDATED")
        else:
            assert time.time() >= exp, f"refused {exp - time.time():.3f} s before exp"
    assert hits > 20 and refused > 20, (hits, refused)
    held.warm()


def test_a_removed_secret_opens_nothing(cut_stack: Stack, cut: Client) -> None:
    """Within two seconds, for every token that it has signed, whatever is warm; those of the other secret go on."""
    project = new_project(cut_stack)
    held = hold(cut, project)
    first = list(project.secrets)[0]
    tokens = [held.good, project.token("manage"), project.token("read", stream_id=held.path)]
    project.add_secret()
    wait_known(cut_stack, project)
    later = project.token("read")
    for token in [*tokens, later]:
        expect(held.read(token=token), 200)
    secret = project.remove_secret(first)
    removed_at = time.monotonic()
    while time.monotonic() - removed_at < NOTICED:
        for token in [*tokens, project.token("read", secret=secret, jti=unique())]:
            answer = held.read(token=token)
            if answer.status != 200:
                check_bad_token(held.deny(answer))
                tokens = [left for left in tokens if left != token]
        assert expect(held.read(token=later), 200).body == held.content[:65536]
        time.sleep(0.02)
    assert not tokens, "they are still let in"
    # From now on all of them, in all ways.
    etag = held.read(token=later).get("ETag") or ""
    for question in questions(held, etag, ""):
        expect(held.read(token=later), 200)
        answer = look(ask(cut, question.method, question.target, held.good, headers=question.headers))
        check_bad_token(held.deny(answer), question.method == "HEAD")


@pytest.mark.parametrize("of", ["project", "stream"])
def test_a_rotated_reader_key(cut_stack: Stack, cut: Client, of: str) -> None:
    """A copy that was kept as `public` is not told of as such once its key is another; no key ever stands for a token."""
    project = new_project(cut_stack)
    held, sibling = hold(cut, project), hold(cut, project)
    old, siblings = held.key(), sibling.key()
    target = f"{held.target}&rk={old}"
    assert scope(held.warm(target)) == "public" and scope(held.warm()) == "private"
    check_no_token(held.deny(look(ask(cut, "GET", target))))
    command_json(cut_stack, "rotate-reader-key", project.name, *([held.path] if of == "stream" else []))
    wait_until(lambda: held.key() != old, "the key is another")
    wait_until(lambda: scope(held.read(target)) == "private", "the old key is known to be one")
    new = held.key()
    renewed = f"{held.target}&rk={new}"
    for _ in range(10):
        assert scope(held.read(target)) == "private" and scope(held.read(renewed)) == "public"
        for asked in (target, renewed):
            check_no_token(held.deny(look(ask(cut, "GET", asked))))
    wait_until(lambda: scope(sibling.read(f"{sibling.target}&rk={siblings}")) == ("public" if of == "stream" else "private"), "others as they should be")
    assert (sibling.key() == siblings) == (of == "stream")


# Deletion and creation: what is warm of the one stream, asked for while there is another.


def warm_public(http: Client, project: Project, path: str) -> tuple[Held, list[str]]:
    held = hold(http, project, path, query="public=true")
    targets = [held.target, project.url(path, own(held.tail, 7)), project.url(path, own(held.tail, 65536)), f"{held.target}&x=1"]
    for target in targets:
        assert held.mark.encode() in held.warm(target, anonymous=True).body
    return held, [*targets, project.url(path), project.url(path, "offset=-1"), project.url(path, f"{own(held.tail)}&live=long-poll")]


def warm_private(http: Client, project: Project, path: str) -> tuple[Held, list[str]]:
    held = hold(http, project, path)
    targets = [held.target, project.url(path, own(held.tail, 7)), project.url(path, own(held.tail, 65536)), f"{held.target}&rk={held.key()}"]
    for target in targets:
        held.warm(target)
    return held, [*targets, project.url(path), project.url(path, "offset=-1"), project.url(path, f"{own(held.tail)}&live=long-poll")]


def keep_asking(targets: list[str], asking: Callable[[str], None], within: float = STALE_LIMIT + 0.5) -> None:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        for target in targets:
            asking(target)


def test_public_then_private(cut: Client, mine: Project, other: Project) -> None:
    """From the answer to the new stream's PUT on nobody without a token gets a byte of either."""
    path = f"{unique('iso')}/caf%C3%A9~"
    old, targets = warm_public(cut, mine, path)
    expect(look(ask(cut, "DELETE", mine.url(path), mine.token("write"))), 204)
    new = hold(cut, mine, path)
    reader = mine.token("read")

    def asking(target: str) -> None:
        for check, token in ((check_no_token, None), (check_bad_token, other.token("read"))):
            for headers in ({}, {"If_None_Match": "*"}, {"Accept_Encoding": "gzip"}):
                check(new.deny(old.deny(look(ask(cut, "GET", target, token, **headers)))))
        answer = look(ask(cut, "GET", target, reader))
        assert answer.status == 410 or answer.body in new.content or answer.body in old.content and served(answer) == "HIT", answer.describe()

    keep_asking(targets, asking)
    expect(look(ask(cut, "GET", old.target, reader)), 410)


def test_private_then_public(cut: Client, mine: Project) -> None:
    """Whoever comes since then sees the new stream, never what was kept of the one before."""
    path = f"{unique('iso')}/caf%C3%A9~"
    old, targets = warm_private(cut, mine, path)
    expect(look(ask(cut, "DELETE", mine.url(path), mine.token("write"))), 204)
    new = hold(cut, mine, path, query="public=true")

    def asking(target: str) -> None:
        for headers in ({}, {"If_None_Match": "*"}):
            answer = look(ask(cut, "GET", target, **headers))
            assert old.mark.encode() not in answer.body, answer.describe()
            assert answer.status in (200, 304) if "offset=-1" in target or "offset" not in target else answer.status == 410, (target, answer.describe())
            assert answer.status != 200 or answer.body == new.content[:65536], answer.describe()

    keep_asking(targets, asking)


def test_private_then_private(cut: Client, mine: Project, other: Project) -> None:
    """Strangers stay outside; who may read gets what is new, and by an old token what was, for two seconds at most."""
    path = f"{unique('iso')}/caf%C3%A9~"
    old, targets = warm_private(cut, mine, path)
    expect(look(ask(cut, "DELETE", mine.url(path), mine.token("write"))), 204)
    new = hold(cut, mine, path)

    def asking(target: str) -> None:
        for check, token in ((check_no_token, None), (check_bad_token, other.token("read"))):
            check(new.deny(old.deny(look(ask(cut, "GET", target, token)))))
        answer = look(ask(cut, "GET", target, new.good))
        if target in targets[-3:-1]:
            assert expect(answer, 200).body == new.content[:65536]
        else:
            assert answer.status == 410 or answer.body in old.content and served(answer) == "HIT", answer.describe()

    keep_asking(targets, asking)
    for target in targets[:4]:
        expect(look(ask(cut, "GET", target, new.good)), 410)


def test_deleted_and_not_made_again(cut: Client, mine: Project) -> None:
    """Who has no token learns nothing, not even that something was there; two seconds later copies are gone for all."""
    path = f"{unique('iso')}/caf%C3%A9~"
    old, targets = warm_private(cut, mine, path)
    expect(look(ask(cut, "DELETE", mine.url(path), mine.token("write"))), 204)

    def asking(target: str) -> None:
        check_no_token(old.deny(look(ask(cut, "GET", target))))
        answer = look(ask(cut, "GET", target, old.good))
        assert answer.status == 404 or answer.body in old.content and served(answer) == "HIT", answer.describe()

    keep_asking(targets, asking)
    for target in targets:
        expect(look(ask(cut, "GET", target, old.good)), 404)


def test_a_deleted_public_stream_goes_too(cut: Client, mine: Project) -> None:
    """Its copies may last two seconds for everybody, as they were everybody's; then there is nothing to be told."""
    path = f"{unique('iso')}/caf%C3%A9~"
    old, targets = warm_public(cut, mine, path)
    expect(look(ask(cut, "DELETE", mine.url(path), mine.token("write"))), 204)

    def answered(target: str) -> Response | None:
        answer = look(ask(cut, "GET", target))
        if answer.status == 200:
            assert answer.body in old.content and served(answer) == "HIT", answer.describe()
            return None
        return check_no_token(old.deny(answer))

    keep_asking(targets, answered)
    for target in targets:
        assert answered(target), target


def test_by_turns(cut: Client, mine: Project) -> None:
    """Public and private many times over, at one URL: what is private is seen by nobody, at no time."""
    path, private = unique("iso"), []
    writer, asked = mine.token("write"), [mine.url(path)]
    for round in range(12):
        public = round % 2 == 0
        mark = unique("mark")
        answer = mine.create(cut, path, "text/plain", marked(mark), **({"query": "public=true"} if public else {}))
        asked += [target := mine.url(path, own(answer.offset))]
        for token in (None, writer) * 2 if public else (writer,) * 2:
            assert mark.encode() in expect(look(ask(cut, "GET", target, token)), 200).body
        if not public:
            private.append(mark.encode())
        for target in asked:
            answer = look(ask(cut, "GET", target))
            assert not any(mark in answer.body for mark in private), answer.describe()
            if not public:
                check_no_token(answer)
        expect(look(ask(cut, "DELETE", mine.url(path), writer)), 204)
        for target in asked:
            assert not any(mark in look(ask(cut, "GET", target)).body for mark in private)
