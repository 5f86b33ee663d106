"""Quotas of a project: how many streams and how many bytes, exact at the limit, and what goes on beyond it."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from access import NOTICED, Project, ask, check_refusal, command, command_json, wait_known
from checks import check_error
from client import Client, expect, producer
from hooks import Hooks
from stack import Stack, running
from store import wait_until
from test_concurrency import at_once
from wire import Response

TEXT, JSON = "text/plain", "application/json"
# Larger than any body of a test, and smaller each time: by its refusal one sees that the newest quota has been noticed.
CANARIES = itertools.count(200_000, -1)
LATER = re.compile(r"[1-9][0-9]*")
MODES = {
    "none": {},
    "none-two-workers": {"DS_WORKERS": 2},
    "project-jwt-two-workers": {"DS_AUTH": "project-jwt", "DS_WORKERS": 2},
}


class Ground:
    """A project with a quota, and a connection whose requests carry its token."""

    def __init__(self, stack: Stack, http: Client):
        self.stack, self.http = stack, http
        self.project = Project(stack)
        self.guarded = "DS_AUTH" in stack.settings
        self.token = self.project.token("manage") if self.guarded else None
        if self.guarded:
            wait_known(stack, self.project)

    def limit(self, **quota: int) -> Ground:
        """Sets a quota, which every worker knows from here on; `at` is a stream that is there, and counts."""
        if self.head("at").status == 404:
            expect(self.put("at", TEXT), 201)
        canary = b"x" * next(CANARIES)
        words = [word for name, value in quota.items() for word in (f"--{name}", value)]
        result = command_json(self.stack, "set-quota", self.project.name, *words, "--body", len(canary) - 1)
        assert result == {"project": self.project.name, "quota": self.listed("quota")}
        asked = {name: value or None for name, value in quota.items()} | {"body": len(canary) - 1}
        assert result["quota"].items() >= asked.items(), result

        def noticed() -> bool:
            # PUT of what is there ignores its body, unless that is too large.
            answers = at_once(self.stack, 8, lambda client, _: self.put("at", TEXT, canary, http=client))
            return {answer.status for answer in answers} == {413}

        wait_until(self.stack, noticed, "the quota is noticed", NOTICED)
        if "DS_WORKERS" in self.stack.settings:
            time.sleep(1)  # Each worker looks by itself, once a second; who answered is not known.
        return self

    def listed(self, member: str) -> dict[str, int]:
        (found,) = [one for one in command_json(self.stack, "projects")["projects"] if one["project"] == self.project.name]
        return found[member]

    @property
    def usage(self) -> tuple[int, int]:
        """Streams and bytes."""
        usage = self.listed("usage")
        return usage["streams"], usage["bytes"]

    def ask(
        self, method: str, path: str, type: str | None = None, body: bytes | str | None = None, *, http: Client | None = None, **extra: str
    ) -> Response:
        return ask(http or self.http, method, self.project.url(path, extra.pop("query", "")), self.token, type=type, body=body, **extra)

    def put(self, path: str, type: str | None = None, body: bytes | str | None = None, **extra: str) -> Response:
        return self.ask("PUT", path, type, body, **extra)

    def post(self, path: str, type: str | None = None, body: bytes | str | None = None, **extra: str) -> Response:
        return self.ask("POST", path, type, body, **extra)

    def get(self, path: str, query: str = "") -> Response:
        return self.ask("GET", path, query=query)

    def head(self, path: str) -> Response:
        return self.ask("HEAD", path)

    def delete(self, path: str) -> None:
        expect(self.ask("DELETE", path), 204)

    def refused(self, answer: Response) -> None:
        """507 in the form of all errors, and when to try again."""
        if self.guarded:
            check_refusal(answer, 507, "QUOTA_EXCEEDED")
        else:
            check_error(answer, 507, "QUOTA_EXCEEDED")
        assert LATER.fullmatch(answer.get("Retry-After") or ""), answer.describe()

    def passes(self, send: Callable[[], Response], what: str) -> None:
        """What was refused a moment ago is accepted, once there is room."""
        wait_until(self.stack, lambda: send().status in (200, 201, 204), what)


@pytest.fixture(scope="module", params=MODES.values(), ids=MODES.keys())
def quota_stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with running(**({"DS_SWEEP_INTERVAL": 0.2} | request.param)) as stack:
        yield stack


@pytest.fixture
def ground(quota_stack: Stack) -> Iterator[Ground]:
    with closing(Client(quota_stack)) as http:
        yield Ground(quota_stack, http)


@pytest.fixture
def fresh_ground(fresh_stack) -> Iterator[Callable[..., Ground]]:
    """A project on a server with settings of its own."""
    with ExitStack() as clients:
        yield lambda **settings: Ground(stack := fresh_stack(**settings), clients.enter_context(closing(Client(stack))))


def test_streams(ground: Ground) -> None:
    """So many and not one more; what is there can be used, and a deleted one makes room."""
    ground.limit(streams=3)
    for path in ("a", "b"):
        expect(ground.put(path, TEXT, "abc"), 201)
    for more in ({}, {"body": "abc"}, {"Stream_Closed": "true"}, {"Stream_Forked_From": ground.project.url("a")}):
        ground.refused(ground.put("c", TEXT, **more))
    expect(ground.head("c"), 404)
    expect(ground.put("a", TEXT), 200)
    expect(ground.put("a", "text/html"), 409)
    expect(ground.post("a", TEXT, "d"), 204)
    assert ground.get("a").body == b"abcd"
    assert ground.usage[0] == 3
    ground.delete("b")
    ground.passes(lambda: ground.put("c", TEXT), "a deleted stream makes room")
    ground.refused(ground.put("b", TEXT))
    assert ground.usage[0] == 3


def test_bytes_to_the_last(ground: Ground) -> None:
    """A byte stream is counted by the byte: an append fills the quota, and one byte more is too much."""
    ground.limit(bytes=10_000)
    expect(ground.put("a", TEXT, b"x" * 4_000), 201)
    expect(ground.post("a", TEXT, b"x" * 5_999), 204)
    ground.refused(ground.post("a", TEXT, "xx"))
    ground.refused(ground.put("b", TEXT, "xx"))
    expect(ground.head("b"), 404)
    expect(ground.post("a", TEXT, "x"), 204)
    for body in ("x", b"x" * 9_000):
        ground.refused(ground.post("a", TEXT, body))
        ground.refused(ground.put("b", TEXT, body))
    assert ground.get("a").body == b"x" * 10_000
    assert ground.usage == (2, 10_000)
    # Nothing to store, nothing to refuse.
    expect(ground.put("b", TEXT), 201)
    assert ground.usage == (3, 10_000)


def test_body_larger_than_all_of_it(ground: Ground) -> None:
    ground.limit(bytes=1_000)
    ground.refused(ground.put("a", TEXT, b"x" * 1_001))
    expect(ground.put("a", TEXT, b"x" * 1_000), 201)


@pytest.mark.parametrize("batch", [1, 10])
def test_json(ground: Ground, batch: int) -> None:
    """Counted within what brackets and commas add; a batch is stored whole or not at all."""
    ground.limit(bytes=5_000)
    expect(ground.put("a", JSON), 201)
    messages, text = 0, json.dumps({"text": "x" * 40})
    body = text if batch == 1 else "[" + ",".join([text] * batch) + "]"
    while (answer := ground.post("a", JSON, body)).status == 204:
        messages += batch
        assert messages * len(text) <= 5_000, "more was accepted than the quota has"
    ground.refused(answer)
    appends = messages // batch
    least, most = messages * len(text), messages * len(text) + messages + 3 * appends
    assert most + len(body) + 3 > 5_000, f"refused at {messages} messages of {len(text)} bytes"
    assert json.loads(ground.get("a").body) == [json.loads(text)] * messages
    streams, used = ground.usage
    assert streams == 2 and least <= used <= min(most, 5_000), (least, used, most)


def test_usage_is_what_was_stored(ground: Ground) -> None:
    """Of many streams, in both kinds, before and after some of them are deleted."""
    sizes: Counter[str] = Counter()
    slack = 0
    for n in range(12):
        path, type = f"s{n}", (TEXT, JSON)[n % 2]
        expect(ground.put(path, type), 201)
        for size in (1, 100, 3_000 * n):
            body = json.dumps("y" * size) if type == JSON else "y" * max(size, 1)
            expect(ground.post(path, type, body), 204)
            sizes[path] += len(body)
            slack += 3 * (type == JSON)
    streams, used = ground.usage
    assert streams == 12 and sizes.total() <= used <= sizes.total() + slack, (used, sizes.total(), slack)
    for n in range(0, 12, 3):
        ground.delete(f"s{n}")
        del sizes[f"s{n}"]
    wait_until(ground.stack, lambda: ground.usage[0] == 8 and sizes.total() <= ground.usage[1] <= sizes.total() + slack, "usage follows")


def test_many_at_once(ground: Ground) -> None:
    """Appends that race for the last bytes, on all workers: exactly as many are stored as fit."""
    ground.limit(bytes=5_000)
    for path in ("a", "b"):
        expect(ground.put(path, TEXT), 201)

    def run(client: Client, index: int) -> list[int]:
        return [ground.post("ab"[index % 2], TEXT, b"x" * 100, http=client).status for _ in range(10)]

    assert Counter(itertools.chain(*at_once(ground.stack, 16, run))) == {204: 50, 507: 110}
    assert len(ground.get("a").body) + len(ground.get("b").body) == 5_000
    assert ground.usage == (3, 5_000)
    ground.refused(ground.post("a", TEXT, "x"))


def test_many_creations_at_once(ground: Ground) -> None:
    ground.limit(streams=21)
    answers = at_once(ground.stack, 16, lambda client, index: [ground.put(f"n{index}-{n}", TEXT, http=client) for n in range(3)][-1])
    assert {answer.status for answer in answers} <= {201, 507}
    assert sum(ground.head(f"n{index}-{n}").status == 200 for index in range(16) for n in range(3)) == 20
    assert ground.usage[0] == 21


def test_what_goes_on(ground: Ground) -> None:
    """At the limit: reads, duplicates of producers, closing, deleting, PUT of what is there."""
    ground.limit(bytes=100)
    expect(ground.put("a", TEXT), 201)
    expect(ground.put("b", TEXT), 201)
    expect(ground.post("a", TEXT, b"x" * 100, **producer("p", 0, 0)), 200)
    ground.refused(ground.post("a", TEXT, "y", **producer("p", 0, 1)))
    # The one that was stored is known; the one that was not is still to come.
    duplicate = expect(ground.post("a", TEXT, b"x" * 100, **producer("p", 0, 0)), 204)
    assert duplicate.get("Producer-Seq") == "0"
    assert ground.post("a", TEXT, "y", **producer("p", 0, 2)).status in (409, 507)
    ground.refused(ground.post("a", TEXT, "y", **producer("p", 0, 1)))
    ground.refused(ground.post("b", TEXT, "last words", Stream_Closed="true"))
    assert "Stream-Closed" not in ground.head("b")
    assert ground.get("a").body == b"x" * 100
    expect(ground.get("a", "live=long-poll&offset=-1"), 200)
    expect(ground.put("a", TEXT), 200)
    expect(ground.post("none", TEXT, "x"), 404)
    assert "Stream-Closed" in expect(ground.post("b", Stream_Closed="true"), 204)
    assert "Stream-Closed" in expect(ground.post("a", Stream_Closed="true"), 204)
    ground.delete("a")
    ground.passes(lambda: ground.put("c", TEXT, b"x" * 100), "deletion makes room")
    assert ground.usage == (3, 100)


def test_refused_append_can_be_repeated(ground: Ground) -> None:
    """507 leaves the state of a producer, and the last Stream-Seq, as they were."""
    ground.limit(bytes=100)
    expect(ground.put("a", TEXT), 201)
    expect(ground.put("b", TEXT, b"x" * 95), 201)
    ground.refused(ground.post("a", TEXT, b"y" * 10, **producer("p", 0, 0), Stream_Seq="m"))
    ground.delete("b")
    ground.passes(lambda: ground.post("a", TEXT, b"y" * 10, **producer("p", 0, 0), Stream_Seq="m"), "there is room")
    assert ground.get("a").body == b"y" * 10


def test_quota_changes(ground: Ground) -> None:
    """Raised, lowered below what is there, and taken away; what isn't named stays as it is."""
    ground.limit(bytes=100, streams=50)
    expect(ground.put("a", TEXT, b"x" * 100), 201)
    ground.refused(ground.post("a", TEXT, "x"))
    ground.limit(bytes=101)
    assert ground.listed("quota") == {"streams": 50, "bytes": 101, "body": ground.listed("quota")["body"]}
    expect(ground.post("a", TEXT, "x"), 204)
    ground.limit(bytes=10, streams=1)
    ground.refused(ground.post("a", TEXT, "x"))
    ground.refused(ground.put("b", TEXT))
    assert ground.get("a").body == b"x" * 101
    ground.limit(bytes=0, streams=0)
    expect(ground.post("a", TEXT, b"x" * 5_000), 204)
    expect(ground.put("b", TEXT), 201)


