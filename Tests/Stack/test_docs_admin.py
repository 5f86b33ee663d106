"""docs/operations.md: the other ways to protect the admin page let in whom they should, and nobody else."""

from __future__ import annotations

import base64
import ctypes
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from commands import run
from stack import Stack, free_port, remove_tree, temporary_root
from test_docs import CERTIFICATES, TEXTS
from test_doctor_tls import make_certificate
from test_nginx_config import tool
from test_readme import blocks
from wire import Connection, ConnectionClosed


@pytest.fixture(scope="module")
def served() -> Iterator[Stack]:
    """A server whose admin page lets every address as far as the password."""
    root = temporary_root()
    stack = Stack(root / "data", DS_ADMIN_ALLOW="0.0.0.0/0 ::/0")
    try:
        yield stack.start()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


@contextmanager
def documented(stack: Stack, number: int, changes: dict[str, str]) -> Iterator[tuple[int, Path]]:
    """The page's block in an nginx of its own: its port, and a folder with certificates."""
    root, port = temporary_root(), free_port()
    make_certificate(root / "tls")
    run("nginx-config", "--output", root / "files", DS_DATA_DIR=stack.data_dir, **stack.settings).expect(0)
    block = blocks(TEXTS["operations.md"], "nginx")[number].replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    places = {CERTIFICATES: f"{root}/tls", "/etc/nginx/admins-ca.pem": f"{root}/tls/fullchain.pem", "/etc/nginx/durable-streams/": f"{root}/files/"}
    for old, new in (places | changes).items():
        block = block.replace(old, new)
    # A cache of its own; the server's nginx has that which the files name.
    http = root / "files/durable-streams-http.conf"
    http.write_text(http.read_text().replace(f"{stack.data_dir}/nginx/cache", f"{root}/cache"))
    temporary = "".join(f"{kind}_temp_path {root}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    include = f"include {http};" if "durable-streams-server.conf" in block else ""
    (root / "nginx.conf").write_text(
        f"user root;\ndaemon off;\nworker_processes 1;\npid {root}/pid;\nerror_log {root}/error.log;\nevents {{}}\n"
        f"http {{\n{temporary}access_log off;\n{include}\n{block}\n}}\n")  # fmt: skip
    nginx = subprocess.Popen(
        [tool("nginx"), "-e", "stderr", "-c", f"{root}/nginx.conf"], stdin=subprocess.DEVNULL,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM))  # fmt: skip
    try:
        deadline = time.monotonic() + 10
        while True:
            assert nginx.poll() is None and time.monotonic() < deadline, (root / "nginx.conf").read_text()
            try:
                Connection(port).close()
                break
            except ConnectionClosed:
                time.sleep(0.01)
        yield port, root / "tls"
    finally:
        nginx.kill()
        nginx.wait()
        remove_tree(root)


def status(url: str, *options: str) -> int:
    done = subprocess.run(
        ["curl", "-q", "--noproxy", "*", "-sk", "-o", "/dev/null", "-w", "%{http_code}", *options, url], capture_output=True, text=True, timeout=30
    )
    return int(done.stdout)


def password(stack: Stack) -> str:
    return (stack.data_dir / "admin-password").read_text().strip()


def test_client_certificates(served: Stack) -> None:
    """Without one nobody gets as far as the password, in whatever spelling; streams are as they were."""
    with documented(served, 0, {}) as (port, tls):
        origin = f"https://127.0.0.1:{port}"
        mine = ("--cert", f"{tls}/fullchain.pem", "--key", f"{tls}/privkey.pem")
        user = ("-u", f"admin:{password(served)}")
        for path in ("/admin", "/admin/", "/admin/metrics", "/admin/v1/stream/a", "/%61dmin/", "//admin/", "/./admin/"):
            assert status(origin + path, "--path-as-is", *user) in (400, 403, 404), path
        assert status(origin + "/admin/", *user) == 403
        assert status(origin + "/admin/", *mine) == 401
        assert status(origin + "/admin/", *mine, *user) == 200
        assert status(origin + "/v1/stream/none") == 404 and status(origin + "/v1/stream/none", *mine) == 404


class SignOn(BaseHTTPRequestHandler):
    """Lets in who has its cookie."""

    def do_GET(self) -> None:
        if self.path == "/oauth2/auth":
            self.send_response(202 if "session=good" in self.headers.get("Cookie", "") else 401)
        else:
            self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_single_sign_on(served: Stack) -> None:
    """Who has signed in needs no password; who hasn't gets the page for that, whatever password he sends."""
    service = ThreadingHTTPServer(("127.0.0.1", 0), SignOn)
    thread = threading.Thread(target=service.serve_forever, args=(0.02,))
    thread.start()
    try:
        changes = {
            "127.0.0.1:4180": f"127.0.0.1:{service.server_port}",
            "127.0.0.1:4437": f"127.0.0.1:{served.port}",
            "YWRtaW46UEFTU1dPUkQ=": base64.b64encode(f"admin:{password(served)}".encode()).decode(),
        }
        with documented(served, 1, changes) as (port, _):
            origin = f"https://127.0.0.1:{port}"
            signed = ("-H", "Cookie: session=good")
            assert status(origin + "/admin/", *signed) == 200 and status(origin + "/admin/metrics", *signed) in (200, 404)
            for path in ("/admin/", "/admin/api/overview", "/%61dmin/", "//admin/"):
                assert status(origin + path, "--path-as-is", "-u", f"admin:{password(served)}") in (403, 404), path
            assert status(origin + "/v1/stream/a", *signed) == 404
            # What the page changes; pages of others change nothing.
            make = ("-X", "PUT", "-H", "Content-Type: text/plain", "-H", "X-DS-Admin: 1", "-H", "Host: streams-admin.example.com")
            for own, expected in (("https://streams-admin.example.com", 201), ("https://evil.example.com", 403), ("https://evil.example.com, x", 403)):
                assert status(origin + "/admin/v1/stream/made", *signed, *make, "-H", f"Origin: {own}") == expected, own
    finally:
        service.shutdown()
        service.server_close()
        thread.join()
