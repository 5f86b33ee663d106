"""What is kept of a stream: the limits of retention, and the cuts, which the model learns from the store and judges.

When a cut happens is the server's own affair. So the model takes the earliest position from the store, checks that the
cut is legal, and from then on holds the server to it.
"""

from __future__ import annotations

import copy
import math
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from stack import Stack

if TYPE_CHECKING:
    from model import World
    from model_stream import Stream as ModelStream

KINDS = ("age", "bytes", "messages")
LARGEST = 9007199254740991
CUTTING = {"age": ["2000", "9000", "60000", "0"], "bytes": ["1", "8", "20", "60", "0"], "messages": ["1", "2", "4", "7", "0"]}
HARMLESS = {"age": ["0", "100000", str(LARGEST)], "bytes": ["0", "100000"], "messages": ["0", "5000", str(LARGEST)]}
ODD = ["-1", "+1", "07", "x", "1.5", "", str(LARGEST + 1)]


def numbers(given: dict[str, str]) -> dict[str, int] | None:
    """What headers say by kind, empty ones being absent; None when one is malformed."""
    said = {kind: text for kind, text in given.items() if text}
    if not all(re.fullmatch(r"0|[1-9][0-9]*", text, re.ASCII) and int(text) <= LARGEST for text in said.values()):
        return None
    return {kind: int(text) for kind, text in said.items()}


def some_limits(random: Random, cuts: bool) -> dict[str, str]:
    """Headers of a PUT, mostly none or one; without `cuts` such that never let anything go."""
    if random.random() < (0.35 if cuts else 0.55):
        return {}
    values = CUTTING if cuts else HARMLESS
    given = {kind: random.choice(values[kind]) for kind in random.sample(KINDS, random.choice([1, 1, 1, 2, 3]))}
    if random.random() < 0.06:
        given[random.choice(KINDS)] = random.choice(ODD)
    return given


class Kept:
    """The limits of one stream, and how much of it has gone."""

    def __init__(self, own: dict[str, int], source: Kept | None, base: int):
        self.own = own
        self.defaults: dict[str, int] = {}
        self.earliest = source.earliest if source else 0
        # Where each cut was, the beginning included.
        self.past = {self.earliest}
        # What was inherited goes as one piece.
        self.base = base
        # A time at which each unit was not there yet.
        self.since: list[float] = source.since[:base] if source else []
        # Id of the row, by which a fork made anew is told from the old one.
        self.row: int | None = None

    def note(self, units: int, time: float) -> None:
        """There are so many units now, the new ones since then."""
        self.since += [time] * (units - len(self.since))

    @property
    def limits(self) -> dict[str, int]:
        """The numbers that ask for something to stay."""
        return {kind: number for kind, number in ({**self.defaults, **self.own}).items() if number > 0}

    def shown(self, earliest: str) -> dict[str, str]:
        """The headers of HEAD."""
        told = {kind: number for kind, number in self.defaults.items() if number > 0} | self.own
        headers = {f"stream-retention-{kind}": str(number) for kind, number in told.items()}
        return headers | ({"stream-earliest-offset": earliest} if self.limits or self.earliest else {})

    def complaint(self, stream: ModelStream, place: int, now: float) -> str | None:
        """Why nothing but what is behind `place` must not be kept."""
        if not self.earliest < place <= len(stream.units):
            return f"went from {self.earliest} to {place} of {len(stream.units)}"
        if place < self.base or place not in {self.base, *stream.ends}:
            return f"{place} is no place to cut, but {self.base} or one of {stream.ends}"
        messages, _, most = stream.amount(place)
        kept = {"age": now - self.since[place - 1], "messages": messages, "bytes": most}
        if not any(kept[kind] >= limit for kind, limit in self.limits.items()):
            return f"a cut at {place} leaves {kept}, less than {self.limits} promise"
        return None


@dataclass
class Row:
    """What the store has of a stream."""

    id: int
    incarnation: int
    earliest: int
    own: dict[str, int]
    segments: list[tuple[int, int]] = field(default_factory=list)

    def surplus(self, stream: ModelStream) -> str | None:
        """What is wrong with the segments of a stream of which nothing moves, or what should have gone."""
        kept = stream.kept
        begin = max(self.earliest, kept.base)
        own = [(start, end) for start, end in self.segments if start >= begin]
        if own and [start for start, _ in own] != [begin, *(end for _, end in own[:-1])]:
            return f"the segments {self.segments} don't follow {begin}"
        if stream.forks == 0 and [end for _, end in self.segments if end <= self.earliest]:
            return f"the segments {self.segments} begin before {self.earliest}, and no fork needs them"
        if not own:
            return None
        # The next piece to go is what is inherited, or a segment.
        following = kept.base if self.earliest < kept.base else own[0][1]
        messages, least, _ = stream.amount(following, own[-1][1])
        if messages >= kept.limits.get("messages", math.inf) or least >= kept.limits.get("bytes", math.inf):
            return f"{kept.limits} let everything before {following} go: {self.segments}"
        return None


