"""`debug_timing`: what took the time of an answer is said in it, and never of another's."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from client import Client, expect
from stack import Stack, remove_tree, temporary_root
from wire import Response, build_request

PHASE = re.compile(r"(auth|queue|commit|read|wait);dur=(\d+\.\d{3})")


@pytest.fixture(scope="module")
def timed() -> Iterator[Client]:
    root = temporary_root()
    # As other programs have it.
    stack = Stack(root / "data", DEBUG_TIMING=1, DS_READ_CHUNK_BYTES=65536, DS_LONG_POLL_TIMEOUT=0.3)
    try:
        client = Client(stack.start())
        yield client
        client.close()
        stack.stop()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


def phases(answer: Response) -> dict[str, float]:
    """Milliseconds by phase."""
    parts = (answer.get("Server-Timing") or "").split(", ")
    found = [PHASE.fullmatch(part) for part in parts]
    assert all(found), answer.describe()
    return {match[1]: float(match[2]) for match in found if match}


def test_phases(timed: Client) -> None:
    """Those that each kind of request has, and no others; their sum is no more than the client waited."""
    began = time.monotonic()
    wanted = (
        ("PUT", "", b"x", {"auth", "queue", "commit"}), ("POST", "", b"y", {"auth", "queue", "commit"}), ("GET", "", None, {"auth", "read"}),
        ("HEAD", "", None, {"auth", "read"}), ("GET", "?live=sse&offset=-1", None, {"auth", "read"}),
        ("GET", "?live=long-poll&offset=-1", None, {"auth", "read"}), ("GET", "?live=long-poll&offset=now", None, {"auth", "read", "wait"}),
        ("DELETE", "", None, {"auth", "queue", "commit"}),
    )  # fmt: skip
    for method, query, body, names in wanted:
        fields = {"X-Request-Id": "mine-1"} | ({"Content-Type": "text/plain"} if body else {})
        if "sse" in query:
            with timed.stack.connect() as connection:
                connection.send(build_request(method, f"/v1/stream/t{query}", list(fields.items())))
                answer = connection.read_head()
        else:
            answer = timed.request(method, f"/v1/stream/t{query}", fields, body)
        assert answer.status < 300, answer.describe()
        assert set(phases(answer)) == names and answer.get("X-Request-Id") == "mine-1", answer.describe()
        if "wait" in names:
            assert phases(answer)["wait"] >= 290, answer.describe()
    # `wait` too, so all in all a bound that a phase of another request would pass.
    assert time.monotonic() - began < 15


def test_refusals_have_an_id(timed: Client) -> None:
    """Those of nginx too."""
    missing = expect(timed.get("none"), 404)
    assert re.fullmatch(r"[0-9a-f]{32}", missing.get("X-Request-Id") or "") and {"auth", "read"} == set(phases(missing))
    answer = timed.request("GET", "/v1/stream/a", {"X-Request-Id": "mine", "X-Long": "x" * 20000})
    assert answer.status in (400, 431) and "Server-Timing" not in answer, answer.describe()


def test_copy_tells_nothing_of_the_request_for_which_it_was_made(timed: Client) -> None:
    """HIT and REVALIDATED: an id of their own, no timing."""
    expect(timed.request("PUT", "/v1/stream/big", {"Content-Type": "text/plain"}, b"y" * 200_000), 201)
    target = f"/v1/stream/big?offset={timed.get('big').offset}"
    miss = timed.request("GET", target, {"X-Request-Id": "first"})
    assert miss.get("X-Cache") == "MISS" and set(phases(miss)) == {"auth", "read"} and miss.get("X-Request-Id") == "first"
    hit = timed.request("GET", target)
    assert hit.get("X-Cache") == "HIT" and "Server-Timing" not in hit and hit.body == miss.body, hit.describe()
    assert re.fullmatch(r"[0-9a-f]{32}", hit.get("X-Request-Id") or ""), hit.describe()
    # Copies are asked about after a second.
    time.sleep(2)
    again = timed.request("GET", target, {"X-Request-Id": "third"})
    assert again.get("X-Cache") == "REVALIDATED" and "Server-Timing" not in again, again.describe()
    assert again.get("X-Request-Id") == "third" and again.body == miss.body


def test_segment_file(timed: Client) -> None:
    """Sent by nginx in place of the pool, with what the pool says."""
    timed.create("closed", "text/plain", "x" * 5000, Stream_Closed="true")
    deadline = time.monotonic() + 5
    while not list((timed.stack.data_dir / "segments").rglob("*-*")):
        assert time.monotonic() < deadline, "no segment"
        time.sleep(0.02)
    answer = expect(timed.get("closed"), 200)
    assert {"auth", "read"} == set(phases(answer)) and "X-Request-Id" in answer


def test_nothing_without_it(http: Client, path: str) -> None:
    """Not even for who asks."""
    answer = http.request("PUT", f"/v1/stream/{path}", {"Content-Type": "text/plain", "X-Request-Id": "mine"}, b"x")
    for answer in (answer, http.get(path), http.get(path, "live=long-poll&offset=-1"), http.get(f"{path}-none")):
        assert "Server-Timing" not in answer and "X-Request-Id" not in answer, answer.describe()
