"""The time of a random run, and its kills: what the server does by itself, and when the model is sure of it."""

from __future__ import annotations

import math
import random
import sqlite3
import time
from contextlib import closing

from client import Client, unique
from hooks import Hooks
from model import World
from model_retention import KINDS, Watch
from model_stream import Stream
from store import ask_store, wait_until

# Streams whose end is closer than this many seconds, or is not certainly past, are left alone.
MARGIN = 15.0
POINTS = [
    "create.submitted", "create.committed", "fork.resolved", "fork.inserted", "fork.counted", "delete.soft", "delete.committed",
    "cascade.removed", "cascade.released", "sweep.ended", "purge.records", "purge.finished", "purge.committed",
    "segment.stored", "segment.recorded", "segment.committed", "retention.recorded", "retention.recorded", "retention.committed",
]  # fmt: skip


class Clock:
    """A server, the model of it, and the time of both."""

    def __init__(self, client: Client, seed: int, hooks: Hooks | None = None, interval: float = 0, kills: bool = False):
        self.client, self.random, self.log = client, random.Random(seed), []
        self.hooks, self.interval, self.kills = hooks, interval, kills
        self.sweeps = interval < 1
        # The server's next look at everything is between these two.
        self.next_sweep: tuple[float, float] | None = None
        self.point: str | None = None
        self.fired: list[str] = []
        self.uncertain = False
        self.names = [unique(f"model-{seed}") for _ in range(7)]
        self.world = World()
        # Only on a stack of its own cuts can be told from the store; elsewhere nothing is ever cut.
        self.watch = Watch(client.stack) if hooks else None
        self.world.defaults = Watch.defaults(client.stack)
        self.etags: dict[str, str] = {}
        self.old_tokens: list[str] = []
        self.counter = 0

    # Time

    def now(self) -> float:
        return self.hooks.now() if self.hooks else time.time()

    def ends(self) -> list[Stream]:
        """The streams that end by time and have not ended yet."""
        return [stream for stream in self.world.streams.values() if stream.latest < math.inf and not stream.gone]

    def advance(self) -> None:
        """By seconds to days, or to just before or behind the end of a stream."""
        pick, now, ends = self.random, self.now(), sorted(self.ends(), key=lambda stream: stream.latest)
        ways = {
            pick.uniform(1, 300): 4,
            pick.uniform(300, 7000): 3,
            pick.uniform(1, 9) * 86_400: 1 if self.sweeps else 0,
            **{stream.earliest - now - MARGIN - pick.uniform(1, 20): 4 for stream in ends},
            # Mostly behind the first ends: what comes later lives on.
            **{stream.latest - now + pick.uniform(0.1, 5): 6 / (n + 1) for n, stream in enumerate(ends)},
        }
        ways = {seconds: weight for seconds, weight in ways.items() if seconds > 0}
        self.move(pick.choices([*ways], [*ways.values()])[0])

    def avoid_doubt(self) -> None:
        """Go on until no stream is close to its end, or between its exact deadline and the stored one."""
        while doubtful := [s.latest for s in self.ends() if s.earliest - MARGIN < self.now() < s.latest]:
            self.move(max(doubtful) - self.now() + 0.1)
        if not self.sweeps and not self.next_sweep:
            # After the start it has looked or is about to: only behind the second time it is known when.
            self.next_sweep = (0, self.now() + self.interval)
            self.move(0)
            self.next_sweep = (0, self.next_sweep[1])
        if not self.sweeps and self.now() > self.next_sweep[0] - MARGIN:
            self.move(0)

    def move(self, seconds: float) -> None:
        assert self.hooks
        self.settle()
        then = self.now() + seconds
        sweeps = self.next_sweep and then > self.next_sweep[0] - MARGIN
        if sweeps:
            then = max(then, self.next_sweep[1] + 1)
            # Its vanishing shows that the server has looked.
            self.client.create(f"{self.names[0]}-expired", "text/plain", Stream_TTL="0")
        while doubtful := [s.latest for s in self.ends() if s.earliest - MARGIN < then < s.latest]:
            then = max(doubtful) + 0.1
        self.log.append(f"the clock goes on by {then - self.now():.3f} s")
        self.hooks.advance(then - self.now())
        if sweeps or self.sweeps:
            self.settle(swept=True)
        if sweeps:
            # The purge has its turn behind the sweep, whose end decides when the next one is due.
            wait_until(self.client.stack, lambda: ask_store(self.client.stack, "SELECT count(*) FROM purge WHERE stream > 0") == [0], "the purge is done")
            self.next_sweep = (then + self.interval, self.now() + self.interval)
        if any("age" in stream.kept.limits for stream in self.world.streams.values()):
            self.quiet()

    def learn(self) -> None:
        """Take over what was cut since the last look."""
        if self.watch:
            complaints, history = self.watch.learn(self.world, self.now()), "\n".join(self.log[-400:])
            assert not complaints, f"\n{history}\nillegal cuts: {complaints}"

    def quiet(self) -> None:
        """Wait until nothing is on its way that could cut something; then as little is kept as may be."""
        assert self.watch
        deadline = time.monotonic() + 20
        while (unrest := self.restless()) and time.monotonic() < deadline:
            time.sleep(0.01)
        history = "\n".join(self.log[-400:])
        assert not unrest, f"\n{history}\nretention does not come to rest: {unrest}"
        self.learn()

    def restless(self) -> object:
        """Behind a kill the next look is only due with the next segment: then more may be kept."""
        assert self.watch
        self.learn()
        return self.watch.unrest(self.world, self.now(), strict=not self.kills)

    def let_age(self) -> None:
        """However idle, what has an age ends up empty: first its hot part moves, then everything goes."""
        ages = [stream.kept.limits["age"] for stream in self.world.streams.values() if "age" in stream.kept.limits]
        for _ in range(3 if ages else 0):
            self.move(max(ages) * 1.25 + 2)
        left = {
            name: stream.kept.earliest
            for name, stream in self.world.streams.items()
            if "age" in stream.kept.limits and not stream.gone and stream.kept.earliest < len(stream.units)
        }
        assert not left, "\n".join([*self.log[-400:], f"still kept from: {left}"])

    def settle(self, swept: bool = False) -> None:
        """Wait until the store holds what the model does: streams, counts, and deadlines neither early nor too late."""
        if not self.hooks:
            return
        if swept or self.sweeps:
            self.world.moment = (self.now(), self.now())
            self.world.sweep()
        deadline = time.monotonic() + 20
        while (difference := self.difference()) and time.monotonic() < deadline:
            time.sleep(0.005)
        history = "\n".join(self.log[-400:])
        assert not difference, f"\n{history}\nthe store differs: {difference}"
        self.uncertain = False
        for stream in self.ends():
            stream.floor = stream.earliest

    def difference(self) -> dict[str, object]:
        with closing(sqlite3.connect(f"file:{self.client.stack.data_dir}/hot.sqlite?mode=ro", uri=True, timeout=5)) as store:
            rows = store.execute("SELECT name, forks, soft_deleted, closed, deadline, retention_age, retention_bytes, retention_messages FROM stream").fetchall()
        stored = {name.partition("/")[2]: tuple(rest) for name, *rest in rows}
        found: dict[str, object] = {}
        for name in stored.keys() | self.world.streams.keys():
            stream, row = self.world.streams.get(name), stored.get(name)
            if not stream or not row or row[:3] != (stream.forks, stream.gone, stream.closed):
                found[name] = (row, stream and (stream.forks, stream.gone, stream.closed))
            elif row[4:] != tuple(stream.kept.own.get(kind) for kind in KINDS):
                found[name] = (row, stream.kept.own)
            elif stream.latest == math.inf or stream.gone:
                if row[3] is not None and stream.latest == math.inf:
                    found[name] = row
            else:
                if self.has_fired():
                    # A touch that nobody waited for may be lost.
                    stream.earliest = min(stream.earliest, max(stream.floor, row[3] / 1000))
                if not stream.earliest - 0.002 <= row[3] / 1000 <= stream.latest + 0.002:
                    found[name] = (row, stream.earliest, stream.latest)
        return found

    # Kills

    def arm(self) -> None:
        assert self.hooks
        if self.point:
            self.has_fired()
            self.hooks.disarm(self.point)
        self.point = self.random.choice(POINTS)
        self.hooks.arm(self.point, passes=self.random.choice([1, 1, 2, 3]))

    def has_fired(self) -> bool:
        """Whether a point has ended the server since the last look at the store."""
        if self.point and self.hooks and not self.hooks.armed(self.point):
            self.log.append(f"killed at {self.point}")
            self.fired.append(self.point)
            self.point = None
            self.uncertain = True
        return self.uncertain
