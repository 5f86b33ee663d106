"""Random operation sequences against the model: with time standing still, with time that goes by, and with kills."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from client import Client
from hooks import Hooks
from model_run import Run
from store import ask_store, wait_until

STEPS = int(os.environ.get("DS_MODEL_STEPS", "400"))


def go(run: Run, seed: int, steps: int = STEPS) -> None:
    for step in range(steps + 1):
        try:
            run.step() if step < steps else run.finish()
        except AssertionError as error:
            pytest.fail(f"seed {seed}, step {step} (DS_MODEL_SEED={seed} repeats it): {error}", pytrace=False)


def seed_of(round: int) -> int:
    return int(os.environ.get("DS_MODEL_SEED", "0")) or int(time.time() * 1000) % 1_000_000 * 10 + round


@pytest.mark.timeout(600)
@pytest.mark.parametrize("round", range(4))
def test_random_sequences(http: Client, round: int) -> None:
    seed = seed_of(round)
    go(Run(http, seed), seed)


def on_own_stack(fresh_stack, tmp_path: Path, round: int, interval: float, kills: bool, **settings: object) -> Run:
    hooks, seed = Hooks(tmp_path / "hooks"), seed_of(round)
    # Small segments, so that much of what is read is cold.
    stack = fresh_stack(**{"DS_SWEEP_INTERVAL": interval, "DS_SEGMENT_MAX_MESSAGES": 3} | hooks.settings | settings)
    with closing(Client(stack)) as http:
        run = Run(http, seed, hooks, interval, kills)
        # Where nothing has to be waited for, there is time for more.
        go(run, seed, STEPS if run.sweeps else STEPS * 5)
    questions = ("SELECT count(*) FROM record WHERE units > 0", "SELECT count(*) FROM purge WHERE stream > 0", "SELECT count(*) FROM producer")
    wait_until(stack, lambda: ask_store(stack, *questions) == [0, 0, 0], "nothing is left in the store")
    return run


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("interval", [0.1, 86_400], ids=["swept", "asked-for"])
def test_time_goes_by(fresh_stack, tmp_path: Path, workers: int, interval: float) -> None:
    """8.2, 8.3, 11.3 and 11.6 with a clock that the test moves; what has expired is swept, or found by who asks for it."""
    on_own_stack(fresh_stack, tmp_path, workers, interval, False, DS_WORKERS=workers)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
def test_kills_while_time_goes_by(fresh_stack, tmp_path: Path, workers: int) -> None:
    """kill -9 at named points: a request whose answer is lost has happened wholly or not at all."""
    run = on_own_stack(fresh_stack, tmp_path, workers, 0.1, True, DS_WORKERS=workers)
    print(f"{len(run.fired)} kills: {sorted(set(run.fired))}")
