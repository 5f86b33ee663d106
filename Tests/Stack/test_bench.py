"""The benchmark runs, and its result can be read by programs and drawn."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path
from types import ModuleType

import pytest

from stack import BINARY, REPOSITORY

BENCH = Path(__file__).resolve().parent.parent / "Bench"
SVG = "{http://www.w3.org/2000/svg}"
MEMBERS = ["name", "value", "unit", "baseline", "ratio", "reach", "met"]


@pytest.fixture(scope="module")
def bench() -> dict[str, ModuleType]:
    """The modules that make the result, by name. Others of that folder are named like some of this one."""
    found = {}
    for name in ("report", "plot"):
        spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
        found[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found[name])
    yield found
    for name in found:
        del sys.modules[name]


def test_a_figure_is_measured_beside_its_baseline(tmp_path: Path):
    result, plot = tmp_path / "results.json", tmp_path / "results.svg"
    child = subprocess.run(
        [sys.executable, str(BENCH / "bench.py"), "--quick", "--only", "catch-up-tail", "--json", str(result),
         "--plot", str(plot), "--binaries", str(BINARY.parent)],
        capture_output=True, text=True, timeout=120)
    assert child.returncode == 0, child.stdout + child.stderr
    rows = {row["name"]: row for row in json.loads(result.read_text())}
    for name, reach in (("catch-up at the tail, 1 KiB", 0.8), ("304 for If-None-Match at the tail", 0.9)):
        row = rows[name]
        assert list(row)[:len(MEMBERS)] == MEMBERS
        assert row["unit"] == "req/s" and row["beside"] == "204 responder" and row["reach"] == reach
        assert row["value"] > 0 and row["ratio"] == pytest.approx(row["value"] / row["baseline"], rel=1e-4)
        assert row["met"] is (row["ratio"] >= reach)
        line = next(line for line in child.stdout.splitlines() if line.startswith(name))
        assert "204 responder" in line and ("yes" if row["met"] else "no") in line.split()
    assert set(rows) & set(texts(plot)) >= {"catch-up at the tail, 1 KiB", "304 for If-None-Match at the tail"}


def test_a_reach_is_a_bound_from_below_or_above(bench):
    row = bench["report"].Row
    assert row("rate", 90.0, "req/s", 100.0, 0.9).met is True
    assert row("rate", 89.0, "req/s", 100.0, 0.9).met is False
    assert row("time", 5.0, "ms", 1.0, 5, at_most=True).met is True
    assert row("time", 5.1, "ms", 1.0, 5, at_most=True).met is False
    assert row("memory", 99.0, "MB", reach=100).met is True
    assert row("memory", 100.0, "MB", reach=100).met is False
    assert row("told", 1.0, "ms", 2.0).met is None
    assert row("peer that is not there", 1.0, "req/s", None, note="not installed").met is None
    assert row("rate", 100.0, "req/s", 100.0, 0.9, "3 × 409").met is False


def test_rows_stand_below_their_headings_with_what_is_to_be_said_of_them(bench):
    report = bench["report"]
    rows = [report.Row("first", 1234.5, "req/s", 1000.0, 0.9, beside="file", group="Reads"),
            report.Row("second", None, "", failure="no answer", group="Appends"),
            report.Row("third", 0.004, "fsyncs", 1.0, 0.05, at_most=True, group="Reads", note="counted")]
    lines = report.table(rows).splitlines()
    assert [line for line in lines if line in ("Reads", "Appends")] == ["Reads", "Appends"]
    assert lines.index("Reads") + 2 == next(number for number, line in enumerate(lines) if line.startswith("third"))
    assert "≥ 0.9" in lines[3] and lines[3].endswith("yes") and "1,234" in lines[3] and "file" in lines[3]
    assert lines[-2:] == ["second: no answer", "third: counted"]
    assert "| third | 0.0040 | fsyncs | 1.00 |  | 0.004 | ≤ 0.05 | yes |" in report.markdown(rows).splitlines()


def test_the_result_loses_nothing(bench, tmp_path: Path):
    report = bench["report"]
    rows = [report.Row("a <name> & \"more\"", 2.0, "ms", 1.0, 1.25, "7 × 500", True, "C & epoll", "why", "Live")]
    report.write_json(rows, str(tmp_path / "new" / "results.json"))
    found = json.loads((tmp_path / "new" / "results.json").read_text())
    assert found == [{"name": "a <name> & \"more\"", "value": 2.0, "unit": "ms", "baseline": 1.0, "ratio": 2.0,
                      "reach": 1.25, "met": False, "at_most": True, "beside": "C & epoll", "note": "why",
                      "failure": "7 × 500", "group": "Live"}]


def test_the_plot_has_a_mark_for_each_ratio_and_a_line_for_each_curve(bench, tmp_path: Path):
    report, plot = bench["report"], bench["plot"]
    rows = [report.Row("a <name> & \"more\"", 2.0, "ms", 1.0, 1.25, at_most=True, beside="C & epoll", group="<Live>"),
            report.Row("far away", 1.0, "req/s", 1e6, 0.9), report.Row("without a baseline", 1.0, "MB", reach=100),
            report.Row("nothing", 0.0, "req/s", 10.0), report.Row("not measured", None, "", failure="no answer")]
    curves = [report.Curve(f"curve {number}", [(0.0, 100.0), (90.0, 2000.0), (100.0, 90000.0)], "<Live>")
              for number in range(9)] + [report.Curve("empty", [], "none")]
    path = tmp_path / "results.svg"
    plot.write(rows, curves, str(path))
    root = xml.parse(path).getroot()
    found = texts(path)
    assert {"a <name> & \"more\"", "far away", "<Live>", "Latency by percentile: <Live>", "curve 8"} <= set(found)
    assert any("C & epoll" in text for text in found)
    assert not {"without a baseline", "nothing", "not measured", "empty"} & set(found)
    assert [each.get("class") for each in root.iter(f"{SVG}circle")] == ["missed"]
    assert [each.get("class") for each in root.iter(f"{SVG}polygon")] == ["missed"], "a ratio off the scale is an arrow"
    assert len(list(root.iter(f"{SVG}polyline"))) == 9
    width, height = map(float, root.get("viewBox").split()[2:])
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.get("x")) <= width and 0 < float(element.get("y")) < height, element.text


def test_the_page_names_what_there_is():
    page = (REPOSITORY / "docs" / "PERFORMANCE.md").read_text()
    usage = subprocess.run([sys.executable, str(BENCH / "bench.py"), "--help"], capture_output=True, text=True, timeout=30,
                           env={**os.environ, "COLUMNS": "10000"}).stdout
    named = re.findall(r"bench\.py (.*)", page)
    assert named
    for option in re.findall(r"--[a-z-]+", " ".join(named) + "".join(re.findall(r"`(--[a-z-]+)`", page))):
        assert option in usage, option
    known = re.search(r"take only these figures: (.*)", usage)[1].split(", ")
    for names in re.findall(r"--only (\S+)", page):
        assert set(names.split(",")) <= set(known)
    goals = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make ([a-z-]+)", "".join(re.findall(r"`make [a-z-]+`|^make .*$", page, re.MULTILINE)))) <= set(goals)


def texts(path: Path) -> list[str]:
    """All that can be read in a picture."""
    root = xml.parse(path).getroot()
    assert root.tag == f"{SVG}svg"
    return [element.text for element in root.iter(f"{SVG}text")]
