"""nginx's cache: what may be stored, what never, and that nobody can poison it."""

from __future__ import annotations

import re
import time

import pytest

from checks import CACHEABLE, check_empty, check_error, check_fixed, check_read, protocol_headers
from client import ZERO, Client, at, expect, incarnation, instant, url
from stack import Stack
from store import ask_store, wait_until
from wire import Response

BIG = b"0123456789abcdef" * 10_000
# Seconds for which a copy may be served after its stream's end.
STALE_LIMIT = 2.0


def served(response: Response) -> str:
    return response.get("X-Cache") or ""


def big_stream(client: Client, path: str) -> str:
    """A stream whose first read is cut; returns its tail."""
    return client.create(path, "application/octet-stream", BIG).offset


def own(tail: str, place: int = 0) -> str:
    """A position, the start by default, by a token with the stream's incarnation: only such a read may be stored."""
    return f"offset={at(tail, place)}"


def hit(client: Client, path: str, query: str, **extra: str) -> Response:
    """Read twice; the second has to be a HIT (the first may already be one)."""
    expect(client.get(path, query, **extra), 200)
    again = expect(client.get(path, query, **extra), 200)
    assert served(again) == "HIT", again.describe()
    return again


@pytest.mark.parametrize("place", [0, 5], ids=["start", "inside"])
def test_hit_after_miss(small: Client, path: str, place: int) -> None:
    """A cut chunk is stored; the HIT has the same body and headers, none twice."""
    query = own(big_stream(small, path), place)
    first = expect(small.get(path, query), 200)
    second = expect(small.get(path, query), 200)
    assert (served(first), served(second)) == ("MISS", "HIT"), (first.describe(), second.describe())
    for read in (first, second):
        check_fixed(read)
        assert read.get("Content-Type") == "application/octet-stream" and read.get("Cache-Control") == CACHEABLE
    assert protocol_headers(first) == protocol_headers(second)
    assert first.body == second.body == BIG[place:][: len(first.body)]


def test_json_hit(small: Client, path: str) -> None:
    messages = b",".join(b'"%06d"' % n for n in range(20_000))
    tail = small.create(path, "application/json", b"[" + messages + b"]").offset
    read = hit(small, path, own(tail))
    assert read.body.startswith(b'["000000","000001"') and read.body.endswith(b"]")
    assert (b"[" + messages).startswith(read.body[:-1])


def test_tail_is_never_a_hit(small: Client, path: str) -> None:
    """Whatever reached the tail is not stored, open or closed, with or without units."""
    small.create(path, "text/plain", "abc")
    tail = small.head(path).offset
    for round in range(2):
        for query in ("", "offset=-1", f"offset={ZERO}", own(tail), own(tail, 1), own(tail, 3), "offset=now", own(tail, 99),
                      "live=long-poll&offset=-1"):  # fmt: skip
            for _ in range(3):
                read = expect(small.get(path, query), 200)
                assert served(read) not in ("HIT", "STALE", "UPDATING", "REVALIDATED", ""), read.describe()
        if round == 0:
            expect(small.post(path, Stream_Closed="true"), 204)


def test_last_chunk_is_never_a_hit(small: Client, path: str) -> None:
    """Reads that begin in the middle and reach the tail see each append at once."""
    tail = big_stream(small, path)
    query = own(tail, len(BIG) - 10)
    content = BIG[-10:]
    for letter in b"abcdef":
        for _ in range(2):
            read = expect(small.get(path, query), 200)
            assert read.body == content and served(read) != "HIT", read.describe()
        small.append(path, "application/octet-stream", bytes([letter]))
        content += bytes([letter])


def test_first_chunk_grows_until_it_is_cut(small: Client, path: str) -> None:
    """The same URL goes from "at the tail" to "cut": never stale in between."""
    query, content = own(small.create(path, "text/plain").offset), b""
    while len(content) < 100_000:
        piece = b"%08d" % len(content) * 1250
        small.append(path, "text/plain", piece)
        content += piece
        for _ in range(2):
            read = expect(small.get(path, query), 200)
            assert content.startswith(read.body)
            assert len(read.body) == len(content) or "Stream-Up-To-Date" not in read, read.describe()
            if len(content) <= 65536:
                assert read.body == content, "a read after an answered append has to see it"


