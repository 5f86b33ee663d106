"""A page of the browser: what a person does with it, what it shows, and what it complains about."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from browser import PATIENCE, Browser, BrowserFailed
from stack import REPOSITORY

SCREENSHOTS = REPOSITORY / ".artefacts/screenshots"
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

    def __init__(
        self, browser: Browser, width: int = 1280, height: int = 900, *, phone: bool = False, dark: bool = False
    ):
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
            self.complaints.append(
                f"console {about['type']}: {[item.get('value', item.get('description')) for item in about['args']]}"
            )
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
            self.browser.send(
                "Fetch.continueWithAuth", self.session, requestId=about["requestId"], authChallengeResponse=answer
            )

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
        answer = self.call(
            "Runtime.evaluate", within, expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
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
                raise AssertionError(
                    f"not within {within} s: {expression} {arguments}\n{self.text()[:3000]}\n{self.complaints}"
                )
            self.browser.pump(0.02)

    def text(self) -> str:
        return str(self.run("document.body.innerText"))

    def sees(self, text: str, selector: str = "body", within: float = PATIENCE) -> None:
        """Until a text is to be read in the first element that fits."""
        self.wait(
            "(selector, text) => document.querySelector(selector)?.innerText.includes(text)",
            selector,
            text,
            within=within,
        )

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
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=at["x"],
                y=at["y"],
                button="left" if kind != "mouseMoved" else "none",
                clickCount=1,
            )

    def type(self, text: str) -> None:
        """Into what has the focus."""
        self.call("Input.insertText", text=text)

    def fill(self, selector: str, text: str, label: str | None = None) -> None:
        """Replaces the content of a field, which may be named by its label."""
        if label is not None:
            selector = "#" + str(
                self.wait(
                    """(label) => [...document.querySelectorAll("label[for]")].filter((item) => item.checkVisibility())
                .findLast((item) => item.innerText.trim() === label)?.htmlFor""",
                    label,
                )
            )
        self.wait(
            f"""(selector) => {{ const field = ({LOOK})(selector, null); field?.focus(); field?.select?.(); return Boolean(field); }}""",
            selector,
        )
        if text:
            self.type(text)
        else:
            self.press("Backspace")

    def press(self, key: str, *, shift: bool = False) -> None:
        code, text = KEYS[key]
        common = {
            "key": key,
            "code": "Space" if key == " " else key,
            "windowsVirtualKeyCode": code,
            "modifiers": 8 if shift else 0,
        }
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
