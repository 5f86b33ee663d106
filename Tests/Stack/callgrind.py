"""What callgrind has counted: instructions and calls by function, summed over threads."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

# The allocator's functions, as programs call them.
ALLOCATIONS = frozenset({"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"})
_NAME = re.compile(r"\((\d+)\)(?: (.*))?")


@dataclass
class Profile:
    """Instructions by function: its own, those with all that it called, and how often it was called."""

    own: Counter[str] = field(default_factory=Counter)
    inclusive: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    # (caller, called): calls and instructions.
    edges: Counter[tuple[str, str]] = field(default_factory=Counter)
    edge_costs: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def instructions(self) -> int:
        return self.own.total()

    @property
    def allocations(self) -> int:
        return sum(count for name, count in self.calls.items() if name in ALLOCATIONS)

    @property
    def frees(self) -> int:
        return self.calls["free"]

    def add(self, other: Profile) -> Profile:
        for name in ("own", "inclusive", "calls", "objects", "edges", "edge_costs"):
            getattr(self, name).update(getattr(other, name))
        return self

    def callers(self, name: str) -> list[tuple[int, str]]:
        """How often which function called one."""
        return sorted(((count, caller) for (caller, called), count in self.edges.items() if called == name), reverse=True)


class _Names:
    """Names are written once, and by number from then on."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def __getitem__(self, text: str) -> str:
        match = _NAME.fullmatch(text)
        if match is None:
            return text
        if match[2] is not None:
            self.known[match[1]] = match[2]
        return self.known[match[1]]


def parse(path: Path) -> Profile:
    """One file as callgrind writes it without positions but lines (`--dump-instr=no`), with one event."""
    profile = Profile()
    functions, objects = _Names(), _Names()
    current = called = holder = target = ""
    count = 0
    in_call = False
    for line in path.read_text("utf-8", "replace").splitlines():
        if not line:
            continue
        if line[0] in "0123456789+-*":
            cost = int(line.split()[1]) if " " in line else 0
            if in_call:
                in_call = False
                profile.calls[called] += count
                profile.edges[current, called] += count
                profile.edge_costs[current, called] += cost
                if called != current:
                    profile.inclusive[current] += cost
            else:
                profile.own[current] += cost
                profile.inclusive[current] += cost
                profile.objects[holder] += cost
            continue
        key, _, value = line.partition("=")
        if key == "fn":
            # Stripped libraries have no names but for what they export.
            current = _named(functions[value], holder)
        elif key == "cfn":
            called = _named(functions[value], target or holder)
            target = ""
        elif key == "ob":
            holder = objects[value]
        elif key == "cob":
            target = objects[value]
        elif key == "calls":
            count = int(value.split()[0])
            in_call = True
        elif key.startswith("totals:"):
            said = int(key.split()[1])
            assert profile.instructions == said, f"{path}: {profile.instructions} instructions found of {said}"
    return profile


def _named(function: str, holder: str) -> str:
    # A cycle of recursive calls, which callgrind numbers.
    function = re.sub(r"'\d+$", "", function)
    return f"{Path(holder).name}:{function}" if function.startswith("0x") else function


def demangle(names: list[str]) -> dict[str, str]:
    """Swift's names as one reads them; as they are where there is no toolchain."""
    if not names:
        return {}
    try:
        found = subprocess.run(
            ["swift", "demangle", "--simplified", "--compact"], input="\n".join(names), capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return {name: name for name in names}
    lines = found.stdout.splitlines()
    return dict(zip(names, lines if len(lines) == len(names) else names))


def total(profiles: Iterable[Profile]) -> Profile:
    """All of them together."""
    whole = Profile()
    for profile in profiles:
        whole.add(profile)
    return whole


def summary(profile: Profile, requests: int, top: int = 12) -> str:
    """What one request costs, and the functions that cost most in themselves."""
    line = (
        f"{profile.instructions / requests:,.0f} instructions per request, {profile.allocations / requests:.1f} allocations, "
        f"{profile.frees / requests:.1f} frees ({requests} requests)"
    )
    chosen = profile.own.most_common(top)
    readable = demangle([name for name, _ in chosen])
    return "\n".join([line, *(f"{cost / requests:12,.1f}  {readable[name][:110]}" for name, cost in chosen)])


def table(profile: Profile, requests: int, top: int = 60, width: int = 150) -> str:
    """The functions that cost most, in instructions per request."""
    chosen = [name for name, _ in profile.own.most_common(top)] + [name for name, _ in profile.inclusive.most_common(top)]
    readable = demangle(sorted(set(chosen) | {caller for name in ALLOCATIONS for _, caller in profile.callers(name)}))
    lines = [summary(profile, requests, 0), "", "by library:"]
    lines += [f"{cost / requests:12,.1f}  {Path(name).name}" for name, cost in profile.objects.most_common(10)]
    for title, costs in (("in itself", profile.own), ("with all that it calls", profile.inclusive)):
        lines += ["", f"{title}:  instructions per request, share, calls per request, function"]
        for name, cost in costs.most_common(top):
            share = 100 * cost / max(1, profile.instructions)
            lines.append(f"{cost / requests:12,.1f} {share:5.1f} % {profile.calls[name] / requests:8.2f}  {readable[name][:width]}")
    lines += ["", "who allocates:  calls per request, function"]
    callers: Counter[tuple[str, str]] = Counter()
    for name in ALLOCATIONS:
        for count, caller in profile.callers(name):
            callers[caller, name] += count
    lines += [f"{count / requests:12,.2f}  {name:8} {readable[caller][:width]}" for (caller, name), count in callers.most_common(30)]
    return "\n".join(lines) + "\n"


def callers(profile: Profile, requests: int, text: str, top: int) -> str:
    """Who calls the functions whose readable names hold a text."""
    edges = [(cost, profile.edges[edge], *edge) for edge, cost in profile.edge_costs.most_common()]
    readable = demangle(sorted({name for edge in edges for name in edge[2:]}))
    lines = ["", f"calls of *{text}*:  instructions per request, calls per request, caller -> called"]
    hits = [edge for edge in edges if text in readable[edge[3]]]
    lines += [
        f"{cost / requests:12,.1f} {count / requests:8.2f}  {readable[caller][:90]} -> {readable[called][:60]}"
        for cost, count, caller, called in hits[:top]
    ]
    return "\n".join(lines) + "\n"