def test_stored_chunk_is_served_again_after_its_life(small: Client, path: str) -> None:
    """HIT does not last: the entry is asked for anew, with the same answer."""
    query = own(big_stream(small, path))
    first = hit(small, path, query)
    deadline = time.monotonic() + 6
    while served(read := expect(small.get(path, query), 200)) == "HIT":
        assert time.monotonic() < deadline, "still a HIT after 6 s"
        time.sleep(0.1)
    assert served(read) == "REVALIDATED" and read.body == first.body and protocol_headers(read) == protocol_headers(first)


def test_head_is_never_stored_and_never_poisons(small: Client, path: str) -> None:
    query = own(big_stream(small, path))
    for _ in range(3):
        head = expect(small.head(path), 200)
        assert served(head) != "HIT"
    read = expect(small.get(path, query), 200)
    assert read.body == BIG[: len(read.body)] and len(read.body) > 0
    hit(small, path, query)
    end = small.append(path, "application/octet-stream", "more").offset
    head = expect(small.head(path), 200)
    assert head.offset == end and served(head) != "HIT" and head.get("Cache-Control") == "no-store"
    assert served(small.request("HEAD", url(path, query))) == "BYPASS"
    expect(small.delete(path), 204)
    expect(small.head(path), 404)


@pytest.mark.parametrize("query", ["", "offset=-1", f"offset={ZERO}"])
def test_errors_are_never_stored(small: Client, path: str, query: str) -> None:
    """A 404 seen before the creation is not seen after it; nor a 400 or 410."""
    for _ in range(3):
        check_error(small.get(path, query), 404, "STREAM_NOT_FOUND")
    tail = big_stream(small, path)
    assert expect(small.get(path, query), 200).body
    for _ in range(2):
        answer = check_error(small.get(path, f"offset={incarnation(tail) + 1:016d}_{0:016d}"), 410, "OFFSET_GONE")
        assert served(answer) != "HIT"
        assert served(check_error(small.get(path, "offset=x"), 400)) != "HIT"


@pytest.mark.parametrize("start", ["-1", "token"])
@pytest.mark.parametrize("bad", ["offset={0}&offset={0}", "offset={0}&offset=now", "offset={0}&offset=", "offset={0}%20", "offset={0}+",
                                 "offset={0}%00", "offset={0}%0A", "offset", "offset=", "x=1&offset={0}&offset={0}",
                                 "%6Fffset={0}&offset={0}"])  # fmt: skip
def test_query_that_has_to_be_refused(small: Client, path: str, bad: str, start: str) -> None:
    """Neither answered from a stored good read, nor the other way round."""
    tail = big_stream(small, path)
    bad = bad.format("-1" if start == "-1" else at(tail, 0))
    check_error(small.get(path, bad), 400, "OFFSET_INVALID")
    assert BIG.startswith(hit(small, path, own(tail)).body)
    check_error(small.get(path, bad), 400, "OFFSET_INVALID")


@pytest.mark.parametrize("query", ["", "offset=-1", f"offset={ZERO}", "offset=-1&x=1", "x=1", "offset=%2D1", "live=other&offset=-1", "LIVE=sse&offset=-1",
                                   "cursor=7&offset=-1", "&&", f"offset={at(ZERO, 7)}"])  # fmt: skip
def test_start_is_never_stored(small: Client, path: str, query: str) -> None:
    """What names no incarnation means another stream once this one is deleted; it gives the bytes of the stored read."""
    tail = big_stream(small, path)
    place = 7 if query.endswith("7") else 0
    stored = hit(small, path, own(tail, place))
    reads = [expect(small.get(path, query), 200) for _ in range(3)]
    # nginx knows `live` in upper case too, and the live process answers like the pool.
    assert {served(read) for read in reads} == {"BYPASS" if "LIVE" in query else "MISS"}, reads[2].describe()
    for read in reads:
        assert read.body == stored.body and protocol_headers(read) == protocol_headers(reads[0])
        assert {**protocol_headers(read), "etag": ""} == {**protocol_headers(stored), "etag": ""}


