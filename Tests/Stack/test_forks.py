"""Creation of forks: table 3.1 rows 4-7 and 9-17, its comparison table, 11.1 and 11.5."""

from __future__ import annotations

import time

import pytest

from checks import CACHEABLE, check_empty, check_error, check_read
from client import NINES, ZERO, Client, at, expect, incarnation, instant, url

FUTURE = "2099-01-02T03:04:05Z"


def check_unreferenced(http: Client, source: str) -> None:
    """Nothing refers to the source: its deletion is a full one, the name is free at once."""
    expect(http.delete(source), 204)
    expect(http.head(source), 404)


@pytest.fixture
def source(http: Client, path: str) -> str:
    """`takeaway`, of two appends."""
    http.create(f"{path}/a", "text/plain", "take")
    http.append(f"{path}/a", "text/plain", "away")
    return f"{path}/a"


def test_creation(http: Client, path: str, source: str) -> None:
    """11.1: source's units, then the body, then own appends; the 201 carries the tail (3.1)."""
    tail = http.head(source).offset
    created = http.put_fork(f"{path}/b", source, None, "!!", at=at(tail, 4), sub="2")
    location = f"http://127.0.0.1:{http.stack.port}{url(f'{path}/b')}"
    check_empty(created, 201, Stream_Next_Offset=at(tail, 8), Location=location)
    assert created.get("Content-Type") == "text/plain"
    check_read(http.get(f"{path}/b"), b"takeaw!!", type="text/plain", cache=CACHEABLE, next_offset=created.offset)
    end = http.append(f"{path}/b", "text/plain", "own").offset
    assert end == at(tail, 11) and http.get(f"{path}/b").body == b"takeaw!!own"
    assert http.get(source).body == b"takeaway"


def test_readable_at_once(http: Client, path: str, source: str) -> None:
    tail = http.fork(f"{path}/b", source).offset
    check_read(http.get(f"{path}/b", f"offset={tail}"), b"", type="text/plain", cache="no-store", next_offset=tail)


# Rows 4 to 7 come before existence, of the target as of the source.

BAD_SUB_OFFSETS = ["", "  ", "-1", "+1", "05", "00", "1.5", "1.0", "abc", "1e3", "0x1", "1_0", "1 0", "1,1", "٣"]
BAD_OFFSETS = ["-1", "now", "NOW", "0", "4", "1_2", ZERO[:-1], ZERO + "0", ZERO.replace("_", "-"), ZERO[:-1] + "x", ZERO[:-1] + "٣", f"{ZERO},{ZERO}", f'"{ZERO}"']
HEADERS = {
    **{f"row6-{text[-9:]}": {"Stream_Fork_Offset": text} for text in BAD_OFFSETS},
    **{f"row7-{text}": {"Stream_Fork_Sub_Offset": text} for text in BAD_SUB_OFFSETS},
    "row1-before-row6": {"Stream_TTL": "5", "Stream_Expires_At": FUTURE},
    "row2-ttl": {"Stream_TTL": "05"},
    "row3-expires": {"Stream_Expires_At": "soon"},
}


@pytest.mark.parametrize("extra", HEADERS.values(), ids=HEADERS.keys())
def test_refused_headers(http: Client, path: str, source: str, extra: dict[str, str]) -> None:
    """Rows 1-3, 6, 7: 400 whatever the source and the target are; nothing is created."""
    check_error(http.put_fork(f"{path}/b", source, **extra), 400)
    check_error(http.put_fork(f"{path}/b", f"{path}/nowhere", **extra), 400)
    expect(http.head(f"{path}/b"), 404)
    http.fork(f"{path}/c", source)
    check_error(http.put_fork(f"{path}/c", source, **extra), 400)
    expect(http.delete(f"{path}/c"), 204)
    check_unreferenced(http, source)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"Stream_Fork_Sub_Offset": ""}, id="row4-empty"),
        pytest.param({"Stream_Fork_Sub_Offset": "0"}, id="row4-zero"),
        pytest.param({"Stream_Fork_Sub_Offset": "2", "Stream_Forked_From": ""}, id="row4-empty-source"),
        pytest.param({"Stream_Fork_Offset": ZERO}, id="row5"),
        pytest.param({"Stream_Fork_Offset": ZERO, "Stream_Forked_From": ""}, id="row5-empty-source"),
        pytest.param({"Stream_Fork_Offset": ZERO, "Stream_Fork_Sub_Offset": "1"}, id="rows4-5"),
    ],
)
@pytest.mark.parametrize("target", ["absent", "plain", "fork"])
def test_headers_without_a_source(http: Client, path: str, source: str, extra: dict[str, str], target: str) -> None:
    """Rows 4 and 5."""
    name = {"absent": f"{path}/x", "plain": source, "fork": f"{path}/b"}[target]
    http.fork(f"{path}/b", source)
    check_error(http.put(name, "text/plain", **extra), 400)


