"""kill -9 while something is cut: it is wholly so or not at all, rows and files match, and never less is kept than promised."""

from __future__ import annotations

import os
import signal
import time

import pytest

from client import Client, expect, producer
from hooks import Hooks
from model_retention import Watch
from retention_forks import fork, pieces
from stack import Stack, identity, wait_gone
from store import files, wait_until
from test_crash import begin, wait_for_progress
from test_crash_points import Ground, ground  # noqa: F401 (a fixture)
from test_deletion import again
from retention import EARLIEST, Log, check_cut_off, is_quiet, segments, shown, split, wait_cold
from test_segment_crash import MERGE, REMOVAL, ROTATION, is_consistent
from wire import Response

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
CUT = ["retention.recorded", "retention.committed"]
KINDS = pytest.mark.parametrize("kind", ["bytes", "json"])


class Patient(Client):
    """Asks again until somebody is there to answer; what must count once needs a producer."""

    def request(self, *request: object, **more: object) -> Response:
        return again(self, lambda: super(Patient, self).request(*request, **more))


class Writing(Log):
    """A log whose appends outlive kills: each is repeated until it is answered, and counts once."""

    def append(self, count: int = 1, letter: bytes = b"p", **extra: str) -> None:
        for _ in range(count):
            part, number = self.next_part(letter), len(self.parts) - self.inherited
            answer = self.http.post(self.path, self.type, part, **producer("p", 0, number), **extra)
            assert answer.status in (200, 204), answer.describe()
            self.parts.append(part)


def start(ground: Ground, **settings: object) -> tuple[Hooks, Stack, Client]:
    """The ground with a client that outlives kills."""
    hooks, stack, http = ground.start(**settings)
    http.close()
    ground.http = Patient(stack)
    return hooks, stack, ground.http


def one_by_one(stack: Stack, log: Log, count: int, letter: bytes = b"p") -> None:
    """Each part becomes a segment, unless a kill comes between."""
    for _ in range(count):
        log.append(1, letter)
        wait_cold(stack, log)


def settle(ground: Ground) -> None:
    """Everything is as it should be, and the files of what has gone have had their time."""
    hooks, stack = ground.hooks, ground.stack
    wait_until(stack, lambda: hooks.advance(1) or stack.ready() and is_quiet(stack, hooks) and is_consistent(ground), "rows and files match")


def check_log(stack: Stack, log: Log, least: int, most: int) -> int:
    """The last parts are there, between so many and so many, and nothing of what was before; gives where they begin."""
    first = log.gone()
    kept = len(log.parts) - first
    assert least <= kept <= most, f"{kept} of {len(log.parts)} are kept, not {least} to {most}"
    assert log.http.head(log.path).offset == log.token()
    assert log.read()[1] == log.content(first)
    if first:
        check_cut_off(log.http.get(log.path, f"offset={log.token(first - 1)}"), log.token(first))
    # Every position behind the cut is held once: by segments without a gap, then by records.
    rows = [(start, end) for start, end, _, _ in segments(stack, log.path) if end > log.place(first)]
    assert [start for start, _ in rows] == [log.place(first), *(end for _, end in rows[:-1])][: len(rows)], rows
    return first


def restart(ground: Ground) -> None:
    ground.http.close()
    ground.stack.stop()
    ground.stack.start()


