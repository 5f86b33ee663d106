"""Races of fork creation with whatever else happens to its source, decided by stopping one of two workers at named points."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from checks import check_error
from client import Client, at, expect, fields, instant, producer, url
from hooks import Hooks, go_on, wait_stopped
from store import ask_store, records, wait_until
from wire import Connection, ConnectionClosed, Response, build_request

pytestmark = pytest.mark.timeout(120)
FAR = "2199-01-02T03:04:05Z"


def serves(pid: int) -> bool:
    """Whether a worker has come as far as the threads that take requests."""
    return any(name.read_text().startswith("fastcgi-") for name in Path(f"/proc/{pid}/task").glob("*/comm"))


class Race:
    """Two workers, of which one is stopped in the middle of a request while the other serves."""

    def __init__(self, make: Callable, folder: Path):
        self.hooks = Hooks(folder)
        self.stack = make(DS_WORKERS=2, DS_SWEEP_INTERVAL=86_400, **self.hooks.settings)
        wait_until(self.stack, lambda: len([pid for pid in self.stack.processes("durable-streams-worker") if serves(pid)]) == 2, "both workers serve")
        self.clients: list[Client] = []
        self.http = self.client()

    def client(self, timeout: float = 15.0) -> Client:
        self.clients.append(Client(self.stack, timeout))
        return self.clients[-1]

    def send(self, client: Client, method: str, path: str, type: str | None = None, body: bytes | None = None, **extra: str) -> Connection:
        """A request whose answer is read later."""
        client.connection.send(build_request(method, url(path), fields(type, extra), body, host=f"127.0.0.1:{self.stack.port}"))
        return client.connection

    def stop(self, point: str, *request: object, **extra: str) -> Connection:
        """The request is sent, and its worker stops at the point."""
        self.hooks.arm(point, "stop")
        connection = self.send(self.client(), *request, **extra)
        wait_stopped(self.stack, self.hooks, point)
        return connection

    def other(self, path: str) -> Client:
        return self.ask_other(path)[0]

    def ask_other(self, path: str) -> tuple[Client, Response]:
        """A client whose requests reach the worker that goes on, since the connection that nginx has used last is used next,
        and the answer to HEAD of a path."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            client = self.client(timeout=0.5)
            try:
                answer = client.head(path)
            except ConnectionClosed:
                client.close()
                continue
            client.connection.socket.settimeout(15)
            return client, answer
        raise AssertionError("no worker answers")

    def is_locked(self) -> bool:
        """Whether somebody holds the lock of writers, and goes on holding it."""
        with (self.stack.data_dir / "write.lock").open("r+b") as file:
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return False
                except OSError:
                    time.sleep(0.005)
        return True

    def go_on(self, connection: Connection, method: str = "PUT") -> Response:
        go_on(self.stack)
        return connection.read_response(method)

    def end_empty(self, *names: str) -> None:
        for name in names:
            assert self.http.delete(name).status in (204, 404, 410)
        for name in names:
            expect(self.http.head(name), 404)
        questions = ("SELECT count(*) FROM stream", "SELECT count(*) FROM purge WHERE stream > 0")
        wait_until(self.stack, lambda: [*ask_store(self.stack, *questions), records(self.stack)] == [0, 0, 0], "the store is empty")


@pytest.fixture
def race(fresh_stack, tmp_path: Path) -> Iterator[Race]:
    race = Race(fresh_stack, tmp_path / "hooks")
    try:
        yield race
    finally:
        go_on(race.stack)
        for client in race.clients:
            client.close()


