"""What a folder is taken for: a data directory is never a backup, and a backup holds one store only."""

from __future__ import annotations

import shutil

import pytest

from client import expect
from commands import Started, check_clean, run
from place import Place
from test_startup import one_line, refused

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_data_directory_is_no_backup(place: Place) -> None:
    """Not even one with the marks of a backup: nothing is renamed over the log of a server."""
    place.start()
    written = place.fill("a", 2)
    for name in ("backup.lock", "hot.sqlite.xxh128", "hot.sqlite.part"):
        (place.data / name).touch()
    place.command("backup", place.data, "--data-dir", place.data).expect(73)
    outcome = place.command("verify", "--data-dir", place.data)
    assert "backup" not in outcome.out.replace(str(place.data), ""), outcome.describe()
    place.http.create("later", "text/plain", "later")
    assert place.http.get("later").body == b"later" and len(written) == 2
    assert place.command("verify", place.data).err == "" and not (place.backup / "backup.lock").exists()


def test_a_backup_is_not_served(place: Place) -> None:
    """Its streams would get ids that the store it is of gives too."""
    place.start().fill("a", 1)
    place.back_up()
    status, errors = refused(place.make(data_dir=place.backup, start=False))
    assert status == 78 and str(place.backup) in one_line(errors) and "restore" in errors
    check_clean(place.backup)


def test_other_data_are_refused(place: Place) -> None:
    """Segments of the same name and size hold something else there."""
    place.start().fill("a", 2)
    place.back_up()
    copies = place.copies()
    place.http.close()
    place.stack.stop()
    shutil.rmtree(place.data)
    place.start().fill("a", 2)
    outcome = place.command("backup", place.backup, "--data-dir", place.data).expect(73)
    assert str(place.backup) in outcome.err and "other data" in outcome.err
    assert place.copies() == copies
    check_clean(place.backup)


def test_what_was_restored_is_other_data(place: Place) -> None:
    """It goes on otherwise than the store that was backed up."""
    place.start().fill("a", 1)
    place.back_up()
    again = place.restore()
    again.create("b", "text/plain", "b")
    place.command("backup", place.backup, "--data-dir", again.stack.data_dir).expect(73)
    place.command("backup", place.root / "second", "--data-dir", again.stack.data_dir).expect(0)
    check_clean(place.root / "second")


def test_two_restores_into_one_directory(place: Place) -> None:
    """The second is refused while the first is at it, and so is a server; a backup waits for who reads it."""
    place.start().fill("a", 3)
    place.back_up()
    target = place.root / "new"
    place.hooks.arm("restore.segment", "stop")
    first = Started("restore", place.backup, "--data-dir", target, **place.hooks.settings)
    with first:
        first.wait_stopped(place.hooks, "restore.segment")
        place.command("restore", place.backup, "--data-dir", target).expect(75)
        place.command("backup", place.backup, "--data-dir", place.data).expect(75)
        status, errors = refused(place.make(data_dir=target, start=False))
        assert status == 78 and "restore" in one_line(errors)
        first.go_on()
        first.finish().expect(0)
    check_clean(data=target)


def test_a_restore_that_was_cut_off_is_a_finding(place: Place) -> None:
    place.start().fill("a", 1)
    place.back_up()
    target = place.root / "new"
    place.hooks.arm("restore.renamed")
    place.command("restore", place.backup, "--data-dir", target)
    outcome = run("verify", "--data-dir", target).expect(1)
    assert "restore that was cut off; to mend: durable-streams restore" in outcome.out
    assert not (target / "backup.lock").exists()
    place.command("restore", place.backup, "--data-dir", target).expect(0)
    check_clean(data=target)
    expect(place.client(place.serve(target)).get("a/0"), 200)
