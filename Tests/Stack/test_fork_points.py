"""Fork points: 11.2 for byte and JSON streams, chains of forks, and the forms of Stream-Forked-From (11.1)."""

from __future__ import annotations

import pytest

from checks import check_error
from client import NINES, ZERO, Client, at, expect, incarnation, position, unique, url
from test_forks import check_unreferenced

JSON = "application/json"


def furthest(ends: list[int], anchor: int, json: bool) -> int:
    """11.2: the furthest resolved position from an anchor; `ends` are the ends of the appends."""
    if json and ends:
        return max(ends[-1], anchor)
    return next((end for end in ends if end > anchor), anchor)


def check_every_point(http: Client, source: str, units: list[bytes], ends: list[int], type: str) -> None:
    """A fork at every anchor with every sub-offset, up to some beyond the tail."""
    token, count = http.head(source).offset, len(units)
    for anchor in range(count + 1):
        most = furthest(ends, anchor, type == JSON) - anchor
        for sub in range(count - anchor + 3):
            name = unique("point")
            answer = http.put_fork(name, source, at=at(token, anchor), sub=str(sub))
            if sub > most:
                check_error(answer, 400)
                expect(http.head(name), 404)
                continue
            assert expect(answer, 201).offset == at(token, anchor + sub), (anchor, sub)
            content = units[: anchor + sub]
            assert http.get(name).body == (b"[" + b",".join(content) + b"]" if type == JSON else b"".join(content))
            expect(http.delete(name), 204)


def test_every_point_of_bytes(http: Client, path: str) -> None:
    """Within the append that holds the first byte after the anchor, its end included."""
    http.create(path, "text/plain", "take")
    for piece in ("a", "way", "!!"):
        http.append(path, "text/plain", piece)
    check_every_point(http, path, [bytes([b]) for b in b"takeaway!!"], [4, 5, 8, 10], "text/plain")
    check_unreferenced(http, path)


def test_every_point_of_messages(http: Client, path: str) -> None:
    """Messages are counted, across the boundaries of appends and inside batches."""
    http.create(path, JSON, '["a,]", [1,2]]')
    http.append(path, JSON, '{"b":[3]}')
    http.append(path, JSON, "[null,4,[[5]]]")
    units = [b'"a,]"', b"[1,2]", b'{"b":[3]}', b"null", b"4", b"[[5]]"]
    check_every_point(http, path, units, [2, 3, 6], JSON)
    check_unreferenced(http, path)


@pytest.mark.parametrize("deleted", [False, True], ids=["all-live", "grandparent-soft-deleted"])
def test_every_point_of_a_chain(http: Client, path: str, deleted: bool) -> None:
    """Boundaries of an inherited part are those of the source, cut at the fork point; bodies are appends."""
    tail = http.create(f"{path}/a", "text/plain", "take").offset
    http.append(f"{path}/a", "text/plain", "away")
    http.append(f"{path}/a", "text/plain", "never")
    http.fork(f"{path}/b", f"{path}/a", None, "!?", at=at(tail, 4), sub="3")
    http.append(f"{path}/b", "text/plain", "xyz")
    # Cut in the middle of `xyz`, nothing of its own; then in the middle of what that has inherited.
    http.fork(f"{path}/c", f"{path}/b", at=at(tail, 11))
    http.fork(f"{path}/d", f"{path}/c", None, "own", at=at(tail, 4), sub="2")
    if deleted:
        expect(http.delete(f"{path}/a"), 204)
        expect(http.delete(f"{path}/c"), 204)
    for name, content, ends in (("b", b"takeawa!?xyz", [4, 7, 9, 12]), ("d", b"takeawown", [4, 6, 9])):
        check_every_point(http, f"{path}/{name}", [bytes([b]) for b in content], ends, "text/plain")
    if not deleted:
        check_every_point(http, f"{path}/c", [bytes([b]) for b in b"takeawa!?xy"], [4, 7, 9, 11], "text/plain")


def test_every_point_of_a_chain_of_messages(http: Client, path: str) -> None:
    """Sub-offsets compose along chains; forks inside a batch."""
    tail = http.create(f"{path}/a", JSON, "[0,1,2,3]").offset
    http.append(f"{path}/a", JSON, "[4,5]")
    http.fork(f"{path}/b", f"{path}/a", None, "[60,70]", at=at(tail, 1), sub="4")
    http.fork(f"{path}/c", f"{path}/b", at=at(tail, 3), sub="3")
    http.append(f"{path}/c", JSON, '"c"')
    check_every_point(http, f"{path}/b", [b"0", b"1", b"2", b"3", b"4", b"60", b"70"], [4, 5, 7], JSON)
    check_every_point(http, f"{path}/c", [b"0", b"1", b"2", b"3", b"4", b"60", b'"c"'], [4, 5, 6, 7], JSON)


