"""JSON mode: section 5. Every message comes back byte for byte."""

from __future__ import annotations

import pytest

from checks import check_empty, check_error
from client import Client, at, expect, position

JSON = "application/json"


def nested(depth: int, inner: str = "") -> str:
    return "[" * depth + inner + "]" * depth


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (b'{"k":1}', [b'{"k":1}']),
        (b'[{"k":1},{"k":2}]', [b'{"k":1}', b'{"k":2}']),
        (b"[[7,8],[9]]", [b"[7,8]", b"[9]"]),
        (b"[[[7,8]]]", [b"[[7,8]]"]),
        (b'["a", 5 ,null]', [b'"a"', b"5", b"null"]),
        (b'[{"v": 1.50}, 12345678901234567890,7]', [b'{"v": 1.50}', b"12345678901234567890", b"7"]),
        (b" \t\r\n {\"a\" : [ 1 ,2 ] } \n", [b'{"a" : [ 1 ,2 ] }']),
        (b"\n[\r\n 1\t,\n2 ]\r\n", [b"1", b"2"]),
        (b"[[]]", [b"[]"]),
        (b"[[],[ ],{},{ }]", [b"[]", b"[ ]", b"{}", b"{ }"]),
        (b'"[1,2]"', [b'"[1,2]"']),
        (b'"a,b]"', [b'"a,b]"']),
        (b'["a,b]","{\\"}","\\\\"]', [b'"a,b]"', b'"{\\"}"', b'"\\\\"']),
        (b"true", [b"true"]),
        (b"false", [b"false"]),
        (b"null", [b"null"]),
        (b"0", [b"0"]),
        (b"-0", [b"-0"]),
        (b"-0.0e-00", [b"-0.0e-00"]),
        (b"1.0", [b"1.0"]),
        (b"1E+05", [b"1E+05"]),
        (b"1e400", [b"1e400"]),
        (b"12345678901234567890123456789", [b"12345678901234567890123456789"]),
        (b'""', [b'""']),
        (b'"\\u00e9"', [b'"\\u00e9"']),
        (b'"\\ud800"', [b'"\\ud800"']),
        (b'"\\udc00\\ud800x"', [b'"\\udc00\\ud800x"']),
        (b'"\\u0000"', [b'"\\u0000"']),
        (b'"\\/\\b\\f\\n\\r\\t\\"\\\\"', [b'"\\/\\b\\f\\n\\r\\t\\"\\\\"']),
        ('"é €\U0001f600\u2028\ufeff\x7f"'.encode(), ['"é €\U0001f600\u2028\ufeff\x7f"'.encode()]),
        (b'{"a":1,"a":2}', [b'{"a":1,"a":2}']),
        (b'{"b":1,"a":2}', [b'{"b":1,"a":2}']),
        (b'{"":{"":[]}}', [b'{"":{"":[]}}']),
        (b'[{"a":\n[1,\n 2]}\n,\n3]', [b'{"a":\n[1,\n 2]}', b"3"]),
        (b"[1,1,1]", [b"1", b"1", b"1"]),
    ],
    ids=lambda value: value.decode("ascii", "replace")[:16] if isinstance(value, bytes) else "",
)
def test_messages_are_kept(http: Client, path: str, body: bytes, messages: list[bytes]) -> None:
    """Rules 1-3: exact slices, one level opened, `[` + joined by `,` + `]`."""
    http.create(path, JSON)
    tail = http.append(path, JSON, body).offset
    assert position(tail) == len(messages)
    for start in range(len(messages) + 1):
        read = http.get(path, f"offset={at(tail, start)}")
        assert read.body == b"[" + b",".join(messages[start:]) + b"]", read.describe()
        assert read.offset == tail
    # PUT opens arrays in the same way.
    assert position(http.create(f"{path}-put", JSON, body).offset) == len(messages)
    assert http.get(f"{path}-put").body == b"[" + b",".join(messages) + b"]"


