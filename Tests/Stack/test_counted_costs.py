"""Requests cost no more instructions, allocations, system calls, pages and fsyncs than the table says (CONTRIBUTING.md)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import counted_table
import counts
from counted import empty
from instrumented import Forbidden
from stack import remove_tree, temporary_root


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("subject", counts.SUBJECTS)
def test_costs(subject: str) -> None:
    if (lack := counts.missing()) is not None:
        # Where packages can be installed, nobody may go without.
        (pytest.fail if os.environ.get("DSTEST_MUST_COUNT") else pytest.skip)(lack)
    root = temporary_root()
    try:
        found = counts.SUBJECTS[subject](empty(root, "count"))
    except Forbidden as reason:
        pytest.skip(f"processes may not be looked at here (ptrace): {reason}")
    finally:
        remove_tree(root)
    lines = counted_table.problems(subject, found)
    assert not lines, "\n" + "\n".join(lines) + "\n" + counted_table.HOW


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """More than the margin, less than was won, and figures that only one side has."""
    table = tmp_path / "table.json"
    table.write_text('{"worker": {"a: instructions": 10000, "b: allocations": 30, "c: fsyncs": 0.0156, "d: instructions": 1}}')
    monkeypatch.setattr(counted_table, "TABLE", table)

    def refused(**found: float) -> list[str]:
        names = {"a": "a: instructions", "b": "b: allocations", "c": "c: fsyncs", "d": "d: instructions", "e": "e: instructions"}
        whole = {"a": 10000.0, "b": 30.0, "c": 0.0156, "d": 1.0} | found
        lines = counted_table.problems("worker", counted_table.Found({names[key]: count for key, count in whole.items()}))
        return [line.partition(":")[0] for line in lines]

    assert refused() == refused(a=10500, b=30.8, c=0.02, d=20) == refused(a=8500, b=25.5) == []
    assert refused(a=10600, b=31) == ["a", "b"]
    assert refused(a=8000, b=24) == ["a", "b"]
    # A second fsync for each group of 64.
    assert refused(c=2 / 64) == ["c"]
    assert refused(e=1) == ["e"]
    table.write_text('{"worker": {"gone: fsyncs": 1}}')
    assert refused()[0] == "gone"


def test_page() -> None:
    """docs/PERFORMANCE.md shows the table as it is."""
    assert counted_table.documented() == counted_table.lines(), "make counts writes it"
