"""Stream-Forked-From: a URL path as clients use it, normalised like a request path (11.1, 13.4)."""

from __future__ import annotations

import pytest

from checks import check_empty, check_error
from client import Client, expect, url
from test_forks import check_unreferenced

# What names no stream. {p} is the path of a stream that exists, {o} the server's origin.
NO_STREAM = {
    "full-url": "{o}/v1/stream/{p}",
    "other-host": "https://streams.example.net/v1/stream/{p}",
    "scheme-relative": "v1/stream/{p}",
    "relative": "{p}",
    "absolute-without-root": "/{p}",
    "root": "/v1/stream",
    "root-slash": "/v1/stream/",
    "other-root": "/v1/streams/{p}",
    "other-version": "/v2/stream/{p}",
    "letter-case": "/V1/Stream/{p}",
    "deeper-project": "/v1/a/b/stream/{p}",
    "control": "/v1/stream/__ds",
    "control-below": "/v1/stream/__ds/{p}",
    "control-subscriptions": "/v1/stream/__ds/subscriptions/s",
    "control-escaped": "/v1/stream/%5F%5Fds/{p}",
    "control-of-a-project": "/v1/acme/stream/__ds/{p}",
    "health": "/healthz",
    "slash": "/",
    "star": "*",
    "other-stream": "/v1/stream/{p}x",
    "prefix": "/v1/stream/t",
    "escaped-reserved": "/v1/stream/{p}%3A",
    "double-escaped": "/v1/stream/{p}%2561",
    "other-project": "/v1/acme/stream/{p}",
}
UNSAFE = {
    "dot-dot": "/v1/stream/x/../{p}",
    "dot-dot-out": "/v1/stream/../stream/{p}",
    "dot": "/v1/stream/./{p}",
    "escaped-dots": "/v1/stream/x/%2e%2E/{p}",
    "empty-segment": "/v1/stream//{p}",
    "trailing-slash": "/v1/stream/{p}/",
    "escaped-slash": "/v1/stream/x%2F{p}",
    "backslash": "/v1/stream/x\\{p}",
    "escaped-backslash": "/v1/stream/x%5C{p}",
    "nul": "/v1/stream/{p}%00",
    "line-feed": "/v1/stream/{p}%0A",
    "not-utf8": "/v1/stream/{p}%FF",
    "fragment": "/v1/stream/{p}#",
    "fragment-2": "/v1/stream/{p}#x",
    "fragment-inside": "/v1/stream/#/{p}",
    "broken-escape": "/v1/stream/{p}%4",
    "broken-escape-2": "/v1/stream/{p}%zz",
}


def create_from(http: Client, target: str, source: str, **extra: str):
    return http.put(target, "text/plain", None, Stream_Forked_From=source, **extra)


@pytest.mark.parametrize("form", NO_STREAM.values(), ids=NO_STREAM.keys())
def test_names_no_stream(http: Client, path: str, form: str) -> None:
    """404; and on an existing fork it is another source: 409."""
    http.create(f"{path}/a", "text/plain", "abc")
    source = form.format(p=f"{path}/a", o=f"http://127.0.0.1:{http.stack.port}")
    check_error(create_from(http, f"{path}/b", source), 404)
    expect(http.head(f"{path}/b"), 404)
    http.fork(f"{path}/c", f"{path}/a")
    check_error(create_from(http, f"{path}/c", source), 409)
    check_error(create_from(http, f"{path}/a", source), 409)
    expect(http.delete(f"{path}/c"), 204)
    check_unreferenced(http, f"{path}/a")


@pytest.mark.parametrize("form", UNSAFE.values(), ids=UNSAFE.keys())
def test_unsafe(http: Client, path: str, form: str) -> None:
    """13.4: 400, as for a request path; nothing is created and nothing refers to what it might mean."""
    http.create(f"{path}/a", "text/plain", "abc")
    check_error(create_from(http, f"{path}/b", form.format(p=f"{path}/a")), 400)
    expect(http.head(f"{path}/b"), 404)
    check_unreferenced(http, f"{path}/a")


EQUIVALENT = [
    ("~a", "%7Ea"),
    ("~a", "%7ea"),
    ("abc", "%61%62c"),
    ("a.b", "a%2Eb"),
    ("..a", "%2e%2ea"),
    ("%C3%A9", "%c3%a9"),
    ("%3A", "%3a"),
]


@pytest.mark.parametrize(("one", "other"), EQUIVALENT + [(b, a) for a, b in EQUIVALENT])
def test_escapes_are_normalised(http: Client, path: str, one: str, other: str) -> None:
    """Either spelling names the source, and a repeated PUT may use the other."""
    tail = http.create(f"{path}/{one}", "text/plain", "abc").offset
    http.fork(f"{path}/b", f"{path}/{other}")
    assert http.get(f"{path}/b").body == b"abc"
    for spelled in (one, other):
        check_empty(http.put_fork(f"{path}/b", f"{path}/{spelled}"), 200, Stream_Next_Offset=tail)
    expect(http.delete(f"{path}/{one}"), 204)
    expect(http.head(f"{path}/{other}"), 410)


def test_number_sign(http: Client, path: str) -> None:
    """Escaped it is a character like any other, not the end of the path."""
    http.create(path, "text/plain", "other")
    http.create(f"{path}%23x", "text/plain", "abc")
    expect(create_from(http, f"{path}/b%23", url(f"{path}%23x")), 201)
    assert http.get(f"{path}/b%23").body == b"abc"
    expect(http.delete(f"{path}%23x"), 204)
    expect(http.head(f"{path}%23x"), 410)
    check_unreferenced(http, path)


def test_the_default_project_has_two_urls(http: Client, path: str) -> None:
    http.create(f"{path}/a", "text/plain", "abc")
    expect(create_from(http, f"{path}/b", f"/v1/_default/stream/{path}/a"), 201)
    check_empty(create_from(http, f"{path}/b", url(f"{path}/a")), 200, Stream_Next_Offset=True)
    fork = http.request("PUT", f"/v1/_default/stream/{path}/c", [("Stream-Forked-From", url(f"{path}/a"))])
    assert expect(fork, 201).get("Location") == f"http://127.0.0.1:{http.stack.port}/v1/_default/stream/{path}/c"
    assert http.get(f"{path}/c").body == b"abc"


def test_inside_another_project(http: Client, path: str) -> None:
    """The path names its project itself; the same path of the default project is another stream."""
    root = f"/v1/acme/stream/{path}"
    expect(http.request("PUT", f"{root}/a", [("Content-Type", "text/plain")], b"acme"), 201)
    check_error(http.request("PUT", f"{root}/b", [("Stream-Forked-From", url(f"{path}/a"))]), 404)
    expect(http.request("PUT", f"{root}/b", [("Stream-Forked-From", f"{root}/a")], b"!"), 201)
    assert http.request("GET", f"{root}/b").body == b"acme!"
    expect(http.request("DELETE", f"{root}/a"), 204)
    check_error(http.request("GET", f"{root}/a"), 410)


def test_long_names(http: Client, path: str) -> None:
    """A source with the longest path there is (13.3), and one byte more."""
    name = f"{path}/" + "x" * (2048 - len(url(path)) - 1)
    http.create(name, "text/plain", "abc")
    expect(create_from(http, f"{path}/b", url(name)), 201)
    assert http.get(f"{path}/b").body == b"abc"
    answer = create_from(http, f"{path}/c", url(name + "x"))
    assert answer.status in (404, 414), answer.describe()
