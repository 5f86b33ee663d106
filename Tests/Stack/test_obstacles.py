"""What stands in the way of one stream or one file does not hold up the others."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from checks import check_error
from client import Client, at, expect, pieces
from commands import check_clean, run
from hooks import Hooks
from retention import select
from store import ask_store, files_of, wait_for_rotation, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_damaged_segment_stops_no_retention(fresh_stack, tmp_path: Path) -> None:
    """Of other streams, nor its own: what is too old goes, damaged or not."""
    hooks = Hooks(tmp_path / "hooks")
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=1, **hooks.settings)
    with closing(Client(stack)) as http:
        for name in ("a", "b"):
            http.create(name, "text/plain", Stream_Retention_Age="4000")
            for n in range(7):
                http.append(name, "text/plain", f"part{n}")
                wait_until(stack, lambda n=n: select(stack, "SELECT count(*) FROM rotation") == [(0,)], "it has rotated")
        wait_for_rotation(stack)
        # The next segment brings the merge that reads it.
        damaged = files_of(stack, "a")[0]
        damaged.write_bytes(b"PART" + damaged.read_bytes()[4:])
        for name in ("a", "b"):
            http.append(name, "text/plain", "part7")
        tails = [http.head(name).offset for name in ("a", "b")]
        for _ in range(6):
            hooks.advance(1_001)
            time.sleep(0.3)
        wait_until(stack, lambda: [http.head(name).get("Stream-Earliest-Offset") for name in ("a", "b")] == tails, "all is too old")
        assert http.get("b").body == b""


def test_a_folder_in_place_of_a_file_that_is_to_go(fresh_stack) -> None:
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2)
    with closing(Client(stack)) as http:
        for name in ("a", "b"):
            http.create(name, "text/plain", name, Stream_Closed="true")
        wait_for_rotation(stack)
        (file,) = files_of(stack, "a")
        file.unlink()
        (file / "inside").mkdir(parents=True)
        expect(http.delete("a"), 204)
        expect(http.delete("b"), 204)
        wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM garbage", "SELECT count(*) FROM segment") == [0, 0], "nothing is left to do")
        http.create("c", "text/plain", "c", Stream_Closed="true")
        wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM segment") == [1], "others rotate")
        assert stack.log.read_text().count(str(file)) <= 2
        outcome = run("verify", "--data-dir", stack.data_dir)
        assert outcome.status in (0, 1), outcome.describe()


def test_rotation_goes_on_while_many_files_go(fresh_stack) -> None:
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=1, DS_SEGMENT_MAX_BYTES="1KiB")
    with closing(Client(stack)) as http:
        for n in range(400):
            http.create(f"many/{n}", "text/plain", "x", Stream_Closed="true")
        wait_for_rotation(stack)
        for n in range(400):
            expect(http.delete(f"many/{n}"), 204)
        wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM garbage") >= [300], "many are to go")
        http.create("one", "text/plain", "x", Stream_Closed="true")
        wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM segment WHERE stream = (SELECT id FROM stream)") == [1], "it rotates", within=3)


def test_brackets_are_not_content(fresh_stack) -> None:
    """Of a JSON stream at least so many bytes stay as its limit says, in whatever many files they are."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=1)
    limit = 41
    with closing(Client(stack)) as http:
        http.create("s", "application/json", Stream_Retention_Bytes=str(limit))
        for n in range(60):
            http.append("s", "application/json", "1")
            wait_until(stack, lambda n=n: select(stack, "SELECT max(end) FROM segment") == [(n + 1,)], "it has rotated", pause=0.002)
        wait_until(stack, lambda: select(stack, "SELECT earliest > 0 FROM stream") == [(1,)], "it was cut")
        kept = [message for piece in pieces(http, "s") for message in json.loads(piece)]
        assert limit <= len(",".join(map(str, kept))) < 100


@pytest.mark.parametrize("ends", [b"", bytes([1]), bytes([200, 200, 3]), bytes([3, 0, 1])])
def test_a_wrong_row_is_damage(fresh_stack, ends: bytes) -> None:
    """An answer that says so, and a worker that lives on."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=3)
    with closing(Client(stack)) as http:
        http.create("s", "application/json", "[1,2,3]", Stream_Closed="true")
        wait_for_rotation(stack)
    stack.stop()
    with closing(sqlite3.connect(stack.data_dir / "hot.sqlite")) as store:
        store.execute("UPDATE segment SET ends = ?", (ends,))
        store.commit()
    stack.start()
    workers = stack.processes("durable-streams-worker")
    with closing(Client(stack)) as http:
        token = http.head("s").offset
        for place in (0, 1, 2):
            check_error(http.get("s", f"offset={at(token, place)}"), 500, "SEGMENT_DAMAGED")
        expect(http.get("s", f"offset={token}"), 200)
    assert stack.processes("durable-streams-worker") == workers
    run("verify", "--data-dir", stack.data_dir).expect(1)


def test_the_deepest_message_is_no_finding(fresh_stack) -> None:
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2)
    deep = "[" * 511 + "1" + "]" * 511
    value = '{"a":' * 512 + "1" + "}" * 512
    with closing(Client(stack)) as http:
        http.create("hot", "application/json", value)
        for text in (value, f"[{deep}]", "[1,2]"):
            http.append("hot", "application/json", text)
        http.create("cold", "application/json", f"[{deep},2]", Stream_Closed="true")
        wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM segment") != [0], "something has moved")
        check_clean(data=stack.data_dir)


def test_a_long_chain_of_forks_goes_quickly(fresh_stack) -> None:
    """Its cascade is one transaction, beside which appends wait."""
    stack = fresh_stack()
    length = 600
    with closing(Client(stack)) as http:
        http.create("f0", "text/plain", "x")
        for n in range(1, length):
            http.fork(f"f{n}", f"f{n - 1}")
        for n in range(length - 1):
            expect(http.delete(f"f{n}"), 204)
        began = time.monotonic()
        expect(http.delete(f"f{length - 1}"), 204)
        took = time.monotonic() - began
        assert ask_store(stack, "SELECT count(*) FROM stream") == [0]
    # It took longer by far when each step went through all ancestors.
    assert took < 0.1 * float(os.environ.get("DS_TEST_SLOWNESS", "1")), f"{took:.3f} s"
