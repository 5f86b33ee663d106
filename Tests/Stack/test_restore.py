"""What is restored from a backup: all that the server knew, from a good backup, wholly or not at all."""

from __future__ import annotations

import signal

import pytest

from checks import check_error
from client import at, expect, incarnation, instant, pieces, position, producer
from commands import Finding, back_up, check_clean, restore, verify
from place import Contents, Place, see, spoil_file
from store import files_of, wait_for_rotation, wait_until
from test_startup import one_line, refused

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
RESTORE_POINTS = ["restore.marked", "restore.segment", "restore.copied", "restore.renamed"]


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
