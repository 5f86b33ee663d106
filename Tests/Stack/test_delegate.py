"""DS_AUTH=delegate: a service of the operator's own says who may do what; nginx asks it before everything."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from access import LiveSource, Project, ask, bearer, check_refusal, command_json
from checks import ALLOW_METHODS
from client import Client, at, expect
from commands import run
from stack import DEFAULTS, Stack, free_port, remove_tree, temporary_root
from store import wait_until
from test_startup import one_line, refused
from wire import Connection, Response, build_request

# The example of the documentation: API keys, each with the methods that it allows.
KEYS = {"reader": ("GET", "HEAD"), "writer": ("GET", "HEAD", "PUT", "POST", "DELETE")}


class KeyService(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        allowed = self.headers["X-Original-Method"] in KEYS.get(key, ())
        self.send_response(204 if allowed else 403 if key in KEYS else 401)
        if key not in KEYS:
            self.send_header("WWW-Authenticate", 'Bearer realm="api keys"')
        self.end_headers()


BIG = b"0123456789abcdef" * 10_000
SETTINGS = {"DS_LONG_POLL_TIMEOUT": 0.5, "DS_SSE_LIFETIME": 20, "DS_READ_CHUNK_BYTES": 65536, "DS_SWEEP_INTERVAL": 0.5}
EVIL = [("X-Original-Method", "GET"), ("X-Original-URI", "/v1/stream/harmless"), ("X-Original-Forked-From", "/v1/stream/harmless")]


@dataclass
class Asked:
    """One question to the delegate."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class Delegate:
    """The example in a thread, which notes what it is asked; `status` makes it answer that to everybody."""

    port: int = 0
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    hold: threading.Event = field(default_factory=threading.Event)
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Delegate:
        delegate = self
        self.hold.set()

        class Noting(KeyService):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                delegate.asked.append(Asked(self.requestline, list(self.headers.items()), body))
                delegate.hold.wait(100)
                if delegate.status is None:
                    super().do_GET()
                    return
                self.send_response(delegate.status)
                for name, value in delegate.headers:
                    self.send_header(name, value)
                body = b"" if delegate.status in (204, 304) else b"body\n"
                if body:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # nginx no longer waits for the answer.
                    pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Noting)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()

    @property
    def settings(self) -> dict[str, object]:
        return {"DS_AUTH": "delegate", "DS_AUTH_DELEGATE_URL": f"http://127.0.0.1:{self.port}/check"}

    def only(self) -> Asked:
        """The one question since the last look."""
        (one,) = self.asked
        self.asked.clear()
        return one


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Stack, Delegate]]:
    root = temporary_root()
    with Delegate() as delegate:
        stack = Stack(root / "data", **(DEFAULTS | SETTINGS | delegate.settings))
        try:
            stack.start()
            yield stack, delegate
            stack.stop()
        finally:
            stack.stop(expect_clean=False)
            remove_tree(root)


@pytest.fixture
def delegate(running: tuple[Stack, Delegate]) -> Delegate:
    """The shared delegate, as the example has it."""
    delegate = running[1]
    delegate.status, delegate.headers = None, ()
    delegate.hold.set()
    delegate.asked.clear()
    return delegate


@pytest.fixture
def shop(running: tuple[Stack, Delegate], delegate: Delegate) -> Iterator[Client]:
    with closing(Client(running[0])) as http:
        yield http


def url(path: str, query: str = "") -> str:
    return f"/v1/stream/{path}" + (f"?{query}" if query else "")


def make(http: Client, path: str, body: bytes | str = "abc", query: str = "", **more: str) -> Response:
    return expect(ask(http, "PUT", url(path, query), "writer", type="application/octet-stream", body=body, **more), 201)


def live(http: Client, target: str, token: str | None = None) -> Response:
    with closing(Connection(http.stack.port)) as connection:
        connection.send(build_request("GET", target, list(bearer(token).items()) if token else []))
        return connection.read_head()


