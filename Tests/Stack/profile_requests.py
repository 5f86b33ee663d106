"""Prints where the instructions of a request go: functions of the worker by callgrind, per request (`make profile`)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import callgrind
from fastcgi import request
from instrumented import Callgrind, append_as_group
from stack import remove_tree, temporary_root

BYTES = {"Content-Type": "application/octet-stream"}
MESSAGE = b"x" * 256
# Threads that have to do with a request; the others do what comes by itself.
THREADS = ("fastcgi-0", "commit")


def serving(profiles: dict[str, callgrind.Profile]) -> callgrind.Profile:
    return sum_of(profiles[name] for name in THREADS)


def sum_of(profiles) -> callgrind.Profile:
    total = callgrind.Profile()
    for profile in profiles:
        total.add(profile)
    return total


def take(counted: Callgrind, work, times: int) -> callgrind.Profile:
    """Do something so often after a warm-up."""
    for _ in range(max(3, times // 10)):
        work()
    counted.take()
    for _ in range(times):
        work()
    return serving(counted.take())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--top", type=int, default=60, help="functions of each list (default 60)")
    parser.add_argument("--times", type=int, default=500, help="requests of each kind (default 500)")
    parser.add_argument("--output", type=Path, help="folder for one file per kind, instead of standard output")
    options = parser.parse_args()
    root = temporary_root()
    counted = None
    try:
        counted = Callgrind(root)
        connection = counted.connect()

        def expect(status: int, records: bytes) -> dict[str, str]:
            found, headers, body = connection.exchange(records)
            assert found == status, (found, headers, body)
            return headers

        def report(name: str, title: str, profile: callgrind.Profile, requests: int) -> None:
            text = f"== {title}\n{callgrind.table(profile, requests, options.top)}"
            if options.output:
                (options.output / f"profile-{name}.txt").write_text(text)
            else:
                print(text)
            print(f"{name}: {profile.instructions / requests:,.0f} instructions, {profile.allocations / requests:.1f} allocations", file=sys.stderr)

        for name in ["a", *(f"g{number}" for number in range(64))]:
            expect(201, request("PUT", f"/v1/stream/{name}", BYTES))
        post = request("POST", "/v1/stream/a", BYTES, MESSAGE)
        report("append", "append of 256 bytes, alone", take(counted, lambda: expect(204, post), options.times), options.times)

        connections = [counted.connect() for _ in range(65)]
        posts = [request("POST", f"/v1/stream/g{number}", BYTES, MESSAGE) for number in range(64)]
        groups = max(1, options.times // 64)
        profile = take(counted, lambda: append_as_group(counted.stack, counted.pid, connections, posts, posts[0]), groups)
        report("append-group", "append of 256 bytes, in a group of 64 behind one alone (mean of all 65)", profile, 65 * groups)

        expect(201, request("PUT", "/v1/stream/r", BYTES))
        expect(204, request("POST", "/v1/stream/r", BYTES, b"x" * 4096))
        tail = expect(204, request("POST", "/v1/stream/r", BYTES, b"y" * 1024))["stream-next-offset"]
        offset = f"{tail[:17]}{int(tail[17:]) - 1024:016d}"
        read = request("GET", f"/v1/stream/r?offset={offset}")
        etag = expect(200, read)["etag"]
        report("read", "read of the last 1 KiB, to the tail", take(counted, lambda: expect(200, read), options.times), options.times)
        again = request("GET", f"/v1/stream/r?offset={offset}", {"If-None-Match": etag})
        report("304", "the same with If-None-Match: 304", take(counted, lambda: expect(304, again), options.times), options.times)
        head = request("HEAD", "/v1/stream/r")
        report("head", "HEAD", take(counted, lambda: expect(200, head), options.times), options.times)
    finally:
        if counted:
            counted.stop()
        remove_tree(root)


if __name__ == "__main__":
    main()
