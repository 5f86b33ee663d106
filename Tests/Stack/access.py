"""Projects with secrets, tokens made by an implementation that is not ours, and a server that asks for them."""

from __future__ import annotations

import itertools
import json
import os
import re
import time
from collections.abc import Iterable, Iterator

import jwt
import pytest

from checks import check_protocol_headers
from client import Client, fields, unique
from commands import Outcome, run
from sse import EventSource
from stack import Stack, running
from wire import Connection, Response, build_request

GUARDED = {"DS_AUTH": "project-jwt", "DS_LONG_POLL_TIMEOUT": 2, "DS_SSE_LIFETIME": 30}
NOTICED = 3.0  # A running server knows of a command's change by then, with room for a busy machine.

# What a 401 or 403 says in WWW-Authenticate.
NO_TOKEN = 'Bearer realm="durable-streams"'
BAD_TOKEN = 'Bearer error="invalid_token"'
SMALL_SCOPE = 'Bearer error="insufficient_scope"'

_numbers = itertools.count(1)


def command(stack: Stack, *arguments: object) -> Outcome:
    """A command on the data of a stack, which may be running."""
    return run(*arguments, DS_DATA_DIR=stack.data_dir)


def command_json(stack: Stack, *arguments: object) -> dict[str, object]:
    """The same, with `--json`; it has to succeed."""
    return json.loads(command(stack, *arguments, "--json").expect(0).out)


def project_name() -> str:
    """A name that no other test gives to its project."""
    return f"p{os.getpid()}-{next(_numbers)}"


class Project:
    """A project that was created by command; `secrets` maps the id of each to its text, oldest first."""

    def __init__(self, stack: Stack, name: str | None = None):
        self.stack = stack
        self.name = name or project_name()
        self.secrets: dict[int, str] = {}
        self._keep(command_json(stack, "create-project", self.name))

    def _keep(self, made: dict[str, object]) -> int:
        assert made["project"] == self.name and isinstance(made["id"], int), made
        assert re.fullmatch(r"dss_[!-~]{20,}", str(made["secret"])), made
        assert made["id"] not in self.secrets and made["secret"] not in self.secrets.values(), made
        self.secrets[made["id"]] = str(made["secret"])
        return made["id"]

    @property
    def secret(self) -> str:
        """The newest."""
        return list(self.secrets.values())[-1]

    def add_secret(self) -> int:
        return self._keep(command_json(self.stack, "add-secret", self.name))

    def remove_secret(self, number: int) -> str:
        """Its text, which from then on opens nothing."""
        assert command_json(self.stack, "remove-secret", self.name, number) == {"project": self.name, "removed": number}
        return self.secrets.pop(number)

    def claims(
        self, scope: object = "read", *, expires_in: float = 3600, stream_id: object = None, **claims: object
    ) -> dict[str, object]:
        """What a token says. A claim that is None is left out."""
        all = {"sub": self.name, "scope": scope, "exp": int(time.time() + expires_in), "stream_id": stream_id} | claims
        return {name: value for name, value in all.items() if value is not None}

    def token(
        self,
        scope: object = "read",
        *,
        expires_in: float = 3600,
        stream_id: object = None,
        secret: str | None = None,
        header: dict[str, object] | None = None,
        **claims: object,
    ) -> str:
        """A token by PyJWT, with the newest secret unless another is given; `header` adds to the JOSE header."""
        payload = self.claims(scope, expires_in=expires_in, stream_id=stream_id, **claims)
        # `encode` itself looks at a few types; `bad_tokens.py` builds what it refuses to make.
        return jwt.encode(payload, secret or self.secret, algorithm="HS256", headers=header)

    def url(self, path: str, query: str = "") -> str:
        """The target of a stream; `path` is relative to the project's root."""
        root = "/v1/stream" if self.name == "_default" else f"/v1/{self.name}/stream"
        return f"{root}/{path}" + (f"?{query}" if query else "")

    def listing(self, query: str = "") -> str:
        return f"/v1/{self.name}/streams" + (f"?{query}" if query else "")

    def create(
        self,
        http: Client,
        path: str,
        type: str = "text/plain",
        body: bytes | str | None = None,
        /,
        query: str = "",
        **extra: str,
    ) -> Response:
        """A new stream, by a token that may write everything."""
        answer = ask(http, "PUT", self.url(path, query), self.token("write"), type=type, body=body, **extra)
        assert answer.status == 201, answer.describe()
        return answer

    def append(self, http: Client, path: str, body: bytes | str, type: str = "text/plain", **extra: str) -> Response:
        """POST that has to succeed, by a token that may write everything."""
        answer = ask(http, "POST", self.url(path), self.token("write"), type=type, body=body, **extra)
        assert answer.status in (200, 204), answer.describe()
        return answer


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def ask(
    http: Client,
    method: str,
    target: str,
    token: str | None = None,
    *,
    type: str | None = None,
    body: bytes | str | None = None,
    headers: Iterable[tuple[str | bytes, str | bytes]] = (),
    **extra: str,
) -> Response:
    """One request with a token, or without any."""
    pairs = fields(type, extra) + list(headers) + (list(bearer(token).items()) if token is not None else [])
    return http.request(method, target, pairs, body)