Ask = Callable[[Client, str, "str | None"], Response]
# Every method, every kind of read; what the example's two keys get for it.
REQUESTS: dict[str, tuple[Ask, int, int]] = {
    "get": (lambda c, p, t: ask(c, "GET", url(p), t), 200, 200),
    "offset": (lambda c, p, t: ask(c, "GET", url(p, "offset=now"), t), 200, 200),
    "head": (lambda c, p, t: ask(c, "HEAD", url(p), t), 200, 200),
    "head-live": (lambda c, p, t: ask(c, "HEAD", url(p, "live=sse&offset=-1"), t), 200, 200),
    "long-poll": (lambda c, p, t: ask(c, "GET", url(p, "live=long-poll&offset=-1"), t), 200, 200),
    "long-poll-escaped": (lambda c, p, t: ask(c, "GET", url(p, "live=long%2Dpoll&offset=-1"), t), 200, 200),
    "sse": (lambda c, p, t: live(c, url(p, "live=sse&offset=-1"), t), 200, 200),
    "sse-escaped": (lambda c, p, t: live(c, url(p, "live=%73se&offset=-1"), t), 200, 200),
    "post": (lambda c, p, t: ask(c, "POST", url(p), t, type="application/octet-stream", body="x"), 403, 204),
    "post-live": (lambda c, p, t: ask(c, "POST", url(p, "live=sse"), t, type="application/octet-stream", body="x"), 403, 204),
    "put": (lambda c, p, t: ask(c, "PUT", url(p), t), 403, 200),
    "delete": (lambda c, p, t: ask(c, "DELETE", url(p), t), 403, 204),
    "patch": (lambda c, p, t: ask(c, "PATCH", url(p), t), 403, 403),
    "listing": (lambda c, p, t: ask(c, "GET", "/v1/_default/streams", t), 200, 200),
    "absent": (lambda c, p, t: ask(c, "GET", url(f"{p}-absent"), t), 404, 404),
    "outside": (lambda c, p, t: ask(c, "GET", "/nowhere", t), 404, 404),
}


@pytest.mark.parametrize(("send", "reader", "writer"), REQUESTS.values(), ids=REQUESTS.keys())
def test_every_request_is_asked_for(shop: Client, delegate: Delegate, path: str, send: Ask, reader: int, writer: int) -> None:
    """Once each; what is refused has done nothing."""
    make(shop, path)
    for token, status in ((None, 401), ("nonsense", 401), ("reader", reader), ("writer", writer)):
        delegate.asked.clear()
        answer = expect(send(shop, path, token), status)
        assert len(delegate.asked) == 1, [one.line for one in delegate.asked]
        assert delegate.asked[0].all("Authorization") == ([f"Bearer {token}"] if token else [])
        assert answer.get("X-Cache") != "HIT"
        if status == 401:
            assert answer.all("WWW-Authenticate") == ['Bearer realm="api keys"'], answer.describe()
        if token in (None, "nonsense") or (token == "reader" and reader == 403):
            assert ask(shop, "GET", url(path), "reader").body == b"abc"


def test_form_of_refusals(shop: Client, delegate: Delegate, path: str) -> None:
    """JSON like all errors, whatever the delegate's body was; its WWW-Authenticate is passed on with 401."""
    make(shop, path)
    for send in (lambda: ask(shop, "GET", url(path)), lambda: ask(shop, "GET", url(path, "live=long-poll&offset=-1")),
                 lambda: ask(shop, "POST", url(path), type="text/plain", body="x"), lambda: ask(shop, "DELETE", url(path))):  # fmt: skip
        delegate.status, delegate.headers = 401, (("WWW-Authenticate", 'Basic realm="x, y"'), ("Set-Cookie", "a=b"), ("X-Secret", "s"))
        answer = check_refusal(send(), 401, "TOKEN_INVALID", 'Basic realm="x, y"')
        assert "X-Secret" not in answer and "Set-Cookie" not in answer
        delegate.headers = ()
        check_refusal(send(), 401, "TOKEN_INVALID")
        delegate.status = 403
        check_refusal(send(), 403, "FORBIDDEN")
    head = expect(ask(shop, "HEAD", url(path)), 403)
    assert head.body == b"" and head.get("Cache-Control") == "no-store"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