class Watch:
    """Looks into the store of a server for what was cut."""

    def __init__(self, stack: Stack):
        self.stack = stack
        self.full = int(stack.settings.get("DS_SEGMENT_MAX_MESSAGES", "1000"))

    @staticmethod
    def defaults(stack: Stack) -> dict[str, int]:
        """The server's own limits."""
        return {kind: int(stack.settings.get(f"DS_RETENTION_{kind.upper()}", "0")) for kind in KINDS}

    def open(self) -> closing[sqlite3.Connection]:
        path = f"file:{self.stack.data_dir}/hot.sqlite?mode=ro"
        return closing(sqlite3.connect(path, uri=True, timeout=5, isolation_level=None))

    def look(self) -> dict[str, Row]:
        """The rows by name, in one view."""
        with self.open() as store:
            store.execute("BEGIN")
            columns = "name, id, incarnation, earliest, retention_age, retention_bytes, retention_messages"
            rows: dict[str, Row] = {}
            for name, id, incarnation, earliest, *own in store.execute(f"SELECT {columns} FROM stream").fetchall():
                given = {kind: number for kind, number in zip(KINDS, own, strict=True) if number is not None}
                rows[name.partition("/")[2]] = Row(id, incarnation, earliest, given)
            by_id = {row.id: row for row in rows.values()}
            for id, start, end in store.execute("SELECT stream, start, end FROM segment ORDER BY stream, start"):
                if id in by_id:
                    by_id[id].segments.append((start, end))
        return rows

    @staticmethod
    def pairs(world: World, rows: dict[str, Row]) -> Iterator[tuple[ModelStream, Row]]:
        """The streams that can be read, each with its own row."""
        for name, stream in world.streams.items():
            row = rows.get(name)
            if row and not stream.gone and stream.incarnation and int(stream.incarnation) == row.incarnation:
                if stream.kept.row in (None, row.id):
                    yield stream, row

    def learn(self, world: World, now: float) -> list[str]:
        """Takes over what was cut; what is wrong about it."""
        complaints = []
        for stream, row in self.pairs(world, self.look()):
            kept = stream.kept
            if kept.row is None:
                kept.row = row.id
                if stream.source and row.earliest in stream.source.kept.past:
                    # The source was cut just before the fork was made, or just behind.
                    kept.earliest = row.earliest
            if row.earliest != kept.earliest:
                if complaint := kept.complaint(stream, row.earliest, now):
                    complaints.append(f"stream {row.id}: {complaint}")
                kept.earliest = row.earliest
            kept.past.add(row.earliest)
        return complaints

    def possible(self, world: World) -> list[World]:
        """The worlds that a request may have met: before, within and behind what was cut since the last look."""
        ways: dict[str, list[int]] = {}
        rows = self.look()
        for stream, row in self.pairs(world, rows):
            if row.earliest != stream.kept.earliest and stream.kept.row is not None:
                between = [place for place in stream.ends if stream.kept.earliest < place < row.earliest]
                name = next(name for name, found in world.streams.items() if found is stream)
                ways[name] = [stream.kept.earliest, *between, row.earliest]
        if not ways:
            return [world]
        worlds = [copy.deepcopy(world) for _ in range(max(len(places) for places in ways.values()))]
        for step, one in enumerate(worlds):
            for name, places in ways.items():
                one.streams[name].kept.earliest = places[min(step, len(places) - 1)]
        return worlds

    def moving(self, now: float) -> dict[str, int] | None:
        """What is still on its way that may cut something; None when there is nothing."""
        question = """
            SELECT (SELECT count(*) FROM rotation), (SELECT count(*) FROM purge WHERE stream > 0),
                (SELECT total(max(1, ifnull(length(boundaries), 0) / 4)) FROM record
                 WHERE id > (SELECT indexed_through FROM log_state)) >= ?,
                (SELECT count(*) FROM stream WHERE retention_due <= ?)
            """
        with self.open() as store:
            found = store.execute(question, (self.full, int(now * 1000))).fetchone()
        return dict(zip(("rotation", "purge", "index", "due"), found, strict=True)) if any(found) else None

    def unrest(self, world: World, now: float, strict: bool) -> object:
        """What is on its way; with `strict`, if there is nothing, what should have been cut. Else None."""
        if (moving := self.moving(now)) or not strict:
            return moving
        return [text for stream, row in self.pairs(world, self.look()) if (text := row.surplus(stream))] or None
