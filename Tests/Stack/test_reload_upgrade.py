"""A reload behind an upgrade: the supervisor becomes the new program too, in the same process."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from client import Client
from reloads import Programs, descriptors, processes, refused, reload, settled
from stack import REPOSITORY, Stack, remove_tree, temporary_root, wait_gone
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


def runs(pid: int, file: Path) -> bool:
    """Whether a process runs what is in a file now."""
    return os.path.samestat(os.stat(f"/proc/{pid}/exe"), file.stat())


def test_every_process_is_new(upgradable, programs) -> None:
    supervisor = upgradable.process.pid
    reload(upgradable)
    settled(upgradable)
    held = descriptors(supervisor)
    for name in ("durable-streams", "durable-streams-worker", "durable-streams-live"):
        programs.put_back(name)
    assert not runs(supervisor, programs.folder / "durable-streams")
    reload(upgradable)
    assert runs(supervisor, programs.folder / "durable-streams")
    for name, pids in settled(upgradable).items():
        assert all(runs(pid, programs.folder / f"durable-streams-{name}") for pid in pids), name
    wait_until(upgradable, lambda: descriptors(supervisor) == held, "no descriptor is kept")
    # It is the server still: nobody else can be.
    other = Stack(upgradable.data_dir)
    status = other.spawn().wait(20)
    assert status == 75


def test_it_goes_on_as_supervisor(upgradable) -> None:
    """It starts again what is killed, also with the settings of before, stops in order, and takes all along if killed."""
    reload(upgradable)
    before = settled(upgradable)
    os.kill(before["worker"][0], signal.SIGKILL)
    os.kill(before["live"][0], signal.SIGKILL)
    wait_until(upgradable, lambda: not set(sum(before.values(), [])) & set(sum(processes(upgradable).values(), [])), "new ones")
    upgradable.wait_ready()
    reload(upgradable)
    everybody = upgradable.remember()
    upgradable.process.kill()
    assert not wait_gone(everybody, 10)


@pytest.mark.parametrize("content", [b"#!/bin/sh\nexit 1\n", b"#!/bin/sh\necho broken >&2; exit 127\n", b"\x7fELF", b""])
def test_program_that_can_not_take_over(upgradable, programs, content: bytes) -> None:
    """All goes on with the one that runs."""
    before = processes(upgradable)
    new = programs.folder / "new"
    new.write_bytes(content)
    new.chmod(0o755)
    new.rename(programs.folder / "durable-streams")
    reason = refused(upgradable)
    assert "durable-streams" in reason and (b"broken" not in content or "broken" in reason), reason
    assert processes(upgradable) == before
    with closing(Client(upgradable)) as http:
        http.create("a", "text/plain", "abc")
    programs.put_back("durable-streams")
    reload(upgradable)
    assert not set(before["worker"]) & set(settled(upgradable)["worker"])


def test_settings_that_can_not_be_leave_the_old_ones(upgradable, programs) -> None:
    """Also behind the take-over: what is started again has the settings of before."""
    file = programs.folder / "settings.yaml"
    upgradable.stop()
    file.write_text("long_poll_timeout: 0.3\n")
    upgradable.settings["DS_CONFIG"] = str(file)
    upgradable.start()
    file.write_text("long_poll_timeout: never\n")
    before = processes(upgradable)
    assert "long_poll_timeout" in refused(upgradable)
    os.kill(before["live"][0], signal.SIGKILL)
    wait_until(upgradable, lambda: processes(upgradable)["live"] not in ([], before["live"]), "started again")
    upgradable.wait_ready()
    with closing(Client(upgradable)) as http:
        tail = http.create("a", "text/plain", "abc").offset
        assert http.get("a", f"offset={tail}&live=long-poll").status == 204
