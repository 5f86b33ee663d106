"""Who may see which bytes: a small model of streams that come and go, and of readers whose tokens do."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from test_cache import STALE_LIMIT

MARK = re.compile(rb"<m\d{7}>")


def marks(content: bytes) -> set[bytes]:
    return set(MARK.findall(content))


@dataclass
class Life:
    """One stream from its creation to its end. What it shows is its own, and what it was forked from."""

    project: str
    path: str
    public: bool
    tail: str
    content: bytes
    source: Life | None = None
    ended: float | None = None

    def marks(self) -> set[bytes]:
        return marks(self.content)


@dataclass(frozen=True)
class Reader:
    """A token and what it says; `valid` is False for one that no server takes."""

    name: str
    token: str | None
    project: str = ""
    reads: bool = True
    stream: str | None = None
    expires: int = 1 << 40
    valid: bool = True

    def covers(self, project: str, path: str) -> bool:
        if self.stream is None or self.stream == path:
            return True
        return self.stream.endswith("/*") and path.startswith(self.stream[:-1])

    def refusal(self, project: str, path: str, now: float) -> int | None:
        """The status with which a private stream is refused."""
        if self.token is None or not self.valid or self.project != project or now >= self.expires:
            return 401
        return None if self.reads and self.covers(project, path) else 403


@dataclass
class Readable:
    """All lives of all streams."""

    current: dict[tuple[str, str], Life] = field(default_factory=dict)
    past: dict[tuple[str, str], list[Life]] = field(default_factory=dict)

    def begin(self, life: Life) -> None:
        assert (life.project, life.path) not in self.current
        self.current[life.project, life.path] = life

    def end(self, project: str, path: str) -> None:
        life = self.current.pop((project, path))
        life.ended = time.monotonic()
        self.past.setdefault((project, path), []).append(life)

    def refusals(self, reader: Reader, project: str, path: str, before: float, after: float) -> set[int | None]:
        """With what the reader is to be refused: None if it is let in. Two, if its token ends meanwhile."""
        life = self.current.get((project, path))
        if life and life.public:
            return {None}
        return {reader.refusal(project, path, before), reader.refusal(project, path, after)}

    def visible(self, reader: Reader, project: str, path: str, asked: float, before: float) -> list[Life]:
        """Those whose bytes the reader may get at this URL: what is there, and for two seconds what was, if it was
        the reader's to see, and what is there now is so too. `asked` is by the monotonic clock, `before` by the other."""
        found = []
        life = self.current.get((project, path))
        allowed = reader.refusal(project, path, before) is None
        if life and (life.public or allowed):
            found.append(life)
        for old in self.past.get((project, path), []):
            recent = asked - (old.ended or 0) < STALE_LIMIT + 0.2
            if recent and (old.public or allowed) and (life is None or life.public or allowed):
                found.append(old)
        return found


def fits(body: bytes, lives: list[Life]) -> bool:
    """A part of one life's content, by which it is known: all of it marked."""
    return any(body in life.content for life in lives)

