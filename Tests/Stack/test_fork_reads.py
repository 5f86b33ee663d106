"""Reads of forks: source and fork as one range (11.4), in chunks, with conditions, and without a trace of the fork."""

from __future__ import annotations

import re

import pytest

from checks import CACHEABLE, check_error, check_protocol_headers, check_read, protocol_headers
from client import ZERO, Client, at, expect, position, producer
from test_conditional import check_not_modified
from wire import Response

JSON = "application/json"
CHUNK = 65536


def array(messages: list[bytes]) -> bytes:
    return b"[" + b",".join(messages) + b"]"


@pytest.mark.parametrize("type", ["text/plain", "application/octet-stream"])
def test_every_offset_of_bytes(http: Client, path: str, type: str) -> None:
    """From any offset of source, middle and fork: one seamless range, with the source's tokens."""
    other = http.create(f"{path}/other", type, "abcdef").offset
    tail = http.create(f"{path}/a", type, "abcdef").offset
    http.append(f"{path}/a", type, "ghijkl")
    http.fork(f"{path}/b", f"{path}/a", None, "MN", at=at(tail, 6), sub="3")
    http.append(f"{path}/b", type, "OPQR")
    http.fork(f"{path}/c", f"{path}/b", at=at(tail, 13))
    http.append(f"{path}/c", type, "st")
    http.append(f"{path}/c", type, "uv")
    for name, content in (("a", b"abcdefghijkl"), ("b", b"abcdefghiMNOPQR"), ("c", b"abcdefghiMNOPstuv")):
        end = at(tail, len(content))
        for start in range(len(content) + 1):
            etag = re.compile(rf'"[^":]+:{at(tail, start)}:{end}"')
            cache = CACHEABLE if start < len(content) else "no-store"
            read = http.get(f"{path}/{name}", f"offset={at(tail, start)}")
            check_read(read, content[start:], type=type, cache=cache, next_offset=end, etag=etag)
        for query in ("", "offset=-1", f"offset={ZERO}"):
            check_read(http.get(f"{path}/{name}", query), content, type=type, cache=CACHEABLE, next_offset=end)
        check_read(http.get(f"{path}/{name}", "offset=now"), b"", type=type, cache="no-store", next_offset=end, etag=None)
        check_read(http.get(f"{path}/{name}", f"offset={at(tail, 99)}"), b"", type=type, cache="no-store", next_offset=end)
        check_error(http.get(f"{path}/{name}", f"offset={at(other, 1)}"), 410, "OFFSET_GONE")


def test_every_offset_of_messages(http: Client, path: str) -> None:
    """One JSON array across the fork points, which lie inside batches."""
    tail = http.create(f"{path}/a", JSON, "[0,[1],2]").offset
    http.append(f"{path}/a", JSON, '[{"n":3},4, "5" ]')
    http.fork(f"{path}/b", f"{path}/a", None, '["six",7]', at=at(tail, 4), sub="1")
    http.append(f"{path}/b", JSON, "[8,9]")
    http.fork(f"{path}/c", f"{path}/b", at=at(tail, 2))
    http.append(f"{path}/c", JSON, "{}")
    http.fork(f"{path}/d", f"{path}/b", at=at(tail, 6))
    a = [b"0", b"[1]", b"2", b'{"n":3}', b"4", b'"5"']
    b = [*a[:5], b'"six"', b"7", b"8", b"9"]
    for name, messages in (("a", a), ("b", b), ("c", [*a[:2], b"{}"]), ("d", b[:6])):
        for start in range(len(messages) + 1):
            read = http.get(f"{path}/{name}", f"offset={at(tail, start)}")
            cache = CACHEABLE if start < len(messages) else "no-store"
            check_read(read, array(messages[start:]), type=JSON, cache=cache, next_offset=at(tail, len(messages)))


LAYOUTS = {
    "cut-in-a-large-append": ([150_000], 70_000, [80_000]),
    "cut-behind-one-chunk": ([CHUNK, CHUNK], CHUNK, [10]),
    "cut-before-one-chunk": ([CHUNK, CHUNK], CHUNK - 1, [CHUNK + 1]),
    "small-appends": ([3_000] * 40, 64_001, [5_000] * 30),
    "tiny-part-between": ([100_000], 1, [200_000]),
    "own-part-empty": ([100_000, 100_000], 131_073, []),
    "nothing-inherited": ([100_000], 0, [70_000, 70_000]),
}


