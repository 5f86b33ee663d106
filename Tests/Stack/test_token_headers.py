"""The Authorization header in every odd form, and names that try to leave their place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from access import Project, ask, bearer, check_bad_token, check_no_token
from bad_tokens import raw
from client import Client, expect
from refusals import WAYS, Log, check_everywhere
from stack import Stack
from wire import Connection, ConnectionClosed, Response, build_request

NO_TOKEN: dict[str, dict[str, str]] = {
    "nothing": {},
    "basic": {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="},
    "digest": {"Authorization": 'Digest username="a"'},
    "cookie": {"Cookie": "Authorization=Bearer x"},
    "other-header": {"X-Authorization": "Bearer x"},
    "proxy": {"Proxy-Authorization": "Bearer x"},
}


@pytest.mark.parametrize("headers", NO_TOKEN.values(), ids=NO_TOKEN.keys())
def test_no_token(guarded: Client, project: Project, path: str, headers: dict[str, str]) -> None:
    """No Bearer token: 401 that asks for one."""
    check_everywhere(guarded, project, path, headers, check_no_token)


def check_either(answer: Response, head: bool = False) -> Response:
    """401 of one kind or the other: the header is neither a token nor the lack of one."""
    asks = any("realm" in value for value in answer.all("WWW-Authenticate"))
    return (check_no_token if asks else check_bad_token)(answer, head)


ODD: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "scheme-only": lambda _: "Bearer",
    "scheme-and-space": lambda _: "Bearer ",
    "token-only": lambda token: token,
    "basic-with-token": lambda token: f"Basic {token}",
    "longer-scheme": lambda token: f"Bearers {token}",
    "shorter-scheme": lambda token: f"Beare {token}",
    "no-space": lambda token: f"Bearer{token}",
    "colon": lambda token: f"Bearer: {token}",
    "equals": lambda token: f"Bearer={token}",
    "quoted": lambda token: f'Bearer "{token}"',
    "two-tokens": lambda token: f"Bearer {token} {token}",
    "two-schemes": lambda token: f"Bearer Bearer {token}",
    "comma": lambda token: f"Bearer {token}, Bearer {token}",
    "comma-basic": lambda token: f"Basic eDp5, Bearer {token}",
    "parameter": lambda token: f'Bearer {token}, realm="x"',
    "space-inside": lambda token: f"Bearer {token[:50]} {token[50:]}",
    "tab-inside": lambda token: f"Bearer {token[:50]}\t{token[50:]}",
    "no-break-space": lambda token: f"Bearer\u00a0{token}",
    "not-ascii": lambda token: f"Bearer {token}é",
    "percent": lambda token: f"Bearer {token.replace('.', '%2E')}",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_odd_header_with_a_good_token(guarded: Client, project: Project, path: str, odd: Callable[[str], str]) -> None:
    """Only `Bearer`, a space and the token is that token."""
    check_everywhere(guarded, project, path, {"Authorization": odd(project.token("manage"))}, check_either)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_scheme_in_any_case(guarded: Client, project: Project, path: str, scheme: str) -> None:
    """RFC 9110 section 11.1: the name of a scheme is case-insensitive."""
    project.create(guarded, path, "text/plain", "abc")
    for query in ("", "live=long-poll&offset=-1"):
        answer = guarded.request("GET", project.url(path, query), {"Authorization": f"{scheme} {project.token()}"})
        assert expect(answer, 200).body == b"abc"


@pytest.mark.parametrize("blank", ["  ", "\t", " \t "], ids=["spaces", "tab", "both"])
def test_blanks_before_the_token(guarded: Client, project: Project, path: str, blank: str) -> None:
    """One space is the grammar; more may be taken or refused, never misread. Blanks around the value are nobody's."""
    project.create(guarded, path, "text/plain", "abc")
    answer = guarded.request("GET", project.url(path), {"Authorization": f"Bearer{blank}{project.token()}"})
    if answer.status != 200:
        check_either(answer)
    around = guarded.request("GET", project.url(path), {"Authorization": f"  Bearer {project.token()} \t "})
    assert expect(around, 200).body == b"abc"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("same", [True, False], ids=["same", "different"])
def test_two_headers(guarded: Client, project: Project, path: str, way: str, same: bool) -> None:
    """Which one would count? Neither: 400."""
    project.create(guarded, path, "text/plain", "kept")
    method, query, body = WAYS[way]
    tokens = [project.token("manage")] * 2 if same else [project.token("manage"), "x.y.z"]
    for order in (tokens, tokens[::-1]):
        pairs = [("Authorization", f"Bearer {token}") for token in order] + [("Content-Type", "text/plain")]
        expect(guarded.request(method, project.url(path, query), pairs, b"x" if body else None), 400)
    assert ask(guarded, "GET", project.url(path), project.token()).body == b"kept"


@pytest.mark.parametrize("size", [8_100, 9_000, 20_000, 60_000, 1 << 20])
@pytest.mark.parametrize("way", ["get", "put", "long-poll", "sse", "head"])
def test_long_token(jwt_stack: Stack, project: Project, way: str, size: int) -> None:
    """Beyond 8 KiB: 431, or nginx's own refusal; below it the token is looked at."""
    method, query, body = WAYS[way]
    pairs = [*bearer("a" * size).items()]
    with jwt_stack.connect() as connection:
        try:
            connection.send(build_request(method, project.url("a", query), pairs, b"x" if body else None))
        except ConnectionClosed:
            pass
        answer = connection.read_response(method)
    if size < 8_192:
        check_bad_token(answer, head=method == "HEAD")
    else:
        assert answer.status in (400, 431), answer.describe()
    assert "Access-Control-Allow-Origin" not in answer and answer.get("Cache-Control") == "no-store", answer.describe()


