"""How many readers of one address, or of one project, may wait at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from access import LiveSource, Project, ask, bearer, check_refusal, wait_known
from checks import check_error
from client import Client, expect
from stack import Stack
from store import wait_until
from test_limits import FromAddress
from wire import Response, build_request

READERS = 3
LATER = re.compile(r"[1-9][0-9]*")
SSE, POLL = "live=sse&offset=now", "live=long-poll&offset=now"


@pytest.fixture
def held() -> Iterator[ExitStack]:
    """What holds readers open until the end of the test."""
    with ExitStack() as held:
        yield held


def hold(held: ExitStack, stack: Stack, target: str, address: str = "127.0.0.1") -> None:
    """A reader that waits: an SSE response that has begun, or a long-poll that has been sent."""
    if "live=sse" in target:
        held.enter_context(LiveSource(stack, target))
        return
    connection = held.enter_context(closing(FromAddress(stack, address))).connection
    connection.send(build_request("GET", target))
    assert connection.quiet_for(0.3), connection.buffer


def live(http: Client, target: str, token: str | None = None) -> Response:
    """The head of a live answer on a connection of its own."""
    with FromAddress(http.stack, getattr(http, "address", "127.0.0.1")).connection as connection:
        connection.send(build_request("GET", target, [*bearer(token).items()] if token else []))
        answer = connection.read_head()
        if "Content-Length" in answer:
            answer.body = connection.take(int(answer.get("Content-Length") or 0))
        return answer


def check_too_many(answer: Response) -> None:
    check_error(answer, 429, "TOO_MANY_READERS")
    assert LATER.fullmatch(answer.get("Retry-After") or ""), answer.describe()


@pytest.mark.parametrize("kinds", [[SSE], [POLL], [SSE, POLL, POLL]], ids=["sse", "long-poll", "both"])
def test_readers_of_an_address(fresh_stack, held: ExitStack, kinds: list[str]) -> None:
    stack = fresh_stack(DS_LIVE_PER_ADDRESS=READERS, DS_LONG_POLL_TIMEOUT=20, DS_SSE_LIFETIME=60)
    with closing(Client(stack)) as http, closing(FromAddress(stack, "127.0.0.2")) as other:
        for project in ("one", "two"):
            expect(http.request("PUT", f"/v1/{project}/stream/a", [("Content-Type", "text/plain")], "abc"), 201)
        for n in range(READERS):
            hold(held, stack, f"/v1/{('one', 'two')[n % 2]}/stream/a?{kinds[n % len(kinds)]}")
        # One more of either kind, of either project, however it is spelled.
        for query in (SSE, POLL, "live=%73se&offset=now", "live=long%2Dpoll&offset=now", "%6Cive=sse&offset=now"):
            for project in ("one", "two"):
                check_too_many(live(http, f"/v1/{project}/stream/a?{query}"))
        # Everything else goes on, of this address and of another.
        assert expect(http.request("GET", "/v1/one/stream/a"), 200).body == b"abc"
        expect(http.request("HEAD", f"/v1/one/stream/a?{SSE}"), 200)
        expect(http.request("POST", "/v1/one/stream/b", [("Content-Type", "text/plain")], "x"), 404)
        expect(live(other, f"/v1/one/stream/a?{SSE}"), 200)
        held.close()
        wait_until(stack, lambda: live(http, f"/v1/one/stream/a?{SSE}").status == 200, "there is room again")


@pytest.mark.parametrize(
    ("project", "targets", "others"),
    [
        pytest.param("one", ["/v1/one/stream/a", "/v1/%6Fne/stream/a", "/v1/on%65/stream/a"], ["/v1/two/stream/a", "/v1/stream/a"], id="named"),
        pytest.param("_default", ["/v1/stream/a", "/v1/_default/stream/a", "/v1/%5Fdefault/stream/a"], ["/v1/two/stream/a"], id="default"),
    ],
)
def test_readers_of_a_project(fresh_stack, held: ExitStack, project: str, targets: list[str], others: list[str]) -> None:
    stack = fresh_stack(DS_LIVE_PER_PROJECT=READERS, DS_LONG_POLL_TIMEOUT=20, DS_SSE_LIFETIME=60)
    with closing(Client(stack)) as http, closing(FromAddress(stack, "127.0.0.2")) as elsewhere:
        for target in (targets[0], *others):
            expect(http.request("PUT", target, [("Content-Type", "text/plain")], "abc"), 201)
        for n in range(READERS):
            hold(held, stack, f"{targets[n % len(targets)]}?{(SSE, POLL)[n % 2]}", f"127.0.0.{n + 1}")
        for target in targets:
            for client in (http, elsewhere):
                for query in (SSE, POLL, "live=%73se&offset=now", "live=long%2Dpoll&offset=now"):
                    check_too_many(live(client, f"{target}?{query}"))
            assert expect(http.request("GET", target), 200).body == b"abc"
        for other in others:
            expect(live(http, f"{other}?{SSE}"), 200)
        held.close()
        wait_until(stack, lambda: live(http, f"{targets[0]}?{SSE}").status == 200, "there is room again")


def test_readers_that_end_by_themselves_make_room(fresh_stack) -> None:
    stack = fresh_stack(DS_LIVE_PER_ADDRESS=1, DS_LONG_POLL_TIMEOUT=0.2)
    with closing(Client(stack)) as http:
        http.create("a", "text/plain")
        for _ in range(4):
            wait_until(stack, lambda: http.get("a", POLL).status == 204, "there is room", pause=0.01)
        expect(http.get("a", "offset=x&live=sse"), 400)
        expect(http.get("b", SSE), 404)


def test_readers_with_tokens(fresh_stack, held: ExitStack) -> None:
    """Without a header of CORS, which only the project's own answers have."""
    stack = fresh_stack(DS_AUTH="project-jwt", DS_LIVE_PER_PROJECT=1, DS_SSE_LIFETIME=60)
    one, two = Project(stack), Project(stack)
    for project in (one, two):
        wait_known(stack, project)
    with closing(Client(stack)) as http:
        for project in (one, two):
            project.create(http, "a", "text/plain", "abc")
        held.enter_context(LiveSource(stack, one.url("a", SSE), one.token()))
        answer = ask(http, "GET", one.url("a", POLL), one.token())
        check_refusal(answer, 429, "TOO_MANY_READERS")
        assert LATER.fullmatch(answer.get("Retry-After") or "")
        with LiveSource(stack, two.url("a", SSE), two.token()):
            pass


