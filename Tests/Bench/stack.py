"""The server under test."""

import contextlib
import os
import time

from memory import descendants
from processes import BenchError, free_port, request, running, wait_until

ROOT = "/v1/stream/"
# A server that uses less of a processor than that has no more to do, and one that goes on for longer has had its time.
QUIET, LOOK, PATIENCE = 0.15, 0.1, 2.0


class Stack:
    """A running stack: its port, its data directory, the process id of the supervisor."""

    def __init__(self, port, data, pid):
        self.port, self.data, self.pid = port, data, pid

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def create(self, name, content_type="application/octet-stream"):
        """Create a stream; its path."""
        self.expect(201, "PUT", ROOT + name, None, {"Content-Type": content_type})
        return ROOT + name

    def append(self, path, body, content_type="application/octet-stream"):
        """Append to a stream."""
        self.expect(204, "POST", path, body, {"Content-Type": content_type})

    def fork(self, name, source, content_type="application/octet-stream"):
        """Fork a stream at its tail; the fork's path."""
        self.expect(201, "PUT", ROOT + name, None, {"Content-Type": content_type, "Stream-Forked-From": source})
        return ROOT + name

    def fill(self, path, length, piece=16 << 20):
        """Append `length` bytes in pieces of 16 MiB, the largest bodies that are taken by default."""
        block = bytes(range(256)) * (piece // 256)
        for start in range(0, length, piece):
            self.append(path, block[:length - start])

    def delete(self, path):
        """Delete a stream."""
        self.expect(204, "DELETE", path)

    def close(self, path):
        """Close a stream."""
        self.expect(204, "POST", path, None, {"Stream-Closed": "true"})

    def position(self, path):
        """The position of a stream's tail: bytes, for a byte stream."""
        headers, _ = self.expect(200, "HEAD", path)
        return int(headers["stream-next-offset"].split("_")[1])

    def read(self, path):
        """Headers and body of a read."""
        return self.expect(200, "GET", path)

    def rest(self):
        """Wait until the server has done what it put off during a load, so that nobody else is charged for that."""
        deadline, before = time.monotonic() + PATIENCE, self.processor_seconds()
        while time.monotonic() < deadline:
            time.sleep(LOOK)
            now = self.processor_seconds()
            if now - before < QUIET * LOOK:
                return
            before = now

    def processor_seconds(self):
        """What all of its processes have used so far."""
        ticks = 0
        for pid in [self.pid, *descendants(self.pid)]:
            with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
                # The command's name stands in parentheses and may hold anything.
                ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def expect(self, status, method, path, body=None, headers=None):
        """One request that must be answered with this status."""
        found, answer, content = request(self.port, method, path, body, headers)
        if found != status:
            raise BenchError(f"{method} {path} was answered with {found}: {content[:200]!r}")
        return answer, content


@contextlib.contextmanager
def start(binaries, folder, settings):
    """Run `durable-streams serve` on a free port with its data in `folder`; `settings` are `DS_` variables."""
    port, data = free_port(), os.path.join(folder, "data")
    log = os.path.join(folder, "stack.log")
    os.makedirs(folder, mode=0o755, exist_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DS_", "SEGMENT_", "DEBUG_"))}
    env.update(DS_LISTEN=f"127.0.0.1:{port}", DS_DATA_DIR=data)
    env.update(settings)
    with running([os.path.join(binaries, "durable-streams"), "serve"], log, env) as child:
        wait_until(lambda: request(port, "GET", "/readyz")[0] == 200, child, "the stack", log)
        yield Stack(port, data, child.pid)
