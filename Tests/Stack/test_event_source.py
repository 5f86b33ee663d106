"""A browser's own EventSource on a page of another origin, as README shows it: every message once, in order."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser_page import Page
from client import Client, unique
from stack import REPOSITORY, Stack, identity, wait_gone

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
# How often a connection is opened, with what `EventSource` itself does.
COUNTED = """
window.opened = 0;
window.messages = [];
window.EventSource = class extends EventSource {
  constructor(...all) { super(...all); this.addEventListener("open", () => { window.opened += 1; }); }
};
"""


def program(stack: Stack, path: str) -> str:
    """README's program, with the URL of the test's stream and a place for the messages."""
    code = re.search(r"```js\n(const url = .*?)```", README, re.DOTALL).group(1)
    here = code.replace("http://127.0.0.1:4437/v1/stream/chat", f"http://127.0.0.1:{stack.port}/v1/stream/{path}")
    told = here.replace("console.log(message)", "messages.push(message)")
    assert here != code and told != here, code
    return COUNTED + told


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A site of another origin: its folder and its address."""

    class Site(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object):
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "favicon.ico").write_bytes(b"")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield tmp_path, f"http://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Writer(threading.Thread):
    """Appends numbers one after the other, through rotations and kills, until it is told to stop."""

    def __init__(self, stack: Stack, path: str):
        super().__init__()
        self.stack, self.path, self.count, self.done = stack, path, 0, threading.Event()

    def run(self) -> None:
        client = Client(self.stack)
        while not self.done.wait(0.02):
            client.append(self.path, "application/json", json.dumps({"n": self.count}))
            self.count += 1
        client.close()


def kill_live(stack: Stack) -> None:
    (pid,) = stack.processes("durable-streams-live")
    who = identity(pid)
    os.kill(pid, signal.SIGKILL)
    assert not wait_gone([who])


def test_messages_come_once_and_in_order(new_page, fresh_stack, elsewhere) -> None:
    """Across the end of responses and a kill of the live process, while somebody writes all the time."""
    folder, origin = elsewhere
    stack: Stack = fresh_stack(DS_SSE_LIFETIME=0.5)
    http = Client(stack)
    path = unique()
    http.create(path, "application/json", json.dumps([{"n": "before"}]))
    (folder / "index.html").write_text('<!doctype html><meta charset="utf-8"><script src="program.js"></script>')
    (folder / "program.js").write_text(program(stack, path))
    page: Page = new_page()
    page.open(f"{origin}/index.html")
    page.wait("messages.length === 1")

    writer = Writer(stack, path)
    writer.start()
    try:
        page.wait("(count) => opened >= 2 && messages.length > count", 20)
        kill_live(stack)
        again = page.run("opened")
        # What came while nobody was connected, and what comes afterwards.
        page.wait("(before) => opened > before", again)
        before = page.run("messages.length")
        page.wait("(count) => messages.length > count", before)
    finally:
        writer.done.set()
        writer.join()
    page.wait("(count) => messages.length >= count", writer.count + 1)
    http.append(path, "application/json", json.dumps({"n": "last"}), Stream_Closed="true")
    page.wait("messages.at(-1).n === 'last'")

    numbers = [message["n"] for message in page.run("messages")]
    assert numbers == ["before", *range(writer.count), "last"]
    http.close()
    # What browsers say of a connection that was cut, or of an answer of the time without a live process.
    page.check_clean("Failed to load resource", "EventSource's response has a MIME type")


def test_text_and_bytes(new_page, stack: Stack, elsewhere) -> None:
    """Lines, markup and what is no text arrive as they were sent."""
    folder, origin = elsewhere
    http = Client(stack)
    text, data = unique(), unique()
    lines = " two\n\n lines <b>&amp; ü 🦆 data: event: control\n"
    http.create(text, "text/plain; charset=utf-8", lines, Stream_Closed="true")
    http.create(data, "application/octet-stream", bytes(range(256)), Stream_Closed="true")
    (folder / "index.html").write_text("<!doctype html><title>elsewhere</title>")
    page: Page = new_page()
    page.open(f"{origin}/index.html")
    read = """
    (url) => new Promise((resolve, reject) => {
      const parts = [];
      const events = new EventSource(url);
      events.addEventListener("data", (event) => parts.push(event.data));
      events.addEventListener("control", (event) => { if (JSON.parse(event.data).streamClosed) { events.close(); resolve(parts); } });
      events.addEventListener("error", reject);
    })"""
    url = f"http://127.0.0.1:{stack.port}/v1/stream"
    assert page.run(read, f"{url}/{text}?live=sse&offset=-1") == [lines]
    (encoded,) = page.run(read, f"{url}/{data}?live=sse&offset=-1")
    assert page.run("(text) => [...atob(text)].map((c) => c.charCodeAt(0))", encoded) == list(range(256))
    http.close()
    page.check_clean()


def test_the_tests_would_see_a_script_run(new_page, elsewhere) -> None:
    """What other tests rely on: markup that runs opens a dialog or is complained about, and so are errors."""
    folder, origin = elsewhere
    (folder / "index.html").write_text("<!doctype html><p id=here></p>")
    page: Page = new_page()
    page.open(f"{origin}/index.html")
    page.run("document.getElementById('here').innerHTML = '<img src=x onerror=alert(1)>'")
    page.wait("document.querySelector('img').complete")
    with pytest.raises(AssertionError, match="dialogs"):
        page.check_clean("Failed to load resource")
    page.dialogs.clear()
    page.run("setTimeout(() => { throw new Error('lost'); }); new Promise((resolve) => setTimeout(resolve, 20))")
    with pytest.raises(AssertionError, match="lost"):
        page.check_clean("Failed to load resource")