@pytest.mark.parametrize("sub", ["9007199254740991", "9007199254740992", "9223372036854775807", "18446744073709551617", "9" * 60], ids=["2^53-1", "2^53", "2^63-1", "2^64+1", "60-digits"])
def test_large_sub_offsets_are_numbers(http: Client, path: str, source: str, sub: str) -> None:
    """Row 7's grammar has no upper bound: such a number is judged by rows 10 to 16."""
    check_error(http.put_fork(f"{path}/b", source, sub=sub, at=ZERO), 400)
    check_error(http.put_fork(f"{path}/b", f"{path}/nowhere", sub=sub), 404)
    http.fork(f"{path}/c", source)
    check_error(http.put_fork(f"{path}/c", source, sub=sub), 409)


def test_empty_fork_offset_counts_as_absent(http: Client, path: str, source: str) -> None:
    """4.1."""
    assert http.fork(f"{path}/b", source, at="").offset == http.head(source).offset
    check_empty(http.put_fork(f"{path}/b", source, at=""), 200, Stream_Next_Offset=True)


@pytest.mark.parametrize("around", [" {}", "{} ", "\t{}", "{}\t", " \t{}\t "], ids=["sp-before", "sp-behind", "tab-before", "tab-behind", "mixed"])
def test_white_space_around_values(http: Client, path: str, source: str, around: str) -> None:
    """4: header values are trimmed of optional white space, which is spaces and tabs (RFC 9110 5.6.3)."""
    tail = http.head(source).offset
    values = {"Stream_Forked_From": url(source), "Stream_Fork_Offset": at(tail, 4), "Stream_Fork_Sub_Offset": "2", "Stream_TTL": "600"}
    for name in values:
        fork = f"{path}/{name}"
        assert expect(http.put(fork, "text/plain", **(values | {name: around.format(values[name])})), 201).offset == at(tail, 6)
        assert http.head(fork).get("Stream-TTL") == "600"
    closed = http.put_fork(f"{path}/closed", source, Stream_Closed=around.format("true"))
    assert closed.get("Stream-Closed") == "true", closed.describe()


def test_body_larger_than_the_limit(small: Client, path: str) -> None:
    """Row 8 comes before 9 to 17."""
    small.create(f"{path}/a", "text/plain", "abc")
    for source in ("a", "nowhere"):
        answer = small.put_fork(f"{path}/b", f"{path}/{source}", None, b"x" * 300_001)
        check_error(answer, 413)
    expect(small.head(f"{path}/b"), 404)
    check_unreferenced(small, f"{path}/a")


# Rows 12 to 17, each with everything wrong that comes behind it.

