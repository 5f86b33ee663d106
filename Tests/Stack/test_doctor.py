"""`durable-streams doctor`: nothing to say of what is well, ends as it should, cleans up behind itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from access import Project, wait_known
from commands import Started, run
from front import Front, doctor, running
from stack import Stack, free_port, remove_tree, temporary_root
from store import ask_store, wait_until
from test_delegate import Delegate

# Short times, so that checks which wait for them are soon done.
SHORT = {"DS_LONG_POLL_TIMEOUT": 1, "DS_SSE_KEEP_ALIVE": 1, "DS_SSE_LIFETIME": 2, "DS_MAX_BODY_BYTES": 2 << 20}
BODY = ("--max-body", "2MiB")
# What can't be asked of a server without TLS.
TLS = {"certificate", "tls-version", "http2"}


@pytest.fixture(scope="module")
def well() -> Iterator[Stack]:
    """A server with tokens, examined by all tests here."""
    root = temporary_root()
    stack = Stack(root / "data", **SHORT, DS_AUTH="project-jwt")
    try:
        yield stack.start()
        stack.stop()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


def url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.port}"


def doctors_streams(stack: Stack) -> int:
    """How many there are."""
    return ask_store(stack, "SELECT count(*) FROM stream WHERE instr(name, '__doctor-') > 0")[0]


def test_open_server(fresh_stack) -> None:
    """No findings, from outside and inside; only what does not apply is left out; nothing stays behind."""
    stack: Stack = fresh_stack(**SHORT)
    seen = doctor("--data-dir", stack.data_dir)
    seen.check({})
    assert seen.document["url"] == url(stack)
    assert set(seen.left_out) == TLS | {"cache-before-auth"}
    measured = seen.document["measured"]
    assert measured["event_milliseconds"] < 1000 and measured["fsync_microseconds"] > 0 and measured["long_poll_seconds"] == 1
    assert not doctors_streams(stack)


def test_tokens(well: Stack) -> None:
    """With a token that may write everything is asked, behind a proxy too."""
    project = Project(well)
    wait_known(well, project)
    with running(Front(), well.port) as port:
        seen = doctor("--url", f"http://127.0.0.1:{port}", "--token", project.token("write"), *BODY)
    # The proxy is not to be named in Location.
    seen.check({})
    assert set(seen.left_out) == TLS
    assert not doctors_streams(well)


def test_token_for_some_paths(well: Stack) -> None:
    project = Project(well)
    wait_known(well, project)
    token = project.token("write", stream_id="orders/*")
    seen = doctor("--url", url(well), "--quick", *BODY, DS_TOKEN=token)
    seen.check({})
    assert set(seen.left_out) == TLS | {"long-poll-time", "event-stream-time"}


def test_read_token(well: Stack) -> None:
    """It changes nothing, and says what it could not ask; a stream that is there serves for reads."""
    project = Project(well)
    wait_known(well, project)
    reader = project.token("read")
    seen = doctor("--url", url(well), "--token", reader, "--quick")
    seen.check({})
    assert "needs to make streams" in seen.left_out["own-writes"] and "--stream" in seen.left_out["cors"]
    assert "paths" not in seen.left_out and "error-pages" not in seen.left_out
    with well.connect() as connection:
        headers = [("Authorization", f"Bearer {project.token('write')}"), ("Content-Type", "text/plain")]
        assert connection.exchange("PUT", project.url("news"), headers, b"x").status == 201
    seen = doctor("--url", url(well), "--token", reader, "--stream", "news")
    seen.check({})
    assert {"cors", "cache-before-auth", "long-poll-time", "event-stream-time"}.isdisjoint(seen.left_out)


def test_bad_token(well: Stack) -> None:
    seen = doctor("--url", url(well), "--token", "no-token", "--quick")
    seen.check({"token": "check-token"})


@pytest.mark.parametrize("how", [("--token", "writer"), ("-H", "Authorization: Bearer writer")])
def test_delegate(fresh_stack, how: tuple[str, str]) -> None:
    """Where the deployer's own endpoint decides, by whatever header."""
    with Delegate() as delegate:
        stack: Stack = fresh_stack(**SHORT, DS_AUTH="delegate", DS_AUTH_DELEGATE_URL=f"http://127.0.0.1:{delegate.port}/check")
        seen = doctor("--url", url(stack), *how, "--quick", *BODY)
    seen.check({})
    assert "cache-before-auth" not in seen.left_out


def test_limits(fresh_stack) -> None:
    """A server that counts requests and readers is well too; doctor waits its turn."""
    stack: Stack = fresh_stack(**SHORT, DS_RATE_PER_ADDRESS=50, DS_LIVE_PER_ADDRESS=2)
    doctor("--url", url(stack), *BODY).check({})


def test_text(well: Stack) -> None:
    """For people: each finding with its reason and its mend; the last line counts."""
    outcome = run("doctor", "--url", url(well), "--token", "no-token", "--quick").expect(1)
    lines = outcome.out.splitlines()
    assert lines[0].startswith("error: token: ") and lines[1].startswith("  why it matters: ") and lines[2].startswith("  to mend: ")
    assert any(line.startswith("left out (needs to make streams: give --token): methods, ") for line in lines)
    assert lines[-1].startswith(f"1 error: {url(well)}, "), lines


def test_unreachable() -> None:
    outcome = run("doctor", "--url", f"http://127.0.0.1:{free_port()}").expect(69)
    assert "is the server running?" in outcome.refusal


def test_somebody_else(well: Stack) -> None:
    """A server of another kind is none."""
    with running(Front(changes={r"proxy_pass http://durable_streams;": "return 404;"}), well.port) as port:
        outcome = run("doctor", "--url", f"http://127.0.0.1:{port}").expect(69)
    assert "speaks no Durable Streams" in outcome.refusal


def test_bad_arguments() -> None:
    run("doctor", "--header", "no header").expect(64)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(fresh_stack, number: int) -> None:
    """What it made is deleted all the same."""
    stack: Stack = fresh_stack(DS_LONG_POLL_TIMEOUT=20)
    with Started("doctor", "--url", url(stack)) as started:
        wait_until(stack, lambda: doctors_streams(stack) > 0, "streams of doctor")
        started.process.send_signal(number)
        began = time.monotonic()
        outcome = started.finish()
    assert outcome.status == 130 and "interrupted" in outcome.err, outcome.describe()
    assert time.monotonic() - began < 8
    assert not doctors_streams(stack)
