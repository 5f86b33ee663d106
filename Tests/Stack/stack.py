"""Starting and stopping the whole stack: supervisor, nginx, workers, live process."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wire import Connection, ConnectionClosed

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("DS_BINARY", REPOSITORY / ".build/release/durable-streams"))
START_TIMEOUT = float(os.environ.get("DS_TEST_START_TIMEOUT", "30"))
STOP_TIMEOUT = 20.0
# `DSTEST_SETTINGS="DS_SEGMENT_MAX_MESSAGES=2 …"` runs all tests with other defaults.
DEFAULTS = dict(setting.split("=", 1) for setting in os.environ.get("DSTEST_SETTINGS", "").split())
_PR_SET_PDEATHSIG = 1
_random = random.Random(os.getpid() * 7919 + time.monotonic_ns())


def free_port() -> int:
    """A port below the ephemeral range that nobody listens on now."""
    while True:
        port = _random.randrange(18000, 31000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stat(pid: int) -> tuple[int, str, int] | None:
    """(parent, state, start time) of a process, or None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), fields[0], int(fields[19])


def identity(pid: int) -> tuple[int, int] | None:
    """A process by id and start time, so that a recycled id is not taken for it."""
    stat = _stat(pid)
    return (pid, stat[2]) if stat else None


def alive(who: tuple[int, int]) -> bool:
    stat = _stat(who[0])
    return bool(stat) and stat[2] == who[1] and stat[1] != "Z"


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """All processes below one, found in /proc."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))):
            parents.setdefault(stat[0], []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        for child in parents.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def wait_gone(processes: list[tuple[int, int]], within: float = STOP_TIMEOUT) -> list[tuple[int, int]]:
    """Wait until all have ended; returns those that have not."""
    deadline = time.monotonic() + within
    while (left := [who for who in processes if alive(who)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


class StartFailed(Exception):
    pass


class Stack:
    """One running server on its own port and data directory."""

    def __init__(self, data_dir: str | Path, port: int | None = None, **settings: object):
        self.data_dir = Path(data_dir)
        self.port = port or free_port()
        self.settings = {key: str(value) for key, value in settings.items()}
        self.process: subprocess.Popen[bytes] | None = None
        self.binary = BINARY
        self.log = self.data_dir.with_name(self.data_dir.name + ".log")
        self.seen: set[tuple[int, int]] = set()

    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DS_")}
        return inherited | {
            "DS_LISTEN": f"127.0.0.1:{self.port}",
            "DS_DATA_DIR": str(self.data_dir),
            **self.settings,
        }

    def spawn(self, **options: object) -> subprocess.Popen[bytes]:
        """Start the supervisor without waiting for it."""
        return subprocess.Popen(
            [str(self.binary), "serve"],
            env=self.environment(),
            start_new_session=True,
            preexec_fn=_die_with_parent,
            **{"stdin": subprocess.DEVNULL, **options},
        )

    def start(self) -> Stack:
        with self.log.open("ab") as log:
            self.process = self.spawn(stdout=log, stderr=log)
        self.wait_ready()
        return self

    def ready(self) -> bool:
        try:
            with Connection(self.port, timeout=5) as connection:
                return connection.exchange("GET", "/readyz").status == 200
        except ConnectionClosed:
            return False

    def wait_ready(self, within: float = START_TIMEOUT) -> None:
        deadline = time.monotonic() + within
        while not self.ready():
            assert self.process is not None
            if self.process.poll() is not None:
                raise StartFailed(f"exit {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.stop(expect_clean=False)
                raise StartFailed(f"not ready after {within} s:\n{self.log_tail()}")
            time.sleep(0.02)
        self.remember()

    def log_tail(self, lines: int = 30) -> str:
        try:
            return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def remember(self) -> list[tuple[int, int]]:
        """Note all processes of this stack, so that none can be left behind."""
        if self.process is None:
            return []
        pids = [self.process.pid, *descendants(self.process.pid)]
        now = [who for pid in pids if (who := identity(pid))]
        self.seen.update(now)
        return now

    def processes(self, name: str) -> list[int]:
        """Ids of the running processes whose command line names a program."""
        assert self.process is not None
        self.remember()
        found = []
        for pid in descendants(self.process.pid):
            words = command_line(pid).split()
            if words and (Path(words[0].rstrip(":")).name == name):
                found.append(pid)
        return found

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.remember()
        self.process.send_signal(number)

    def wait(self, within: float = STOP_TIMEOUT) -> int:
        assert self.process is not None
        return self.process.wait(timeout=within)

    def stop(self, expect_clean: bool = True) -> int | None:
        """SIGTERM, then SIGKILL for whatever is left; returns the exit status."""
        if self.process is None:
            return None
        self.remember()
        status: int | None = None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        left = wait_gone(list(self.seen), 5.0)
        for pid, _ in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.seen.clear()
        if expect_clean:
            assert status == 0, f"exit status {status} after SIGTERM\n{self.log_tail()}"
            assert not left, f"processes left behind: {left}"
        return status

    def connect(self, timeout: float = 15.0) -> Connection:
        return Connection(self.port, timeout=timeout)


def temporary_root() -> Path:
    """A short path: Unix sockets inside it have room for 107 bytes only."""
    root = Path(tempfile.mkdtemp(prefix="ds-", dir="/tmp"))
    root.chmod(0o755)
    return root


def remove_tree(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def running(**settings: object) -> Iterator[Stack]:
    """A server with these settings beside the defaults, in a folder of its own that goes with it."""
    root = temporary_root()
    stack = Stack(root / "data", **(DEFAULTS | settings))
    try:
        stack.start()
        yield stack
        stack.stop()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)
