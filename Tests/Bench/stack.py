"""The server under test."""

import contextlib
import os

from processes import BenchError, free_port, request, running, wait_until

ROOT = "/v1/stream/"


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

    def position(self, path):
        """The position of a stream's tail: bytes, for a byte stream."""
        headers, _ = self.expect(200, "HEAD", path)
        return int(headers["stream-next-offset"].split("_")[1])

    def read(self, path):
        """Headers and body of a read."""
        return self.expect(200, "GET", path)

    def expect(self, status, method, path, body=None, headers=None):
        """One request that must be answered with this status."""
        found, answer, content = request(self.port, method, path, body, headers)
        if found != status:
            raise BenchError(f"{method} {path} was answered with {found}: {content[:200]!r}")
        return answer, content


@contextlib.contextmanager
def start(binaries, folder, chunk_bytes=None):
    """Run `durable-streams serve` on a free port with its data in `folder`."""
    port, data = free_port(), os.path.join(folder, "data")
    log = os.path.join(folder, "stack.log")
    os.makedirs(folder, mode=0o755, exist_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DS_", "SEGMENT_", "DEBUG_"))}
    env.update(DS_LISTEN=f"127.0.0.1:{port}", DS_DATA_DIR=data)
    if chunk_bytes is not None:
        env["DS_READ_CHUNK_BYTES"] = str(chunk_bytes)
    with running([os.path.join(binaries, "durable-streams"), "serve"], log, env) as child:
        wait_until(lambda: request(port, "GET", "/readyz")[0] == 200, child, "the stack", log)
        yield Stack(port, data, child.pid)
