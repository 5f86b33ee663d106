"""kill -9 at each step of rotation, merging and removal of files: afterwards a segment is there wholly or not at all."""

from __future__ import annotations

import pytest

from client import expect
from store import ask_store, files, wait_until
from test_crash_points import Ground, ground  # noqa: F401 (a fixture)
from test_deletion import again

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
ROTATION = ["segment.written", "segment.synced", "segment.renamed", "segment.stored", "segment.recorded", "segment.committed"]
MERGE = ["merge.recorded", "merge.committed"]
REMOVAL = ["garbage.removed"]
MESSAGES = 10


def is_consistent(ground: Ground) -> bool:
    """Nothing is left to do, and the files are those of the rows."""
    (waiting,) = ask_store(ground.stack, "SELECT (SELECT count(*) FROM rotation) + (SELECT count(*) FROM purge) + (SELECT count(*) FROM garbage)")
    (rows,) = ask_store(ground.stack, "SELECT count(*) FROM segment")
    return waiting == 0 and len(files(ground.stack)) == rows


@pytest.mark.parametrize("kind", ["bytes", "json"])
@pytest.mark.parametrize("point", [*ROTATION, *MERGE, *REMOVAL])
def test_kill_at_a_step(ground: Ground, point: str, kind: str) -> None:  # noqa: F811
    hooks, stack, http = ground.start(DS_SEGMENT_MAX_MESSAGES=1)
    type = "application/json" if kind == "json" else "text/plain"
    http.create("a", type)
    hooks.arm(point, passes=2 if point in ROTATION else 1)
    expected = []
    # One segment for each append, so that there is something to merge, and files to remove.
    for number in range(MESSAGES):
        text = f"{number:03d}" if kind == "bytes" else str(number)
        answer = again(http, lambda text=text: http.post("a", type, text, Producer_Id="p", Producer_Epoch="0", Producer_Seq=text.lstrip("0") or "0"))
        assert answer.status in (200, 204), answer.describe()
        expected.append(text)
        end = 3 * len(expected) if kind == "bytes" else len(expected)
        wait_until(stack, lambda end=end: ask_store(stack, "SELECT max(end) FROM segment") == [end], "it has rotated", pause=0.002)
    hooks.wait_fired(point)
    wait_until(stack, lambda: stack.ready() and is_consistent(ground), "everything is as it should be")
    content = again(http, lambda: http.get("a")).body.decode()
    assert content == ("".join(expected) if kind == "bytes" else f"[{','.join(expected)}]")
    # Every position is held once: by segments without a gap, then by records.
    (holes,) = ask_store(stack, "SELECT count(*) FROM segment s WHERE start > 0 AND NOT EXISTS (SELECT 1 FROM segment WHERE stream = s.stream AND end = s.start)")
    assert holes == 0
    expect(again(http, lambda: http.delete("a")), 204)
    wait_until(stack, lambda: files(stack) == [], "the files are gone")
    ground.wait_empty()
