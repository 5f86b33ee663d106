"""Data of a stopped server, ways of damaging it, and what `verify` says of each."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from commands import CUT_OFF, xxh128


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
        ground.change(
            f"DELETE FROM record WHERE id = {record}" if change is None else f"UPDATE record SET {change} WHERE id = {record}",
            # What the index says of the stream's records is as they are, in a row for each.
            f"DELETE FROM record_index WHERE stream = {id}",
            "INSERT INTO record_index (stream, position, end, record) SELECT stream, position, position + units, id "
            f"FROM record, log_state WHERE stream = {id} AND id <= indexed_through",
        )

    return apply


def index(name: str, change: str) -> Apply:
    """A row of the index that names several records."""

    def apply(ground: Ground) -> None:
        several = f"stream = {ground.id(name)} AND length(further) >= 32"
        assert ground.ask(f"SELECT 1 FROM record_index WHERE {several}"), "no such row"
        ground.change(f"UPDATE record_index SET {change} WHERE {several}")

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
    "index-without-the-last": (index("letters", "further = substr(further, 1, length(further) - 16)"), "letters", "+index"),
    "index-that-leads-elsewhere": (index("lists", "further = bend(further, 8, 1)"), "lists", "+index|lost|gap|position"),
    "index-that-leads-nowhere": (index("letters", "further = bend(further, 15, 1)"), "letters", "+index|lost|gap"),
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
