"""What must not grow, stay behind or disagree: remembered verdicts, memory of a server that has ended, quotas, origins."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from access import GUARDED, Project, ask, bearer, command_json
from client import Client, expect
from commands import run
from hooks import Hooks
from isolation import cut, cut_stack, hold, new_project  # noqa: F401 (fixtures)
from stack import Stack, remove_tree, wait_gone
from store import wait_until
from test_cache import served
from test_quota import TEXT, Ground
from test_startup import one_line, refused
from wire import Connection, Response, build_request

APP, OTHER = "https://app.example.com", "https://other.example.com"
NO_DELEGATE = {"DS_AUTH": "delegate", "DS_AUTH_DELEGATE_URL": "http://127.0.0.1:1/check"}
MODES = {"none": {}, "project-jwt": GUARDED, "delegate": NO_DELEGATE}


def memory(stack: Stack, folder: Path) -> Path:
    """Where the stack keeps what is for memory only, by a configuration that is rendered into `folder`."""
    run("nginx-config", "--output", folder, DS_DATA_DIR=stack.data_dir, DS_AUTH="project-jwt").expect(0)
    text = (folder / "durable-streams-project-jwt-http.conf").read_text()
    (verdicts,) = re.findall(r"fastcgi_cache_path\s+(/dev/shm/\S+)", text)
    return Path(verdicts).parent


def inside(folder: Path) -> list[Path]:
    """All files below a folder, some of which may go at any moment."""
    return [Path(place) / name for place, _, names in os.walk(folder) for name in names]


# Verdicts.


@pytest.mark.parametrize(("length", "each_second"), [pytest.param(1_400, 500, id="many"), pytest.param(3_000, 5, id="long")])
def test_verdicts_are_bounded(fresh_stack, tmp_path, length: int, each_second: int) -> None:
    """One reader who asks as if from ever new origins: few of the verdicts are remembered in a second, long ones never."""
    stack = fresh_stack(**GUARDED)
    project, verdicts = new_project(stack), memory(stack, tmp_path / "nginx") / "verdicts"
    assert verdicts.is_dir()
    token, other = project.token("read", stream_id="a"), project.token("read", jti="other")
    with closing(Client(stack)) as http, closing(Client(stack)) as second:
        project.create(http, "a", TEXT, "abc")
        peak, began = 0, int(time.time())
        for first in range(0, 3_000, 50):
            origins = [f"https://{n:08d}.{'x' * length}" for n in range(first, first + 50)]
            pairs = [[*bearer(token).items(), ("Origin", origin)] for origin in origins]
            http.connection.send(b"".join(build_request("GET", project.url("a"), headers) for headers in pairs))
            for _ in origins:
                assert expect(http.connection.read_response(), 200).body == b"abc"
            peak = max(peak, len(inside(verdicts)))
            expect(ask(second, "GET", project.url("a"), other), 200)
        seconds = int(time.time()) - began + 1
        assert 0 < peak <= each_second * seconds, f"{peak} files in {seconds} s"


# What is for memory only.


@pytest.mark.parametrize("settings", MODES.values(), ids=MODES.keys())
def test_memory_is_gone_after_the_end(fresh_stack, tmp_path, settings: dict[str, object]) -> None:
    stack = fresh_stack(**settings)
    folder = memory(stack, tmp_path / "nginx")
    if stack.settings.get("DS_AUTH") == "project-jwt":
        project = new_project(stack)
        with closing(Client(stack)) as http:
            expect(ask(http, "GET", project.url("a"), project.token()), 404)
    assert folder.is_dir() and folder.stat().st_mode & 0o027 == 0
    (folder / "more").mkdir()
    (folder / "more" / "file").write_text("x")
    stack.stop()
    assert not folder.exists(), inside(folder)


def test_memory_of_a_killed_server_is_emptied(fresh_stack, tmp_path) -> None:
    """kill -9 leaves verdicts, whose keys hold tokens: they go at the next start."""
    stack = fresh_stack(**GUARDED)
    folder, project = memory(stack, tmp_path / "nginx"), new_project(stack)
    token = project.token()
    with closing(Client(stack)) as http:
        project.create(http, "a", TEXT, "abc")

        def is_kept() -> bool:
            expect(ask(http, "GET", project.url("a"), token), 200)
            return any(token.encode() in content(file) for file in inside(folder))

        wait_until(stack, is_kept, "a verdict is remembered")
    children = stack.remember()
    stack.process.kill()
    stack.process.wait()
    assert not wait_gone(children, 10)
    (folder / "verdicts" / "left").mkdir()
    (folder / "verdicts" / "left" / "file").write_text(token)
    assert (left := inside(folder))
    stack.start()
    assert not [file for file in left if file.exists()]
    assert not [file for file in inside(folder) if token.encode() in content(file)]
    with closing(Client(stack)) as http:
        assert expect(ask(http, "GET", project.url("a"), token), 200).body == b"abc"


def content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


@pytest.mark.parametrize("auth", ["none", "project-jwt"])
def test_what_is_not_its_own_is_not_emptied(fresh_stack, tmp_path, auth: str) -> None:
    """Anybody may make names in /dev/shm: a link in the folder's place leads to nothing that is removed."""
    stack = fresh_stack(start=False, DS_AUTH=auth)
    folder, precious = memory(stack, tmp_path / "nginx"), tmp_path / "precious"
    (precious / "deep").mkdir(parents=True)
    files = [precious / "file", precious / "deep" / "file"]
    for file in files:
        file.write_text("precious")
    remove_tree(folder)
    folder.symlink_to(precious)
    try:
        if auth == "none":
            stack.start()
            stack.stop()
        else:
            status, errors = refused(stack)
            assert status != 0 and str(folder) in one_line(errors)
        assert [file.read_text() for file in files if file.exists()] == ["precious"] * 2
    finally:
        folder.unlink()


