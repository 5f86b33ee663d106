"""Looking into the hot log of a running stack, to see what its chores are at."""

import os
import sqlite3
import time

from processes import BenchError

# What of a deleted stream is purged: everything.
DELETED = 2**63 - 1


class Store:
    """A read-only connection. Each look is a transaction of its own, so no checkpoint waits for it."""

    def __init__(self, stack):
        path = os.path.join(stack.data, "hot.sqlite")
        try:
            self.connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=5)
        except sqlite3.Error as error:
            raise BenchError(f"{path}: {error}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def value(self, query, *parameters):
        """The first column of the first row, or None."""
        try:
            row = self.connection.execute(query, parameters).fetchone()
        except sqlite3.Error as error:
            raise BenchError(f"{query}: {error}") from None
        return row[0] if row else None

    def backlog(self):
        """Streams that are deleted and not yet purged, or expired and still there, and files that are to go."""
        return (self.value("SELECT count(*) FROM purge WHERE below = ?", DELETED)
                + self.value("SELECT count(*) FROM stream WHERE deadline <= ?", time.time() * 1000)
                + self.value("SELECT count(*) FROM garbage"))

    def has_backlog(self):
        """Whether there is any; this costs the same however many there are."""
        return (self.value("SELECT 1 FROM purge WHERE below = ? LIMIT 1", DELETED) is not None
                or self.value("SELECT 1 FROM stream WHERE deadline <= ? LIMIT 1", time.time() * 1000) is not None
                or self.value("SELECT 1 FROM garbage LIMIT 1") is not None)

    def wait_for_rotation(self, seconds=120):
        """Until what was written has moved into segments as far as it will, and left the hot log."""
        deadline, quiet = time.monotonic() + seconds, 0
        while quiet < 5:
            if time.monotonic() > deadline:
                raise BenchError(f"segments were still written or merged after {seconds} s")
            busy = any(self.value(f"SELECT 1 FROM {table} LIMIT 1") is not None
                       for table in ("rotation", "purge", "garbage"))
            quiet = 0 if busy else quiet + 1
            time.sleep(0.2)

    def settle(self, seconds=400, shrinking=120):
        """Until rotation is over, and the database keeps its length: the space of what has moved is given back.
        Whether it does so after `shrinking` seconds more."""
        self.wait_for_rotation(seconds)
        deadline = time.monotonic() + shrinking
        pages, since = self.pages(), time.monotonic()
        # Scattered free pages are looked at once a second, and twice before everything is written anew.
        while time.monotonic() < since + 5:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
            if (now := self.pages()) != pages:
                pages, since = now, time.monotonic()
        return True

    def stored(self):
        """Units of all streams, none of which is a fork: bytes, or messages of JSON streams."""
        # A record whose content a segment has taken over may be there still.
        return self.value("""
            SELECT (SELECT coalesce(sum(end - start), 0) FROM segment)
                 + (SELECT coalesce(sum(units), 0) FROM record WHERE position >= coalesce(
                    (SELECT end FROM segment WHERE segment.stream = record.stream ORDER BY start DESC LIMIT 1), 0))""")

    def rotated(self):
        """Messages (appends of a byte stream) that segments hold."""
        return self.value("SELECT coalesce(sum(appends), 0) FROM segment")

    def pages(self):
        """The length of the database in pages; it shrinks while space is given back."""
        return self.value("PRAGMA page_count")


class Cleaning:
    """Whether the stack still purges, or gives back the space of what it has purged."""

    # How long the database may keep its length, or grow by appends, between two steps of giving space back.
    PATIENCE = 0.2

    def __init__(self, store):
        self.store, self.lowest, self.seen = store, store.pages(), time.monotonic()

    def goes_on(self):
        """One look."""
        pages = self.store.pages()
        if self.store.has_backlog() or pages < self.lowest:
            self.seen = time.monotonic()
        self.lowest = min(pages, self.lowest)
        return self.idle < self.PATIENCE

    @property
    def idle(self):
        """Seconds since something was seen to be done."""
        return time.monotonic() - self.seen