@pytest.mark.parametrize("query", ["offset={0}&x=1", "x=1&offset={0}", "%6Fffset={0}", "offset={0}&live=other", "cursor=7&offset={0}"])
def test_spellings_of_one_read(small: Client, path: str, query: str) -> None:
    """Other spellings of one token give the same bytes before and after a stored read, and each is stored by itself."""
    tail = big_stream(small, path)
    query = query.format(at(tail, 0))
    one, two, three = expect(small.get(path, query), 200), hit(small, path, own(tail)), expect(small.get(path, query), 200)
    assert (served(one), served(three)) == ("MISS", "HIT")
    assert one.body == two.body == three.body
    assert protocol_headers(one) == protocol_headers(two) == protocol_headers(three)


@pytest.mark.parametrize("query", ["", "offset={0}"], ids=["absent", "token"])
def test_segment_file_is_never_a_hit(small_stack: Stack, small: Client, path: str, query: str) -> None:
    """What has moved into a file is sent from there, whole, under the headers of any other read."""
    tail = small.create(path, "application/octet-stream", BIG, Stream_Closed="true").offset
    query = query.format(at(tail, 0))
    recorded = f"SELECT count(*) FROM segment WHERE stream = {incarnation(tail)}"
    wait_until(small_stack, lambda: ask_store(small_stack, recorded) == [1], "it has moved into a file")
    for _ in range(3):
        read = small.get(path, query)
        check_read(read, BIG, type="application/octet-stream", cache=CACHEABLE, next_offset=tail, closed=True)
        assert served(read) == "MISS", read.describe()
    check_empty(small.get(path, query, If_None_Match=read.get("ETag") or ""), 304, Stream_Next_Offset=tail,
                Stream_Up_To_Date="true", Stream_Closed="true", ETag=read.get("ETag"))  # fmt: skip


def test_now_is_not_answered_from_a_stored_read(small: Client, path: str) -> None:
    tail = big_stream(small, path)
    hit(small, path, own(tail))
    for query in ("offset=now", "offset=n%6Fw", "x=1&offset=now"):
        read = small.get(path, query)
        check_read(read, b"", type="application/octet-stream", cache="no-store", next_offset=tail, etag=None)
        assert served(read) != "HIT"


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "created-again"])
def test_deleted_data_does_not_live_on(small: Client, path: str, again: bool) -> None:
    """After DELETE nothing old is served beyond two seconds, the start at once; old tokens are 410 (or 404)."""
    tail = big_stream(small, path)
    tokens = own(tail), own(tail, 7)
    for token in tokens:
        hit(small, path, token)
    expect(small.delete(path), 204)
    gone_at = time.monotonic()
    if again:
        small.create(path, "application/octet-stream", b"new" * 50_000)
    while time.monotonic() - gone_at < STALE_LIMIT:  # keep asking, as a popular stream would be
        for token in tokens:
            old = small.get(path, token)
            assert old.status in (404, 410) or served(old) == "HIT" and old.body in BIG, old.describe()
        read = small.get(path)
        if again:
            assert expect(read, 200).body.startswith(b"newnew") and incarnation(read.offset) > incarnation(tail)
        else:
            check_error(read, 404, "STREAM_NOT_FOUND")
        time.sleep(0.1)
    for token in tokens * 2:
        check_error(small.get(path, token), *((410, "OFFSET_GONE") if again else (404, "STREAM_NOT_FOUND")))


def test_expired_data_does_not_live_on(small: Client, path: str) -> None:
    """When an Expires-At passes there is no copy: what ends by time is not stored."""
    tail = small.create(path, "application/octet-stream", BIG, Stream_Expires_At=instant(0.5)).offset
    # By then it has ended, and perhaps before.
    end = time.time() + 0.5
    queries = ("", own(tail), own(tail, 7))
    while time.time() < end:
        for query in queries:
            assert served(small.get(path, query)) == "MISS"
        time.sleep(0.02)
    for query in queries:
        check_error(small.get(path, query), 404, "STREAM_NOT_FOUND")


