"""What tokens cost, and whether the list of a project's streams costs the same however many there are.

A server that asks for tokens (project-jwt) runs beside one that asks for nothing, with the same settings otherwise, and
both get the same requests in turn; only the token is one header more. All belong to the project `_default`, so that the
URLs are the same too.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Iterator

from figures_scale import beside, check, create
from load import Load, size
from processes import BenchError, output_of
from stack import Stack

if TYPE_CHECKING:
    from figures import Bench

CONNECTIONS = 64
APPEND_BYTES = 256
STREAMS = 100
READERS = 32
# Segments would take over what is to come out of the cache.
PIECES = {"DS_SEGMENT_MAX_BYTES": "1GiB", "DS_READ_CHUNK_BYTES": str(64 * 1024)}
PIECE = 64 * 1024
PROJECT = "_default"
# Longer than any benchmark.
TOKEN_SECONDS = 24 * 3600
LISTED = 1000


class Client(Stack):
    """A running stack for one that sends the same headers with each request."""

    def __init__(self, stack: Stack, headers: dict[str, str]):
        super().__init__(stack.port, stack.data, stack.pid)
        self.headers = headers

    def expect(self, status: int, method: str, path: str, body: bytes | None = None,
               headers: dict[str, str] | None = None) -> tuple[dict[str, str], bytes]:
        """One request that must be answered with this status."""
        return super().expect(status, method, path, body, {**(headers or {}), **self.headers})

    def load(self, method: str, paths: list[str], connections: int, body_bytes: int = 0,
             headers: dict[str, str] | None = None) -> Load:
        """The same for wrk."""
        return Load(method, paths, connections, body_bytes, {**(headers or {}), **self.headers})


def append_with_token(bench: Bench) -> None:
    """Durable appends by a token that may write."""
    with servers(bench, {}) as clients:
        sides = []
        for client in clients:
            paths = [client.create(f"append-{number}") for number in range(STREAMS)]
            sides.append((client, client.load("POST", paths, CONNECTIONS, APPEND_BYTES)))
        name = f"append with a token, {STREAMS} streams, {CONNECTIONS} connections"
        outcomes = beside(bench, name, sides, 0.9)
        check(bench, clients, outcomes, [0, 0], APPEND_BYTES)


def hit_with_token(bench: Bench) -> None:
    """Pieces out of nginx's cache, which are the same bytes for both; the smaller, the more a verdict weighs."""
    with servers(bench, PIECES) as clients:
        for length in (1024, PIECE):
            targets = [store_piece(client, length) for client in clients]
            sides = [(client, client.load("GET", [target], READERS)) for client, target in zip(clients, targets)]
            before = list(map(cache_state, clients, targets))
            beside(bench, f"HIT with a token, {size(length)} piece", sides, 0.6)
            after = list(map(cache_state, clients, targets))
            if {*before, *after} != {"HIT"}:
                bench.fail_last(f"X-Cache was {before} before and {after} after")


def not_modified_with_token(bench: Bench) -> None:
    """Reads at the tail by one who knows of it, which the pool answers each time."""
    with servers(bench, {}) as clients:
        asked = []
        for client in clients:
            stream = client.create("unchanged")
            client.append(stream, b"u" * APPEND_BYTES)
            target = f"{stream}?offset={tail(client, stream)}"
            asked.append((client, target, {"If-None-Match": client.read(target)[0]["etag"]}))
        # wrk counts only errors among the answers to GET, so these say what the others were.
        before = [not_modified(*each) for each in asked]
        beside(bench, "304 with a token",
               [(client, client.load("GET", [target], READERS, headers=headers)) for client, target, headers in asked],
               0.6)
        after = [not_modified(*each) for each in asked]
        if "HIT" in before + after:
            bench.fail_last(f"X-Cache was {before} before and {after} after")


def list_many_streams(bench: Bench) -> None:
    """A page from the middle of a million streams beside one of a project that holds the same thousand alone."""
    many = 50_000 if bench.options.quick else 1_000_000
    target = f"/v1/{PROJECT}/streams?limit={LISTED}&after=s-{many // 2}"
    with bench.stack("few", {}) as few_stack, bench.stack("many", {}) as many_stack:
        create(bench, many_stack, many)
        paths = listed(many_stack, target)
        for path in paths:
            few_stack.create(path)
        if len(paths) != LISTED or listed(few_stack, target) != paths:
            raise BenchError(f"{target} does not list the same {LISTED:,} streams on both servers")
        load = Load("GET", [target], READERS)
        beside(bench, f"list {LISTED:,} of {many:,} streams", [(many_stack, load), (few_stack, load)], 0.9)


@contextlib.contextmanager
def servers(bench: Bench, settings: dict[str, str]) -> Iterator[list[Client]]:
    """A server that asks for tokens, for one who has one that may write, and a server that asks for nothing."""
    # Before the server starts: one that runs would notice the project only after a moment.
    data = os.path.join(bench.folder, "guarded", "data")
    os.makedirs(os.path.dirname(data), mode=0o755, exist_ok=True)
    command(bench, data, "create-project", PROJECT)
    token = command(bench, data, "token", PROJECT, "--scope", "write", "--expires-in", str(TOKEN_SECONDS))["token"]
    asking = {**settings, "DS_AUTH": "project-jwt"}
    with bench.stack("guarded", asking) as guarded, bench.stack("open", settings) as unguarded:
        # Otherwise there is nothing to measure.
        guarded.expect(401, "GET", f"/v1/{PROJECT}/streams")
        yield [Client(guarded, {"Authorization": f"Bearer {token}"}), Client(unguarded, {})]


def command(bench: Bench, data: str, *arguments: str) -> dict[str, str]:
    """What a command on a data directory says."""
    program = os.path.join(bench.binaries, "durable-streams")
    status, out, err = output_of([program, *arguments, "--data-dir", data, "--json"], 30)
    if status != 0:
        raise BenchError(f"{arguments[0]} ended with status {status}: {err.strip()}")
    return json.loads(out)


def store_piece(client: Client, length: int) -> str:
    """Make a stream; the target of a piece of `length` bytes of it that nginx may keep."""
    stream = client.create(f"hit-{length}")
    # The piece after the first: one from the start is cached briefly only. It ends where an append does not fit.
    client.append(stream, b"l" * PIECE)
    target = f"{stream}?offset={tail(client, stream)}"
    client.append(stream, b"h" * length)
    client.append(stream, b"n" * PIECE)
    if client.read(target)[1] != b"h" * length:
        raise BenchError(f"GET {target} does not give the {size(length)} that were appended there")
    return target


def cache_state(client: Client, target: str) -> str:
    """What X-Cache says of one more read, the second of two."""
    client.read(target)
    return client.read(target)[0].get("x-cache", "absent")


def not_modified(client: Client, target: str, headers: dict[str, str]) -> str:
    """What X-Cache says of an answer that has to be a 304."""
    return client.expect(304, "GET", target, None, headers)[0].get("x-cache", "absent")


def tail(client: Client, stream: str) -> str:
    """The offset of a stream's tail."""
    return client.expect(200, "HEAD", stream)[0]["stream-next-offset"]


def listed(stack: Stack, target: str) -> list[str]:
    """The paths of a page of the list."""
    return [stream["path"] for stream in json.loads(stack.expect(200, "GET", target)[1])["streams"]]
