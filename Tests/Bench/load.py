"""Driving load: wrk for requests, bench-append for a fixed rate of appends."""

import contextlib
import dataclasses
import http.client
import itertools
import json
import os
import statistics
import subprocess
import time

from processes import BenchError, output_of, request

HERE = os.path.dirname(os.path.abspath(__file__))
RUNS = itertools.count(1)


@dataclasses.dataclass
class Load:
    """The same requests for both sides of a comparison.

    `body_file` names a body in place of one of `body_bytes`. With `producer`, what names of producers begin with,
    each connection is an idempotent producer. In a path that stands alone, `*` stands for something else in each request of all runs, `{N}` for a random number
    from 1 to N, and `{N+}` for N, N + 1 and so on, which needs a single thread.
    """

    method: str
    paths: list
    connections: int
    body_bytes: int = 0
    headers: dict = dataclasses.field(default_factory=dict)
    threads: int = 2
    body_file: str = ""
    producer: str = ""


@dataclasses.dataclass
class Outcome:
    """What one run, or several added up, brought."""

    requests: int = 0
    rate: float = 0
    statuses: dict = dataclasses.field(default_factory=dict)
    socket_errors: int = 0
    bytes: int = 0

    @property
    def fault(self):
        """What is wrong with the answers, if anything."""
        bad = {status: count for status, count in self.statuses.items() if not status.startswith("2")}
        parts = [f"{count} × {status}" for status, count in sorted(bad.items())]
        if self.socket_errors:
            parts.append(f"{self.socket_errors} socket errors")
        return ", ".join(parts)

    def gateway_errors(self):
        """Answers that say that nginx did not get one from the pool."""
        return self.statuses.get("502", 0) + self.statuses.get("504", 0)

    def add(self, other):
        """Count the answers of another run too."""
        self.requests += other.requests
        self.socket_errors += other.socket_errors
        self.bytes += other.bytes
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count


def drive(url, load, seconds):
    """One run of wrk."""
    extra = {"Producer-Id": f"{load.producer}-{next(RUNS)}"} if load.producer else {}
    headers = "\n".join(f"{name}: {value}" for name, value in {**load.headers, **extra}.items())
    # wrk asks once for a request that it does not send.
    producers = load.connections // load.threads + 2 if load.producer else 0
    paths = [path.replace("*", f"{next(RUNS)}-*") if "*" in path else path for path in load.paths]
    command = [
        "wrk", f"--threads={min(load.threads, load.connections)}", f"--connections={load.connections}",
        f"--duration={seconds}s", "--timeout=10s", f"--script={HERE}/load.lua", url, "--",
        load.method, f"@{load.body_file}" if load.body_file else str(load.body_bytes), headers, str(producers), *paths]
    status, out, err = output_of(command, seconds + 30)
    line = next((line for line in out.splitlines() if line.startswith("RESULT ")), None)
    if status != 0 or line is None:
        raise BenchError(f"wrk failed: {out}{err}")
    result = json.loads(line.removeprefix("RESULT "))
    return Outcome(
        requests=result["requests"], rate=result["requests"] / result["seconds"],
        statuses=result["statuses"], socket_errors=result["socket_errors"], bytes=result["bytes"])


def compare(sides, rounds, seconds):
    """`in_turn` for pairs of a URL and a load. A load may be a function, which then makes one for each run."""

    def side(url, load):
        return lambda length: drive(url, load() if callable(load) else load, length)

    return in_turn([side(*each) for each in sides], rounds, seconds)


def in_turn(sides, rounds, seconds, rest=lambda: None):
    """Call each of `sides` with a number of seconds in turn, again and again, forwards and backwards so that none has
    the better place; each brings an outcome. A summed-up outcome for each, whose rate is the median of its rounds. A
    short run of each goes first and counts for its errors only. `rest` is called before each run."""
    totals = [Outcome() for _ in sides]
    rates = [[] for _ in sides]
    for turn in range(rounds + 1):
        order = list(enumerate(sides))
        for index, side in order if turn % 2 else reversed(order):
            rest()
            outcome = side(seconds if turn else 1)
            totals[index].add(outcome)
            if turn:
                rates[index].append(outcome.rate)
    for total, measured in zip(totals, rates):
        total.rate = statistics.median(measured)
    return totals


def append_steadily(binaries, stack, paths, connections, rate, size, seconds, goes_on=lambda: True, lead_in=0):
    """One run of bench-append, which ends early once `goes_on()` says no: its result, and what is wrong with it. Before it
    come `lead_in` milliseconds at the same rate of which only the statuses count."""
    command = [
        os.path.join(binaries, "bench-append"), "--url", stack.url, "--connections", str(connections),
        "--rate", str(rate), "--size", str(size), "--seconds", str(seconds), "--lead-in", str(lead_in), *paths]
    status, out, err = output_of(command, 60 + seconds, goes_on)
    if status not in (0, 1) or not out:
        raise BenchError(f"bench-append failed: {err.strip()}")
    result = json.loads(out)
    bad = [f"{count} × {status}" for part in (result["statuses"], result["lead_in"])
           for status, count in part.items() if status != "204"]
    return result, ", ".join(filter(None, [err.strip(), *bad]))


@contextlib.contextmanager
def writer(binaries, url, paths, rate, size, connections=16):
    """Appends at a fixed rate while a block runs. Gives a list that has what was wrong with them at its end, if anything."""
    faults = []
    command = [
        os.path.join(binaries, "bench-append"), "--url", url, "--connections", str(connections), "--rate", str(rate),
        "--size", str(size), "--seconds", "600", *paths]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as child:
        try:
            yield faults
            child.terminate()
            out, err = child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            raise BenchError("bench-append did not end") from None
        finally:
            child.kill()
    if child.returncode not in (0, 1) or not out:
        raise BenchError(f"bench-append failed: {err.strip()}")
    bad = [f"{count} × {status}" for status, count in json.loads(out)["statuses"].items() if status != "204"]
    if err.strip() or bad:
        faults.append("writer: " + ", ".join(filter(None, [err.strip(), *bad])))


def read_through(port: int, paths: list[str]) -> tuple[int, float]:
    """Read these paths one after another, once, on one connection: bytes and seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    total, block = 0, bytearray(1 << 20)
    begin = time.monotonic()
    try:
        for path in paths:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != 200:
                raise BenchError(f"GET {path} was answered with {answer.status}")
            while count := answer.readinto(block):
                total += count
        return total, time.monotonic() - begin
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"GET {path}: {error!r}") from None
    finally:
        connection.close()


def cache_state(server, path, expected=200):
    """What X-Cache says of one more read, the second of two."""
    request(server.port, "GET", path)
    status, headers, _ = request(server.port, "GET", path)
    if status != expected:
        raise BenchError(f"GET {path} was answered with {status}")
    return headers.get("x-cache", "absent")


def size(count):
    """A number of bytes for a name."""
    power, unit = next((each for each in ((30, "GiB"), (20, "MiB")) if count >> each[0]), (10, "KiB"))
    return f"{count / (1 << power):.4g} {unit}"