def test_yes(shop: Client, delegate: Delegate, path: str, status: int) -> None:
    """Any 2xx; nothing of the delegate's answer is in ours."""
    make(shop, path)
    delegate.status, delegate.headers = status, (("Set-Cookie", "a=b"), ("X-Secret", "s"), ("Cache-Control", "public, max-age=9999"))
    for query in ("", "live=long-poll&offset=-1"):
        answer = expect(ask(shop, "GET", url(path, query)), 200)
        assert answer.body == b"abc" and "Set-Cookie" not in answer and "X-Secret" not in answer
        assert answer.get("Cache-Control") != "public, max-age=9999"


@pytest.mark.parametrize("status", [300, 302, 304, 400, 404, 407, 410, 429, 500, 502, 503])
def test_neither_yes_nor_no(shop: Client, delegate: Delegate, path: str, status: int) -> None:
    make(shop, path)
    delegate.status, delegate.headers = status, (("Location", "/elsewhere"), ("WWW-Authenticate", "Basic"))
    for method, query in (("GET", ""), ("GET", "live=sse&offset=-1"), ("POST", ""), ("DELETE", "")):
        answer = check_refusal(ask(shop, method, url(path, query), "writer"), 503, "AUTH_UNAVAILABLE")
        assert re.fullmatch(r"[1-9][0-9]*", answer.get("Retry-After") or "1") and "Location" not in answer
    delegate.status = None
    assert ask(shop, "GET", url(path), "reader").body == b"abc"


def test_unreachable(fresh_stack, path: str) -> None:
    """Nobody there: 503, also for what is cached; health is told all the same, and it recovers by itself."""
    with Delegate() as delegate:
        stack = fresh_stack(**SETTINGS, **delegate.settings)
        with closing(Client(stack)) as http:
            tail = make(http, path, BIG).offset
            piece = url(path, f"offset={at(tail, 0)}")
            for _ in range(2):
                expect(ask(http, "GET", piece, "reader"), 200)
    with closing(Client(stack)) as http:
        for method, target in (("GET", piece), ("GET", url(path)), ("POST", url(path)), ("GET", url(path, "live=sse&offset=-1"))):
            check_refusal(ask(http, method, target, "writer"), 503, "AUTH_UNAVAILABLE")
        for target in ("/healthz", "/readyz"):
            expect(http.request("GET", target), 200)
        with Delegate(port=delegate.port):
            wait_until(stack, lambda: ask(http, "GET", url(path), "reader").status == 200, "it is asked again")


@pytest.mark.timeout(150)
def test_slow(shop: Client, delegate: Delegate, path: str) -> None:
    """One that does not answer is no yes; it does not hold up what is not its business."""
    make(shop, path)
    delegate.hold.clear()
    try:
        with closing(Client(shop.stack, timeout=100)) as patient, closing(Connection(shop.stack.port)) as waiting:
            waiting.send(build_request("GET", url(path), list(bearer("reader").items())))
            assert waiting.quiet_for(0.3)
            expect(shop.request("GET", "/healthz"), 200)
            expect(shop.request("OPTIONS", url(path)), 204)
            began = time.monotonic()
            check_refusal(ask(patient, "GET", url(path), "reader"), 503, "AUTH_UNAVAILABLE")
            assert time.monotonic() - began < 60
    finally:
        delegate.hold.set()


