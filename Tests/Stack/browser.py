"""Headless Chromium, driven over its debugging pipe: one for each test worker."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stack import _die_with_parent, descendants, identity, wait_gone

PATIENCE = 15.0
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
    "--disable-features=Translate,OptimizationHints,MediaRouter", "--hide-scrollbars", "--remote-debugging-pipe",
]  # fmt: skip


class BrowserFailed(Exception):
    pass


def find_chromium() -> str:
    """Debian's, or another of the usual names; a machine without one fails these tests rather than skipping them."""
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        if name and (found := shutil.which(name)):
            return found
    raise BrowserFailed("no Chromium: install Debian's package chromium, or name one by CHROMIUM")


def _processes_of(profile: Path) -> list[tuple[int, int]]:
    """All processes that were started with a profile: the browser and its helpers."""
    needle = str(profile).encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if needle in Path(f"/proc/{entry}/cmdline").read_bytes() and (who := identity(int(entry))):
                    found.append(who)
            except OSError:
                pass
    return found


class Browser:
    """The process. Its answers and events come over a pipe as JSON texts that end with NUL."""

    def __init__(self) -> None:
        self.profile = Path(tempfile.mkdtemp(prefix="ds-browser-", dir="/tmp"))
        self._numbers, self._text, self._answers = 0, b"", {}
        self._listeners: dict[str, Callable[[str, dict], None]] = {}
        # The browser reads from descriptor 3 and writes to 4.
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        def set_up() -> None:
            _die_with_parent()
            # Moved out of the way first, should one of them have the number that the other is to get.
            reading, writing = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        with (self.profile / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [find_chromium(), *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=set_up, pass_fds=(3, 4, theirs_in, theirs_out),
                start_new_session=True, env=os.environ | {"DBUS_SESSION_BUS_ADDRESS": "disabled:"},
            )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self.version = self.call("Browser.getVersion", within=60)["product"]

    def call(self, method: str, session: str | None = None, within: float = PATIENCE, **parameters: object) -> dict:
        """One command; returns its result."""
        self._numbers += 1
        number = self._numbers
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + within
        while number not in self._answers:
            if time.monotonic() > deadline:
                raise BrowserFailed(f"{method} was not answered within {within} s")
            self.pump(deadline - time.monotonic())
        answer = self._answers.pop(number)
        if "error" in answer:
            raise BrowserFailed(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def send(self, method: str, session: str, **parameters: object) -> None:
        """A command whose answer nobody needs."""
        self._numbers += 1
        message = {"id": self._numbers, "method": method, "params": parameters, "sessionId": session}
        os.write(self._out, json.dumps(message).encode() + b"\0")

    def pump(self, within: float) -> None:
        """Takes what has arrived, and waits for something if nothing has."""
        if not select.select([self._in], [], [], max(0.0, within))[0]:
            return
        piece = os.read(self._in, 1 << 20)
        if not piece:
            raise BrowserFailed(
                f"the browser has ended:\n{(self.profile / 'log').read_text('utf-8', 'replace')[-2000:]}"
            )
        *texts, self._text = (self._text + piece).split(b"\0")
        for text in texts:
            message = json.loads(text)
            if "id" in message:
                self._answers[message["id"]] = message
            elif listener := self._listeners.get(message.get("sessionId", "")):
                listener(message["method"], message["params"])

    def listen(self, session: str, listener: Callable[[str, dict], None]) -> None:
        self._listeners[session] = listener

    def forget(self, session: str) -> None:
        self._listeners.pop(session, None)

    def close(self) -> list[tuple[int, int]]:
        """Ends the browser; returns the processes that would not go, which are killed."""
        pids = descendants(self.process.pid)
        seen = _processes_of(self.profile) + [who for pid in pids if (who := identity(pid))]
        try:
            self.call("Browser.close")
        except (BrowserFailed, OSError):
            pass
        os.close(self._out)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._in)
        left = wait_gone(seen, 10)
        for pid in {pid for pid, _ in left}:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        shutil.rmtree(self.profile, ignore_errors=True)
        return left


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One per test worker."""
    browser = Browser()
    yield browser
    left = browser.close()
    assert not left, f"processes of the browser stayed: {left}"