REFUSALS = {
    "row12-absent": ("nowhere", "text/html", "[", {"at": NINES, "sub": "99"}, 404, None),
    "row12-deleted": ("deleted", "text/html", "[", {"at": NINES, "sub": "99"}, 404, None),
    "row12-expired": ("expired", "text/html", "[", {"at": NINES, "sub": "99"}, 404, None),
    "row13-gone": ("gone", "text/html", "[", {"at": NINES, "sub": "99"}, 409, None),
    "row13-gone-plain": ("gone", None, None, {}, 409, None),
    "row13-expired-with-forks": ("expired-with-forks", "text/html", "[", {"at": NINES, "sub": "99"}, 409, None),
    "row14-type": ("json", "text/html", "[", {"at": NINES, "sub": "99"}, 409, "CONTENT_TYPE_MISMATCH"),
    "row14-type-alone": ("json", "text/html", None, {}, 409, "CONTENT_TYPE_MISMATCH"),
    "row14-suffix": ("json", "application/ld+json", "1", {}, 409, "CONTENT_TYPE_MISMATCH"),
    "row14-octets": ("text", "application/octet-stream", "1", {}, 409, "CONTENT_TYPE_MISMATCH"),
    "row15-nines": ("json", "application/json", "[", {"at": NINES, "sub": "99"}, 400, None),
    "row15-one-beyond": ("json", "application/json", None, {"at": "json+1"}, 400, None),
    "row15-other-stream": ("json", "application/json", None, {"at": "text"}, 400, None),
    "row15-other-stream-start": ("json", "application/json", None, {"at": "text=0"}, 400, None),
    "row15-former-stream": ("again", None, None, {"at": "former"}, 400, None),
    "row15-not-yet-given": ("json", None, None, {"at": "future"}, 400, None),
    "row16-at-the-tail": ("json", "application/json", "[", {"sub": "1"}, 400, None),
    "row16-tail-token": ("json", None, None, {"at": "json", "sub": "1"}, 400, None),
    "row16-beyond": ("json", None, None, {"at": "json=0", "sub": "3"}, 400, None),
    "row16-empty-source": ("empty", None, None, {"sub": "1"}, 400, None),
    "row16-empty-source-zero": ("empty", None, None, {"at": ZERO, "sub": "1"}, 400, None),
    "row17-invalid": ("json", "application/json", "[1,", {}, 400, "JSON_INVALID"),
    "row17-type-omitted": ("json", None, "[1,", {"at": ZERO, "sub": "1"}, 400, "JSON_INVALID"),
    "row17-type-malformed": ("json", "json", "{", {}, 400, "JSON_INVALID"),
    "row17-not-utf8": ("json", None, b'"\xff"', {}, 400, "JSON_INVALID"),
    "row17-closing": ("json", None, "nope", {"Stream_Closed": "true"}, 400, "JSON_INVALID"),
}


def prepare(http: Client, path: str) -> dict[str, str]:
    """Streams of every kind, and tokens by name."""
    tokens = {"former": http.create(f"{path}/again", "text/plain", "same").offset}
    expect(http.delete(f"{path}/again"), 204)
    http.create(f"{path}/again", "text/plain", "same")
    tokens["json"] = http.create(f"{path}/json", "application/json", "[1,2]").offset
    tokens["text"] = http.create(f"{path}/text", "text/plain", "ab").offset
    http.create(f"{path}/empty", "text/plain")
    http.create(f"{path}/deleted", "text/plain", "x")
    expect(http.delete(f"{path}/deleted"), 204)
    http.create(f"{path}/expired", "text/plain", "x", Stream_TTL="0")
    http.create(f"{path}/gone", "text/plain", "x")
    http.fork(f"{path}/keeps", f"{path}/gone")
    expect(http.delete(f"{path}/gone"), 204)
    newest = http.create(f"{path}/newest").offset
    tokens["future"] = f"{incarnation(newest) + 1000:016d}_{0:016d}"
    return tokens | {"json+1": at(tokens["json"], 3), "json=0": at(tokens["json"], 0), "text=0": at(tokens["text"], 0)}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_forks(http: Client, path: str, case: tuple) -> None:
    """Nothing is created, and no reference on the source remains."""
    source, type, body, extra, status, code = case
    tokens = prepare(http, path)
    if source == "expired-with-forks":
        http.create(f"{path}/{source}", "text/plain", "x", Stream_Expires_At=instant(0.3))
        http.fork(f"{path}/keeps-too", f"{path}/{source}", Stream_TTL="600")
        deadline = time.monotonic() + 5
        while http.head(f"{path}/{source}").status != 410:
            assert time.monotonic() < deadline, http.head(f"{path}/{source}").describe()
            time.sleep(0.02)
    extra = {key: tokens.get(value, value) for key, value in extra.items()}
    check_error(http.put_fork(f"{path}/target", f"{path}/{source}", type, body, **extra), status, code)
    expect(http.head(f"{path}/target"), 404)
    if source in ("json", "text", "empty", "again"):
        check_unreferenced(http, f"{path}/{source}")


def test_gone_target(http: Client, path: str, source: str) -> None:
    """Row 9: 409 even if the configuration would match, and before the source is looked at."""
    http.fork(f"{path}/b", source)
    http.fork(f"{path}/c", f"{path}/b")
    expect(http.delete(f"{path}/b"), 204)
    for answer in (http.put_fork(f"{path}/b", source), http.put(f"{path}/b", "text/plain"), http.put_fork(f"{path}/b", f"{path}/nowhere")):
        check_error(answer, 409)
        assert "Stream-Closed" not in answer