def forked_late(
    race: Race, meanwhile: Callable[[Client, str], object], prepare: Callable[[Client, str], object] | None = None, ends: str = FAR, **extra: str
) -> tuple[str, Response]:
    """PUT of a fork `…/n` of a source `…/s` waits before the queue until something else has been done; gives its answer."""
    for attempt in range(5):
        path = f"try{attempt}"
        race.http.create(f"{path}/s", "text/plain", "abc", Stream_Expires_At=ends)
        if prepare:
            prepare(race.http, path)
        waiting = race.stop("create.submitted", "PUT", f"{path}/n", None, b"own", Stream_Forked_From=url(f"{path}/s"), Stream_Expires_At=FAR, **extra)
        http, answer = race.ask_other(f"{path}/n")
        if not race.is_locked() and answer.status == 404:
            meanwhile(http, path)
            return path, race.go_on(waiting)
        # The committing thread was stopped inside a transaction, or a moment after the one at the point: too late for this.
        expect(race.go_on(waiting), 201)
        for name in ("n", "f", "s"):
            race.http.delete(f"{path}/{name}")
    raise AssertionError("stopped at a bad moment five times")


def with_fork(http: Client, path: str) -> None:
    http.fork(f"{path}/f", f"{path}/s", None, "f")


def delete(http: Client, path: str) -> None:
    expect(http.delete(f"{path}/s"), 204)


def test_source_deleted_meanwhile(race: Race) -> None:
    """3.1 row 12: what was there when the request came does not matter."""
    path, answer = forked_late(race, delete)
    check_error(answer, 404)
    race.end_empty(f"{path}/n", f"{path}/s")


def test_source_soft_deleted_meanwhile(race: Race) -> None:
    """Row 13, and no reference is taken: the last fork takes the source along."""
    path, answer = forked_late(race, delete, with_fork)
    check_error(answer, 409)
    expect(race.http.head(f"{path}/n"), 404)
    assert race.http.get(f"{path}/f").body == b"abcf"
    expect(race.http.delete(f"{path}/f"), 204)
    expect(race.http.head(f"{path}/s"), 404)
    race.end_empty()


def test_source_and_its_last_fork_deleted_meanwhile(race: Race) -> None:
    def meanwhile(http: Client, path: str) -> None:
        delete(http, path)
        expect(http.put_fork(f"{path}/late", f"{path}/s"), 409)
        expect(http.delete(f"{path}/f"), 204)

    path, answer = forked_late(race, meanwhile, with_fork)
    check_error(answer, 404)
    race.end_empty(f"{path}/n", f"{path}/s")


@pytest.mark.parametrize("old_offset", [False, True])
def test_source_made_again_meanwhile(race: Race, old_offset: bool) -> None:
    """The source is who has the name when the fork is made; an offset of the old one is of another incarnation (row 15)."""
    source = race.http.create("probe", "text/plain", "abc").offset
    expect(race.http.delete("probe"), 204)

    def meanwhile(http: Client, path: str) -> None:
        delete(http, path)
        http.create(f"{path}/s", "text/plain", "new")

    # Any incarnation that is over will do.
    path, answer = forked_late(race, meanwhile, **({"Stream_Fork_Offset": at(source, 1)} if old_offset else {}))
    if old_offset:
        check_error(answer, 400)
        expect(race.http.head(f"{path}/n"), 404)
    else:
        expect(answer, 201)
        assert race.http.get(f"{path}/n").body == b"newown"
        expect(race.http.delete(f"{path}/s"), 204)
        expect(race.http.head(f"{path}/s"), 410)
    race.end_empty(f"{path}/n", f"{path}/s")


@pytest.mark.parametrize("seen", ["seen", "unseen"])
@pytest.mark.parametrize("forks", [0, 1])
def test_source_expired_meanwhile(race: Race, forks: int, seen: str) -> None:
    """8.3: once anybody was told that it is absent or gone, it is. Before that the fork may have come first."""

    def meanwhile(http: Client, path: str) -> None:
        race.hooks.advance(700)
        if seen == "seen":
            expect(http.head(f"{path}/s"), 410 if forks else 404)

    path, answer = forked_late(race, meanwhile, with_fork_for_long if forks else None, ends=instant(600))
    if seen == "seen":
        check_error(answer, 409 if forks else 404)
        expect(race.http.head(f"{path}/n"), 404)
    else:
        assert answer.status in (201, 409 if forks else 404), answer.describe()
    if answer.status == 201:
        assert race.http.get(f"{path}/n").body == b"abcown"
        expect(race.http.head(f"{path}/s"), 410)
    elif not forks:
        expect(race.http.head(f"{path}/s"), 404)
    race.end_empty(f"{path}/n", f"{path}/f", f"{path}/s")


