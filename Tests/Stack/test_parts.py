"""Pool and live process as two services behind an nginx of the administrator's; sockets, signs of life and locks."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from client import Client, expect
from commands import run
from parts import OwnNginx, Part, listening
from sse import EventSource
from stack import DEFAULTS, Stack, free_port, remove_tree, temporary_root

pytestmark = pytest.mark.timeout(120)
NOBODY, WWW_DATA = 65534, 33
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as other users")


@pytest.fixture
def root() -> Iterator[Path]:
    folder = temporary_root()
    yield folder
    remove_tree(folder)


@pytest.fixture
def make_part(root: Path) -> Iterator[Callable[..., Part]]:
    parts: list[Part] = []

    def make(name: str, data: Path | None = None, **settings: object) -> Part:
        parts.append(Part(name, data or root / "data", **settings))
        return parts[-1]

    yield make
    for part in parts:
        part.close()


@pytest.fixture
def own_nginx(root: Path) -> Iterator[Callable[..., OwnNginx]]:
    servers: list[OwnNginx] = []

    def make(data: Path, **settings: object) -> OwnNginx:
        port = free_port()
        variables = {**DEFAULTS, "DS_DATA_DIR": data, "DS_LISTEN": f"127.0.0.1:{port}", **settings}
        run("nginx-config", "--output", root / "nginx", **variables).expect(0)
        servers.append(OwnNginx(root / "nginx", port))
        return servers[-1].start()

    yield make
    for server in servers:
        server.stop()


def client(server: OwnNginx, data: Path) -> Client:
    return Client(Stack(data, server.port))


# Serving.


@pytest.mark.parametrize("passed", [True, False], ids=["sockets of systemd", "sockets of its own"])
def test_serves_in_two_parts(root: Path, make_part, own_nginx, passed: bool) -> None:
    """Create, append, read and a live read through an nginx of the administrator's; live starts first."""
    data = root / "data"
    places = {"worker": root / "w.sock", "live": root / "l.sock"} if passed else {}
    with closing_all({name: listening(path) for name, path in places.items()}) as sockets:
        live = make_part("live").start({"live": sockets["live"]} if passed else {})
        pool = make_part("pool", DS_WORKERS=2).start({"worker": sockets["worker"]} if passed else {})
        for name, path in places.items():
            assert (data / f"run/{name}.sock").resolve() == path
        with closing(client(own_nginx(data), data)) as http:
            expect(http.request("GET", "/readyz"), 200)
            http.create("a", "application/json")
            http.append("a", "application/json", "1")
            with EventSource(http.stack, "a") as events:
                assert events.batch()[0] == b"[1]"
                http.append("a", "application/json", "2")
                assert events.batch()[0] == b"[2]"
            assert http.get("a").body == b"[1,2]"
        live.stop()
        pool.stop()
        assert all(path.exists() for path in places.values())
        assert passed or not list((data / "run").glob("*.sock"))
        assert "STOPPING=1" in drained(pool) and "STOPPING=1" in drained(live)


def test_connections_wait_for_the_pool(root: Path, make_part, own_nginx) -> None:
    """systemd's socket stays: what is asked for while nothing runs is answered by the next pool."""
    data = root / "data"
    with closing_all({"worker": listening(root / "w.sock")}) as sockets:
        pool = make_part("pool").start(sockets)
        http = client(own_nginx(data), data)
        expect(http.create("a", "text/plain", "abc"), 201)
        http.close()
        pool.stop()
        answers: list[bytes] = []

        def ask() -> None:
            with closing(client(OwnNginx(root, http.stack.port), data)) as again:
                answers.append(again.get("a").body)

        asking = threading.Thread(target=ask)
        asking.start()
        # Somebody is there: this is what makes systemd start the service.
        sockets["worker"].settimeout(10)
        wait_readable(sockets["worker"])
        pool.start(sockets)
        asking.join(20)
        assert answers == [b"abc"]


# Locks.


def test_one_of_each(root: Path, make_part, fresh_stack) -> None:
    """A pool and a live process go together, and nothing else on the same data directory."""
    data = root / "data"
    pool = make_part("pool").start()
    live = make_part("live").start()
    for name in ("pool", "live", "all"):
        status, line = make_part(name, DS_LISTEN=f"127.0.0.1:{free_port()}").spawn().ended()
        assert status == 75 and str(data) in line, line
    pool.stop()
    for name in ("live", "all"):
        assert make_part(name, DS_LISTEN=f"127.0.0.1:{free_port()}").spawn().ended()[0] == 75
    pool.start()
    live.stop()
    assert make_part("all", DS_LISTEN=f"127.0.0.1:{free_port()}").spawn().ended()[0] == 75
    pool.stop()
    whole = fresh_stack(data_dir=data)
    for name in ("pool", "live"):
        assert make_part(name).spawn().ended()[0] == 75
    whole.stop()


@pytest.mark.parametrize("name", ["pool", "live"])
def test_no_restore_beside_a_part(root: Path, make_part, place, name: str) -> None:
    """Even if the data directory looks empty to it."""
    source = Part("pool", root / "source").start()
    try:
        run("backup", root / "backup", DS_DATA_DIR=root / "source").expect(0)
    finally:
        source.close()
    pids = make_part(name).start().remember()
    for pid in pids:
        # Or it would write into the directory again.
        os.kill(pid, signal.SIGSTOP)
    try:
        for found in (root / "data").iterdir():
            if found.name not in ("lock", "lost+found"):
                shutil.rmtree(found) if found.is_dir() else found.unlink()
        outcome = run("restore", root / "backup", DS_DATA_DIR=root / "data")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert outcome.status == 75 and "in use" in outcome.refusal


