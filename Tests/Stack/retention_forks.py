"""What tests of retention and forks share: servers with small segments, forks of logs, and files that go."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

from client import Client
from hooks import Hooks
from retention import Log, select
from stack import Stack
from store import segment_files, wait_until

Server = Callable[..., tuple[Stack, Hooks, Client]]


def servers(fresh_stack: Callable[..., Stack], folder: Path) -> Iterator[Server]:
    """Makes a stack with segments of two parts, and a clock to move: files go five seconds after the last reader."""
    clients = []

    def make(**settings: object) -> tuple[Stack, Hooks, Client]:
        hooks = Hooks(folder / "hooks")
        stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2, **hooks.settings, **settings)
        clients.append(Client(stack))
        return stack, hooks, clients[0]

    yield make
    for client in clients:
        client.close()


def fork(source: Log, path: str, parts: int | None = None, **extra: str) -> Log:
    """A fork behind so many parts of its source, by default all."""
    made = copy.copy(source)
    made.path, made.parts = path, source.parts[:parts]
    made.inherited = len(made.parts)
    token = {} if parts is None else {"at": source.token(parts)}
    created = source.http.fork(path, source.path, **token, **extra)
    assert created.offset == made.token()
    return made


def pieces(stack: Stack, log: Log) -> list[tuple[int, int]]:
    """Beginning and end, in parts, of each file of a stream's own part."""
    (id,) = select(stack, "SELECT id FROM stream WHERE name = ?", f"_default/{log.path}")[0]
    places = [tuple(int(place) for place in file.name.split("-")[1:]) for file in segment_files(stack, id)]
    return sorted((start // log.place(1), end // log.place(1)) for start, end in places)


def wait_files(stack: Stack, hooks: Hooks, holds: Callable[[], bool], what: str) -> None:
    """Time goes by meanwhile."""
    wait_until(stack, lambda: hooks.advance(1) or holds(), what)
