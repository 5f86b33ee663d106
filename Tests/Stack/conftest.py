"""Fixtures: a shared patient stack, a shared stack with small limits, and stacks, places and disks of one's own."""

from __future__ import annotations

import faulthandler
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before they are imported: an assertion of theirs that fails shows its values, as in a test.
pytest.register_assert_rewrite(
    "access", "admin_page", "bad_tokens", "browser", "browser_page", "damage", "disk", "disk_writers", "isolation", "load", "model_readers", "place", "refusals", "retention_forks"
)

from access import default_project, guarded, jwt_stack, project  # noqa: F401 (fixtures)
from admin_page import admin  # noqa: F401 (fixture)
from browser import browser  # noqa: F401 (fixture)
from browser_page import new_page  # noqa: F401 (fixture)
from client import Client, unique
from disk import MIB, Disk
from place import Place
from refusals import guarded_log  # noqa: F401 (fixture)
from stack import BINARY, DEFAULTS, Stack, remove_tree, temporary_root

faulthandler.enable()

# Waiting readers of the shared stack never time out inside a test.
PATIENT = {"DS_LONG_POLL_TIMEOUT": 25, "DS_SSE_LIFETIME": 120}
# Small limits, so that chunks, time-outs and refusals come early.
SMALL = {
    "DS_LONG_POLL_TIMEOUT": 0.5,
    "DS_SSE_LIFETIME": 1,
    "DS_SSE_KEEP_ALIVE": 1,
    "DS_READ_CHUNK_BYTES": 65536,
    "DS_MAX_BODY_BYTES": 300000,
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes many seconds (kills, soak); runs by default")


def pytest_sessionstart(session: pytest.Session) -> None:
    if not BINARY.exists():
        pytest.exit(f"{BINARY} does not exist; build first or set DS_BINARY", returncode=4)


def _shared(settings: dict[str, object]) -> Iterator[Stack]:
    root = temporary_root()
    stack = Stack(root / "data", **{**DEFAULTS, **settings})
    try:
        stack.start()
        yield stack
        stack.stop()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The stack most tests share: default limits, patient live readers."""
    yield from _shared(PATIENT)


@pytest.fixture(scope="session")
def small_stack() -> Iterator[Stack]:
    """64 KiB chunks, 300,000-byte bodies, half-second long-polls, one-second SSE."""
    yield from _shared(SMALL)


@pytest.fixture
def fresh_stack() -> Iterator[Callable[..., Stack]]:
    """A factory of stacks with their own settings; all are stopped at the end.

    A keyword `data_dir` or `port` reuses one; `start=False` returns it unstarted.
    """
    root, stacks = temporary_root(), []

    def make(*, data_dir: object = None, port: int | None = None, start: bool = True, **settings: object) -> Stack:
        stack = Stack(data_dir or root / f"d{len(stacks)}", port, **{**DEFAULTS, **settings})
        stacks.append(stack)
        return stack.start() if start else stack

    try:
        yield make
    finally:
        for stack in stacks:
            stack.stop(expect_clean=False)
        remove_tree(root)


@pytest.fixture
def http(stack: Stack) -> Iterator[Client]:
    """One keep-alive connection to the shared stack."""
    client = Client(stack)
    yield client
    client.close()


@pytest.fixture
def small(small_stack: Stack) -> Iterator[Client]:
    """One keep-alive connection to the stack with small limits."""
    client = Client(small_stack)
    yield client
    client.close()


@pytest.fixture
def path() -> str:
    """A stream path of this test alone, relative to the root."""
    return unique()


@pytest.fixture
def place(fresh_stack) -> Iterator[Place]:
    """A server to be backed up; whatever is restored from it is stopped at the end too."""
    root = temporary_root()
    place = Place(root, fresh_stack)
    try:
        yield place
    finally:
        for client in place.clients:
            client.close()
        for stack in {client.stack for client in place.clients}:
            stack.stop(expect_clean=False)
        remove_tree(root)


@pytest.fixture
def make_disk() -> Iterator[Callable[..., Disk]]:
    """A factory of small file systems, of so many bytes and so many percent kept for root."""
    disks: list[Disk] = []
    roots: list[Path] = []

    def make(size: int = 160 * MIB, reserved: int = 0) -> Disk:
        roots.append(temporary_root())
        disks.append(Disk(roots[-1], size, reserved))
        return disks[-1]

    try:
        yield make
    finally:
        for disk in disks:
            disk.close()
        for root in roots:
            remove_tree(root)


@pytest.fixture(scope="session")
def faults_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`faults.c` as a library for LD_PRELOAD."""
    compiler = next((found for name in ("clang", "cc") if (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("needs a C compiler: clang or cc")
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True, timeout=60)
    return library
