#!/usr/bin/env python3
"""Fails when a Swift file imports a module that ARCHITECTURE.md does not allow its target.

The table stands between the markers `<!-- layers -->` and `<!-- /layers -->`:

    | `Target` | may import: `A`, `B` | why |
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DOCUMENT = REPOSITORY / "ARCHITECTURE.md"
SOURCES = REPOSITORY / "Sources"
# Attributes, an access level and the kind of a single declaration may surround the module's name.
IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?"
    r"import\s+(?:(?:struct|class|enum|protocol|typealias|func|var|let)\s+)?([A-Za-z_]\w*)"
)
ROW = re.compile(r"^\|\s*`([^`]+)`\s*\|\s*may import:(.*?)\|")


def read_layers() -> dict[str, set[str]]:
    text = DOCUMENT.read_text(encoding="utf-8")
    match = re.search(r"<!-- layers -->(.*?)<!-- /layers -->", text, re.DOTALL)
    if not match:
        sys.exit(f"{DOCUMENT.name}: no table between <!-- layers --> and <!-- /layers -->")
    layers: dict[str, set[str]] = {}
    for line in match.group(1).splitlines():
        if row := ROW.match(line.strip()):
            layers[row.group(1)] = set(re.findall(r"`([^`]+)`", row.group(2)))
    return layers


def main() -> int:
    layers = read_layers()
    problems = []
    files = 0
    for target in sorted(path for path in SOURCES.iterdir() if path.is_dir()):
        swift_files = sorted(target.rglob("*.swift"))
        if not swift_files:
            continue
        if target.name not in layers:
            problems.append(f"{DOCUMENT.name}: no row for target {target.name}")
            continue
        allowed = layers[target.name]
        for file in swift_files:
            files += 1
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                found = IMPORT.match(line)
                if found and found.group(1) not in allowed:
                    problems.append(
                        f"{file.relative_to(REPOSITORY)}:{number}: {target.name} must not import {found.group(1)}"
                    )
    for name in sorted(set(layers) - {path.name for path in SOURCES.iterdir()}):
        problems.append(f"{DOCUMENT.name}: row for {name}, which is not in Sources")
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"imports of {files} files follow the layers of {DOCUMENT.name}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