@pytest.mark.parametrize("header", [("Range", "bytes=0-9"), ("Range", "bytes=-5"), ("Range", "bytes=9999999-"), ("If-Match", '"zz"'),
                                    ("If-Modified-Since", "Sat, 01 Jan 2050 00:00:00 GMT")], ids=lambda h: "=".join(h)[:20])  # fmt: skip
def test_stored_reads_know_no_ranges(small: Client, path: str, header: tuple[str, str]) -> None:
    """Range is ignored: no 206, no 416, no Accept-Ranges; other conditions are ignored too."""
    query = own(big_stream(small, path))
    plain = hit(small, path, query)
    for _ in range(2):
        read = expect(small.request("GET", url(path, query), [header]), 200)
        assert read.body == plain.body
        assert "Accept-Ranges" not in read and "Content-Range" not in read and "Last-Modified" not in read, read.describe()


def test_not_modified_on_a_hit(small: Client, path: str) -> None:
    """If-None-Match on a HIT gives 304 with the Stream headers."""
    query = own(big_stream(small, path))
    plain = hit(small, path, query)
    answer = expect(small.get(path, query, If_None_Match=plain.get("ETag") or ""), 304)
    assert served(answer) == "HIT" and answer.body == b""
    check_fixed(answer)
    assert protocol_headers(answer) == protocol_headers(plain) and answer.get("Cache-Control") == CACHEABLE
    assert "Content-Type" not in answer and "Content-Length" not in answer


def test_authorised_reads_stay_private(small: Client, path: str) -> None:
    """9.1: `private` with Authorization, whatever was stored before; `public` without it."""
    query = own(big_stream(small, path))
    hit(small, path, query)
    for _ in range(2):
        read = expect(small.get(path, query, Authorization="Bearer x"), 200)
        assert re.match("private, ", read.get("Cache-Control") or ""), read.describe()
        read = expect(small.get(path, query), 200)
        assert re.match("public, ", read.get("Cache-Control") or ""), read.describe()


def test_compressed_and_plain_do_not_mix(small: Client, path: str) -> None:
    query = own(big_stream(small, path))
    for _ in range(2):
        squeezed = expect(small.get(path, query, Accept_Encoding="gzip"), 200)
        plain = expect(small.get(path, query), 200)
        assert "Content-Encoding" not in plain and BIG.startswith(plain.body)
        if "Content-Encoding" in squeezed:
            assert squeezed.body[:2] == b"\x1f\x8b" and "Accept-Encoding" in (squeezed.get("Vary") or "")


def test_projects_do_not_share_entries(small: Client, path: str) -> None:
    targets = {}
    for project, letter in (("one", b"1"), ("two", b"2")):
        tail = expect(small.request("PUT", f"/v1/{project}/stream/{path}", [], letter * 100_000), 201).offset
        targets[f"/v1/{project}/stream/{path}?{own(tail)}"] = letter
    for expected in ("MISS", "HIT"):
        for target, letter in targets.items():
            read = expect(small.request("GET", target), 200)
            assert served(read) == expected and set(read.body) == set(letter)
            assert set(small.request("GET", target.split("?")[0]).body) == set(letter)


def test_writes_and_live_reads_are_never_hits(small: Client, path: str) -> None:
    tail = big_stream(small, path)
    hit(small, path, own(tail))
    target = url(path)
    for _ in range(2):
        for answer in (
            small.request("POST", target, [("Content-Type", "application/octet-stream")], b"x"),
            small.request("PUT", target, [], b"x"),
            small.request("GET", target + "?live=long-poll&offset=-1"),
            small.request("GET", f"{target}?live=long-poll&{own(tail)}"),
            small.request("OPTIONS", target),
        ):
            assert answer.status < 300 and served(answer) != "HIT", answer.describe()


def test_x_cache_cannot_be_set_by_a_client(small_stack: Stack, small: Client, path: str) -> None:
    """Headers a client sends neither reach the cache key nor pass for nginx's own."""
    query = own(big_stream(small, path))
    for name in ("X-Cache", "X-Accel-Expires", "X-Accel-Redirect", "Cache-Control", "Pragma", "X-Forwarded-Uri", "X-Original-URL"):
        read = expect(small.request("GET", url(path, query), [(name, "/elsewhere")]), 200)
        assert BIG.startswith(read.body)