def test_projects_have_their_own(ground: Ground) -> None:
    other = Ground(ground.stack, ground.http)
    ground.limit(bytes=100, streams=2)
    expect(ground.put("a", TEXT, b"x" * 100), 201)
    ground.refused(ground.post("a", TEXT, "x"))
    for n in range(3):
        expect(other.put(f"a{n}", TEXT, b"x" * 1_000), 201)
    assert ground.usage == (2, 100) and other.usage == (3, 3_000)


def test_sizes_with_units(ground: Ground) -> None:
    result = command_json(ground.stack, "set-quota", ground.project.name, "--bytes", "3MiB", "--body", "64KiB")
    assert result == {"project": ground.project.name, "quota": {"streams": None, "bytes": 3 << 20, "body": 64 << 10}}


@pytest.mark.parametrize("words", [["--bytes", "-1"], ["--bytes", "many"], ["--streams", "1.5"], ["--streams", "1KiB!"], ["--body", ""],
                                   ["--bytes", "99999999999999999999"]])  # fmt: skip
def test_malformed(ground: Ground, words: list[str]) -> None:
    before = ground.listed("quota")
    command(ground.stack, "set-quota", ground.project.name, *words).expect(64)
    assert ground.listed("quota") == before == {"streams": None, "bytes": None, "body": None}


