"""ETag and If-None-Match: sections 9.2 and 9.3."""

from __future__ import annotations

import pytest

from checks import CACHEABLE, check_error, check_fixed, check_protocol_headers, check_read
from client import Client, at, expect, url
from wire import Response


def check_not_modified(response: Response, of: Response) -> None:
    """9.3: no body, no Content-Type, no Content-Length; the validators a 200 would have."""
    assert response.status == 304, f"expected 304, got {response.describe()}"
    check_fixed(response)
    assert response.body == b"" and "Content-Type" not in response and "Content-Length" not in response, response.describe()
    assert response.get("Cache-Control") == of.get("Cache-Control"), response.describe()
    names = ("ETag", "Stream-Next-Offset", "Stream-Up-To-Date", "Stream-Closed", "Stream-Cursor")
    check_protocol_headers(response, **{name.replace("-", "_"): of.get(name) for name in names})


MATCHING = {
    "exact": ["{e}"],
    "weak": ["W/{e}"],
    "star": ["*"],
    "spaces": ["   {e}\t "],
    "list-first": ['{e}, "zz"'],
    "list-last": ['"zz","yy", {e}'],
    "list-weak": ['W/"zz" , W/{e}'],
    "list-no-spaces": ['"a",{e},"b"'],
    "list-tight-tab": ['"a"\t,\t{e}'],
    "comma-inside-a-tag": ['"a,b", {e}'],
    "empty-tag-before": ['"", {e}'],
    "empty-members": ['"a",, {e}'],
}
SEVERAL_LINES = {
    "two-lines": ['"zz"', "{e}"],
    "two-lines-first": ["{e}", '"zz"'],
    "three-lines-weak": ['"zz"', 'W/"yy"', "W/{e}"],
    "two-lines-lists": ['"a", "b"', '"c", {e}, "d"'],
}
OTHER = {
    "other": ['"zz"'],
    "list": ['"zz", W/"yy"'],
    "empty-tag": ['""'],
}
MALFORMED = {
    "unquoted": ["{i}"],
    "open": ['"{i}'],
    "only-closing": ['{i}"'],
    "single-quotes": ["'{i}'"],
    "lower-case-weak": ["w/{e}"],
    "weak-space": ["W/ {e}"],
    "weak-unquoted": ["W/{i}"],
    "double-weak": ["W/W/{e}"],
    "no-comma": ['"zz" {e}'],
    "garbage-after": ["{e}x"],
    "inside-another-tag": ['"zz,{i},yy"'],
    "star-quoted": ['"*"'],
    "star-twice": ["**"],
    "empty": [""],
    "comma": [","],
    "prefix": ['"{p}"'],
    "longer": ['"{i}:c"'],
    "space-inside": ['"{i} "'],
}


def condition(lines: list[str], etag: str) -> list[tuple[str, str]]:
    inner = etag.strip('"')
    return [("If-None-Match", line.format(e=etag, i=inner, p=inner[:-1])) for line in lines]


@pytest.mark.parametrize("lines", MATCHING.values(), ids=MATCHING.keys())
@pytest.mark.parametrize("state", ["open", "closed", "at-tail"])
def test_match(http: Client, path: str, lines: list[str], state: str) -> None:
    """304 for the exact tag, weak or strong, in lists, and for *."""
    tail = http.create(path, "text/plain", "abc", Stream_Closed="true" if state == "closed" else "false").offset
    target = url(path, f"offset={tail}" if state == "at-tail" else "offset=-1")
    plain = expect(http.request("GET", target), 200)
    etag = plain.get("ETag") or ""
    check_not_modified(http.request("GET", target, condition(lines, etag)), plain)
    expect(http.request("GET", target), 200)


@pytest.mark.parametrize("lines", SEVERAL_LINES.values(), ids=SEVERAL_LINES.keys())
def test_match_over_several_lines(http: Client, path: str, lines: list[str]) -> None:
    """9.3 has them match. nginx itself refuses a repeated If-None-Match line with 400, which no
    configuration changes; so it is either the 304 or that refusal, in our shape, never anything else."""
    http.create(path, "text/plain", "abc")
    plain = expect(http.get(path), 200)
    answer = http.request("GET", url(path), condition(lines, plain.get("ETag") or ""))
    if answer.status == 400:
        check_error(answer, 400)
    else:
        check_not_modified(answer, plain)


@pytest.mark.parametrize("lines", (OTHER | MALFORMED).values(), ids=(OTHER | MALFORMED).keys())
def test_no_match(http: Client, path: str, lines: list[str]) -> None:
    """Another tag, or a malformed field, which never matches."""
    tail = http.create(path, "text/plain", "abc").offset
    etag = http.get(path).get("ETag") or ""
    read = http.request("GET", url(path), condition(lines, etag))
    check_read(read, b"abc", type="text/plain", cache=CACHEABLE, next_offset=tail, etag=etag)