def test_silent_port(fresh_stack) -> None:
    """A port that takes connections and says something else than HTTP."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(20)

        def babble() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/2 yes\n\n")

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        stack = fresh_stack(DS_AUTH="delegate", DS_AUTH_DELEGATE_URL=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        with closing(Client(stack)) as http:
            for method in ("GET", "DELETE"):
                check_refusal(ask(http, method, url("a"), "writer"), 503, "AUTH_UNAVAILABLE")
        thread.join(20)


def test_what_it_is_told(shop: Client, delegate: Delegate, path: str) -> None:
    """GET without a body; the client's headers; method, raw target and source of a fork in headers of nginx's own."""
    make(shop, path)
    delegate.asked.clear()
    escaped = path.replace("t/", "%74/")
    for method, target in (("GET", url(path)), ("HEAD", url(path)), ("GET", url(escaped, "offset=-1&x=%20%2f+y&x=")), ("PUT", url(path)),
                           ("POST", url(path)), ("DELETE", url(f"{path}-absent")), ("PATCH", url(path)), ("GET", "/v1/p.q/stream/a%C3%A9?"),
                           ("GET", url(path, "live=long-poll&offset=-1")), ("GET", url(path, "live=%6Cong-poll&offset=-1")),
                           ("GET", "/v1/_default/streams?prefix=%25"), ("GET", "/nowhere?a=b")):  # fmt: skip
        body = b"x" * 5_000 if method in ("PUT", "POST") else None
        ask(shop, method, target, "writer", type="application/octet-stream", body=body, Cookie="session=1", X_Mine="yes")
        asked = delegate.only()
        assert asked.line.split()[:2] == ["GET", "/check"], asked
        assert asked.body == b"" and asked.all("Content-Length") in ([], ["0"]) and not asked.all("Transfer-Encoding"), asked
        assert asked.all("X-Original-Method") == [method] and asked.all("X-Original-URI") == [target], asked
        assert asked.all("X-Original-Forked-From") in ([], [""]), asked
        assert asked.all("Authorization") == ["Bearer writer"] and asked.all("Cookie") == ["session=1"] and asked.all("X-Mine") == ["yes"], asked


def test_what_it_is_told_of_a_fork(shop: Client, delegate: Delegate, path: str) -> None:
    """The source as it was sent: the delegate decides, the server itself checks nothing."""
    make(shop, path)
    delegate.asked.clear()
    make(shop, f"{path}-fork", Stream_Forked_From=url(path), body="")
    asked = delegate.only()
    assert asked.all("X-Original-Forked-From") == [url(path)] and asked.all("X-Original-URI") == [url(f"{path}-fork")]
    expect(ask(shop, "PUT", "/v1/other/stream/fork", "writer", Stream_Forked_From=url(path)), 201)
    assert delegate.only().all("X-Original-Forked-From") == [url(path)]


@pytest.mark.parametrize("fork", [False, True], ids=["plain", "fork"])
def test_clients_cannot_lie_to_it(shop: Client, delegate: Delegate, path: str, fork: bool) -> None:
    """Headers of the delegate's names that a client sends never reach it, beside the true ones or in their place."""
    make(shop, path)
    delegate.asked.clear()
    true = [("Stream-Forked-From", url(path))] if fork else []
    for method, target in (("PUT", url(f"{path}-2")), ("GET", url(path, "live=sse&offset=x"))):
        answer = ask(shop, method, target, "reader", headers=[*EVIL, *true])
        asked = delegate.only()
        assert asked.all("X-Original-Method") == [method] and asked.all("X-Original-URI") == [target], asked
        assert asked.all("X-Original-Forked-From") in ([[url(path)]] if fork else [[], [""]]), asked
        assert answer.status == (403 if method == "PUT" else 400)
    expect(ask(shop, "HEAD", url(f"{path}-2"), "reader"), 404)


def test_not_asked(shop: Client, delegate: Delegate, path: str) -> None:
    """Preflights and health are free, whatever it would say."""
    delegate.status = 403
    for target in (url(path), "/v1/_default/streams", "/nowhere", "/v1/stream/a/../b"):
        answer = expect(shop.request("OPTIONS", target, [("Origin", "https://a.example"), ("Access-Control-Request-Method", "PUT")]), 204)
        assert answer.get("Access-Control-Allow-Methods") in (None, ALLOW_METHODS)
    for target in ("/healthz", "/readyz"):
        expect(shop.request("GET", target), 200)
    assert delegate.asked == []


@pytest.mark.parametrize("target", ["/healthz/../v1/stream/{}", "/healthz%2F..%2Fv1/stream/{}", "//v1/stream/{}",
                                    "/%68ealthz/v1/stream/{}", "/readyz?/../v1/stream/{}"])  # fmt: skip
