"""What a request costs in things that noise can't touch: instructions, allocations, system calls, pages, fsyncs.

`python3 Tests/Stack/counts.py` prints them beside what is allowed; with `--set` what it finds becomes the measure.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import callgrind
from client import Client
from counted import BATCH, BYTES, GROUP, MESSAGE, SETTINGS, Counts, Pool, deliveries, empty, frames, least
from counted_table import HOW, TABLE, Found, allowed, document, problems
from instrumented import LIVE, Callgrind, append_as_group, lock, wait_until
from stack import Stack, remove_tree, temporary_root
from system_calls import SystemCalls

TOOLS = {"valgrind": "valgrind", "vgdb": "valgrind", "strace": "strace", "objcopy": "binutils"}
# Threads that have to do with a request; the others do what comes by itself.
SERVING = ("fastcgi-0", "commit")
NOT_DELIVERING = {"registry", "commit", "signals", "sampler", "admin"}
# How many events come at once depends on who is faster.
WAITING = {"epoll_wait", "epoll_pwait", "epoll_pwait2"}
INDEX_STEP = 1_024


# MARK: instructions and allocations


def worker_profiles(root: Path, times: int) -> Iterator[tuple[str, callgrind.Profile, int]]:
    """Names of requests, what the worker did for them, and how many they were."""
    counted = Callgrind(root, **SETTINGS)
    try:
        pool = Pool(counted.stack)

        def profile(work: Callable[[], object], times: int) -> callgrind.Profile:
            for _ in range(max(3, times // 10)):
                work()
            counted.take()
            for _ in range(times):
                work()
            taken = counted.take()
            return callgrind.total(taken[name] for name in SERVING)

        for name, work in pool.requests().items():
            yield name, profile(work, times), times
        few = max(2, times // 20)
        yield f"message of a JSON batch of {BATCH}", profile(lambda: pool.expect(204, pool.batch), few), few * BATCH
        connections = [pool.connect() for _ in range(GROUP + 1)]

        def group() -> None:
            append_as_group(counted.stack, counted.pid, connections, pool.appends, pool.append)
            pool.records += GROUP + 1

        groups = max(5, times // 20)
        yield "group", profile(group, groups), groups
        # The index gets a step's worth of records, and few are left.
        while pool.records % INDEX_STEP > 8:
            pool.expect(204, pool.append)
        steps = pool.records // INDEX_STEP
        counted.take()
        counted.chores.close()
        wait_until(lambda: pool.indexed() >= steps * INDEX_STEP, "an index of all records")
        yield "upkeep of the index per record", counted.take()["commit"], steps * INDEX_STEP
    finally:
        counted.stop()


def worker(root: Path) -> Found:
    """Instructions and allocations of the worker."""
    found, alone = Found(), {}
    for name, profile, requests in worker_profiles(root, 100):
        each = {"instructions": profile.instructions / requests, "allocations": profile.allocations / requests}
        if name == "append alone":
            alone = each
        elif name == "group":
            # One is on its way alone while the others come together.
            name = f"append in a group of {GROUP}"
            each = {kind: (count - alone[kind]) / GROUP for kind, count in each.items()}
            requests *= GROUP + 1
        for kind, count in each.items():
            found.counts[f"{name}: {kind}"] = count
            found.parts[f"{name}: {kind}"] = callgrind.summary(profile, requests)
    return found


def live(root: Path) -> Found:
    """Instructions and allocations of the live process."""
    found = Found()
    counted = Callgrind(root, LIVE, **SETTINGS)

    def measure(work: Callable[[], object], times: int) -> Counts:
        def one() -> Counts:
            for _ in range(times):
                work()
            profile = callgrind.total(taken for name, taken in counted.take().items() if name not in NOT_DELIVERING)
            for kind in ("instructions", "allocations"):
                found.parts[kind] = callgrind.summary(profile, times)
            return {"instructions": profile.instructions / times, "allocations": profile.allocations / times}

        counted.take()
        return least(one)

    try:
        found.counts = deliveries(counted.stack, measure)
    finally:
        counted.stop()
    return found


# MARK: system calls


@contextmanager
def traced(root: Path) -> Iterator[tuple[Stack, dict[str, list[int]], SystemCalls]]:
    """A stack, ids of its processes, and what they are seen to do."""
    stack = Stack(root / "data", **SETTINGS)
    stack.data_dir.mkdir(mode=0o755)
    with lock(stack.data_dir / "chores.lock"):
        stack.start()
        calls = None
        try:
            pids = {name: stack.processes(f"durable-streams-{name}") for name in ("worker", "live")}
            pids["nginx"] = [pid for pid in stack.processes("nginx") if b"worker process" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            calls = SystemCalls(root / "calls", [pid for group in pids.values() for pid in group])
            yield stack, pids, calls
        finally:
            if calls:
                calls.stop()
            stack.stop()


class Tracing:
    """System calls of the threads that serve, by process and name; and the pages that were written."""

    def __init__(self, stack: Stack, pids: dict[str, list[int]], calls: SystemCalls):
        self.stack, self.calls = stack, calls
        self.owners = {pid: name for name, group in pids.items() for pid in group}

    def take(self, work: Callable[[], object], times: int) -> tuple[dict[str, Counter[str]], int]:
        """For something that is done so often, after a warm-up."""
        for _ in range(3):
            work()
        before, pages = self.calls.taken(), frames(self.stack)
        for _ in range(times):
            work()
        found: dict[str, Counter[str]] = {name: Counter() for name in self.owners.values()}
        for (pid, thread, name), count in (self.calls.taken() - before).items():
            process = self.owners[pid]
            if thread in SERVING if process == "worker" else thread not in NOT_DELIVERING:
                found[process][name] += count
        return found, frames(self.stack) - pages


def system_calls(root: Path) -> Found:
    """System calls of worker, live process and nginx; pages and fsyncs."""
    found, times = Found(), 50

    def note(name: str, calls: Counter[str], times: float) -> None:
        figure = f"{name}: system calls"
        found.counts[figure] = calls.total() / times
        found.parts[figure] = ", ".join(f"{call} {count / times:.2f}" for call, count in calls.most_common())

    def note_write(name: str, calls: Counter[str], pages: float, times: float) -> None:
        note(name, calls, times)
        found.counts[f"{name}: pages written"] = pages / times
        found.counts[f"{name}: fsyncs"] = (calls["fsync"] + calls["fdatasync"]) / times

    with traced(root) as (stack, pids, calls):
        tracing, pool = Tracing(stack, pids, calls), Pool(stack)
        for name, work in pool.requests().items():
            seen, pages = tracing.take(work, times)
            if name == "append alone":
                alone = Counter({call: count / times for call, count in seen["worker"].items()}), pages / times
            if "append" in name:
                note_write(name, seen["worker"], pages, times)
            else:
                note(name, seen["worker"], times)

        connections, groups = [pool.connect() for _ in range(GROUP + 1)], 10
        worker = pids["worker"][0]
        seen, pages = tracing.take(
            lambda: append_as_group(stack, worker, connections, pool.appends, pool.append), groups)  # fmt: skip
        rest = Counter({call: count - alone[0][call] * groups for call, count in seen["worker"].items()})
        note_write(f"append in a group of {GROUP}", rest, pages - alone[1] * groups, groups * GROUP)

        http = Client(stack)
        for name, work in _through_nginx(http, pool).items():
            seen, _ = tracing.take(work, times)
            note(f"{name}, nginx", seen["nginx"], times)
        seen = _hits(tracing, http, pool.cached(), few := 20)
        note("read of 64 KiB from the cache, nginx", seen["nginx"], few)
        found.counts["read of 64 KiB from the cache, pool: requests"] = seen["worker"]["read"] / few

        def deliver(work: Callable[[], object], times: int) -> Counts:
            seen, _ = tracing.take(work, times)
            each: Counts = {}
            for process in ("live", "nginx"):
                busy = Counter({name: count for name, count in seen[process].items() if name not in WAITING})
                each[f"system calls of {process}"] = busy.total() / times
                found.parts[f"system calls of {process}"] = ", ".join(f"{name} {count / times:.2f}" for name, count in busy.most_common())
            return each

        found.counts |= deliveries(stack, lambda work, times: least(lambda: deliver(work, times)))
    return found


def _through_nginx(http: Client, pool: Pool) -> dict[str, Callable[[], object]]:
    """Requests through nginx on one connection, by name."""

    def ask(status: int, method: str, target: str, headers: dict[str, str], body: bytes | None = None) -> Callable[[], object]:
        def work() -> None:
            response = http.request(method, target, headers, body)
            assert response.status == status, response.describe()

        return work

    return {
        "append": ask(204, "POST", "/v1/stream/a", BYTES, MESSAGE),
        "read of 1 KiB at the tail": ask(200, "GET", pool.target, {}),
        "304 at the tail": ask(304, "GET", pool.target, {"If-None-Match": pool.tag}),
    }


def _hits(tracing: Tracing, http: Client, target: str, times: int) -> dict[str, Counter[str]]:
    """System calls for so many reads that nginx answers by itself."""
    for _ in range(20):
        states: list[str | None] = []
        seen, _ = tracing.take(lambda: states.append(http.request("GET", target).get("X-Cache")), times)  # noqa: B023
        # A copy holds for a second; then nginx asks whether it still does.
        if set(states[-times:]) == {"HIT"}:
            return seen
    raise AssertionError(f"nginx keeps no copy: {states}")


# MARK: the table

SUBJECTS: dict[str, Callable[[Path], Found]] = {"worker": worker, "live": live, "system calls": system_calls}


def missing() -> str | None:
    """What is needed and not there; nil: nothing."""
    if platform.machine() != "x86_64":
        return f"counts are of x86-64, and this is {platform.machine()}"
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            return f"{tool} is missing: apt-get install {package}"
    if shutil.which("clang") is None and shutil.which("cc") is None:
        return "a C compiler is missing: apt-get install gcc"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--set", action="store_true", help="make what is found the measure")
    parser.add_argument("--only", choices=sorted(SUBJECTS), help="count only this")
    options = parser.parse_args()
    if (lack := missing()) is not None:
        sys.exit(lack)
    table = json.loads(TABLE.read_text())
    wrong = 0
    for subject, count in SUBJECTS.items():
        if options.only not in (None, subject):
            continue
        root = temporary_root()
        try:
            found = count(empty(root, "count"))
        finally:
            remove_tree(root)
        before = table.get(subject, {})
        for figure, number in found.counts.items():
            known = before.get(figure)
            limits = "" if known is None else "{:12,.3f} … {:,.3f}".format(*allowed(figure, known))
            print(f"{number:12,.3f}  {figure:60} {limits}")
        if options.set:
            table[subject] = {figure: round(number, 3) for figure, number in found.counts.items()}
            TABLE.write_text(json.dumps(table, indent=2) + "\n")
            document()
        elif lines := problems(subject, found):
            wrong += len(lines)
            print("\n" + "\n".join(lines) + "\n" + HOW)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
