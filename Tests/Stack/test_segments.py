"""Cold segments: what has moved into files is read as before, whole files go out by nginx, damage is told."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator

import pytest

from checks import check_error
from client import Client, at, expect, pieces
from sse import EventSource
from stack import Stack
from store import ask_store, files, files_of, wait_for_rotation, wait_until

PIECE = 1 << 20


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, bytes, list]]:
    """A stack with a byte and a JSON stream, closed, of six segments each; a fork of either."""
    from stack import remove_tree, temporary_root

    root = temporary_root()
    stack = Stack(root / "data", DS_SEGMENT_MAX_MESSAGES=8, DS_SEGMENT_MAX_BYTES=2 * PIECE)
    try:
        stack.start()
        client = Client(stack)
        parts = [bytes([65 + n]) * (PIECE // 5 + n) for n in range(48)]
        messages = [{"n": n, "text": chr(97 + n % 26) * 26_000} for n in range(400)]
        client.create("bytes", "text/plain")
        client.create("json", "application/json")
        for part in parts:
            client.append("bytes", "text/plain", part)
        for first in range(0, len(messages), 10):
            client.append("json", "application/json", json.dumps(messages[first : first + 10]))
        for name in ("bytes", "json"):
            expect(client.post(name, Stream_Closed="true"), 204)
        wait_for_rotation(stack)
        assert len(files(stack)) >= 10
        client.close()
        yield stack, b"".join(parts), messages
        stack.stop()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


def test_everything_is_there(cold) -> None:
    stack, content, messages = cold
    client = Client(stack)
    assert ask_store(stack, "SELECT count(*) FROM record WHERE units > 0") == [0]
    assert b"".join(pieces(client, "bytes")) == content
    assert [message for piece in pieces(client, "json") for message in json.loads(piece)] == messages
    # From anywhere: inside an append, inside a segment, behind the last.
    tail = client.head("bytes").offset
    for place in (1, PIECE, 2 * PIECE - 1, 2 * PIECE + 1, 5 * PIECE, len(content) - 1, len(content)):
        assert b"".join(pieces(client, "bytes", at(tail, place))) == content[place:]
    tail = client.head("json").offset
    for place in (1, 9, 10, 77, 200, 399, 400):
        assert [message for piece in pieces(client, "json", at(tail, place)) for message in json.loads(piece)] == messages[place:]
    client.close()


def test_a_file_has_the_headers_of_the_pool(cold) -> None:
    stack, content, _ = cold
    client = Client(stack)
    first = expect(client.get("bytes"), 200)
    assert first.get("Content-Type") == "text/plain" and first.body == content[: len(first.body)]
    assert len(first.body) == files_of(stack, "bytes")[0].stat().st_size, "the piece is a file"
    assert int(first.offset[17:]) == len(first.body)
    for absent in ("Last-Modified", "Accept-Ranges", "X-Accel-Redirect", "X-Accel-Expires", "Stream-Up-To-Date", "Stream-Closed"):
        assert absent not in first, first.describe()
    assert first.get("Cache-Control") == "public, max-age=60, stale-while-revalidate=300"
    etag = first.get("ETag")
    assert etag.startswith('"') and expect(client.get("bytes", If_None_Match=etag), 304).get("ETag") == etag
    assert expect(client.get("bytes", If_None_Match='"other"'), 200).body == first.body
    # Conditions and ranges that mean nothing to streams.
    for extra in ({"Range": "bytes=0-9"}, {"If_Match": '"zz"'}, {"If_Unmodified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, {"If_Modified_Since": "Sat, 01 Jan 2050 00:00:00 GMT"}):
        assert expect(client.get("bytes", **extra), 200).body == content[: len(client.get("bytes", **extra).body)]
    packed = expect(client.get("bytes", Accept_Encoding="gzip"), 200)
    assert packed.get("Content-Encoding") == "gzip" and gzip.decompress(packed.body) == first.body and packed.get("ETag") == f"W/{etag}"
    last = list_of_answers(client, "bytes")[-1]
    assert last.get("Stream-Closed") == "true" and last.get("Stream-Up-To-Date") == "true"
    private = expect(client.get("bytes", Authorization="Bearer x"), 200)
    assert private.body == first.body and private.get("Cache-Control").startswith("private")
    client.close()


def list_of_answers(client: Client, path: str) -> list:
    answers, offset = [], "-1"
    while not answers or "Stream-Up-To-Date" not in answers[-1]:
        answers.append(expect(client.get(path, f"offset={offset}"), 200))
        offset = answers[-1].offset
    return answers


def test_nobody_gets_at_the_files_directly(cold) -> None:
    stack, _, _ = cold
    client = Client(stack)
    name = files(stack)[0].relative_to(stack.data_dir / "segments")
    check_error(client.request("GET", f"/.durable-streams-segments/{name}"), 404)
    client.close()


def test_forks_of_what_is_cold(cold) -> None:
    stack, content, messages = cold
    client = Client(stack)
    tail = client.head("bytes").offset
    place = 3 * PIECE + 5
    client.fork("fork-bytes", "bytes", None, "own", at=at(tail, place))
    assert b"".join(pieces(client, "fork-bytes")) == content[:place] + b"own"
    # Sub-offsets go to the end of the append, whether it is hot or cold.
    size = PIECE // 5
    check_error(client.put_fork("x", "bytes", at=at(tail, 0), sub=str(size + 1)), 400, "FORK_OFFSET_INVALID")
    client.fork("fork-sub", "bytes", at=at(tail, 10), sub=str(size - 10))
    assert b"".join(pieces(client, "fork-sub")) == content[:size]
    client.fork("fork-json", "json", None, '["own"]', at=at(client.head("json").offset, 123), sub="4")
    assert [message for piece in pieces(client, "fork-json") for message in json.loads(piece)] == [*messages[:127], "own"]
    client.close()


@pytest.mark.timeout(60)
def test_live_reads_of_what_is_cold(cold) -> None:
    stack, content, _ = cold
    client = Client(stack)
    answer = expect(client.get("bytes", "live=long-poll&offset=-1"), 200)
    assert content.startswith(answer.body) and answer.body
    tail = client.head("bytes").offset
    client.close()
    with EventSource(stack, "bytes") as source:
        payloads, control = source.until(tail)
    assert b"".join(payloads) == content and control["streamClosed"] is True


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "folder", "longer"])
def test_damage_is_told(cold, damage: str) -> None:
    """500 and the path in the log, whoever reads; never wrong bytes; other parts can be read, and all when it is mended."""
    stack, content, _ = cold
    client = Client(stack)
    path = files_of(stack, "bytes")[1]
    whole = path.read_bytes()
    start = int(path.name.split("-")[1])
    token = at(client.head("bytes").offset, start)
    inside = at(token, start + 7)
    expect(client.get("bytes", f"offset={token}"), 200)
    written = os.path.getsize(stack.log)
    try:
        if damage == "truncated":
            os.truncate(path, len(whole) - 1)
        elif damage == "flipped":
            path.write_bytes(whole[:999] + bytes([whole[999] ^ 1]) + whole[1000:])
        elif damage == "longer":
            path.write_bytes(whole + b"x")
        else:
            path.unlink()
            if damage == "folder":
                path.mkdir()
        for offset in (token, inside):
            check_error(client.get("bytes", f"offset={offset}"), 500, "SEGMENT_DAMAGED")
            check_error(client.get("bytes", f"offset={offset}&live=long-poll"), 500, "SEGMENT_DAMAGED")
        first = expect(client.get("bytes"), 200)
        assert content.startswith(first.body)
        with stack.log.open("rb") as log:
            log.seek(written)
            line = log.read().decode()
        # The path, and by what the right file is known.
        assert str(path) in line and len(re.findall("`xxhsum -H2` of the right one is [0-9a-f]{32}", line)) >= 1
    finally:
        if damage == "folder":
            path.rmdir()
        path.write_bytes(whole)
    assert expect(client.get("bytes", f"offset={token}"), 200).body == whole
    client.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_million_messages_in_120_requests(fresh_stack) -> None:
    """Small segments are merged in the background."""
    stack = fresh_stack()
    client = Client(stack)
    client.create("many", "application/json")
    batch = json.dumps([f"{n:098d}" for n in range(1_000)], separators=(",", ":"))
    for _ in range(1_000):
        client.append("many", "application/json", batch)
    wait_for_rotation(stack)

    def requests() -> int:
        count = messages = 0
        for piece in pieces(client, "many"):
            count, messages = count + 1, messages + piece.count(b",") + 1
        assert messages == 1_000_000
        return count

    wait_until(stack, lambda: requests() <= 120, "small segments are merged", within=60)
    print(f"{requests()} requests, {len(files(stack))} files")
    client.close()


@pytest.mark.slow
def test_orphans_go_at_the_next_start(fresh_stack) -> None:
    """Files without a row, of a crash between the two, and unfinished ones."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2)
    client = Client(stack)
    client.create("a", "text/plain", "abc", Stream_Closed="true")
    wait_for_rotation(stack)
    (kept,) = files(stack)
    client.close()
    stack.stop()
    for name in ("999-0-3", "1-3-6", f"{kept.name}.part", "rubbish"):
        (kept.parent / name).write_bytes(b"xyz")
    stack.start()
    wait_until(stack, lambda: files(stack) == [kept], "the orphans are gone")
    client = Client(stack)
    assert client.get("a").body == b"abc"
    client.close()


@pytest.mark.slow
def test_files_of_a_deleted_stream_go(fresh_stack) -> None:
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2)
    client = Client(stack)
    for name in ("a", "b"):
        client.create(name, "text/plain", name, Stream_Closed="true")
    client.fork("fork", "a")
    wait_until(stack, lambda: len(files(stack)) == 2, "both have moved")
    expect(client.delete("a"), 204)
    expect(client.delete("b"), 204)
    # The fork needs the one; the other goes a few seconds later.
    wait_until(stack, lambda: len(files(stack)) == 1, "one is gone", within=20)
    assert client.get("fork").body == b"a"
    expect(client.delete("fork"), 204)
    wait_until(stack, lambda: files(stack) == [], "both are gone", within=20)
    wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM segment", "SELECT count(*) FROM garbage") == [0, 0], "nothing is listed")
    client.close()
