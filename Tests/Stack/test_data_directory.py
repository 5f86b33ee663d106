"""Data of a newer version, a read-only disk, files in place of folders: one line, and nothing is changed."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from client import Client
from commands import run
from disk import call, unmount
from stack import remove_tree, temporary_root
from test_startup import one_line, refused

pytestmark = pytest.mark.timeout(120)


# Data of a newer version.


def set_version(data: Path, version: int | None = None) -> int:
    with closing(sqlite3.connect(data / "hot.sqlite", isolation_level=None)) as store:
        ((found,),) = store.execute("PRAGMA user_version").fetchall()
        if version is not None:
            store.execute(f"PRAGMA user_version = {version}")
    return found


@pytest.mark.parametrize("command", ["serve", "backup", "verify"])
def test_newer_schema(fresh_stack, command: str) -> None:
    """One line that names both versions and what to do, status 78; nothing is changed."""
    stack = fresh_stack()
    with closing(Client(stack)) as http:
        http.create("a", "text/plain", "abc")
    stack.stop()
    data, backup = stack.data_dir, stack.data_dir.with_name("backup")
    known = set_version(data, 99)
    if command == "serve":
        status, errors = refused(stack)
        line = one_line(errors)
    else:
        outcome = run(command, *([backup] if command == "backup" else []), "--data-dir", data)
        status, line = outcome.status, outcome.refusal
    assert status == 78, line
    numbers = re.findall(r"\b[0-9]+\b", line.replace(str(data), ""))
    assert {"99", str(known)} <= set(numbers) and "newer" in line, line
    assert set_version(data, known) == 99
    stack.start()
    with closing(Client(stack)) as http:
        assert http.get("a").body == b"abc"
    assert not (backup / "hot.sqlite").exists()


# Places that are not what they should be.


@pytest.fixture
def mounted() -> Iterator[Path]:
    """A file system that can be made read-only: root does not mind modes."""
    root = temporary_root()
    place = root / "disk"
    place.mkdir()
    try:
        call("mount", "-t", "tmpfs", "-o", "size=128m,mode=755", "tmpfs", place)
    except OSError as error:
        remove_tree(root)
        pytest.skip(f"no file system of one's own: {error}")
    try:
        yield place
    finally:
        unmount(place)
        remove_tree(root)


@pytest.mark.parametrize("existing", [True, False])
def test_read_only(mounted: Path, fresh_stack, existing: bool) -> None:
    stack = fresh_stack(data_dir=mounted / "data", start=False)
    if existing:
        stack.start()
        with closing(Client(stack)) as http:
            http.create("a", "text/plain", "abc")
        stack.stop()
    call("mount", "-o", "remount,ro", mounted)
    status, errors = refused(stack)
    assert status in (71, 74) and str(mounted) in one_line(errors), (status, errors)
    if existing:
        call("mount", "-o", "remount,rw", mounted)
        stack.start()
        with closing(Client(stack)) as http:
            assert http.get("a").body == b"abc"


@pytest.mark.parametrize("name", ["", "segments", "nginx", "run"])
def test_file_in_place_of_a_folder(fresh_stack, name: str) -> None:
    """Of the data directory itself, or of one in it."""
    stack = fresh_stack()
    stack.stop()
    path = stack.data_dir / name if name else stack.data_dir
    shutil.rmtree(path)
    path.write_text("mine")
    status, errors = refused(stack)
    assert status in (71, 74) and str(path) in one_line(errors), (status, errors)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("command", ["backup", "verify", "restore"])
def test_commands_with_a_file_in_place_of_the_data_directory(tmp_path: Path, command: str) -> None:
    data, folder = tmp_path / "data", tmp_path / "backup"
    data.write_text("mine")
    outcome = run(command, *([] if command == "verify" else [folder]), "--data-dir", data)
    assert outcome.status not in (0, 1), outcome.describe()
    assert str(data) in outcome.refusal or str(folder) in outcome.refusal
    assert data.read_text() == "mine"