def test_forks(ground: Ground) -> None:
    """A fork is a stream, and copies nothing; what it needs of a deleted source stays counted until it goes too."""
    ground.limit(bytes=1_000)
    expect(ground.put("source", TEXT, b"x" * 900), 201)
    expect(ground.put("fork", TEXT, Stream_Forked_From=ground.project.url("source")), 201)
    assert ground.usage == (3, 900)
    expect(ground.post("fork", TEXT, b"y" * 100), 204)
    ground.refused(ground.post("fork", TEXT, "y"))
    ground.delete("source")
    expect(ground.head("source"), 410)
    for _ in range(3):
        ground.refused(ground.post("fork", TEXT, "y"))
    assert ground.usage[1] == 1_000 and ground.get("fork").body == b"x" * 900 + b"y" * 100
    ground.delete("fork")
    ground.passes(lambda: ground.put("again", TEXT, b"z" * 1_000), "the last fork takes its source along")
    assert ground.usage == (2, 1_000)


def test_fork_with_content(ground: Ground) -> None:
    """What a fork begins with of its own counts; its refusal holds no reference to the source."""
    ground.limit(bytes=100)
    expect(ground.put("source", TEXT, b"x" * 60), 201)
    ground.refused(ground.put("fork", TEXT, b"y" * 41, Stream_Forked_From=ground.project.url("source")))
    expect(ground.head("fork"), 404)
    expect(ground.put("fork", TEXT, b"y" * 40, Stream_Forked_From=ground.project.url("source")), 201)
    ground.delete("fork")
    ground.delete("source")
    expect(ground.head("source"), 404)


