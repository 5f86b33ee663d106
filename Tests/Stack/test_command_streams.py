"""`create`, `inspect`, `append`, `close`, `delete`: what they send, print and answer."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess

import pytest

from cli import answer, answering, ask, finish, start
from client import Client, expect, producer
from stack import Stack, free_port


def test_life_of_a_stream(stack: Stack, http: Client, path: str) -> None:
    created = ask(stack, "create", path, "hello, ", "--content-type", "text/plain").expect(0)
    assert created.text.strip() == http.head(path).offset and not created.err
    appended = ask(stack, "append", path, "world").expect(0)
    assert appended.text.strip() == http.head(path).offset
    assert http.get(path).body == b"hello, world"
    told = json.loads(ask(stack, "inspect", path, "--json").expect(0).out)
    assert told == {
        "url": f"http://127.0.0.1:{stack.port}/v1/stream/{path}",
        "content_type": "text/plain",
        "state": "open",
        "public": False,
        "next_offset": appended.text.strip(),
        "earliest_offset": None,
        "ttl_seconds": None,
        "expires_at": None,
        "retention": {"age": None, "bytes": None, "messages": None},
        "reader_key": None,
    }
    closed = ask(stack, "close", path).expect(0)
    assert closed.text == appended.text and "Stream-Closed" in http.head(path)
    refused = ask(stack, "append", path, "more").expect(1)
    assert "409 STREAM_CLOSED" in refused.refusal and path in refused.refusal and not refused.out
    assert ask(stack, "delete", path).expect(0).out == b""
    assert "404" in ask(stack, "inspect", path).expect(1).refusal
    assert "404 STREAM_NOT_FOUND" in ask(stack, "delete", path).expect(1).refusal
    assert "404" in ask(stack, "append", path, "x").expect(1).refusal


def test_everything_that_inspect_tells(stack: Stack, path: str) -> None:
    options = ["--ttl", 3600, "--retention-age", 60, "--retention-bytes", "1MiB", "--retention-messages", 5, "--public", "--closed"]
    ask(stack, "create", path, "[1,2]", "--content-type", "application/json", *options).expect(0)
    told = json.loads(ask(stack, "inspect", path, "--json").expect(0).out)
    assert told["retention"] == {"age": 60, "bytes": 1 << 20, "messages": 5} and told["ttl_seconds"] == 3600
    assert told["state"] == "closed" and told["content_type"] == "application/json"
    words = ask(stack, "inspect", path).expect(0).text
    for part in ("closed", "3600 seconds after its last use", "the last 5 messages", told["next_offset"], path):
        assert part in words, words


def test_create_twice_fork_and_expiry(stack: Stack, http: Client, path: str) -> None:
    first = json.loads(ask(stack, "create", path, "--file", "-", "--content-type", "text/plain", "--json", input=b"abc").expect(0).out)
    assert first["created"] and first["url"].endswith(path)
    again = json.loads(ask(stack, "create", path, "--content-type", "text/plain", "--json").expect(0).out)
    assert not again["created"] and again["next_offset"] == first["next_offset"]
    assert "409" in ask(stack, "create", path, "--content-type", "text/html").expect(1).refusal
    ask(stack, "create", f"{path}-fork", "--fork-from", path, "--fork-offset", first["next_offset"]).expect(0)
    assert http.get(f"{path}-fork").body == b"abc"
    ask(stack, "create", f"{path}-old", "--expires-at", "2001-01-01T00:00:00Z").expect(0)
    assert "404" in ask(stack, "inspect", f"{path}-old").expect(1).refusal


def test_paths_are_taken_as_they_are(stack: Stack, http: Client, path: str) -> None:
    """A path is text; a URL is a URL."""
    name = f"{path}/a b%20ü?#"
    ask(stack, "create", name, "x", "--content-type", "text/plain").expect(0)
    assert http.get(f"{path}/a%20b%2520%C3%BC%3F%23").body == b"x"
    url = f"http://127.0.0.1:{stack.port}/v1/stream/{path}/a%20b%2520%C3%BC%3F%23"
    assert ask(None, "read", url).expect(0).out == b"x"
    assert ask(None, "read", f"/v1/stream/{path}/a%20b%2520%C3%BC%3F%23", "--url", f"http://127.0.0.1:{stack.port}/").expect(0).out == b"x"
    # Without any address: where the settings of this machine have a server listen.
    assert ask(None, "read", name, DS_LISTEN=f"0.0.0.0:{stack.port}").expect(0).out == b"x"


@pytest.mark.parametrize("source", ["file", "pipe", "fifo"])
def test_large_binary_append(stack: Stack, http: Client, path: str, tmp_path, source: str) -> None:
    content = os.urandom(1_500_000)
    http.create(path, "application/octet-stream")
    if source == "file":
        (tmp_path / "f").write_bytes(content)
        ask(stack, "append", path, "--file", tmp_path / "f").expect(0)
    elif source == "pipe":
        ask(stack, "append", path, input=content).expect(0)
    else:
        os.mkfifo(tmp_path / "f")
        command = start("append", path, "--file", tmp_path / "f", "--producer-id", "p", DS_URL=f"http://127.0.0.1:{stack.port}")
        (tmp_path / "f").write_bytes(content)
        finish(command).expect(0)
    assert http.read_all(path)[0] == content


def test_too_large_and_wrong_type(small_stack: Stack, small: Client, path: str) -> None:
    small.create(path, "text/plain")
    assert "413" in ask(small_stack, "append", path, input=b"x" * 400_000).expect(1).refusal
    assert "409" in ask(small_stack, "append", path, "x", "--content-type", "text/html").expect(1).refusal
    assert small.get(path).body == b""


def test_lines_of_bytes_and_of_json(stack: Stack, http: Client, path: str) -> None:
    http.create(path, "text/plain")
    done = ask(stack, "append", path, "--lines", "--json", input=b"a\n\nb\r\nlast").expect(0)
    assert json.loads(done.out) == {
        "url": f"http://127.0.0.1:{stack.port}/v1/stream/{path}",
        "next_offset": http.head(path).offset,
        "appends": 4,
        "duplicates": 0,
        "state": "open",
    }
    assert http.get(path).body == b"a\n\nb\r\nlast"
    http.create(f"{path}-json", "application/json")
    lines = b'{"a":1}\n[1,2]\n\n"x"\n  7 \nnull'
    done = ask(stack, "append", f"{path}-json", "--lines", "--batch", 2, "--close", "--json", input=lines).expect(0)
    assert json.loads(done.out)["appends"] == 4 and json.loads(done.out)["state"] == "closed"
    read = http.get(f"{path}-json")
    assert read.body == b'[{"a":1},[1,2],"x",7,null]' and "Stream-Closed" in read


@pytest.mark.parametrize("line", [b"1,2", b"1],[2", b"{", b"nul", b"\xff", b'{"a":1}}'])
def test_a_line_that_is_no_message(stack: Stack, http: Client, path: str, line: bytes) -> None:
    http.create(path, "application/json")
    done = ask(stack, "append", path, "--lines", input=b"1\n" + line + b"\n3\n").expect(65)
    assert "line 2 " in done.refusal and http.get(path).body == b"[1]"


def test_slow_lines_are_not_held_back(stack: Stack, http: Client, path: str) -> None:
    """A batch that does not fill up goes out when no more lines come."""
    offset = http.create(path, "application/json").offset
    command = start("append", path, "--lines", "--batch", 100, stdin=subprocess.PIPE, DS_URL=f"http://127.0.0.1:{stack.port}")
    command.stdin.write(b"1\n2\n")
    command.stdin.flush()
    assert http.get(path, f"live=long-poll&offset={offset}").body == b"[1,2]"
    finish(command, b"3\n").expect(0)
    assert http.get(path).body == b"[1,2,3]"


def test_producer_runs_twice_and_goes_on(stack: Stack, http: Client, path: str) -> None:
    http.create(path, "text/plain")
    options = ["append", path, "--lines", "--json", "--producer-id", "till"]
    assert json.loads(ask(stack, *options, input=b"a\nb\n").expect(0).out)["appends"] == 2
    again = json.loads(ask(stack, *options, input=b"a\nb\nc\n").expect(0).out)
    assert (again["appends"], again["duplicates"]) == (1, 2)
    assert json.loads(ask(stack, *options, "--producer-seq", "next", input=b"d\ne\n").expect(0).out)["appends"] == 2
    assert http.get(path).body == b"a\nb\nc\nd\ne\n"
    # A number that is too high goes on at the one that is expected.
    ask(stack, *options, "--producer-seq", 99, input=b"f\n").expect(0)
    ask(stack, *options, "--producer-epoch", 3, input=b"g\n").expect(0)
    assert http.get(path).body == b"a\nb\nc\nd\ne\nf\ng\n"
    stale = ask(stack, *options, input=b"h\n").expect(1)
    assert "403" in stale.refusal and "newest epoch of this producer is 3" in stale.refusal


def test_producer_goes_on_after_a_restart(fresh_stack) -> None:
    """Each line once, though server and connections end in between."""
    stack: Stack = fresh_stack()
    client = Client(stack)
    client.create("a", "text/plain")
    command = start("append", "a", "--lines", "--producer-id", "p", stdin=subprocess.PIPE, DS_URL=f"http://127.0.0.1:{stack.port}")
    offset = "-1"
    for number in range(3):
        command.stdin.write(b"line %d\n" % number)
        command.stdin.flush()
        offset = expect(client.get("a", f"live=long-poll&offset={offset}"), 200).offset
        client.close()
        for pid in stack.processes("durable-streams-worker"):
            os.kill(pid, signal.SIGKILL)
        if number == 1:
            stack.stop(expect_clean=False)
            stack.start()
    finish(command, b"end\n").expect(0)
    assert client.get("a").body == b"line 0\nline 1\nline 2\nend\n"
    client.close()


def test_lost_answers(path: str) -> None:
    """A producer sends again; whoever is none is told that nobody knows."""
    lost = lambda connection, request: None  # noqa: E731
    stored = answer("HTTP/1.1 204 No Content\nStream-Next-Offset: 1_1\n\n")
    with answering(lost, stored) as (url, requests):
        done = ask(None, "append", path, "x", "--content-type", "text/plain", "--url", url, "--producer-id", "p").expect(0)
        assert done.text == "1_1\n" and len(requests) == 2 and all(b"Producer-Seq: 0" in request for request in requests)
    with answering(lost, stored) as (url, requests):
        done = ask(None, "append", path, "x", "--content-type", "text/plain", "--url", url).expect(75)
        assert "is not known" in done.refusal and len(requests) == 1
    busy = answer('HTTP/1.1 503 Service Unavailable\nRetry-After: 0\nContent-Length: 41\n\n{"error":{"code":"BUSY","message":"wait"}}')
    with answering(busy, stored) as (url, requests):
        ask(None, "append", path, "x", "--content-type", "text/plain", "--url", url, "--producer-id", "p").expect(0)
    with answering(busy) as (url, requests):
        done = ask(None, "append", path, "x", "--content-type", "text/plain", "--url", url).expect(1)
        assert "503" in done.refusal and len(requests) == 1


def test_order(stack: Stack, http: Client, path: str) -> None:
    http.create(path, "text/plain")
    ask(stack, "append", path, "b", "--seq", "0002").expect(0)
    assert "409 SEQUENCE_CONFLICT" in ask(stack, "append", path, "a", "--seq", "0001").expect(1).refusal


@pytest.mark.parametrize("yes", [True, False])
def test_delete_asks_on_a_terminal(stack: Stack, http: Client, path: str, yes: bool) -> None:
    http.create(path, "text/plain")
    terminal, side = pty.openpty()
    command = start("delete", path, stdin=side, DS_URL=f"http://127.0.0.1:{stack.port}")
    os.close(side)
    os.write(terminal, b"yes\n" if yes else b"\n")
    done = finish(command)
    os.close(terminal)
    assert "Delete http://" in done.err and path in done.err
    assert (done.status, http.head(path).status) == ((0, 404) if yes else (1, 200)), done.err


REFUSED = {
    "nobody there": (["--url", "http://127.0.0.1:{port}"], 69, "nobody answers"),
    "no such host": (["--url", "http://streams.invalid"], 68, "no address"),
    "no URL": (["--url", "ftp://x"], 64, "not a URL"),
    "no HTTP scheme": (["--url", "nonsense"], (64, 68), "nonsense"),
    "two tokens": (["--token", "a", "--token-file", "b"], 64, "not both"),
    "token file": (["--token-file", "/nowhere"], 66, "/nowhere"),
    "token with a line": (["--token", "a b"], 65, "no token"),
    "header": (["-H", "no colon"], 64, "Name: value"),
    "header of two lines": (["-H", "A: b\r\nC: d"], 64, "Name: value"),
    "certificates": (["--cacert", "/nowhere"], 66, "/nowhere"),
    "project": (["--project", "a/b"], 64, "no name of a project"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_asked(case: str) -> None:
    options, status, words = REFUSED[case]
    options = [option.format(port=free_port()) for option in options]
    for command in (["inspect", "a"], ["read", "a"], ["append", "a", "x"], ["close", "a"], ["delete", "a"]):
        done = ask(None, *command, *options)
        assert done.status in (status if isinstance(status, tuple) else (status,)), (command, done)
        assert words in done.err and not done.out, (command, done.err)


def test_servers_that_are_none(path: str) -> None:
    """A slow one, one that speaks something else, one that redirects, and one whose answers hold control characters."""
    with answering(lambda connection, _: connection.recv(1)) as (url, _):
        assert "1" in ask(None, "inspect", path, "--url", url, "--timeout", 1).expect(75).refusal
    with answering(answer("SSH-2.0-OpenSSH\n")) as (url, _):
        assert ask(None, "inspect", path, "--url", url).status in (75, 76)
    with answering(answer("HTTP/1.1 301 Moved Permanently\nLocation: https://x.example/a\nContent-Length: 0\n\n")) as (url, _):
        assert "https://x.example/a" in ask(None, "read", path, "--url", url).expect(76).refusal
    with answering(answer('HTTP/1.1 400 Bad\nContent-Length: 50\n\n{"error":{"code":"X","message":"\\u001b[31mred"}}   ')) as (url, _):
        assert "\x1b" not in ask(None, "close", path, "--url", url).expect(1).err
    with answering(answer("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi")) as (url, _):
        assert "Stream-Next-Offset" in ask(None, "read", path, "--url", url).expect(76).refusal
