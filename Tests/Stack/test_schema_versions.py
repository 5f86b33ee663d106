"""Data of every schema version that there was: a server of today opens it, and all is there."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from client import Client, expect, producer
from commands import back_up, check_clean, environment, restore, run, xxh128
from schemas import SECRETS_KEY, SETTINGS, VERSIONS, ask, lay_out, projects
from stack import BINARY, remove_tree, temporary_root


@pytest.fixture
def folder():
    root = temporary_root()
    yield root
    remove_tree(root)


def user_version(data: Path, version: int | None = None) -> int:
    with closing(sqlite3.connect(data / "hot.sqlite")) as store:
        if version is not None:
            store.execute(f"PRAGMA user_version = {version}")
        return store.execute("PRAGMA user_version").fetchone()[0]


def check_answers(stack, found: dict) -> None:
    with closing(Client(stack)) as http:
        for question, answer in zip(found["questions"], found["answers"], strict=True):
            assert ask(http, question) == answer, question


@pytest.mark.parametrize("version", VERSIONS)
def test_forward(fresh_stack, folder, version: int) -> None:
    """Content, metadata, offsets, producers, forks, segments and projects are as they were; and all goes on."""
    data = folder / "data"
    found = lay_out(version, data)
    stack = fresh_stack(data_dir=data, **SETTINGS)
    assert user_version(data) == VERSIONS[-1]
    check_answers(stack, found)
    assert projects(data) == found["projects"]
    if found["projects"]:
        # Its secrets can be opened.
        run("token", "shop", "--scope", "read", "--data-dir", data).expect(0)
    with closing(Client(stack)) as http:
        # What is due: the next number of a producer, the next Stream-Seq, a record behind the last.
        http.append("made", "text/plain", "next\n", **producer("till-7", 3, 5))
        expect(http.post("made", "text/plain", "ordered\n", Stream_Seq="0008"), 204)
        assert http.read_all("made")[0].endswith(b"next\nordered\n")
        for number in range(12):
            http.append("plain", "text/plain", f"more {number}\n")
        content, _ = http.read_all("plain")
        assert content.endswith(b"more 11\n") and content.startswith(b"first line 0\n")
        # A new stream has an incarnation that none had before.
        made = http.create("new", "text/plain", "x").offset
        assert int(made.split("_")[0]) > max(
            int(answer["headers"]["Stream-Next-Offset"].split("_")[0])
            for answer in found["answers"]
            if "Stream-Next-Offset" in answer["headers"]
        )
    stack.stop()
    check_clean(data=data)


@pytest.mark.parametrize("version", VERSIONS[::2])
def test_backup_and_restore_behind_the_way_forward(fresh_stack, folder, version: int) -> None:
    found = lay_out(version, folder / "data")
    fresh_stack(data_dir=folder / "data", **SETTINGS).stop()
    back_up(folder / "data", folder / "copy")
    restore(folder / "copy", folder / "back")
    if SECRETS_KEY in found["files"]:
        # Nobody's copy has it but the operator's own.
        shutil.copy(folder / "data" / SECRETS_KEY, folder / "back")
    check_answers(fresh_stack(data_dir=folder / "back", **SETTINGS), found)


@pytest.mark.parametrize("command", ["backup", "verify"])
def test_older_data_wait_for_a_server(folder, command: str) -> None:
    """Commands that only read don't change what they read: they say what to do first."""
    lay_out(1, folder / "data")
    before = digests(folder / "data")
    arguments = [folder / "copy"] if command == "backup" else []
    line = run(command, *arguments, "--data-dir", folder / "data").expect(65).refusal
    assert "schema version 1" in line and "start a server" in line, line
    assert digests(folder / "data") == before


def digests(data: Path) -> dict[str, str]:
    """The content of everything that holds data."""
    paths = [data / "hot.sqlite", *sorted(data.glob("segments/*/*"))]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.parametrize("command", ["serve", "worker", "live", "backup", "verify", "restore"])
def test_newer_data_are_refused(fresh_stack, folder, command: str) -> None:
    """Status 78, one line with both versions and what to do; nothing is changed."""
    data, newer = folder / "data", VERSIONS[-1] + 1
    lay_out(VERSIONS[-1], data)
    if command == "restore":
        # A copy of a newer version: its list of files is right.
        fresh_stack(data_dir=data, **SETTINGS).stop()
        back_up(data, folder / "copy")
        user_version(folder / "copy", newer)
        renew_sum(folder / "copy")
        line = run("restore", folder / "copy", "--data-dir", folder / "back").expect(78).refusal
        assert not (folder / "back" / "hot.sqlite").exists()
    else:
        user_version(data, newer)
        before = digests(data)
        line = refusal(command, data, folder)
        assert digests(data) == before
    assert f"schema version {newer}" in line and f"up to {VERSIONS[-1]}" in line and "newer one" in line, line


def refusal(command: str, data: Path, folder: Path) -> str:
    if command in ("worker", "live"):
        (data / "run").mkdir(exist_ok=True)
        program = BINARY.with_name(f"durable-streams-{command}")
        done = subprocess.run(
            [program], env=environment({"DS_DATA_DIR": data}), stdin=subprocess.DEVNULL, capture_output=True, timeout=30
        )
        assert done.returncode == 78, done
        (line,) = done.stderr.decode().splitlines()
        return line
    arguments = [folder / "copy"] if command == "backup" else []
    return run(command, *arguments, "--data-dir", data).expect(78).refusal


def renew_sum(copy: Path) -> None:
    """Makes the noted checksum of a backup's database right again."""
    (copy / "hot.sqlite.xxh128").write_text(f"{xxh128((copy / 'hot.sqlite').read_bytes()).hex()}  hot.sqlite\n")
