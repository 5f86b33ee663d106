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
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from client import Client, at, expect, producer
from commands import CUT_OFF, Verified, back_up, check_clean, environment, run, verify, xxh128
from conftest import DEFAULTS
from stack import Stack, remove_tree, temporary_root
from test_backup import Load, Place, place  # noqa: F401 (a fixture)
from test_deletion import ask_store, wait_until
from test_io_errors import faults_library  # noqa: F401 (a fixture)
from test_segments import wait_for_rotation

pytestmark = pytest.mark.timeout(120)
# Three appends of `PIECE` bytes fill a segment, and two such segments are too large to be merged.
LIMITS = {"DS_SEGMENT_MAX_MESSAGES": 1_000, "DS_SEGMENT_MAX_BYTES": "1KiB", "DS_SWEEP_INTERVAL": 86_400}
PIECE = 300
APPENDS = 16


@pytest.mark.slow
def test_under_load(place: Place) -> None:  # noqa: F811
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
def test_after_a_kill(place: Place) -> None:  # noqa: F811
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


@dataclass
class Ground:
    """Data of a stopped server, and a backup of it, to be damaged."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def backup(self) -> Path:
        return self.root / "backup"

    def change(self, *statements: str, folder: Path | None = None) -> None:
        """SQL on the hot log, with functions for blobs."""
        with closing(sqlite3.connect((folder or self.data) / "hot.sqlite", isolation_level=None)) as store:
            store.create_function("xxh128", 1, xxh128)
            store.create_function("plus", 2, lambda blob, more: blob + more)
            store.create_function("bend", 3, lambda blob, n, by: blob[:n] + bytes([blob[n] + by]) + blob[n + 1 :])
            for statement in statements:
                store.execute(statement)

    def ask(self, question: str) -> list[tuple]:
        with closing(sqlite3.connect(f"file:{self.data}/hot.sqlite?mode=ro", uri=True)) as store:
            return store.execute(question).fetchall()

    def id(self, name: str) -> int:
        ((id,),) = self.ask(f"SELECT id FROM stream WHERE name = '_default/{name}'")
        return id

    def ranges(self, name: str) -> list[tuple[int, int]]:
        return self.ask(f"SELECT start, end FROM segment WHERE stream = {self.id(name)} ORDER BY start")

    def file(self, stream: int, start: int, end: int, folder: Path | None = None) -> Path:
        path = (folder or self.data) / f"segments/{stream & 0xFF:02x}/{stream}-{start}-{end}"
        path.parent.mkdir(exist_ok=True)
        return path

    def first(self, name: str, folder: Path | None = None) -> Path:
        """The first segment of a stream."""
        return self.file(self.id(name), *self.ranges(name)[0], folder)


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


# Ways of damaging files.


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[9] ^= 1
    path.write_bytes(content)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


# And rows.

Apply = Callable[[Ground], None]


def sql(*statements: str) -> Apply:
    return lambda ground: ground.change(*statements)


def stream(name: str, change: str) -> Apply:
    return sql(f"UPDATE stream SET {change} WHERE name = '_default/{name}'")


def without(name: str, number: int) -> Apply:
    """A segment is gone, file and row."""

    def apply(ground: Ground) -> None:
        start, end = ground.ranges(name)[number]
        ground.file(ground.id(name), start, end).unlink()
        ground.change(f"DELETE FROM segment WHERE stream = {ground.id(name)} AND start = {start}")

    return apply


def third_moved(by: int) -> Apply:
    """The third segment of `letters` begins a byte later or earlier, and is right in itself."""

    def apply(ground: Ground) -> None:
        id, (_, (first, _), (start, end), *_) = ground.id("letters"), ground.ranges("letters")
        path, before = ground.file(id, start, end), ground.file(id, first, start).read_bytes()
        content = path.read_bytes()[1:] if by > 0 else before[-1:] + path.read_bytes()
        path.unlink()
        ground.file(id, start + by, end).write_bytes(content)
        ground.change(
            f"UPDATE segment SET start = {start + by}, bytes = {len(content)}, checksum = xxh128(x'{content.hex()}'), "
            f"ends = bend(ends, 0, {-by}) WHERE stream = {id} AND start = {start}"
        )

    return apply


def ends(name: str, value: str) -> Apply:
    """Other message ends for the first segment of a stream."""
    where = "stream = (SELECT id FROM stream WHERE name = '_default/" + name + "') AND start = 0"
    return sql(f"UPDATE segment SET ends = {value} WHERE {where}")


def hot(name: str, change: str | None, which: str = "max") -> Apply:
    """Changes or removes the first or last hot record of a stream, and what the index has of it."""

    def apply(ground: Ground) -> None:
        id = ground.id(name)
        cold = f"(SELECT max(end) FROM segment WHERE stream = {id})"
        hot_ones = f"FROM record WHERE stream = {id} AND position >= {cold}"
        ((record, count),) = ground.ask(f"SELECT {which}(id), count(*) {hot_ones}")
        assert count >= 3
        if change is None:
            ground.change(*(f"DELETE FROM {table} WHERE {record} = {key}" for table, key in
                            (("record_index", "record"), ("record", "id"))))  # fmt: skip
            return
        ground.change(
            f"UPDATE record SET {change} WHERE id = {record}",
            "UPDATE record_index SET position = r.position, end = r.position + r.units "
            f"FROM record AS r WHERE r.id = {record} AND record = {record}",
        )

    return apply


def stray(name: str, folder: str = "data") -> Apply:
    """A file below segments."""

    def apply(ground: Ground) -> None:
        path = ground.root / folder / "segments" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"abc")

    return apply


def digest(ground: Ground) -> Path:
    return ground.backup / "hot.sqlite.xxh128"


RECORD_OF_NOBODY = "INSERT INTO record (stream, position, units, payload) VALUES (999, 0, 3, x'616263')"
PRODUCER_OF_NOBODY = "INSERT INTO producer (stream, id, epoch, sequence, used_at) VALUES (999, 'p', 0, 0, 0)"
SEGMENT_OF_NOBODY = (
    "INSERT INTO segment (stream, start, end, bytes, checksum, tier, appends, newest, ends) "
    "SELECT 999, 0, 3, 3, xxh128(x'616263'), tier, 1, newest, x'03' FROM segment LIMIT 1"
)
PURGE_OF_NOBODY = "INSERT INTO purge (through, stream, below) SELECT max(id), 999, 9223372036854775807 FROM record"


def segment_of_nobody(ground: Ground) -> None:
    stray("e7/999-0-3")(ground)
    ground.change(SEGMENT_OF_NOBODY)


def without_source(ground: Ground) -> None:
    """As if a purge had taken a deleted source while its fork is there."""
    id = ground.id("source")
    for range in ground.ranges("source"):
        ground.file(id, *range).unlink()
    tables = ("record_index", "record", "segment", "hot", "rotation", "producer")
    ground.change(*(f"DELETE FROM {table} WHERE stream = {id}" for table in tables))
    ground.change(f"DELETE FROM stream WHERE id = {id}")


def index_without_row(ground: Ground) -> None:
    """A row that one of SQLite's indexes lacks."""
    name, writable = "stream_by_deadline", "PRAGMA writable_schema = ON"
    ((page, text),) = ground.ask(f"SELECT rootpage, sql FROM sqlite_schema WHERE name = '{name}'")
    ground.change(writable, f"DELETE FROM sqlite_schema WHERE name = '{name}'")
    ground.change("UPDATE stream SET deadline = deadline + 1 WHERE deadline IS NOT NULL")
    ground.change(writable, f"INSERT INTO sqlite_schema VALUES ('index', '{name}', 'stream', {page}, '{text}')")


