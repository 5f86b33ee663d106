"""Catch-up reads: table 3.4, chunks, compression, and methods around them."""

from __future__ import annotations

import gzip
import re
import zlib

import pytest

from checks import CACHEABLE, TOKEN, check_empty, check_error, check_fixed, check_protocol_headers, check_read
from client import Client, at, expect, position, url

ETAG = re.compile(r'"[^":,\s]+:(-1|[0-9]{16}_[0-9]{16}):[0-9]{16}_[0-9]{16}(:c)?"')
CHUNK = 65536


@pytest.mark.parametrize("type", ["text/plain", "application/octet-stream", "application/json;charset=utf-8", "image/svg+xml", "x/y"])
def test_whole_stream(http: Client, path: str, type: str) -> None:
    """Row 3, with Content-Type byte for byte."""
    tail = http.create(path, type, b"1").offset
    body = b"[1]" if "json" in type else b"1"
    read = check_read(http.get(path), body, type=type, cache=CACHEABLE, next_offset=tail, etag=ETAG)
    assert TOKEN.fullmatch(read.offset)
    assert (read.get("ETag") or "").endswith(f':-1:{tail}"')
    assert read.get("Content-Length") == str(len(body))


def test_absent(http: Client, path: str) -> None:
    """3.3 row 1, in each mode and with conditions."""
    for query in ("", "offset=-1", "offset=now", "offset=bad", "live=sse&offset=-1", "live=long-poll&offset=now", "live=sse"):
        check_error(http.get(path, query), 404, "STREAM_NOT_FOUND")
    check_error(http.get(path, If_None_Match="*"), 404, "STREAM_NOT_FOUND")


def test_read_your_writes(http: Client, path: str) -> None:
    """1.4: any read after an answer sees the append; same range, same bytes."""
    http.create(path, "text/plain")
    content = b""
    for n in range(40):
        piece = b"%d," % n
        tail = http.append(path, "text/plain", piece).offset
        content += piece
        assert http.get(path).body == content
        read = http.get(path, f"offset={at(tail, len(content) - len(piece))}")
        assert read.body == piece and read.offset == tail


