"""A machine with the package, how both are made, and what its streams are asked."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from machine import Machine, unified
from stack import BINARY, REPOSITORY

SERVICES = ["durable-streams-pool.service", "durable-streams-live.service"]
DATA = "var/lib/durable-streams"


def missing() -> str | None:
    """Why no machine can be made here."""
    if os.geteuid() != 0:
        return "needs root"
    if absent := [name for name in ("debootstrap", "lintian", "patchelf", "dpkg-shlibdeps", "unshare", "nsenter") if not shutil.which(name)]:
        return f"needs {', '.join(absent)}"
    try:
        if not os.access(unified() / "cgroup.procs", os.W_OK):
            return "needs control groups that it may write to"
    except OSError as error:
        return str(error)
    return None


def build(folder: Path) -> Path:
    script = REPOSITORY / "Config/debian/build-deb.py"
    done = subprocess.run([sys.executable, str(script), "--build", str(BINARY.parent), "--output", str(folder)], check=True, stdout=subprocess.PIPE, text=True, timeout=200)
    return Path(done.stdout.strip())


def rebuild(package: Path, version: str, change: Callable[[Path], None]) -> Path:
    """The same package with another version, and whatever else is changed in its files."""
    folder = package.with_name(f"v{version}")
    subprocess.run(["dpkg-deb", "-R", str(package), str(folder)], check=True, timeout=60)
    control = folder / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
    change(folder)
    made = package.with_name(f"durable-streams_{version}.deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(folder), str(made)], check=True, stdout=subprocess.DEVNULL, timeout=60)
    shutil.rmtree(folder)
    return made


class House:
    """The machine, as the test sees it."""

    def __init__(self, root: Path):
        self.machine = Machine(root / "root")
        self.token = ""

    def file(self, path: str) -> Path:
        return self.machine.root / path

    def tool(self, *words: object) -> str:
        """The last line of a command of the package, run as the user that the data belong to."""
        done = self.machine.run("runuser", "-u", "durable-streams", "--", "durable-streams", *words, "--data-dir", f"/{DATA}")
        return done.stdout.strip().splitlines()[-1]

    def connect(self, port: int, host: str = "127.0.0.1", alpn: str = "http/1.1") -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(host, port, timeout=30)
        with self.machine.network():
            connection.connect()
        if port == 443:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.load_verify_locations(self.file("etc/ssl/durable-streams/fullchain.pem"))
            context.set_alpn_protocols([alpn])
            connection.sock = context.wrap_socket(connection.sock, server_hostname="streams.example.org")
        return connection

    def ask(self, method: str, target: str, body: bytes | None = None, port: int = 443, host: str = "127.0.0.1", **headers: str) -> tuple[int, bytes, dict[str, str]]:
        fields = {"Host": "streams.example.org", "Authorization": f"Bearer {self.token}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        with closing(self.connect(port, host)) as connection:
            connection.request(method, target, body, fields)
            response = connection.getresponse()
            return response.status, response.read(), {k.lower(): v for k, v in response.getheaders()}

    def active(self, *units: str) -> bool:
        return self.machine.run("systemctl", "is-active", "--quiet", *units, check=False).returncode == 0

    def wait_for(self, condition: Callable[[], bool], what: str, within: float = 30) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, f"{what}\n" + "\n".join(self.machine.journal(unit)[-3000:] for unit in SERVICES)
            time.sleep(0.1)
