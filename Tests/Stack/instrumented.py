"""The stack with one of its programs under valgrind's callgrind or strace; what it does is counted."""

from __future__ import annotations

import fcntl
import re
import shutil
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import callgrind
from fastcgi import PoolConnection
from stack import BINARY, REPOSITORY, Stack, descendants

PATIENCE = 60.0
WORKER, LIVE = "durable-streams-worker", "durable-streams-live"
# System calls (x86-64): a thread that waits for a lock of a file, or for events.
_LOCKING = {"72", "35", "230"}
_IDLE = {"232", "281"}


def wait_until(condition, what: str, within: float = PATIENCE) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within {within} s"
        time.sleep(0.001)


class Forbidden(Exception):
    """No process may look at another here (ptrace(2))."""


class Programs:
    """A folder with the built programs, one of them in a wrapping."""

    def __init__(self, folder: Path, program: str, wrapping: str, *, strip: bool = False):
        built = BINARY.parent
        self.folder, self.program = folder, program
        folder.mkdir(mode=0o755)
        # The supervisor looks for the others beside itself, whatever link led to it.
        shutil.copy2(BINARY, folder / BINARY.name)
        for name in (WORKER, LIVE):
            if name != program:
                (folder / name).symlink_to(built / name)
        real = folder / "real" / program
        real.parent.mkdir(mode=0o755)
        if strip:
            # Debian 12's valgrind can't read the debug information of newer compilers; names of functions stay.
            subprocess.run(["objcopy", "--strip-debug", built / program, real], check=True, timeout=60)
        else:
            shutil.copy2(built / program, real)
        (folder / program).write_text(f'#!/bin/sh\nexec {wrapping} {real} "$@"\n')
        (folder / program).chmod(0o755)

    def stack(self, data: Path, **settings: object) -> Stack:
        stack = Stack(data, **{"DS_NGINX_TEMPLATES": REPOSITORY / "nginx", "DS_WORKER_THREADS": 1, **settings})
        stack.binary = self.folder / BINARY.name
        return stack

    def process(self, stack: Stack) -> int:
        """The process id of the wrapped program."""
        assert stack.process
        real = str(self.folder / "real" / self.program).encode()
        for pid in descendants(stack.process.pid):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if real in words and not words[0].endswith(b"strace"):
                return pid
        raise AssertionError(f"no process of {self.program}")


def thread(pid: int, name: str) -> int:
    """The id of a process's thread by its name."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    raise AssertionError(f"process {pid} has no thread {name}")


class Callgrind:
    """The stack with one program under callgrind."""

    def __init__(self, root: Path, program: str = WORKER, **settings: object):
        self.out = root / "out"
        self.out.mkdir(mode=0o777)
        locks = root / "locks.so"
        compiler = shutil.which("clang") or shutil.which("cc") or "cc"
        source = Path(__file__).with_name("valgrind_locks.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", locks, source], check=True, timeout=60)
        self.programs = Programs(
            root / "programs", program,
            f"env LD_PRELOAD={locks} valgrind --quiet --tool=callgrind --callgrind-out-file={self.out}/counts "
            f"--separate-threads=yes --log-file={self.out}/log", strip=True,
        )  # fmt: skip
        self.stack = self.programs.stack(root / "data", **settings)
        self.stack.data_dir.mkdir(mode=0o755)
        self.chores = lock(self.stack.data_dir / "chores.lock")
        self.stack.start()
        self.pid = self.programs.process(self.stack)
        self.dumps = 0
        self.tasks: list[Path] = []
        self.names: dict[int, str] = {}

    def connect(self) -> PoolConnection:
        return PoolConnection(self.stack.data_dir / "run/worker.sock", PATIENCE)

    def take(self) -> dict[str, callgrind.Profile]:
        """What was counted since it was last taken, by the thread's name."""
        self._command("dump")
        self.dumps += 1
        tasks = sorted(Path(f"/proc/{self.pid}/task").iterdir())
        if tasks != self.tasks:
            self.tasks, self.names = tasks, self._threads()
        found: dict[str, callgrind.Profile] = {}
        for path in sorted(self.out.glob(f"counts.{self.dumps}-*")):
            number = int(path.name.rpartition("-")[2])
            found.setdefault(self.names.get(number, f"ended-{number}"), callgrind.Profile()).add(callgrind.parse(path))
        assert found, f"callgrind wrote nothing: {(self.out / 'log').read_text()}"
        return found

    def _command(self, *words: str) -> str:
        """What valgrind says to a command."""
        try:
            done = subprocess.run(["vgdb", f"--pid={self.pid}", *words], capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Forbidden("valgrind does not hear vgdb, which wakes it by ptrace") from None
        if done.returncode != 0:
            raise Forbidden(f"vgdb: {done.stderr.strip()}")
        return done.stdout

    def _threads(self) -> dict[int, str]:
        """Names of the threads by callgrind's numbers, which it gives again when a thread has ended."""
        said = self._command("v.info", "scheduler")
        found = {}
        for number, task in re.findall(r"^Thread (\d+): .*\(lwpid (\d+)\)", said, re.MULTILINE):
            found[int(number)] = Path(f"/proc/{self.pid}/task/{task}/comm").read_text().strip()
        return found

    def stop(self) -> None:
        self.stack.stop()


def lock(path: Path) -> BinaryIO:
    """A lock of the server's, until it is closed."""
    file = path.open("a+b")
    # The kernel's struct flock; a lock of this open file alone (fcntl(2)).
    fcntl.fcntl(file, 38, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
    return file


@contextmanager
def held(stack: Stack) -> Iterator[None]:
    """No transaction begins meanwhile."""
    with lock(stack.data_dir / "write.lock"):
        yield


def append_as_group(stack: Stack, pid: int, connections: list[PoolConnection], requests: Iterable[bytes], first: bytes) -> None:
    """Append one request alone, and meanwhile so many others that they become one group; all must be answered with 204."""
    commit, pool = thread(pid, "commit"), thread(pid, "fastcgi-0")

    def call(task: int) -> str:
        return Path(f"/proc/{pid}/task/{task}/syscall").read_text().split()[0]

    requests = list(requests)
    with held(stack):
        connections[0].send(first)
        wait_until(lambda: call(commit) in _LOCKING, "a commit that waits for its lock")
        for connection, request in zip(connections[1:], requests, strict=True):
            connection.send(request)
        wait_until(lambda: not any(_unread(each.socket) for each in connections), "a pool that has read everything")
        wait_until(lambda: call(pool) in _IDLE, "a pool that is done with reading")
    for connection in connections:
        status, _, body = connection.receive()
        assert status == 204, (status, body)


def _unread(end: socket.socket) -> int:
    """Bytes that the other end has not read yet."""
    return struct.unpack("i", fcntl.ioctl(end, termios.TIOCOUTQ, struct.pack("i", 0)))[0]