def with_fork_for_long(http: Client, path: str) -> None:
    http.fork(f"{path}/f", f"{path}/s", Stream_Expires_At=FAR)


def test_source_closed_meanwhile(race: Race) -> None:
    """11.1: the fork of a closed stream is open, and has everything."""
    path, answer = forked_late(race, lambda http, path: expect(http.post(f"{path}/s", "text/plain", "end", Stream_Closed="true"), 204))
    expect(answer, 201)
    assert "Stream-Closed" not in answer and race.http.get(f"{path}/n").body == b"abcendown"
    race.http.append(f"{path}/n", "text/plain", "!")
    expect(race.http.post(f"{path}/s", "text/plain", "!"), 409)
    race.end_empty(f"{path}/s", f"{path}/n")


@pytest.mark.parametrize("start", [False, True])
def test_source_appended_to_meanwhile(race: Race, start: bool) -> None:
    """11.2: the default is the tail when the fork is made; an offset stays what it is."""
    path, answer = forked_late(
        race, lambda http, path: http.append(f"{path}/s", "text/plain", "def", **producer("p", 0, 0)),
        **({"Stream_Fork_Offset": "0" * 16 + "_" + "0" * 16, "Stream_Fork_Sub_Offset": "2"} if start else {}),
    )  # fmt: skip
    expect(answer, 201)
    content = b"abown" if start else b"abcdefown"
    assert race.http.get(f"{path}/n").body == content and answer.offset.endswith(f"_{len(content):016d}")
    expect(race.http.post(f"{path}/n", "text/plain", "x", **producer("p", 0, 0)), 200)
    race.end_empty(f"{path}/s", f"{path}/n")


@pytest.mark.parametrize(
    ("taken", "status"), [("same", 200), ("plain", 409), ("other-source", 409), ("gone", 409), ("made-and-deleted", 201)]
)
def test_name_taken_meanwhile(race: Race, taken: str, status: int) -> None:
    """Rows 9 to 11, as of when the creation is judged."""

    def meanwhile(http: Client, path: str) -> None:
        if taken == "plain":
            http.create(f"{path}/n", "text/plain", "other")
        elif taken == "other-source":
            http.create(f"{path}/t", "text/plain", "other")
            http.fork(f"{path}/n", f"{path}/t")
        else:
            http.fork(f"{path}/n", f"{path}/s", None, "other", Stream_Expires_At=FAR)
        if taken == "gone":
            http.fork(f"{path}/m", f"{path}/n")
        if taken in ("gone", "made-and-deleted"):
            expect(http.delete(f"{path}/n"), 204)

    path, answer = forked_late(race, meanwhile)
    expect(answer, status)
    content = {"same": b"abcother", "plain": b"other", "other-source": b"other", "made-and-deleted": b"abcown"}
    if taken == "gone":
        expect(race.http.head(f"{path}/n"), 410)
    else:
        assert race.http.get(f"{path}/n").body == content[taken]
    race.end_empty(f"{path}/m", f"{path}/n", f"{path}/t", f"{path}/s")


# Stopped inside the transaction: whoever writes waits, whoever reads doesn't.


@pytest.mark.parametrize("then", ["delete", "append", "close", "fork", "same"])
@pytest.mark.parametrize("point", ["fork.resolved", "fork.inserted", "fork.counted"])
def test_writers_wait_for_a_fork(race: Race, point: str, then: str) -> None:
    """11.4: looking at the source and taking the reference is one step."""
    race.http.create("s", "text/plain", "abc")
    fork = {"Stream_Forked_From": url("s")}
    stopped = race.stop(point, "PUT", "n", None, b"own", **fork)
    http = race.other("s")
    requests = {
        "delete": ("DELETE", "s", None, None, {}), "append": ("POST", "s", "text/plain", b"def", {}),
        "close": ("POST", "s", None, None, {"Stream_Closed": "true"}), "fork": ("PUT", "m", None, b"own", fork), "same": ("PUT", "n", None, b"own", fork),
    }  # fmt: skip
    method, name, type, body, extra = requests[then]
    waiting = race.send(http, method, name, type, body, **extra)
    assert waiting.quiet_for(0.2) and race.is_locked()
    # A reader of its own: the one above waits.
    reader = race.other("s")
    assert reader.get("s").body == b"abc"
    expect(reader.head("n"), 404)
    expect(race.go_on(stopped), 201)
    expect(waiting.read_response(method), {"fork": 201, "same": 200}.get(then, 204))
    assert race.http.get("n").body == b"abcown"
    expect(race.http.head("s"), 410 if then == "delete" else 200)
    assert "Stream-Closed" not in race.http.head("n")
    if then == "delete":
        expect(race.http.delete("n"), 204)
        expect(race.http.head("s"), 404)
    race.end_empty("s", "m", "n")


