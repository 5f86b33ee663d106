"""Backups of a server that goes on: what they are made of, cut off half-way, and what goes wrong."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from commands import CUT_OFF, Finding, Started, check_clean, restore, run, run_on_terminal, verify, xxh128
from place import Place, see, spoil_file
from stack import Stack
from store import files_of, wait_until
from test_segment_crash import is_consistent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
BACKUP_POINTS = ["backup.snapshot", "backup.segment", "backup.copied", "backup.renamed"]


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


# What goes wrong.


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
