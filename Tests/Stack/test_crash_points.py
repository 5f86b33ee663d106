"""kill -9 at named points: what was not committed has not happened, what was committed has, and the counts are right."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from client import Client, expect, instant, producer
from hooks import Hooks
from stack import Stack
from store import ask_store, records, wait_until
from test_crash import RETRY
from test_deletion import HOT, again, fill
from wire import ConnectionClosed

pytestmark = pytest.mark.timeout(120)
Seen = dict[str, bytes | int]


@dataclass
class Ground:
    """A stack with hooks, and a client."""

    make: Callable[..., Stack]
    hooks: Hooks
    stack: Stack = field(init=False)
    http: Client | None = field(init=False, default=None)

    def start(self, **settings: object) -> tuple[Hooks, Stack, Client]:
        self.stack = self.make(**{"DS_SWEEP_INTERVAL": 86_400} | self.hooks.settings | settings)
        self.http = Client(self.stack)
        return self.hooks, self.stack, self.http

    def lose(self, point: str, ask: Callable) -> None:
        """A request whose answer is lost, since the server ended at the point."""
        try:
            answer = ask()
            assert answer.status in RETRY, answer.describe()
        except ConnectionClosed:
            self.http.close()
        assert not self.hooks.armed(point), f"nobody came by {point}"

    def see(self, names: list[str]) -> Seen:
        """Content, or the status of who has none."""
        answers = {name: again(self.http, lambda name=name: self.http.get(name)) for name in names}
        return {name: answer.body if answer.status == 200 else answer.status for name, answer in answers.items()}

    def end_empty(self, names: list[str]) -> None:
        """Everything is deleted: the names are free, and nothing is left in the store."""
        for name in names:
            assert again(self.http, lambda name=name: self.http.delete(name)).status in (204, 404, 410)
        assert self.see(names) == dict.fromkeys(names, 404)
        self.wait_empty()

    def wait_empty(self, streams: int = 0, content: int = 0) -> None:
        questions = ("SELECT count(*) FROM stream", "SELECT count(*) FROM purge WHERE stream > 0", "SELECT count(*) FROM producer")
        wait_until(self.stack, lambda: [*ask_store(self.stack, *questions), records(self.stack)] == [streams, 0, 0, content], "the store is empty")


@pytest.fixture
def ground(fresh_stack, tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(fresh_stack, Hooks(tmp_path / "hooks"))
    yield ground
    if ground.http:
        ground.http.close()


def make(http: Client, streams: list[str], gone: str = "", **extra: str) -> None:
    """Streams `a`, or forks `b<a`, whose own content is their name; then some are deleted."""
    for name, _, source in (stream.partition("<") for stream in streams):
        http.fork(name, source, None, name, **extra) if source else http.create(name, "text/plain", name, **extra)
    for name in gone:
        expect(http.delete(name), 204)


@dataclass
class Scene:
    """Streams, some of them deleted; a request; what is there before and behind it; and what it is answered again."""

    streams: list[str]
    gone: str
    request: tuple[str, ...]
    before: Seen
    behind: Seen
    again: int

    def ask(self, http: Client):
        method, name, *source = self.request
        if method == "DELETE":
            return http.delete(name)
        return http.put_fork(name, source[0], None, name) if source else http.put(name, "text/plain", name)


CHAIN = ["a", "b<a", "c<b", "d<c", "e<d"]
SCENES = {
    "create": Scene(["a"], "", ("PUT", "n"), {"a": b"a", "n": 404}, {"a": b"a", "n": b"n"}, 200),
    "fork": Scene(["a", "b<a"], "", ("PUT", "n", "b"), {"a": b"a", "b": b"ab", "n": 404}, {"a": b"a", "b": b"ab", "n": b"abn"}, 200),
    "fork-in-gone-chain": Scene(["a", "b<a"], "a", ("PUT", "n", "b"), {"a": 410, "b": b"ab", "n": 404}, {"a": 410, "b": b"ab", "n": b"abn"}, 200),
    "delete": Scene(["a"], "", ("DELETE", "a"), {"a": b"a"}, {"a": 404}, 404),
    "delete-source": Scene(["a", "b<a", "c<a"], "", ("DELETE", "a"), {"a": b"a", "b": b"ab", "c": b"ac"}, {"a": 410, "b": b"ab", "c": b"ac"}, 410),
    "delete-middle": Scene(["a", "b<a", "c<b"], "", ("DELETE", "b"), {"a": b"a", "b": b"ab", "c": b"abc"}, {"a": b"a", "b": 410, "c": b"abc"}, 410),
    "delete-fork": Scene(["a", "b<a"], "", ("DELETE", "b"), {"a": b"a", "b": b"ab"}, {"a": b"a", "b": 404}, 404),
    "cascade": Scene(
        CHAIN, "abcd", ("DELETE", "e"),
        {"a": 410, "b": 410, "c": 410, "d": 410, "e": b"abcde"}, dict.fromkeys("abcde", 404), 404),
    "cascade-to-a-branch": Scene(
        [*CHAIN, "x<b"], "bcd", ("DELETE", "e"),
        {"a": b"a", "b": 410, "c": 410, "d": 410, "e": b"abcde", "x": b"abx"},
        {"a": b"a", "b": 410, "c": 404, "d": 404, "e": 404, "x": b"abx"}, 404),
}  # fmt: skip
KILLS = [
    *[("create", point, 1) for point in ("create.submitted", "create.committed")],
    *[(scene, point, 1) for scene in ("fork", "fork-in-gone-chain")
      for point in ("create.submitted", "fork.resolved", "fork.inserted", "fork.counted", "create.committed")],
    *[("delete", point, 1) for point in ("cascade.removed", "delete.committed")],
    *[(scene, point, 1) for scene in ("delete-source", "delete-middle") for point in ("delete.soft", "delete.committed")],
    *[("delete-fork", point, 1) for point in ("cascade.removed", "cascade.released", "delete.committed")],
    *[("cascade", point, n) for point, count in (("cascade.removed", 5), ("cascade.released", 4)) for n in range(1, count + 1)],
    *[("cascade-to-a-branch", point, n) for point, n in (("cascade.removed", 3), ("cascade.released", 1), ("cascade.released", 3))],
    *[(scene, "delete.committed", 1) for scene in ("cascade", "cascade-to-a-branch")],
]  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("scene", "point", "passes"), KILLS, ids=lambda value: str(value))
def test_kill_at_a_point(ground: Ground, scene: str, point: str, passes: int, workers: int) -> None:
    hooks, stack, http = ground.start(DS_WORKERS=workers)
    play = SCENES[scene]
    names = list(play.behind)
    make(http, play.streams, play.gone)
    assert ground.see(list(play.before)) == play.before
    counts = "SELECT total(forks) FROM stream", "SELECT count(*) FROM stream WHERE source IS NOT NULL"
    hooks.arm(point, passes=passes)
    ground.lose(point, lambda: play.ask(http))
    happened = point.endswith(".committed")
    assert ground.see(names) == (play.behind if happened else play.before)
    repeated = again(http, lambda: play.ask(http))
    assert repeated.status == (play.again if happened else 204 if play.request[0] == "DELETE" else 201), repeated.describe()
    assert ground.see(names) == play.behind
    assert again(http, lambda: play.ask(http)).status == play.again
    forks, links = ask_store(stack, *counts)
    assert forks == links, "the references"
    # What is left goes on as if nothing had been.
    for name, content in play.behind.items():
        if isinstance(content, bytes):
            expect(http.post(name, "text/plain", "!", **producer("p", 0, 0)), 200)
            assert http.get(name, "more").body == content + b"!"
            http.fork(f"{name}-fork", name, None, "?")
            expect(http.delete(name), 204)
            expect(http.head(name), 410)
            expect(http.put_fork(f"{name}-late", name), 409)
            assert http.get(f"{name}-fork").body == content + b"!?"
    ground.end_empty([*names, *[f"{name}-fork" for name in names]])


@pytest.mark.parametrize("by", ["asked-for", "swept"])
@pytest.mark.parametrize(
    ("point", "passes"), [("cascade.removed", 1), ("cascade.removed", 3), ("cascade.released", 1), ("cascade.released", 2), ("delete.soft", 2)]
)
def test_kill_while_a_chain_expires(ground: Ground, point: str, passes: int, by: str) -> None:
    """8.3: all have expired at once; whoever looks at the last one, or the sweep, ends them."""
    hooks, _, http = ground.start(**{"DS_SWEEP_INTERVAL": 0.1} if by == "swept" else {})
    http.create("kept", "text/plain", "kept")
    make(http, CHAIN, Stream_Expires_At=instant(600))
    # Forks first, so that all that remain wait for the last one; or sources first, each soft-deleted in its turn.
    order = "abcde" if point == "delete.soft" else "e"
    hooks.arm(point, passes=passes)
    hooks.advance(700)
    if by == "swept":
        hooks.wait_fired(point)
    else:
        for name in order:
            if not hooks.armed(point):
                break
            try:
                assert http.head(name).status in (404, 410, *RETRY)
            except ConnectionClosed:
                http.close()
        assert not hooks.armed(point)
    if by == "asked-for":
        # The successor's first sweep may have been quicker.
        assert {ground.see([name])[name] for name in "abcd"} <= {404, 410}
    assert again(http, lambda: http.head("e")).status == 404
    wait_until(ground.stack, lambda: ground.see(list("abcde")) == dict.fromkeys("abcde", 404), "all have ended")
    assert ground.see(["kept"]) == {"kept": b"kept"}
    for name in "abcde":
        http.create(name, "text/plain", "new")
    ground.end_empty([*"abcde", "kept"])


@pytest.mark.parametrize("passes", [1, 4, 9])
def test_kill_in_a_sweep(ground: Ground, passes: int) -> None:
    """Ten streams expire at once, two of them with forks that stay."""
    hooks, stack, http = ground.start(DS_SWEEP_INTERVAL=0.1)
    names = [f"x{n}" for n in range(10)]
    make(http, names, Stream_TTL="600")
    far = instant(90_000)
    for name in ("x3", "x8"):
        http.fork(f"{name}-fork", name, None, "f", Stream_Expires_At=far)
    hooks.arm("sweep.ended", passes=passes)
    hooks.advance(700)
    hooks.wait_fired("sweep.ended")
    wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM stream") == [4], "the sweep is done")
    expected = dict.fromkeys(names, 404) | {"x3": 410, "x8": 410, "x3-fork": b"x3f", "x8-fork": b"x8f"}
    assert ground.see(list(expected)) == expected
    hooks.advance(90_000)
    ground.wait_empty()
    assert ground.see(list(expected)) == dict.fromkeys(expected, 404)


@pytest.mark.parametrize(
    ("point", "passes"), [("purge.records", 1), ("purge.records", 3), ("purge.finished", 1), ("purge.finished", 3), ("purge.committed", 2)]
)
def test_kill_in_a_purge(ground: Ground, point: str, passes: int) -> None:
    """Whoever comes next removes the rest, and nothing of the others."""
    hooks, stack, http = ground.start()
    kept = b""
    make(http, ["kept"])
    for name in ("one", "two", "three"):
        fill(stack, name, 400, b"x")
        http.append(name, "application/octet-stream", "p", **producer("p", 0, 0))
        http.append("kept", "text/plain", name)
        kept += name.encode()
    http.fork("fork", "kept", None, "fork")
    hooks.arm(point, passes=passes)
    for name in ("one", "two", "three"):
        assert again(http, lambda name=name: http.delete(name)).status in (204, 404)
    hooks.wait_fired(point)
    wait_until(stack, stack.ready, "ready again")
    expected = {"one": 404, "two": 404, "three": 404, "kept": b"kept" + kept, "fork": b"kept" + kept + b"fork"}
    assert ground.see(list(expected)) == expected
    ground.wait_empty(streams=2, content=5)
    http.create("one", "text/plain", "new")
    assert ground.see(["one", *list(expected)[1:]]) == expected | {"one": b"new"}
    ground.end_empty(list(expected))


@pytest.mark.slow
@pytest.mark.parametrize(("point", "passes"), [("vacuum.step", 1), ("vacuum.step", 2), ("vacuum.committed", 1), ("vacuum.committed", 2)])
def test_kill_while_space_returns(ground: Ground, point: str, passes: int) -> None:
    """The file is whole and gets short all the same."""
    hooks, stack, http = ground.start(**HOT)
    fill(stack, "big", 24, os.urandom(3_000_000))
    content = os.urandom(2_000_000)
    http.create("behind", "application/octet-stream", content)
    http.fork("fork", "behind", None, "fork")
    hooks.arm(point, passes=passes)
    expect(http.delete("big"), 204)
    hooks.wait_fired(point)
    database = stack.data_dir / "hot.sqlite"
    assert again(http, lambda: http.get("behind")).body == content[: 1 << 20]
    wait_until(stack, lambda: database.stat().st_size < 24_000_000, "the file is short")
    wait_until(stack, stack.ready, "ready again")
    assert http.read_all("behind")[0] == content and http.read_all("fork")[0] == content + b"fork"
    ground.end_empty(["behind", "fork", "big"])
    http.close()
    stack.stop()
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