def fill(client: Client, path: str, type: str, sizes: list[int]) -> bytes:
    content = b""
    client.create(path, type)
    for index, size in enumerate(sizes):
        piece = bytes([97 + index % 26]) * size
        client.append(path, type, piece)
        content += piece
    return content


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([200_000], id="one-large-append"),
        pytest.param([1000] * 200, id="many-small-appends"),
        pytest.param([CHUNK], id="exactly-one-chunk"),
        pytest.param([CHUNK, 1], id="one-byte-more"),
        pytest.param([CHUNK + 1], id="one-byte-more-in-one-append"),
        pytest.param([CHUNK - 1, 2, CHUNK], id="boundaries"),
        pytest.param([100, 150_000, 1, 1, 70_000], id="mixed"),
    ],
)
def test_byte_chunks(small: Client, path: str, sizes: list[int]) -> None:
    """A cut chunk has content, at most the limit, neither Up-To-Date nor Closed, and is cacheable."""
    content = fill(small, path, "text/plain", sizes)
    expect(small.post(path, Stream_Closed="true"), 204)
    tail, offset, place, pieces = small.head(path).offset, "-1", 0, 0
    while True:
        read = expect(small.get(path, f"offset={offset}"), 200)
        length = position(read.offset) - place
        assert 0 < length <= CHUNK and read.offset == at(tail, place + length)
        last = read.offset == tail
        check_read(
            read,
            content[place : place + length],
            type="text/plain",
            cache=CACHEABLE,
            next_offset=read.offset,
            etag=re.compile(rf'"[^":]+:{offset}:{read.offset}{":c" if last else ""}"'),
            up_to_date=last,
            closed=last,
        )
        place, offset, pieces = place + length, read.offset, pieces + 1
        if last:
            break
    assert place == len(content)
    assert pieces >= -(-len(content) // CHUNK)


def test_json_chunks(small: Client, path: str) -> None:
    """A JSON chunk is a complete array of whole messages."""
    messages = [b'{"n":%d,"x":"%s"}' % (n, b"y" * (n % 700)) for n in range(600)]
    small.create(path, "application/json")
    for start in range(0, 600, 100):
        tail = small.append(path, "application/json", b"[" + b",".join(messages[start : start + 100]) + b"]").offset
    place, offset = 0, "-1"
    while place < 600:
        read = expect(small.get(path, f"offset={offset}"), 200)
        end = position(read.offset)
        assert end > place and read.body == b"[" + b",".join(messages[place:end]) + b"]"
        assert len(read.body) <= CHUNK + 2 + (end - place)
        assert ("Stream-Up-To-Date" in read) == (end == 600)
        place, offset = end, read.offset
    assert offset == tail


def test_json_message_larger_than_a_chunk(small: Client, path: str) -> None:
    """5.4: sent whole."""
    large = b'"' + b"z" * 150_000 + b'"'
    tail = small.create(path, "application/json", b"[1," + large + b",2]").offset
    place, found = 0, b""
    while place < 3:
        read = expect(small.get(path, f"offset={at(tail, place)}"), 200)
        place = position(read.offset)
        found += b"," + read.body[1:-1]
    assert found == b",1," + large + b",2"


def test_chunks_do_not_change(small: Client, path: str) -> None:
    """1.2: bytes between two offsets stay, whatever is appended or closed later."""
    content = fill(small, path, "text/plain", [150_000])
    before = expect(small.get(path), 200)
    small.append(path, "text/plain", "more", Stream_Closed="true")
    after = expect(small.get(path), 200)
    assert after.body.startswith(before.body[:CHUNK]) and (content + b"more").startswith(after.body)
    inside = at(before.offset, 100)
    assert small.get(path, f"offset={inside}").body == content[100:][: len(small.get(path, f"offset={inside}").body)]


@pytest.mark.parametrize(
    "header",
    [
        ("Range", "bytes=0-1"),
        ("Range", "bytes=-1"),
        ("Range", "bytes=100-"),
        ("If-Range", '"x"'),
        ("If-Match", '"zz"'),
        ("If-Modified-Since", "Sat, 01 Jan 2050 00:00:00 GMT"),
        ("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ("Cookie", "a=b"),
        ("Accept", "text/html"),
        ("Cache-Control", "no-cache"),
        ("Pragma", "no-cache"),
        ("X-Accel-Redirect", "/etc/passwd"),
        ("Stream-Closed", "true"),
        ("Stream-TTL", "bad"),
        ("Producer-Id", "p"),
    ],
    ids=lambda header: "=".join(header)[:24],
)
def test_headers_that_do_not_matter(http: Client, path: str, header: tuple[str, str]) -> None:
    """Only If-None-Match makes a read conditional; there are no ranges."""
    tail = http.create(path, "text/plain", "abcdef").offset
    for _ in range(2):
        read = http.request("GET", url(path), [header])
        check_read(read, b"abcdef", type="text/plain", cache=CACHEABLE, next_offset=tail)
        assert "Accept-Ranges" not in read and "Content-Range" not in read and "Last-Modified" not in read


def test_authorised_reads_are_private(http: Client, path: str) -> None:
    """9.1, Choice: `private` as soon as the request carries Authorization."""
    tail = http.create(path, "text/plain", "abc").offset
    read = http.get(path, Authorization="Bearer x")
    check_read(read, b"abc", type="text/plain", cache=CACHEABLE.replace("public", "private"), next_offset=tail)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, deflate, br", "*", "gzip;q=0", "identity", "br"])
def test_compression(http: Client, path: str, coding: str) -> None:
    """13.3 and 9.2: only if accepted, from 1 KiB up, with Vary and a weak ETag; identical content."""
    for size in (100, 5000):
        name, content = f"{path}-{size}", b"abcdefgh " * (size // 9)
        tail = http.create(name, "text/plain", content).offset
        read = expect(http.get(name, Accept_Encoding=coding), 200)
        check_fixed(read)
        used = read.get("Content-Encoding")
        if used is None:
            body = read.body
        else:
            assert size >= 1024 and used in ("gzip", "deflate") and (used in coding or coding == "*") and "q=0" not in coding
            assert "Accept-Encoding" in (read.get("Vary") or ""), read.describe()
            assert (read.get("ETag") or "").startswith('W/"'), read.describe()
            body = gzip.decompress(read.body) if used == "gzip" else zlib.decompress(read.body)
        assert body == content and read.offset == tail
        plain = expect(http.get(name), 200)
        assert "Content-Encoding" not in plain and plain.body == content
        assert (plain.get("ETag") or "").startswith('"')
        matched = http.get(name, Accept_Encoding=coding, If_None_Match=read.get("ETag") or "")
        expect(matched, 304)


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(("coding", "ok"), [("gzip", False), ("br", False), ("x", False), ("identity", True), ("Identity", True)])
def test_request_content_encoding(http: Client, path: str, method: str, coding: str, ok: bool) -> None:
    """13.3: identity only, else 415."""
    if method == "POST":
        http.create(path, "text/plain")
    answer = http.request(method, url(path), [("Content-Type", "text/plain"), ("Content-Encoding", coding)], b"abc")
    if ok:
        assert answer.status in (201, 204), answer.describe()
        assert http.get(path).body == b"abc"
    else:
        check_error(answer, 415)
        assert http.get(path).status == (404 if method == "PUT" else 200)


def test_binary_content(http: Client, path: str) -> None:
    """1.9: content untouched, every byte value, CRLF and NUL included."""
    content = bytes(range(256)) * 3 + b"\r\n\r\n\x00\x00"
    tail = http.create(path, "application/octet-stream").offset
    for start in range(0, len(content), 97):
        tail = http.append(path, "application/octet-stream", content[start : start + 97]).offset
    assert http.get(path).body == content
    check_empty(http.delete(path), 204)
    assert position(tail) == len(content)


def test_head_and_read_agree(http: Client, path: str) -> None:
    http.create(path, "text/plain", "abc")
    head, read = http.head(path), http.get(path)
    assert head.offset == read.offset and head.get("Content-Type") == read.get("Content-Type")
    check_protocol_headers(head, Stream_Next_Offset=True)
