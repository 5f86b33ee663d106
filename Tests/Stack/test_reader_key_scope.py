"""`rk` in the query of a read: `public` for the stream's own key and nothing else, in every mode, and never in place of a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from access import Project, ask, bearer, check_bad_token, check_no_token, command_json, wait_until
from client import Client, expect, unique
from isolation import SIZE, Held, cut, cut_stack, hold, look, mine, new_project, other, scope  # noqa: F401 (fixtures)
from stack import Stack
from test_cache import own, served
from wire import Response, build_request

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def escaped(text: str, upper: bool = True) -> str:
    return "".join(f"%{byte:02X}" if upper else f"%{byte:02x}" for byte in text.encode())


def neighbour(key: str) -> str:
    """Another last character, of which a lenient decoder of base64 looks at two bits only."""
    return key[:-1] + ALPHABET[ALPHABET.index(key[-1]) ^ 1]


PUBLIC = {
    "right": lambda key: f"rk={key}",
    "value-escaped": lambda key: f"rk={escaped(key)}",
    "value-escaped-lower": lambda key: f"rk={escaped(key, False)}",
    "name-escaped": lambda key: f"%72k={key}",
    "name-escaped-whole": lambda key: f"%72%6B={key}",
    "beside-others": lambda key: f"x=1&rk={key}&y=2",
    "beside-a-longer-name": lambda key: f"rkx=1&xrk=2&rk={key}&RK=3",
    "among-empty-ones": lambda key: f"&&rk={key}&",
}
PRIVATE = {
    "none": lambda key: "",
    "wrong": lambda key: "rk=" + key[::-1],
    "wrong-last": lambda key: f"rk={neighbour(key)}",
    "wrong-first": lambda key: "rk=" + ALPHABET[ALPHABET.index(key[0]) ^ 1] + key[1:],
    "other-case": lambda key: f"rk={key.swapcase()}",
    "zeros": lambda key: "rk=" + "A" * 22,
    "cut": lambda key: f"rk={key[:-1]}",
    "longer": lambda key: f"rk={key}A",
    "padded": lambda key: f"rk={key}==",
    "space-after": lambda key: f"rk={key}%20",
    "plus-after": lambda key: f"rk={key}+",
    "space-before": lambda key: f"rk=%20{key}",
    "nul-after": lambda key: f"rk={key}%00",
    "quoted": lambda key: f"rk=%22{key}%22",
    "escaped-twice": lambda key: f"rk={escaped(escaped(key))}",
    "empty": lambda key: "rk=",
    "no-value": lambda key: "rk",
    "value-alone": lambda key: key,
    "doubled": lambda key: f"rk={key}&rk={key}",
    "doubled-apart": lambda key: f"rk={key}&x=1&rk={key}",
    "doubled-escaped": lambda key: f"rk={key}&%72k={key}",
    "wrong-then-right": lambda key: f"rk=x&rk={key}",
    "right-then-wrong": lambda key: f"rk={key}&rk=x",
    "right-then-empty": lambda key: f"rk={key}&rk=",
    "empty-then-right": lambda key: f"rk=&rk={key}",
    "right-then-no-value": lambda key: f"rk={key}&rk",
    "list": lambda key: f"rk={key},{key}",
    "other-name": lambda key: f"key={key}",
    "upper-case-name": lambda key: f"RK={key}",
    "longer-name": lambda key: f"rkk={key}",
    "in-another-value": lambda key: f"x=rk={key}",
    "after-a-semicolon": lambda key: f"x=1;rk={key}",
}


def both(*parts: str) -> str:
    return "&".join(filter(None, parts))


@pytest.fixture(scope="module")
def held(cut_stack: Stack, mine: Project) -> Iterator[Held]:
    """One stream for all questions, which change nothing."""
    with closing(Client(cut_stack)) as client:
        yield hold(client, mine)


@pytest.fixture(scope="module")
def key(held: Held) -> str:
    return held.key()


CASES = [
    pytest.param(make, scope, id=name) for scope, makes in (("public", PUBLIC), ("private", PRIVATE)) for name, make in makes.items()
]


@pytest.mark.parametrize(("make", "expected"), CASES)
def test_scope(held: Held, key: str, make, expected: str) -> None:
    """On what is kept (MISS, HIT, 304) and what is not, asked for in either order; the answer is the same otherwise."""
    first, last = own(held.tail), own(held.tail, 196_608)
    for start in (first, "", "offset=-1", last, f"live=long-poll&{first}", f"live=long-poll&{last}"):
        plain = expect(held.read(held.project.url(held.path, start)), 200)
        assert scope(plain) == "private"
        for query in (both(start, make(key)), both(make(key), start)):
            target = held.project.url(held.path, query)
            for _ in range(3):
                read = expect(held.read(target), 200)
                assert scope(read) == expected, f"{query}: {read.describe()}"
                assert (read.body, read.offset, read.get("ETag")) == (plain.body, plain.offset, plain.get("ETag")), read.describe()
                same = expect(held.read(target, If_None_Match=read.get("ETag") or ""), 304)
                assert scope(same) == expected and same.get("Cache-Control") == read.get("Cache-Control"), same.describe()
    packed = expect(held.read(held.project.url(held.path, both(own(held.tail), make(key))), Accept_Encoding="gzip"), 200)
    assert scope(packed) == expected and "Content-Encoding" in packed, packed.describe()


@pytest.mark.parametrize("make", (PUBLIC | PRIVATE).values(), ids=(PUBLIC | PRIVATE).keys())
def test_it_is_no_credential(held: Held, key: str, other: Project, make) -> None:
    """Warm by who may read; refused to who may not, as ever."""
    for start in (own(held.tail), "", f"live=long-poll&{own(held.tail)}", f"live=sse&{own(held.tail)}"):
        target = held.project.url(held.path, both(start, make(key)))
        if "sse" not in start:
            held.read(target)
            held.read(target)
        check_no_token(held.deny(look(ask(held.http, "GET", target))))
        check_bad_token(held.deny(look(ask(held.http, "GET", target, other.token("read")))))
        check_bad_token(held.deny(look(ask(held.http, "GET", target, key))))
    check_no_token(look(ask(held.http, "HEAD", held.project.url(held.path, make(key)))), True)
    check_no_token(look(ask(held.http, "POST", held.project.url(held.path, make(key)), type="text/plain", body="x")))
    check_no_token(look(ask(held.http, "DELETE", held.project.url(held.path, make(key)))))


def test_who_may_read_gets_it_kept_under_any_key(held: Held, key: str) -> None:
    """A second reader with the key in the URL is served the copy of the first; each with the scope of its own URL."""
    for query, expected in ((both(own(held.tail), f"rk={key}"), "public"), (own(held.tail), "private"), (both(own(held.tail), "rk=x"), "private")):
        target = held.project.url(held.path, query)
        answers = [expect(held.read(target, held.project.token("read", jti=unique())), 200) for _ in range(6)]
        assert "HIT" in [served(answer) for answer in answers] and {scope(answer) for answer in answers} == {expected}


def test_another_stream_s_key(cut: Client, mine: Project, other: Project) -> None:
    """Of a neighbour, of the same path elsewhere, of the stream before, of a fork's source: wrong like any other."""
    held = hold(cut, mine)
    wrong = [hold(cut, mine).key(), hold(cut, other, held.path).key(), held.key()]
    expect(ask(cut, "DELETE", mine.url(held.path), mine.token("write")), 204)
    held = hold(cut, mine, held.path)
    assert held.key() not in wrong
    expect(ask(cut, "PUT", mine.url(f"{held.path}/f"), mine.token("write"), Stream_Forked_From=mine.url(held.path)), 201)
    for key in wrong:
        assert scope(held.read(f"{held.target}&rk={key}")) == "private"
    assert scope(held.read(f"{held.target}&rk={held.key()}")) == "public"
    fork = mine.url(f"{held.path}/f", f"{own(held.tail)}&rk={held.key()}")
    assert scope(held.read(fork)) == "private"
    head = ask(cut, "HEAD", mine.url(f"{held.path}/f"), held.good)
    assert scope(held.read(mine.url(f"{held.path}/f", f"rk={head.get('Stream-Reader-Key')}"))) == "public"