def test_many_appends(http: Client, path: str) -> None:
    """More appends than are kept in memory: boundaries and content come from the index too."""
    tail = http.create(path, "text/plain").offset
    content = b"".join(b"%04d" % n for n in range(1500))
    for start in range(0, len(content), 4):
        tail = http.append(path, "text/plain", content[start : start + 4]).offset
    for anchor in (0, 1, 3, 4, 2000, 2001, 4094, 4095, 4096, 4097, 5996, 5999):
        room = 4 - anchor % 4
        check_error(http.put_fork(f"{path}/x", path, at=at(tail, anchor), sub=str(room + 1)), 400)
        for sub in (0, room):
            name = unique("point")
            http.fork(name, path, None, "own", at=at(tail, anchor), sub=str(sub))
            assert http.get(name).body == content[: anchor + sub] + b"own"
            http.fork(f"{name}-2", name, at=at(tail, max(0, anchor - 5)))
            assert http.get(f"{name}-2").body == content[: max(0, anchor - 5)]


@pytest.mark.parametrize("type", ["text/plain; charset=utf-8", "application/octet-stream"])
def test_inside_a_character(http: Client, path: str, type: str) -> None:
    """Sub-offsets count bytes, whatever they mean."""
    text = "aé€😀".encode()
    tail = http.create(path, type, text).offset
    for cut in range(len(text) + 1):
        name = f"{path}/{cut}"
        http.fork(name, path, at=ZERO, sub=str(cut))
        assert http.get(name).body == text[:cut]
        http.append(name, type, text[cut:] + b"\xff")
        assert http.get(name).body == text + b"\xff" and http.head(name).offset == at(tail, len(text) + 1)


@pytest.mark.parametrize(("type", "first"), [("text/plain", "abc"), (JSON, "[1,2,3]")])
def test_nothing_inherited(http: Client, path: str, type: str, first: str) -> None:
    """The all-zero token; the fork still has its source's incarnation and type, and sub-offsets begin there."""
    tail = http.create(path, type, first).offset
    empty, body = ("[]", "[7]") if type == JSON else ("", "7")
    for spelled in (ZERO, at(tail, 0)):
        name = unique("nothing")
        assert http.fork(name, path, at=spelled).offset == at(tail, 0)
        assert http.get(name).body == empty.encode()
        assert http.append(name, type, "7").offset == at(tail, 1)
        assert http.get(name).body == body.encode()
        assert http.fork(f"{name}-2", path, at=spelled, sub="3").offset == tail


@pytest.mark.parametrize("type", ["text/plain", JSON])
def test_empty_source(http: Client, path: str, type: str) -> None:
    tail = http.create(path, type).offset
    for number, extra in enumerate(({}, {"at": tail}, {"at": ZERO}, {"sub": "0"})):
        assert http.fork(f"{path}/{number}", path, **extra).offset == tail
    for extra in ({"sub": "1"}, {"at": tail, "sub": "1"}, {"at": ZERO, "sub": "1"}, {"at": at(tail, 1)}, {"at": NINES}):
        check_error(http.put_fork(f"{path}/x", path, **extra), 400)
    # What the source gets later makes the same sub-offset possible.
    http.append(path, type, "1")
    http.fork(f"{path}/x", path, at=ZERO, sub="1")


def test_tokens_of_other_streams(http: Client, path: str) -> None:
    """Row 15: a fork's tokens are its source's, any other incarnation is refused at any position."""
    former = http.create(path, "text/plain", "abc").offset
    expect(http.delete(path), 204)
    tail = http.create(path, "text/plain", "abc").offset
    other = http.create(f"{path}/other", "text/plain", "abc").offset
    for token in (former, other, NINES):
        for place in (0, 1, 3):
            check_error(http.put_fork(f"{path}/x", path, at=at(token, place) if token != NINES else token), 400)
    http.fork(f"{path}/b", path, None, "d", at=at(tail, 1))
    assert incarnation(http.head(f"{path}/b").offset) == incarnation(tail)
    # The source's tail is beyond the fork's; its token at 2 is the fork's own tail.
    check_error(http.put_fork(f"{path}/x", f"{path}/b", at=tail), 400)
    assert http.fork(f"{path}/c", f"{path}/b", at=at(tail, 2)).offset == at(tail, 2)
    assert http.get(f"{path}/c").body == b"ad"


