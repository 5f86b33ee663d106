"""Reloads that are disturbed: programs that don't start, processes that are killed, other reloads, a stop."""

from __future__ import annotations

import os
import signal
from contextlib import closing

import pytest

from client import Client, expect
from commands import Started
from reload_load import Load
from reloads import Programs, killed, processes, refused, reload, settled, settled_workers
from stack import REPOSITORY, Stack, remove_tree, temporary_root
from store import wait_until


@pytest.fixture
def programs():
    root = temporary_root()
    yield Programs(root / "bin")
    remove_tree(root)


@pytest.fixture
def upgradable(fresh_stack, programs) -> Stack:
    """A server whose programs can be replaced."""
    stack = fresh_stack(start=False, DS_NGINX_TEMPLATES=REPOSITORY / "nginx", DS_RELOAD_SPREAD=0.2)
    stack.binary = programs.folder / "durable-streams"
    return stack.start()


def check_serves(stack: Stack) -> None:
    with closing(Client(stack)) as http:
        http.put("still", "text/plain")
        http.append("still", "text/plain", "x")
        expect(http.get("still"), 200)
        tail = http.get("still").offset
        http.append("still", "text/plain", "y")
        assert expect(http.get("still", f"offset={tail}&live=long-poll"), 200).body == b"y"


@pytest.mark.parametrize("name", ["worker", "live"])
@pytest.mark.parametrize(
    "script, words",
    [("exit 3", "ended with status 3 before it was ready"), ("kill -SEGV $$", "was ended by signal 11")],
)
def test_program_that_does_not_start(upgradable, programs, name: str, script: str, words: str) -> None:
    before = processes(upgradable)
    programs.replace(f"durable-streams-{name}", script)
    assert words in refused(upgradable)
    assert settled(upgradable) == before
    check_serves(upgradable)
    programs.put_back(f"durable-streams-{name}")
    reload(upgradable)
    assert not set(before["worker"]) & set(settled_workers(upgradable))


@pytest.mark.parametrize("name", ["worker", "live"])
def test_new_process_that_is_killed(upgradable, programs, name: str) -> None:
    program = f"durable-streams-{name}"
    before = processes(upgradable)
    programs.hold_back(program)
    with Started("reload", "--data-dir", upgradable.data_dir) as started:
        wait_until(upgradable, lambda: programs.held(upgradable, program), "a new process is held back")
        os.kill(programs.held(upgradable, program)[0], signal.SIGKILL)
        assert "was ended by signal 9" in started.finish().expect(1).refusal
    assert settled(upgradable) == before
    check_serves(upgradable)


@pytest.mark.parametrize("name", ["worker", "live"])
def test_old_process_that_is_killed(upgradable, programs, name: str) -> None:
    """It is replaced at once, while others get ready, and then by those."""
    program = f"durable-streams-{name}"
    before = processes(upgradable)[name]
    other = "live" if name == "worker" else "worker"
    # The program of the other kind is held back, so that this one can be started again.
    programs.hold_back(f"durable-streams-{other}")
    with Started("reload", "--data-dir", upgradable.data_dir) as started:
        wait_until(upgradable, lambda: programs.held(upgradable, f"durable-streams-{other}"), "a new process is held back")
        os.kill(before[0], signal.SIGKILL)
        wait_until(upgradable, lambda: len(upgradable.processes(program)) == 2, "it was started again")
        upgradable.wait_ready()
        check_serves(upgradable)
        programs.let_go()
        started.finish().expect(0)
    settled_workers(upgradable)
    check_serves(upgradable)


def test_reloads_while_one_goes_on(upgradable, programs) -> None:
    """Those that come meanwhile are one more, behind it."""
    programs.hold_back("durable-streams-live")
    arguments = ["reload", "--data-dir", upgradable.data_dir]
    with Started(*arguments) as one:
        wait_until(upgradable, lambda: programs.held(upgradable, "durable-streams-live"), "a new process is held back")
        with Started(*arguments) as two, Started(*arguments) as three:
            state = upgradable.data_dir / "run" / "reload"
            assert state.read_text().splitlines()[:2] == ["1", "0"]
            programs.let_go()
            for started in (one, two, three):
                started.finish().expect(0)
            assert state.read_text().splitlines()[0] in ("2", "3")
    settled_workers(upgradable)


def test_stop_while_one_goes_on(upgradable, programs) -> None:
    programs.hold_back("durable-streams-worker")
    with Started("reload", "--data-dir", upgradable.data_dir) as started:
        wait_until(upgradable, lambda: programs.held(upgradable, "durable-streams-worker"), "a new process is held back")
        upgradable.signal(signal.SIGTERM)
        assert upgradable.wait() == 0
        assert started.finish().status in (1, 69)
    upgradable.stop(expect_clean=False)
    programs.let_go()
    programs.put_back("durable-streams-worker")
    upgradable.start()
    check_serves(upgradable)


def test_stop_while_readers_leave(fresh_stack) -> None:
    """The server doesn't wait for the time that readers would have had."""
    stack = fresh_stack(DS_RELOAD_SPREAD=60)
    with Load(stack, appenders=1, askers=0, long_pollers=1, readers=2, checks=False):
        reload(stack)
        assert len(stack.processes("durable-streams-live")) == 2
        stack.signal(signal.SIGTERM)
        assert stack.wait() == 0
    assert not [pid for pid, _ in stack.seen if os.path.exists(f"/proc/{pid}")]


@pytest.mark.slow
def test_kills_in_the_middle(fresh_stack) -> None:
    """Old or new processes killed while they hand over: what was acknowledged is there once, and all goes on."""
    stack = fresh_stack(DS_WORKERS=2, DS_RELOAD_SPREAD=1, DS_READ_CHUNK_BYTES=65536)
    with Load(stack, appenders=4, askers=1, long_pollers=1, readers=2, patient=True) as load:
        for round in range(4):
            with Started("reload", "--data-dir", stack.data_dir) as started:
                before = processes(stack)
                kind = ("worker", "live")[round % 2]
                # The newest, or the oldest, which may end by itself at any moment.
                wait_until(stack, lambda: len(processes(stack)[kind]) > len(before[kind]) or started.process.poll() is not None, "new ones")
                wait_until(stack, lambda: killed(processes(stack)[kind][-1 if round < 2 else 0]), "one is killed")
                assert started.finish().status in (0, 1)
            load.pass_requests(5)
        stack.wait_ready()
    settled_workers(stack, 2)