def test_retention_makes_room(fresh_ground) -> None:
    """What a stream no longer keeps is no longer counted."""
    ground = fresh_ground(DS_SEGMENT_MAX_MESSAGES=2, DS_SEGMENT_MAX_BYTES=2048, DS_SWEEP_INTERVAL=0.2).limit(bytes=20_000)
    expect(ground.put("a", TEXT, Stream_Retention_Messages="4"), 201)
    for n in range(60):
        ground.passes(lambda: ground.post("a", TEXT, b"x" * 1_000), f"there is room for append {n}")
    assert ground.head("a").offset.endswith(f"{60_000:016d}")
    wait_until(ground.stack, lambda: ground.usage[1] <= 10_000, "what was given up is not counted")
    assert len(ground.get("a").body) >= 4_000 and ground.usage[1] >= 4_000


def test_expiry_makes_room(fresh_ground, tmp_path) -> None:
    hooks = Hooks(tmp_path / "hooks")
    ground = fresh_ground(DS_SWEEP_INTERVAL=0.2, **hooks.settings).limit(bytes=1_000, streams=2)
    expect(ground.put("a", TEXT, b"x" * 1_000, Stream_TTL="60"), 201)
    ground.refused(ground.post("a", TEXT, "x"))
    ground.refused(ground.put("b", TEXT))
    hooks.advance(61)
    ground.passes(lambda: ground.put("b", TEXT, b"y" * 1_000), "an expired stream makes room")
    assert ground.usage == (2, 1_000)


def test_segments_count_like_what_is_hot(fresh_ground) -> None:
    """Moving into segments, and their merging, changes nothing; nor does a restart."""
    ground = fresh_ground(DS_SEGMENT_MAX_MESSAGES=2, DS_SWEEP_INTERVAL=0.2).limit(bytes=50_000)
    expect(ground.put("a", TEXT), 201)
    expect(ground.put("j", JSON), 201)
    for n in range(40):
        expect(ground.post("a", TEXT, b"x" * 1_000), 204)
        expect(ground.post("j", JSON, "[1]"), 204)
    streams, used = ground.usage
    assert streams == 3 and 40_040 <= used <= 40_200

    def cold() -> bool:
        return any((ground.stack.data_dir / "segments").rglob("*-*"))

    wait_until(ground.stack, cold, "something has moved into segments")
    assert abs(ground.usage[1] - used) <= 120
    ground.http.close()
    ground.stack.stop()
    ground.stack.start()
    assert abs(ground.usage[1] - used) <= 120 and ground.usage[0] == 3
    expect(ground.post("a", TEXT, b"x" * (50_000 - ground.usage[1])), 204)
    ground.refused(ground.post("a", TEXT, "x"))