# Row 10: what makes a second PUT match. Tokens are positions of the source.

COMPARISON = [
    ({}, {}, 200),
    ({}, {"type": "text/plain"}, 200),
    ({}, {"type": "TEXT/plain; x=1"}, 200),
    ({}, {"type": "text/html"}, 409),
    ({}, {"type": "nonsense"}, 200),
    ({"type": "text/plain; a=b"}, {}, 200),
    ({}, {"body": "ignored"}, 200),
    ({}, {"at": "8"}, 200),
    ({}, {"at": "4"}, 409),
    ({}, {"at": ZERO}, 409),
    ({}, {"at": NINES}, 409),
    ({"at": "4"}, {"at": "4"}, 200),
    ({"at": "4"}, {}, 200),
    ({"at": "4"}, {"at": "8"}, 409),
    ({"at": ZERO}, {"at": ZERO}, 200),
    ({"at": ZERO}, {}, 200),
    ({}, {"sub": "0"}, 200),
    ({"sub": "0"}, {}, 200),
    ({}, {"sub": "1"}, 409),
    ({"at": "4", "sub": "2"}, {"at": "4", "sub": "2"}, 200),
    ({"at": "4", "sub": "2"}, {"sub": "2"}, 200),
    ({"at": "4", "sub": "2"}, {"at": "4"}, 409),
    ({"at": "4", "sub": "2"}, {"at": "4", "sub": "0"}, 409),
    ({"at": "4", "sub": "2"}, {"at": "4", "sub": "3"}, 409),
    ({"at": "4", "sub": "2"}, {"at": "6"}, 409),
    ({"Stream_TTL": "600"}, {"Stream_TTL": "600"}, 200),
    ({"Stream_TTL": "600"}, {"Stream_TTL": "601"}, 409),
    ({"Stream_TTL": "600"}, {}, 409),
    ({}, {"Stream_TTL": "600"}, 409),
    ({"Stream_Expires_At": FUTURE}, {"Stream_Expires_At": FUTURE.replace("Z", "+00:00")}, 200),
    ({"Stream_Expires_At": FUTURE}, {}, 409),
    ({}, {"Stream_Closed": "true"}, 409),
    ({"Stream_Closed": "true"}, {"Stream_Closed": "true"}, 200),
    ({"Stream_Closed": "true"}, {}, 409),
    ({}, {"source": "other"}, 409),
    ({}, {"source": "b"}, 409),
    ({}, {"source": "nowhere"}, 409),
    ({}, {"Stream_Seq": "9", "Producer_Id": "x", "Producer_Epoch": "y"}, 200),
]


def ask(http: Client, path: str, tail: str, given: dict[str, str]):
    given = dict(given)
    if len(given.get("at", "")) == 1:
        given["at"] = at(tail, int(given["at"]))
    source, type, body = given.pop("source", "a"), given.pop("type", None), given.pop("body", None)
    return http.put_fork(f"{path}/b", f"{path}/{source}", type, body, **given)


@pytest.mark.parametrize("deleted", [False, True], ids=["source-lives", "source-deleted"])
@pytest.mark.parametrize(("first", "again", "status"), COMPARISON)
def test_comparison(http: Client, path: str, source: str, first: dict, again: dict, status: int, deleted: bool) -> None:
    """The table under 3.1; 11.5: judged before anything about the source is looked at."""
    tail = http.head(source).offset
    http.create(f"{path}/other", "text/plain", "takeaway")
    created = expect(ask(http, path, tail, first), 201)
    if deleted:
        expect(http.delete(source), 204)
    content = http.get(f"{path}/b").body
    answer = ask(http, path, tail, again)
    if status == 409:
        check_error(answer, 409)
    else:
        closed = "true" if "Stream_Closed" in first else None
        check_empty(answer, 200, Stream_Next_Offset=created.offset, Stream_Closed=closed)
        assert answer.get("Content-Type") == first.get("type", "text/plain")
    assert http.get(f"{path}/b").body == content
    expect(http.delete(f"{path}/b"), 204)
    if deleted:
        expect(http.head(source), 404)
    else:
        check_unreferenced(http, source)
