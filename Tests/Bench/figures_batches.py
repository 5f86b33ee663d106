"""JSON batches beside the bare disk: the same bytes written and synced to a file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from figures_appends import JSON
from load import Load, Outcome, drive, in_turn
from processes import BenchError
from report import Row

if TYPE_CHECKING:
    from baseline import Baseline
    from figures import Bench
    from stack import Stack

MESSAGES = 1000
# Of each message, with the comma behind it.
MESSAGE_BYTES = 100
STREAMS = 16
CONNECTIONS = 16
# Messages a second, or as much of what the disk takes, whichever is more.
FEWEST, SHARE = 500_000, 0.3


def batch() -> bytes:
    """A body: an array of a thousand events that differ."""
    events = []
    for number in range(MESSAGES):
        event = {"id": f"{number:08}", "kind": "order.updated", "at": "2026-01-01T00:00:00Z", "note": ""}
        event["note"] = "n" * (MESSAGE_BYTES - 1 - len(json.dumps(event, separators=(",", ":"))))
        events.append(event)
    return json.dumps(events, separators=(",", ":")).encode()


def json_batches(bench: Bench, stack: Stack, _baseline: Baseline) -> None:
    """Batches of 1,000 messages a POST, in messages a second."""
    body = batch()
    path = os.path.join(bench.folder, "batch.json")
    with open(path, "wb") as file:
        file.write(body)
    paths = [stack.create(f"batch-{number}", "application/json") for number in range(STREAMS)]
    load = Load("POST", paths, CONNECTIONS, headers=JSON, body_file=path)
    mine, theirs = in_turn([lambda seconds: drive(stack.url, load, seconds), file_writer(bench, body)],
                           bench.rounds, bench.seconds, stack.rest)
    stored, acknowledged = sum(map(stack.position, paths)), mine.statuses.get("204", 0) * MESSAGES
    fault = mine.fault
    if stored < acknowledged or stored % MESSAGES:
        fault = f"{stored} messages are there, {acknowledged} were acknowledged, {MESSAGES} at a time"
    disk = theirs.rate * MESSAGES
    bench.add(Row(f"JSON batches of {MESSAGES:,} messages of {MESSAGE_BYTES} bytes", mine.rate * MESSAGES, "msg/s", disk,
                  max(FEWEST / disk, SHARE), fault, beside="the same to a file, fdatasync each",
                  note=f"the reach is {FEWEST:,} messages/s or {SHARE} of the baseline, whichever is more"))


def file_writer(bench: Bench, body: bytes) -> Callable[[int], Outcome]:
    """Writes bodies to the end of a new file, one after the other, each synced before the next."""

    def side(seconds: int) -> Outcome:
        path = os.path.join(bench.folder, "batches")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
        try:
            count, begin = 0, time.monotonic()
            while (passed := time.monotonic() - begin) < seconds:
                if os.write(descriptor, body) != len(body):
                    raise BenchError(f"{path}: a short write")
                os.fdatasync(descriptor)
                count += 1
        finally:
            os.close(descriptor)
            os.unlink(path)
        return Outcome(count, count / passed)

    return side