def test_closed_source(http: Client, path: str) -> None:
    """11.1: open unless the PUT says otherwise, whatever the source's state."""
    tail = http.create(path, "text/plain", "abc", Stream_Closed="true").offset
    created = http.fork(f"{path}/b", path)
    assert created.offset == tail and "Stream-Closed" not in created
    http.append(f"{path}/b", "text/plain", "d")
    closed = http.fork(f"{path}/c", path, None, "!", at=at(tail, 1), sub="1", Stream_Closed="true")
    assert closed.get("Stream-Closed") == "true" and closed.offset == at(tail, 3)
    check_error(http.post(f"{path}/c", "text/plain", "x"), 409, "STREAM_CLOSED", Stream_Closed="true", Stream_Next_Offset=closed.offset)
    assert http.get(f"{path}/c").body == b"ab!" and http.get(f"{path}/b").body == b"abcd"


def test_of_itself(http: Client, path: str) -> None:
    """Row 12 on a name that is free, row 11 on one that is not; no cycle can come about."""
    check_error(http.put_fork(path, path), 404)
    http.create(path, "text/plain", "a")
    check_error(http.put_fork(path, path), 409)
    http.fork(f"{path}/b", path)
    check_error(http.put_fork(f"{path}/b", f"{path}/b"), 409)
    check_error(http.put_fork(path, f"{path}/b"), 409)
    expect(http.delete(path), 204)
    check_error(http.put_fork(path, f"{path}/b"), 409)
    expect(http.delete(f"{path}/b"), 204)
    check_error(http.put_fork(path, f"{path}/b"), 404)
    # Round the other way, once both are gone.
    tail = http.create(f"{path}/b", "text/plain", "b").offset
    assert http.fork(path, f"{path}/b", None, "a").offset == at(tail, 2)
    assert http.get(path).body == b"ba"


@pytest.mark.parametrize(
    ("stored", "given", "expected"),
    [
        ("text/plain; charset=UTF-8", None, "text/plain; charset=UTF-8"),
        ("text/plain; charset=UTF-8", "", "text/plain; charset=UTF-8"),
        ("text/plain; charset=UTF-8", "text", "text/plain; charset=UTF-8"),
        ("text/plain; charset=UTF-8", "TEXT/plain", "TEXT/plain"),
        ("Application/JSON; x=y", None, "Application/JSON; x=y"),
        ("Application/JSON; x=y", "application/json", "application/json"),
        (None, None, "application/octet-stream"),
        (None, "application/octet-stream", "application/octet-stream"),
    ],
)
def test_content_type(http: Client, path: str, stored: str | None, given: str | None, expected: str) -> None:
    """3.1 details: omitted means the source's, verbatim; a body is read as that type."""
    json = bool(stored) and "json" in (stored or "").lower()
    http.create(path, stored, "[1,2]" if json else "ab")
    created = http.fork(f"{path}/b", path, given, " [ 3, [4] ] ")
    assert created.get("Content-Type") == expected and http.head(f"{path}/b").get("Content-Type") == expected
    read = http.get(f"{path}/b")
    assert read.get("Content-Type") == expected
    assert read.body == (b"[1,2,3,[4]]" if json else b"ab [ 3, [4] ] ") and position(read.offset) == (4 if json else 14)


@pytest.mark.parametrize(("body", "content"), [(None, b"[1]"), ("", b"[1]"), ("[]", b"[1]"), (" [ ] ", b"[1]"), ("[[]]", b"[1,[]]"), ("2", b"[1,2]")])
def test_json_bodies(http: Client, path: str, body: str | None, content: bytes) -> None:
    http.create(path, JSON, "1")
    http.fork(f"{path}/b", path, None, body)
    assert http.get(f"{path}/b").body == content


def test_chunked_body(http: Client, path: str) -> None:
    http.create(path, "text/plain", "abc")
    expect(http.request("PUT", url(f"{path}/b"), [("Stream-Forked-From", url(path))], chunks=[b"d", b"ef"]), 201)
    assert http.get(f"{path}/b").body == b"abcdef"