def cache(answer: Response) -> str | None:
    return look(answer).get("Cache-Control")


def test_what_is_never_kept_stays_so(cut: Client, mine: Project) -> None:
    """The key makes nothing cacheable that is not: `now`, the tail of an open stream, time-outs, HEAD, SSE, errors."""
    held = hold(cut, mine)
    key = held.key()
    for _ in range(2):
        for query in ("offset=now", own(held.tail, SIZE)):
            assert cache(expect(held.read(mine.url(held.path, f"{query}&rk={key}")), 200)) == "no-store"
        assert cache(expect(held.read(mine.url(held.path, f"{own(held.tail, SIZE)}&live=long-poll&rk={key}")), 204)) == "no-store"
        assert cache(expect(ask(cut, "HEAD", mine.url(held.path, f"rk={key}"), held.good), 200)) == "no-store"
        assert cache(expect(held.read(mine.url(held.path, f"offset=x&rk={key}")), 400)) == "no-store"
        assert cache(expect(held.read(mine.url(f"{held.path}x", f"rk={key}")), 404)) == "no-store"


def test_the_end_of_a_closed_stream(cut: Client, mine: Project) -> None:
    """No content, and kept all the same."""
    path = unique("iso")
    made = mine.create(cut, path, "text/plain", "abc", Stream_Closed="true")
    key, reader = made.get("Stream-Reader-Key"), mine.token("read")
    for query in (f"offset={made.offset}", "offset=-1"):
        assert scope(ask(cut, "GET", mine.url(path, query), reader)) == "private"
        assert scope(ask(cut, "GET", mine.url(path, f"{query}&rk={key}"), reader)) == "public"