# What systemd hears, and passes.


@pytest.mark.parametrize("name", ["pool", "live", "all"])
def test_signs_of_life_come_only_from_a_server_that_answers(root: Path, make_part, name: str) -> None:
    """At half of WATCHDOG_USEC; none while a process hangs, and again when it goes on."""
    part = make_part(name, DS_LISTEN=f"127.0.0.1:{free_port()}")
    # An abstract name, as some service managers use.
    part.start(notify=f"@{root.name}-{name}", WATCHDOG_USEC=1_000_000)
    assert part.notifications
    began = time.monotonic()
    for _ in range(4):
        part.notifications.wait_for("WATCHDOG=1", 5)
    assert 1.0 <= time.monotonic() - began < 4
    workers = [pid for pid in part.remember() if b"durable-streams-" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    # One may have been on its way. Passing time is the subject: nothing for four times the pause between two of them.
    late = 0
    while part.notifications.next(2) is not None:
        late += 1
        assert late <= 1
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    part.notifications.wait_for("WATCHDOG=1", 10)
    part.stop()


def test_children_do_not_speak_to_systemd(root: Path, make_part) -> None:
    with closing_all({"worker": listening(root / "w.sock")}) as sockets:
        pool = make_part("pool").start(sockets, WATCHDOG_USEC=60_000_000)
        children = pool.remember()
        assert children
        for pid in children:
            variables = Path(f"/proc/{pid}/environ").read_bytes()
            assert not [name for name in (b"NOTIFY_SOCKET", b"WATCHDOG_", b"LISTEN_") if name in variables]


def test_sockets_without_their_names(root: Path, make_part) -> None:
    """One line that tells what to set; sockets that are for another process count for nothing."""
    with closing_all({"other": listening(root / "o.sock")}) as sockets:
        status, line = make_part("pool").spawn(sockets).ended()
        assert status == 78 and "FileDescriptorName=worker" in line, line
        pool = make_part("pool").start(sockets, LISTEN_PID=1)
        assert stat.S_ISSOCK((root / "data/run/worker.sock").lstat().st_mode)
        pool.stop()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        status, line = make_part("pool").spawn({"worker": listener}).ended()
        assert status == 78 and "worker" in line and "ListenStream=" in line, line


def test_unknown_part() -> None:
    outcome = run("serve", "--parts", "half")
    assert outcome.status == 64 and "pool" in outcome.err


# Whose files they are.


@needs_root
def test_group_of_nginx(root: Path, make_part) -> None:
    """Its group reaches sockets and segments of a server that is not root, and no data or secret."""
    root.chmod(0o755)
    data = root / "data"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    data.chmod(0o700)
    account = {"user": NOBODY, "group": NOBODY, "extra_groups": [WWW_DATA]}
    status, line = make_part("pool", DS_NGINX_GROUP="www-data").spawn(account={**account, "extra_groups": []}).ended()
    assert status == 78 and "www-data" in line, line
    status, line = make_part("pool", DS_NGINX_GROUP="no-such-group").spawn(account=account).ended()
    assert status == 78 and "no-such-group" in line, line
    make_part("pool", DS_NGINX_GROUP="www-data").start(account=account)
    make_part("live", DS_NGINX_GROUP="www-data").start(account=account)
    for name in ("worker", "live"):
        assert as_www_data("test", "-w", data / f"run/{name}.sock")
    assert as_www_data("test", "-x", data / "segments") and (data / "segments").stat().st_gid == WWW_DATA
    secrets = [path for path in data.iterdir() if path.is_file()]
    assert {"hot.sqlite", "secrets.key"} <= {path.name for path in secrets}
    for path in secrets:
        assert not as_www_data("test", "-r", path) and not as_www_data("test", "-w", path), path
    assert not as_www_data("test", "-r", data)


@needs_root
def test_configuration_written_by_root_for_another_user(root: Path, make_part) -> None:
    """What it makes in the data directory belongs to the user who serves it."""
    root.chmod(0o755)
    data = root / "data"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    data.chmod(0o711)
    run("nginx-config", "--output", root / "out", DS_DATA_DIR=data, DS_AUTH="project-jwt").expect(0)
    made = [path for path in data.rglob("*")]
    assert made and {path.stat().st_uid for path in made} == {NOBODY}
    assert {path.stat().st_uid for path in (root / "out").iterdir()} == {0}
    make_part("pool", DS_AUTH="project-jwt").start(account={"user": NOBODY, "group": NOBODY, "extra_groups": []})
    verdicts = next(line for line in (root / "out/durable-streams-project-jwt-http.conf").read_text().splitlines() if "cache_path" in line)
    shutil.rmtree(Path(verdicts.split()[1]).parent)


def as_www_data(*command: object) -> bool:
    done = subprocess.run([str(word) for word in command], user=WWW_DATA, group=WWW_DATA, extra_groups=[])
    return done.returncode == 0


def drained(part: Part) -> list[str]:
    assert part.notifications
    part.notifications.drain()
    return part.notifications.lines


def wait_readable(listener: socket.socket) -> None:
    assert select.select([listener], [], [], 10)[0], "nobody connects"


class closing_all:
    """Closes sockets at the end of a `with`."""

    def __init__(self, sockets: dict[str, socket.socket]):
        self.sockets = sockets

    def __enter__(self) -> dict[str, socket.socket]:
        return self.sockets

    def __exit__(self, *_: object) -> None:
        for one in self.sockets.values():
            one.close()