class LiveSource(EventSource):
    """An SSE connection to a whole target, such as `project.url(path, "live=sse&offset=-1")`."""

    def __init__(self, stack: Stack, target: str, token: str | None = None, headers=(), timeout: float = 15.0):
        pairs = list(headers) + (list(bearer(token).items()) if token is not None else [])
        self.connection = Connection(stack.port, timeout=timeout)
        self.connection.send(build_request("GET", target, pairs))
        self.head: Response = self.connection.read_head()
        assert self.head.status == 200, f"expected an event stream, got {self.head.describe()}"
        self.text = b""
        self.ended = False
        self._chunks = self.connection.chunks()


def check_refusal(
    answer: Response,
    status: int,
    code: str | None = None,
    challenge: str | None = None,
    *,
    origin: str | None = None,
    **headers: object,
) -> Response:
    """An error of a server with access control: JSON, no-store, no header that tells of a stream.

    The body of an answer to HEAD isn't there to be looked at: say `code=None`. `origin` is what
    Access-Control-Allow-Origin has to be, `challenge` what WWW-Authenticate has to be; None: not there.
    """
    assert answer.status == status, f"expected {status}, got {answer.describe()}"
    assert answer.all("WWW-Authenticate") == ([] if challenge is None else [challenge]), answer.describe()
    assert answer.all("Access-Control-Allow-Origin") == ([] if origin is None else [origin]), answer.describe()
    assert answer.get("Content-Type") == "application/json", answer.describe()
    assert answer.get("Cache-Control") == "no-store", answer.describe()
    assert answer.all("X-Content-Type-Options") == ["nosniff"], answer.describe()
    assert answer.all("Cross-Origin-Resource-Policy") == ["cross-origin"], answer.describe()
    assert answer.get("X-Cache") != "HIT", answer.describe()
    for name in ("Stream-Public", "Stream-Reader-Key", "Set-Cookie"):
        assert name not in answer, answer.describe()
    if code is not None:
        document = json.loads(answer.body)
        assert set(document) == {"error"} and set(document["error"]) == {"code", "message"}, answer.describe()
        assert document["error"]["code"] == code and document["error"]["message"], answer.describe()
    check_protocol_headers(answer, **headers)
    return answer


def check_no_token(answer: Response, head: bool = False) -> Response:
    return check_refusal(answer, 401, None if head else "TOKEN_REQUIRED", NO_TOKEN)


def check_bad_token(answer: Response, head: bool = False) -> Response:
    return check_refusal(answer, 401, None if head else "TOKEN_INVALID", BAD_TOKEN)


def check_forbidden(answer: Response, head: bool = False) -> Response:
    return check_refusal(answer, 403, None if head else "FORBIDDEN", SMALL_SCOPE)


def wait_until(holds, what: str, within: float = NOTICED) -> None:
    """Asks again and again until it holds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.02)


def wait_known(stack: Stack, project: Project) -> None:
    """Until pool and live process of a running server know the project and its newest secret."""
    client, missing = Client(stack), unique("missing")
    queries = ("", "live=long-poll&offset=-1", "live=sse&offset=-1")

    def known() -> bool:
        # A token of its own each time: nginx may remember a verdict for a second.
        token = project.token("read", jti=f"{time.monotonic_ns()}")
        return all(ask(client, "GET", project.url(missing, query), token).status == 404 for query in queries)

    try:
        wait_until(known, f"the server knows {project.name}")
        if int(stack.settings.get("DS_WORKERS", "1")) > 1:
            # Each worker looks by itself, five times a second, and nobody can choose whom to ask.
            time.sleep(0.4)
    finally:
        client.close()


@pytest.fixture(scope="session")
def jwt_stack() -> Iterator[Stack]:
    """A stack that asks for tokens; shared, so each test takes a project of its own."""
    with running(**GUARDED) as stack:
        yield stack


@pytest.fixture
def project(jwt_stack: Stack) -> Project:
    """A project of this test alone, which the shared server knows."""
    made = Project(jwt_stack)
    wait_known(jwt_stack, made)
    return made


@pytest.fixture(scope="session")
def default_project(jwt_stack: Stack) -> Project:
    """`_default` of the shared server: the one project whose URLs do not name it."""
    made = Project(jwt_stack, "_default")
    wait_known(jwt_stack, made)
    return made


@pytest.fixture
def guarded(jwt_stack: Stack) -> Iterator[Client]:
    """One keep-alive connection to the shared server that asks for tokens."""
    client = Client(jwt_stack)
    yield client
    client.close()
