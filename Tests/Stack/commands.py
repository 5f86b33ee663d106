"""Running `durable-streams backup`, `restore` and `verify`: to the end, stopped half-way, or on a terminal."""

from __future__ import annotations

import ctypes
import fcntl
import os
import pty
import re
import selectors
import signal
import struct
import subprocess
import termios
import time
from dataclasses import dataclass
from pathlib import Path

from hooks import Hooks
from stack import BINARY, _die_with_parent, _stat

PATIENCE = 60.0

BACKED_UP = re.compile(
    r"backed up (?P<data>\S+) to (?P<folder>\S+): (?P<streams>\d+) streams?, (?P<segments>\d+) segments? "
    r"\((?P<copied>\d+) copied, (?P<there>\d+) there already\), (?P<bytes>\d+) bytes? copied"
)
VERIFIED = re.compile(
    r"verified (?P<path>\S+): (?P<streams>\d+) streams?, (?P<segments>\d+) segments?, (?P<records>\d+) records?: "
    r"(?P<found>no|\d+) finding(s|\(s\))?"
)
# How a finding may say that a backup did not come to its end.
CUT_OFF = "cut off|half-way|complete|unfinished|is missing"
FINDING = re.compile(r"(?P<subject>.+?): (?P<what>.+); to mend: (?P<command>.+)")


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it wrote."""

    command: str
    status: int
    out: str
    err: str

    def describe(self) -> str:
        return f"`{self.command}` ended with {self.status}\nstdout:\n{self.out}\nstderr:\n{self.err}"

    def expect(self, status: int) -> Outcome:
        assert self.status == status, f"expected {status}: {self.describe()}"
        return self

    @property
    def refusal(self) -> str:
        """The one line on stderr, with nothing on stdout."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert len(lines) == 1 and not self.out.strip(), f"expected one line on stderr: {self.describe()}"
        return lines[0]


def environment(settings: dict[str, object]) -> dict[str, str]:
    """Without what the shell has of `DS_*`; the command itself is found by name, as in what findings tell to run."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DS_")}
    inherited["PATH"] = f"{BINARY.parent}:{inherited.get('PATH', '')}"
    return inherited | {key: str(value) for key, value in settings.items()}


class Started:
    """A command that runs; it is killed at the end of a `with`, if it is there still."""

    def __init__(self, *arguments: object, cwd: Path | None = None, stderr: int = subprocess.PIPE, **settings: object):
        words = [str(argument) for argument in arguments]
        self.command = " ".join(["durable-streams", *words])
        self.process = subprocess.Popen(
            [str(BINARY), *words],
            cwd=cwd,
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            preexec_fn=_die_with_parent,
        )

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait_stopped(self, hooks: Hooks, point: str) -> None:
        """Until it has stopped itself at the point."""
        deadline = time.monotonic() + PATIENCE
        while hooks.armed(point, "stop") or (stat := _stat(self.process.pid)) is None or stat[1] != "T":
            assert self.process.poll() is None, f"it did not come by {point}: {self.finish().describe()}"
            assert time.monotonic() < deadline, f"it did not come by {point} within {PATIENCE} s"
            time.sleep(0.002)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def finish(self, within: float = PATIENCE) -> Outcome:
        out, err = self.process.communicate(timeout=within)
        return Outcome(self.command, self.process.returncode, out.decode(), (err or b"").decode("utf-8", "replace"))


def run(*arguments: object, within: float = PATIENCE, cwd: Path | None = None, **settings: object) -> Outcome:
    """Runs a command to its end, with pipes for its output."""
    with Started(*arguments, cwd=cwd, **settings) as started:
        return started.finish(within)


def run_on_terminal(*arguments: object, columns: int = 80, within: float = PATIENCE, **settings: object) -> Outcome:
    """The same with a terminal for standard error; `err` is every byte that the terminal got."""
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        started = Started(*arguments, stderr=side, **({"TERM": "xterm"} | settings))
    finally:
        os.close(side)
    taken: dict[int, bytes] = {terminal: b"", (output := started.process.stdout.fileno()): b""}
    deadline = time.monotonic() + within
    with started, selectors.DefaultSelector() as selector:
        for descriptor in taken:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            assert ready, f"`{started.command}` did not end within {within} s"
            for key, _ in ready:
                try:
                    piece = os.read(key.fd, 65_536)
                except OSError:  # A terminal says EIO once nobody has its other side.
                    piece = b""
                taken[key.fd] += piece
                if not piece:
                    selector.unregister(key.fd)
        os.close(terminal)
        status = started.process.wait(timeout=within)
    return Outcome(started.command, status, taken[output].decode(), taken[terminal].decode("utf-8", "replace"))


# What the three commands answer.


def back_up(data: Path, folder: Path, **settings: object) -> dict[str, int]:
    """A backup that has to succeed; the numbers of its line."""
    outcome = run("backup", folder, "--data-dir", data, **settings).expect(0)
    assert outcome.err == "", outcome.describe()
    (line,) = outcome.out.splitlines()
    match = BACKED_UP.fullmatch(line)
    assert match and (match["data"], match["folder"]) == (str(data), str(folder)), outcome.describe()
    numbers = {key: int(value) for key, value in match.groupdict().items() if value.isdigit()}
    assert numbers["copied"] + numbers["there"] == numbers["segments"], line
    return numbers


def restore(folder: Path, data: Path, **settings: object) -> Outcome:
    """A restore that has to succeed."""
    outcome = run("restore", folder, "--data-dir", data, **settings).expect(0)
    assert not (data / "restoring").exists(), outcome.describe()
    return outcome


@dataclass(frozen=True)
class Finding:
    """One line of `verify`."""

    subject: str
    what: str
    command: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.what}; to mend: {self.command}"

    @classmethod
    def of(cls, line: str) -> Finding:
        match = FINDING.fullmatch(line)
        assert match, f"not `SUBJECT: WHAT; to mend: COMMAND`: {line!r}"
        return cls(match["subject"], match["what"], match["command"])


@dataclass(frozen=True)
class Verified:
    """What `verify` has counted and found."""

    streams: int
    segments: int
    records: int
    findings: list[Finding]

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "no findings"


def verify(folder: Path | None = None, *, data: Path | None = None, **settings: object) -> Verified:
    """Checks a backup, or a data directory; exit status and last line agree with the findings."""
    arguments = [folder] if folder else ["--data-dir", data]
    outcome = run("verify", *arguments, **settings)
    assert outcome.status in (0, 1) and outcome.err == "", outcome.describe()
    *lines, last = outcome.out.splitlines()
    match = VERIFIED.fullmatch(last)
    assert match and match["path"] == str(folder or data), outcome.describe()
    findings = [Finding.of(line) for line in lines]
    assert match["found"] == (str(len(findings)) if findings else "no"), outcome.describe()
    assert outcome.status == (1 if findings else 0), outcome.describe()
    return Verified(*(int(match[name]) for name in ("streams", "segments", "records")), findings)


def check_clean(folder: Path | None = None, *, data: Path | None = None, **settings: object) -> Verified:
    verified = verify(folder, data=data, **settings)
    assert not verified.findings, str(verified)
    return verified


class _Hash(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh128(content: bytes) -> bytes:
    """XXH3-128 as `xxhsum -H2` has it, by the library that the server needs too."""
    function = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
    function.restype, function.argtypes = _Hash, [ctypes.c_char_p, ctypes.c_size_t]
    found = function(content, len(content))
    return found.high.to_bytes(8, "big") + found.low.to_bytes(8, "big")