@pytest.mark.parametrize("lines", MATCHING.values(), ids=MATCHING.keys())
def test_match_on_a_cut_chunk(small: Client, path: str, lines: list[str]) -> None:
    """The same for what nginx may store: on a MISS and on a HIT."""
    small.create(path, "application/octet-stream", b"x" * 100_000)
    plain = expect(small.get(path), 200)
    assert "Stream-Up-To-Date" not in plain
    for _ in range(2):
        check_not_modified(small.request("GET", url(path), condition(lines, plain.get("ETag") or "")), plain)
    token = at(plain.offset, 1)
    inside = expect(small.get(path, f"offset={token}"), 200)
    fresh = small.request("GET", url(path, f"offset={token}&x=1"), condition(lines, inside.get("ETag") or ""))
    check_not_modified(fresh, inside)


@pytest.mark.parametrize("lines", (OTHER | MALFORMED).values(), ids=(OTHER | MALFORMED).keys())
def test_no_match_on_a_cut_chunk(small: Client, path: str, lines: list[str]) -> None:
    small.create(path, "application/octet-stream", b"x" * 100_000)
    plain = expect(small.get(path), 200)
    for _ in range(2):
        again = small.request("GET", url(path), condition(lines, plain.get("ETag") or ""))
        check_read(again, plain.body, type="application/octet-stream", cache=CACHEABLE, next_offset=plain.offset,
                   etag=plain.get("ETag"), up_to_date=False)  # fmt: skip


def test_append_changes_the_tag(http: Client, path: str) -> None:
    http.create(path, "text/plain", "abc")
    old = http.get(path).get("ETag") or ""
    http.append(path, "text/plain", "d")
    read = expect(http.get(path, If_None_Match=old), 200)
    assert read.body == b"abcd" and read.get("ETag") != old


def test_closing_without_data_changes_the_tag(http: Client, path: str) -> None:
    """9.2: closure cannot be hidden by a 304; not even at the tail."""
    tail = http.create(path, "text/plain", "abc").offset
    old = [http.get(path, query).get("ETag") or "" for query in ("offset=-1", f"offset={tail}")]
    expect(http.post(path, Stream_Closed="true"), 204)
    for query, etag in zip(("offset=-1", f"offset={tail}"), old, strict=True):
        read = expect(http.get(path, query, If_None_Match=etag), 200)
        assert read.get("Stream-Closed") == "true"
        assert read.get("ETag") == etag[:-1] + ':c"'
        expect(http.get(path, query, If_None_Match=read.get("ETag") or ""), 304)


def test_re_created_stream_never_matches_old_tags(http: Client, path: str) -> None:
    http.create(path, "text/plain", "abc")
    old = http.get(path).get("ETag") or ""
    expect(http.delete(path), 204)
    http.create(path, "text/plain", "abc")
    read = expect(http.get(path, If_None_Match=old), 200)
    assert read.get("ETag") != old


def test_start_and_end_are_in_the_tag(http: Client, path: str) -> None:
    """9.2: `"<instance>:<start>:<end>"`; another range of the stream is another tag."""
    tail = http.create(path, "text/plain", "abc").offset
    token = at(tail, 1)
    read = expect(http.get(path, f"offset={token}"), 200)
    instance = (read.get("ETag") or "").strip('"').split(":")[0]
    assert read.get("ETag") == f'"{instance}:{token}:{tail}"'
    assert http.get(path).get("ETag") == f'"{instance}:-1:{tail}"'
    expect(http.get(path, If_None_Match=read.get("ETag") or ""), 200)


@pytest.mark.parametrize("tag", ["*", '"x"'])
def test_now_is_never_conditional(http: Client, path: str, tag: str) -> None:
    """3.4 row 1: If-None-Match ignored."""
    tail = http.create(path, "text/plain", "abc").offset
    read = http.get(path, "offset=now", If_None_Match=tag)
    check_read(read, b"", type="text/plain", cache="no-store", next_offset=tail, etag=None)


def test_other_methods_are_never_conditional(http: Client, path: str) -> None:
    """9.3: only catch-up and long-poll 200 responses are conditional."""
    check_error(http.post(path, "text/plain", "x", If_None_Match="*"), 404)
    http.create(path, "text/plain", "abc", If_None_Match="*")
    expect(http.put(path, "text/plain", If_None_Match="*"), 200)
    expect(http.post(path, "text/plain", "d", If_None_Match="*"), 204)
    expect(http.request("HEAD", url(path), [("If-None-Match", "*")]), 200)
    check_error(http.get(path, "offset=bad", If_None_Match="*"), 400)
    expect(http.request("DELETE", url(path), [("If-None-Match", "*")]), 204)


def test_not_modified_varies_as_its_answer(http: Client, path: str) -> None:
    """9.3: `Vary` if the 200 had it; the compressed answer's weak tag matches."""
    http.create(path, "text/plain", "x" * 5000)
    read = expect(http.get(path, Accept_Encoding="gzip"), 200)
    etag = read.get("ETag")
    assert read.get("Vary") == "Accept-Encoding" and etag is not None and etag.startswith("W/"), read.describe()
    again = expect(http.get(path, Accept_Encoding="gzip", If_None_Match=etag), 304)
    assert again.get("Vary") == "Accept-Encoding", again.describe()
