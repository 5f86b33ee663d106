"""A disk above its high-water mark: what asks for space is refused, all else goes on, and it ends by itself."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from checks import check_error
from client import Client, expect, producer
from disk import MIB, NOTICE, Disk, check_full, lines_of
from sse import EventSource
from stack import Stack
from store import wait_until
from test_startup import one_line, refused
from wire import Connection, build_request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def crossings(stack: Stack) -> tuple[int, int]:
    """Lines that say it is above the mark, and below again."""
    below = "below the high-water mark"
    above = [line for line in lines_of(stack, "high-water mark", but=below) if "disk_high_water" in line]
    return len(above), len(lines_of(stack, below))


def wait_status(stack: Stack, http: Client, status: int, within: float) -> float:
    """Until appends are answered so; the seconds that it took."""
    began = time.monotonic()

    def holds() -> bool:
        return http.post("probe", "text/plain", ".").status == status

    wait_until(stack, holds, f"appends are answered {status}", within, pause=0.01)
    return time.monotonic() - began


@pytest.fixture
def above(make_disk) -> Iterator[tuple[Disk, Stack, Client, Path]]:
    """A server above the default mark, with streams from before."""
    # Four percent are ten megabytes: there is no lack of space.
    disk = make_disk(256 * MIB)
    stack = disk.start(DS_LONG_POLL_TIMEOUT=0.5, DS_SSE_LIFETIME=1)
    with closing(Client(stack)) as http:
        http.create("probe", "text/plain")
        http.create("text", "text/plain", "abc", Stream_TTL="5000")
        http.append("text", "text/plain", "d", **producer("p", 3, 0), Stream_Seq="m")
        http.create("json", "application/json", "[1,2]")
        http.create("closed", "text/plain", "abc", Stream_Closed="true")
        for name in ("open", "doomed", "big"):
            http.create(name, "application/octet-stream", b"x" * 3_000_000 if name == "big" else name)
        ballast = disk.fill(96)
        wait_status(stack, http, 507, within=10)
        yield disk, stack, http, ballast


def test_what_is_refused(above) -> None:
    _, stack, http, ballast = above
    body, fork = ("text/plain", "more"), {"Stream_Forked_From": "/v1/stream/text"}
    for _ in range(20):
        check_full(http.post("text", *body))
    check_full(http.post("text", *body, **producer("p", 3, 1)))
    check_full(http.post("text", *body, **producer("new", 0, 0)))
    check_full(http.post("text", *body, Stream_Seq="n"))
    check_full(http.post("text", *body, Stream_Closed="true"))
    check_full(http.post("json", "application/json", "[3]"))
    check_full(http.post("open", "application/octet-stream", b"x" * 2_000_000))
    check_full(http.put("new", "text/plain"))
    check_full(http.put("new", *body))
    check_full(http.put("new", *body, Stream_Closed="true"))
    check_full(http.put("new", "text/plain", None, **fork))
    check_full(http.put("new", None, None, **fork))
    # Nothing of it was done.
    assert http.get("text").body == b"abcd" and http.get("json").body == b"[1,2]" and http.get("open").body == b"open"
    assert "Stream-Closed" not in http.head("text")
    expect(http.head("new"), 404)
    assert crossings(stack) == (1, 0), stack.log_tail()
    ballast.unlink()
    took = wait_status(stack, http, 204, within=NOTICE)
    print(f"appends work again after {took:.3f} s")
    wait_until(stack, lambda: crossings(stack) == (1, 1), "one line each", within=5)
    # The refused requests of the producer count for nothing.
    expect(http.post("text", *body, **producer("p", 3, 1), Stream_Seq="n"), 200)
    expect(http.put("new", *body), 201)
    assert http.get("text").body == b"abcdmore"


def test_what_goes_on(above) -> None:
    _, stack, http, _ = above
    body = ("text/plain", "more")
    assert expect(http.get("text"), 200).body == b"abcd" and expect(http.get("json"), 200).body == b"[1,2]"
    assert http.read_all("big")[0] == b"x" * 3_000_000
    tail = expect(http.head("text"), 200).offset
    expect(http.get("text", If_None_Match=http.get("text").get("ETag")), 304)
    expect(http.request("OPTIONS", "/v1/stream/text"), 204)
    expect(http.request("GET", "/healthz"), 200)
    # Repetitions.
    expect(http.put("text", "text/plain", None, Stream_TTL="5000"), 200)
    expect(http.put("json", "application/json", "[9]"), 200)
    expect(http.post("text", "text/plain", "d", **producer("p", 3, 0)), 204)
    # Refusals for other reasons come first.
    check_error(http.put("text", "text/html"), 409, "STREAM_EXISTS")
    check_error(http.put("new", "text/plain", None, Stream_TTL="x"), 400, "TTL_INVALID")
    check_error(http.put("new", "application/json", "{"), 400, "JSON_INVALID")
    check_error(http.put("new", "text/plain", None, Stream_Forked_From="/v1/stream/none"), 404, "SOURCE_NOT_FOUND")
    check_error(http.post("none", *body), 404, "STREAM_NOT_FOUND")
    check_error(http.post("text", "text/html", "x"), 409, "CONTENT_TYPE_MISMATCH")
    check_error(http.post("text", *body, Stream_Seq="a"), 409, "SEQUENCE_CONFLICT")
    check_error(http.post("text", "text/plain"), 400, "BODY_EMPTY")
    check_error(http.post("closed", *body), 409, "STREAM_CLOSED", Stream_Closed="true", Stream_Next_Offset=True)
    gap = http.post("text", *body, **producer("p", 3, 2))
    check_error(gap, 409, "PRODUCER_GAP", Producer_Expected_Seq="1", Producer_Received_Seq="2")
    assert http.post("text", *body, **producer("p", 2, 0)).status == 403
    # Live reads.
    assert expect(http.get("text", "live=long-poll&offset=-1"), 200).body == b"abcd"
    expect(http.get("text", f"live=long-poll&offset={tail}"), 204)
    with EventSource(stack, "text") as source:
        payloads, _ = source.until(tail)
    assert b"".join(payloads) == b"abcd"
    # Whoever waits learns of the end.
    with Connection(stack.port) as waiting:
        waiting.send(build_request("GET", f"/v1/stream/open?live=long-poll&offset={http.head('open').offset}"))
        expect(http.post("open", Stream_Closed="true"), 204)
        assert expect(waiting.read_response(), 204).get("Stream-Closed") == "true"
    expect(http.post("open", Stream_Closed="true"), 204)
    expect(http.post("text", Stream_Closed="true", **producer("p", 3, 1)), 204)
    expect(http.delete("doomed"), 204)
    expect(http.head("doomed"), 404)
    expect(http.delete("big"), 204)
    assert crossings(stack) == (1, 0), stack.log_tail()


def test_start_above_the_mark(above) -> None:
    """Also a server that begins there serves, and says it once; lower use lets it accept again."""
    _, stack, http, ballast = above
    http.close()
    stack.stop()
    stack.log.rename(stack.log.with_suffix(".first"))
    stack.start()
    assert expect(http.get("text"), 200).body == b"abcd"
    check_full(http.post("text", "text/plain", "x"))
    check_full(http.put("new", "text/plain"))
    wait_until(stack, lambda: crossings(stack) == (1, 0), "it says so", within=5)
    ballast.unlink()
    wait_status(stack, http, 204, within=NOTICE)
    # Up and down again: each time one line.
    for turn in (2, 3):
        again_full = (above[0]).fill(98)
        wait_status(stack, http, 507, within=10)
        again_full.unlink()
        wait_status(stack, http, 204, within=NOTICE)
        wait_until(stack, lambda turn=turn: crossings(stack) == (turn, turn), "one line each", within=5)


@pytest.mark.parametrize("reserved", [0, 30])
def test_use_is_what_df_says(make_disk, reserved: int) -> None:
    """Blocks kept for root count neither as used nor as available."""
    disk = make_disk(256 * MIB, reserved)
    stack = disk.start(DS_DISK_HIGH_WATER=100)
    with closing(Client(stack)) as http:
        http.create("probe", "text/plain")
    # Measured while it runs: a write-ahead log has its whole size then.
    disk.fill(76)
    use = disk.use()
    stack.stop()
    for mark, status in ((math.floor(use) - 3, 507), (math.ceil(use) + 3, 204)):
        stack = disk.start(DS_DISK_HIGH_WATER=mark)
        with closing(Client(stack)) as http:
            answer = http.post("probe", "text/plain", "x")
            assert answer.status == status, f"use {disk.use():.1f} %, mark {mark}: {answer.describe()}"
        assert abs(disk.use() - mark) > 1, "the use has changed"
        stack.stop()


def test_mark_of_100_is_none(make_disk) -> None:
    disk = make_disk(256 * MIB)
    stack = disk.start(DS_DISK_HIGH_WATER=100)
    with closing(Client(stack)) as http:
        http.create("probe", "text/plain")
        disk.fill(98.5)
        # Longer than the server would need to see it.
        until = time.monotonic() + 1
        while time.monotonic() < until:
            expect(http.post("probe", "text/plain", "x"), 204)
        expect(http.put("new", "text/plain"), 201)
    assert crossings(stack) == (0, 0)


@pytest.mark.parametrize("value", ["0", "101", "-1", "95%", "x", ""])
def test_malformed_mark(fresh_stack, value: str) -> None:
    status, errors = refused(fresh_stack(start=False, DS_DISK_HIGH_WATER=value))
    assert status == 78 and re.search("disk_high_water", one_line(errors), re.IGNORECASE), errors
