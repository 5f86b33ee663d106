"""Time and tokens: live reads end with the token, none is taken after its end, and how far clocks may differ."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from access import GUARDED, LiveSource, Project, ask, bearer, check_bad_token, wait_known, wait_until
from checks import check_protocol_headers
from client import Client, expect
from stack import Stack
from wire import Connection, build_request

DIGITS = re.compile(r"[0-9]+")
LATE = 1.0  # How long after its instant something may be seen on a busy machine.
SLACK = 0.5  # The same, where the instant itself is the end of a time that is promised.
TIMEOUT = 2.0  # DS_LONG_POLL_TIMEOUT of the shared server.
SSE = ["live=sse&offset=-1", "live=%73se&offset=-1"]


def check_instant(exp: float) -> None:
    """What was just seen came at that instant, not before."""
    late = time.time() - exp
    assert -0.1 <= late < LATE, f"{late:.3f} s after exp"


@contextmanager
def polling(stack: Stack, project: Project, path: str, offset: str, token: str) -> Iterator[Connection]:
    """A long-poll that was sent and has not been answered at once."""
    with stack.connect() as connection:
        target = project.url(path, f"live=long-poll&offset={offset}")
        connection.send(build_request("GET", target, [*bearer(token).items()]))
        assert connection.quiet_for(0.1), connection.read_response().describe()
        yield connection


@pytest.mark.parametrize("query", SSE, ids=["plain", "escaped"])
@pytest.mark.parametrize("fraction", [False, True], ids=["whole", "fractional"])
def test_sse_ends_at_exp(
    jwt_stack: Stack, guarded: Client, project: Project, path: str, query: str, fraction: bool
) -> None:
    """An orderly end between events, after all that was written until then; a reconnect needs a new token."""
    project.create(guarded, path, "text/plain", "a")
    exp = time.time() + 2.5 if fraction else int(time.time()) + 3
    token = project.token(exp=exp)
    with LiveSource(jwt_stack, project.url(path, query), token) as source:
        assert source.batch()[0] == b"a"
        project.append(guarded, path, "b")
        data, control = source.batch()
        assert data == b"b" and "streamClosed" not in control
        source.end()
        check_instant(exp)
    again = f"live=sse&offset={control['streamNextOffset']}&cursor={control['streamCursor']}"
    check_bad_token(ask(guarded, "GET", project.url(path, again), token))
    project.append(guarded, path, "c")
    with LiveSource(jwt_stack, project.url(path, again), project.token()) as source:
        assert source.batch()[0] == b"c"


def test_sse_of_others_goes_on(jwt_stack: Stack, guarded: Client, project: Project, path: str) -> None:
    """Each reader ends by its own token."""
    project.create(guarded, path, "text/plain")
    target, exp = project.url(path, "live=sse&offset=-1"), time.time() + 1.5
    with (
        LiveSource(jwt_stack, target, project.token()) as long,
        LiveSource(jwt_stack, target, project.token(exp=exp)) as short,
    ):
        long.control()
        short.control()
        short.end()
        check_instant(exp)
        project.append(guarded, path, "news")
        assert long.batch()[0] == b"news"


def test_sse_ends_close_to_exp(jwt_stack: Stack, guarded: Client, project: Project, path: str) -> None:
    """Wherever exp lies between the looks at lifetimes, which are half a second apart."""
    project.create(guarded, path, "text/plain")
    begin = time.time() + 1.3
    with ExitStack() as held:
        target, readers = project.url(path, "live=sse&offset=-1"), []
        for exp in (begin + n * 0.12 for n in range(5)):
            readers.append((exp, held.enter_context(LiveSource(jwt_stack, target, project.token(exp=exp)))))
        for exp, source in readers:
            source.control()
            source.end()
            assert -0.1 <= time.time() - exp < 0.25, f"{time.time() - exp:.3f} s after exp"


def test_readers_end_with_their_secret(fresh_stack, path: str) -> None:
    """Not those of the other secret, nor those of public streams, whatever token they came with."""
    stack = fresh_stack(**GUARDED | {"DS_LONG_POLL_TIMEOUT": 25, "DS_SSE_LIFETIME": 60})
    project, others = Project(stack), Project(stack)
    (first,) = project.secrets
    old = project.secret
    project.add_secret()
    for one in (project, others):
        wait_known(stack, one)
    with closing(Client(stack)) as http, ExitStack() as held:
        public = f"{path}/public"
        project.create(http, path, "text/plain")
        others.create(http, path, "text/plain")
        tail = project.create(http, public, "text/plain", query="public=true").offset
        ending, lasting = project.token(secret=old), project.token()
        stays = [(project, path, lasting), (others, path, others.token())]
        stays += [(project, public, token) for token in (ending, lasting, None)]

        def open_all(one: Project, name: str, token: str | None) -> tuple[LiveSource, Connection]:
            source = held.enter_context(LiveSource(stack, one.url(name, "live=sse&offset=-1"), token))
            source.control()
            poll = held.enter_context(stack.connect(timeout=40))
            poll.send(build_request("GET", one.url(name, "live=long-poll&offset=now"), [*bearer(token).items()] if token else []))
            assert poll.quiet_for(0.1), poll.read_response().describe()
            return source, poll

        ends = [open_all(project, path, ending) for _ in range(3)]
        stay = [open_all(*reader) for reader in stays]
        project.remove_secret(first)
        removed = time.monotonic()
        for source, poll in ends:
            source.end()
            answer = expect(poll.read_response(), 204)
            assert answer.get("Cache-Control") == "no-store" and "Stream-Closed" not in answer, answer.describe()
            assert time.monotonic() - removed < 2 + SLACK
            check_bad_token(ask(http, "GET", project.url(path, f"live=long-poll&offset={tail}"), ending))
        # One more look at lifetimes, and they are still there.
        assert all(poll.quiet_for(0.2) and source.connection.quiet_for(0) for source, poll in stay)
        for one, name in ((project, path), (others, path), (project, public)):
            one.append(http, name, "news")
        for source, poll in stay:
            assert source.batch()[0] == b"news" and expect(poll.read_response(), 200).body == b"news"


def test_sse_that_is_kept_busy_ends_too(jwt_stack: Stack, guarded: Client, project: Project, path: str) -> None:
    """However much there is to send: what comes after exp is for nobody with that token."""
    project.create(guarded, path, "text/plain")
    exp = time.time() + 1.5
    with LiveSource(jwt_stack, project.url(path, "live=sse&offset=now"), project.token(exp=exp)) as source:
        source.control()
        written = 0
        while time.time() < exp + 0.3:
            project.append(guarded, path, f"{time.time():017.6f}\n")
            written += 1
        read = b""
        while (event := source.next()) is not None:
            read += event.text if event.kind == "data" else b""
    stamps = [float(line) for line in read.splitlines()]
    assert 0 < len(stamps) < written, (len(stamps), written)
    assert stamps[-1] < exp + 0.25, f"{stamps[-1] - exp} s after exp"


@pytest.mark.parametrize("offset", ["tail", "now"])
def test_long_poll_ends_at_exp(jwt_stack: Stack, guarded: Client, project: Project, path: str, offset: str) -> None:
    """204 as at the time-out, but at exp."""
    tail = project.create(guarded, path, "text/plain", "a").offset
    began = time.time()
    exp = began + 0.9
    token = project.token(exp=exp)
    with polling(jwt_stack, project, path, tail if offset == "tail" else offset, token) as reader:
        answer = expect(reader.read_response(), 204)
    check_instant(exp)
    assert time.time() - began < TIMEOUT, "that was the time-out"
    check_protocol_headers(answer, Stream_Next_Offset=tail, Stream_Up_To_Date="true", Stream_Cursor=DIGITS)
    assert answer.get("Cache-Control") == "no-store", answer.describe()
    query = f"live=long-poll&offset={tail}&cursor={answer.get('Stream-Cursor')}"
    check_bad_token(ask(guarded, "GET", project.url(path, query), token))


def test_long_poll_before_exp(jwt_stack: Stack, guarded: Client, project: Project, path: str) -> None:
    """Data ahead of exp is delivered; a token that lasts does not shorten the wait."""
    tail = project.create(guarded, path, "text/plain", "a").offset
    with polling(jwt_stack, project, path, tail, project.token(exp=time.time() + 1.5)) as reader:
        project.append(guarded, path, "b")
        answer = expect(reader.read_response(), 200)
    assert answer.body == b"b"
    began = time.monotonic()
    with polling(jwt_stack, project, path, answer.offset, project.token()) as reader:
        expect(reader.read_response(), 204)
    assert time.monotonic() - began >= TIMEOUT - 0.1


WAYS = {
    "get": ("GET", ""),
    "head": ("HEAD", ""),
    "long-poll": ("GET", "live=long-poll&offset=-1"),
    "put": ("PUT", ""),
}


@pytest.mark.parametrize(("method", "query"), WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("fraction", [False, True], ids=["whole", "fractional"])
def test_no_verdict_outlives_its_token(
    guarded: Client, project: Project, path: str, method: str, query: str, fraction: bool
) -> None:
    """Asked for all the time, a token is taken until exp and not once after it."""
    project.create(guarded, path, "text/plain", "abc")
    exp = time.time() + 1.5 if fraction else int(time.time()) + 2
    token, target = project.token("write", exp=exp), project.url(path, query)
    taken = refused = 0
    while time.time() < exp + 1.2:
        sent = time.time()
        answer = ask(guarded, method, target, token, type="text/plain" if method == "PUT" else None)
        if answer.status == 200:
            assert sent < exp, f"taken {sent - exp:.3f} s after exp"
            taken += 1
        else:
            assert time.time() >= exp - 0.001, f"refused {exp - time.time():.3f} s before exp"
            check_bad_token(answer, head=method == "HEAD")
            refused += 1
    assert taken and refused, (taken, refused)


@pytest.mark.parametrize("query", ["", "offset=-1", "offset=now", "live=long-poll&offset=-1", *SSE])
def test_expired_on_reconnect(guarded: Client, project: Project, path: str, query: str) -> None:
    """On the connection where it was good a moment ago."""
    project.create(guarded, path, "text/plain", "abc")
    token = project.token(exp=time.time() + 0.8)
    expect(ask(guarded, "GET", project.url(path), token), 200)
    # Passing time is the subject: not before exp can it have passed.
    wait_until(lambda: ask(guarded, "GET", project.url(path), token).status == 401, "the token expires")
    check_bad_token(ask(guarded, "GET", project.url(path, query), token))
    for method in ("PUT", "POST", "DELETE"):
        check_bad_token(ask(guarded, method, project.url(path), token, type="text/plain", body=b"x"))
    assert ask(guarded, "GET", project.url(path), project.token()).body == b"abc"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_leeway_into_the_future(guarded: Client, project: Project, path: str, claim: str) -> None:
    """60 s ahead is taken, more is not; and what was too early becomes good as time passes."""
    project.create(guarded, path, "text/plain", "abc")

    def status(seconds: float) -> int:
        return ask(guarded, "GET", project.url(path), project.token(**{claim: time.time() + seconds})).status

    assert [status(seconds) for seconds in (-3600, 0, 30, 59)] == [200] * 4
    assert [status(seconds) for seconds in (62, 120, 3600)] == [401] * 3
    begins = time.time() + 61.5
    token = project.token(**{claim: begins})
    check_bad_token(ask(guarded, "GET", project.url(path), token))
    # A refusal may be remembered for a second.
    wait_until(lambda: ask(guarded, "GET", project.url(path), token).status == 200, "it becomes good", 1.5 + 1 + LATE)
    assert time.time() >= begins - 60.1


def test_no_leeway_for_exp(guarded: Client, project: Project, path: str) -> None:
    for seconds in (0, -1, -30, -59, -61):
        check_bad_token(ask(guarded, "GET", project.url(path), project.token(expires_in=seconds)))


def test_a_token_may_begin_and_end(guarded: Client, project: Project, path: str) -> None:
    """nbf after exp is a token that is never good, leeway or not, once exp has passed."""
    now = time.time()
    expect(ask(guarded, "GET", project.url(path), project.token(nbf=now - 5, iat=now - 5, exp=now + 5)), 404)
    check_bad_token(ask(guarded, "GET", project.url(path), project.token(nbf=now - 5, iat=now - 5, exp=now - 1)))
