"""The rows of the result, as a table and as JSON."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os

HEADER = ("figure", "value", "unit", "baseline", "of", "ratio", "reach", "met")
RIGHT = (1, 3, 5)


@dataclasses.dataclass
class Row:
    """One figure beside its baseline.

    `reach` is what `ratio` has to be at least, or `at_most` that (or, for a row without a baseline, what `value`
    has to stay below); a row without it is told, not judged. `failure` says why a figure can't be believed.
    `beside` is what the baseline is of, `note` what else there is to say, `group` the heading of the row.
    """

    name: str
    value: float | None
    unit: str
    baseline: float | None = None
    reach: float | None = None
    failure: str = ""
    at_most: bool = False
    beside: str = ""
    note: str = ""
    group: str = ""

    @property
    def ratio(self) -> float | None:
        """Value by baseline."""
        return self.value / self.baseline if self.value is not None and self.baseline else None

    @property
    def met(self) -> bool | None:
        """True or False for a judged row, None for one without a reach; a failed row is never met."""
        if self.failure:
            return False
        if self.reach is None or self.value is None:
            return None
        if self.baseline is None:
            return self.value < self.reach
        return self.ratio <= self.reach if self.at_most else self.ratio >= self.reach

    @property
    def demand(self) -> str:
        """The reach with its sign."""
        sign = "<" if self.baseline is None else "≤" if self.at_most else "≥"
        return "" if self.reach is None else f"{sign} {self.reach:.3g}"

    @property
    def verdict(self) -> str:
        """`met` for the table."""
        return "FAILED" if self.failure else {True: "yes", False: "no", None: ""}[self.met]

    def as_dictionary(self) -> dict:
        """For JSON: what every row has first, then what is not empty."""
        keys = ("name", "value", "unit", "baseline", "ratio", "reach", "met")
        more = ("at_most", "beside", "note", "failure", "group")
        return {**{key: shortened(getattr(self, key)) for key in keys},
                **{key: getattr(self, key) for key in more if getattr(self, key)}}

    def as_cells(self) -> tuple[str, ...]:
        """For the table."""
        return (self.name, number(self.value), self.unit, number(self.baseline), self.beside,
                "" if self.ratio is None else f"{self.ratio:.{2 if self.ratio >= 0.1 else 3}f}", self.demand, self.verdict)


@dataclasses.dataclass
class Curve:
    """Latencies of one measurement: what share of all, in percent, took at most how many microseconds."""

    name: str
    points: list[tuple[float, float]]
    group: str = ""


def shortened(value):
    """Numbers without digits that mean nothing."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def number(value: float | None) -> str:
    """A number for the table."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.4f}"


def grouped(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """The rows by their headings, in the order in which those came first."""
    order = list(dict.fromkeys(row.group for row in rows))
    ordered = sorted(rows, key=lambda row: order.index(row.group))
    return [(group, list(members)) for group, members in itertools.groupby(ordered, key=lambda row: row.group)]


def table(rows: list[Row]) -> str:
    """The rows as text below their headings, numbers to the right, and at the end what is to be said of single ones."""
    widths = [max(len(line[column]) for line in [HEADER, *(row.as_cells() for row in rows)])
              for column in range(len(HEADER))]

    def line(cells: tuple[str, ...]) -> str:
        return "  ".join(cell.rjust(width) if column in RIGHT else cell.ljust(width)
                         for column, (cell, width) in enumerate(zip(cells, widths))).rstrip()

    lines = [line(HEADER)]
    for group, members in grouped(rows):
        lines += ["", group] if group else []
        lines += [line(row.as_cells()) for row in members]
    return "\n".join(lines + ([""] + remarks(rows) if remarks(rows) else []))


def remarks(rows: list[Row]) -> list[str]:
    """What is to be said of single rows, and of baselines."""
    failures = [f"{row.name}: {row.failure}" for row in rows if row.failure]
    return failures + list(dict.fromkeys(f"{row.beside or row.name}: {row.note}" for row in rows if row.note))


def markdown(rows: list[Row]) -> str:
    """The same for a page."""
    lines = []
    for group, members in grouped(rows):
        lines += [f"**{group}**", ""] if group else []
        lines += ["| " + " | ".join(HEADER) + " |",
                  "| " + " | ".join("---:" if column in RIGHT else "---" for column in range(len(HEADER))) + " |"]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row.as_cells()) + " |" for row in members]
        lines.append("")
    lines += [f"- {remark}" for remark in remarks(rows)]
    return "\n".join(lines).rstrip()


def write_json(rows: list[Row], path: str) -> None:
    """The rows as a JSON array."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as file:
        json.dump([row.as_dictionary() for row in rows], file, indent=2, ensure_ascii=False)
        file.write("\n")