def test_health_is_no_way_around(shop: Client, delegate: Delegate, path: str, target: str) -> None:
    make(shop, path, "secret")
    for method in ("GET", "DELETE"):
        answer = ask(shop, method, target.format(path))
        assert answer.status != 204 and b"secret" not in answer.body, answer.describe()
    assert ask(shop, "GET", url(path), "reader").body == b"secret"


def test_stored_pieces_need_a_fresh_yes(shop: Client, delegate: Delegate, path: str) -> None:
    """A HIT costs one question like any read; once the answer is no, there is nothing, a moment later too."""
    tail = make(shop, path, BIG).offset
    piece = url(path, f"offset={at(tail, 0)}")
    delegate.asked.clear()
    reads = [expect(ask(shop, "GET", piece, ("reader", "writer")[n % 2]), 200) for n in range(8)]
    assert len(delegate.asked) == 8
    assert {read.get("X-Cache") for read in reads[1:]} <= {"HIT", "REVALIDATED"} and all(BIG.startswith(read.body) for read in reads)
    assert "HIT" in {read.get("X-Cache") for read in reads}
    for _ in range(3):
        check_refusal(ask(shop, "GET", piece), 401, "TOKEN_INVALID", 'Bearer realm="api keys"')
        delegate.status = 403
        check_refusal(ask(shop, "GET", piece, "reader"), 403, "FORBIDDEN")
        delegate.status = 500
        check_refusal(ask(shop, "GET", piece, "reader"), 503, "AUTH_UNAVAILABLE")
        delegate.status = None
        assert expect(ask(shop, "GET", piece, "reader"), 200).body == reads[0].body
    check_refusal(ask(shop, "GET", piece, If_None_Match="*"), 401, "TOKEN_INVALID", 'Bearer realm="api keys"')
    assert ask(shop, "GET", piece, "reader", If_None_Match=reads[0].get("ETag") or "").status == 304


def test_reads_are_private(shop: Client, path: str) -> None:
    """Caches in front do not ask the delegate: so they must not keep what it has allowed."""
    tail = make(shop, path, BIG).offset
    for query in ("", f"offset={at(tail, 0)}", f"offset={at(tail, 0)}", "live=long-poll&offset=-1"):
        answer = expect(ask(shop, "GET", url(path, query), "reader"), 200)
        assert re.match("private, |no-store", answer.get("Cache-Control") or ""), answer.describe()


def test_event_stream(shop: Client, delegate: Delegate, path: str) -> None:
    """Asked when it begins; events arrive as they do without a delegate."""
    expect(ask(shop, "PUT", url(path), "writer", type="text/plain", body="abc"), 201)
    delegate.asked.clear()
    with LiveSource(shop.stack, url(path, "live=sse&offset=-1"), "reader") as source:
        assert source.batch()[0] == b"abc"
        assert delegate.only().all("X-Original-URI") == [url(path, "live=sse&offset=-1")]
        expect(ask(shop, "POST", url(path), "writer", type="text/plain", body="def"), 204)
        assert source.batch()[0] == b"def"
    expect(live(shop, url(path, "live=sse&offset=-1"), "nonsense"), 401)


def test_refused_writes_do_nothing(shop: Client, delegate: Delegate, path: str) -> None:
    make(shop, path)
    for token in (None, "nonsense", "reader"):
        large = {"body": b"x" * 200_000, "type": "application/octet-stream"}
        for method, more in (("POST", large), ("DELETE", {}), ("POST", {"Stream_Closed": "true"})):
            assert ask(shop, method, url(path), token, **more).status in (401, 403)
        assert ask(shop, "PUT", url(f"{path}-2"), token, type="text/plain").status in (401, 403)
    answer = expect(ask(shop, "GET", url(path), "reader"), 200)
    assert answer.body == b"abc" and "Stream-Closed" not in answer
    expect(ask(shop, "HEAD", url(f"{path}-2"), "reader"), 404)


