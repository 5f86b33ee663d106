"""Requests of every length up to and around libfcgi's buffer of 8 KiB, one after another on one connection.

The last record of a request may lie behind what was read with the others; left there, it would be taken for the
beginning of the next.
"""

from __future__ import annotations

import pytest

from client import Client, expect, fields, url

BUFFER = 8_192


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_lengths_of_headers(http: Client, path: str, method: str) -> None:
    http.create(path, "text/plain", "abc")
    for length in range(BUFFER // 2 - 800, BUFFER // 2 + 64):
        # Two headers, since one may not have all of 8 KiB.
        padding = {"X_A": "a" * (BUFFER // 2 - 100), "X_B": "b" * length}
        expect(http.request(method, url(path), fields("text/plain" if method == "PUT" else None, padding)), 200)


def test_lengths_of_bodies(http: Client, path: str) -> None:
    http.create(path, "text/plain")
    total = 0
    for length in [*range(BUFFER - 900, BUFFER + 40), *range(2 * BUFFER - 900, 2 * BUFFER + 40, 3)]:
        total += length
        answer = expect(http.post(path, "text/plain", "x" * length), 204)
        assert int(answer.offset[17:]) == total
