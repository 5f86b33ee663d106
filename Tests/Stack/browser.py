"""Headless Chromium, driven over its debugging pipe: one browser per test worker, one profile and one page per test."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack import REPOSITORY, _die_with_parent, identity, wait_gone

SCREENSHOTS = REPOSITORY / ".artefacts/screenshots"
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
            raise BrowserFailed(f"the browser has ended:\n{(self.profile / 'log').read_text('utf-8', 'replace')[-2000:]}")
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
        seen = _processes_of(self.profile)
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
        for pid, _ in left:
            os.kill(pid, 9)
        shutil.rmtree(self.profile, ignore_errors=True)
        return left


KEYS = {
    "Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), "Backspace": (8, ""), "ArrowLeft": (37, ""), "ArrowUp": (38, ""),
    "ArrowRight": (39, ""), "ArrowDown": (40, ""), " ": (32, " "),
}  # fmt: skip

# Where a test looks for things: by selector, and by the text or label that a person would see.
LOOK = """
(selector, text) => {
  const shown = (element) => element.checkVisibility({ checkVisibilityCSS: true, checkOpacity: false });
  const label = (element) => (element.getAttribute("aria-label") ?? element.innerText ?? "").trim();
  const scope = [...document.querySelectorAll("dialog[open]")].at(-1);
  const all = [...document.querySelectorAll(selector)].filter(shown);
  const fitting = text === null ? all : all.filter((element) => label(element) === text);
  const inside = scope ? fitting.filter((element) => scope.contains(element)) : fitting;
  return (inside.length ? inside : fitting)[0] ?? null;
}
"""


class Page:
    """A page in a profile of its own; whatever it complains about is kept in `complaints`."""

    def __init__(self, browser: Browser, width: int = 1280, height: int = 900, *, phone: bool = False, dark: bool = False):
        self.browser = browser
        self.context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=self.context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self.password: str | None = None
        self.challenges = 0
        browser.listen(self.session, self._hear)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        # As if its window were in front, however many there are.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.colours(dark)

    def call(self, method: str, within: float = PATIENCE, **parameters: object) -> dict:
        return self.browser.call(method, self.session, within, **parameters)

    def close(self) -> None:
        self.browser.forget(self.session)
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)

    def _hear(self, event: str, about: dict) -> None:
        if event == "Page.javascriptDialogOpening":
            self.dialogs.append(about["message"])
            self.browser.send("Page.handleJavaScriptDialog", self.session, accept=True)
        elif event == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.complaints.append(f"exception: {details.get('exception', {}).get('description', details['text'])}")
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.complaints.append(f"console {about['type']}: {[item.get('value', item.get('description')) for item in about['args']]}")
        elif event == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            entry = about["entry"]
            self.complaints.append(f"{entry['source']} {entry['level']}: {entry['text']} {entry.get('url', '')}")
        elif event == "Fetch.requestPaused":
            self.browser.send("Fetch.continueRequest", self.session, requestId=about["requestId"])
        elif event == "Fetch.authRequired":
            self.challenges += 1
            answer = {"response": "ProvideCredentials", "username": "admin", "password": self.password}
            if self.challenges > 3:
                answer = {"response": "CancelAuth"}
            self.browser.send("Fetch.continueWithAuth", self.session, requestId=about["requestId"], authChallengeResponse=answer)

    def colours(self, dark: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        calm = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[scheme, calm])

    def sign_in(self, url: str, password: str) -> None:
        """Opens a page behind basic authentication as a person does; the browser then keeps what it was told."""
        self.password, self.challenges = password, 0
        self.call("Fetch.enable", handleAuthRequests=True)
        self.open(url)
        self.call("Fetch.disable")
        # The refusal that asked for the password.
        self.complaints = [text for text in self.complaints if "401" not in text]

    def open(self, url: str) -> None:
        answer = self.call("Page.navigate", within=30, url=url)
        assert "errorText" not in answer, f"{url}: {answer['errorText']}"
        self.wait("document.readyState === 'complete'")

    def run(self, expression: str, *arguments: object, within: float = PATIENCE) -> object:
        """The value of an expression, or of a function of JSON arguments; a promise is waited for."""
        if arguments or re.match(r"\s*(async )?\([\w, ]*\) =>", expression):
            expression = f"({expression})({', '.join(map(json.dumps, arguments))})"
        answer = self.call("Runtime.evaluate", within, expression=expression, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserFailed(f"{details.get('exception', {}).get('description', details['text'])}\nin: {expression}")
        return answer["result"].get("value")

    def wait(self, expression: str, *arguments: object, within: float = PATIENCE) -> object:
        """Until it is true; returns its value."""
        deadline = time.monotonic() + within
        while True:
            try:
                if value := self.run(expression, *arguments):
                    return value
            except BrowserFailed as error:
                # The document was just replaced by another.
                if "context" not in str(error):
                    raise
            if time.monotonic() > deadline:
                self.screenshot("failed")
                raise AssertionError(f"not within {within} s: {expression} {arguments}\n{self.text()[:3000]}\n{self.complaints}")
            self.browser.pump(0.02)

    def text(self) -> str:
        return str(self.run("document.body.innerText"))

    def sees(self, text: str, selector: str = "body", within: float = PATIENCE) -> None:
        """Until a text is to be read in the first element that fits."""
        self.wait("(selector, text) => document.querySelector(selector)?.innerText.includes(text)", selector, text, within=within)

    def gone(self, selector: str) -> None:
        self.wait("(selector) => !document.querySelector(selector)", selector)

    def click(self, selector: str, text: str | None = None) -> None:
        """A click of the mouse in the middle of an element, once it is there, enabled and not moving."""
        middle = f"""
        async (selector, text) => {{
          const element = ({LOOK})(selector, text);
          if (!element || element.disabled) return null;
          element.scrollIntoView({{ block: "center", inline: "center", behavior: "instant" }});
          await new Promise((resolve) => requestAnimationFrame(resolve));
          const box = element.getBoundingClientRect();
          const at = {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }};
          const top = document.elementFromPoint(at.x, at.y);
          return top && (element.contains(top) || top.contains(element)) ? at : null;
        }}"""
        at = self.wait(middle, selector, text)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=at["x"], y=at["y"], button="left" if kind != "mouseMoved" else "none", clickCount=1)

    def type(self, text: str) -> None:
        """Into what has the focus."""
        self.call("Input.insertText", text=text)

    def fill(self, selector: str, text: str, label: str | None = None) -> None:
        """Replaces the content of a field, which may be named by its label."""
        if label is not None:
            selector = "#" + str(self.wait("""(label) => [...document.querySelectorAll("label[for]")].filter((item) => item.checkVisibility())
                .findLast((item) => item.innerText.trim() === label)?.htmlFor""", label))
        self.wait(f"""(selector) => {{ const field = ({LOOK})(selector, null); field?.focus(); field?.select?.(); return Boolean(field); }}""", selector)
        if text:
            self.type(text)
        else:
            self.press("Backspace")

    def press(self, key: str, *, shift: bool = False) -> None:
        code, text = KEYS[key]
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def screenshot(self, name: str, whole: bool = False) -> Path:
        """Kept as an artefact."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        data = self.call("Page.captureScreenshot", within=30, format="png", captureBeyondViewport=whole)["data"]
        path = SCREENSHOTS / f"{name}.png"
        path.write_bytes(base64.b64decode(data))
        return path

    def check_clean(self, *expected: str) -> None:
        """No script that came with data has run, and the page has nothing to complain about beyond what is expected."""
        self.run("0")
        assert not self.dialogs, f"dialogs: {self.dialogs}"
        left = [text for text in self.complaints if not any(part in text for part in expected)]
        assert not left, "\n".join(left)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One per test worker."""
    browser = Browser()
    yield browser
    left = browser.close()
    assert not left, f"processes of the browser stayed: {left}"


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """A factory of pages, each with a profile of its own."""
    pages: list[Page] = []

    def make(*arguments: object, **options: object) -> Page:
        pages.append(Page(browser, *arguments, **options))
        return pages[-1]

    yield make
    for page in pages:
        page.close()
