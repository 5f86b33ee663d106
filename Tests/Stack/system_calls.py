"""System calls of running processes, by thread and name, as strace sees them."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from pathlib import Path

from instrumented import Forbidden

PATIENCE = 20.0
_CALL = re.compile(rb"^(\d+) +(\w+)\(", re.MULTILINE)


class SystemCalls:
    """strace on some processes, all their threads and those that they start, until `stop`."""

    def __init__(self, log: Path, pids: list[int]):
        self.log, self.pids = log, pids
        self.names = {pid: self._threads(pid) for pid in pids}
        options = ["-f", "-qq", "-s", "0", "-e", "signal=none", "-o", str(log)]
        self.process = subprocess.Popen(
            ["strace", *options, *(word for pid in pids for word in ("-p", str(pid)))],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not all(self._traced(pid) for pid in pids):
            if self.process.poll() is not None:
                assert self.process.stderr
                raise Forbidden(f"strace can't look at the processes: {self.process.stderr.read().strip()}")
            assert time.monotonic() < deadline, "strace did not begin"
            time.sleep(0.01)

    @staticmethod
    def _threads(pid: int) -> dict[int, str]:
        return {int(task.name): (task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir()}

    @staticmethod
    def _traced(pid: int) -> bool:
        return all("TracerPid:\t0" not in (task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir())

    def taken(self) -> Counter[tuple[int, str, str]]:
        """Calls so far by process, thread's name and name; waits until strace has written down what has happened."""
        size = -1
        while size != (size := self.log.stat().st_size):
            time.sleep(0.05)
        owners = {task: (pid, name) for pid, names in self.names.items() for task, name in names.items()}
        found: Counter[tuple[int, str, str]] = Counter()
        for task, name in _CALL.findall(self.log.read_bytes()):
            if (owner := owners.get(int(task))) is not None:
                found[(*owner, name.decode())] += 1
        return found

    def stop(self) -> None:
        if self.process.poll() is None:
            # strace then lets go of all of them.
            self.process.terminate()
            self.process.wait(timeout=PATIENCE)
        if self.process.stderr:
            self.process.stderr.close()
