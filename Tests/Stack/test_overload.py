"""Too much at once: what waits is bounded, the rest hears so at once, and nothing of it lasts."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing

import pytest

from checks import check_error
from client import Client, expect, position, url
from metrics import Metrics
from overload import Asked, Crowd, Stall, fill_backlog, resident
from store import wait_until

TEXT = [("Content-Type", "text/plain")]
MIB = 1 << 20


def check_refused(members: list[Asked]) -> None:
    """503 with what a client needs to know."""
    for member in members:
        answer = member.response()
        assert check_error(answer, 503, "BUSY").get("Retry-After") == "1"


def check_accepted(crowd: Crowd, most: int) -> int:
    """So many of a crowd were stored, but for one whose place a chore of the server's own may have had, and all others refused."""
    statuses = [member.status for member in crowd.members]
    assert set(statuses) == {204, 503} and most - 1 <= statuses.count(204) <= most, statuses
    return statuses.count(204)


def test_the_excess_is_refused_while_the_rest_waits(fresh_stack) -> None:
    """A disk that stalls: so many wait as may, 503 for whoever comes on top, reads go on, and all is well afterwards."""
    stack = fresh_stack(DS_QUEUE_REQUESTS=20)
    with closing(Client(stack)) as http, Crowd(stack) as crowd:
        http.create("s", "text/plain")
        with Stall(stack) as stall:
            crowd.ask(1, url("s"), TEXT, b"x")
            stall.wait_for(1)
            check_refused(crowd.wait(crowd.ask(70, url("s"), TEXT, b"x"), 50))
            check_error(http.put("t", "text/plain"), 503, "BUSY")
            check_error(http.delete("s"), 503, "BUSY")
            expect(http.get("s"), 200)
            expect(http.head("s"), 200)
            assert not [member for member in crowd.members if member.is_answered and member.status != 503]
        let_go = time.monotonic()
        crowd.wait(crowd.members)
        expect(http.post("s", "text/plain", b"x"), 204)
        assert time.monotonic() - let_go < 1, "it recovers within a second"
        stored = check_accepted(crowd, 21)
        assert http.read_all("s")[0] == b"x" * (stored + 1)
    assert Metrics.of(stack)("writes_refused_total", reason="busy") == 71 - stored + 2
    told = [line for line in stack.log.read_text().splitlines() if "too much to store" in line]
    assert told and len(told) <= 5, "at most one a second"
    assert "queue_requests" in told[0] and "larger batches" in told[0], told[0]


def test_large_bodies_that_wait_are_bounded(fresh_stack) -> None:
    """Of 240 MiB at once the pool takes up 8 MiB, and the connections to it stay good for the next request."""
    stack = fresh_stack(DS_QUEUE_BYTES="8MiB", DS_WORKERS=1)
    with closing(Client(stack)) as http, Crowd(stack) as crowd:
        http.create("s", "text/plain")
        (worker,) = stack.processes("durable-streams-worker")
        with Stall(stack) as stall:
            crowd.ask(1, url("s"), TEXT, b"a")
            stall.wait_for(1)
            before = resident(worker)
            check_refused(crowd.wait(crowd.ask(62, url("s"), TEXT, bytes(4 * MIB)), 60))
            # Small ones too, and what large ones left behind on kept connections spoils nothing.
            check_refused(crowd.wait(crowd.ask(20, url("s"), TEXT, b"small")))
            for _ in range(20):
                expect(http.get("s", "offset=now"), 200)
            assert resident(worker) - before < 40 * MIB
            stall.let_go()
            crowd.wait(crowd.members)
        assert position(http.head("s").offset) == 1 + 8 * MIB
        expect(http.post("s", "text/plain", b"d"), 204)


def test_nothing_waits_behind_a_stall_of_the_disk(fresh_stack) -> None:
    """Nobody knows when a transaction ends that has taken far too long: 503 for all that come meanwhile."""
    stack = fresh_stack(DS_QUEUE_MILLISECONDS=50)
    with closing(Client(stack)) as http, Crowd(stack) as crowd:
        http.create("s", "text/plain")
        with Stall(stack) as stall:
            first = crowd.ask(1, url("s"), TEXT, b"a")
            stall.wait_for(1)
            time.sleep(0.25)
            check_error(http.post("s", "text/plain", b"b"), 503, "BUSY")
        crowd.wait(first)
        expect(http.post("s", "text/plain", b"c"), 204)
        assert http.read_all("s")[0] == b"ac"
    assert "queue_milliseconds" in stack.log.read_text()


@pytest.mark.slow
def test_a_crowd_of_two_thousand(fresh_stack) -> None:
    """Three times what may wait, at once, through nginx: no 502, no 504, memory bounded, and every acknowledged append is there once."""
    stack = fresh_stack(DS_QUEUE_REQUESTS=500)
    with closing(Client(stack)) as http, Crowd(stack) as crowd:
        http.create("s", "text/plain")
        (worker,) = stack.processes("durable-streams-worker")
        before = resident(worker)
        with Stall(stack) as stall:
            crowd.ask(1, url("s"), TEXT, b"x")
            stall.wait_for(1)
            members = crowd.ask(2000, url("s"), TEXT, b"x")
            check_refused(crowd.wait(members, 1500))
            assert resident(worker) - before < 64 * MIB
        let_go = time.monotonic()
        crowd.wait(crowd.members)
        recovered = time.monotonic() - let_go
        stored = check_accepted(crowd, 501)
        assert recovered < 1, f"{recovered:.2f} s until all that waited were stored"
        assert http.read_all("s")[0] == b"x" * stored


def test_a_pool_that_nobody_can_reach_is_busy(fresh_stack) -> None:
    """Its socket has more connections than it takes: 503, since nothing was done, not 502; the same for live readers."""
    stack = fresh_stack()
    with closing(Client(stack)) as http, closing(Client(stack)) as other:
        http.create("s", "text/plain")
        for name, socket in (("durable-streams-worker", "worker.sock"), ("durable-streams-live", "live.sock")):
            (pid,) = stack.processes(name)
            os.kill(pid, signal.SIGSTOP)
            try:
                connections = fill_backlog(str(stack.data_dir / "run" / socket))
                # What nginx has open already would wait for the process; a new server has nothing open.
                with Crowd(stack) as crowd:
                    live = "live=long-poll&offset=now" if socket == "live.sock" else ""
                    asked = crowd.ask(8, url("s", live), [], None, "GET" if live else "DELETE")
                    refused = crowd.wait(asked, 1)
                    for member in refused:
                        answer = check_error(member.response(), 503, "UNAVAILABLE")
                        assert answer.get("Retry-After") == "1"
                for connection in connections:
                    connection.close()
            finally:
                os.kill(pid, signal.SIGCONT)
            # Once it has accepted them all, each of which is closed already.
            for query in ("", "live=long-poll&offset=now"):
                wait_until(stack, lambda: other.get("nothing", query).status == 404, "it takes requests again")
