"""`durable-streams doctor` on TLS: the proxy of docs/deployment.md is well, and what is wrong with others is found."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from front import Front, doctor, running
from stack import Stack, remove_tree, temporary_root
from test_nginx_config import tool

BODY = ("--max-body", "2MiB", "--quick")


def make_certificate(folder: Path, name: str = "IP:127.0.0.1", days: int = 90) -> Path:
    """A folder with a self-signed certificate under the names that certbot gives."""
    folder.mkdir()
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(days),
         "-subj", "/CN=streams.example.com", "-addext", f"subjectAltName={name}",
         "-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")],
        check=True, capture_output=True, timeout=60)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "good")


@pytest.fixture(scope="module")
def behind() -> Iterator[Stack]:
    root = temporary_root()
    stack = Stack(root / "data", DS_MAX_BODY_BYTES=2 << 20)
    try:
        yield stack.start()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


# The server does not know that it is behind TLS: `public_url` has to say so.
PUBLIC = Front(location="proxy_redirect http:// https://;")


def examine(behind: Stack, certificate: Path, *arguments: object, front: Front = PUBLIC, trusted: bool = True, **settings: object):
    with running(front, behind.port, certificate) as port:
        trust = ("--ca-file", certificate / "fullchain.pem") if trusted else ()
        plain = [str(argument).replace("PORT", str(behind.port)) for argument in arguments]
        return doctor("--url", f"https://127.0.0.1:{port}", *trust, *BODY, *plain, **settings)


def test_documented_proxy(behind: Stack, certificate: Path) -> None:
    seen = examine(behind, certificate)
    seen.check({})
    assert {"certificate", "tls-version", "http2"}.isdisjoint(seen.left_out)
    measured = seen.document["measured"]
    assert (measured["tls"], measured["http"]) == ("TLSv1.3", "2") and measured["certificate_days"] in (89, 90)


def test_location_without_tls(behind: Stack, certificate: Path) -> None:
    """The page says why `public_url` is needed: this is why."""
    seen = examine(behind, certificate, front=Front(location="proxy_redirect off;"))
    seen.check({"location": "DS_PUBLIC_URL=https://127.0.0.1:"}, "warning")


def test_nobody_trusts_it(behind: Stack, certificate: Path) -> None:
    """The rest is asked all the same."""
    seen = examine(behind, certificate, trusted=False)
    seen.check({"certificate": "certbot certonly"})
    assert "own-writes" not in seen.left_out


def test_another_name(behind: Stack, tmp_path: Path) -> None:
    examine(behind, make_certificate(tmp_path / "c", "DNS:other.example.com")).check({"certificate": "certbot certonly -d 127.0.0.1"})


def test_it_ends_soon(behind: Stack, tmp_path: Path) -> None:
    examine(behind, make_certificate(tmp_path / "c", days=5)).check({"certificate": "certbot renew"}, "warning")


def test_it_has_ended(behind: Stack, certificate: Path, faults_library) -> None:
    """By the clock of this side, which is then the server's future."""
    seen = examine(behind, certificate, LD_PRELOAD=faults_library, FAULTS_LATER=100 * 86_400)
    assert {"clock"} <= set(seen.findings) <= {"clock", "certificate"}, seen.findings


def test_without_http2(behind: Stack, certificate: Path) -> None:
    front = Front(location=PUBLIC.location, changes={" http2;": ";"})
    examine(behind, certificate, front=front).check({"http2": "http2"}, "warning")


def test_old_tls(behind: Stack, certificate: Path) -> None:
    front = Front(location=PUBLIC.location, changes={"TLSv1.2 TLSv1.3": "TLSv1.2"})
    examine(behind, certificate, front=front).check({"tls-version": "ssl_protocols TLSv1.2 TLSv1.3;"}, "note")


def test_no_redirection(behind: Stack, certificate: Path) -> None:
    """Of the URL that has to lead to https."""
    seen = examine(behind, certificate, "--plain-url", "http://127.0.0.1:PORT/healthz")
    seen.check({"plain-http": "return 308 https://$host$request_uri;"}, "warning")


def test_redirection(behind: Stack, certificate: Path) -> None:
    with running(Front(location="return 308 https://$host$request_uri;"), behind.port) as port:
        seen = examine(behind, certificate, "--plain-url", f"http://127.0.0.1:{port}/healthz")
    seen.check({})
    assert "plain-http" not in seen.left_out
