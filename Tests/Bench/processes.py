"""Starting programs, waiting for them, ending them; small HTTP requests."""

import contextlib
import http.client
import os
import resource
import signal
import socket
import subprocess
import time


class BenchError(Exception):
    """The benchmark can't go on."""


def raise_file_limit(count):
    """Let this process and its children open `count` files, or as many as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def end_on_signals():
    """Leave on Ctrl-C, SIGTERM and SIGHUP in a way that ends what was started; a second one is ignored."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def leave(number, _frame):
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for each in numbers:
        signal.signal(each, leave)


@contextlib.contextmanager
def running(command, log, env=None, patience=10):
    """A program in a session of its own (the terminal's Ctrl-C does not reach it), ended on the way out.

    It gets SIGTERM, and SIGKILL when it is still there after `patience` seconds.
    """
    with open(log, "ab") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env,
            start_new_session=True)
    try:
        yield child
    finally:
        stop(child, patience)


def stop(child, patience):
    """End a child, if it still runs."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def output_of(command, seconds, goes_on=lambda: True):
    """Run a program to its end, for `seconds` at most: its status, standard output and standard error.

    It gets SIGTERM once `goes_on()`, asked twenty times a second, says no.
    """
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True)
    deadline, wanted = time.monotonic() + seconds, True
    try:
        while True:
            try:
                out, err = child.communicate(timeout=0.05)
                break
            except subprocess.TimeoutExpired:
                pass
            if time.monotonic() > deadline:
                raise BenchError(f"{command[0]} did not end within {seconds} s")
            if wanted and not goes_on():
                wanted = False
                child.terminate()
    finally:
        stop(child, 2)
    return child.returncode, out, err


def free_port():
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def request(port, method, path, body=None, headers=None):
    """One request on a connection of its own: status, headers (names in lower case), body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{method} {path}: {error!r}") from None
    finally:
        connection.close()


def wait_until(condition, child, what, log, seconds=20):
    """Wait for `condition()`, which may raise BenchError meanwhile; fail when the child ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise BenchError(f"{what} ended with status {child.returncode}:\n{tail_of(log)}")
        with contextlib.suppress(BenchError):
            if condition():
                return
        time.sleep(0.05)
    raise BenchError(f"{what} was not ready within {seconds} s:\n{tail_of(log)}")


def tail_of(path, lines=15):
    """The last lines of a log."""
    if not os.path.exists(path):
        return ""
    with open(path, errors="replace") as log:
        return "".join(log.readlines()[-lines:])
