"""The admin page in a browser: signing in, walking through its views, and what must hold on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from browser_page import Page
from stack import Stack

# What a browser writes into its console about an answer with an error status, where a test provokes one.
REFUSED = "Failed to load resource"
# The page looks at what it shows every few seconds, so also between the end of a stream and the next view.
GONE = "status of 404"


class Admin:
    """A person at the admin page of a server."""

    def __init__(self, page: Page, stack: Stack):
        self.page, self.stack = page, stack
        self.expected: list[str] = []
        self.address = f"http://127.0.0.1:{stack.port}/admin/"
        page.sign_in(self.address, (stack.data_dir / "admin-password").read_text().strip())
        page.wait("document.querySelector('h1')?.innerText === 'Overview'")
        # A reload would lose it.
        page.run("window.loaded = 'once'")

    def go(self, hash: str, title: str | None = None) -> None:
        """To another view of the same document."""
        self.page.run("(hash) => { location.hash = hash; }", hash)
        if title is not None:
            self.page.wait("(title) => document.querySelector('h1')?.textContent === title", title)

    def stream(self, project: str, path: str) -> None:
        """To a stream, by its path in URLs, until its tail is connected."""
        self.go(f"#/stream/{project}/{path}")
        self.page.sees("Live tail", "#main")
        self.page.wait(
            "['Live', 'Complete: the stream is closed'].includes(document.querySelector('.tail-state')?.innerText)"
        )

    def create_stream(self, project: str, name: str, type: str = "application/json", body: str = "") -> None:
        """By the form, from wherever the person is."""
        self.go(f"#/streams/{project}", "Streams")
        self.page.click("#create-stream")
        self.page.fill("", project, label="Project")
        self.page.fill("", name, label="Name")
        self.page.fill("", type, label="Content type")
        if body:
            self.page.fill("", body, label="First append")
        self.page.click("dialog button", "Create")
        self.page.gone("dialog")
        self.page.wait("(name) => document.querySelector('h1')?.textContent === name", name)

    def append(self, body: str) -> None:
        """By the form, on the page of the stream."""
        self.page.click("#append")
        self.page.fill("dialog textarea", body)
        self.page.click("dialog button[type=submit]")
        self.page.gone("dialog")

    def messages(self) -> list[str]:
        """What the live tail shows, oldest first."""
        return list(
            reversed(self.page.run("[...document.querySelectorAll('#tail .payload')].map((item) => item.textContent)"))
        )

    def shows(self, *texts: str) -> None:
        """Until the live tail ends with these."""
        self.page.wait(
            "(texts) => texts.every((text, index) => document.querySelectorAll('#tail .payload')[texts.length - 1 - index]?.textContent === text)",
            list(texts),
        )

    def names(self) -> list[str]:
        """The streams of the list that is shown."""
        return self.page.run("[...document.querySelectorAll('#stream-list .name')].map((item) => item.textContent)")

    def stayed(self) -> None:
        """All of it happened without loading the page anew."""
        assert self.page.run("window.loaded") == "once"


def hash_of(project: str, name: str) -> str:
    """The address of a stream by its name."""
    return f"#/stream/{project}/{quote(name, safe='/')}"


@pytest.fixture
def admin(new_page) -> Iterator[Callable[..., Admin]]:
    """Signs in at a server's admin page. Errors in the console and violations of its policy fail the test."""
    all: list[Admin] = []

    def enter(stack: Stack, *arguments: object, **options: object) -> Admin:
        all.append(Admin(new_page(*arguments, **options), stack))
        return all[-1]

    yield enter
    for one in all:
        one.page.check_clean(*one.expected)
