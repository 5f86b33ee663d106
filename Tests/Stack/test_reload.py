"""Reloads: what they change, what refuses them, and what they leave as it was."""

from __future__ import annotations

import base64
import os
import pty
import signal
import socket
import threading
from contextlib import closing
from pathlib import Path

import pytest

from client import Client, expect
from commands import Started, run
from reloads import descriptors, processes, refused, reload, settled, settled_workers
from sse import EventSource
from stack import REPOSITORY, free_port, remove_tree, temporary_root
from store import ask_store, wait_until


@pytest.fixture
def folder():
    root = temporary_root()
    yield root
    remove_tree(root)


@pytest.fixture
def configured(fresh_stack, folder):
    """A stack with a settings file, and a function that writes it."""
    file = folder / "settings.yaml"

    def write(**settings: object) -> None:
        file.write_text("".join(f"{key}: {value}\n" for key, value in settings.items()) or "# nothing\n")

    write()
    return fresh_stack(DS_CONFIG=file, DS_RELOAD_SPREAD=0.2), write


def nginx_workers(stack) -> list[int]:
    """nginx's own workers; their master runs on."""
    return sorted(pid for pid in stack.processes("nginx") if b"worker process" in Path(f"/proc/{pid}/cmdline").read_bytes())


def post(stack, path: str, size: int) -> int:
    with closing(Client(stack)) as http:
        return http.post(path, "text/plain", "x" * size).status


def test_new_settings_take_effect(configured) -> None:
    stack, write = configured
    assert post(stack, "a", 2000) == 404
    with closing(Client(stack)) as http:
        http.create("a", "text/plain", "abc")
    first = processes(stack)
    assert post(stack, "a", 2000) == 204
    write(max_body_bytes=1000, long_poll_timeout=0.3, workers=3)
    reload(stack)
    # nginx, whose workers are new too.
    wait_until(stack, lambda: post(stack, "a", 2000) == 413, "nginx has read its new files")
    three = settled_workers(stack, 3)
    assert not set(first["worker"]) & set(three)
    with closing(Client(stack)) as http:
        tail = expect(http.get("a"), 200).offset
        expect(http.get("a", f"offset={tail}&live=long-poll"), 204)
        write(max_body_bytes=1000)
        reload(stack)
        assert not set(settled_workers(stack, 1)) & set(three)
        assert http.get("a").status == 200


def test_nginx_goes_on_untouched_when_its_files_do(configured) -> None:
    stack, write = configured
    workers = nginx_workers(stack)
    write(long_poll_timeout=3)
    assert reload(stack).out.rstrip().endswith("nginx: unchanged")
    assert nginx_workers(stack) == workers
    write(max_body_bytes=5000)
    assert reload(stack).out.rstrip().endswith("nginx: reads its new files")
    wait_until(stack, lambda: not set(workers) & set(nginx_workers(stack)), "nginx has other workers")


def by_file(stack, file: Path) -> str:
    """Has address and data directory come from a settings file, so that they can change; returns its content."""
    inherited = stack.environment
    names = ("DS_LISTEN", "DS_DATA_DIR")
    stack.environment = lambda: {k: v for k, v in inherited().items() if k not in names} | {"DS_CONFIG": str(file)}
    content = f"listen: 127.0.0.1:{stack.port}\ndata_dir: {stack.data_dir}\n"
    file.write_text(content)
    return content


def test_another_address(fresh_stack, folder) -> None:
    """nginx moves, unless somebody has the address."""
    file = folder / "settings.yaml"
    stack = fresh_stack(start=False)
    base = by_file(stack, file)
    stack.start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        file.write_text(base.replace(str(stack.port), str(taken.getsockname()[1])))
        assert "in use" in refused(stack)
    port = free_port()
    file.write_text(base.replace(str(stack.port), str(port)))
    reload(stack)
    stack.port = port
    stack.wait_ready()


def admin_status(stack, password: str) -> int:
    with closing(Client(stack)) as http:
        credentials = base64.b64encode(f"admin:{password}".encode()).decode()
        return http.request("GET", "/admin/api/overview", [("Authorization", f"Basic {credentials}")]).status


def test_another_password_and_no_admin(configured) -> None:
    stack, write = configured
    file = stack.data_dir / "admin-password"
    old, new = file.read_text().strip(), "a-password-of-my-own-1"
    assert admin_status(stack, old) == 200
    file.write_text(new + "\n")
    reload(stack)
    assert (admin_status(stack, old), admin_status(stack, new)) == (401, 200)
    key = (stack.data_dir / "admin.key").read_text().strip()
    write(admin="false")
    reload(stack)
    wait_until(stack, lambda: admin_status(stack, new) == 404, "nginx has read its new files")
    holders = [path.name for path in (stack.data_dir / "nginx").glob("*.conf") if key in path.read_text()]
    assert not holders, "nginx's files hold the key still"


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"max_body": 5}, ["max_body", "unknown"]),
        ({"workers": "many"}, ["workers", "many"]),
        ({"data_dir": "/tmp/elsewhere"}, ["data_dir", "/tmp/elsewhere", "restart"]),
        ({"listen": "0.0.0.0:4437"}, ["listen", "DS_AUTH"]),
        ({"nginx_templates": "/nowhere"}, ["nginx_templates", "/nowhere"]),
        ({"nginx_path": "/bin/true"}, ["nginx_path", "/bin/true", "restart"]),
    ],
)
def test_settings_that_can_not_be(fresh_stack, folder, settings: dict[str, object], words: list[str]) -> None:
    """One line that names key and reason; all goes on, and a later reload may succeed."""
    file = folder / "settings.yaml"
    stack = fresh_stack(start=False)
    base = by_file(stack, file)
    stack.start()
    before = processes(stack)
    lines = [line for line in base.splitlines() if line.split(":")[0] not in settings]
    file.write_text("\n".join([*lines, *(f"{key}: {value}" for key, value in settings.items())]) + "\n")
    reason = refused(stack)
    assert all(word.lower() in reason.lower() for word in words), reason
    assert processes(stack) == before and f"reload refused: {reason}" in stack.log_tail()
    assert post(stack, "nothing-there", 1) == 404
    file.write_text(base)
    reload(stack)