@pytest.mark.parametrize("auth", ["none", "project-jwt"])
@pytest.mark.parametrize("spelled", ["%6cive=sse&offset=now", "l%69ve=%73se&offset=now", "%6Cive=long-poll&offset=now"])
def test_readers_that_the_pool_tells_of(fresh_stack, held: ExitStack, auth: str, spelled: str) -> None:
    """nginx itself does not see that they wait; they count all the same, with no other limit set."""
    stack = fresh_stack(DS_AUTH=auth, DS_LIVE_PER_PROJECT=2, DS_LONG_POLL_TIMEOUT=20, DS_SSE_LIFETIME=60)
    one, two = Project(stack), Project(stack)
    with closing(Client(stack)) as http:
        for project in (one, two):
            wait_known(stack, project)
            project.create(http, "a", "text/plain", "abc")
        for _ in range(2):
            connection = held.enter_context(closing(stack.connect()))
            connection.send(build_request("GET", one.url("a", spelled), [*bearer(one.token()).items()]))
            if "poll" in spelled:
                assert connection.quiet_for(0.3), connection.buffer
            else:
                expect(connection.read_head(), 200)
        for query in (spelled, SSE, POLL, "%6cive=sse&offset=now", "liv%65=%6Cong-poll&offset=now"):
            answer = live(http, one.url("a", query), one.token())
            (check_error if auth == "none" else check_refusal)(answer, 429, "TOO_MANY_READERS")
        assert expect(ask(http, "GET", one.url("a"), one.token()), 200).body == b"abc"
        expect(live(http, two.url("a", "%6cive=sse&offset=now"), two.token()), 200)
        held.close()
        wait_until(stack, lambda: live(http, one.url("a", "%6cive=sse&offset=now"), one.token()).status == 200, "there is room again")
