"""What holds for every refusal, by whichever way: it tells nothing, changes nothing, and the log has the reason."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from access import Project, ask, wait_until
from client import Client, expect
from stack import Stack
from wire import Response

# Each way to a stream: method, query, and whether a body goes with it.
WAYS: dict[str, tuple[str, str, bool]] = {
    "get": ("GET", "", False),
    "get-offset": ("GET", "offset=0000000000000000_0000000000000000", False),
    "get-now": ("GET", "offset=now", False),
    "head": ("HEAD", "", False),
    "put": ("PUT", "", True),
    "post": ("POST", "", True),
    "delete": ("DELETE", "", False),
    "long-poll": ("GET", "live=long-poll&offset=-1", False),
    "sse": ("GET", "live=sse&offset=-1", False),
    "sse-escaped": ("GET", "live=%73se&offset=-1", False),
    "method-unknown": ("BREW", "", False),
}


def send(http: Client, target: Callable[[str], str], way: str, headers: dict[str, str]) -> Response:
    method, query, body = WAYS[way]
    pairs = [*headers.items(), *([("Content-Type", "text/plain")] if body else [])]
    return http.request(method, target(query), pairs, b"intruder" if body else None)


def seen(answer: Response) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """All of an answer that could tell one stream from another."""
    headers = sorted((name, value) for name, value in answer.headers if name.lower() != "date")
    return answer.status, tuple(headers), answer.body


def check_everywhere(
    http: Client, project: Project, path: str, headers: dict[str, str], check: Callable[..., Response], ways=WAYS
) -> None:
    """Refused by each way, and alike whether or not there is a stream; which stays what it was."""
    tail = project.create(http, path, "text/plain", "kept", Stream_TTL="900").offset
    for way in ways:
        method = WAYS[way][0]
        there = send(http, lambda query: project.url(path, query), way, headers)
        missing = send(http, lambda query: project.url(f"{path}-missing", query), way, headers)
        check(there, head=method == "HEAD")
        assert seen(there) == seen(missing), f"{there.describe()}\n{missing.describe()}"
        assert b"kept" not in there.head + there.body and path.encode() not in there.body, there.describe()
    good = project.token("read")
    left = ask(http, "GET", project.url(path), good)
    assert expect(left, 200).body == b"kept" and left.offset == tail
    expect(ask(http, "HEAD", project.url(f"{path}-missing"), good), 404)


class Log:
    """What the server wrote since."""

    def __init__(self, stack: Stack):
        self.stack, self.start = stack, stack.log.stat().st_size

    def text(self) -> str:
        with self.stack.log.open("rb") as log:
            log.seek(self.start)
            return log.read().decode("utf-8", "replace")

    def wait_for(self, pattern: str) -> str:
        """The first line that has it."""
        expression = re.compile(pattern, re.IGNORECASE)
        found: list[str] = []

        def there() -> bool:
            found[:] = [line for line in self.text().splitlines() if expression.search(line)]
            return bool(found)

        wait_until(there, f"a line with {pattern!r} in the log")
        return found[0]

    def check_without(self, *secrets: str) -> None:
        text = self.text()
        for secret in secrets:
            assert secret not in text, f"the log holds {secret!r}"


@pytest.fixture
def guarded_log(jwt_stack: Stack) -> Log:
    """What the shared server that asks for tokens writes during this test."""
    return Log(jwt_stack)
