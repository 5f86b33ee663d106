"""Settings files that can't be used, of every kind: one clear line with key and reason, exit status 78, never a crash."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli import Done, ask
from stack import free_port

BOMB = "a: &a [x, x, x, x]\n" + "".join(f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}]\n" for before, name in zip("abcdefghijk", "bcdefghijkl"))

# Content, and what the line has to say.
BROKEN: dict[str, tuple[bytes, list[str]]] = {
    "empty": (b"", ["empty"]),
    "white space": (b" \n\n", ["empty"]),
    "binary": (bytes(range(256)) * 40, ["line 1", "0x00"]),
    "an executable": (b"\x7fELF\x02\x01\x01" + b"\0" * 60, ["line 1", "0x7F"]),
    "UTF-16": ("workers: 1\n".encode("utf-16"), ["line 1"]),
    "Latin-1": (b"workers: 1\nlisten: \xfc\n", ["line 2", "UTF-8"]),
    "tabs": (b"\tworkers: 1\n", ["line 1", "tab"]),
    "a tab below a key": (b"listen:\n\thost: x\n", ["line 2", "tab"]),
    "duplicate keys": (b"workers: 1\nworkers: 2\n", ["workers"]),
    "a list for a scalar": (b"workers: [1, 2]\n", ["workers", "a list", "whole number from 1 to 64"]),
    "a list over lines": (b"workers:\n  - 1\n  - 2\n", ["workers", "a list"]),
    "a map for a scalar": (b"listen:\n  host: 127.0.0.1\n  port: 80\n", ["listen", "a mapping", "127.0.0.1:4437"]),
    "a list of maps": (b"workers:\n  - a: 1\n", ["workers"]),
    "a list alone": (b"- workers: 1\n", ["mapping"]),
    "a word alone": (b"workers\n", ["mapping"]),
    "JSON": (b'["workers", 1]', ["mapping"]),
    "an unknown key": (b"wrokers: 1\n", ["wrokers", '"1"', "known are", "workers"]),
    "an unknown map": (b"server:\n  workers: 1\n", ["server.workers"]),
    "too small": (b"workers: 0\n", ["workers", '"0"', "whole number from 1 to 64"]),
    "too large": (b"sse_lifetime: 86401\n", ["sse_lifetime", "86400"]),
    "beyond integers": (b"workers: 99999999999999999999\n", ["workers"]),
    "no number": (b"workers: many\n", ["workers", '"many"']),
    "a number of YAML": (b"workers: 0x10\n", ["workers", '"0x10"']),
    "a boolean of YAML": (b"allow_open: yes\n", ["allow_open", '"yes"', "true or false"]),
    "nothing": (b"workers:\n", ["workers"]),
    "null": (b"listen: ~\n", ["listen"]),
    "a unit that is none": (b"cache_size: 1GB\n", ["cache_size", "1GiB"]),
    "a path with syntax of nginx": (b"data_dir: /tmp/a;b\n", ["data_dir", "/tmp/a;b"]),
    "a line break in a value": (b'public_url: "http://a\\n.example"\n', ["public_url"]),
    "an unclosed quote": (b'listen: "127.0.0.1:80\nworkers: 2\n', ["line"]),
    "an unclosed bracket": (b"{workers: 1\n", ["line"]),
    "wrong indentation": (b"workers: 1\n  log_level: info\n", ["2:12", "log_level"]),
    "two documents": (b"workers: 1\n---\nworkers: 2\n", ["document"]),
    "anchors": (b"workers: &x 1\nworker_threads: *x\n", ["line 1", "anchor"]),
    "a merge key": (b"base: {workers: 1}\n<<: *base\n", ["line 2", "alias"]),
    "an alias bomb": (BOMB.encode(), ["line 1", "anchor"]),
    "brackets without end": (b"[" * 200_000, ["nested"]),
    "maps in maps": (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, ["nested"]),
    "lists in lists": (b"- " * 100_000 + b"x", ["nested"]),
    "a staircase": ("".join(f"{' ' * depth}k:\n" for depth in range(400)).encode(), ["nested"]),
    "complex keys": (b"? " * 100_000, ["nested"]),
    "huge": (b"# a comment\n" * 100_000, ["larger than 1MiB"]),
    "one long line": (b"workers: " + b"1" * 900_000, ["workers"]),
    "a long key": (b"x" * 200_000 + b": 1\n", ["not allowed"]),
    "a tag": (b"workers: !!python/object:os.system 1\nlog_level: !x loud\n", ["log_level"]),
}


def check(done: Done, words: list[str], path: Path | str) -> None:
    assert done.status == 78, (done.status, done.err[-500:])
    lines = [line for line in done.err.splitlines() if ": warning: " not in line]
    assert lines and all(line.startswith("durable-streams: ") for line in lines), done.err[-500:]
    assert all(len(line) < 2_500 for line in lines), len(done.err)
    assert all(str(path) in line for line in lines) and "\x1b" not in done.err and "\0" not in done.err
    for word in words:
        assert any(word in line for line in lines), (word, lines)


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_file(kind: str, tmp_path: Path) -> None:
    content, words = BROKEN[kind]
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    place = {"DS_DATA_DIR": tmp_path / "data", "DS_LISTEN": f"127.0.0.1:{free_port()}"}
    check(ask(None, "check-config", "--strict", path, **place), words, path)
    served = ask(None, "serve", "--config", path, **place)
    check(served, words, path)
    assert len(served.err.splitlines()) == 1 and not served.out and not (tmp_path / "data").exists()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    places = {tmp_path: "directory", tmp_path / "missing": "No such file", loop: "symbolic links", "/dev/zero": "larger"}
    secret = tmp_path / "secret"
    secret.write_text("workers: 1\n")
    secret.chmod(0)
    if os.geteuid() != 0:
        places[secret] = "Permission denied"
    for path, words in places.items():
        check(ask(None, "check-config", path), [words], path)
        check(ask(None, "serve", DS_CONFIG=path), [words, "environment variable DS_CONFIG"], path)