def test_cors_of_a_project(shop: Client, delegate: Delegate, path: str) -> None:
    """By `set-cors`, as with tokens."""
    project, origin = Project(shop.stack), [("Origin", "https://a.example")]
    command_json(shop.stack, "set-cors", project.name, "https://a.example")
    expect(ask(shop, "PUT", project.url("a"), "writer", body="x"), 201)

    def named(token: str | None, method: str = "GET") -> list[str]:
        return ask(shop, method, project.url("a"), token, headers=origin).all("Access-Control-Allow-Origin")

    wait_until(shop.stack, lambda: named("reader") == named(None, "OPTIONS") == ["https://a.example"], "the list is noticed", 3)
    make(shop, path)
    assert "Access-Control-Allow-Origin" not in ask(shop, "GET", url(path), "reader", headers=origin)


def test_internal_locations(shop: Client, delegate: Delegate, tmp_path) -> None:
    """None can be asked for from outside, by any method, and neither the delegate nor the pool is reached through one."""
    run("nginx-config", "--output", tmp_path / "out", DS_DATA_DIR=tmp_path / "data", **delegate.settings).expect(0)
    text = "\n".join(file.read_text() for file in (tmp_path / "out").glob("*.conf"))
    blocks = re.findall(r"^\s*location\s+(?:=|\^~)?\s*(/\S+)\s*\{([^{}]*)", text, re.MULTILINE)
    places = sorted({place for place, block in blocks if re.search(r"^\s*internal;", block, re.MULTILINE)})
    assert len(places) >= 5, places
    for place in places:
        for target in (place, f"{place}?live=sse", f"{place.rstrip('/')}/x", place.replace(".", "%2E"), place.replace("durable", "d%75rable")):
            for method in ("GET", "POST", "HEAD"):
                answer = ask(shop, method, target, "writer", headers=EVIL, body=b"" if method == "POST" else None)
                assert answer.status in (400, 401, 403, 404), (target, answer.describe())
                assert "Stream-Next-Offset" not in answer, answer.describe()
    # Each question was about the target itself, not about what the client said that it was.
    assert all(one.all("X-Original-URI")[0].startswith("/") and "harmless" not in one.all("X-Original-URI")[0] for one in delegate.asked)


@pytest.mark.parametrize("address", [None, "", "https://127.0.0.1:9000/check", "HTTPS://127.0.0.1:9000/check", "http://127.0.0.1:9000",
                                     "127.0.0.1:9000/check", "http:///check", "http://127.0.0.1:9000/check?x=1"])  # fmt: skip
def test_address_is_needed(fresh_stack, address: str | None) -> None:
    """Of an endpoint in the clear: nginx would check no certificate, and has to know what to ask for."""
    settings = {} if address is None else {"DS_AUTH_DELEGATE_URL": address}
    status, errors = refused(fresh_stack(start=False, DS_AUTH="delegate", **settings))
    assert status == 78 and re.search("DS_AUTH_DELEGATE_URL|auth.delegate.url", one_line(errors)), (status, errors)


def test_starts_without_its_delegate(fresh_stack) -> None:
    """Nobody has to be there yet when the server starts."""
    stack = fresh_stack(DS_AUTH="delegate", DS_AUTH_DELEGATE_URL=f"http://127.0.0.1:{free_port()}/")
    with closing(Client(stack)) as http:
        check_refusal(ask(http, "GET", url("a"), "reader"), 503, "AUTH_UNAVAILABLE")


def test_no_place_for_a_body(running: tuple[Stack, Delegate], shop: Client, path: str) -> None:
    """It is the disk that has no room then, and not the delegate that can't be asked; small bodies need no file."""
    stack, bodies = running[0], running[0].data_dir / "nginx" / "body"
    if "workers run as root" in stack.log.read_text():
        pytest.skip("nothing is closed to nginx here")
    make(shop, path, body="")
    mode = bodies.stat().st_mode
    bodies.chmod(0)
    try:
        answer = ask(shop, "POST", url(path), "writer", type="application/octet-stream", body=b"x" * 200_000)
        assert answer.status == 507 and b"STORAGE_FULL" in answer.body and "Retry-After" in answer, answer.describe()
        expect(ask(shop, "POST", url(path), "writer", type="application/octet-stream", body="x"), 204)
    finally:
        bodies.chmod(mode)
    expect(ask(shop, "POST", url(path), "writer", type="application/octet-stream", body=b"x" * 200_000), 204)
