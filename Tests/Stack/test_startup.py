"""Starting and stopping: one clear line when it cannot start, nothing left when it stops."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from client import Client, expect
from stack import BINARY, REPOSITORY, Stack, alive, free_port, wait_gone


def refused(stack: Stack) -> tuple[int, str]:
    """Start one that has to give up; its exit status and what it wrote to stderr."""
    process = stack.spawn(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stack.process = process
    try:
        _, errors = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        stack.stop(expect_clean=False)
        raise AssertionError("it started, or hangs") from None
    stack.process = None
    return process.returncode, errors.decode("utf-8", "replace")


def one_line(errors: str) -> str:
    """Exactly one line on stderr."""
    lines = [line for line in errors.splitlines() if line.strip()]
    assert len(lines) == 1, f"expected one line, got:\n{errors}"
    return lines[0]


def test_used_port(fresh_stack) -> None:
    """By another program, and by another server with another data directory."""
    with socket.socket() as holder:
        port = free_port()
        holder.bind(("127.0.0.1", port))
        holder.listen()
        status, errors = refused(fresh_stack(port=port, start=False))
        assert status not in (0, None) and str(port) in one_line(errors)
    first = fresh_stack()
    status, errors = refused(fresh_stack(port=first.port, start=False))
    assert status != 0 and str(first.port) in one_line(errors)
    assert first.ready()


def test_locked_data_directory(fresh_stack) -> None:
    """A second server on the same data is refused; the first goes on, and a third may follow it."""
    first = fresh_stack()
    status, errors = refused(fresh_stack(data_dir=first.data_dir, start=False))
    assert status != 0 and str(first.data_dir) in one_line(errors)
    assert first.ready()
    first.stop()
    third = fresh_stack(data_dir=first.data_dir)
    assert third.ready()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DS_NO_SUCH_SETTING", "1"),
        ("DS_LISTENN", "127.0.0.1:1"),
        ("DS_LISTEN", "nonsense"),
        ("DS_LISTEN", "127.0.0.1:99999"),
        ("DS_LISTEN", "127.0.0.1:"),
        ("DS_LISTEN", "127.0.0.1:-1"),
        ("DS_WORKERS", "many"),
        ("DS_WORKERS", "0"),
        ("DS_WORKERS", "-1"),
        ("DS_WORKERS", "2.5"),
        ("DS_LONG_POLL_TIMEOUT", "abc"),
        ("DS_LONG_POLL_TIMEOUT", "-1"),
        ("DS_LONG_POLL_TIMEOUT", "nan"),
        ("DS_SSE_LIFETIME", "1h"),
        ("DS_SSE_LIFETIME", "-5"),
        ("DS_MAX_BODY_BYTES", "16MB!"),
        ("DS_MAX_BODY_BYTES", "-1"),
        ("DS_READ_CHUNK_BYTES", "65535"),
        ("DS_READ_CHUNK_BYTES", "x"),
        ("DS_PUBLIC_URL", "not a url"),
    ],
)
def test_malformed_setting(fresh_stack, name: str, value: str) -> None:
    """Unknown names and malformed values: one line that names the setting, exit status 78."""
    status, errors = refused(fresh_stack(start=False, **{name: value}))
    line = one_line(errors)
    assert status == 78, (status, errors)
    key = name.removeprefix("DS_")
    assert re.search(rf"{name}|{key.lower()}|{key.title().replace('_', '')}", line, re.IGNORECASE), line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_stops_in_order(fresh_stack, number: int) -> None:
    """Exit status 0, no process left, the port free again, the data directory unlocked."""
    stack = fresh_stack()
    client = Client(stack)
    client.create("a", "text/plain", "abc")
    processes = stack.remember()
    assert len(processes) >= 4
    stack.signal(number)
    assert stack.wait() == 0, stack.log_tail()
    assert not wait_gone(processes, 5), [who for who in processes if alive(who)]
    client.close()
    again = fresh_stack(data_dir=stack.data_dir, port=stack.port)
    client = Client(again)
    assert client.get("a").body == b"abc"
    client.close()


def test_interrupt_of_the_whole_group(fresh_stack) -> None:
    """Ctrl-C reaches every process of the terminal's group; all the same it ends in order."""
    stack = fresh_stack()
    processes = stack.remember()
    os.killpg(stack.process.pid, signal.SIGINT)
    assert stack.wait() == 0, stack.log_tail()
    assert not wait_gone(processes, 5)


