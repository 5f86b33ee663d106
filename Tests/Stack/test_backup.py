"""Backups of a server that goes on, and what is restored from them: whole, in order, with all that was acknowledged."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from checks import check_error
from client import Client, at, expect, incarnation, instant, position, producer
from commands import (
    CUT_OFF,
    Finding,
    Outcome,
    Started,
    back_up,
    check_clean,
    restore,
    run,
    run_on_terminal,
    verify,
    xxh128,
)
from hooks import Hooks
from stack import Stack, remove_tree, temporary_root, wait_gone
from test_deletion import segment_files, wait_until
from test_segment_crash import is_consistent
from test_segments import files_of, pieces, wait_for_rotation
from test_startup import one_line, refused

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
SMALL_SEGMENTS = {"DS_SEGMENT_MAX_MESSAGES": 8, "DS_SEGMENT_MAX_BYTES": "64KiB", "DS_SWEEP_INTERVAL": 0.5}
BACKUP_POINTS = ["backup.snapshot", "backup.segment", "backup.copied", "backup.renamed"]
RESTORE_POINTS = ["restore.marked", "restore.segment", "restore.copied", "restore.renamed"]
Contents = dict[str, bytes | int]


class Place:
    """A server with hooks, a folder for its backup, and the servers that are restored from it."""

    def __init__(self, root: Path, make: Callable[..., Stack]):
        self.root, self.make = root, make
        self.data, self.backup = root / "data", root / "backup"
        self.hooks, self.numbers = Hooks(root / "hooks"), itertools.count(1)
        self.clients: list[Client] = []
        self.stack: Stack | None = None
        self.http: Client | None = None

    def client(self, stack: Stack) -> Client:
        self.clients.append(Client(stack))
        return self.clients[-1]

    def start(self, **settings: object) -> Place:
        self.stack = self.serve(self.data, **settings)
        self.http = self.client(self.stack)
        return self

    def serve(self, data: Path, **settings: object) -> Stack:
        return self.make(data_dir=data, **(SMALL_SEGMENTS | self.hooks.settings | settings))

    def fill(self, prefix: str, count: int = 4, size: int = 20_000) -> Contents:
        """Closed streams, each of which has moved into a segment."""
        written = {f"{prefix}/{n}": os.urandom(size) for n in range(count)}
        for name, content in written.items():
            self.http.create(name, "application/octet-stream", content, Stream_Closed="true")
        wait_for_rotation(self.stack)
        return written

    def delete(self, name: str) -> None:
        expect(self.http.delete(name), 204)
        wait_for_rotation(self.stack)

    def kill(self) -> None:
        """kill -9 of the supervisor, with which all others end."""
        self.http.close()
        self.stack.process.kill()
        self.stack.process.wait()
        assert not wait_gone(list(self.stack.seen), 10)

    def back_up(self) -> dict[str, int]:
        return back_up(self.data, self.backup, **self.hooks.settings)

    def started(self) -> Started:
        """A backup that may stop itself on the way."""
        return Started("backup", self.backup, "--data-dir", self.data, **self.hooks.settings)

    def command(self, *arguments: object) -> Outcome:
        return run(*arguments, **self.hooks.settings)

    def restore(self, folder: Path | None = None, **settings: object) -> Client:
        """A client of a server on what was restored."""
        data = self.root / f"restored-{next(self.numbers)}"
        restore(folder or self.backup, data, **self.hooks.settings)
        check_clean(data=data)
        return self.client(self.serve(data, **settings))

    def copies(self) -> dict[str, tuple[int, int, int]]:
        """The segments of the backup, each by inode, time of change and size."""
        top = self.backup / "segments"
        found = {str(file.relative_to(top)): file.stat() for file in top.rglob("*") if file.is_file()}
        return {name: (stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in found.items()}

    def segments(self) -> list[Path]:
        return sorted(file for file in (self.data / "segments").rglob("*") if file.is_file())


@pytest.fixture
def place(fresh_stack) -> Iterator[Place]:
    root = temporary_root()
    place = Place(root, fresh_stack)
    try:
        yield place
    finally:
        for client in place.clients:
            client.close()
        for stack in {client.stack for client in place.clients}:
            stack.stop(expect_clean=False)
        remove_tree(root)


def see(http: Client, names: Contents) -> Contents:
    """Content, or the status of what has none."""
    found: Contents = {}
    for name in names:
        status = http.head(name).status
        found[name] = b"".join(pieces(http, name)) if status == 200 else status
    return found


# Load: several writers, and streams that come and go.


class Writer(threading.Thread):
    """Appends numbered lines, or batches of messages; every answer has to be a success."""

    def __init__(self, load: Load, number: int, stream: str, is_producer: bool):
        super().__init__(name=f"writer-{number}")
        self.load, self.number, self.stream, self.is_producer = load, number, stream, is_producer
        self.sent = self.acknowledged = 0
        self.failure = ""

    def run(self) -> None:
        try:
            with closing(Client(self.load.stack)) as http:
                while not self.load.halt.is_set():
                    who = producer(f"w{self.number}", 0, self.sent) if self.is_producer else {}
                    body, type = append_of(self.stream, self.number, self.sent)
                    self.sent += 1
                    http.append(self.stream, type, body, **who)
                    self.acknowledged += 1
        except BaseException as error:
            self.failure = repr(error)


def append_of(stream: str, writer: int, number: int) -> tuple[str, str]:
    """The body and the type of one append."""
    if "json" in stream:
        batch = [{"writer": writer, "n": number, "part": part} for part in range(1 + number % 4)]
        return json.dumps(batch), "application/json"
    return f"{writer}:{number}:{'x' * (number * 37 % 900)}\n", "text/plain"


def appends_in(stream: str, content: bytes) -> list[tuple[int, int]]:
    """The appends that a content is made of, each of them whole."""
    found = []
    if "json" in stream:
        messages, next = json.loads(content), 0
        while next < len(messages):
            writer, number = messages[next]["writer"], messages[next]["n"]
            whole = json.loads(append_of(stream, writer, number)[0])
            assert messages[next : next + len(whole)] == whole, f"a torn append: {messages[next : next + 4]}"
            next += len(whole)
            found.append((writer, number))
        return found
    for line in content.decode().splitlines(keepends=True):
        match = re.match("([0-9]+):([0-9]+):", line)
        assert match and line == append_of(stream, int(match[1]), int(match[2]))[0], f"a torn append: {line!r}"
        found.append((int(match[1]), int(match[2])))
    return found


class Comings(threading.Thread):
    """Makes streams and forks, appends, closes, deletes; moves the clock, so that files which nobody needs go soon."""

    def __init__(self, load: Load, hooks: Hooks):
        super().__init__(name="comings")
        self.load, self.hooks = load, hooks
        self.sent: dict[str, bytes] = {}
        self.ends: dict[str, list[int]] = {}
        self.inherited: dict[str, int] = {}
        self.acknowledged: dict[str, int] = {}
        self.doomed: set[str] = set()
        self.gone: set[str] = set()
        self.failure = ""

    def run(self) -> None:
        try:
            with closing(Client(self.load.stack)) as http:
                for number in itertools.count():
                    if self.load.halt.is_set():
                        return
                    self.make(http, f"short/{number}", number)
                    self.hooks.advance(6)
        except BaseException as error:
            self.failure = repr(error)

    def make(self, http: Client, name: str, number: int) -> None:
        self.sent[name], self.ends[name] = b"", [0]
        if number % 3 == 2:
            # Anywhere, so that it has part of an append and of a segment.
            tail = http.head("load/bytes").offset
            self.inherited[name] = position(tail) * 2 // 3
            http.fork(name, "load/bytes", at=at(tail, self.inherited[name]))
        else:
            http.create(name, "text/plain")
        self.acknowledged[name] = 0
        for turn in range(12):
            piece = f"{number}.{turn};".encode() * 20
            self.sent[name] += piece
            self.ends[name].append(len(self.sent[name]))
            closing_it = {"Stream_Closed": "true"} if turn == 11 and number % 2 else {}
            http.append(name, "text/plain", piece, **closing_it)
            self.acknowledged[name] = len(self.sent[name])
        # Late enough to have moved into files.
        if (old := f"short/{number - 30}") in self.sent and number % 5:
            self.doomed.add(old)
            expect(http.delete(old), 204)
            self.gone.add(old)


class Load:
    """Writers of a byte and a JSON stream, producers and plain ones, and streams that come and go."""

    STREAMS = {"load/bytes": "text/plain", "load/json": "application/json"}

    def __init__(self, stack: Stack, hooks: Hooks):
        self.stack, self.halt = stack, threading.Event()
        with closing(Client(stack)) as http:
            for name, type in self.STREAMS.items():
                http.create(name, type)
        plan = [(name, is_producer) for name in self.STREAMS for is_producer in (True, True, False)]
        self.writers = [Writer(self, number, *who) for number, who in enumerate(plan)]
        self.comings = Comings(self, hooks)

    def __enter__(self) -> Load:
        for thread in (*self.writers, self.comings):
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.halt.set()
        for thread in (*self.writers, self.comings):
            thread.join(60)

    def check(self) -> None:
        failures = [thread.failure for thread in (*self.writers, self.comings) if thread.failure]
        assert not failures, f"{failures}\n{self.stack.log_tail()}"

    def wait_for_progress(self, by: int = 20) -> None:
        """Appends of everybody, new segments, and files that went since nobody needs them."""
        files = set(segment_files(self.stack))
        goals = [(writer, writer.acknowledged + by) for writer in self.writers]
        short = len(self.comings.acknowledged) + 3

        def is_further() -> bool:
            self.check()
            now = set(segment_files(self.stack))
            return (
                len(now - files) >= 5
                and (not files or len(files - now) >= 2)
                and len(self.comings.acknowledged) >= short
                and all(writer.acknowledged >= goal for writer, goal in goals)
            )

        wait_until(self.stack, is_further, "the load goes on", within=60)


class Moment:
    """What was sent and acknowledged at a time: a backup that begins behind it has all that was acknowledged before."""

    def __init__(self, load: Load):
        self.acknowledged = {writer.number: writer.acknowledged for writer in load.writers}
        self.gone, self.short = set(load.comings.gone), dict(load.comings.acknowledged)
        self.doomed = set(load.comings.doomed)
        self.sent = {writer.number: writer.sent for writer in load.writers}


def check_restored(http: Client, load: Load, original: dict[str, bytes], before: Moment, behind: Moment) -> None:
    for stream in load.STREAMS:
        found = appends_in(stream, whole(http, stream))
        assert found == appends_in(stream, original[stream])[: len(found)], "not a prefix of what was written"
        for writer in (writer for writer in load.writers if writer.stream == stream):
            numbers = [number for who, number in found if who == writer.number]
            assert numbers == list(range(len(numbers))), f"writer {writer.number}: not in order"
            assert before.acknowledged[writer.number] <= len(numbers) <= behind.sent[writer.number]
    statuses = Counter()
    for name, sent in load.comings.sent.items():
        status = http.head(name).status
        statuses[status] += 1
        if status != 200:
            assert status == 404 and (name not in before.short or name in behind.doomed), f"{name} is missing: {status}"
            continue
        assert name not in before.gone, f"{name} was deleted before"
        inherited, content = original["load/bytes"][: load.comings.inherited.get(name, 0)], b"".join(pieces(http, name))
        own = len(content) - len(inherited)
        assert (inherited + sent).startswith(content) and own in load.comings.ends[name], f"{name} has a torn append"
        assert own >= before.short.get(name, 0), f"{name} lacks something"
    print(f"short streams, by status: {dict(statuses)}")


def whole(http: Client, stream: str) -> bytes:
    if "json" not in stream:
        return b"".join(pieces(http, stream))
    return json.dumps([message for piece in pieces(http, stream) for message in json.loads(piece)]).encode()


@pytest.mark.parametrize("workers", [1, 2])
def test_under_load(place: Place, workers: int) -> None:
    """Three backups into one folder, each restored: all that was acknowledged before, in order, and nothing torn."""
    stack = place.start(DS_WORKERS=workers).stack
    moments = []
    with Load(stack, place.hooks) as load:
        for turn in range(3):
            load.wait_for_progress()
            before = Moment(load)
            numbers = place.back_up()
            moments.append((before, Moment(load)))
            check_clean(place.backup)
            shutil.copytree(place.backup, place.root / f"backup-{turn}")
            print(numbers)
    load.check()
    original = {stream: whole(place.http, stream) for stream in load.STREAMS}
    for turn, (before, behind) in enumerate(moments):
        check_restored(place.restore(place.root / f"backup-{turn}"), load, original, before, behind)
    # What was appended behind the backup can be appended again, and the server stops in order.
    restored = place.clients[-1]
    restored.append("load/bytes", "text/plain", append_of("load/bytes", 0, 0)[0])
    restored.stack.stop()


# A backup that is stopped half-way, and a server that goes on meanwhile.


@pytest.mark.parametrize("also", ["", "restart"])
@pytest.mark.parametrize("point", BACKUP_POINTS)
def test_server_goes_on_meanwhile(place: Place, point: str, also: str) -> None:
    """What the backup still needs stays, whatever is merged and deleted; nobody waits; afterwards the rest goes."""
    http = place.start().http
    kept, doomed = place.fill("kept"), place.fill("doomed")
    http.create("hot", "text/plain", "before")
    for _ in range(30):
        http.append("hot", "text/plain", ".")
    expected = see(http, kept | doomed | {"hot": b""})
    place.hooks.arm(point, "stop")
    with place.started() as backup:
        backup.wait_stopped(place.hooks, point)
        for name in doomed:
            place.delete(name)
        for _ in range(100):
            http.append("hot", "text/plain", "!")
        place.hooks.advance(600)
        if also == "restart":
            place.kill()
            place.stack.start()
        # The files of whatever is forgotten have had their turn once two more streams have moved, one after the other.
        place.fill("later", 1)
        place.fill("last", 1)
        backup.go_on()
        outcome = backup.finish().expect(0)
        assert outcome.err == "", outcome.describe()
    check_clean(place.backup)
    assert see(place.restore(), expected) == expected

    place.hooks.advance(600)
    ground = SimpleNamespace(stack=place.stack)
    wait_until(place.stack, lambda: is_consistent(ground), "files that nobody needs have gone")
    check_clean(data=place.data)


@pytest.mark.parametrize("earlier", [True, False], ids=["second", "first"])
@pytest.mark.parametrize(("point", "passes"), [*((point, 1) for point in BACKUP_POINTS), ("backup.segment", 3)])
def test_cut_off(place: Place, point: str, passes: int, earlier: bool) -> None:
    """kill -9: the earlier backup is whole until the new one takes its place; running it again completes it."""
    place.start()
    old = place.fill("old")
    if earlier:
        place.back_up()
    new = old | place.fill("new")
    place.delete("old/0")
    now = new | {"old/0": 404}
    place.hooks.arm(point, passes=passes)
    place.command("backup", place.backup, "--data-dir", place.data).expect(-signal.SIGKILL)
    assert not place.hooks.armed(point)
    found = verify(place.backup)
    if point == "backup.renamed":
        # At most, segments are left that nobody needs.
        assert all(finding.command.startswith("rm ") for finding in found.findings), str(found)
        assert see(place.client(serve_copy(place)), now) == now
    else:
        (finding,) = found.findings
        assert finding.command.startswith(f"durable-streams backup {place.backup}"), finding
        assert re.search(CUT_OFF, finding.what), finding
        if earlier:
            assert see(place.client(serve_copy(place)), now) == old | dict.fromkeys(set(now) - set(old), 404)
        else:
            place.command("restore", place.backup, "--data-dir", place.root / "refused").expect(65)
    numbers = place.back_up()
    there = {"backup.snapshot": 3 * earlier, "backup.segment": 3 * earlier + passes}.get(point, 7)
    assert (numbers["segments"], numbers["there"]) == (7, there), "what was copied before the kill is copied again"
    check_clean(place.backup)
    assert len(place.copies()) == 7 and not list(place.backup.rglob("*.part"))
    assert see(place.restore(), now) == now
    # Nothing of the killed one keeps the server from removing what it needs no more.
    place.hooks.advance(600)
    wait_until(place.stack, lambda: len(place.segments()) == 7, "the files of the deleted stream have gone")


def serve_copy(place: Place) -> Stack:
    """A server on what the backup has now, whatever `verify` says of it."""
    data = place.root / f"restored-{next(place.numbers)}"
    restore(place.backup, data, **place.hooks.settings)
    return place.serve(data)


# What a backup is made of.


def test_layout(place: Place) -> None:
    place.start()
    place.fill("a", 3)
    place.http.create("hot", "text/plain", "hot")
    numbers = place.back_up()
    assert {file.name for file in place.backup.iterdir()} >= {"hot.sqlite", "hot.sqlite.xxh128", "segments"}
    assert not list(place.backup.glob("hot.sqlite-*")) and not list(place.backup.rglob("*.part"))
    digest = xxh128((place.backup / "hot.sqlite").read_bytes()).hex()
    assert (place.backup / "hot.sqlite.xxh128").read_text() == f"{digest}  hot.sqlite\n"
    for file in place.segments():
        assert (place.backup / file.relative_to(place.data)).read_bytes() == file.read_bytes()
    assert numbers["streams"] == 4 and numbers["segments"] == numbers["copied"] == len(place.copies()) == 3
    assert numbers["bytes"] >= 60_000


def test_incremental(place: Place) -> None:
    """The second copies what is new, removes what nobody needs, and does not touch the rest."""
    place.start()
    place.fill("old", 6)
    first, before = place.back_up(), place.copies()
    assert (first["copied"], first["there"]) == (6, 0)
    doomed = str(files_of(place.stack, "old/2")[0].relative_to(place.data / "segments"))
    place.fill("new", 2, 10_000)
    place.delete("old/2")
    second, behind = place.back_up(), place.copies()
    assert (second["segments"], second["copied"], second["there"]) == (7, 2, 5)
    assert second["bytes"] < first["bytes"]
    assert len(behind) == 7 and doomed not in behind
    assert all(behind[name] == before[name] for name in before if name != doomed)
    third = place.back_up()
    assert (third["copied"], third["there"]) == (0, 7) and place.copies() == behind
    check_clean(place.backup)


@pytest.mark.parametrize("state", ["running", "stopped", "killed"])
def test_beside_a_server_and_without_one(place: Place, state: str) -> None:
    """What a killed server has acknowledged is in its write-ahead log."""
    http = place.start().http
    expected = place.fill("cold") | {"hot": b"x" * 50}
    http.create("hot", "text/plain")
    for _ in range(50):
        http.append("hot", "text/plain", "x")
    if state == "killed":
        place.kill()
    elif state == "stopped":
        http.close()
        place.stack.stop()
    place.back_up()
    check_clean(place.backup)
    assert see(place.restore(), expected) == expected


@pytest.mark.parametrize("given", ["flag", "variable", "file", "default", "flag-before-variable"])
def test_where_the_data_is(place: Place, given: str) -> None:
    """As for `serve`."""
    place.start().fill("a", 1)
    (place.root / "settings.yaml").write_text(f"data_dir: {place.data}\n")
    arguments, settings = {
        "flag": (["--data-dir", place.data], {}),
        "variable": ([], {"DS_DATA_DIR": place.data}),
        "file": (["--config", place.root / "settings.yaml"], {}),
        "default": ([], {}),
        "flag-before-variable": (["--data-dir", place.data], {"DS_DATA_DIR": place.root / "none"}),
    }[given]
    run("backup", "backup", *arguments, cwd=place.root, **settings).expect(0)
    assert len(place.copies()) == 1
    run("verify", "backup", cwd=place.root).expect(0)
    run("verify", *arguments, cwd=place.root, **settings).expect(0)


def test_progress_is_for_terminals(place: Place) -> None:
    """One line that is written again and again, not wider than the terminal; elsewhere there is nothing on stderr."""
    place.start().fill("a", 40)
    outcome = run_on_terminal("backup", place.backup, "--data-dir", place.data, columns=80).expect(0)
    bars = [re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", bar) for bar in re.split("[\r\n]", outcome.err)]
    assert "\r" in outcome.err and any(re.search("[0-9]", bar) for bar in bars), outcome.describe()
    assert max(map(len, bars)) <= 80, outcome.describe()
    assert outcome.out.startswith("backed up ") and len(outcome.out.splitlines()) == 1
    assert place.back_up()["copied"] == 0


# What goes wrong.


def spoil_file(path: Path, damage: str) -> None:
    whole = path.read_bytes()
    if damage == "flipped":
        path.write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
    elif damage == "truncated":
        os.truncate(path, len(whole) - 1)
    else:
        path.unlink()


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
@pytest.mark.parametrize("earlier", [False, True], ids=["first", "second"])
def test_damaged_segment(place: Place, damage: str, earlier: bool) -> None:
    """A line for each; the rest is copied; wrong bytes never are, and a good copy of before stays."""
    place.start()
    contents = place.fill("a", 6)
    if earlier:
        place.back_up()
    bad = [files_of(place.stack, f"a/{n}")[0] for n in (1, 4)]
    for path in bad:
        spoil_file(path, damage)
    outcome = place.command("backup", place.backup, "--data-dir", place.data)
    if earlier:
        assert outcome.status in (0, 1), outcome.describe()
        check_clean(place.backup)
        assert see(place.restore(), contents) == contents
        return
    lines = [Finding.of(line.removeprefix("durable-streams: ")) for line in outcome.expect(1).err.splitlines()]
    assert {line.subject for line in lines} == set(map(str, bad)) and len(lines) == 2, outcome.describe()
    good = [file for file in place.segments() if file not in bad]
    assert len(good) == 4
    for file in good:
        assert (place.backup / file.relative_to(place.data)).read_bytes() == file.read_bytes()
    assert len(place.copies()) == 4
    found = verify(place.backup).findings
    assert len(found) == 2 and {path.name for path in bad} == {Path(finding.subject).name for finding in found}, found


@pytest.mark.parametrize("point", BACKUP_POINTS)
def test_two_at_once(place: Place, point: str) -> None:
    """The second is refused as long as the first runs, and does it no harm."""
    place.start()
    contents = place.fill("a")
    place.hooks.arm(point, "stop")
    with place.started() as first:
        first.wait_stopped(place.hooks, point)
        refusal = place.command("backup", place.backup, "--data-dir", place.data).expect(75).refusal
        assert str(place.backup) in refusal
        # Into another folder it is no trouble.
        with Started("backup", place.root / "other", "--data-dir", place.data) as other:
            first.go_on()
            first.finish().expect(0)
            other.finish().expect(0)
    assert place.back_up()["there"] == 4
    check_clean(place.backup)
    check_clean(place.root / "other")
    assert see(place.restore(), contents) == contents


def test_no_data_directory(place: Place) -> None:
    refusal = run("backup", place.backup, "--data-dir", place.root / "none").expect(66).refusal
    assert str(place.root / "none") in refusal
    assert not (place.root / "none").exists()
    (place.root / "file").write_text("x")
    assert run("backup", place.root / "file", "--data-dir", place.root / "none").status not in (0, None)
    assert (place.root / "file").read_text() == "x"


# What is restored.


def test_state_survives(place: Place) -> None:
    """Producers, Stream-Seq, closure and by whom, lifetimes, types, forks of what was deleted, and offsets."""
    http = place.start().http
    tail = http.create("a", "text/plain;x=y", "abc", Stream_TTL="5000").offset
    http.append("a", "text/plain", "d", **producer("p", 3, 0), Stream_Seq="m")
    http.create("b", "application/json", "[1,2]")
    closed = http.append("b", "application/json", "3", **producer("q", 0, 0), Stream_Closed="true").offset
    http.create("brief", "text/plain", "x", Stream_TTL="600")
    date = instant(100_000)
    http.create("dated", "text/plain", "x", Stream_Expires_At=date)
    source = place.fill("source", 1)["source/0"]
    offset = http.head("source/0").offset
    http.fork("fork", "source/0", None, "own", at=at(offset, 7), sub="5")
    http.fork("fork-of-fork", "fork", None, "!", at=at(offset, 13))
    place.delete("source/0")
    http.create("gone", "text/plain", "x")
    expect(http.delete("gone"), 204)
    place.back_up()
    http = place.restore()
    head = expect(http.head("a"), 200)
    assert head.get("Content-Type") == "text/plain;x=y" and head.get("Stream-TTL") == "5000"
    assert http.get("a", f"offset={tail}").body == b"d"
    expect(http.post("a", "text/plain", "d", **producer("p", 3, 0)), 204)
    expect(http.post("a", "text/plain", "e", **producer("p", 2, 0)), 403)
    expect(http.post("a", "text/plain", "e", **producer("p", 3, 2)), 409)
    expect(http.post("a", "text/plain", "e", Stream_Seq="m"), 409)
    expect(http.post("a", "text/plain", "e", **producer("p", 3, 1), Stream_Seq="n"), 200)
    assert http.get("a", f"offset={tail}").body == b"de"
    assert http.get("b").body == b"[1,2,3]" and http.head("b").get("Stream-Closed") == "true"
    again = expect(http.post("b", "application/json", "3", **producer("q", 0, 0), Stream_Closed="true"), 204)
    assert again.offset == closed
    expect(http.post("b", "application/json", "4"), 409)
    assert http.head("dated").get("Stream-Expires-At") == date
    forks: Contents = {"fork": source[:12] + b"own", "fork-of-fork": source[:12] + b"o!"}
    assert see(http, forks) == forks
    assert see(http, {"source/0": b"", "gone": b""}) == {"source/0": 410, "gone": 404}
    assert http.get("brief").body == b"x"
    place.hooks.advance(700)
    expect(http.head("brief"), 404)
    # The source goes with its last fork, as if nothing had been.
    expect(http.delete("fork"), 204)
    expect(http.delete("fork-of-fork"), 204)
    assert see(http, {"source/0": b"", "fork": b""}) == {"source/0": 404, "fork": 404}


def test_what_was_cut_stays_cut(place: Place) -> None:
    """Retention, and where a stream begins."""
    http = place.start().http
    http.create("a", "text/plain", Stream_Retention_Messages="3")

    def is_cut() -> bool:
        tail = http.append("a", "text/plain", "abc").offset
        return position(http.head("a").get("Stream-Earliest-Offset") or at(tail, 0)) > 0

    wait_until(place.stack, is_cut, "it is cut")
    wait_for_rotation(place.stack)
    names = ("Stream-Earliest-Offset", "Stream-Retention-Messages", "Stream-Next-Offset")
    head, content = http.head("a"), b"".join(pieces(http, "a"))
    place.back_up()
    check_clean(place.backup)
    http = place.restore()
    assert [http.head("a").get(name) for name in names] == [head.get(name) for name in names]
    assert b"".join(pieces(http, "a")) == content and len(content) >= 9
    before = expect(http.get("a", f"offset={at(head.offset, 1)}"), 410)
    assert before.get("Stream-Earliest-Offset") == head.get("Stream-Earliest-Offset")


@pytest.mark.parametrize("restores", [1, 2])
def test_new_ids_and_entity_tags(place: Place, restores: int) -> None:
    """No offset of a stream that was lost is given again, and no cached copy passes for what replaces it.

    This also holds for what was written behind an earlier restore of the same backup, and lost with the next.
    """
    http = place.start().http
    http.create("kept", "text/plain", "kept")
    place.back_up()
    tags = []
    for turn in range(restores):
        for n in range(30):
            lost = http.create(f"lost/{n}", "text/plain", f"{turn}").offset
        http.append("kept", "text/plain", f"lost {turn}")
        tags.append(http.get("kept").get("ETag"))
        http = place.restore()
        answer = http.get("kept")
        assert answer.body == b"kept"
        tags.append(answer.get("ETag"))
        expect(http.head("lost/29"), 404)
        assert incarnation(http.create("lost/29", "text/plain", "found").offset) > incarnation(lost) + 1_000
        check_error(http.get("lost/29", f"offset={lost}"), 410, "OFFSET_GONE")
        expect(http.delete("lost/29"), 204)
    http.append("kept", "text/plain", "found!")
    for tag in tags:
        assert expect(http.get("kept", If_None_Match=tag), 200).body == b"keptfound!"
    expect(http.get("kept", If_None_Match=http.get("kept").get("ETag")), 304)


def test_who_may_read(place: Place) -> None:
    """nginx sends whole segments of what was restored as files; but they, and the backup, are not for everybody."""
    contents = place.start(DS_SEGMENT_MAX_BYTES="1MiB").fill("a", 2, 300_000)
    place.back_up()
    http = place.restore()
    for name, content in contents.items():
        answer = expect(http.get(name), 200)
        assert answer.body == content and answer.get("Stream-Up-To-Date") == "true"
    for top in (place.backup, http.stack.data_dir):
        files = [*top.glob("hot.sqlite"), *(file for file in (top / "segments").rglob("*") if file.is_file())]
        assert len(files) == 3 and not [file for file in files if file.stat().st_mode & 0o007]


def spoil(place: Place, how: str) -> None:
    hot, digest = place.backup / "hot.sqlite", place.backup / "hot.sqlite.xxh128"
    if how == "no-folder":
        place.backup.rename(place.root / "moved")
    elif how == "no-log":
        hot.unlink()
    elif how == "flipped-log":
        content = bytearray(hot.read_bytes())
        content[len(content) // 2] ^= 1
        hot.write_bytes(content)
    elif how == "other-digest":
        digest.write_text(f"{'0' * 32}  hot.sqlite\n")
    elif how == "no-digest":
        digest.unlink()


@pytest.mark.parametrize("how", ["no-folder", "no-log", "flipped-log", "other-digest", "no-digest"])
def test_no_good_backup(place: Place, how: str) -> None:
    """Refused; a good one can be restored to the same place afterwards."""
    contents = place.start().fill("a")
    place.back_up()
    back_up(place.data, place.root / "good")
    spoil(place, how)
    data = place.root / "new"
    outcome = place.command("restore", place.backup, "--data-dir", data)
    assert outcome.status == 65 or (outcome.status == 66 and how == "no-folder"), outcome.describe()
    assert str(place.backup) in outcome.refusal
    restore(place.root / "good", data)
    check_clean(data=data)
    assert see(place.client(place.serve(data)), contents) == contents


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_backup_with_a_damaged_segment(place: Place, damage: str) -> None:
    """It is told and not copied; what is restored besides is whole, and nobody is given wrong bytes."""
    contents = place.start().fill("a")
    place.back_up()
    bad = place.backup / files_of(place.stack, "a/1")[0].relative_to(place.data)
    spoil_file(bad, damage)
    data = place.root / "new"
    outcome = place.command("restore", place.backup, "--data-dir", data)
    assert outcome.status in (1, 65), outcome.describe()
    (line,) = outcome.err.splitlines()
    assert Finding.of(line.removeprefix("durable-streams: ")).subject == str(bad)
    if outcome.status == 65:
        return
    (finding,) = verify(data=data).findings
    assert finding.subject == str(data / bad.relative_to(place.backup)), finding
    http = place.client(place.serve(data))
    others = {name: content for name, content in contents.items() if name != "a/1"}
    assert see(http, others) == others
    check_error(http.get("a/1"), 500, "SEGMENT_DAMAGED")


@pytest.mark.parametrize("what", ["running", "stopped", "a-file-in-it", "a-file"])
def test_occupied_data_directory(place: Place, what: str) -> None:
    """What is there is never overwritten."""
    contents = place.start().fill("a", 1)
    place.back_up()
    data = place.data if what in ("running", "stopped") else place.root / "other"
    if what == "stopped":
        place.http.close()
        place.stack.stop()
    elif what == "a-file-in-it":
        data.mkdir()
        (data / "note").write_text("mine")
    elif what == "a-file":
        data.write_text("mine")
    refusal = place.command("restore", place.backup, "--data-dir", data).expect(73).refusal
    assert str(data) in refusal and not (data / "restoring").exists()
    if what == "a-file-in-it":
        assert [file.name for file in data.iterdir()] == ["note"] and (data / "note").read_text() == "mine"
    elif what == "a-file":
        assert data.read_text() == "mine"
    else:
        if what == "stopped":
            place.stack.start()
        assert see(place.http, contents) == contents


def test_empty_data_directory(place: Place) -> None:
    """Missing folders are made, an empty one is taken."""
    contents = place.start().fill("a", 1)
    place.back_up()
    (place.root / "empty").mkdir()
    for data in (place.root / "empty", place.root / "missing" / "deep"):
        restore(place.backup, data)
        assert see(place.client(place.serve(data)), contents) == contents


@pytest.mark.parametrize("other", [False, True], ids=["same-backup", "another-backup"])
@pytest.mark.parametrize(("point", "passes"), [*((point, 1) for point in RESTORE_POINTS), ("restore.segment", 3)])
def test_cut_off_restore(place: Place, point: str, passes: int, other: bool) -> None:
    """kill -9: nobody takes the half for the whole; running it again starts over."""
    place.start()
    contents = place.fill("a")
    place.back_up()
    place.delete("a/0")
    contents_of_other = contents | {"a/0": 404} | place.fill("b", 2)
    back_up(place.data, place.root / "other")
    data = place.root / "new"
    place.hooks.arm(point, passes=passes)
    place.command("restore", place.backup, "--data-dir", data).expect(-signal.SIGKILL)
    assert not place.hooks.armed(point) and (data / "restoring").exists()
    stack = place.make(data_dir=data, start=False)
    status, errors = refused(stack)
    assert status == 78 and "restore" in one_line(errors) and str(data) in errors, (status, errors)
    folder, expected = place.backup, contents | {"b/0": 404, "b/1": 404}
    if other:
        folder, expected = place.root / "other", contents_of_other
    restore(folder, data)
    check_clean(data=data)
    assert not list(data.rglob("*.part"))
    assert see(place.client(place.serve(data)), expected) == expected
