"""The rows of the result, as a table and as JSON."""

import dataclasses
import json
from typing import Optional


@dataclasses.dataclass
class Row:
    """One figure beside its baseline.

    `reach` is what `ratio` has to be at least, or `at_most` that (or, for a row without a baseline, what `value`
    has to stay below); a row without it is told, not judged. `failure` says why a figure can't be believed.
    """

    name: str
    value: Optional[float]
    unit: str
    baseline: Optional[float] = None
    reach: Optional[float] = None
    failure: str = ""
    at_most: bool = False

    @property
    def ratio(self):
        """Value by baseline."""
        return self.value / self.baseline if self.value is not None and self.baseline else None

    @property
    def met(self):
        """True or False for a judged row, None for one without a reach; a failed row is never met."""
        if self.failure:
            return False
        if self.reach is None:
            return None
        if self.baseline is None:
            return self.value < self.reach
        return self.ratio <= self.reach if self.at_most else self.ratio >= self.reach

    def as_dictionary(self):
        """For JSON."""
        keys = ("name", "value", "unit", "baseline", "ratio", "reach", "met")
        return {key: shortened(getattr(self, key)) for key in keys}

    def as_cells(self):
        """For the table."""
        sign = "<" if self.baseline is None else "≤" if self.at_most else "≥"
        reach = "" if self.reach is None else f"{sign} {self.reach:g}"
        met = "FAILED" if self.failure else {True: "yes", False: "no", None: ""}[self.met]
        return (self.name, number(self.value), self.unit, number(self.baseline),
                "" if self.ratio is None else f"{self.ratio:.2f}", reach, met)


def shortened(value):
    """Numbers without digits that mean nothing."""
    return round(value, 3) if isinstance(value, float) else value


def number(value):
    """A number for the table."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def table(rows):
    """The rows as text, numbers to the right."""
    lines = [("name", "value", "unit", "baseline", "ratio", "reach", "met")]
    lines += [row.as_cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    right = (1, 3, 4)
    return "\n".join(
        "  ".join(cell.rjust(width) if column in right else cell.ljust(width)
                  for column, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines)


def write_json(rows, path):
    """The rows as a JSON array."""
    with open(path, "w") as file:
        json.dump([row.as_dictionary() for row in rows], file, indent=2)
        file.write("\n")
