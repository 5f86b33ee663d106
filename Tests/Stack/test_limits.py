"""What one address or one project may ask for: requests a second, and bodies."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from access import NOTICED, Project, ask, bearer, check_refusal, command, command_json, wait_known
from checks import check_error
from client import Client, expect, unique
from stack import Stack
from store import wait_until
from wire import Connection, Response, build_request

RATE = 5


class FromAddress(Client):
    """A client of another loopback address."""

    def __init__(self, stack: Stack, address: str):
        super().__init__(stack)
        self.address = address

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = self.stack.connect(self.timeout)
            self._connection.close()
            self._connection.socket = socket.create_connection(("127.0.0.1", self.stack.port), self.timeout, (self.address, 0))
        return self._connection


def burst(http: Client, count: int, *targets: str, method: str = "GET") -> tuple[list[Response], float]:
    """So many requests at once, on one connection; the answers, and the seconds that they took."""
    began = time.monotonic()
    http.connection.send(b"".join(build_request(method, targets[n % len(targets)]) for n in range(count)))
    answers = [http.connection.read_response(method) for _ in range(count)]
    return answers, time.monotonic() - began


def refusals(answers: list[Response]) -> list[Response]:
    return [answer for answer in answers if answer.status == 429]


def check_rate(answers: list[Response], took: float) -> None:
    """One second's worth passes, and what has come due since; all others are told when to come again."""
    passed = len(answers) - len(refusals(answers))
    assert RATE <= passed <= RATE + 2 + RATE * took, f"{passed} of {len(answers)} passed in {took:.2f} s"
    for answer in refusals(answers):
        check_error(answer, 429, "RATE_LIMITED")
        assert answer.get("Retry-After") == "1", answer.describe()
    assert refusals(answers), "nothing was refused"


def rest() -> None:
    """Until the whole burst may pass again: passing time is the subject."""
    time.sleep(1.5)


@pytest.fixture
def limited(fresh_stack) -> Callable[..., Stack]:
    """A fresh server, rested from the questions whether it is ready."""

    def make(**settings: object) -> Stack:
        stack = fresh_stack(**settings)
        rest()
        return stack

    return make


def test_rate_of_an_address(limited) -> None:
    stack = limited(DS_RATE_PER_ADDRESS=RATE)
    with closing(Client(stack)) as http, closing(FromAddress(stack, "127.0.0.2")) as other:
        # All projects, and what is no stream at all, count together.
        answers, took = burst(http, 30, "/v1/stream/a", "/v1/one/stream/a", "/v1/two/stream/b?offset=-1", "/nowhere")
        check_rate(answers, took)
        assert {answer.status for answer in answers} == {404, 429}
        expect(other.get("a"), 404)
        # It recovers by itself, as Retry-After says.
        time.sleep(1)
        expect(http.get("a"), 404)
        rest()
        check_rate(*burst(http, 30, "/v1/stream/a"))


@pytest.mark.parametrize("target", ["/v1/stream/a:/healthz", "/v1/one/stream/a%3A/readyz", "/v1/stream/healthz", "/x:/healthz", "/healthz%0A"])
def test_rate_of_what_looks_like_a_probe(limited, target: str) -> None:
    """Only the two paths of probes are free, not those that end like them."""
    stack = limited(DS_RATE_PER_ADDRESS=RATE)
    with closing(Client(stack)) as http:
        check_rate(*burst(http, 30, target))


@pytest.mark.parametrize("method", ["PUT", "POST", "HEAD", "DELETE", "PATCH"])
def test_rate_of_every_method(limited, method: str) -> None:
    stack = limited(DS_RATE_PER_ADDRESS=RATE)
    with closing(Client(stack)) as http:
        answers, took = burst(http, 20, "/v1/stream/a", method=method)
        assert RATE <= len(answers) - len(refusals(answers)) <= RATE + 2 + RATE * took
        assert refusals(answers)


