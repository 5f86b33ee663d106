"""What the pool and the live process take, looked at again and again."""

from __future__ import annotations

import dataclasses
import time
from typing import Iterator

from memory import MEASURED, descendants, kilobytes, program


@dataclasses.dataclass
class Look:
    """Kilobytes of each kind of memory, at so many seconds; `programs` has what each program's are together."""

    seconds: float
    resident: int
    anonymous: int
    files: int
    shared: int
    programs: dict[str, int]

    @property
    def megabytes(self) -> float:
        """All that is resident."""
        return self.resident * 1024 / 1e6


def look(supervisor: int, seconds: float) -> Look:
    """One look at all processes below this one."""
    found = Look(seconds, 0, 0, 0, 0, {})
    for pid in descendants(supervisor):
        name = program(pid)
        if name not in MEASURED:
            continue
        status = f"/proc/{pid}/status"
        resident = kilobytes(status, "VmRSS:")
        found.resident += resident
        found.anonymous += kilobytes(status, "RssAnon:")
        found.files += kilobytes(status, "RssFile:")
        found.shared += kilobytes(status, "RssShmem:")
        found.programs[name] = found.programs.get(name, 0) + resident
    return found


def looks(supervisor: int, seconds: float, every: float) -> Iterator[Look]:
    """A look every so many seconds."""
    begin = time.monotonic()
    due = 0.0
    while due <= seconds:
        time.sleep(max(0, begin + due - time.monotonic()))
        yield look(supervisor, due)
        due += every
