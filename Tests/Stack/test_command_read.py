"""`read`: exact bytes, lines of JSON, resuming, and following through rotation, restarts, closure and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from cli import INTERRUPTED, Follower, answer, answering, ask, finish, start, wait_for
from client import Client
from stack import Stack

MIB = 1 << 20


def next_offset(err: str) -> str:
    (line,) = [line for line in err.splitlines() if line.startswith("next offset: ")]
    return line.removeprefix("next offset: ")


def test_long_binary_stream(stack: Stack, http: Client, path: str, tmp_path: Path) -> None:
    """30 MB in pieces and segments, byte by byte, to a file and through a pipe."""
    content = os.urandom(30_000_000)
    http.create(path, "application/octet-stream")
    for start_ in range(0, len(content), 5 * MIB):
        http.append(path, "application/octet-stream", content[start_ : start_ + 5 * MIB])
    done = ask(stack, "read", path).expect(0)
    assert done.out == content and next_offset(done.err) == http.head(path).offset
    assert ask(stack, "read", path, "--offset", next_offset(done.err)).expect(0).out == b""
    assert ask(stack, "read", path, "--now", "--quiet").expect(0) == (done.__class__(0, b"", ""))


def test_json_lines_and_arrays(stack: Stack, http: Client, path: str) -> None:
    messages = ['{"a": [1, 2], "b":"],\\"[,"}', "[[]]", '"\\\\"', "7", "{\n\t\"x\" :\r\n1}", "[" * 511 + "]" * 511, "[]", '""']
    http.create(path, "application/json")
    http.append(path, "application/json", "[" + ",".join(messages) + "]")
    out = ask(stack, "read", path).expect(0).text
    assert out.splitlines() == [message.replace("\n", " ").replace("\r", " ") for message in messages]
    assert ask(stack, "read", path, "--arrays").expect(0).text.count("\n") == 1
    http.create(f"{path}-empty", "application/json")
    assert ask(stack, "read", f"{path}-empty").expect(0).out == b""


def test_many_pieces_of_json(small_stack: Stack, small: Client, path: str) -> None:
    small.create(path, "application/json")
    for start_ in range(0, 20_000, 5_000):
        small.append(path, "application/json", json.dumps([{"n": n, "s": "x" * 20} for n in range(start_, start_ + 5_000)]))
    lines = ask(small_stack, "read", path).expect(0).text.splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(20_000))


def test_offset_file(stack: Stack, http: Client, path: str, tmp_path: Path) -> None:
    file = tmp_path / "offset"
    http.create(path, "text/plain", "one")
    done = ask(stack, "read", path, "--offset-file", file).expect(0)
    assert done.out == b"one" and done.err == "" and file.read_text().strip() == http.head(path).offset
    http.append(path, "text/plain", "two")
    assert ask(stack, "read", path, "--offset-file", file).expect(0).out == b"two"
    assert ask(stack, "read", path, "--offset-file", file).expect(0).out == b""
    assert ask(stack, "read", path, "--offset-file", file, "--offset", "-1").expect(0).out == b"onetwo"
    http.delete(path)
    http.create(path, "text/plain", "another")
    assert "410" in ask(stack, "read", path, "--offset-file", file).expect(1).refusal
    file.write_text("../../x\n")
    assert "holds no offset" in ask(stack, "read", path, "--offset-file", file).expect(65).refusal
    assert ask(stack, "read", path, "--offset-file", "/nowhere/x").expect(73).out == b"another"


def test_closed_deleted_expired(stack: Stack, http: Client, path: str) -> None:
    http.create(path, "text/plain", "all", Stream_Closed="true")
    assert ask(stack, "read", path, "--follow").expect(0).out == b"all"
    http.delete(path)
    assert "404 STREAM_NOT_FOUND" in ask(stack, "read", path).expect(1).refusal
    assert "404" in ask(stack, "read", path, "--follow").expect(1).refusal
    http.create(f"{path}-x", "text/plain", "x", Stream_TTL="0")
    assert "404" in ask(stack, "read", f"{path}-x").expect(1).refusal


TEXT = ["plain", "a\nb\n", "\r\n", "cr\rlf\n", "ü", "\n", "end"]
KINDS: dict[str, tuple[str, list[bytes], bytes]] = {
    "bytes": ("application/octet-stream", [bytes(range(256)), b"\0", b"\r\n\r", os.urandom(5_000)], b""),
    "text": ("text/plain", [part.encode() for part in TEXT] + [b"\xff\xfe", b"tail"], b""),
    "json": ("application/json", [b'{"a":\r\n1}', b"[1,[2]]", b'"\\n"'], b'{"a":  1}\n1\n[2]\n"\\n"\n'),
}


@pytest.mark.parametrize("kind", KINDS)
def test_follow(small_stack: Stack, small: Client, path: str, kind: str) -> None:
    """From before the first append to closure, across rotations of the event stream, which end after a second."""
    type, parts, expected = KINDS[kind]
    small.create(path, type)
    with Follower(small_stack, path, "--quiet") as follower:
        so_far = b""
        for part in parts:
            small.append(path, type, part)
            if not expected:
                so_far += part
                follower.wait(so_far)
        follower.wait(expected or so_far)
        small.post(path, None, None, Stream_Closed="true")
        assert follower.end() == 0
        assert follower.out == (expected or so_far) and not follower.err


def test_follow_through_restart(fresh_stack, tmp_path: Path) -> None:
    """Each message once, though the live process and then the whole server end; a signal ends it, and its place is kept."""
    stack: Stack = fresh_stack(DS_SSE_LIFETIME=1)
    client = Client(stack)
    client.create("a", "application/json", "[0]")
    file = tmp_path / "offset"
    with Follower(stack, "a", "--offset-file", file) as follower:
        follower.wait(b"0\n")
        client.append("a", "application/json", "[1]")
        follower.wait(b"0\n1\n")
        os.kill(stack.processes("durable-streams-live")[0], signal.SIGKILL)
        client.append("a", "application/json", "[2]")
        follower.wait(b"0\n1\n2\n")
        client.close()
        stack.stop(expect_clean=False)
        stack.start()
        client.append("a", "application/json", "[3]")
        follower.wait(b"0\n1\n2\n3\n")
        wait_for(lambda: file.read_text().strip() == client.head("a").offset)
        assert follower.end(signal.SIGINT) == INTERRUPTED and not follower.err
    client.append("a", "application/json", "[4]")
    with Follower(stack, "a", "--offset-file", file) as follower:
        follower.wait(b"4\n")
    client.close()


def test_interrupt_tells_the_offset(stack: Stack, http: Client, path: str) -> None:
    http.create(path, "text/plain", "abc")
    with Follower(stack, path) as follower:
        follower.wait(b"abc")
        assert follower.end(signal.SIGTERM) == -signal.SIGTERM
        assert next_offset(follower.err.decode()) == http.head(path).offset


@pytest.mark.parametrize("follow", [False, True])
def test_reader_of_the_pipe_goes(stack: Stack, http: Client, path: str, follow: bool) -> None:
    """As any tool before `head`, it ends by SIGPIPE, also while nothing is appended."""
    http.create(path, "text/plain", "x" * 500_000)
    source, sink = os.pipe()
    command = start("read", path, *(["--follow"] if follow else []), stdout=sink, DS_URL=f"http://127.0.0.1:{stack.port}")
    os.close(sink)
    if follow:
        taken = 0
        while taken < 500_000:
            taken += len(os.read(source, 65_536))
    os.close(source)
    assert finish(command).status == -signal.SIGPIPE


def test_full_disk(stack: Stack, http: Client, path: str) -> None:
    http.create(path, "text/plain", "x" * 100)
    with open("/dev/full", "wb") as full:
        command = start("read", path, "--quiet", stdout=full.fileno(), DS_URL=f"http://127.0.0.1:{stack.port}")
        assert "standard output" in finish(command).expect(74).refusal


HEAD = "HTTP/1.1 200 OK\nContent-Type: text/plain\nStream-Next-Offset: {next}\n{more}Content-Length: {length}\n\n{body}"


def test_a_piece_that_breaks_off() -> None:
    """It is read again, and nothing of it comes out twice."""
    first = answer(HEAD.format(next="1_3", more="", length=3, body="abc"))
    broken = answer(HEAD.format(next="1_6", more="", length=3, body="d"))
    last = answer(HEAD.format(next="1_6", more="Stream-Up-To-Date: true\n", length=3, body="def"))
    with answering(first, broken, last) as (url, requests):
        done = ask(None, "read", "a", "--url", url).expect(0)
    assert done.out == b"abcdef" and next_offset(done.err) == "1_6"
    assert [request.split()[1] for request in requests] == [f"/v1/stream/a?offset={at}".encode() for at in ("-1", "1_3", "1_3")]


def test_impatience() -> None:
    first = answer(HEAD.format(next="1_3", more="", length=3, body="abc"))
    with answering(first, lambda *_: None) as (url, _):
        done = ask(None, "read", "a", "--url", url, "--retry-for", 1).expect(75)
    assert done.out == b"abc" and next_offset(done.err) == "1_3"


def test_follow_with_a_token_that_is_renewed(jwt_stack, guarded: Client, project, tmp_path: Path) -> None:
    """The file is read again with each request; without a token, or with a wrong one, the refusal is told."""
    project.create(guarded, "a", "text/plain", "x")
    file = tmp_path / "token"
    options = ["a", "--project", project.name]
    assert "401" in ask(jwt_stack, "read", *options).expect(1).refusal
    assert "401" in ask(jwt_stack, "read", *options, "--token", "x.y.z").expect(1).refusal
    assert ask(jwt_stack, "read", *options, "--token", project.token("read")).expect(0).out == b"x"
    assert "403" in ask(jwt_stack, "append", *options, "y", "--content-type", "text/plain", DS_TOKEN=project.token("read")).expect(1).refusal
    assert ask(jwt_stack, "append", *options, "y", DS_TOKEN=project.token("write")).expect(0).out
    header = ["-H", f"Authorization: Bearer {project.token('read')}"]
    told = json.loads(ask(jwt_stack, "inspect", *options, "--json", *header).expect(0).out)
    assert told["reader_key"]
    file.write_text(project.token("read", expires_in=2) + "\n")
    with Follower(jwt_stack, *options, "--token-file", file) as follower:
        follower.wait(b"xy")
        file.write_text(project.token("read"))
        # The first token has ended by then, and its event stream with it.
        project.append(guarded, "a", "z")
        follower.wait(b"xyz")
        assert follower.process.poll() is None


def test_tls(stack: Stack, http: Client, path: str, tls: tuple[str, Path]) -> None:
    """Through an nginx with HTTP/2 and a certificate of our own."""
    url, certificate = tls
    http.create(path, "application/json", "[1]")
    refused = ask(None, "read", path, "--url", url).expect(76)
    assert "TLS" in refused.refusal and "certificate" in refused.refusal
    options = ["--url", url, "--cacert", certificate]
    assert ask(None, "append", path, "[2,3]", *options).expect(0).out
    assert ask(None, "read", path, *options).expect(0).out == b"1\n2\n3\n"
    with Follower(stack, path, *options) as follower:
        follower.wait(b"1\n2\n3\n")
        http.append(path, "application/json", "[4]")
        follower.wait(b"1\n2\n3\n4\n")
        http.post(path, None, None, Stream_Closed="true")
        assert follower.end() == 0


@pytest.fixture
def tls(stack: Stack, tmp_path: Path):
    """An nginx with TLS and HTTP/2 before the server."""
    from stack import free_port
    from test_nginx_config import tool

    port = free_port()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    temporary = "".join(f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (tmp_path / "nginx.conf").write_text(
        f"""daemon off; pid {tmp_path}/pid; error_log stderr; {"user root;" if os.geteuid() == 0 else ""} worker_processes 1; events {{}}
        http {{ access_log off; {temporary}
          server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key};
            client_max_body_size 0;
            location / {{ proxy_pass http://127.0.0.1:{stack.port}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }} }}"""
    )
    process = subprocess.Popen([tool("nginx"), "-e", "stderr", "-p", str(tmp_path), "-c", "nginx.conf"], stderr=subprocess.PIPE)
    try:
        import socket

        def listens() -> bool:
            assert process.poll() is None, process.stderr.read()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_for(listens)
        yield f"https://localhost:{port}", certificate
    finally:
        process.terminate()
        process.wait(10)
        process.stderr.close()
