"""The result as a picture: SVG made of the standard library's XML, so that every text is escaped by it."""

from __future__ import annotations

import math
import os
import xml.etree.ElementTree as xml

from report import Curve, Row, grouped, number

WIDTH = 1240
LEFT, RIGHT = 330, 720
LINE = 22
# Ratios beyond are drawn at the edge, with an arrow.
LOWEST, HIGHEST = 1 / 32, 32
TICKS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32)
CHART_HEIGHT = 260
SHARES = (0, 50, 90, 99, 99.9, 99.99, 99.999)
# Colours that can be told apart on white and on black, by those with a colour blindness too.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#56b4e9", "#7f7f7f")
# Neutral where nobody says what the page is like, and readable where it is dark.
STYLE = """
svg { font: 12px system-ui, sans-serif; background: #ffffff; --ink: #1a1a1a; --faint: #777777; --rule: #dddddd;
  --met: #00845f; --missed: #c04f00; --told: #777777; }
@media (prefers-color-scheme: dark) { svg { background: #16181b; --ink: #e8e8e8; --faint: #a0a0a0; --rule: #3a3d42;
  --met: #2fc598; --missed: #ff8f4a; --told: #a0a0a0; } }
text { fill: var(--ink); } .heading { font-weight: 600; font-size: 13px; } .title { font-weight: 600; font-size: 16px; }
.faint { fill: var(--faint); } .rule { stroke: var(--rule); } .base { stroke: var(--faint); }
.met { stroke: var(--met); fill: var(--met); } .missed { stroke: var(--missed); fill: var(--missed); }
.told { stroke: var(--told); fill: var(--told); } .reach { stroke: var(--ink); stroke-width: 2; fill: none; }
.curve { fill: none; stroke-width: 1.8; }
"""