def test_short_lives_are_as_short(cut: Client, mine: Project) -> None:
    """`max-age` and what follows it do not depend on the scope."""
    for ttl, rest in (("3600", "max-age=60, stale-while-revalidate=300"), ("100", "max-age=60"), ("30", "max-age=30")):
        path = unique("iso")
        key, reader = mine.create(cut, path, "text/plain", "abc", Stream_TTL=ttl).get("Stream-Reader-Key"), mine.token("read")
        assert cache(ask(cut, "GET", mine.url(path), reader)) == f"private, {rest}"
        assert cache(ask(cut, "GET", mine.url(path, f"rk={key}"), reader)) == f"public, {rest}"


def test_data_that_a_reader_waited_for(cut: Client, mine: Project) -> None:
    """A long-poll that was at the tail when it came."""
    path = unique("iso")
    made = mine.create(cut, path, "text/plain", "abc")
    key, reader = made.get("Stream-Reader-Key"), mine.token("read")
    offset = made.offset
    for query, expected in ((f"rk={key}", "public"), ("", "private"), ("rk=x", "private")):
        with closing(cut.stack.connect()) as connection:
            target = mine.url(path, both(f"offset={offset}&live=long-poll", query))
            # Half a second is the wait of this server: asked again until an append falls into one.
            for _ in range(20):
                connection.send(build_request("GET", target, list(bearer(reader).items())))
                if connection.quiet_for(0.1):
                    offset = mine.append(cut, path, "d").offset
                answer = look(connection.read_response())
                if answer.status == 200:
                    break
            assert answer.status == 200 and answer.body == b"d" and scope(answer) == expected, answer.describe()


def test_public_streams_need_none(cut: Client, mine: Project) -> None:
    """`public` whoever asks and whatever `rk` says."""
    held = hold(cut, mine, query="public=true")
    for query in ("", "rk=", "rk=x", "rk=x&rk=y", "rk=" + "A" * 22):
        for start in ("", own(held.tail)):
            for _ in range(2):
                assert scope(look(ask(cut, "GET", mine.url(held.path, both(start, query))))) == "public"
                assert scope(held.read(mine.url(held.path, both(start, query)))) == "public"


def test_all_processes_learn_of_a_rotation(cut_stack: Stack, cut: Client) -> None:
    """Pool and live process, for a new key as for an old one."""
    project = new_project(cut_stack)
    held = hold(cut, project)
    old = held.key()
    command_json(cut_stack, "rotate-reader-key", project.name, held.path)
    wait_until(lambda: held.key() != old, "the key is another")
    new = held.key()
    for live in ("", "&live=long-poll"):
        target = f"{held.target}{live}"
        wait_until(lambda target=target: scope(held.read(f"{target}&rk={new}")) == "public", f"new key{live}")
        wait_until(lambda target=target: scope(held.read(f"{target}&rk={old}")) == "private", f"old key{live}")
