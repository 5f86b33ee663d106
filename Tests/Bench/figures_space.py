"""What the data directory takes on the disk for each byte that was appended."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

from load import Load, drive, size
from processes import BenchError
from report import Row
from store import Store

if TYPE_CHECKING:
    from figures import Bench
    from stack import Stack

CONNECTIONS = 64
JSON = "application/json"
BATCH = 1_000
JSON_BYTES = 100
APPEND_BYTES = 1 << 10
# nginx's cache and its temporary files, and the log that has its size from the start, are no data.
NOT_DATA = ("nginx",)
NOT_COUNTED = ("hot.sqlite-wal",)
LONGEST_FILL = 300


def disk_space(bench: Bench) -> None:
    """Small JSON messages, then appends of bytes, each on a server of its own, once everything is at rest."""
    length = (32 if bench.options.quick else 512) << 20
    if (free := shutil.disk_usage(bench.folder).free) < 3 * length:
        raise BenchError(f"{bench.folder} has {size(free)} free and {size(3 * length)} are needed")
    for name, fill in (("JSON messages of 100 bytes", fill_json), ("appends of 1 KiB", fill_bytes)):
        with bench.stack("space", {}) as stack, Store(stack) as store:
            length_there = fill(stack, store, length, 10 if bench.options.quick else 100)
            if not store.settle():
                bench.tell("the database still changes its length")
            taken, parts = on_disk(stack.data)
            bench.tell(f"{size(length_there)} appended, {size(taken)} on the disk: "
                       + ", ".join(f"{size(bytes_)} {part}" for part, bytes_ in sorted(parts.items()))
                       + f"; {store.rotated():,} appends in {store.value('SELECT count(*) FROM segment'):,} segments, "
                       f"{store.value('PRAGMA freelist_count'):,} of {store.pages():,} pages free")
        bench.add(Row(f"disk space of {size(length)} of {name}", taken / length_there, "B/B", 1.0, 1.1, at_most=True))


def fill_json(stack: Stack, store: Store, length: int, streams: int) -> int:
    """Batches of messages, in turn to each stream, then single ones; the bytes of the messages, without commas."""
    paths = [stack.create(f"json-{number}", JSON) for number in range(streams)]
    message = b'"%s"' % (b"m" * (JSON_BYTES - 2))
    body = b"[" + b",".join([message] * BATCH) + b"]"
    batches = length // (BATCH * JSON_BYTES)
    for number in range(batches):
        stack.append(paths[number % streams], body, JSON)
    singles = append(stack, staggered(paths), JSON_BYTES, {"Content-Type": JSON})
    return appended(store, batches * BATCH + singles) * JSON_BYTES


def fill_bytes(stack: Stack, store: Store, length: int, streams: int) -> int:
    """Single appends, to all streams alike, then to some more than to others; their bytes."""
    paths = [stack.create(f"bytes-{number}") for number in range(streams)]
    done, begin = 0, time.monotonic()
    while done * APPEND_BYTES < length:
        if time.monotonic() > begin + LONGEST_FILL:
            raise BenchError(f"only {size(done * APPEND_BYTES)} were appended in {LONGEST_FILL} s")
        done += append(stack, paths, APPEND_BYTES)
    done += append(stack, staggered(paths), APPEND_BYTES)
    return appended(store, done * APPEND_BYTES)


def staggered(paths: list[str]) -> list[str]:
    """Each a little more often than the one before: as in life, some hot parts are nearly full and others empty."""
    return [path for number, path in enumerate(paths) for _ in range(number)]


def append(stack: Stack, paths: list[str], length: int, headers: dict[str, str] | None = None) -> int:
    """Two seconds of single appends: how many were acknowledged."""
    outcome = drive(stack.url, Load("POST", paths, CONNECTIONS, length, headers or {}), 2)
    if outcome.fault:
        raise BenchError(f"appends were answered with {outcome.fault}")
    return outcome.statuses["204"]


def appended(store: Store, acknowledged: int) -> int:
    """What is there: at the end of a run, some appends are stored whose answers came too late for it."""
    if (found := store.stored()) < acknowledged:
        raise BenchError(f"{found:,} of {acknowledged:,} acknowledged bytes or messages are there")
    return found


def on_disk(data: str) -> tuple[int, dict[str, int]]:
    """Bytes in use on the disk, blocks that are only begun included: their sum, and what each part takes."""
    parts: dict[str, int] = {}
    for folder, names, files in os.walk(data):
        if folder == data:
            names[:] = [name for name in names if name not in NOT_DATA]
        for name in files:
            if name not in NOT_COUNTED:
                part = "segments" if folder.startswith(os.path.join(data, "segments")) else name
                taken = os.lstat(os.path.join(folder, name)).st_blocks * 512
                if taken:
                    parts[part] = parts.get(part, 0) + taken
    return sum(parts.values()), parts