class Picture:
    """Elements from the top down."""

    def __init__(self) -> None:
        self.root = xml.Element("svg", xmlns="http://www.w3.org/2000/svg", width=str(WIDTH))
        xml.SubElement(self.root, "style").text = STYLE
        self.y = 30.0

    def text(self, x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> None:
        """A line of text; `y` is that of its base."""
        element = xml.SubElement(self.root, "text", x=f"{x:.1f}", y=f"{y:.1f}")
        element.set("text-anchor", anchor)
        element.set("class", kind)
        element.text = content

    def shape(self, name: str, kind: str, **attributes: float | str) -> xml.Element:
        """Any other element; numbers lose the digits that nobody sees."""
        values = {key.replace("_", "-"): f"{value:.1f}" if isinstance(value, float) else str(value)
                  for key, value in attributes.items()}
        return xml.SubElement(self.root, name, {"class": kind, **values})

    def save(self, path: str) -> None:
        """Write it, as high as it has become."""
        self.root.set("height", f"{self.y + 10:.0f}")
        self.root.set("viewBox", f"0 0 {WIDTH} {self.y + 10:.0f}")
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        xml.ElementTree(self.root).write(path, encoding="utf-8", xml_declaration=True)


def write(rows: list[Row], curves: list[Curve], path: str) -> None:
    """Each figure's ratio beside its reach; then latencies."""
    picture = Picture()
    picture.text(20, picture.y, "Each figure by its baseline, measured in turn", "title")
    picture.y += 20
    picture.text(20, picture.y, "bar: from the baseline (1) to the figure · bracket: its reach, open to the side on which it "
                 "has to be · green: met, orange: missed, grey: without a reach", "faint")
    picture.y += 14
    for group, members in grouped([row for row in rows if row.ratio is not None and row.ratio > 0]):
        ratios(picture, group, members)
    for group in dict.fromkeys(curve.group for curve in curves):
        chart(picture, group, [curve for curve in curves if curve.group == group and len(curve.points) > 1])
    picture.save(path)


def ratios(picture: Picture, group: str, rows: list[Row]) -> None:
    """The figures below a heading, and their scale."""
    picture.y += 26
    picture.text(20, picture.y, group, "heading")
    top, bottom = picture.y + 8, picture.y + 8 + LINE * len(rows)
    for tick in TICKS:
        picture.shape("line", "base" if tick == 1 else "rule", x1=place(tick), x2=place(tick), y1=top, y2=bottom)
        picture.text(place(tick), bottom + 13, f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}", "faint", "middle")
    for index, row in enumerate(rows):
        bar(picture, row, top + LINE * (index + 0.5))
    picture.y = bottom + 18


def bar(picture: Picture, row: Row, y: float) -> None:
    """One figure."""
    kind = {True: "met", False: "missed", None: "told"}[row.met]
    x = place(row.ratio)
    picture.text(LEFT - 12, y + 4, row.name, anchor="end")
    picture.shape("line", kind, x1=place(1), x2=x, y1=y, y2=y, stroke_width="6")
    if LOWEST <= row.ratio <= HIGHEST:
        picture.shape("circle", kind, cx=x, cy=y, r="5")
    else:
        tip = 9 if row.ratio > 1 else -9
        picture.shape("polygon", kind, points=f"{x:.1f},{y - 6:.1f} {x + tip:.1f},{y:.1f} {x:.1f},{y + 6:.1f}")
    if row.reach:
        edge, foot = place(row.reach), -5 if row.at_most else 5
        picture.shape("path", "reach", d=f"M{edge + foot:.1f} {y - 8:.1f}H{edge:.1f}V{y + 8:.1f}H{edge + foot:.1f}")
    picture.text(RIGHT + 60, y + 4, f"{row.ratio:.2f}", anchor="end")
    picture.text(RIGHT + 70, y + 4, row.demand, "faint")
    picture.text(RIGHT + 120, y + 4, row.verdict)
    picture.text(RIGHT + 150 if row.verdict != "FAILED" else RIGHT + 175, y + 4,
                 f"{number(row.value)} {row.unit} · {row.beside or 'baseline'}: {number(row.baseline)}", "faint")


def place(ratio: float) -> float:
    """Where a ratio lies on the scale, which is logarithmic."""
    ratio = min(max(ratio, LOWEST), HIGHEST)
    return LEFT + (RIGHT - LEFT) * math.log(ratio / LOWEST) / math.log(HIGHEST / LOWEST)


def chart(picture: Picture, group: str, curves: list[Curve]) -> None:
    """Latencies by percentile, both logarithmic: nines go to the right in equal steps."""
    if not curves:
        return
    picture.y += 34
    picture.text(20, picture.y, f"Latency by percentile: {group}", "heading")
    top, left, right = picture.y + 14, 70, RIGHT
    bottom = top + CHART_HEIGHT
    values = [value / 1000 for curve in curves for _, value in curve.points if value > 0]
    low = 10 ** math.floor(math.log10(min(values)))
    high = 10 ** math.ceil(math.log10(max(values)) + 1e-9)
    last = max(nines(share) for curve in curves for share, _ in curve.points if share < 100) or 1

    def across(share: float) -> float:
        return left + (right - left) * min(nines(share), last) / last

    def down(milliseconds: float) -> float:
        return bottom - (bottom - top) * math.log(max(milliseconds, low) / low) / math.log(high / low)

    for share in SHARES:
        if nines(share) <= last:
            picture.shape("line", "rule", x1=across(share), x2=across(share), y1=top, y2=bottom)
            picture.text(across(share), bottom + 15, f"{share:g} %", "faint", "middle")
    power = low
    while power <= high * 1.001:
        picture.shape("line", "rule", x1=float(left), x2=float(right), y1=down(power), y2=down(power))
        picture.text(left - 8, down(power) + 4, f"{power:g} ms", "faint", "end")
        power *= 10
    for index, curve in enumerate(curves):
        colour = LINES[index % len(LINES)]
        points = " ".join(f"{across(share):.1f},{down(value / 1000):.1f}" for share, value in curve.points)
        picture.shape("polyline", "curve", points=points, stroke=colour,
                      stroke_dasharray="none" if index < len(LINES) else "5 3")
        y = top + 12 + 18 * index
        picture.shape("line", "curve", x1=RIGHT + 20.0, x2=RIGHT + 44.0, y1=y - 4, y2=y - 4, stroke=colour)
        picture.text(RIGHT + 52, y, curve.name)
    picture.y = max(bottom + 22, top + 18 * len(curves))


def nines(share: float) -> float:
    """0 for 0 %, 1 for 90 %, 2 for 99 %."""
    return -math.log10(1 - share / 100) if share < 100 else math.inf
