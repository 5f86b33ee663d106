"""The key of the stored secrets: who makes it, and that nobody goes on with one that is not as it should be."""

from __future__ import annotations

import os
import re
from contextlib import closing
from pathlib import Path

import pytest

from access import GUARDED, Project, ask, command, wait_known
from client import Client
from commands import run
from stack import Stack
from test_startup import one_line, refused

DIGITS = b"0123456789"
KEY = re.compile(rb"[0-9a-fA-F]{64}\n")
COMMANDS = [
    ["create-project", "another"],
    ["projects"],
    ["add-secret", "NAME"],
    ["token", "NAME", "--scope", "read"],
    ["check-token", "a.b.c", "--project", "NAME"],
]


def key(stack: Stack) -> Path:
    return stack.data_dir / "secrets.key"


def check_key(stack: Stack) -> bytes:
    """As it has to be: for its owner alone, whatever the mask of who started it."""
    content = key(stack).read_bytes()
    assert KEY.fullmatch(content), f"{len(content)} bytes"
    assert key(stack).stat().st_mode & 0o7777 == 0o600, oct(key(stack).stat().st_mode)
    assert not [file.name for file in stack.data_dir.iterdir() if file.name.startswith("secrets.key.")]
    return content


@pytest.fixture
def mask():
    """A mask that forbids nothing, as careless shells have it."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_made_by_the_first_command(fresh_stack, mask) -> None:
    """And kept by the server and all other commands."""
    stack = fresh_stack(start=False, **GUARDED)
    project = Project(stack)
    content = check_key(stack)
    project.add_secret()
    stack.start()
    wait_known(stack, project)
    stack.stop()
    assert check_key(stack) == content


@pytest.mark.parametrize("mode", ["none", "project-jwt"])
def test_made_by_the_first_start(fresh_stack, mask, mode: str) -> None:
    stack = fresh_stack(DS_AUTH=mode)
    content = check_key(stack)
    Project(stack)
    stack.stop()
    assert check_key(stack) == content


def test_each_directory_has_its_own(fresh_stack) -> None:
    stacks = [fresh_stack(start=False) for _ in range(3)]
    for stack in stacks:
        Project(stack, "shop")
    assert len({check_key(stack) for stack in stacks}) == 3


def rewrite(change):
    return lambda file: file.write_bytes(change(file.read_bytes()))


# What may have become of the file, and a word of the mending.
DAMAGES = {
    "0640": (lambda file: file.chmod(0o640), "chmod 600"),
    "0604": (lambda file: file.chmod(0o604), "chmod 600"),
    "0610": (lambda file: file.chmod(0o610), "chmod 600"),
    "0777": (lambda file: file.chmod(0o777), "chmod 600"),
    "missing": (lambda file: file.unlink(), "restore|copy"),
    "empty": (rewrite(lambda _: b""), "restore|copy"),
    "short": (rewrite(lambda old: old[:40] + b"\n"), "restore|copy"),
    "one-digit-short": (rewrite(lambda old: old[1:]), "restore|copy"),
    "long": (rewrite(lambda old: b"0" + old), "restore|copy"),
    "two-lines": (rewrite(lambda old: old + old), "restore|copy"),
    "not-hexadecimal": (rewrite(lambda old: b"g" + old[1:]), "restore|copy"),
    "binary": (rewrite(lambda _: os.urandom(32)), "restore|copy"),
    "nul": (rewrite(lambda old: b"\0" + old[1:]), "restore|copy"),
    "of-other-data": (rewrite(lambda old: old.translate(bytes.maketrans(DIGITS, DIGITS[::-1]))), "restore|copy"),
    "folder": (lambda file: (file.unlink(), file.mkdir(mode=0o700)), "restore|copy"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged(fresh_stack, damage: str) -> None:
    """Server and commands refuse with one line that names file and mending, and change nothing; mended, all go on."""
    stack = fresh_stack(start=False, **GUARDED)
    project = Project(stack)
    good, token = check_key(stack), project.token("write")
    harm, mending = DAMAGES[damage]
    harm(key(stack))
    before = key(stack).stat().st_mode if key(stack).exists() else None
    status, errors = refused(stack)
    lines = {"serve": (status, one_line(errors))}
    for words in COMMANDS:
        outcome = command(stack, *[project.name if word == "NAME" else word for word in words])
        lines[words[0]] = (outcome.status, outcome.refusal)
    for name, (status, line) in lines.items():
        assert status == 78 and str(key(stack)) in line, (name, status, line)
        assert re.search(mending, line, re.IGNORECASE), (name, line)
        assert good[:16].decode() not in line, name
    assert (key(stack).stat().st_mode if key(stack).exists() else None) == before, "nobody mends it in silence"
    if damage == "folder":
        key(stack).rmdir()
    key(stack).write_bytes(good)
    key(stack).chmod(0o600)
    command(stack, "check-token", token).expect(0)
    stack.start()
    with closing(Client(stack)) as http:
        assert ask(http, "PUT", project.url("a"), token, type="text/plain").status == 201
        assert ask(http, "PUT", "/v1/another/stream/a", token, type="text/plain").status == 401


def test_missing_without_secrets(fresh_stack) -> None:
    """Nothing is lost then: a new one is made."""
    stack = fresh_stack(**GUARDED)
    old = check_key(stack)
    stack.stop()
    key(stack).unlink()
    stack.start()
    assert check_key(stack) != old
    stack.stop()
    key(stack).unlink()
    project = Project(stack)
    check_key(stack)
    command(stack, "check-token", project.token()).expect(0)


def test_a_link_to_the_key(fresh_stack) -> None:
    """As secret mounts have it: what it leads to is judged."""
    stack = fresh_stack(start=False)
    project = Project(stack)
    elsewhere = stack.data_dir.with_name("mounted.key")
    key(stack).rename(elsewhere)
    key(stack).symlink_to(elsewhere)
    command(stack, "check-token", project.token()).expect(0)
    elsewhere.chmod(0o644)
    outcome = command(stack, "check-token", project.token()).expect(78)
    assert "chmod 600" in outcome.refusal, outcome.describe()


def test_backups_do_not_hold_it(fresh_stack) -> None:
    """Restored without it, the server says so; with a copy of it, the projects are there again."""
    stack = fresh_stack(start=False, **GUARDED)
    project = Project(stack)
    good = check_key(stack)
    backup, again = stack.data_dir.with_name("backup"), stack.data_dir.with_name("again")
    run("backup", backup, "--data-dir", stack.data_dir).expect(0)
    for file in [file for file in backup.rglob("*") if file.is_file()]:
        assert file.name != "secrets.key" and good[:-1] not in file.read_bytes(), file
    run("restore", backup, "--data-dir", again).expect(0)
    assert not (again / "secrets.key").exists()
    restored = fresh_stack(data_dir=again, start=False, **GUARDED)
    status, errors = refused(restored)
    assert status == 78 and str(again / "secrets.key") in one_line(errors), errors
    (again / "secrets.key").write_bytes(good)
    (again / "secrets.key").chmod(0o600)
    restored.start()
    with closing(Client(restored)) as http:
        assert ask(http, "PUT", project.url("a"), project.token("write"), type="text/plain").status == 201