@KINDS
@pytest.mark.parametrize(("point", "passes"), [*((point, n) for point in CUT for n in (1, 3)), *((point, 5) for point in ROTATION), (REMOVAL[0], 1)])
def test_kill_while_the_beginning_goes(ground: Ground, point: str, passes: int, kind: str) -> None:  # noqa: F811
    """By the number of messages, a segment of one after the other."""
    hooks, stack, http = start(ground, DS_SEGMENT_MAX_MESSAGES=1)
    log = Writing(http, "a", kind, Stream_Retention_Messages="3")
    hooks.arm(point, passes=passes)
    for number in range(10):
        one_by_one(stack, log, 1)
        assert log.gone() <= max(0, len(log.parts) - 3)
        if point in REMOVAL and number > 5:
            hooks.advance(6)
    hooks.wait_fired(point)
    wait_until(stack, stack.ready, "ready again")
    # What a kill has put off is made up for at the next segment at the latest.
    one_by_one(stack, log, 2)
    settle(ground)
    first = check_log(stack, log, 3, 5)
    assert pieces(stack, log) == [(start // log.place(1), end // log.place(1)) for start, end, _, _ in segments(stack, "a")]
    restart(ground)
    assert check_log(stack, log, 3, 5) == first
    one_by_one(stack, log, 3)
    wait_until(stack, lambda: log.gone() == len(log.parts) - 3, "it goes on as if nothing had been")
    expect(http.delete("a"), 204)
    wait_until(stack, lambda: hooks.advance(1) or files(stack) == [], "the files are gone")
    ground.wait_empty()


@pytest.mark.parametrize("kind", ["json"])
@pytest.mark.parametrize("point", [*MERGE, *CUT])
def test_kill_while_merged_segments_go(ground: Ground, point: str, kind: str) -> None:  # noqa: F811
    """With enough kept for eight segments to become one, a part of which the limit would still ask for."""
    hooks, stack, http = start(ground, DS_SEGMENT_MAX_MESSAGES=1)
    log = Writing(http, "a", kind, Stream_Retention_Messages="34")
    if point in MERGE:
        hooks.arm(point, passes=2)
    for number in range(46):
        one_by_one(stack, log, 1)
        if number == 38 and point in CUT:
            hooks.arm(point)
    hooks.wait_fired(point)
    wait_until(stack, stack.ready, "ready again")
    one_by_one(stack, log, 1)
    settle(ground)
    assert max(appends for _, _, _, appends in segments(stack, "a")) > 1, "nothing was merged"
    check_log(stack, log, 34, 34 + 1 + 34 // 4)
    one_by_one(stack, log, 10)
    settle(ground)
    assert check_log(stack, log, 34, 34 + 1 + 34 // 4) > 0


@KINDS
@pytest.mark.parametrize("point", [*CUT, *ROTATION[3:]])
def test_kill_while_a_stream_grows_old(ground: Ground, point: str, kind: str) -> None:  # noqa: F811
    """By age: it ends up empty, its tail where it was, and goes on there."""
    hooks, stack, http = start(ground)
    log = Writing(http, "a", kind, Stream_Retention_Age="3600", Stream_Retention_Messages="1000")
    log.append(3)
    young = Writing(http, "young", kind, Stream_Retention_Age="86400")
    young.append(2)
    hooks.arm(point)
    for _ in range(7):
        hooks.advance(901)
        wait_until(stack, lambda: stack.ready() and is_quiet(stack, hooks), "the server has looked at what is old")
    hooks.wait_fired(point)
    settle(ground)
    assert check_log(stack, log, 0, 0) == 3 and segments(stack, "a") == []
    assert check_log(stack, young, 2, 2) == 0
    restart(ground)
    assert check_log(stack, log, 0, 0) == 3
    log.append(2)
    assert check_log(stack, log, 2, 2) == 3 and shown(http, "a")[EARLIEST] == log.token(3)
    ground.end_empty(["a", "young"])
    wait_until(stack, lambda: hooks.advance(1) or files(stack) == [], "the files are gone")


@KINDS
@pytest.mark.parametrize(("point", "passes"), [(point, n) for point in CUT for n in (1, 2)])
def test_kill_while_a_fork_needs_what_goes(ground: Ground, point: str, passes: int, kind: str) -> None:  # noqa: F811
    """The source is cut, its fork is not, then the fork by its own limits; the files go with the last reader."""
    hooks, stack, http = start(ground, DS_SEGMENT_MAX_MESSAGES=1)
    log = Writing(http, "a", kind, Stream_Retention_Messages="3")
    one_by_one(stack, log, 3)
    made, own = fork(log, "f"), fork(log, "own", 2, Stream_Retention_Messages="2")
    hooks.arm(point, passes=passes)
    one_by_one(stack, log, 4)
    hooks.wait_fired(point)
    wait_until(stack, stack.ready, "ready again")
    one_by_one(stack, log, 1)
    wait_until(stack, lambda: hooks.advance(1) or pieces(stack, log) == [(0, 1), (1, 2), (2, 3), (5, 6), (6, 7), (7, 8)], "only needed files are left")
    check_log(stack, log, 3, 3)
    assert made.gone() == 0 and made.read()[1] == made.content()
    assert own.gone() == 0 and own.read()[1] == own.content()
    # The fork's turn: what it inherits goes as one piece.
    hooks.arm(point)
    one_by_one(stack, own, 3, b"o")
    hooks.wait_fired(point)
    wait_until(stack, stack.ready, "ready again")
    one_by_one(stack, own, 1, b"o")
    wait_until(stack, lambda: own.gone() == 4, "what is inherited has gone, and two of its own")
    assert own.read()[1] == own.content(4)
    assert made.read()[1] == made.content()
    http.delete("f")
    wait_until(stack, lambda: hooks.advance(1) or pieces(stack, log) == [(5, 6), (6, 7), (7, 8)], "nobody needs the beginning any more")
    assert log.read()[1] == log.content(5) and own.read()[1] == own.content(4)
    ground.end_empty(["a", "own", "f"])
    wait_until(stack, lambda: hooks.advance(1) or files(stack) == [], "the files are gone")


@pytest.mark.parametrize("point", ["cascade.removed", "cascade.released", "delete.committed", "purge.finished", "garbage.removed"])
def test_kill_while_the_last_fork_goes(ground: Ground, point: str) -> None:  # noqa: F811
    """What only it could read goes all the same, and nothing else."""
    hooks, stack, http = start(ground, DS_SEGMENT_MAX_MESSAGES=1)
    log = Writing(http, "a", "bytes", Stream_Retention_Messages="2")
    one_by_one(stack, log, 2)
    made = fork(log, "f")
    one_by_one(stack, log, 3)
    wait_until(stack, lambda: hooks.advance(1) or pieces(stack, log) == [(0, 1), (1, 2), (3, 4), (4, 5)], "only needed files are left")
    assert made.read()[1] == made.content()
    hooks.arm(point)
    http.delete("f")
    wait_until(stack, lambda: hooks.advance(1) or not hooks.armed(point), f"somebody has come by {point}")
    wait_until(stack, stack.ready, "ready again")
    assert http.delete("f").status in (204, 404)
    wait_until(stack, lambda: hooks.advance(1) or pieces(stack, log) == [(3, 4), (4, 5)], "nobody needs the beginning any more")
    check_log(stack, log, 2, 2)
    ground.end_empty(["a", "f"])


@pytest.mark.timeout(240)
def test_kills_under_load(fresh_stack) -> None:
    """Four writers and workers that are killed at any moment: each line is there once, in order, and the last ones are never lost."""
    promise, kills = 200, int(os.environ.get("DS_KILLS", "100")) // 10
    stack = fresh_stack(DS_WORKERS=2, DS_SEGMENT_MAX_MESSAGES=20, DS_RETENTION_MESSAGES=promise)
    writers, stop, client = begin(stack)
    try:
        for turn in range(kills):
            wait_for_progress(stack, writers, by=150)
            pids = stack.processes("durable-streams-worker")
            who = identity(pids[turn % len(pids)])
            os.kill(pids[turn % len(pids)], signal.SIGKILL)
            assert not who or not wait_gone([who], 5)
        wait_for_progress(stack, writers, by=150)
    finally:
        stop.set()
        for writer in writers:
            writer.join(40)
    assert not [writer.failure for writer in writers if writer.failure]
    wait_until(stack, lambda: stack.ready() and not Watch(stack).moving(time.time()), "nothing moves any more")
    client.close()
    client = Patient(stack)
    for path in ("crash/0", "crash/1"):
        check_lines(client, path, [writer for writer in writers if writer.path == path], promise)
    client.close()


def check_lines(client: Client, path: str, writers: list, promise: int) -> None:
    """The end of what was appended: per writer without gap or repetition, up to the last acknowledged line at least."""
    first = split(client.get(path))[1].get(EARLIEST)
    assert first is not None and first == shown(client, path)[EARLIEST], "nothing was cut"
    lines = client.read_all(path)[0].decode().splitlines()
    assert len(lines) >= promise and all(len(line) == 8 for line in lines), "less than promised, or cut inside a line"
    for writer in writers:
        numbers = [int(line.split(":")[1]) for line in lines if line.startswith(f"{writer.number}:")]
        assert numbers and numbers == list(range(numbers[0], numbers[-1] + 1)), f"writer {writer.number}: out of order"
        assert writer.acknowledged <= numbers[-1] + 1 <= writer.acknowledged + 1
    print(f"{path}: {len(lines)} of {sum(writer.acknowledged for writer in writers)} lines are kept")
