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


def examine(behind: Stack, certificate: Path, *arguments: object, front: Front = PUBLIC, trusted: bool = True, also: tuple = ()):
    with running(front, behind.port, certificate) as port:
        trust = ("--cacert", certificate / "fullchain.pem") if trusted else ()
        plain = [str(argument).replace("PORT", str(behind.port)) for argument in arguments]
        return doctor("--url", f"https://127.0.0.1:{port}", *trust, *also, *BODY, *plain)


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


def sign(folder: Path, authority: Path, name: str, *dates: str) -> Path:
    """A certificate made by another one, for other dates than from now on."""
    folder.mkdir()
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca = d\n[d]\ndatabase = {folder}/index.txt\nserial = {folder}/serial\nnew_certs_dir = {folder}\n"
        f"default_md = sha256\npolicy = p\nx509_extensions = x\n[p]\ncommonName = supplied\n[x]\nsubjectAltName = {name}\n")  # fmt: skip
    commands = [
        ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=streams.example.com",
         "-keyout", folder / "privkey.pem", "-out", folder / "request.pem"],
        ["ca", "-batch", "-notext", "-config", folder / "ca.cnf", *dates, "-cert", authority / "fullchain.pem",
         "-keyfile", authority / "privkey.pem", "-in", folder / "request.pem", "-out", folder / "fullchain.pem"],
    ]  # fmt: skip
    for command in commands:
        subprocess.run([tool("openssl"), *map(str, command)], check=True, capture_output=True, timeout=60)
    return folder


def test_it_has_ended(behind: Stack, certificate: Path, tmp_path: Path) -> None:
    ended = sign(tmp_path / "c", certificate, "IP:127.0.0.1", "-startdate", "20200101000000Z", "-enddate", "20200401000000Z")
    seen = examine(behind, ended, trusted=False, also=("--cacert", certificate / "fullchain.pem"))
    seen.check({"certificate": "certbot renew && nginx -s reload"})


def test_chain_is_missing(behind: Stack, certificate: Path, tmp_path: Path) -> None:
    """The server shows its own certificate, and not the one between it and those that are trusted."""
    authority = make_certificate(tmp_path / "a", "DNS:authority.example.com")
    lone = sign(tmp_path / "c", authority, "IP:127.0.0.1", "-days", "90")
    seen = examine(behind, lone, trusted=False, also=("--cacert", certificate / "fullchain.pem"))
    seen.check({"certificate": "fullchain.pem"})


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
