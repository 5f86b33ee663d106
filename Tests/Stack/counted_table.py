"""The table of what requests may cost, what is refused, and the same table in docs/PERFORMANCE.md."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from counted import Counts
from stack import REPOSITORY

TABLE = Path(__file__).with_name("counted_costs.json")
PAGE = REPOSITORY / "docs/PERFORMANCE.md"
MARKS = ("<!-- counts -->\n", "<!-- /counts -->\n")
COLUMNS = {
    "instructions": "instructions",
    "allocations": "allocations",
    "system calls": "system calls",
    "pages written": "pages written",
    "fsyncs": "fsyncs",
}
# What a count may grow by, as a share and by itself, before it counts as a regression; and the share below which the table
# says too much.
MARGINS = {
    "instructions": (0.05, 50.0),
    "allocations": (0.015, 0.4),
    "system calls": (0.03, 0.15),
    "pages written": (0.03, 0.02),
    "fsyncs": (0.0, 0.005),
    "requests": (0.0, 0.0),
}
STALE = 0.85
# In how many portions answers come back to their thread is a matter of time.
GROUPED = 0.03
# An event loop also looks at the time once a second, for all readers: the slower the machine, the more of that lies between two
# events.
TICKING = 0.05


@dataclass
class Found:
    """Counts by figure, and what makes them up."""

    counts: Counts = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)


def allowed(figure: str, measured: float) -> tuple[float, float]:
    """The least and the most that a figure may be."""
    kind = figure.rpartition(": ")[2].partition(" of ")[0]
    share, slack = MARGINS[kind]
    if "in a group" in figure and kind in ("instructions", "allocations"):
        share += GROUPED
    if "to one reader" in figure and kind in ("instructions", "allocations"):
        share += TICKING
    return STALE * measured - slack, (1 + share) * measured + slack


def problems(subject: str, found: Found) -> list[str]:
    """What is more than allowed, or so much less that the table has to be set anew."""
    table = json.loads(TABLE.read_text())[subject]
    lines = [f"{figure}: in the table alone; set it anew" for figure in sorted(set(table) - set(found.counts))]
    for figure, count in found.counts.items():
        if figure not in table:
            lines.append(f"{figure}: {count:,.3f}, but not in the table; set it anew")
            continue
        least, most = allowed(figure, table[figure])
        parts = found.parts.get(figure) or found.parts.get(figure.rpartition(": ")[2], "")
        if count > most:
            lines.append(f"{figure}: {count:,.3f} are too many; {most:,.3f} are allowed ({table[figure]:,.3f} when last set)\n{parts}")
        elif count < least:
            lines.append(f"{figure}: only {count:,.3f} of {table[figure]:,.3f}: tighten the table, so that it stays so")
    return lines


HOW = """
`make profile` shows the functions, `python3 Tests/Stack/profile_requests.py --callers NAME` who calls them. If the change is
worth it, `make counts` writes what it finds into counted_costs.json; say in the commit why."""


def lines() -> str:
    """The table as Markdown: a row for each request, a column for each kind of count."""
    rows: dict[str, dict[str, str]] = {}
    for table in json.loads(TABLE.read_text()).values():
        for figure, count in table.items():
            request, _, kind = figure.rpartition(": ")
            kind, _, process = kind.partition(" of ")
            cells = rows.setdefault(request, {})
            text = " ".join(word for word in (process, _short(count)) if word)
            cells[kind] = ", ".join(word for word in (cells.get(kind), text) if word)
    text = ["| Request | " + " | ".join(COLUMNS.values()) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    for request, cells in rows.items():
        if set(cells) & set(COLUMNS):
            text.append(f"| {request} | " + " | ".join(cells.get(kind, "") for kind in COLUMNS) + " |")
    return "\n".join(text) + "\n"


def _short(count: float) -> str:
    digits = 0 if count >= 1_000 else 1 if count >= 10 else 2 if count >= 0.1 else 3
    text = f"{count:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def documented() -> str:
    """The table of the page."""
    return PAGE.read_text().partition(MARKS[0])[2].partition(MARKS[1])[0]


def document() -> None:
    """Put the table into the page."""
    before, mark, rest = PAGE.read_text().partition(MARKS[0])
    assert mark, f"{PAGE} has no {mark}"
    PAGE.write_text(before + mark + lines() + MARKS[1] + rest.partition(MARKS[1])[2])
