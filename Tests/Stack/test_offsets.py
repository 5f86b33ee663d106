"""The offset parameter: grammar of 2.3, sentinels of 2.4, unusual places of 2.5."""

from __future__ import annotations

import pytest

from checks import CACHEABLE, check_error, check_read
from client import NINES, ZERO, Client, at, expect, incarnation

T = "0000000000000001_0000000000000001"

MALFORMED = {
    "empty": "offset=",
    "no-equals-sign": "offset",
    "twice": "offset=-1&offset=now",
    "twice-equal": "offset=-1&offset=-1",
    "twice-equal-now": "offset=now&offset=now",
    "twice-token": f"offset={ZERO}&offset={ZERO}",
    "twice-one-empty": "offset=-1&offset=",
    "twice-apart": "offset=-1&x=1&offset=-1",
    "three-times": "offset=now&offset=now&offset=now",
    "twice-name-escaped": "offset=-1&%6Fffset=-1",
    "comma": "offset=-1,-1",
    "comma-escaped": "offset=-1%2C-1",
    "token-comma": f"offset={T},",
    "space-escaped": f"offset={T}%20",
    "space-before": f"offset=%20{T}",
    "plus-is-space": f"offset=+{T}",
    "plus-after": f"offset={T}+",
    "plus-now": "offset=now+",
    "plus-minus-1": "offset=+-1",
    "plus-alone": "offset=+",
    "plus-1": "offset=%2B1",
    "slash": f"offset={T}/",
    "slash-escaped": "offset=..%2F..",
    "dots": "offset=..",
    "dots-path": "offset=../../etc/passwd",
    "nul": f"offset={T}%00",
    "nul-alone": "offset=%00",
    "nul-now": "offset=now%00",
    "cr": f"offset={T}%0D",
    "lf": f"offset={T}%0A",
    "lf-minus-1": "offset=-1%0A",
    "lf-now": "offset=now%0a",
    "crlf": f"offset={T}%0D%0A",
    "lf-before": f"offset=%0A{T}",
    "tab": f"offset={T}%09",
    "delete": f"offset={T}%7F",
    "c1-control": f"offset={T}%C2%85",
    "not-utf8": "offset=%FF",
    "not-utf8-inside": "offset=00000000000000%FF0_0000000000000001",
    "arabic-digits": "offset=" + "%D9%A0" * 16 + "_" + "0" * 16,
    "fullwidth-digits": "offset=" + "%EF%BC%90" * 16 + "_" + "0" * 16,
    "letter": "offset=000000000000000a_0000000000000001",
    "upper-NOW": "offset=NOW",
    "Now": "offset=Now",
    "minus-2": "offset=-2",
    "minus": "offset=-",
    "minus-0": "offset=-0",
    "minus-01": "offset=-01",
    "minus-10": "offset=-10",
    "minus-1.0": "offset=-1.0",
    "now-quoted": "offset=%22now%22",
    "now-now": "offset=nownow",
    "x-now": "offset=xnow",
    "latest": "offset=latest",
    "zero": "offset=0",
    "one": "offset=1",
    "1_2": "offset=1_2",
    "short-r": "offset=000000000000001_0000000000000001",
    "short-p": "offset=0000000000000001_000000000000001",
    "long-r": "offset=00000000000000001_0000000000000001",
    "long-p": "offset=0000000000000001_00000000000000001",
    "17-15": "offset=00000000000000001_000000000000001",
    "no-underscore": "offset=" + "0" * 32,
    "33-digits": "offset=" + "0" * 33,
    "33-underscores": "offset=" + "_" * 33,
    "two-underscores": "offset=0000000000000001__000000000000001",
    "three-groups": f"offset={T}_0000000000000001",
    "underscore-after": f"offset={T}_",
    "minus-in-token": "offset=-000000000000001_0000000000000001",
    "dash-for-underscore": "offset=0000000000000001-0000000000000001",
    "encoded-twice": "offset=%252D1",
    "encoded-twice-digit": "offset=%25300000000000000000_0000000000000001",
    "bad-escape": "offset=%zz",
    "bad-escape-cut": "offset=-1%",
    "bad-escape-short": "offset=%3",
    "very-long": "offset=" + "0" * 3000,
    "null": "offset=null",
    "equals-inside": "offset=-1=",
    "semicolon": "offset=-1;x=1",
    "hash-escaped": "offset=-1%23",
}


