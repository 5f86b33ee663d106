"""Paths: 13.4, rows 3, 6, 7 of table 3.0, and the URL shapes with and without a project."""

from __future__ import annotations

import pytest

from checks import check_empty, check_error
from client import Client, expect, unique

UNSAFE = {
    "dot-dot": "a/../b",
    "dot-dot-first": "../b",
    "dot-dot-last": "a/..",
    "dot-dot-only": "..",
    "dot-dot-deep": "a/../../../../etc/passwd",
    "dot-dot-back-in": "../stream/b",
    "dot": "a/./b",
    "dot-last": "a/.",
    "dot-only": ".",
    "escaped-dots": "a/%2e%2e/b",
    "escaped-dots-upper": "a/%2E%2E/b",
    "half-escaped-dots": "a/.%2e/b",
    "half-escaped-dots-2": "a/%2E./b",
    "escaped-dot": "a/%2e/b",
    "escaped-dot-last": "a/%2E",
    "double-slash": "a//b",
    "slash-first": "/a",
    "slash-last": "a/",
    "slashes-last": "a//",
    "escaped-slash": "a%2Fb",
    "escaped-slash-lower": "a%2fb",
    "escaped-slash-dots": "..%2f..%2fetc%2fpasswd",
    "escaped-slash-only": "%2F",
    "backslash": "a\\b",
    "backslash-dots": "..\\b",
    "escaped-backslash": "a%5Cb",
    "escaped-backslash-lower": "a%5cb",
    "nul": "a%00",
    "nul-first": "%00a",
    "nul-extension": "a%00.txt",
    "lf": "a%0Ab",
    "crlf": "a%0d%0aSet-Cookie:x",
    "tab": "a%09b",
    "escape-char": "a%1Bb",
    "unit-separator": "a%1Fb",
    "soh": "%01",
    "delete": "a%7Fb",
    "utf8-lone": "a%FFb",
    "utf8-continuation": "%80",
    "utf8-cut": "a%C3",
    "utf8-cut-then-ascii": "%C3%28",
    "utf8-overlong-dot": "%C0%AE%C0%AE/b",
    "utf8-overlong-slash": "a%C0%AFb",
    "utf8-surrogate": "%ED%A0%80",
    "utf8-beyond": "%F4%90%80%80",
    "fragment": "a#b",
    "fragment-first": "#a",
    "fragment-last": "a#",
    "fragment-after-escape": "a%23b#c",
    "bad-escape": "a%zzb",
    "bad-escape-half": "a%4",
    "bad-escape-alone": "a%",
    "bad-escape-space": "a%%20",
}


@pytest.mark.parametrize("relative", UNSAFE.values(), ids=UNSAFE.keys())
@pytest.mark.parametrize("root", ["/v1/stream", "/v1/project-u/stream"], ids=["default", "project"])
def test_unsafe(http: Client, relative: str, root: str) -> None:
    """400 for every method, reads of both live modes included."""
    target = f"{root}/{relative}"
    for method, query in (("GET", ""), ("PUT", ""), ("POST", ""), ("DELETE", ""), ("GET", "?live=sse&offset=-1"), ("GET", "?live=long-poll&offset=-1")):
        body = b"abc" if method in ("PUT", "POST") else None
        answer = http.request(method, target + query, [("Content-Type", "text/plain")] if body else [], body)
        check_error(answer, 400)
    expect(http.request("HEAD", target), 400)