def test_refused_writes_do_nothing(limited) -> None:
    stack = limited(DS_RATE_PER_ADDRESS=RATE)
    with closing(Client(stack)) as http:
        http.create("a", "text/plain")
        rest()
        request = build_request("POST", "/v1/stream/a", [("Content-Type", "text/plain")], b"x")
        http.connection.send(request * 20)
        answers = [http.connection.read_response("POST") for _ in range(20)]
        rest()
        assert http.get("a").body == b"x" * (20 - len(refusals(answers))) and refusals(answers)


SPELLINGS = {
    "project": ("one", ["/v1/one/stream/a"]),
    "paths": ("one", [f"/v1/one/stream/{n}/b?offset=-1&n={n}" for n in range(9)]),
    "listing": ("one", ["/v1/one/streams", "/v1/one/stream/a"]),
    "escaped": ("one", ["/v1/%6fne/stream/a", "/v1/o%6Ee/stream/a", "/v1/on%65/stream/a", "/v1/%6F%6E%65/stream/a", "/v1/one/stream/a"]),
    "escaped-around": ("one", ["/%76%31/one/stream/a", "/v1/one/%73tream/a", "/v%31/on%65/%73treams", "/v1/one/stream/a"]),
    "escaped-dash": ("a-b.c~d_", ["/v1/a-b.c~d_/stream/a", "/v1/a%2Db.c~d_/stream/a", "/v1/a-b%2ec%7Ed%5F/stream/a"]),
    "colon": ("one", ["/v1/one/stream/a:/v1/stream/b", "/v1/one/stream/a:/v1/two/streams", "/v1/one/stream/a%3A/healthz", "/v1/one/stream/a"]),
    "default": ("_default", ["/v1/stream/a", "/v1/_default/stream/a", "/v1/%5Fdefault/stream/a", "/v1/%73tream/a", "/v1/_default/streams"]),
    "live": ("one", ["/v1/one/stream/a?live=long-poll&offset=-1", "/v1/%6Fne/stream/a?live=sse&offset=-1", "/v1/one/stream/a"]),
}


@pytest.mark.parametrize(("project", "targets"), SPELLINGS.values(), ids=SPELLINGS.keys())
def test_rate_of_a_project(limited, project: str, targets: list[str]) -> None:
    """Whatever of it is asked for, from wherever, and however the URL is spelled; others go on."""
    stack = limited(DS_RATE_PER_PROJECT=RATE)
    with closing(Client(stack)) as http, closing(FromAddress(stack, "127.0.0.2")) as second:
        answers, took = burst(http, 40, *targets)
        check_rate(answers, took)
        again = [second.request("GET", target) for target in targets * 2]
        assert refusals(again), "another address escaped the limit"
        for other in {"other", "on", "onee", "ONE", "a-b", "_default"} - {project}:
            target = f"/v1/{other}/stream/a"
            expect(http.request("GET", target), 404)
        rest()
        expect(http.request("GET", targets[0]), 200 if "streams" in targets[0] else 404)


def test_both_rates(limited) -> None:
    """The stricter one decides."""
    stack = limited(DS_RATE_PER_ADDRESS=RATE, DS_RATE_PER_PROJECT=100)
    with closing(Client(stack)) as http:
        check_rate(*burst(http, 30, "/v1/one/stream/a"))


def test_rates_with_tokens(limited) -> None:
    """Before a token is looked at; nginx names no origin then."""
    stack = limited(DS_AUTH="project-jwt", DS_RATE_PER_ADDRESS=RATE)
    project = Project(stack)
    command_json(stack, "set-cors", project.name, "*")
    time.sleep(NOTICED)
    with closing(Client(stack)) as http:
        http.connection.send(build_request("GET", project.url("a"), list(bearer(project.token()).items())) * 30)
        answers = [http.connection.read_response() for _ in range(30)]
        for answer in refusals(answers):
            check_refusal(answer, 429, "RATE_LIMITED")
            assert answer.get("Retry-After") == "1"
        assert RATE <= 30 - len(refusals(answers)) <= RATE + 5
        assert {answer.status for answer in answers} == {404, 429}


