"""`durable-streams status`: what runs, how it is, and an exit status for programs; and the history that it reads."""

from __future__ import annotations

import json
import os
import signal
import time

from admin import Admin
from client import Client, expect
from commands import run
from hooks import Hooks
from stack import Stack, temporary_root, remove_tree

PATIENCE = 15.0


def status(stack: Stack, within: float = PATIENCE, until=lambda found: True) -> dict:
    """The answer in JSON, as soon as it is as wanted."""
    deadline = time.monotonic() + within
    while True:
        outcome = run("status", "--json", "--data-dir", stack.data_dir)
        if outcome.status in (0, 1):
            found = json.loads(outcome.out)
            assert outcome.status == (1 if found["problems"] else 0), outcome.describe()
            if until(found):
                return found
        assert time.monotonic() < deadline, outcome.describe()
        time.sleep(0.05)


def test_all_is_well(fresh_stack) -> None:
    """Each process with its figures, for people and for programs."""
    stack = fresh_stack(DS_WORKERS=2)
    found = status(stack)
    assert found["ready"] is True and found["problems"] == []
    seen = {(process["role"], process["number"]): process for process in found["processes"]}
    assert list(seen) == [("supervisor", 0), ("worker", 1), ("worker", 2), ("live", 0), ("nginx", 0)]
    assert {process["pid"] for process in seen.values()} >= set(stack.processes("durable-streams-worker"))
    for (role, _), process in seen.items():
        assert process["state"] == "running" and process["resident_bytes"] > 1 << 20 and process["open_descriptors"] > 3
        assert 0 <= process["uptime_seconds"] < 120 and process["cpu_seconds"] >= 0
        assert process["version"] == (None if role == "nginx" else found["version"])
    outcome = run("status", "--data-dir", stack.data_dir).expect(0)
    assert outcome.err == "" and "worker 2" in outcome.out and "ready" in outcome.out


def test_nothing_runs(fresh_stack) -> None:
    """Before the first start, behind a stop, and when everything was killed."""
    stack = fresh_stack(start=False)
    assert "nothing runs" in run("status", "--data-dir", stack.data_dir).expect(69).refusal
    stack.start()
    stack.stop()
    assert "nothing runs" in run("status", "--data-dir", stack.data_dir).expect(69).refusal
    stack.start()
    everything = stack.remember()
    for pid, _ in everything:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    stack.stop(expect_clean=False)
    assert "nothing runs" in run("status", "--data-dir", stack.data_dir, "--json").expect(69).refusal


def test_a_process_is_lost(fresh_stack) -> None:
    """One that is stopped is told, by name, with exit status 1; one that was killed is back with a new number."""
    stack = fresh_stack()
    (live,) = stack.processes("durable-streams-live")
    os.kill(live, signal.SIGSTOP)
    try:
        outcome = run("status", "--data-dir", stack.data_dir).expect(1)
        assert f"live (pid {live}) is lost" in outcome.err and "0 of 1 live" in outcome.err, outcome.describe()
        found = status(stack)
        assert [process["state"] for process in found["processes"] if process["role"] == "live"] == ["lost"]
    finally:
        os.kill(live, signal.SIGCONT)
    assert status(stack)["problems"] == []
    (worker,) = stack.processes("durable-streams-worker")
    os.kill(worker, signal.SIGKILL)
    found = status(stack, until=lambda found: not found["problems"])
    (process,) = [process for process in found["processes"] if process["role"] == "worker"]
    assert process["pid"] != worker


def test_rates_come_from_the_history(fresh_stack) -> None:
    """Steps of ten seconds, by a clock that is moved; what was kept is there behind a kill, and on a damaged file it goes on."""
    root = temporary_root()
    try:
        hooks = Hooks(root)
        stack = fresh_stack(**hooks.settings)
        client = Client(stack)
        client.create("a", "text/plain")
        history = stack.data_dir / "history"
        deadline = time.monotonic() + PATIENCE

        def step() -> None:
            """Passes on until a step was written."""
            before = history.read_bytes() if history.exists() else b""
            while not history.exists() or history.read_bytes() == before:
                assert time.monotonic() < deadline, "no step was written"
                hooks.advance(5)
                time.sleep(0.3)

        step()
        for _ in range(20):
            expect(client.request("POST", "/v1/stream/a", {"Content-Type": "text/plain"}, b"x"), 204)
        step()

        def appends() -> list[float]:
            """What the last hour has, where it has something."""
            admin = Admin(stack)
            try:
                answered = admin.get("history?range=hour")
            finally:
                admin.close()
            assert len(answered["series"]["appends_per_second"]) == 360
            return [value for value in answered["series"]["appends_per_second"] if value]

        assert len(appends()) in (1, 2), "twenty appends, in one step or two"
        seen = appends()
        size = history.stat().st_size
        assert size < 64 << 10
        for pid in stack.processes("durable-streams-worker"):
            os.kill(pid, signal.SIGKILL)
        client.close()
        stack.wait_ready()
        step()
        assert history.stat().st_size == size
        assert appends() == seen, "as before the kill"
        stack.stop()
        history.write_bytes(b"no history")
        stack.start()
        step()
        assert appends() == []
        assert history.stat().st_size == size
    finally:
        remove_tree(root)