def test_nothing_was_made_by_unsafe_paths(http: Client) -> None:
    """What those spellings would mean to a careless decoder does not exist."""
    for relative in ("a/../b", "..%2Fstream%2Fcareless-b", "x/%2e%2e/careless-b", "careless-b/"):
        expect(http.request("PUT", f"/v1/stream/{relative}"), 400)
    for relative in ("b", "careless-b"):
        expect(http.request("HEAD", f"/v1/stream/{relative}"), 404)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("~", "%7E"),
        ("~", "%7e"),
        ("A", "%41"),
        ("z", "%7A"),
        ("0", "%30"),
        ("-", "%2D"),
        ("-", "%2d"),
        ("_", "%5F"),
        ("a.b", "a%2Eb"),
        ("..a", "%2e%2ea"),
        ("...", "%2e.%2E"),
        ("%C3%A9", "%c3%a9"),
        ("%3A", "%3a"),
        ("%F0%9F%98%80", "%f0%9F%98%80"),
        ("abc", "%61%62%63"),
    ],
)
def test_equivalent_spellings(http: Client, path: str, one: str, other: str) -> None:
    """Escapes of unreserved characters and the case of the rest make no difference."""
    tail = http.create(f"{path}-{one}/x", "text/plain", "abc").offset
    check_empty(http.put(f"{path}-{other}/x", "text/plain"), 200, Stream_Next_Offset=tail)
    assert http.get(f"{path}-{other}/x").body == b"abc"
    end = http.append(f"{path}-{other}/x", "text/plain", "d").offset
    assert http.get(f"{path}-{one}/x", "live=long-poll&offset=-1").body == b"abcd"
    assert http.head(f"{path}-{one}/x").offset == end
    expect(http.delete(f"{path}-{other}/x"), 204)
    expect(http.head(f"{path}-{one}/x"), 404)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (":", "%3A"),
        ("@", "%40"),
        ("+", "%2B"),
        ("+", "%20"),
        ("", "%23"),
        (",", "%2C"),
        ("=", "%3D"),
        ("&", "%26"),
        (";", "%3B"),
        ("!", "%21"),
        ("'", "%27"),
        ("(", "%28"),
        ("*", "%2A"),
        ("$", "%24"),
        ("a", "A"),
        ("%41", "%2541"),
        ("%25", "%2525"),
        ("e%CC%81", "%C3%A9"),
    ],
)
def test_different_names(http: Client, path: str, one: str, other: str) -> None:
    """Only unreserved characters are decoded: these are two streams."""
    http.create(f"{path}-{one}", "text/plain", "one")
    http.create(f"{path}-{other}", "text/plain", "other")
    assert http.get(f"{path}-{one}").body == b"one"
    assert http.get(f"{path}-{other}").body == b"other"


@pytest.mark.parametrize(
    "name",
    ["%20", "%20%20x", "a%3Fb", "a%23b", "%25", "%22%27%3C%3E", "%E2%82%AC", "...", ".hidden", "a.", "-", "_", "CON", "a;b=c", "%7B%7D", "'--",
     "%25s%25n", "s" * 1000, "/".join("d" * 300), "__dsx", "x/__ds", "stream", "stream/stream", "%EF%BB%BF", "%E2%80%AE"],
    ids=lambda name: name[:12],
)  # fmt: skip
def test_odd_but_allowed_names(http: Client, name: str) -> None:
    """Names that need escaping, look like files, or are long."""
    target = f"/v1/stream/{unique('odd')}/{name}"
    created = expect(http.request("PUT", target, [("Content-Type", "text/plain")], b"abc"), 201)
    assert created.get("Location") == f"http://127.0.0.1:{http.stack.port}{target}"
    assert expect(http.request("GET", target), 200).body == b"abc"
    expect(http.request("DELETE", target), 204)


@pytest.mark.parametrize(("length", "status"), [(2047, 201), (2048, 201), (2049, 414), (3000, 414), (8000, 414), (20000, 414)])
@pytest.mark.parametrize("shape", ["one-segment", "many"])
def test_path_length(http: Client, length: int, status: int, shape: str) -> None:
    """13.3: 2 KiB of URL path."""
    start = f"/v1/stream/{unique('long')}/"
    rest = length - len(start)
    target = start + ("x" * rest if shape == "one-segment" else ("xx/" * rest)[: rest - 1] + "e")
    assert len(target) == length
    answer = http.request("PUT", target, [("Content-Type", "text/plain")], b"abc")
    if status == 201:
        expect(answer, 201)
        assert http.request("GET", target).body == b"abc"
    else:
        check_error(answer, 414)
        check_error(http.request("GET", target), 414)


@pytest.mark.parametrize(("length", "status"), [(4095, 200), (4096, 200), (4097, 414), (6000, 414), (20000, 414)])
@pytest.mark.parametrize("live", ["", "&live=long-poll&offset=-1"], ids=["catch-up", "long-poll"])
def test_query_length(http: Client, path: str, length: int, status: int, live: str) -> None:
    """13.3: 4 KiB of query."""
    http.create(path, "text/plain", "abc")
    query = "x=" + "y" * (length - 2 - len(live)) + live
    answer = http.get(path, query)
    if status == 200:
        assert expect(answer, 200).body == b"abc"
    else:
        check_error(answer, 414)


