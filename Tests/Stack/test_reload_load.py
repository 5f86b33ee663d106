"""Reloads under load: not one request fails, no message is lost or repeated, and readers come back one after the other."""

from __future__ import annotations

import time

import pytest

from reload_load import Load
from reloads import densest, processes, reload, settled

SPREAD = 3


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_five_reloads(fresh_stack, workers):
    stack = fresh_stack(
        DS_WORKERS=workers, DS_RELOAD_SPREAD=SPREAD, DS_READ_CHUNK_BYTES=65536, DS_LONG_POLL_TIMEOUT=2, DS_SSE_LIFETIME=120
    )
    before = settled(stack, workers)
    with Load(stack) as load:
        load.pass_requests()
        for _ in range(5):
            reload(stack)
            load.pass_requests()
        if workers == 1:
            # To the last connection that nginx keeps with an old live process.
            load.run_for(lambda: len(stack.processes("durable-streams-live")) == 1, 40)
        longest = max(load.appenders, key=lambda worker: worker.longest)
    print(f"longest append: {longest.longest * 1000:.0f} ms; appends: {sum(worker.done for worker in load.appenders)}")
    assert longest.longest < 2, f"{longest.name} waited {longest.longest:.3f} s"
    after = processes(stack)
    assert len(after["worker"]) == workers
    if workers == 1:
        settled(stack)
    assert not set(sum(before.values(), [])) & set(sum(after.values(), []))


@pytest.mark.slow
def test_readers_come_back_over_the_spread(fresh_stack):
    stack = fresh_stack(DS_RELOAD_SPREAD=SPREAD, DS_READ_CHUNK_BYTES=65536, DS_SSE_LIFETIME=120)
    with Load(stack, appenders=2, askers=1, long_pollers=1, readers=18) as load:
        load.run_for(lambda: all(reader.seen for reader in load.readers))
        began = time.monotonic()
        reload(stack)
        load.run_for(lambda: all(reader.reconnected for reader in load.readers), SPREAD + 10)
        times = [moment for reader in load.readers for moment in reader.reconnected if moment >= began]
    assert densest(times) < len(times) * 2 / 3, [round(moment - began, 2) for moment in sorted(times)]
    assert max(times) - began < SPREAD + 3