@pytest.mark.parametrize("query", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(http: Client, path: str, query: str) -> None:
    """2.3: 400 in catch-up and both live modes; before that, existence (404)."""
    check_error(http.get(path, query), 404, "STREAM_NOT_FOUND")
    http.create(path, "text/plain", "abc")
    for live in ("", "&live=long-poll", "&live=sse"):
        check_error(http.get(path, query + live), 400, "OFFSET_INVALID")
    check_error(http.get(path, "live=sse&" + query), 400, "OFFSET_INVALID")


@pytest.mark.parametrize("live", ["long-poll", "sse"])
def test_live_needs_an_offset(http: Client, path: str, live: str) -> None:
    """3.3 row 4; existence first."""
    check_error(http.get(path, f"live={live}"), 404, "STREAM_NOT_FOUND")
    http.create(path, "text/plain", "abc")
    check_error(http.get(path, f"live={live}"), 400)
    check_error(http.get(path, f"live={live}&cursor=1&Offset=-1"), 400)


START = {
    "absent": "",
    "minus-1": "offset=-1",
    "zeros": f"offset={ZERO}",
    "escaped-minus": "offset=%2D1",
    "escaped-digit": "offset=-%31",
    "escaped-underscore": "offset=0000000000000000%5f0000000000000000",
    "name-escaped": "%6Fffset=-1",
    "unknown-names": "x=1&offset=-1&y&=&z=%FF",
    "empty-pairs": "&&offset=-1&&",
    "other-case-is-another-name": "OFFSET=now&Offset=bad",
    "prefix-is-another-name": "offsets=bad&offse=bad",
    "cursor": "cursor=12&offset=-1",
    "cursor-bad": "cursor=%00&offset=-1",
    "live-unknown": "live=poll&offset=-1",
    "live-true": "live=true&offset=-1",
    "live-empty": "live=&offset=-1",
    "live-upper": "live=SSE&offset=-1",
    "live-long-poll-upper": "live=Long-Poll&offset=-1",
    "live-spaced": "live=sse+&offset=-1",
    "live-name-upper": "LIVE=sse&offset=-1",
    "live-without-value": "live&offset=-1",
    "question-mark-in-value": "x=?&offset=-1",
}


@pytest.mark.parametrize("query", START.values(), ids=START.keys())
def test_start(http: Client, path: str, query: str) -> None:
    """Every spelling of "from the start, catch-up" gives the same answer."""
    tail = http.create(path, "text/plain", "abc").offset
    read = http.get(path, query)
    check_read(read, b"abc", type="text/plain", cache=CACHEABLE, next_offset=tail)
    etag = read.get("ETag") or ""
    assert etag.endswith(f':-1:{tail}"'), f"the start is -1 however it was spelled (9.2): {etag}"


@pytest.mark.parametrize("query", ["offset=now", "offset=n%6Fw", "offset=%6e%6f%77", "x&offset=now"])
@pytest.mark.parametrize(("type", "empty"), [("text/plain", b""), ("application/json", b"[]")])
def test_now(http: Client, path: str, type: str, empty: bytes, query: str) -> None:
    """2.4: an ordinary tail token; resuming from it yields what was appended afterwards."""
    tail = http.create(path, type, "1").offset
    first = http.get(path, query)
    check_read(first, empty, type=type, cache="no-store", next_offset=tail, etag=None)
    http.append(path, type, "2")
    assert http.get(path, f"offset={first.offset}").body == (b"2" if type == "text/plain" else b"[2]")


def test_every_position(http: Client, path: str) -> None:
    """2.5: a position inside an append of a byte stream gives the bytes after it."""
    content = b"abcdefghij"
    http.create(path, "text/plain", content[:4])
    tail = http.append(path, "text/plain", content[4:]).offset
    for place in range(len(content)):
        read = http.get(path, f"offset={at(tail, place)}")
        check_read(read, content[place:], type="text/plain", cache=CACHEABLE, next_offset=tail)


@pytest.mark.parametrize(("type", "empty"), [("text/plain", b""), ("application/json", b"[]"), ("image/png", b"")])
def test_at_and_beyond_the_tail(http: Client, path: str, type: str, empty: bytes) -> None:
    """2.5: 200, no units, next offset = tail, up to date; open streams say no-store."""
    tail = http.create(path, type, "1").offset
    for token in (tail, at(tail, 2), at(tail, 10**15), at(tail, 9999999999999999)):
        read = http.get(path, f"offset={token}")
        check_read(read, empty, type=type, cache="no-store", next_offset=tail)
    empty_stream = http.create(f"{path}-empty", type).offset
    for query in ("", "offset=-1", f"offset={ZERO}", f"offset={empty_stream}", f"offset={at(empty_stream, 1)}"):
        read = http.get(f"{path}-empty", query)
        check_read(read, empty, type=type, cache="no-store", next_offset=empty_stream)


@pytest.mark.parametrize("live", ["", "&live=long-poll", "&live=sse"], ids=["catch-up", "long-poll", "sse"])
def test_other_incarnation(http: Client, path: str, live: str) -> None:
    """2.5: an R that is neither zeros nor this stream's is 410 OFFSET_GONE in every mode."""
    tail = http.create(path, "text/plain", "abc").offset
    number = incarnation(tail)
    others = [f"{number + 1:016d}_{0:016d}", f"{number + 1:016d}_{2:016d}", NINES, f"9999999999999999_{0:016d}"]
    if number > 1:
        others.append(f"{number - 1:016d}_{1:016d}")
    for token in others:
        check_error(http.get(path, f"offset={token}{live}"), 410, "OFFSET_GONE")


@pytest.mark.parametrize("live", ["", "&live=long-poll", "&live=sse"], ids=["catch-up", "long-poll", "sse"])
def test_token_of_a_deleted_stream(http: Client, path: str, live: str) -> None:
    """Offsets of the URL's former stream are recognised (2.2)."""
    old = http.create(path, "text/plain", "old content").offset
    expect(http.delete(path), 204)
    check_error(http.get(path, f"offset={old}{live}"), 404, "STREAM_NOT_FOUND")
    http.create(path, "text/plain", "new")
    for place in (0, 2, 11):
        check_error(http.get(path, f"offset={at(old, place)}{live}"), 410, "OFFSET_GONE")


def test_zero_incarnation_with_a_position(http: Client, path: str) -> None:
    """2.5 does not call a zero R gone; whatever is answered, no wrong bytes may come back."""
    http.create(path, "text/plain", "abcdef")
    read = http.get(path, "offset=0000000000000000_0000000000000002")
    assert read.status in (200, 400, 410), read.describe()
    if read.status == 200:
        assert read.body == b"cdef", read.describe()
