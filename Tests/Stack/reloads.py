"""Reloading a stack and looking at its processes."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from commands import Outcome, run
from stack import BINARY, Stack, command_line, descendants
from store import wait_until


def reload(stack: Stack) -> Outcome:
    """A reload that has to be done."""
    return run("reload", "--data-dir", stack.data_dir).expect(0)


def refused(stack: Stack) -> str:
    """A reload that has to be refused; the reason."""
    line = run("reload", "--data-dir", stack.data_dir).expect(1).refusal
    assert line.startswith("durable-streams: reload refused: "), line
    return line.removeprefix("durable-streams: reload refused: ")


def processes(stack: Stack) -> dict[str, list[int]]:
    """The workers and live processes that run, old ones too."""
    return {name: sorted(stack.processes(f"durable-streams-{name}")) for name in ("worker", "live")}


def settled(stack: Stack, workers: int = 1, within: float = 30) -> dict[str, list[int]]:
    """Once only the newest processes are left: which. An old live process stays 10 s for a connection that nginx keeps."""
    wait_until(stack, lambda: [len(pids) for pids in processes(stack).values()] == [workers, 1], "only new processes", within)
    return processes(stack)


def settled_workers(stack: Stack, workers: int = 1) -> list[int]:
    """Once only the newest workers are left: which."""
    wait_until(stack, lambda: len(processes(stack)["worker"]) == workers, "only new workers")
    return processes(stack)["worker"]


def killed(pid: int) -> bool:
    """Ends a process at once; false when it has ended before."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def gone(pids: list[int]) -> bool:
    return not any(command_line(pid) for pid in pids)


def densest(times: list[float], window: float = 1.0) -> int:
    """How many of some moments lie within one window at most."""
    times = sorted(times)
    return max((sum(1 for other in times if moment <= other < moment + window) for moment in times), default=0)


class Programs:
    """Copies of the programs that a test may replace, as an upgrade does; they are held back while a file is there."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.hold = folder / "hold"
        folder.mkdir()
        for name in ("durable-streams", "durable-streams-worker", "durable-streams-live"):
            shutil.copy2(BINARY.with_name(name), folder / name)

    def replace(self, name: str, script: str) -> None:
        """Puts a shell script in the place of a program."""
        new = self.folder / "new"
        new.write_text(f"#!/bin/sh\n{script}\n")
        new.chmod(0o755)
        new.rename(self.folder / name)

    def hold_back(self, name: str) -> None:
        """From now on a program begins only once it is let go."""
        self.hold.touch()
        real = BINARY.with_name(name)
        self.replace(name, f'while [ -e {self.hold} ]; do sleep 0.02; done\nexec {real} "$@"')

    def let_go(self) -> None:
        self.hold.unlink()

    def held(self, stack: Stack, name: str) -> list[int]:
        """The processes that are being held back."""
        assert stack.process is not None
        script = str(self.folder / name)
        return [pid for pid in descendants(stack.process.pid) if command_line(pid).split()[:2] == ["/bin/sh", script]]

    def put_back(self, name: str) -> None:
        new = self.folder / "new"
        shutil.copy2(BINARY.with_name(name), new)
        new.rename(self.folder / name)
