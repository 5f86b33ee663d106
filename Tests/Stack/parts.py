"""A pool and a live process as services of their own: what systemd does for them, done by the test."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from stack import BINARY, DEFAULTS, STOP_TIMEOUT, _die_with_parent, descendants, identity, wait_gone

PATIENCE = 20.0
# Sets LISTEN_PID, which only the process itself knows, and becomes the program.
LAUNCH = ["/bin/sh", "-c", 'export LISTEN_PID=${LISTEN_PID:-$$}; exec "$@"', "sh"]


class Notifications:
    """The socket that a service tells how it is (sd_notify(3)), in a folder or with an abstract name."""

    def __init__(self, name: str):
        self.name = name
        self.lines: list[str] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        if name.startswith("/"):
            os.chmod(name, 0o777)

    def next(self, within: float) -> list[str] | None:
        """The lines of the next message; None when none comes in time."""
        if not select.select([self.socket], [], [], within)[0]:
            return None
        lines = self.socket.recv(4096).decode().splitlines()
        self.lines += lines
        return lines

    def wait_for(self, line: str, within: float = PATIENCE) -> None:
        deadline = time.monotonic() + within
        while (rest := deadline - time.monotonic()) > 0:
            if line in (self.next(rest) or []):
                return
        raise AssertionError(f"no {line} within {within} s; there were {self.lines}")

    def drain(self) -> None:
        while self.next(0) is not None:
            pass

    def close(self) -> None:
        self.socket.close()


def listening(path: Path) -> socket.socket:
    """A socket as systemd's .socket units make it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o666)
    listener.listen(64)
    return listener


class Part:
    """`durable-streams serve --parts NAME` with what a service manager gives it."""

    def __init__(self, name: str, data: Path, **settings: object):
        self.name, self.data = name, data
        self.settings = {**DEFAULTS, "DS_DATA_DIR": data, **settings}
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data.with_name(f"{data.name}-{name}.log")
        self.notifications: Notifications | None = None
        self.seen: set[tuple[int, int]] = set()

    def spawn(
        self,
        sockets: dict[str, socket.socket] | None = None,
        account: dict[str, object] | None = None,
        **variables: object,
    ) -> Part:
        sockets = sockets or {}
        high = [fcntl.fcntl(passed.fileno(), fcntl.F_DUPFD_CLOEXEC, 200) for passed in sockets.values()]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DS_")}
        environment |= {k: str(v) for k, v in {**self.settings, **variables}.items()}
        if sockets:
            environment |= {"LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": ":".join(sockets)} | {
                k: str(v) for k, v in variables.items() if k.startswith("LISTEN")
            }
        if self.notifications:
            environment["NOTIFY_SOCKET"] = self.notifications.name

        def prepare() -> None:
            _die_with_parent()
            for number, passed in enumerate(high, start=3):
                os.dup2(passed, number)

        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*LAUNCH, str(BINARY), "serve", "--parts", self.name],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=prepare,
                pass_fds=range(3, 3 + len(high)),
                **(account or {}),
            )
        for descriptor in high:
            os.close(descriptor)
        return self

    def start(self, *arguments: object, notify: str | None = None, **options: object) -> Part:
        """Start it and wait until it says that it is ready."""
        if self.notifications is None:
            self.notifications = Notifications(notify or str(self.data.with_name(f"{self.data.name}-{self.name}.notify")))
        self.spawn(*arguments, **options)
        try:
            self.notifications.wait_for("READY=1")
        except AssertionError:
            raise AssertionError(self.text()) from None
        self.remember()
        return self

    def remember(self) -> list[int]:
        assert self.process
        pids = [self.process.pid, *descendants(self.process.pid)]
        self.seen |= {who for pid in pids if (who := identity(pid))}
        return pids[1:]

    def text(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def ended(self) -> tuple[int, str]:
        """The status of one that gives up by itself, and the last line that it wrote."""
        assert self.process
        status = self.process.wait(timeout=PATIENCE)
        return status, self.text().strip().splitlines()[-1]

    def stop(self, expect_clean: bool = True) -> None:
        if self.process is None:
            return
        self.remember()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process = None
        left = wait_gone(list(self.seen), 5.0)
        for who in left:
            with suppress(ProcessLookupError):
                os.kill(who[0], signal.SIGKILL)
        assert not expect_clean or (status == 0 and not left), (status, left, self.text())

    def close(self) -> None:
        self.stop(expect_clean=False)
        if self.notifications:
            self.notifications.close()


class OwnNginx:
    """An nginx of the administrator's, with what `nginx-config` wrote."""

    def __init__(self, folder: Path, port: int):
        self.folder, self.port = folder, port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> OwnNginx:
        self.process = subprocess.Popen(
            ["nginx", "-e", "stderr", "-p", f"{self.folder}/", "-c", "nginx.conf"],
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"},
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self.process.poll() is None and time.monotonic() < deadline, "nginx did not start"
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is None:
            return
        processes = [who for pid in [self.process.pid, *descendants(self.process.pid)] if (who := identity(pid))]
        self.process.terminate()
        self.process.wait(timeout=STOP_TIMEOUT)
        self.process = None
        assert not wait_gone(processes, 5)
