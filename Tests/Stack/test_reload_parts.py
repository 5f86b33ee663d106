"""A pool and a live process as two services: one `reload` for both, and what a service manager hears of it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from client import expect
from commands import run
from parts import Part, listening
from sse import EventSource
from stack import command_line
from test_parts import client, closing_all, make_part, own_nginx, root  # noqa: F401 (fixtures)

pytestmark = pytest.mark.timeout(120)


def programs(part: Part) -> set[int]:
    return {pid for pid in part.remember() if "durable-streams-" in command_line(pid)}


def test_both_with_sockets_of_systemd(root: Path, make_part, own_nginx) -> None:
    """Sockets, watchdog and names stay through two reloads, the second by the program that the first has put in place."""
    data = root / "data"
    with closing_all({name: listening(root / f"{name}.sock") for name in ("worker", "live")}) as sockets:
        spread = {"DS_RELOAD_SPREAD": "0.2"}
        live = make_part("live", **spread).start({"live": sockets["live"]}, WATCHDOG_USEC=2_000_000)
        pool = make_part("pool", DS_WORKERS=2, **spread).start({"worker": sockets["worker"]}, WATCHDOG_USEC=2_000_000)
        with closing(client(own_nginx(data), data)) as http:
            http.create("a", "application/json")
            for number in range(2):
                before = {part: programs(part) for part in (pool, live)}
                for part in (pool, live):
                    part.notifications.drain()
                lines = run("reload", "--data-dir", data).expect(0).out.splitlines()
                assert [line.startswith("reloaded") for line in lines] == [True, True], lines
                for part in (pool, live):
                    assert not before[part] >= programs(part), "nothing is new"
                    part.notifications.wait_for("READY=1")
                    assert "RELOADING=1" in part.notifications.lines
                    part.notifications.wait_for("WATCHDOG=1")
                http.append("a", "application/json", f"{number}")
                with EventSource(http.stack, "a") as events:
                    assert events.batch()[0] == str(list(range(number + 1))).replace(" ", "").encode()
            assert expect(http.get("a"), 200).body == b"[0,1]"
        pool.stop()
        live.stop()
        assert all((root / f"{name}.sock").exists() for name in ("worker", "live"))


def test_one_alone(root: Path, make_part) -> None:
    """The other one need not run, and is not told when it does not."""
    part = make_part("pool").start()
    before = part.process.pid
    assert run("reload", "--data-dir", root / "data").expect(0).out.count("reloaded") == 1
    assert part.process.poll() is None and os.path.exists(f"/proc/{before}")
    assert make_part("pool").spawn().ended()[0] == 75, "the lock is kept"
