"""A full disk: what asks for space is refused, all else goes on, and it ends by itself when there is space again."""

from __future__ import annotations

import itertools
import math
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from checks import check_error
from client import Client, at, expect, producer
from conftest import DEFAULTS
from sse import EventSource, decode_base64
from stack import StartFailed, Stack, identity, remove_tree, temporary_root, wait_gone
from test_crash import RETRY, read_lines
from test_deletion import ask_store, wait_until
from test_startup import one_line, refused
from wire import Connection, ConnectionClosed, Response, build_request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
MIB = 1 << 20
# Seconds that the server may take to see what has changed on the disk: a quarter, and what a busy machine adds.
NOTICE = 2.0


def call(*words: object) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise OSError(f"{words[0]}: {done.stderr.strip() or done.stdout.strip()}")


def unmount(place: Path) -> None:
    """Waits for whoever is still busy there; in the end it goes whether they are or not."""
    deadline = time.monotonic() + 10
    while os.path.ismount(place):
        try:
            call("umount", *(["-l"] if time.monotonic() > deadline else []), place)
        except OSError:
            time.sleep(0.05)


class Disk:
    """A small file system of its own, and the servers on it."""

    def __init__(self, root: Path, size: int, reserved: int):
        self.root, self.place, self.numbers = root, root / "disk", itertools.count()
        self.stacks: list[Stack] = []
        self.place.mkdir()
        try:
            image = root / "image"
            with image.open("wb") as file:
                file.truncate(size)
            call("mkfs.ext4", "-q", "-F", "-m", reserved, image)
            call("mount", "-o", "loop", image, self.place)
        except OSError as error:
            if reserved:
                pytest.skip(f"needs root and a loop device: {error}")
            try:
                call("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.place)
            except OSError as second:
                pytest.skip(f"no file system of one's own: {error}; {second}")
        self.place.chmod(0o755)

    def start(self, **settings: object) -> Stack:
        stack = Stack(self.place / "data", **{**DEFAULTS, **settings})
        stack.log = self.root / "data.log"
        self.stacks.append(stack)
        return stack.start()

    def use(self) -> float:
        """In percent, as df(1) says it."""
        status = os.statvfs(self.place)
        used = status.f_blocks - status.f_bfree
        return 100 * used / (used + status.f_bavail)

    def fill(self, percent: float) -> Path:
        """A file that brings the use to so many percent."""
        status = os.statvfs(self.place)
        used = status.f_blocks - status.f_bfree
        wanted = percent / 100 * (used + status.f_bavail) - used
        return self.ballast(int(wanted * status.f_frsize))

    def ballast(self, size: int) -> Path:
        path = self.place / f"ballast-{next(self.numbers)}"
        with path.open("wb") as file:
            if size > 0:
                os.posix_fallocate(file.fileno(), 0, size)
        return path

    def relieve(self) -> None:
        """Much space all at once."""
        for path in self.place.glob("ballast-*"):
            path.unlink()

    def close(self) -> None:
        for stack in self.stacks:
            stack.stop(expect_clean=False)
        unmount(self.place)
        remove_tree(self.root)


@pytest.fixture
def make_disk() -> Iterator[Callable[..., Disk]]:
    disks: list[Disk] = []
    roots: list[Path] = []

    def make(size: int = 160 * MIB, reserved: int = 0) -> Disk:
        roots.append(temporary_root())
        disks.append(Disk(roots[-1], size, reserved))
        return disks[-1]

    try:
        yield make
    finally:
        for disk in disks:
            disk.close()
        for root in roots:
            remove_tree(root)


def check_full(response: Response) -> None:
    check_error(response, 507, "STORAGE_FULL")
    assert response.get("Retry-After") == "5", response.describe()


def lines_of(stack: Stack, pattern: str, but: str | None = None) -> list[str]:
    lines = stack.log.read_text("utf-8", "replace").splitlines()
    return [line for line in lines if re.search(pattern, line) and not (but and but in line)]


def crossings(stack: Stack) -> tuple[int, int]:
    """Lines that say it is above the mark, and below again."""
    below = "below the high-water mark"
    above = [line for line in lines_of(stack, "high-water mark", but=below) if "disk_high_water" in line]
    return len(above), len(lines_of(stack, below))


def wait_status(stack: Stack, http: Client, status: int, within: float) -> float:
    """Until appends are answered so; the seconds that it took."""
    began = time.monotonic()

    def holds() -> bool:
        return http.post("probe", "text/plain", ".").status == status

    wait_until(stack, holds, f"appends are answered {status}", within, pause=0.01)
    return time.monotonic() - began


# The high-water mark.


@pytest.fixture
def above(make_disk) -> Iterator[tuple[Disk, Stack, Client, Path]]:
    """A server above the default mark, with streams from before."""
    # Four percent are ten megabytes: there is no lack of space.
    disk = make_disk(256 * MIB)
    stack = disk.start(DS_LONG_POLL_TIMEOUT=0.5, DS_SSE_LIFETIME=1)
    with closing(Client(stack)) as http:
        http.create("probe", "text/plain")
        http.create("text", "text/plain", "abc", Stream_TTL="5000")
        http.append("text", "text/plain", "d", **producer("p", 3, 0), Stream_Seq="m")
        http.create("json", "application/json", "[1,2]")
        http.create("closed", "text/plain", "abc", Stream_Closed="true")
        for name in ("open", "doomed", "big"):
            http.create(name, "application/octet-stream", b"x" * 3_000_000 if name == "big" else name)
        ballast = disk.fill(96)
        wait_status(stack, http, 507, within=10)
        yield disk, stack, http, ballast


def test_what_is_refused(above) -> None:
    _, stack, http, ballast = above
    body, fork = ("text/plain", "more"), {"Stream_Forked_From": "/v1/stream/text"}
    for _ in range(20):
        check_full(http.post("text", *body))
    check_full(http.post("text", *body, **producer("p", 3, 1)))
    check_full(http.post("text", *body, **producer("new", 0, 0)))
    check_full(http.post("text", *body, Stream_Seq="n"))
    check_full(http.post("text", *body, Stream_Closed="true"))
    check_full(http.post("json", "application/json", "[3]"))
    check_full(http.post("open", "application/octet-stream", b"x" * 2_000_000))
    check_full(http.put("new", "text/plain"))
    check_full(http.put("new", *body))
    check_full(http.put("new", *body, Stream_Closed="true"))
    check_full(http.put("new", "text/plain", None, **fork))
    check_full(http.put("new", None, None, **fork))
    # Nothing of it was done.
    assert http.get("text").body == b"abcd" and http.get("json").body == b"[1,2]" and http.get("open").body == b"open"
    assert "Stream-Closed" not in http.head("text")
    expect(http.head("new"), 404)
    assert crossings(stack) == (1, 0), stack.log_tail()
    ballast.unlink()
    took = wait_status(stack, http, 204, within=NOTICE)
    print(f"appends work again after {took:.3f} s")
    wait_until(stack, lambda: crossings(stack) == (1, 1), "one line each", within=5)
    # The refused requests of the producer count for nothing.
    expect(http.post("text", *body, **producer("p", 3, 1), Stream_Seq="n"), 200)
    expect(http.put("new", *body), 201)
    assert http.get("text").body == b"abcdmore"


def test_what_goes_on(above) -> None:
    _, stack, http, _ = above
    body = ("text/plain", "more")
    assert expect(http.get("text"), 200).body == b"abcd" and expect(http.get("json"), 200).body == b"[1,2]"
    assert http.read_all("big")[0] == b"x" * 3_000_000
    tail = expect(http.head("text"), 200).offset
    expect(http.get("text", If_None_Match=http.get("text").get("ETag")), 304)
    expect(http.request("OPTIONS", "/v1/stream/text"), 204)
    expect(http.request("GET", "/healthz"), 200)
    # Repetitions.
    expect(http.put("text", "text/plain", None, Stream_TTL="5000"), 200)
    expect(http.put("json", "application/json", "[9]"), 200)
    expect(http.post("text", "text/plain", "d", **producer("p", 3, 0)), 204)
    # Refusals for other reasons come first.
    check_error(http.put("text", "text/html"), 409, "STREAM_EXISTS")
    check_error(http.put("new", "text/plain", None, Stream_TTL="x"), 400, "TTL_INVALID")
    check_error(http.put("new", "application/json", "{"), 400, "JSON_INVALID")
    check_error(http.put("new", "text/plain", None, Stream_Forked_From="/v1/stream/none"), 404, "SOURCE_NOT_FOUND")
    check_error(http.post("none", *body), 404, "STREAM_NOT_FOUND")
    check_error(http.post("text", "text/html", "x"), 409, "CONTENT_TYPE_MISMATCH")
    check_error(http.post("text", *body, Stream_Seq="a"), 409, "SEQUENCE_CONFLICT")
    check_error(http.post("text", "text/plain"), 400, "BODY_EMPTY")
    check_error(http.post("closed", *body), 409, "STREAM_CLOSED", Stream_Closed="true", Stream_Next_Offset=True)
    gap = http.post("text", *body, **producer("p", 3, 2))
    check_error(gap, 409, "PRODUCER_GAP", Producer_Expected_Seq="1", Producer_Received_Seq="2")
    assert http.post("text", *body, **producer("p", 2, 0)).status == 403
    # Live reads.
    assert expect(http.get("text", "live=long-poll&offset=-1"), 200).body == b"abcd"
    expect(http.get("text", f"live=long-poll&offset={tail}"), 204)
    with EventSource(stack, "text") as source:
        payloads, _ = source.until(tail)
    assert b"".join(payloads) == b"abcd"
    # Whoever waits learns of the end.
    with Connection(stack.port) as waiting:
        waiting.send(build_request("GET", f"/v1/stream/open?live=long-poll&offset={http.head('open').offset}"))
        expect(http.post("open", Stream_Closed="true"), 204)
        assert expect(waiting.read_response(), 204).get("Stream-Closed") == "true"
    expect(http.post("open", Stream_Closed="true"), 204)
    expect(http.post("text", Stream_Closed="true", **producer("p", 3, 1)), 204)
    expect(http.delete("doomed"), 204)
    expect(http.head("doomed"), 404)
    expect(http.delete("big"), 204)
    assert crossings(stack) == (1, 0), stack.log_tail()


def test_start_above_the_mark(above) -> None:
    """Also a server that begins there serves, and says it once; lower use lets it accept again."""
    _, stack, http, ballast = above
    http.close()
    stack.stop()
    stack.log.rename(stack.log.with_suffix(".first"))
    stack.start()
    assert expect(http.get("text"), 200).body == b"abcd"
    check_full(http.post("text", "text/plain", "x"))
    check_full(http.put("new", "text/plain"))
    wait_until(stack, lambda: crossings(stack) == (1, 0), "it says so", within=5)
    ballast.unlink()
    wait_status(stack, http, 204, within=NOTICE)
    # Up and down again: each time one line.
    for turn in (2, 3):
        again_full = (above[0]).fill(98)
        wait_status(stack, http, 507, within=10)
        again_full.unlink()
        wait_status(stack, http, 204, within=NOTICE)
        wait_until(stack, lambda turn=turn: crossings(stack) == (turn, turn), "one line each", within=5)


@pytest.mark.parametrize("reserved", [0, 30])
def test_use_is_what_df_says(make_disk, reserved: int) -> None:
    """Blocks kept for root count neither as used nor as available."""
    disk = make_disk(256 * MIB, reserved)
    stack = disk.start(DS_DISK_HIGH_WATER=100)
    with closing(Client(stack)) as http:
        http.create("probe", "text/plain")
    # Measured while it runs: a write-ahead log has its whole size then.
    disk.fill(76)
    use = disk.use()
    stack.stop()
    for mark, status in ((math.floor(use) - 3, 507), (math.ceil(use) + 3, 204)):
        stack = disk.start(DS_DISK_HIGH_WATER=mark)
        with closing(Client(stack)) as http:
            answer = http.post("probe", "text/plain", "x")
            assert answer.status == status, f"use {disk.use():.1f} %, mark {mark}: {answer.describe()}"
        assert abs(disk.use() - mark) > 1, "the use has changed"
        stack.stop()


def test_mark_of_100_is_none(make_disk) -> None:
    disk = make_disk(256 * MIB)
    stack = disk.start(DS_DISK_HIGH_WATER=100)
    with closing(Client(stack)) as http:
        http.create("probe", "text/plain")
        disk.fill(98.5)
        # Longer than the server would need to see it.
        until = time.monotonic() + 1
        while time.monotonic() < until:
            expect(http.post("probe", "text/plain", "x"), 204)
        expect(http.put("new", "text/plain"), 201)
    assert crossings(stack) == (0, 0)


@pytest.mark.parametrize("value", ["0", "101", "-1", "95%", "x", ""])
def test_malformed_mark(fresh_stack, value: str) -> None:
    status, errors = refused(fresh_stack(start=False, DS_DISK_HIGH_WATER=value))
    assert status == 78 and re.search("disk_high_water", one_line(errors), re.IGNORECASE), errors


# No space at all.


class Writer(threading.Thread):
    """Appends numbered lines; repeats each until it is acknowledged, and counts the refusals."""

    def __init__(self, stack: Stack, number: int, stop: threading.Event, size: int, accepts: set[int]):
        super().__init__(name=f"writer-{number}")
        self.stack, self.number, self.halt, self.size, self.accepts = stack, number, stop, size, accepts
        # Two share a stream as producers, the others have one each.
        self.is_producer = number < 2
        self.path = "full/shared" if self.is_producer else f"full/{number}"
        self.acknowledged, self.refused, self.failure = 0, 0, ""
        self.statuses: Counter[int] = Counter()

    def line(self, seq: int) -> str:
        return f"{self.number}:{seq:06d}:".ljust(self.size, ".") + "\n"

    def run(self) -> None:
        try:
            with closing(Client(self.stack)) as http:
                while not self.halt.is_set():
                    self.append(http)
        except BaseException as error:
            self.failure = repr(error)

    def append(self, http: Client) -> None:
        who = producer(f"w{self.number}", 0, self.acknowledged) if self.is_producer else {}
        try:
            answer = http.post(self.path, "text/plain", self.line(self.acknowledged), **who)
        except ConnectionClosed:
            assert 502 in self.accepts, "the connection was cut"
            return http.close()
        self.statuses[answer.status] += 1
        if answer.status in (200, 204):
            self.acknowledged += 1
            return None
        assert answer.status == 507 or answer.status in self.accepts, answer.describe()
        if answer.status == 507:
            check_full(answer)
            self.refused += 1
        # Whoever is refused asks again a little later.
        self.halt.wait(0.02)
        return None


class Writers:
    def __init__(self, stack: Stack, size: int, accepts: set[int] = frozenset()):
        self.stop = threading.Event()
        self.all = [Writer(stack, number, self.stop, size, accepts) for number in range(4)]
        self.stack = stack
        with closing(Client(stack)) as http:
            for path in {writer.path for writer in self.all}:
                http.create(path, "text/plain")

    def __enter__(self) -> Writers:
        for writer in self.all:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for writer in self.all:
            writer.join(40)

    def wait(self, what: str, of: Callable[[Writer], int], by: int, within: float = 60) -> None:
        goals = [(writer, of(writer) + by) for writer in self.all]

        def reached() -> bool:
            failures = [writer.failure for writer in self.all if writer.failure]
            assert not failures, f"{failures}\n{self.stack.log_tail()}"
            return all(of(writer) >= goal for writer, goal in goals)

        wait_until(self.stack, reached, what, within)

    def wait_refused(self, by: int = 3) -> None:
        self.wait("all are refused", lambda writer: writer.refused, by)

    def wait_accepted(self, by: int = 3) -> None:
        self.wait("all are accepted again", lambda writer: writer.acknowledged, by)

    def check(self, http: Client, at_most: int = 0) -> None:
        """Every acknowledged append is there, once and in order; of those without an answer at most so many."""
        for path in {writer.path for writer in self.all}:
            lines = read_lines(http, path)
            for writer in (writer for writer in self.all if writer.path == path):
                mine = [line for line in lines if line.startswith(f"{writer.number}:")]
                numbers = [int(line.split(":")[1]) for line in mine]
                if writer.is_producer:
                    assert numbers == list(range(len(numbers))), f"writer {writer.number}"
                    assert writer.acknowledged <= len(numbers) <= writer.acknowledged + at_most
                else:
                    # Without a producer an append that got no answer may be there twice, after it was sent again.
                    assert sorted(numbers) == numbers and set(range(writer.acknowledged)) <= set(numbers)
                    assert len(numbers) <= writer.acknowledged + at_most
                assert all(f"{line}\n" == writer.line(number) for line, number in zip(mine, numbers, strict=True))


def full_lines_are_few(stack: Stack, since: float) -> None:
    """The same line comes at most once in 10 s from each process."""
    lines = lines_of(stack, "(?i)full|no space|ENOSPC", but="high-water")
    print(*lines[:20], sep="\n")
    stamp = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\S* ")
    times: dict[str, list[datetime]] = {}
    for line in lines:
        if found := stamp.match(line):
            times.setdefault(line[found.end() :], []).append(datetime.fromisoformat(found[1]))
    for text, when in times.items():
        gaps = [(later - earlier).total_seconds() for earlier, later in zip(when, when[1:])]
        assert all(gap >= 9 for gap in gaps), f"{text!r} again after {min(gaps)} s"
    # Words that differ in numbers only would be the same flood.
    assert len(lines) <= 10 * (2 + (time.monotonic() - since) / 10), f"{len(lines)} lines"


@pytest.mark.parametrize("how", ["delete", "ballast"])
@pytest.mark.parametrize("size", [2_000, 60_000])
def test_no_space_left(make_disk, how: str, size: int) -> None:
    """Refused while it lasts; reads and deletes work; then all goes on by itself, in the same processes."""
    disk = make_disk()
    stack = disk.start(DS_DISK_HIGH_WATER=100, DS_SWEEP_INTERVAL=0.5)
    ballast, _ = disk.ballast(32 * MIB), disk.ballast(32 * MIB)
    with closing(Client(stack)) as http:
        kept = os.urandom(10_000)
        http.create("kept", "application/octet-stream", kept)
        for name in ("victim", "small"):
            http.create(name, "application/octet-stream", os.urandom(10_000_000 if name == "victim" else 10))
        pids = [stack.processes(f"durable-streams-{name}") for name in ("worker", "live")]
        with Writers(stack, size) as writers:
            writers.wait_refused(by=5)
            began = time.monotonic()
            # Meanwhile.
            assert http.read_all("kept")[0] == kept
            tail = http.head("kept").offset
            for live in ("", "&live=long-poll"):
                assert expect(http.get("kept", f"offset={at(tail, 9_000)}{live}"), 200).body == kept[9_000:]
            check_full(http.put("new", "text/plain", "x" * size))
            for writer in writers.all:
                expect(http.head(writer.path), 200)
            expect(http.delete("small"), 204)
            expect(http.head("small"), 404)
            writers.wait_refused(by=100)
            # Space comes back.
            if how == "delete":
                expect(http.delete("victim"), 204)
            else:
                ballast.unlink()
            writers.wait_accepted()
            print([(writer.acknowledged, dict(writer.statuses)) for writer in writers.all])
        assert not [writer.failure for writer in writers.all if writer.failure]
        assert [stack.processes(f"durable-streams-{name}") for name in ("worker", "live")] == pids, "they live on"
        full_lines_are_few(stack, began)
        disk.relieve()
        writers.check(http)
        quiet = "SELECT (SELECT count(*) FROM rotation) + (SELECT count(*) FROM purge)"
        wait_until(stack, lambda: ask_store(stack, quiet) == [0], "what could not move before has moved", within=60)
        writers.check(http)
    stack.stop()
    stack.start()
    with closing(Client(stack)) as http:
        writers.check(http)
        assert http.read_all("kept")[0] == kept
    stack.stop()


@pytest.mark.parametrize("cold", [False, True], ids=["hot", "cold"])
def test_large_reads_and_bodies_without_space(make_disk, cold: bool) -> None:
    """More than nginx has in memory: from the log, from segments, by offset and so for its cache; and larger bodies."""
    disk = make_disk()
    disk.ballast(64 * MIB)
    stack = disk.start(DS_DISK_HIGH_WATER=100, **({} if cold else {"DS_SEGMENT_MAX_BYTES": "1GiB"}))
    with closing(Client(stack)) as http:
        kept = os.urandom(6_000_000)
        http.create("kept", "application/octet-stream", kept[:5_000_000])
        http.append("kept", "application/octet-stream", kept[5_000_000:])
        if cold:
            wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM segment") != [0], "some of it has moved")
        with Writers(stack, 20_000) as writers:
            writers.wait_refused()
            for turn in range(3):
                assert http.read_all("kept")[0] == kept
                tail = http.head("kept").offset
                assert http.read_all("kept", at(tail, 1_000_000 + turn))[0] == kept[1_000_000 + turn :]
            with EventSource(stack, "kept", timeout=30) as source:
                payloads, _ = source.until(tail)
            assert b"".join(map(decode_base64, payloads)) == kept
            check_full(http.post("kept", "application/octet-stream", b"x" * 1_000_000))


def serves(http: Client, path: str, content: bytes) -> bool:
    try:
        answer = http.get(path)
    except ConnectionClosed:
        http.close()
        return False
    assert answer.status in RETRY or answer.body == content, answer.describe()
    return answer.status == 200


def test_kill_while_full(make_disk) -> None:
    """kill -9 of the worker without space: its successor serves what is there, and writes once there is space."""
    disk = make_disk()
    stack = disk.start(DS_DISK_HIGH_WATER=100)
    ballast, _ = disk.ballast(32 * MIB), disk.ballast(32 * MIB)
    with closing(Client(stack)) as http:
        http.create("kept", "text/plain", "kept")
        with Writers(stack, 20_000, accepts={500, 502, 503, 504}) as writers:
            writers.wait_refused()
            for _ in range(3):
                (pid,) = stack.processes("durable-streams-worker")
                who = identity(pid)
                os.kill(pid, signal.SIGKILL)
                assert not wait_gone([who], 5)
                wait_until(stack, lambda: serves(http, "kept", b"kept"), "it serves what is there")
                writers.wait_refused(by=1)
            assert stack.process.poll() is None, stack.log_tail()
            ballast.unlink()
            writers.wait_accepted()
        assert not [writer.failure for writer in writers.all if writer.failure]
        disk.relieve()
        # Each kill may have cut off one append of each.
        writers.check(http, at_most=4)
    stack.stop()
    stack.start()
    with closing(Client(stack)) as http:
        writers.check(http, at_most=4)
        assert http.get("kept").body == b"kept"


def test_start_without_space(make_disk) -> None:
    """A server that was stopped on a full disk comes up again, or says what it lacks; with space it serves all."""
    disk = make_disk()
    stack = disk.start(DS_DISK_HIGH_WATER=100)
    disk.ballast(64 * MIB)
    with closing(Client(stack)) as http, Writers(stack, 20_000) as writers:
        writers.wait_refused()
    stack.stop()
    # What the stop has given back.
    disk.ballast(int(os.statvfs(disk.place).f_bavail * os.statvfs(disk.place).f_frsize * 0.99))
    try:
        stack.start()
    except StartFailed as failure:
        assert re.search("(?i)no space|full", str(failure)), failure
    else:
        with closing(Client(stack)) as http:
            expect(http.head("full/shared"), 200)
    stack.stop(expect_clean=False)
    disk.relieve()
    stack.start()
    with closing(Client(stack)) as http:
        writers.check(http)
        http.append("full/shared", "text/plain", "more")
    stack.stop()