@pytest.mark.parametrize("target", ["/v1/stream", "/v1/stream/", "/v1/p/stream", "/v1/p/stream/", "/v1/stream?x", "/v1/stream/?offset=-1"])
def test_root_without_a_path(http: Client, target: str) -> None:
    """13.4: an empty relative path is 404."""
    for method in ("GET", "PUT", "POST", "DELETE"):
        check_error(http.request(method, target), 404)
    expect(http.request("HEAD", target), 404)


@pytest.mark.parametrize("target", ["/", "/v1", "/v1/", "/v2/stream/a", "/v1/streams/a", "/v1/streama", "/stream/a", "/V1/stream/a",
                                    "/v1/Stream/a", "/v1/a/b/stream/c", "/v1/p/streams/a", "/index.html", "/nginx.conf", "/favicon.ico"])  # fmt: skip
def test_outside_the_root(http: Client, target: str) -> None:
    """Row 7: 404, before the method is looked at."""
    for method in ("GET", "PUT", "POST", "DELETE", "PATCH"):
        check_error(http.request(method, target), 404)


@pytest.mark.parametrize("name", ["__ds", "__ds/x", "__ds/subscriptions/s", "%5F%5Fds/x", "_%5Fds", "__d%73/x/y", "__ds/"])
@pytest.mark.parametrize("root", ["/v1/stream", "/v1/p/stream"])
def test_control_area_never_makes_a_stream(http: Client, root: str, name: str) -> None:
    """Row 6: below root/__ds nothing is ever a stream."""
    target = f"{root}/{name}"
    for method in ("PUT", "GET", "POST", "DELETE", "GET"):
        answer = http.request(method, target, [("Content-Type", "text/plain")], b"abc" if method in ("PUT", "POST") else None)
        assert answer.status in ((400, 404) if name.endswith("/") else (404,)), answer.describe()
        check_error(answer, answer.status)
        assert "Location" not in answer and "Stream-Next-Offset" not in answer


def test_projects(http: Client, path: str) -> None:
    """A URL without a project belongs to `_default`; other projects are apart."""
    plain, default, other = f"/v1/stream/{path}", f"/v1/_default/stream/{path}", f"/v1/acme/stream/{path}"
    made = expect(http.request("PUT", plain, [("Content-Type", "text/plain")], b"one"), 201)
    same = expect(http.request("PUT", default, [("Content-Type", "text/plain")]), 200)
    assert made.offset == same.offset and http.request("GET", default).body == b"one"
    check_error(http.request("GET", other), 404, "STREAM_NOT_FOUND")
    apart = expect(http.request("PUT", other, [("Content-Type", "text/plain")], b"two"), 201)
    assert apart.get("Location") == f"http://127.0.0.1:{http.stack.port}{other}"
    assert http.request("GET", other).body == b"two" and http.request("GET", plain).body == b"one"
    check_error(http.request("GET", f"{other}?offset={made.offset}"), 410, "OFFSET_GONE")
    assert http.request("GET", f"{other}?offset=-1&live=long-poll").body == b"two"
    expect(http.request("DELETE", other), 204)
    assert http.request("GET", plain).body == b"one"


def test_stream_named_stream(http: Client) -> None:
    """`/v1/stream/` is the root, so `stream/x` below it is a stream of `_default`."""
    name = unique("stream")
    expect(http.request("PUT", f"/v1/stream/{name}", [("Content-Type", "text/plain")], b"s"), 201)
    assert expect(http.request("GET", f"/v1/_default/stream/{name}"), 200).body == b"s"


def test_absolute_form(http: Client, path: str) -> None:
    """RFC 9112 3.2.2: a server has to accept the absolute form of the target."""
    http.create(path, "text/plain", "abc")
    read = http.request("GET", f"http://127.0.0.1:{http.stack.port}/v1/stream/{path}?offset=-1")
    assert expect(read, 200).body == b"abc"
