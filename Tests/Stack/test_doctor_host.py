"""`durable-streams doctor --data-dir`: what is wrong on the machine itself."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from front import doctor
from stack import BINARY, REPOSITORY, Stack, remove_tree, temporary_root

QUICK = ("--quick", "--max-body", "2MiB")


@pytest.fixture(scope="module")
def host() -> Iterator[Stack]:
    """A server whose surroundings are broken and mended by each test."""
    root = temporary_root()
    stack = Stack(root / "data", DS_MAX_BODY_BYTES=2 << 20)
    try:
        yield stack.start()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


def examine(stack: Stack, **settings: object):
    return doctor("--data-dir", stack.data_dir, *QUICK, **settings)


@pytest.mark.parametrize(
    ("name", "mode", "check"),
    [("secrets.key", 0o644, "permissions"), ("", 0o777, "permissions"), ("nginx/nginx.conf", 0o666, "permissions"), ("run/worker.sock", 0o666, "sockets")],
)
def test_modes(host: Stack, name: str, mode: int, check: str) -> None:
    path = host.data_dir / name
    before = path.stat().st_mode & 0o7777
    path.chmod(mode)
    try:
        seen = examine(host)
    finally:
        path.chmod(before)
    seen.check({check: "chmod "})
    # The mend is a command that mends it.
    path.chmod(mode)
    command = seen.findings[check]["mend"]
    subprocess.run(["sh", "-c", command], check=True, timeout=10)
    examine(host).check({})
    path.chmod(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_owner(host: Stack) -> None:
    path = host.data_dir / "secrets.key"
    os.chown(path, 1, -1)
    try:
        examine(host).check({"permissions": f"chown -R {os.geteuid()} "})
    finally:
        os.chown(path, os.geteuid(), -1)


def test_descriptors(host: Stack) -> None:
    """Fewer than nginx's configuration needs; then hardly any left."""
    (worker,) = host.processes("durable-streams-live")
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        examine(host).check({"descriptors": "LimitNOFILE"}, "warning")
        opened = len(os.listdir(f"/proc/{worker}/fd"))
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (int(opened / 0.82), before[1]))
        examine(host).check({"descriptors": "LimitNOFILE"})
    finally:
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)


def test_descriptors_of_nginx(host: Stack) -> None:
    """As many as it was told that it may have connections."""
    # Those of another user are not for us to limit.
    pids = [pid for pid in host.processes("nginx") if Path(f"/proc/{pid}").stat().st_uid == os.geteuid()]
    before = [resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids]
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (8192, before[0][1]))
    try:
        seen = doctor("--data-dir", host.data_dir, *QUICK)
    finally:
        for pid, limits in zip(pids, before):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    found = [one for one in seen.document["findings"] if one["check"] == "descriptors"]
    assert found and found == seen.document["findings"], seen.document["findings"]
    assert "8192 files open, fewer than its 16384 worker_connections" in found[0]["seen"] and found[0]["severity"] == "warning"


def test_key_in_nginx_files(host: Stack) -> None:
    """Whoever may enter the data directory could read it."""
    path = host.data_dir / "nginx/durable-streams-admin-pool.conf"
    modes = {one: one.stat().st_mode & 0o7777 for one in (host.data_dir, path)}
    host.data_dir.chmod(modes[host.data_dir] | 0o001)
    path.chmod(0o644)
    try:
        seen = doctor("--data-dir", host.data_dir, *QUICK)
    finally:
        for one, mode in modes.items():
            one.chmod(mode)
    assert any(f"{path} holds the operator's key" in one["seen"] for one in seen.document["findings"]), seen.document


def test_missing_socket(host: Stack) -> None:
    """Workers keep their connection to it: nothing else notices at once."""
    path = host.data_dir / "run/live.sock"
    path.rename(host.data_dir / "run/aside")
    try:
        seen = examine(host)
    finally:
        (host.data_dir / "run/aside").rename(path)
    assert "sockets" in seen.findings and "live.sock is missing" in seen.findings["sockets"]["seen"]


def test_another_directory(host: Stack, tmp_path: Path) -> None:
    seen = doctor("--url", f"http://127.0.0.1:{host.port}", "--data-dir", tmp_path, *QUICK)
    assert "processes" in seen.findings and "no process" in seen.findings["processes"]["seen"]
    assert set(seen.findings) <= {"processes", "permissions"}


def test_full_disk(fresh_stack) -> None:
    """Above the mark of the running server."""
    stack: Stack = fresh_stack(DS_DISK_HIGH_WATER=1)
    seen = doctor("--data-dir", stack.data_dir, *QUICK)
    assert {one["check"] for one in seen.document["findings"]} == {"disk-space"} and seen.status == 1
    seen_words = [one["seen"] for one in seen.document["findings"]]
    assert any("above 1 %" in words for words in seen_words) and any("507" in words for words in seen_words), seen_words


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs /dev/shm")
def test_memory(fresh_stack) -> None:
    folder = Path(f"/dev/shm/ds-doctor-{os.getpid()}")
    try:
        stack: Stack = fresh_stack(data_dir=folder)
        doctor("--data-dir", stack.data_dir, *QUICK).check({"file-system": "rsync"}, "warning")
    finally:
        remove_tree(folder)
        folder.with_name(folder.name + ".log").unlink(missing_ok=True)


def test_slow_disk(host: Stack, tmp_path: Path) -> None:
    compiler = next((found for name in ("clang", "cc") if (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("needs a C compiler: clang or cc")
    (source := tmp_path / "slow.c").write_text("#include <unistd.h>\nint fdatasync(int fd) { (void)fd; usleep(25000); return 0; }\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(tmp_path / "slow.so"), str(source)], check=True, timeout=60)
    seen = examine(host, LD_PRELOAD=tmp_path / "slow.so")
    seen.check({"fsync": "power-loss protection"}, "warning")
    assert seen.document["measured"]["fsync_microseconds"] >= 25_000


def test_kernel(host: Stack, tmp_path: Path) -> None:
    """With a smaller number in place of the kernel's, in a view of files of its own."""
    (number := tmp_path / "somaxconn").write_text("128\n")
    script = f"mount --make-rprivate / && mount --bind {number} /proc/sys/net/core/somaxconn && exec \"$@\""
    unshare = ["unshare", "-m", "sh", "-c", script, "sh"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs a mount namespace")
    done = subprocess.run(
        [*unshare, str(BINARY), "doctor", "--data-dir", str(host.data_dir), *QUICK], capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 0 and "note: kernel: net.core.somaxconn is 128" in done.stdout, done.stdout + done.stderr
    assert "sysctl -w net.core.somaxconn=4096" in done.stdout


def test_replaced_program(fresh_stack, tmp_path: Path) -> None:
    """As an upgrade leaves it before the reload."""
    for name in ("durable-streams", "durable-streams-worker", "durable-streams-live"):
        shutil.copy2(BINARY.with_name(name), tmp_path / name)
    stack: Stack = fresh_stack(start=False, DS_NGINX_TEMPLATES=REPOSITORY / "nginx")
    stack.binary = tmp_path / "durable-streams"
    stack.start()
    examine(stack).check({})
    (tmp_path / "durable-streams-worker").unlink()
    examine(stack).check({"versions": "durable-streams reload"}, "warning")