@pytest.mark.parametrize("auth", ["none", "project-jwt"])
def test_preflights_and_probes_are_free(limited, auth: str) -> None:
    """They are never refused, and take nothing from those that may be."""
    stack = limited(DS_AUTH=auth, DS_RATE_PER_ADDRESS=1, DS_RATE_PER_PROJECT=1)
    with closing(Client(stack)) as http:

        def check_free() -> None:
            for target in ("/v1/stream/a", "/v1/one/stream/a?live=sse", "/v1/one/streams", "/nowhere", "/healthz"):
                assert {answer.status for answer in burst(http, 8, target, method="OPTIONS")[0]} == {204}, target
            for method, target in (("GET", "/healthz"), ("GET", "/readyz"), ("HEAD", "/readyz"), ("GET", "/readyz?x")):
                assert {answer.status for answer in burst(http, 8, target, method=method)[0]} == {200}, target

        check_free()
        answers, took = burst(http, 10, "/v1/stream/a", "/v1/one/stream/a")
        assert 1 <= 10 - len(refusals(answers)) <= 3 + took and answers[0].status != 429
        check_free()
        assert refusals(burst(http, 10, "/v1/one/stream/a")[0])


def test_cached_pieces_count_too(limited) -> None:
    stack = limited(DS_RATE_PER_ADDRESS=RATE, DS_READ_CHUNK_BYTES=65536)
    with closing(Client(stack)) as http:
        tail = http.create("a", "application/octet-stream", b"x" * 100_000).offset
        rest()
        answers, took = burst(http, 30, f"/v1/stream/a?offset={tail.split('_')[0]}_{0:016d}")
        check_rate(answers, took)
        assert "HIT" in {answer.get("X-Cache") for answer in answers}


def test_no_limit_by_default(http: Client) -> None:
    answers, _ = burst(http, 500, "/v1/stream/none")
    assert {answer.status for answer in answers} == {404}


def test_body_of_the_server(fresh_stack) -> None:
    stack = fresh_stack(DS_MAX_BODY_BYTES=1000)
    with closing(Client(stack)) as http:
        http.create("a", "text/plain", b"x" * 1000)
        http.append("a", "text/plain", b"x" * 1000)
        for method in ("PUT", "POST"):
            for more in ({"body": b"x" * 1001}, {"chunks": [b"x" * 500, b"x" * 501]}):
                answer = http.request(method, "/v1/stream/a", [("Content-Type", "text/plain")], **more)
                check_error(answer, 413, "BODY_TOO_LARGE")
                http.close()
        assert http.get("a").body == b"x" * 2000


@pytest.mark.parametrize("auth", ["none", "project-jwt"])
def test_body_of_a_project(fresh_stack, auth: str) -> None:
    """Smaller than the server's, for that project alone; one that is larger than the server's changes nothing."""
    stack = fresh_stack(DS_MAX_BODY_BYTES=1000, DS_AUTH=auth)
    small, large, free = (Project(stack) for _ in range(3))
    command_json(stack, "set-quota", small.name, "--body", "500")
    command_json(stack, "set-quota", large.name, "--body", "5000")
    with closing(Client(stack)) as http:
        if auth != "none":
            for project in (small, large, free):
                wait_known(stack, project)
        for project in (small, large, free):
            project.create(http, "a")
        # PUT of what is there ignores a body that is not too large, so it shows when the limit is known.
        token = small.token("write")
        wait_until(stack, lambda: ask(http, "PUT", small.url("a"), token, type="text/plain", body=b"x" * 501).status == 413,
                   "the limit is noticed", NOTICED)  # fmt: skip
        for project, limit in ((small, 500), (large, 1000), (free, 1000)):
            project.append(http, "a", b"x" * limit)
            for method, path in (("POST", "a"), ("PUT", unique()), ("PUT", "a")):
                answer = ask(http, method, project.url(path), project.token("write"), type="text/plain", body=b"x" * (limit + 1))
                assert answer.status == 413, answer.describe()
                assert ("Access-Control-Allow-Origin" in answer) == (auth == "none"), answer.describe()
            assert ask(http, "GET", project.url("a"), project.token()).body == b"x" * limit


def test_unknown_project_has_no_quota(fresh_stack) -> None:
    command(fresh_stack(), "set-quota", "nobody-made-it", "--body", "5").expect(66)
