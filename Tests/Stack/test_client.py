"""The client from PyPI, unchanged: create, append, catch-up, long-poll, SSE and producer flows."""

from __future__ import annotations

import threading

import httpx
import pytest
from durable_streams import DurableStream, SeqConflictError, StreamExistsError, StreamNotFoundError, stream

from client import Client, expect
from stack import Stack


@pytest.fixture
def base(stack: Stack, path: str) -> str:
    return f"http://127.0.0.1:{stack.port}/v1/stream/{path}"


def test_create_and_head(base: str) -> None:
    with DurableStream.create(base, content_type="text/plain", ttl_seconds=3600, body="hello") as handle:
        head = handle.head()
        assert head.exists and head.content_type == "text/plain" and head.offset and head.offset.endswith("_0000000000000005")
        assert head.cache_control == "no-store"
    with DurableStream.connect(base) as handle:
        assert handle.content_type == "text/plain"
    with pytest.raises(StreamExistsError):
        DurableStream.create(base, content_type="application/json")


def test_delete(base: str) -> None:
    with DurableStream.create(base, content_type="text/plain") as handle:
        handle.delete()
        with pytest.raises(StreamNotFoundError):
            handle.head()
        with pytest.raises(StreamNotFoundError):
            handle.delete()
    with pytest.raises(StreamNotFoundError):
        DurableStream.connect(base)


def test_bytes_catch_up(base: str) -> None:
    with DurableStream.create(base, content_type="application/octet-stream", batching=False) as handle:
        first = handle.append(b"\x00\x01")
        handle.append(b"\xff")
        with stream(base, live=False) as read:
            assert read.read_bytes() == b"\x00\x01\xff" and read.up_to_date
        with stream(base, offset=first.next_offset, live=False) as read:
            assert read.read_bytes() == b"\xff"
        with stream(base, offset="now", live=False) as read:
            assert read.read_bytes() == b""


def test_large_catch_up_follows_chunks(base: str) -> None:
    """The client loops until Stream-Up-To-Date; 3 MB come in several pieces."""
    content = bytes(range(256)) * 12_000
    with DurableStream.create(base, content_type="application/octet-stream", body=content):
        with stream(base, live=False) as read:
            assert b"".join(read) == content


def test_json_catch_up(base: str) -> None:
    with DurableStream.create(base, content_type="application/json") as handle:
        for item in ({"n": 1}, [2, 3], "four", 5, None):
            handle.append(item)
        with handle.stream(live=False) as read:
            assert read.read_json() == [{"n": 1}, [2, 3], "four", 5, None]


def test_batched_appends(base: str) -> None:
    """Concurrent append() calls of one handle travel together and are all there."""
    with DurableStream.create(base, content_type="application/json") as handle:
        threads = [threading.Thread(target=handle.append, args=({"n": n},)) for n in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with handle.stream(live=False) as read:
            assert sorted(item["n"] for item in read.read_json()) == list(range(40))


def test_sequence_conflict(base: str) -> None:
    with DurableStream.create(base, content_type="text/plain", batching=False) as handle:
        handle.append("a", seq="2")
        with pytest.raises(SeqConflictError):
            handle.append("b", seq="1")


@pytest.mark.parametrize("live", ["long-poll", "sse"])
def test_live_json(base: str, live: str) -> None:
    """Backlog, then each message as it is appended."""
    with DurableStream.create(base, content_type="application/json", body=b'[{"n":0}]') as handle:
        with stream(base, offset="-1", live=live) as read:
            events = read.iter_json()
            assert next(events) == {"n": 0}
            for n in range(1, 6):
                handle.append({"n": n})
                assert next(events) == {"n": n}


@pytest.mark.parametrize("live", ["long-poll", "sse"])
def test_live_text(base: str, live: str) -> None:
    with DurableStream.create(base, content_type="text/plain", body="zero\n", batching=False) as handle:
        with stream(base, offset="-1", live=live) as read:
            pieces = read.iter_text()
            assert next(pieces) == "zero\n"
            for text in ("one", "two ž\n", "\n three"):
                handle.append(text)
                assert next(pieces) == text


def test_auto_mode(base: str) -> None:
    """Catch-up first, then live."""
    with DurableStream.create(base, content_type="application/json", body=b"[1,2]") as handle:
        with handle.stream() as read:
            items = read.iter_json()
            assert [next(items), next(items)] == [1, 2]
            handle.append(3)
            assert next(items) == 3


def test_producer_flow(stack: Stack, http: Client, path: str, base: str) -> None:
    """This client has no producer class: the headers are given by callables, retries are real requests."""
    http.create(path, "text/plain")
    state = {"epoch": 0, "seq": 0}
    headers = {"Producer-Id": "py", "Producer-Epoch": lambda: str(state["epoch"]), "Producer-Seq": lambda: str(state["seq"])}
    with DurableStream(base, content_type="text/plain", headers=headers, batching=False) as handle:
        offsets = []
        for seq in range(3):
            state["seq"] = seq
            offsets += [handle.append(f"{seq};").next_offset, handle.append(f"{seq};").next_offset]
        assert offsets[0] == offsets[1] < offsets[2] == offsets[3] < offsets[4] == offsets[5]
        state["seq"] = 7
        with pytest.raises(SeqConflictError):
            handle.append("gap")
        state.update(epoch=1, seq=0)
        handle.append("new session")
        state.update(epoch=0, seq=3)
        with pytest.raises(Exception) as fenced:
            handle.append("old session")
        assert "403" in str(fenced.value) or getattr(fenced.value, "status", None) == 403
    assert http.get(path).body == b"0;1;2;new session"


def test_closed_stream_ends_the_read(http: Client, path: str, base: str) -> None:
    http.create(path, "text/plain", "all", Stream_Closed="true")
    with stream(base, offset="-1", live=False) as read:
        assert read.read_text() == "all"
    answer = httpx.get(base, params={"offset": "-1", "live": "long-poll"})
    assert answer.status_code == 200 and answer.headers["Stream-Closed"] == "true"
    expect(http.head(path), 200)
