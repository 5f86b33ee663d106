"""Backups under load, and what is restored from them: in order, with all that was acknowledged, nothing torn."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest

from client import Client, pieces
from commands import check_clean
from load import Load, append_of, appends_in
from place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


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