def page_of_noise(ground: Ground) -> None:
    """Instead of the root of the records."""
    ((size,),) = ground.ask("PRAGMA page_size")
    ((root,),) = ground.ask("SELECT rootpage FROM sqlite_schema WHERE name = 'record'")
    with (ground.data / "hot.sqlite").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)


# Damage; the stream or file that it concerns; what the finding says. Behind a "+" there may be more about the same.

NO_STREAM = "no stream|not there|nothing removes"
UNFIT = "ends? |boundar"
GAP, OVERLAP = "gap|missing|begins", "overlap|twice"
ORPHAN = "orphan|no row|no stream|nobody|unknown|not listed|no segment"

FILES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "missing": (Path.unlink, "letters", "missing"),
    "truncated": (shorten, "letters", "truncated|shorter|bytes"),
    "empty": (empty, "lists", "truncated|shorter|bytes|empty"),
    "longer": (lengthen, "lists", "longer|bytes"),
    "flipped": (flip, "letters", "checksum"),
    "is-a-folder": (put_folder, "lists", "not a file|no file"),
    "is-a-pipe": (put_pipe, "letters", "not a file|no file"),
    "of-a-deleted-source": (Path.unlink, "source", "missing"),
}
ROWS: dict[str, tuple[Apply, str, str]] = {
    "ends-missing": (ends("letters", "x''"), "letters", UNFIT),
    "ends-beyond-the-file": (ends("letters", "bend(ends, 0, 1)"), "letters", UNFIT),
    "ends-cut-off": (ends("letters", "bend(ends, length(ends) - 1, 128)"), "letters", UNFIT),
    "ends-too-few": (ends("lists", "substr(ends, 1, length(ends) - 1)"), "lists", UNFIT),
    "ends-too-many": (ends("lists", "plus(ends, x'01')"), "lists", UNFIT),
    "ends-inside-a-message": (ends("lists", "bend(bend(ends, 0, 1), 1, -1)"), "lists", UNFIT),
    "gap-of-a-segment": (without("letters", 2), "letters", GAP),
    "gap-at-the-start": (without("lists", 0), "lists", GAP),
    "gap-of-a-byte": (third_moved(1), "letters", GAP),
    "overlap-of-a-byte": (third_moved(-1), "letters", OVERLAP),
    "gap-before-the-records": (hot("letters", None, "min"), "letters", GAP),
    "gap-between-records": (hot("letters", "position = position + 1"), "letters", GAP),
    "overlap-of-records": (hot("lists", "position = position - 1"), "lists", OVERLAP),
    "boundaries-too-few": (hot("lists", "boundaries = substr(boundaries, 5)"), "lists", UNFIT),
    "boundaries-out-of-order": (hot("lists", "boundaries = bend(boundaries, 4, -4)"), "lists", UNFIT),
    "boundaries-beyond": (hot("lists", "boundaries = bend(boundaries, 8, 1)"), "lists", UNFIT),
    "boundaries-odd": (hot("lists", "boundaries = plus(boundaries, x'00')"), "lists", UNFIT),
    "boundaries-inside-a-message": (hot("lists", "boundaries = bend(boundaries, 0, -1)"), "lists", UNFIT),
    "more-units-than-bytes": (hot("letters", "units = units + 1"), "letters", f"{UNFIT}|bytes"),
    "records-of-nobody": (sql(RECORD_OF_NOBODY), "999", NO_STREAM),
    "producers-of-nobody": (sql(PRODUCER_OF_NOBODY), "999", NO_STREAM),
    "segment-of-nobody": (segment_of_nobody, "999", NO_STREAM),
    "too-many-forks": (stream("letters", "forks = forks + 1"), "letters", "fork"),
    "too-few-forks": (stream("letters", "forks = 0"), "letters", "fork"),
    "fork-without-lineage": (stream("branch", "lineage = NULL"), "branch", "inherit"),
    "fork-without-source": (without_source, "heir", "+inherit"),
    "index-of-sqlite": (index_without_row, "hot.sqlite", "index|integrity"),
    "page-of-sqlite": (page_of_noise, "hot.sqlite", "+integrity|malformed|page|tree"),
}
STRAYS = ["e7/999-0-3", "01/1-0-3", "01/1-0-3.part", "01/rubbish", "rubbish", "01/it's not; one"]
BACKUPS: dict[str, tuple[Apply, str, str]] = {
    "cut-off": (lambda ground: (ground.backup / "hot.sqlite.part").write_bytes(b"x"), "BACKUP", CUT_OFF),
    "never-complete": (lambda ground: (ground.backup / "hot.sqlite").unlink(), "BACKUP", CUT_OFF),
    "other-digest": (lambda ground: digest(ground).write_text(f"{'0' * 32}  hot.sqlite\n"), "hot.sqlite", "checksum"),
    "no-digest": (lambda ground: digest(ground).unlink(), "hot.sqlite", "checksum|missing"),
    "other-content": (
        lambda ground: ground.change("UPDATE stream SET created_at = 1", folder=ground.backup), "hot.sqlite", "checksum"
    ),
}


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
    return rf"{name}|stream {ground.id(name)}\b|/{ground.id(name)}-[0-9]+-[0-9]+" if name.isalpha() else re.escape(name)


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


def test_young_files_beside_a_running_server(place: Place, faults_library: Path) -> None:  # noqa: F811
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