# Quotas.


@contextmanager
def grounded(stack: Stack) -> Iterator[Ground]:
    with closing(Client(stack)) as http:
        yield Ground(stack, http)


@pytest.mark.parametrize("settings", [{}, GUARDED], ids=["none", "project-jwt"])
def test_expired_streams_hold_no_quota(fresh_stack, tmp_path, settings: dict[str, object]) -> None:
    """However long it takes until somebody removes them: whoever is about to be refused does."""
    hooks = Hooks(tmp_path / "hooks")
    with grounded(fresh_stack(DS_SWEEP_INTERVAL=3600, **settings, **hooks.settings)) as ground:
        ground.limit(streams=2, bytes=1_000)
        for n in range(3):
            expect(ground.put(f"a{n}", TEXT, b"x" * 1_000, Stream_TTL="60"), 201)
            ground.refused(ground.put(f"b{n}", TEXT))
            ground.refused(ground.post(f"a{n}", TEXT, "x"))
            hooks.advance(61)
        expect(ground.put("last", TEXT, b"y" * 400, Stream_TTL="60"), 201)
        # Bytes alone: an append that finds the room of what has expired.
        hooks.advance(61)
        expect(ground.post("at", TEXT, b"z" * 1_000), 204)
        expect(ground.head("last"), 404)
        assert ground.usage == (1, 1_000)


# Origins.


@pytest.mark.parametrize("pair", [(APP, OTHER), (OTHER, APP), (APP, APP), (OTHER, OTHER)], ids=["first", "second", "both", "neither"])
def test_two_origins(cut_stack: Stack, cut: Client, pair: tuple[str, str]) -> None:
    """Whichever of two `Origin` headers counts, all parts go by the same."""
    project = new_project(cut_stack)
    command_json(cut_stack, "set-cors", project.name, APP)
    held = hold(cut, project)

    def named(answer: Response) -> tuple[tuple[str, ...], bool]:
        """What is allowed, and whether the answer says that this depends on the origin."""
        return tuple(answer.all("Access-Control-Allow-Origin")), "Origin" in ", ".join(answer.all("Vary"))

    def asked(method: str, target: str, *origins: str) -> Response:
        headers = [*bearer(held.good).items(), *(("Origin", origin) for origin in origins)]
        with Connection(cut_stack.port) as connection:
            connection.send(build_request(method, target, headers))
            return connection.read_head()

    live = [project.url(held.path, f"live={kind}&offset=-1") for kind in ("sse", "long-poll", "%73se")]
    wait_until(cut_stack, lambda: {named(asked("GET", target, APP)) for target in (held.target, *live)} == {((APP,), True)},
               "the list is noticed")  # fmt: skip
    assert named(asked("GET", held.target, OTHER)) == ((), True)
    held.warm()
    stored = asked("GET", held.target, *pair)
    assert served(stored) in ("HIT", "REVALIDATED"), stored.describe()
    answers = [stored, *(asked("GET", target, *pair) for target in (project.url(held.path), *live))]
    answers += [asked("HEAD", project.url(held.path), *pair), asked("OPTIONS", project.url(held.path), *pair)]
    assert {answer.status for answer in answers} == {200, 204}
    (said,) = {named(answer) for answer in answers}
    assert said in [((), True)] + [((APP,), True)] * (APP in pair)
