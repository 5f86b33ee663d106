"""What is kept of one reader's answers never reaches another who may not read, and always reaches one who may."""

from __future__ import annotations

import gzip

import pytest

from access import Project, ask, bearer, check_bad_token, check_forbidden, check_no_token, command_json, wait_known, wait_until
from client import Client, expect, unique
from isolation import STRANGERS, cut, cut_stack, hold, look, mine, new_project, other, questions, scope  # noqa: F401 (fixtures)
from stack import Stack
from test_cache import own, served


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_stranger_gets_nothing_of_what_is_warm(cut: Client, mine: Project, other: Project, stranger) -> None:
    """By whatever spelling, header or method: refused as if nothing were there, right behind a reader who may."""
    held = hold(cut, mine)
    etag, key = held.warm().get("ETag") or "", held.key()
    headers, check = stranger(held, other)
    for question in questions(held, etag, key):
        for _ in range(0 if question.seen is None else 2):
            answer = look(ask(cut, question.method, question.target, held.good, headers=question.headers))
            if question.seen:
                body = gzip.decompress(answer.body) if "Content-Encoding" in answer else answer.body
                assert answer.status == 200 and held.mark.encode() in body, f"{question}: {answer.describe()}"
        if question.method == "GET":
            held.warm()
        answer = look(cut.request(question.method, question.target, [*question.headers, *headers]))
        check(held.deny(answer), question.method == "HEAD")
    assert held.warm().body == held.content[:65536]