def test_long_good_token(guarded: Client, project: Project, path: str) -> None:
    """A token that fills what a header may have is as good as a short one."""
    project.create(guarded, path, "text/plain", "abc")
    token = project.token(note="n" * 5_800)
    assert 7_500 < len(f"Bearer {token}") < 8_192
    assert expect(ask(guarded, "GET", project.url(path), token), 200).body == b"abc"


RAW_VALUES = {
    "nul": b"Bearer a\x00b",
    "bare-cr": b"Bearer a\rb",
    "controls": bytes(b for b in range(1, 32) if b not in (10, 13)),
    "not-utf-8": b"Bearer \xff\xfe\xfd",
    "latin-1": b"Bearer caf\xe9",
    "folded": b"Bearer\r\n a.b.c",
    "smuggled": b"Bearer a\r\nX-Scope: manage",
}


@pytest.mark.parametrize("value", RAW_VALUES.values(), ids=RAW_VALUES.keys())
@pytest.mark.parametrize("way", ["get", "put", "long-poll", "sse"])
def test_odd_bytes(jwt_stack: Stack, guarded: Client, project: Project, way: str, value: bytes) -> None:
    """Refused, whoever does it; and the server goes on."""
    method, query, body = WAYS[way]
    with jwt_stack.connect() as connection:
        pairs = [(b"Authorization", value)]
        answer = connection.exchange(method, project.url("a", query), pairs, b"x" if body else None)
    assert answer.status in (400, 401), answer.describe()
    assert b"\x00" not in answer.head and b"\r" not in answer.head.replace(b"\r\n", b""), answer.head
    expect(ask(guarded, "GET", project.url("a"), project.token()), 404)


UNSAFE = [
    "x%0d%0aINJECTED:%201",
    "x%0aINJECTED",
    "x%00",
    "%0d%0a%0d%0aHTTP/1.1%20200%20OK",
    "x%1b[31m",
    "x%FF",
    "x%2f..%2f",
    "..",
    "x%5cy",
]
PLACES = ["/v1/{0}/stream/a", "/v1/stream/{0}", "/v1/_default/stream/a/{0}", "/v1/{0}/streams"]
NEVER_PROJECTS = ["p%20x", "p:x", "p%C3%A9", "p" * 65, "%22", "%27%20or%201=1--", "*", "p%25x", "%e2%80%a8"]


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("place", PLACES)
def test_unsafe_names(guarded: Client, project: Project, guarded_log: Log, place: str, name: str) -> None:
    """400 ahead of any token, and no line of the answer or the log is theirs."""
    for token in (None, "x.y.z", project.token("manage")):
        for query in ("", "?live=sse&offset=-1"):
            answer = ask(guarded, "GET", place.format(name) + query, token)
            assert answer.status == 400 and "WWW-Authenticate" not in answer, answer.describe()
            assert "INJECTED" not in answer and b"\x1b" not in answer.head + answer.body
    for line in guarded_log.text().splitlines():
        assert not line.startswith(("INJECTED", "HTTP/1.1")), line


@pytest.mark.parametrize("name", NEVER_PROJECTS)
def test_names_that_no_project_has(guarded: Client, project: Project, name: str) -> None:
    """No token opens them, and nothing is made there."""
    for token in (None, project.token("manage"), project.token("manage", sub=name)):
        for method in ("GET", "PUT", "DELETE"):
            answer = ask(guarded, method, f"/v1/{name}/stream/a", token, type="text/plain")
            assert answer.status in (400, 401, 404), answer.describe()
            assert "Location" not in answer and "Stream-Next-Offset" not in answer


TEXTS = {
    "plain": "INJECTED",
    "lf": "one\nINJECTED",
    "crlf": "one\r\nINJECTED",
    "escape": "\x1b[31mred",
    "nul": "\0",
    "long": "é" * 900,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("place", ["sub", "alg", "scope", "claim-name", "not-json"])
def test_no_line_of_the_log_is_made_by_a_token(
    guarded: Client, project: Project, guarded_log: Log, place: str, text: str
) -> None:
    """What a stranger chose cannot pass for a line of the server's."""
    claims, header = project.claims("read"), {"alg": text if place == "alg" else "HS256"}
    if place in ("sub", "scope"):
        claims[place] = text if place == "sub" else [text]
    document = json.dumps({text: 1} if place == "claim-name" else claims)
    token = raw(project, text if place == "not-json" else document, json.dumps(header))
    check_bad_token(ask(guarded, "GET", project.url("a"), token))
    guarded_log.wait_for(".")
    for line in guarded_log.text().split("\n"):
        assert not line.startswith("INJECTED") and len(line) < 1500, line
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", line), repr(line)


def test_pipelined(jwt_stack: Stack, project: Project, path: str) -> None:
    """A verdict is of its own request, though others come along the same connection."""
    with Connection(jwt_stack.port) as connection:
        good, bad = [*bearer(project.token()).items()], [*bearer("x.y.z").items()]
        order = [good, bad, [], good, [], bad, good]
        connection.send(b"".join(build_request("GET", project.url(path), pairs) for pairs in order))
        found = [connection.read_response().status for _ in order]
    assert found == [404, 401, 401, 404, 401, 401, 404]
