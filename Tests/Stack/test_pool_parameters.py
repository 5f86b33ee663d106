"""What nginx says of a request in one parameter means the same as in many, by CGI's names: others may ask the pool so."""

from __future__ import annotations

import pytest

from admin import fastcgi
from client import expect

ID = "0123456789abcdef"


def both(worker, method: str, target: str, *, scheme="http", uncached="0", files="0", length="", body: bytes = b"", **others: str):
    """The answer to a request in either form, which must be the same."""
    one = {"DS_REQUEST": f"{method} {scheme} {uncached} {files} {ID} {length} {target}"}
    many = {"REQUEST_METHOD": method, "REQUEST_URI": target, "REQUEST_SCHEME": scheme, "DS_UNCACHED": uncached,
            "DS_TAKES_FILES": files, "DS_REQUEST_ID": ID, "CONTENT_LENGTH": length}  # fmt: skip
    # The helper always has CGI's names; the one parameter comes behind them.
    first = fastcgi(worker, "OTHER", "/elsewhere", {"CONTENT_LENGTH": "0"} | others | one, body)
    second = fastcgi(worker, method, target, many | others, body)
    # A second write changes the stream once more.
    assert first == second if method != "POST" else first[0] == second[0]
    return first


def test_both_forms_mean_the_same(http, path, stack) -> None:
    worker = stack.data_dir / "run/worker.sock"
    kind = {"HTTP_HOST": "example.org", "CONTENT_TYPE": "text/plain"}
    status, headers, _ = fastcgi(worker, "X", "/", {"DS_REQUEST": f"PUT https 1 0 {ID}  /v1/stream/{path}"} | kind)
    assert status == 201 and headers["location"] == f"https://example.org/v1/stream/{path}"
    assert both(worker, "PUT", f"/v1/stream/{path}", **kind)[0] == 200
    body = b"some text"
    assert both(worker, "POST", f"/v1/stream/{path}", length=str(len(body)), body=body, CONTENT_TYPE="text/plain")[0] == 204
    assert expect(http.get(path), 200).body == body * 2
    status, headers, content = both(worker, "GET", f"/v1/stream/{path}")
    assert (status, content) == (200, body * 2)
    assert both(worker, "GET", f"/v1/stream/{path}", DS_IF_NONE_MATCH=headers["etag"])[0] == 304
    assert both(worker, "HEAD", f"/v1/stream/{path}")[0] == 200
    assert both(worker, "BREW", f"/v1/stream/{path}")[0] == 405
    # The target is the rest, whatever is in it.
    assert both(worker, "GET", f"/v1/stream/{path} b")[0] == 404


@pytest.mark.parametrize("value", ["", " ", "GET", "GET http", "GET http 0 0 x", "      ", "GET http 0 0 x 99999999999999999999 /v1/stream/a"])
def test_what_is_cut_short_is_refused(stack, value: str) -> None:
    status, _, _ = fastcgi(stack.data_dir / "run/worker.sock", "X", "/", {"DS_REQUEST": value})
    assert status in (404, 405, 413)
