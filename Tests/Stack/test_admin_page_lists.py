"""The admin page in a browser: lists of streams by prefix and in pages, of a million too."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from client import Client
from stack import Stack
from test_concurrency import at_once
from test_listing import make

COUNT = 230
MILLION = 1_000_000
# Seconds from the click to the page that is shown; a busy machine is slower than a person's.
SNAPPY = 3.0


@pytest.fixture(scope="module")
def crowd(stack: Stack) -> str:
    """A project of 230 streams room/000 … and 5 others."""
    project = f"pages-{stack.port}-{time.monotonic_ns()}"
    paths = [f"room/{number:03d}" for number in range(COUNT)] + ["a", "b/c", "room", "rooms", "z%20z"]
    at_once(stack, 8, lambda client, index: [make(client, project, path) for path in paths[index::8]][-1])
    return project


def wait_names(person, first: str, last: str, count: int) -> None:
    person.page.wait(
        "(wanted) => { const all = [...document.querySelectorAll('#stream-list .name')].map((item) => item.textContent);"
        " return JSON.stringify([all[0], all.at(-1), all.length]) === JSON.stringify(wanted); }",
        [first, last, count],
    )


def test_pages(admin, stack: Stack, crowd: str) -> None:
    """A hundred at a time, there and back, by the links and by the browser's own buttons."""
    person = admin(stack)
    page = person.page
    person.go(f"#/streams/{crowd}", "Streams")
    wait_names(person, "a", "room/096", 100)
    assert page.run("document.getElementById('previous')") is None
    page.click("#next")
    wait_names(person, "room/097", "room/196", 100)
    page.click("#next")
    wait_names(person, "room/197", "z z", 35)
    page.sees("Page 3", ".pager")
    assert page.run("document.getElementById('next')") is None
    page.screenshot("streams", whole=True)
    page.click("#previous")
    wait_names(person, "room/097", "room/196", 100)
    page.run("history.back()")
    wait_names(person, "room/197", "z z", 35)
    page.click("#first")
    wait_names(person, "a", "room/096", 100)
    person.stayed()


def test_prefix(admin, stack: Stack, crowd: str) -> None:
    """While it is typed, with the focus where it was, and with an address that can be kept."""
    person = admin(stack)
    page = person.page
    person.go(f"#/streams/{crowd}", "Streams")
    wanted = [
        ("room/1", "room/100", "room/199", 100),
        ("z z", "z z", "z z", 1),
        ("b", "b/c", "b/c", 1),
        ("room", "room", "room/098", 100),
    ]
    for text, first, last, count in wanted:
        page.fill("#prefix", text)
        wait_names(person, first, last, count)
        assert page.run("document.activeElement.id") == "prefix"
    page.click("#next")
    wait_names(person, "room/099", "room/198", 100)
    assert page.run("document.getElementById('prefix').value") == "room"
    page.call("Page.reload")
    page.wait("window.loaded !== 'once'")
    wait_names(person, "room/099", "room/198", 100)
    page.fill("#prefix", "nothing/like/this")
    page.sees("No stream begins so", "#stream-list")


def test_another_project(admin, stack: Stack, crowd: str) -> None:
    person = admin(stack)
    page = person.page
    person.go("#/streams", "Streams")
    page.wait("(name) => [...document.querySelectorAll('#project option')].some((item) => item.value === name)", crowd)
    page.run(
        "(name) => { const field = document.getElementById('project'); field.value = name; field.dispatchEvent(new Event('change')); }",
        crowd,
    )
    wait_names(person, "a", "room/096", 100)
    person.stayed()


def fill_store(stack: Stack) -> None:
    """A million copies of the one stream that is there, straight in the store of a server that is not running."""
    with closing(sqlite3.connect(stack.data_dir / "hot.sqlite")) as store:
        store.execute("PRAGMA synchronous = OFF")
        columns = [row[1] for row in store.execute("PRAGMA table_info(stream)")]
        values = [
            {"id": "base.id + n.n", "incarnation": "base.id + n.n", "name": "printf('_default/room/%07d', n.n)"}.get(
                name, f"base.{name}"
            )
            for name in columns
        ]
        store.execute(
            f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MILLION}) "
            f"INSERT INTO stream ({', '.join(columns)}) SELECT {', '.join(values)} FROM n, (SELECT * FROM stream) AS base"
        )
        store.commit()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_million_streams(admin, fresh_stack) -> None:
    """Pages, prefixes and the overview stay quick, and the page holds no more than it shows."""
    stack: Stack = fresh_stack()
    client = Client(stack)
    client.create("first", "application/json")
    client.close()
    stack.stop()
    fill_store(stack)
    stack.start()
    person = admin(stack)
    page = person.page

    def timed(act, *names: object) -> None:
        began = time.monotonic()
        act()
        wait_names(person, *names)
        took = time.monotonic() - began
        assert took < SNAPPY, f"{names} took {took:.2f} s"

    timed(lambda: person.go("#/streams/_default"), "first", "room/0000099", 100)
    timed(lambda: page.click("#next"), "room/0000100", "room/0000199", 100)
    timed(lambda: page.fill("#prefix", "room/09999"), "room/0999900", "room/0999999", 100)
    timed(lambda: page.fill("#prefix", "room/1"), "room/1000000", "room/1000000", 1)
    timed(lambda: page.fill("#prefix", "room/05"), "room/0500000", "room/0500099", 100)
    timed(lambda: page.click("#next"), "room/0500100", "room/0500199", 100)
    assert page.run("document.querySelectorAll('*').length") < 3_000
    began = time.monotonic()
    person.go("#/", "Overview")
    page.wait("document.querySelectorAll('.tile-value').length === 7")
    assert time.monotonic() - began < SNAPPY
    person.stayed()