@pytest.mark.parametrize(
    "body",
    [
        b" ", b"\n\t", b"[", b"]", b"{", b"}", b"[1,]", b"[,1]", b"[1,,2]", b"[1 2]", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}',
        b"{a:1}", b"{'a':1}", b"{1:2}", b"1 2", b"1,2", b"[1][2]", b"[1]x", b'"a" "b"', b"{}{}", b"tru", b"True", b"nul", b"NULL",
        b"NaN", b"Infinity", b"-Infinity", b"-", b"+1", b"01", b"-01", b"1.", b".5", b"1.e3", b"1e", b"1e+", b"0x10", b"1_000",
        b"// c\n1", b"1 // c", b"/* c */ 1", b"# c\n1", b'"a', b"'a'", b'"\\x"', b'"\\u12"', b'"\\u12g4"', b'"\\', b'"a\nb"',
        b'"a\tb"', b'"\x00"', b'"\x1f"', b"\x00", b"1\x00", b"\x0b1", b"\x0c1", b"\xa01", b"\xc2\xa01", b"\xef\xbb\xbf1",
        b"\xef\xbb\xbf[1]", b"[1,2", b"[1,2}", b'{"a":1]', b"undefined", b"[1,undefined]",
    ],
    ids=lambda body: repr(body)[1:].strip("'\""),
)  # fmt: skip
def test_malformed(http: Client, path: str, body: bytes) -> None:
    """Refused by POST and by PUT; nothing is stored or created."""
    created = http.create(path, JSON, b"0")
    check_error(http.post(path, JSON, body), 400)
    read = expect(http.get(path), 200)
    assert read.body == b"[0]" and read.offset == created.offset
    check_error(http.put(f"{path}-new", JSON, body), 400)
    expect(http.head(f"{path}-new"), 404)


@pytest.mark.parametrize(
    "raw",
    [b"\xff", b"\x80", b"\xc3", b"\xc3\x28", b"\xc0\x80", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80",
     b"\xe2\x82", b"\xf0\x9f\x98"],
    ids=lambda raw: raw.hex(),
)  # fmt: skip
def test_raw_bytes_that_are_not_utf8(http: Client, path: str, raw: bytes) -> None:
    """Rule 2; in a value and in a member name."""
    http.create(path, JSON)
    for body in (b'"' + raw + b'"', b'{"' + raw + b'":1}', b'["ok","' + raw + b'"]'):
        check_error(http.post(path, JSON, body), 400)
    assert http.get(path).body == b"[]"


@pytest.mark.parametrize("body", [b"[]", b"[ ]", b" [\n] "])
def test_empty_array(http: Client, path: str, body: bytes) -> None:
    """400 by POST, an empty stream by PUT."""
    assert position(http.create(path, JSON, body).offset) == 0
    check_error(http.post(path, JSON, body), 400)
    check_error(http.post(path, JSON, body, Stream_Closed="true"), 400)
    assert "Stream-Closed" not in http.head(path)


def test_one_bad_element_refuses_the_whole_body(http: Client, path: str) -> None:
    """Rule 6."""
    http.create(path, JSON)
    check_error(http.post(path, JSON, b"[1,2,3,{]"), 400)
    assert http.get(path).body == b"[]"


@pytest.mark.parametrize("shape", ["arrays", "objects", "mixed"])
def test_nesting_limit(http: Client, path: str, shape: str) -> None:
    """Rule 7: 512 levels are fine, 513 and very many are 400."""

    def deep(levels: int) -> str:
        if shape == "arrays":
            return nested(levels)
        if shape == "objects":
            return '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)
        half = levels // 2
        return '[{"a":' * half + ("[]" if levels % 2 else "0") + "}]" * half

    http.create(path, JSON)
    check_empty(http.post(path, JSON, deep(512)), 204, Stream_Next_Offset=True)
    assert len(http.get(path).body) >= len(deep(512))
    for levels in (513, 100_001, 1_000_001):
        check_error(http.post(path, JSON, deep(levels)), 400)
        check_error(http.post(path, JSON, deep(levels)[: levels // 2]), 400)
    assert position(http.head(path).offset) == 1


def test_many_elements(http: Client, path: str) -> None:
    """Rule 7: no separate limit on the number of elements."""
    http.create(path, JSON)
    body = b"[" + b",".join(b"%d" % n for n in range(100_000)) + b"]"
    tail = http.append(path, JSON, body).offset
    assert position(tail) == 100_000
    assert http.get(path).body == body
    assert http.get(path, f"offset={at(tail, 99_998)}").body == b"[99998,99999]"


def test_equal_messages_are_distinct(http: Client, path: str) -> None:
    """Rule 8."""
    http.create(path, JSON)
    for _ in range(3):
        tail = http.append(path, JSON, b"7").offset
    assert position(tail) == 3 and http.get(path).body == b"[7,7,7]"


@pytest.mark.parametrize("type", ["application/ld+json", "application/ndjson", "text/json", "application/jsonx", "application/vnd.api+json"])
def test_relatives_are_byte_streams(http: Client, path: str, type: str) -> None:
    """Section 1: only application/json is JSON."""
    http.create(path, type)
    assert position(http.append(path, type, b"[1, 2").offset) == 5
    assert http.get(path).body == b"[1, 2"
    assert http.get(path, "offset=now").body == b""