def test_two_signals(fresh_stack) -> None:
    """An impatient second Ctrl-C leaves nothing behind either."""
    stack = fresh_stack()
    processes = stack.remember()
    stack.signal(signal.SIGINT)
    stack.signal(signal.SIGINT)
    stack.wait()
    assert not wait_gone(processes, 10)


def test_appends_until_the_last_moment(fresh_stack) -> None:
    """What was acknowledged before the stop is there after the start."""
    stack = fresh_stack()
    client = Client(stack)
    client.create("a", "text/plain")
    for _ in range(50):
        client.append("a", "text/plain", "x")
    client.close()
    stack.stop()
    stack.start()
    client = Client(stack)
    assert client.get("a").body == b"x" * 50
    client.close()


@pytest.mark.timeout(120)
def test_ready_means_every_part_is_ready(fresh_stack) -> None:
    """The first 200 of /readyz promises the live process too, not the pool alone."""
    for _ in range(8):
        stack = fresh_stack(start=False)
        with stack.log.open("ab") as log:
            stack.process = stack.spawn(stdout=log, stderr=log)
        while not stack.ready():
            assert stack.process.poll() is None, stack.log_tail()
        client = Client(stack)
        for live in ("long-poll", "sse"):
            expect(client.get("none", f"live={live}&offset=-1"), 404)
        client.close()
        stack.remember()
        stack.stop()


@pytest.mark.parametrize("name", ["durable-streams-worker", "durable-streams-live"])
def test_process_that_dies_just_after_the_start(fresh_stack, name: str) -> None:
    """From the first 200 of /readyz on, a process that dies is replaced; the server goes on."""
    stack = fresh_stack()
    pid = stack.processes(name)[0]
    os.kill(pid, signal.SIGKILL)
    assert not wait_gone([(pid, who[1]) for who in stack.seen if who[0] == pid], 5)
    stack.wait_ready()
    client = Client(stack, timeout=15)
    client.create("a", "text/plain", "abc")
    assert client.get("a", "live=long-poll&offset=-1").body == b"abc"
    assert stack.process.poll() is None
    client.close()


def test_two_servers_side_by_side(fresh_stack) -> None:
    """DS_LISTEN and DS_DATA_DIR move everything: nothing is shared."""
    one, two = fresh_stack(), fresh_stack()
    clients = Client(one), Client(two)
    clients[0].create("a", "text/plain", "one")
    expect(clients[1].get("a"), 404)
    clients[1].create("a", "text/plain", "two")
    assert [client.get("a").body for client in clients] == [b"one", b"two"]
    for client in clients:
        client.close()


def test_start_lines_name_url_and_data_directory(fresh_stack) -> None:
    stack = fresh_stack()
    deadline = time.monotonic() + 5
    while True:
        text = stack.log.read_text("utf-8", "replace")
        if f"http://127.0.0.1:{stack.port}" in text and str(stack.data_dir) in text:
            return
        assert time.monotonic() < deadline, text
        time.sleep(0.02)


def test_everything_stays_in_the_data_directory(fresh_stack) -> None:
    """No file is made or changed in the repository by a run."""
    watched = [path for path in ("nginx", "Config", "Sources") if (REPOSITORY / path).exists()]

    def listing() -> set[tuple[str, int]]:
        return {(str(p), p.stat().st_mtime_ns) for top in watched for p in (REPOSITORY / top).rglob("*") if p.is_file()}

    before = listing()
    stack = fresh_stack()
    assert any(Path(stack.data_dir).rglob("*"))
    stack.stop()
    assert listing() == before


def test_public_url(fresh_stack) -> None:
    """3.1: Location is built from the configured public base URL."""
    stack = fresh_stack(DS_PUBLIC_URL="https://streams.example.net")
    client = Client(stack)
    created = client.create("a/b", "text/plain")
    assert created.get("Location") == "https://streams.example.net/v1/stream/a/b"
    client.close()


def test_unknown_flag() -> None:
    done = subprocess.run([str(BINARY), "serve", "--no-such-flag"], capture_output=True, timeout=20)
    assert done.returncode != 0 and b"no-such-flag" in done.stderr


@pytest.mark.parametrize("workers", [1, 3])
def test_number_of_workers(fresh_stack, workers: int) -> None:
    """DS_WORKERS processes, one live process, and one nginx."""
    stack = fresh_stack(DS_WORKERS=workers)
    assert len(stack.processes("durable-streams-worker")) == workers
    assert len(stack.processes("durable-streams-live")) == 1
    client = Client(stack)
    client.create("a", "application/json")
    for n in range(30):
        client.append("a", "application/json", str(n))
        assert client.get("a").body.endswith(b"%d]" % n)
    client.close()