@pytest.mark.parametrize(("point", "forks", "status"), [("delete.soft", True, 409), ("cascade.removed", False, 404)])
def test_fork_waits_for_a_deletion(race: Race, point: str, forks: bool, status: int) -> None:
    race.http.create("s", "text/plain", "abc")
    if forks:
        race.http.fork("f", "s")
    stopped = race.stop(point, "DELETE", "s")
    waiting = race.send(race.other("s"), "PUT", "n", None, None, Stream_Forked_From=url("s"))
    assert waiting.quiet_for(0.2)
    # Nothing is committed yet.
    assert race.other("s").get("s").body == b"abc"
    expect(race.go_on(stopped, "DELETE"), 204)
    check_error(waiting.read_response("PUT"), status)
    expect(race.http.head("n"), 404)
    race.end_empty("s", "f", "n")


@pytest.mark.parametrize("point", ["cascade.removed", "cascade.released"])
def test_new_stream_waits_for_a_cascade(race: Race, point: str) -> None:
    """The names of a chain are taken until all of it has gone, and free at once behind that."""
    race.http.create("a", "text/plain", "a")
    race.http.fork("b", "a", None, "b")
    race.http.fork("c", "b", None, "c")
    for name in "ab":
        expect(race.http.delete(name), 204)
    stopped = race.stop(point, "DELETE", "c")
    waiting = [race.send(race.other("c"), "PUT", name, "text/plain", b"new") for name in "ab"]
    assert all(connection.quiet_for(0.1) for connection in waiting)
    expect(race.other("a").head("a"), 410)
    expect(race.go_on(stopped, "DELETE"), 204)
    for name, connection in zip("ab", waiting, strict=True):
        expect(connection.read_response("PUT"), 201)
        assert race.http.get(name).body == b"new"
    race.end_empty(*"abc")


# Stopped behind the commit: all others know already.


def test_others_see_a_fork_before_its_maker(race: Race) -> None:
    race.http.create("s", "text/plain", "abc")
    stopped = race.stop("create.committed", "PUT", "n", None, b"own", Stream_Forked_From=url("s"))
    http = race.other("s")
    assert http.get("n").body == b"abcown"
    if not race.is_locked():
        expect(http.put_fork("n", "s"), 200)
        expect(http.delete("s"), 204)
        expect(http.head("s"), 410)
        expect(http.delete("n"), 204)
        expect(http.head("s"), 404)
    expect(race.go_on(stopped), 201)
    race.end_empty("s", "n")


@pytest.mark.parametrize("forks", [False, True])
def test_others_see_a_deletion_before_its_maker(race: Race, forks: bool) -> None:
    race.http.create("s", "text/plain", "abc")
    if forks:
        race.http.fork("f", "s", None, "f")
    stopped = race.stop("delete.committed", "DELETE", "s")
    http = race.other("s")
    expect(http.head("s"), 410 if forks else 404)
    if not race.is_locked():
        check_error(http.put_fork("n", "s"), 409 if forks else 404)
        expect(http.put("s", "text/plain", "new"), 409 if forks else 201)
    made = http.head("s").status == 200
    expect(race.go_on(stopped, "DELETE"), 204)
    if made:
        assert race.http.get("s").body == b"new"
    if forks:
        assert race.http.get("f").body == b"abcf"
    race.end_empty("f", "s")
