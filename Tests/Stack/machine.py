"""A Debian of its own: a clean root made by debootstrap, and systemd as process 1 in it, in namespaces of this machine."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import _die_with_parent, descendants, identity, wait_gone

PATIENCE = 90.0
PLAIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
BOOT = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do : > dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir -p mnt/old
pivot_root . mnt/old
umount -l mnt/old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target
"""
# What a machine without hardware does not need.
MASKED = ["systemd-udevd.service", "systemd-networkd.service", "apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "getty.target"]


def apt_lines() -> tuple[list[str], str]:
    """The sources of Debian's release that this machine uses, and the mirror."""
    form = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)"
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"], check=True, capture_output=True, text=True
    ).stdout.split("\n")
    rows = {tuple(row.split("|")) for row in targets if row}
    mirrors = sorted(uri for uri, release, component, _ in rows if release == "bookworm" and component == "main" and "debian" in uri)
    assert mirrors, f"apt knows no mirror of bookworm: {rows}"
    # Security fixes lie elsewhere; updates of the release are beside it.
    names = ("bookworm", "bookworm-updates", "bookworm-security")
    hosts = (mirrors[0], mirrors[0].rstrip("/") + "-security/")
    lines = [f"deb {uri} {release} main" for uri, release, component, _ in sorted(rows)
             if release in names and component == "main" and uri in hosts]  # fmt: skip
    return lines, mirrors[0]


def apt_settings() -> list[str]:
    """How this machine's apt reaches mirrors: proxies, time-outs, checks."""
    dump = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout.splitlines()
    names = ("Acquire::http", "Acquire::https", "Acquire::Check", "Acquire::Retries", "Acquire::Force")
    return [line for line in dump if line.startswith(names)] + ['Acquire::Languages "none";', "APT::Install-Recommends false;"]


def proxies() -> dict[str, str]:
    """For debootstrap, which asks the environment and not apt."""
    found = dict(os.environ)
    for line in apt_settings():
        for kind in ("http", "https"):
            if line.startswith(f"Acquire::{kind}::Proxy "):
                found.setdefault(f"{kind}_proxy", line.split('"')[1])
    return found


def unified() -> Path:
    """Where control groups of version 2 are."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" - ")
        if fields[1].startswith("cgroup2 "):
            return Path(fields[0].split()[4])
    raise OSError("no cgroup2")


class Machine:
    """A root file system, and what runs in it."""

    def __init__(self, root: Path):
        self.root = root
        self.process: subprocess.Popen[bytes] | None = None
        self.pid = 0
        self.group: Path | None = None

    # Before it runs.

    def bootstrap(self) -> None:
        """A minimal Debian 12 where nothing starts services, with this machine's sources of packages.

        `DSTEST_DEBIAN` names a root that was made before, to be copied instead.
        """
        if made := os.environ.get("DSTEST_DEBIAN"):
            self._call(["cp", "--archive", made, str(self.root)])
            return
        lines, mirror = apt_lines()
        keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
        options = [f"--keyring={keyring}"] if keyring.exists() else []
        self._call(["debootstrap", "--variant=minbase", "--include=ca-certificates", *options, "bookworm", str(self.root), mirror], env=proxies())
        (self.root / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
        (self.root / "etc/apt/apt.conf.d/90machine").write_text("\n".join(apt_settings()) + "\n")
        policy = self.root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        self.change("apt-get", "update", "-q")

    def change(self, *command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the root while no system runs there."""
        script = 'mount --make-rprivate / && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
        words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, str(self.root), *map(str, command)]
        return self._call(words, check=check, env=PLAIN)

    @staticmethod
    def _call(words: list[str], check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=240, preexec_fn=_die_with_parent, **options,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout[-4000:]}"
        return done

    # While it runs.

    def boot(self) -> None:
        """systemd as process 1, with processes, mounts, network and control groups of its own."""
        (self.root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
        (self.root / "etc/machine-id").write_text("")
        for unit in MASKED:
            (link := self.root / "etc/systemd/system" / unit).unlink(missing_ok=True)
            link.symlink_to("/dev/null")
        self.group = unified() / f"durable-streams-test-{os.getpid()}"
        self.group.mkdir()
        words = ["unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--kill-child", "bash", "-c", BOOT, "boot", str(self.root)]
        # The group is entered before its name space is made, so that it is the root of what is seen inside.
        enter = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self.group)]
        self.process = subprocess.Popen([*enter, *words], stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent, start_new_session=True)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the machine did not start"
            self.pid = next((pid for pid in descendants(self.process.pid) if self._is_systemd(pid)), 0)
            if self.pid and self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.2)
        raise AssertionError("the machine did not come up")

    @staticmethod
    def _is_systemd(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/comm").read_text().strip() == "systemd" and os.readlink(f"/proc/{pid}/root") == "/"
        except OSError:
            return False

    def run(self, *command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return self._call(["nsenter", "--target", str(self.pid), "--all", *map(str, command)], check=check, env=PLAIN)

    @contextmanager
    def network(self) -> Iterator[None]:
        """Sockets that are made meanwhile are in its network."""
        library = ctypes.CDLL(None, use_errno=True)
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            assert library.setns(there, 0x40000000) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            assert library.setns(own, 0x40000000) == 0
            os.close(there)
            os.close(own)

    def processes(self, name: str) -> list[int]:
        """Those whose program is in a path with this name."""
        found = []
        for pid in descendants(self.pid):
            try:
                if name in os.readlink(f"/proc/{pid}/exe"):
                    found.append(pid)
            except OSError:
                continue
        return found

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, check=False).stdout

    def halt(self) -> None:
        """End everything in it, and leave no trace of it but the root."""
        if self.process is None:
            return
        everything = [who for pid in descendants(self.process.pid) if (who := identity(pid))]
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        left = wait_gone(everything, 20)
        if self.group:
            for folder in [*sorted(self.group.rglob("*/"), key=lambda path: -len(path.parts)), self.group]:
                if folder.is_dir():
                    self._remove_group(folder)
        assert not left, f"processes of the machine are left: {left}"

    @staticmethod
    def _remove_group(folder: Path) -> None:
        deadline = time.monotonic() + 5
        while True:
            try:
                return folder.rmdir()
            except OSError:
                # The kernel needs a moment to see that the last process is gone.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def remove(self) -> None:
        self.halt()
        shutil.rmtree(self.root, ignore_errors=True)
