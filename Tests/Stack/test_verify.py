"""`verify`: nothing is found where nothing is wrong; each kind of damage is found as what it is, with what mends it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from client import Client, at, expect, producer
from commands import CUT_OFF, Verified, back_up, check_clean, environment, run, verify
from damage import (
    BACKUPS,
    FILES,
    ORPHAN,
    PRODUCER_OF_NOBODY,
    PURGE_OF_NOBODY,
    RECORD_OF_NOBODY,
    ROWS,
    SEGMENT_OF_NOBODY,
    STRAYS,
    Ground,
    flip,
    stray,
)
from load import Load
from place import Place
from stack import DEFAULTS, Stack, remove_tree, temporary_root
from store import ask_store, wait_for_rotation, wait_until

pytestmark = pytest.mark.timeout(120)
# Three appends of `PIECE` bytes fill a segment, and two such segments are too large to be merged.
LIMITS = {"DS_SEGMENT_MAX_MESSAGES": 1_000, "DS_SEGMENT_MAX_BYTES": "1KiB", "DS_SWEEP_INTERVAL": 86_400}
PIECE = 300
APPENDS = 16


@pytest.mark.slow
def test_under_load(place: Place) -> None:
    """Writers write, segments come, are merged and go: none of it is a finding."""
    stack = place.start(DS_WORKERS=2).stack
    with Load(stack, place.hooks) as load:
        for _ in range(6):
            load.wait_for_progress(by=5)
            verified = check_clean(data=place.data, **place.hooks.settings)
            print(verified.streams, verified.segments, verified.records)
    load.check()
    check_clean(data=place.data)
    place.http.close()
    stack.stop()
    check_clean(data=place.data)


@pytest.mark.slow
def test_after_a_kill(place: Place) -> None:
    """What only the write-ahead log has is seen; files that a killed process has left half-done are told, with `rm`."""
    place.start()
    with Load(place.stack, place.hooks) as load:
        load.wait_for_progress()
        place.stack.remember()
        place.kill()
    found = verify(data=place.data).findings
    assert all(finding.command.startswith("rm ") for finding in found), found
    place.stack.start()
    check_clean(data=place.data)


@pytest.fixture(scope="module")
def template() -> Iterator[Ground]:
    """Byte and JSON streams with segments and hot records, forks, one of them of a deleted source; stopped."""
    root = temporary_root()
    ground = Ground(root)
    stack = Stack(ground.data, **{**DEFAULTS, **LIMITS})
    try:
        stack.start()
        with closing(Client(stack)) as http:
            write(stack, http)
        back_up(ground.data, ground.backup)
        stack.stop()
        yield ground
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


def write(stack: Stack, http: Client) -> None:
    for name in ("letters", "source"):
        http.create(name, "text/plain")
        for n in range(APPENDS):
            http.append(name, "text/plain", f"{n:03d}".ljust(PIECE, "."), **producer("p", 0, n))
    http.create("lists", "application/json")
    for n in range(APPENDS):
        batch = [{"n": n, "text": "x" * (80 - len(str(n)))} for _ in range(3)]
        http.append("lists", "application/json", json.dumps(batch, separators=(",", ":")))
    http.create("closed", "text/plain", "a" * 5_000, Stream_Closed="true")
    http.create("dated", "text/plain", "x", Stream_TTL="100000")
    three = "SELECT count(*) FROM (SELECT stream FROM segment GROUP BY stream HAVING count(*) >= 3)"
    closed = "SELECT count(*) FROM segment WHERE end = 5000"
    wait_until(stack, lambda: ask_store(stack, three, closed) == [3, 1], "they have moved")
    http.fork("branch", "letters", None, "own", at=at(http.head("letters").offset, PIECE + 7))
    http.fork("heir", "source", None, "own", at=at(http.head("source").offset, APPENDS * PIECE - 9))
    expect(http.delete("source"), 204)
    http.create("gone", "text/plain", "x" * 5_000, Stream_Closed="true")
    expect(http.delete("gone"), 204)
    for n in range(3):
        http.append("letters", "text/plain", f"{n}" * 20)
        http.append("lists", "application/json", "[10,20,30]")
    wait_for_rotation(stack)


@pytest.fixture
def ground(template: Ground) -> Iterator[Ground]:
    root = temporary_root()
    try:
        for name in ("data", "backup"):
            shutil.copytree(template.root / name, root / name, ignore=shutil.ignore_patterns("nginx", "run"))
        yield Ground(root)
    finally:
        remove_tree(root)


def listing(top: Path) -> dict[str, tuple[int, int, bytes]]:
    files = [file for file in top.rglob("*") if file.is_file()]
    return {str(file): (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def test_whole(ground: Ground) -> None:
    """The numbers are those of the tables; a backup is not changed by looking, nor is anything left beside it."""
    tables = [ground.ask(f"SELECT count(*) FROM {table}")[0][0] for table in ("stream", "segment")]
    kinds = ("true", "stream > 0", "units > 0")
    records = {ground.ask(f"SELECT count(*) FROM record WHERE {kind}")[0][0] for kind in kinds}
    before = listing(ground.backup)
    for verified in (check_clean(data=ground.data), check_clean(ground.backup)):
        assert [verified.streams, verified.segments] == tables
    assert check_clean(data=ground.data).records in records
    assert listing(ground.backup) == before
    outcome = run("verify", DS_DATA_DIR=ground.data).expect(0)
    assert outcome.out.endswith(": no findings\n") and len(outcome.out.splitlines()) == 1


def test_no_data_directory(ground: Ground) -> None:
    outcome = run("verify", "--data-dir", ground.root / "none")
    assert outcome.status not in (0, 1) and str(ground.root / "none") in outcome.refusal


def check_findings(verified: Verified, concerns: str, what: str) -> None:
    print(verified)
    several, what = what.startswith("+"), what.removeprefix("+")
    assert several or len(verified.findings) == 1, f"expected one:\n{verified}"
    is_told = any(re.search(what, finding.what, re.IGNORECASE) for finding in verified.findings)
    assert is_told, f"expected {what!r}:\n{verified}"
    for finding in verified.findings:
        assert re.search(concerns, f"{finding.subject}: {finding.what}"), f"expected {concerns!r}: {finding}"


def mend(ground: Ground, verified: Verified) -> bool:
    """Does what the findings say, where a shell can; BACKUP stands for the folder of a backup."""
    told = [finding.command.removeprefix("stop the server; ") for finding in verified.findings]
    commands = [command.replace("BACKUP", str(ground.backup)) for command in told]
    if not all(re.match("(rm|cp|sqlite3|durable-streams backup) ", command) for command in commands):
        return False
    for command in commands:
        if command.startswith("sqlite3 "):
            # By Python's own, since the program may not be there.
            _, path, statement = shlex.split(command)
            with closing(sqlite3.connect(path, isolation_level=None)) as store:
                store.execute(statement)
        else:
            variables = environment({"DS_DATA_DIR": ground.data})
            subprocess.run(["sh", "-ec", command], env=variables, check=True, timeout=10)
    return True


def mentions(ground: Ground, name: str) -> str:
    """The ways in which a finding may name a stream: itself, its id, one of its segments."""
    return rf"{name}|stream (number )?{ground.id(name)}\b|/{ground.id(name)}-[0-9]+-[0-9]+" if name.isalpha() else re.escape(name)


@pytest.mark.parametrize("where", ["data", "backup"])
@pytest.mark.parametrize("damage", FILES)
def test_segment(ground: Ground, damage: str, where: str) -> None:
    spoil, name, what = FILES[damage]
    folder = ground.root / where
    path = ground.first(name, folder)
    spoil(path)
    arguments = {"folder": folder} if where == "backup" else {"data": folder}
    verified = verify(**arguments)
    check_findings(verified, re.escape(str(path)), what)
    if mend(ground, verified):
        check_clean(**arguments)


@pytest.mark.parametrize("damage", ROWS)
def test_row(ground: Ground, damage: str) -> None:
    apply, name, what = ROWS[damage]
    concerns = mentions(ground, name)
    apply(ground)
    verified = verify(data=ground.data)
    check_findings(verified, concerns, what)
    if mend(ground, verified):
        check_clean(data=ground.data)


@pytest.mark.parametrize("where", ["data", "backup"])
@pytest.mark.parametrize("name", STRAYS)
def test_orphan(ground: Ground, name: str, where: str) -> None:
    stray(name, where)(ground)
    folder = ground.root / where
    arguments = {"folder": folder} if where == "backup" else {"data": folder}
    verified = verify(**arguments)
    check_findings(verified, re.escape(str(folder / "segments" / name)), ORPHAN)
    assert mend(ground, verified)
    check_clean(**arguments)
    assert shlex.split(verified.findings[0].command) == ["rm", str(folder / "segments" / name)]


@pytest.mark.parametrize("damage", BACKUPS)
def test_backup(ground: Ground, damage: str) -> None:
    apply, name, what = BACKUPS[damage]
    apply(ground)
    verified = verify(ground.backup)
    check_findings(verified, re.escape(name.replace("BACKUP", str(ground.backup))), what)
    if what == CUT_OFF:
        assert shlex.split(verified.findings[0].command)[:3] == ["durable-streams", "backup", str(ground.backup)]
    if mend(ground, verified):
        check_clean(ground.backup)
    else:
        assert what != CUT_OFF


def test_several(ground: Ground) -> None:
    """Each is told by itself, and hides nothing of the others."""
    flip(ground.first("letters"))
    ground.first("lists").unlink()
    stray("01/rubbish")(ground)
    ground.change(RECORD_OF_NOBODY, "UPDATE stream SET forks = 7 WHERE name = '_default/letters'")
    assert len(verify(data=ground.data).findings) == 5


@pytest.mark.parametrize(
    "statements",
    [
        (RECORD_OF_NOBODY, PURGE_OF_NOBODY),
        (PRODUCER_OF_NOBODY, PURGE_OF_NOBODY),
        (SEGMENT_OF_NOBODY, PURGE_OF_NOBODY),
        ("INSERT INTO garbage (key, after) VALUES ('e7/999-0-3', 0)",),
        ("INSERT INTO garbage (key, after) VALUES ('e7/999-3-6', 0)",),
        ("INSERT INTO record (stream, position, units, payload) VALUES (0, 0, 0, x'')",),
    ],
    ids=["records", "producers", "segment", "file", "removed-file", "tombstone"],
)
def test_what_waits_for_its_removal(ground: Ground, statements: tuple[str, ...]) -> None:
    """What chores will remove by themselves is no finding."""
    if any("999-0-3" in statement or statement == SEGMENT_OF_NOBODY for statement in statements):
        stray("e7/999-0-3")(ground)
    ground.change(*statements)
    check_clean(data=ground.data)


def test_young_files_beside_a_running_server(place: Place, faults_library: Path) -> None:
    """A file younger than a minute may be a segment that gets its row in a moment; later it is an orphan."""
    place.start().fill("a", 1)
    path = place.segments()[0].with_name("1-800-899")
    path.write_bytes(b"abc")
    check_clean(data=place.data)
    later = {"LD_PRELOAD": faults_library, "FAULTS_LATER": 90}
    os.utime(path, (time.time() - 90,) * 2)
    assert [finding.subject for finding in verify(data=place.data, **later).findings] == [str(path)]
    place.http.close()
    place.stack.stop()
    assert [finding.subject for finding in verify(data=place.data).findings] == [str(path)]
