"""An nginx in front of a server, right or broken in one way, and what `durable-streams doctor` says of it."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from commands import run
from stack import REPOSITORY, free_port, remove_tree, temporary_root
from test_nginx_config import tool
from wire import Connection, ConnectionClosed

_PR_SET_PDEATHSIG = 1


def documented_proxy() -> str:
    """The proxy that docs/deployment.md shows."""
    page = (REPOSITORY / "docs/deployment.md").read_text(encoding="utf-8")
    (block,) = [one for one in re.findall(r"^```nginx\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) if "upstream durable_streams " in one]
    return block


@dataclass
class Front:
    """What is put into the documented proxy, and what is taken out of it."""

    http: str = ""
    server: str = ""
    location: str = ""
    # Lines of the page in other words: pattern and replacement.
    changes: dict[str, str] = field(default_factory=dict)

    def text(self, backend: int, port: int, folder: Path, certificate: Path | None) -> str:
        block = documented_proxy().replace("127.0.0.1:4437", f"127.0.0.1:{backend}")
        if certificate:
            block = block.replace("/etc/letsencrypt/live/streams.example.com", str(certificate))
            block = block.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        else:
            block = re.sub(r"^\s*ssl_certificate.*\n", "", block, flags=re.MULTILINE).replace("listen 443 ssl http2", f"listen 127.0.0.1:{port}")
        for old, new in self.changes.items():
            block, count = re.subn(old, new, block)
            assert count, f"the page's proxy has no {old}"
        block = block.replace("location / {", f"{self.server}\n    location / {{\n        {self.location}")
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;\n" if os.geteuid() == 0 else ""
        return (
            f"{user}daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
            f"http {{\n{temporary}access_log off;\nproxy_cache_path {folder}/cache keys_zone=c:1m;\n{self.http}\n{block}\n}}\n"
        )


@contextmanager
def running(front: Front, backend: int, certificate: Path | None = None) -> Iterator[int]:
    """Its port."""
    folder, port = temporary_root(), free_port()
    (folder / "nginx.conf").write_text(front.text(backend, port, folder, certificate))
    nginx = subprocess.Popen(
        [tool("nginx"), "-e", "stderr", "-p", f"{folder}/", "-c", f"{folder}/nginx.conf"], stdin=subprocess.DEVNULL,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM))  # fmt: skip
    try:
        deadline = time.monotonic() + 10
        while True:
            assert nginx.poll() is None and time.monotonic() < deadline, (folder / "nginx.conf").read_text()
            try:
                Connection(port).close()
                break
            except ConnectionClosed:
                time.sleep(0.01)
        yield port
    finally:
        nginx.terminate()
        try:
            nginx.wait(10)
        except subprocess.TimeoutExpired:
            nginx.kill()
            nginx.wait()
        remove_tree(folder)


@dataclass(frozen=True)
class Seen:
    """What doctor says."""

    status: int
    document: dict[str, object]

    @property
    def findings(self) -> dict[str, dict[str, str]]:
        """By check; each has at most one here."""
        found = {one["check"]: one for one in self.document["findings"]}
        assert len(found) == len(self.document["findings"]), self.document["findings"]
        return found

    @property
    def left_out(self) -> dict[str, str]:
        return {one["name"]: one["reason"] for one in self.document["checks"] if one["result"] == "left out"}

    def check(self, expected: dict[str, str], severity: str = "error") -> None:
        """Just these findings, with words that each mend has."""
        told = json.dumps(self.document["findings"], indent=1)
        assert set(self.findings) == set(expected), told
        for name, words in expected.items():
            assert words in self.findings[name]["mend"], told
            assert all(self.findings[name][part] for part in ("seen", "matters", "mend")), told
        assert {one["severity"] for one in self.findings.values()} == ({severity} if expected else set()), told
        assert self.status == (1 if expected and severity != "note" else 0), told


def doctor(*arguments: object, status: set[int] = frozenset((0, 1)), **settings: object) -> Seen:
    outcome = run("doctor", *arguments, "--json", **settings)
    assert outcome.status in status, outcome.describe()
    return Seen(outcome.status, json.loads(outcome.out))


Examine = Callable[..., Seen]