def lay_out(client: Client, path: str, type: str, layout: tuple[list[int], int, list[int]], unit) -> list[bytes]:
    """A source, a fork of it, and a fork of that at three quarters; gives the units of the last."""
    sizes, cut, own = layout
    tail, units = client.create(f"{path}/a", type).offset, []
    for size in sizes:
        units += client_append(client, f"{path}/a", type, size, unit)
    units = units[:cut]
    client.fork(f"{path}/b", f"{path}/a", at=at(tail, len(units)))
    for size in own:
        units += client_append(client, f"{path}/b", type, size, unit)
    units = units[: len(units) * 3 // 4]
    client.fork(f"{path}/c", f"{path}/b", at=at(tail, len(units)))
    return units + client_append(client, f"{path}/c", type, 66_000 if unit is byte_unit else 400, unit)


def byte_unit(n: int) -> bytes:
    return b"%c" % (32 + n * 7919 % 90)


def message_unit(n: int) -> bytes:
    return b'{"n":%d,"x":"%s"}' % (n, b"y" * (n * 31 % 500))


def client_append(client: Client, path: str, type: str, size: int, unit) -> list[bytes]:
    start = position(client.head(path).offset)
    units = [unit(start * 3 + n) for n in range(size)]
    client.append(path, type, b"".join(units) if unit is byte_unit else array(units))
    return units


def check_chunks(client: Client, path: str, type: str, units: list[bytes]) -> None:
    """Chunks of whole units, at most the limit; only the last is up to date; the same again is the same."""
    token, place, json = client.head(path).offset, 0, type == JSON
    while place < len(units):
        query = f"offset={at(token, place)}"
        read = expect(client.get(path, query), 200)
        end = position(read.offset)
        assert end > place
        content = array(units[place:end]) if json else b"".join(units[place:end])
        last = end == len(units)
        check_read(read, content, type=type, cache=CACHEABLE, next_offset=at(token, end), up_to_date=last)
        assert len(read.body) <= CHUNK + (2 + end - place if json else 0)
        # Another spelling of the same question passes the cache by.
        assert client.get(path, f"x=1&{query}").body == content
        place = end


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_chunks_of_bytes(small: Client, path: str, layout: tuple) -> None:
    """3.4 with small chunks: cut before, at and behind the fork points."""
    units = lay_out(small, path, "text/plain", layout, byte_unit)
    check_chunks(small, f"{path}/c", "text/plain", units)
    assert small.read_all(f"{path}/c")[0] == b"".join(units)


@pytest.mark.parametrize("layout", [([1000], 444, [500, 500]), ([100] * 6, 350, [1] * 20), ([300], 0, [900])])
def test_chunks_of_messages(small: Client, path: str, layout: tuple) -> None:
    check_chunks(small, f"{path}/c", JSON, lay_out(small, path, JSON, layout, message_unit))


def test_chunks_do_not_change(small: Client, path: str) -> None:
    """1.2: a range of a fork stays what it is, whatever happens to source and fork later."""
    tail = small.create(f"{path}/a", "text/plain", "s" * 100_000).offset
    small.fork(f"{path}/b", f"{path}/a", None, "o" * 100_000, at=at(tail, 90_000))
    before = [expect(small.get(f"{path}/b", f"offset={at(tail, place)}"), 200) for place in (0, 50_000, 89_999, 90_000, 120_000)]
    small.append(f"{path}/a", "text/plain", "S", Stream_Closed="true")
    small.append(f"{path}/b", "text/plain", "O")
    expect(small.delete(f"{path}/a"), 204)
    for place, old in zip((0, 50_000, 89_999, 90_000, 120_000), before, strict=True):
        new = expect(small.get(f"{path}/b", f"again&offset={at(tail, place)}"), 200)
        assert new.body.startswith(old.body) and set(new.body[len(old.body) :]) <= set(b"oO")
        if "Stream-Up-To-Date" not in old:
            assert (new.body, new.offset, new.get("ETag")) == (old.body, old.offset, old.get("ETag"))


def test_etags(http: Client, path: str) -> None:
    """9.2: the instance is the fork's own, so equal ranges of source and fork never share a tag."""
    http.create(f"{path}/a", "text/plain", "abc")
    tail = http.fork(f"{path}/b", f"{path}/a").offset
    for query in ("offset=-1", f"offset={at(tail, 1)}"):
        source, fork = http.get(f"{path}/a", query), http.get(f"{path}/b", query)
        assert source.body == fork.body and source.get("ETag") != fork.get("ETag")
        expect(http.get(f"{path}/b", query, If_None_Match=source.get("ETag") or ""), 200)
        expect(http.get(f"{path}/a", query, If_None_Match=fork.get("ETag") or ""), 200)
        for field in (fork.get("ETag") or "", f'"x", W/{fork.get("ETag")}', "*"):
            check_not_modified(http.get(f"{path}/b", query, If_None_Match=field), fork)
    old = http.get(f"{path}/b").get("ETag") or ""
    http.append(f"{path}/b", "text/plain", "d")
    expect(http.get(f"{path}/b", If_None_Match=old), 200)
    old = http.get(f"{path}/b").get("ETag") or ""
    http.append(f"{path}/a", "text/plain", "x")
    expect(http.get(f"{path}/b", If_None_Match=old), 304)
    expect(http.post(f"{path}/b", Stream_Closed="true"), 204)
    expect(http.get(f"{path}/b", If_None_Match=old), 200)


def test_independent_content(http: Client, path: str) -> None:
    """11.4: the same token, different content beyond the fork point, in both directions."""
    tail = http.create(f"{path}/a", "text/plain", "abc").offset
    http.fork(f"{path}/b", f"{path}/a")
    for n in range(5):
        assert http.append(f"{path}/a", "text/plain", "source"[n]).offset == http.append(f"{path}/b", "text/plain", "branch"[n]).offset
    http.fork(f"{path}/c", f"{path}/a", at=tail)
    assert http.get(f"{path}/a").body == b"abcsourc" and http.get(f"{path}/b").body == b"abcbranc" and http.get(f"{path}/c").body == b"abc"
    assert http.get(f"{path}/a", f"offset={tail}").body == b"sourc" and http.get(f"{path}/b", f"offset={tail}").body == b"branc"


def test_fresh_writer_state(http: Client, path: str) -> None:
    """7.4: producers and Stream-Seq are not copied, also when the fork point lies inside a producer's batch."""
    tail = http.create(f"{path}/a", JSON, "0").offset
    http.append(f"{path}/a", JSON, "[1,2,3]", **producer("p", 5, 0), Stream_Seq="z")
    http.append(f"{path}/a", JSON, "4", **producer("p", 5, 1))
    http.fork(f"{path}/b", f"{path}/a", at=at(tail, 2))
    gap = http.post(f"{path}/b", JSON, "9", **producer("p", 5, 2))
    check_error(gap, 409, Producer_Expected_Seq="0", Producer_Received_Seq="2")
    accepted = expect(http.post(f"{path}/b", JSON, "9", **producer("p", 0, 0), Stream_Seq="a"), 200)
    assert accepted.offset == at(tail, 3)
    # Nor does anything come back the other way.
    expect(http.post(f"{path}/a", JSON, "5", **producer("p", 5, 2)), 200)
    expect(http.post(f"{path}/a", JSON, "6", Stream_Seq="b"), 409)
    again = expect(http.post(f"{path}/b", JSON, "9", **producer("p", 0, 0)), 204)
    assert again.get("Producer-Seq") == "0" and again.offset == accepted.offset
    assert http.get(f"{path}/b").body == b"[0,1,9]" and http.get(f"{path}/a").body == b"[0,1,2,3,4,5]"


def test_closed_by_is_not_inherited(http: Client, path: str) -> None:
    """3.2 row 9: the tuple that closed the source is no duplicate on its fork."""
    http.create(f"{path}/a", "text/plain", "a")
    http.append(f"{path}/a", "text/plain", "b", **producer("p", 0, 0), Stream_Closed="true")
    http.fork(f"{path}/b", f"{path}/a")
    expect(http.post(f"{path}/b", "text/plain", "b", **producer("p", 0, 0), Stream_Closed="true"), 200)
    assert http.get(f"{path}/b").body == b"abb"


def test_separate_closure(http: Client, path: str) -> None:
    """Section 6: closing a source never closes a fork, nor the reverse."""
    tail = http.create(f"{path}/a", "text/plain", "abc").offset
    for name in "bc":
        http.fork(f"{path}/{name}", f"{path}/a")
    http.append(f"{path}/b", "text/plain", "!", Stream_Closed="true")
    for name in "ac":
        assert "Stream-Closed" not in http.head(f"{path}/{name}") and "Stream-Closed" not in http.get(f"{path}/{name}")
    check_read(http.get(f"{path}/b"), b"abc!", type="text/plain", cache=CACHEABLE, next_offset=at(tail, 4), closed=True)
    expect(http.post(f"{path}/a", Stream_Closed="true"), 204)
    http.append(f"{path}/c", "text/plain", "?")
    read = http.get(f"{path}/c")
    check_read(read, b"abc?", type="text/plain", cache=CACHEABLE, next_offset=at(tail, 4))


@pytest.mark.parametrize("type", ["text/plain", JSON])
def test_chain_of_100(http: Client, path: str, type: str) -> None:
    """Each adds one unit and cuts the last one of its source now and then; from every offset."""
    units = [b"7"]
    tail = http.create(f"{path}/0", type, "7").offset
    for n in range(1, 101):
        if n % 7 == 0:
            units.pop()
        http.fork(f"{path}/{n}", f"{path}/{n - 1}", None, str(n % 10), at=at(tail, len(units)))
        units.append(b"%d" % (n % 10))
    for start in range(len(units) + 1):
        read = expect(http.get(f"{path}/100", f"offset={at(tail, start)}"), 200)
        assert read.body == (array(units[start:]) if type == JSON else b"".join(units[start:]))
    for n in range(100):
        expect(http.delete(f"{path}/{n}"), 204)
    assert http.get(f"{path}/100", "again").body == (array(units) if type == JSON else b"".join(units))


def shape(response: Response) -> tuple:
    """What an answer shows, less what has to differ between two streams."""
    names = [name for name, _ in response.headers]
    values = {name: value for name, value in protocol_headers(response).items() if name not in ("etag", "location", "stream-next-offset")}
    place = position(response.offset) if "Stream-Next-Offset" in response else None
    return response.status, names, values, place, response.get("Cache-Control"), response.get("Content-Type"), response.body


def test_no_answer_tells_of_a_fork(http: Client, path: str) -> None:
    """1.8: the same header lines, in the same order, as a plain stream of the same content has."""
    http.create(f"{path}/a", "text/plain", "takeaway", Stream_TTL="600")
    plain, fork = f"{path}/p", f"{path}/b"
    pairs = [(http.create(plain, "text/plain", "takeaway!", Stream_TTL="600"), http.fork(fork, f"{path}/a", None, "!"))]
    http.fork(f"{path}/c", fork)
    http.create(f"{path}/d", "text/plain", "x", Stream_TTL="600")
    pairs.append((http.put(plain, "text/plain", Stream_TTL="600"), http.put_fork(fork, f"{path}/a")))
    for query in ("", "offset=now", f"offset={ZERO}", "live=long-poll&offset=-1", "offset=bad", "live=sse"):
        pairs.append((http.get(plain, query), http.get(fork, query)))
    for ask in (http.head, lambda p: http.post(p, "text/plain", "x"), lambda p: http.post(p, "text/html", "x")):
        pairs.append((ask(plain), ask(fork)))
    pairs.append((http.get(plain, If_None_Match="*"), http.get(fork, If_None_Match="*")))
    pairs.append((http.post(plain, Stream_Closed="true"), http.post(fork, Stream_Closed="true")))
    pairs.append((http.get(plain, "x"), http.get(fork, "x")))
    pairs.append((http.delete(plain), http.delete(fork)))
    for one, other in pairs:
        one.headers = [(k, v) for k, v in one.headers if k.lower() != "stream-cursor"]
        other.headers = [(k, v) for k, v in other.headers if k.lower() != "stream-cursor"]
        assert shape(one) == shape(other), f"{one.describe()}\n{other.describe()}"
    check_protocol_headers(http.head(f"{path}/c"), Stream_Next_Offset=True, Stream_TTL="600")