READERS = {
    "another-token": lambda project, path, jti: bearer(project.token("read", jti=jti)),
    "write": lambda project, path, jti: bearer(project.token("write", jti=jti)),
    "manage": lambda project, path, jti: bearer(project.token("manage", jti=jti)),
    "several-scopes": lambda project, path, jti: bearer(project.token("read write", jti=jti)),
    "this-stream": lambda project, path, jti: bearer(project.token("read", stream_id=path, jti=jti)),
    "prefix": lambda project, path, jti: bearer(project.token("read", stream_id=f"{path.rsplit('/', 1)[0]}/*", jti=jti)),
    "lower-case-scheme": lambda project, path, jti: {"Authorization": f"bearer {project.token('read', jti=jti)}"},
    "upper-case-scheme": lambda project, path, jti: {"Authorization": f"BEARER {project.token('read', jti=jti)}"},
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
def test_a_piece_is_stored_once_for_all_who_may_read_it(cut: Client, mine: Project, reader) -> None:
    """The first read by a token that was never seen is a HIT, right behind somebody else's."""
    held = hold(cut, mine)
    for place in (0, 5, 65536, 131072):
        target = mine.url(held.path, own(held.tail, place))
        for attempt in range(5):  # A copy lasts a second: it may just have ended.
            warm = held.warm(target)
            answer = expect(look(cut.request("GET", target, reader(mine, held.path, f"{place}-{attempt}"))), 200)
            if served(answer) == "HIT":
                break
        assert served(answer) == "HIT", answer.describe()
        assert answer.body == warm.body == held.content[place : place + 65536]
        assert answer.offset == warm.offset and answer.get("ETag") == warm.get("ETag") and scope(answer) == "private"


def test_the_second_read_of_an_inner_piece_is_a_hit(cut_stack: Stack, cut: Client, mine: Project) -> None:
    """MISS, HIT, and with a token of another secret too."""
    held = hold(cut, mine)
    assert served(expect(held.read(), 200)) == "MISS"
    assert served(expect(held.read(), 200)) == "HIT"
    before = mine.secret
    mine.add_secret()
    wait_known(cut_stack, mine)
    held.warm()
    assert held.read(token=mine.token("read", secret=before)).body == held.content[:65536]


def test_a_copy_lasts_beyond_its_second(cut: Client, mine: Project) -> None:
    """Then the pool is asked by entity tag, and each reader gets the same as before."""
    held, seen = hold(cut, mine), []
    first = held.warm()

    def revalidated() -> bool:
        answer = expect(held.read(token=mine.token("read", jti=unique())), 200)
        assert answer.body == first.body and answer.get("ETag") == first.get("ETag") and scope(answer) == "private"
        check_no_token(look(ask(cut, "GET", held.target)))
        seen.append(served(answer))
        return seen[-1] == "REVALIDATED"

    wait_until(revalidated, "it was asked for by entity tag", within=5)
    assert set(seen) <= {"HIT", "REVALIDATED", "EXPIRED"}, seen


def test_reads_at_the_tail_are_never_stale(cut: Client, mine: Project) -> None:
    """Whoever reads, with or without a reader key: an answered append is there at once."""
    held = hold(cut, mine)
    content, key = held.content, held.key()
    place = 196_608
    tokens = [held.good, mine.token("manage"), mine.token("read", stream_id=held.path)]
    for n in range(6):
        for token in tokens:
            for query in (own(held.tail, place), f"{own(held.tail, place)}&rk={key}", own(held.tail, len(content))):
                for _ in range(2):
                    answer = expect(held.read(mine.url(held.path, query), token), 200)
                    start = int(query.split("_")[1].split("&")[0])
                    assert answer.body == content[start:] and served(answer) != "HIT" and "Stream-Up-To-Date" in answer, answer.describe()
        piece = f"[{n}]".encode()
        mine.append(cut, held.path, piece)
        content += piece


def test_a_piece_that_grows_until_it_is_cut(cut: Client, mine: Project) -> None:
    """One URL, from "at the tail" to "kept", by turns for two readers and a stranger; cut between appends."""
    path, content = unique("iso"), b""
    tail = mine.create(cut, path, "text/plain").offset
    target, tokens = mine.url(path, own(tail)), [mine.token("read"), mine.token("manage")]
    while len(content) < 100_000:
        content += (piece := b"%08d" % len(content) * 1250)
        mine.append(cut, path, piece)
        for token in tokens * 2:
            read = expect(look(ask(cut, "GET", target, token)), 200)
            assert read.body == (content if len(content) <= 65536 else content[:60_000]), read.describe()
            check_no_token(look(ask(cut, "GET", target)))


@pytest.mark.parametrize("order", ["HEAD GET", "GET HEAD", "HEAD HEAD GET GET"])
def test_head_and_get_do_not_mix(cut: Client, mine: Project, other: Project, order: str) -> None:
    held = hold(cut, mine)
    for method in order.split() * 2:
        answer = expect(look(ask(cut, method, held.target, held.good)), 200)
        if method == "HEAD":
            assert answer.offset == held.tail and served(answer) == "BYPASS" and answer.get("Cache-Control") == "no-store", answer.describe()
        else:
            assert answer.body == held.content[:65536], answer.describe()
        for asked in ("HEAD", "GET"):
            check_no_token(held.deny(look(ask(cut, asked, held.target))), asked == "HEAD")
            check_bad_token(held.deny(look(ask(cut, asked, held.target, other.token("read")))), asked == "HEAD")


def test_a_verdict_is_for_one_method_and_one_stream(cut: Client, mine: Project) -> None:
    """What was allowed a moment ago does not allow anything else."""
    held, second = hold(cut, mine), hold(cut, mine)
    reader = mine.token("read", stream_id=held.path)
    writer = mine.token("write", stream_id=held.path)
    for _ in range(2):
        for token in (reader, writer):
            expect(held.read(token=token), 200)
            expect(look(ask(cut, "HEAD", held.target, token)), 200)
            check_forbidden(second.deny(held.read(second.target, token)))
            check_forbidden(look(ask(cut, "HEAD", second.target, token)), True)
        for target in (held.target, mine.url(held.path)):
            for method in ("PUT", "POST", "DELETE"):
                check_forbidden(look(ask(cut, method, target, reader, type="text/plain", body="x")))
        for method in ("PUT", "POST", "DELETE"):
            check_forbidden(look(ask(cut, method, second.target, writer, type="text/plain", body="x")))
    expect(look(ask(cut, "POST", mine.url(held.path), writer, type="text/plain", body="x")), 204)
    # A write that was allowed says nothing about whom it forks from.
    check_forbidden(look(ask(cut, "PUT", mine.url(held.path), writer, Stream_Forked_From=mine.url(second.path))))
    assert second.warm().body == second.content[:65536]


def test_a_refusal_is_not_kept(cut: Client, mine: Project, other: Project) -> None:
    """Not for whoever may read, not for the next who may not, nor from before the stream was there."""
    path = f"{unique('iso')}/caf%C3%A9~"
    for token, check in ((None, check_no_token), (other.token("read"), check_bad_token)):
        for query in ("", "offset=-1"):
            check(look(ask(cut, "GET", mine.url(path, query), token)))
    expect(look(ask(cut, "GET", mine.url(path), mine.token("read"))), 404)
    held = hold(cut, mine, path)
    for _ in range(3):
        check_no_token(look(ask(cut, "GET", held.target)))
        check_bad_token(look(ask(cut, "GET", held.target, other.token("read"))))
        check_forbidden(look(ask(cut, "GET", held.target, mine.token("read", stream_id="elsewhere"))))
        assert expect(held.read(), 200).body == held.content[:65536]
    check_forbidden(look(ask(cut, "GET", held.target, mine.token("read", stream_id="elsewhere"))))
    check_no_token(look(ask(cut, "GET", held.target)))


def test_compressed_and_not(cut: Client, mine: Project) -> None:
    """Variants of one copy, and of its 304."""
    held = hold(cut, mine)
    for _ in range(3):
        plain, packed = held.warm(), held.read(Accept_Encoding="gzip")
        assert "Content-Encoding" not in plain and packed.get("Content-Encoding") == "gzip" and "Accept-Encoding" in ", ".join(packed.all("Vary"))
        assert gzip.decompress(packed.body) == plain.body == held.content[:65536]
        tag = packed.get("ETag") or ""
        assert held.read(Accept_Encoding="gzip", If_None_Match=tag).status == 304
        for headers in ({"Accept_Encoding": "gzip"}, {"Accept_Encoding": "gzip", "If_None_Match": tag}, {"If_None_Match": "*"}):
            check_no_token(held.deny(look(ask(cut, "GET", held.target, **headers))))


def test_the_default_project_has_two_roots(cut_stack: Stack, cut: Client, mine: Project) -> None:
    """Both guarded, whichever was used to fill the cache."""
    default = new_project(cut_stack, "_default")
    held = hold(cut, default)
    targets = [f"{root}/{held.path}?{own(held.tail)}" for root in ("/v1/stream", "/v1/_default/stream")]
    for target in targets:
        assert held.warm(target).body == held.content[:65536]
        for asked in targets:
            check_no_token(held.deny(look(ask(cut, "GET", asked))))
            check_bad_token(held.deny(look(ask(cut, "GET", asked, mine.token("read")))))
            # The same path in another project, by a token of the right one.
            check_bad_token(held.deny(look(ask(cut, "GET", mine.url(held.path, own(held.tail)), held.good))))


def test_equal_paths_of_two_projects(cut: Client, mine: Project, other: Project) -> None:
    one = hold(cut, mine)
    two = hold(cut, other, one.path)
    for _ in range(2):
        assert one.warm().body == one.content[:65536] and two.warm().body == two.content[:65536]
        check_bad_token(one.deny(one.read(token=two.good)))
        check_bad_token(two.deny(two.read(token=one.good)))
        # Another stream's incarnation in its own URL.
        expect(one.deny(one.read(mine.url(one.path, own(two.tail)))), 410)


def test_origins_are_not_kept_with_the_copy(cut_stack: Stack, cut: Client) -> None:
    """A copy that one origin has filled tells another nothing of it."""
    project = new_project(cut_stack)
    command_json(cut_stack, "set-cors", project.name, "https://a.example", "https://b.example")
    held = hold(cut, project)
    wait_until(lambda: "Access-Control-Allow-Origin" in held.read(Origin="https://a.example"), "the origins are known")
    for origin in ("https://a.example", "https://b.example", "https://c.example", None, "https://A.example", "null", "https://a.example"):
        held.warm()
        for _ in range(2):
            answer = expect(held.read(**({"Origin": origin} if origin else {})), 200)
            allowed = [origin] if origin in ("https://a.example", "https://b.example") else []
            assert answer.all("Access-Control-Allow-Origin") == allowed and "Origin" in ", ".join(answer.all("Vary")), answer.describe()


def test_projects_without_origins_have_no_header(cut: Client, mine: Project) -> None:
    held = hold(cut, mine)
    for _ in range(3):
        answer = held.read(Origin="https://a.example")
        assert "Access-Control-Allow-Origin" not in answer and "Origin" not in ", ".join(answer.all("Vary")), answer.describe()