def test_nginx_that_refuses(fresh_stack, folder) -> None:
    """Its files are put back, those that are new go."""
    templates = folder / "nginx"
    templates.mkdir()
    for path in (REPOSITORY / "nginx").iterdir():
        if path.is_file():
            (templates / path.name).write_bytes(path.read_bytes())
    stack = fresh_stack(DS_NGINX_TEMPLATES=templates)
    rendered = {path.name: path.read_bytes() for path in (stack.data_dir / "nginx").glob("*.conf")}
    before, workers = processes(stack), nginx_workers(stack)
    live = templates / "durable-streams-live.conf"
    good = live.read_text()
    live.write_text(good + "no_such_directive 1;\n")
    (templates / "another.conf").write_text("# new\n")
    reason = refused(stack)
    assert "no_such_directive" in reason and "\n" not in reason, reason
    assert {path.name: path.read_bytes() for path in (stack.data_dir / "nginx").glob("*.conf")} == rendered
    assert processes(stack) == before and nginx_workers(stack) == workers
    live.write_text(good)
    reload(stack)


def test_nobody_there(folder) -> None:
    line = run("reload", "--data-dir", folder).expect(69).refusal
    assert "no server runs" in line and str(folder) in line, line


def test_hang_up_without_a_terminal(configured) -> None:
    stack, _ = configured
    before = processes(stack)
    stack.signal(signal.SIGHUP)
    wait_until(stack, lambda: "reloaded" in stack.log_tail(), "reloaded")
    assert not set(before["worker"]) & set(settled(stack)["worker"])


def test_hang_up_of_a_terminal_stops(fresh_stack) -> None:
    stack = fresh_stack(start=False)
    _, side = pty.openpty()
    spawn = stack.spawn
    stack.spawn = lambda **options: spawn(stdin=side, **options)
    stack.start()
    stack.signal(signal.SIGUSR2)
    wait_until(stack, lambda: "reloaded" in stack.log_tail(), "reloaded")
    stack.signal(signal.SIGHUP)
    assert stack.wait() == 0


def test_connections_move_and_leak_nothing(fresh_stack) -> None:
    stack = fresh_stack(DS_WORKERS=2, DS_RELOAD_SPREAD=0)
    clients = [Client(stack) for _ in range(24)]
    clients[0].create("a", "text/plain", "abc")
    gate = threading.Barrier(len(clients))

    def use(http: Client) -> None:
        gate.wait()
        for _ in range(10):
            http.append("a", "text/plain", "x" * 20_000)

    def use_all() -> None:
        threads = [threading.Thread(target=use, args=[http]) for http in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def counts() -> tuple[int, int]:
        workers = settled_workers(stack, 2)
        return descriptors(stack.process.pid), sum(descriptors(pid) for pid in workers)

    use_all()
    reload(stack)
    use_all()
    supervisor, workers = counts()
    connections = {id(http.connection) for http in clients}
    for _ in range(6):
        reload(stack)
        assert {http.get("a", "offset=now").status for http in clients} == {200}
    use_all()
    assert {id(http.connection) for http in clients} == connections, "a client had to connect anew"
    again, sum_again = counts()
    assert again == supervisor, "the supervisor keeps descriptors"
    # nginx may have opened a few more; never as many as were handed over.
    assert sum_again <= workers + 12, f"{workers} descriptors in the workers became {sum_again}"
    for http in clients:
        http.close()


def test_readers_who_wait_lose_nothing(fresh_stack) -> None:
    """A long-poll and an event stream that are there at the reload hear of an append behind it."""
    stack = fresh_stack(DS_RELOAD_SPREAD=2, DS_SSE_LIFETIME=100)
    with closing(Client(stack)) as http:
        tail = http.create("a", "text/plain", "abc").offset
        with EventSource(stack, "a", f"offset={tail}") as events, closing(Client(stack)) as poller:
            events.control()
            answers = []
            poll = threading.Thread(target=lambda: answers.append(poller.get("a", f"offset={tail}&live=long-poll")))
            poll.start()
            reload(stack)
            http.append("a", "text/plain", "new")
            data, control = events.batch()
            assert data == b"new"
            # Behind what it has said, and in time.
            events.end()
            poll.join()
            assert answers[0].body in (b"new", b"")
            with EventSource(stack, "a", f"offset={control['streamNextOffset']}") as again:
                again.control()
                http.append("a", "text/plain", "newer")
                assert again.batch()[0] == b"newer"


def test_one_worker_in_two_does_the_chores(fresh_stack) -> None:
    """Chores go on behind a reload: a stream that expires is gone from the disk."""
    stack = fresh_stack(DS_SWEEP_INTERVAL=0.2, DS_RELOAD_SPREAD=0)
    reload(stack)
    with closing(Client(stack)) as http:
        http.create("a", "text/plain", "abc", Stream_TTL="1")
        wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM stream") == [0], "swept", 15)


def test_started_command_survives(configured) -> None:
    """Two requests for a reload at once both get an answer."""
    stack, _ = configured
    arguments = ["reload", "--data-dir", stack.data_dir]
    with Started(*arguments) as one, Started(*arguments) as two:
        one.finish().expect(0)
        two.finish().expect(0)
    settled(stack)
    assert os.path.exists(stack.data_dir / "run" / "reload")
