"""Replaying a long history from cold segments, beside the same bytes as static files."""

from load import Load
from store import Store

MIB = 1 << 20
LENGTH = 96 * MIB
APPEND = 256 * 1024
# 1.3 times the time is 0.77 times the speed.
REACH = 0.77


def replay(bench, stack, baseline):
    """A closed stream piece by piece, on one connection as one client reads, and on eight."""
    stream = stack.create("history")
    for number in range(LENGTH // APPEND):
        stack.append(stream, bytes([65 + number % 26]) * APPEND)
    stack.close(stream)
    with Store(stack) as store:
        store.wait_for_rotation()
    paths, files, path = [], [], stream
    while True:
        headers, piece = stack.read(path)
        paths.append(path)
        files.append(baseline.serve_file(f"history-{len(files)}", piece))
        if "stream-closed" in headers:
            break
        path = f"{stream}?offset={headers['stream-next-offset']}"
    mean = LENGTH / len(paths)
    for connections in (1, 8):
        name = f"replay of {LENGTH // MIB} MiB in {len(paths)} pieces, {connections} at a time"
        bench.beside(name, Load("GET", paths, connections), baseline.url, Load("GET", files, connections),
                     stack, "MB/s", mean / 1e6, REACH)
