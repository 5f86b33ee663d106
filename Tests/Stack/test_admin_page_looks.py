"""The admin page in a browser: charts, keyboard, narrow screens, light and dark, names for screen readers."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Iterator

import pytest

from admin_page import GONE, Admin
from browser import PATIENCE
from browser_page import Page
from client import Client, unique
from hooks import Hooks
from page_checks import FAINT, INK, NAMELESS
from stack import Stack, remove_tree, temporary_root

SERIES = ["appends_per_second", "append_bytes_per_second", "reads_per_second", "errors_per_second", "live_readers",
          "cache_hit_rate", "disk_used_bytes", "append_p99_milliseconds"]  # fmt: skip
LONG = "a-very-long-name-without-a-place-to-break-it-" * 5


@pytest.fixture(scope="module")
def furnished(stack: Stack) -> tuple[str, str]:
    """A project and a stream of it that show all there is to show, with names that are long."""
    client = Client(stack)
    path = f"{unique('furnished')}/{LONG}"
    project = f"furnished-{stack.port}-{time.monotonic_ns()}"[:64]
    root = f"/v1/{project}/stream"
    headers = [
        ("Content-Type", f'application/json; note="{LONG[:90]}"'),
        ("Stream-Retention-Age", "86400"),
        ("Stream-TTL", "3600"),
    ]
    assert (
        client.request(
            "PUT",
            f"{root}/{path}?public=true",
            headers,
            json.dumps([{"long": LONG, "deep": {"er": [1, 2, {"a": None}]}}]),
        ).status
        == 201
    )
    for number in range(3):
        named = [("Producer-Id", f"{LONG}{number}"), ("Producer-Epoch", "0"), ("Producer-Seq", "0")]
        assert (
            client.request(
                "POST", f"{root}/{path}", [("Content-Type", "application/json"), *named], json.dumps([LONG, number])
            ).status
            == 200
        )
    client.close()
    return project, path


def views(project: str, path: str) -> Iterator[tuple[str, str, str]]:
    """Name, address, and what is there once the view is."""
    yield "overview", "#/", ".tiles .tile-value"
    yield "streams", f"#/streams/{project}", "#stream-list .name"
    yield "stream", f"#/stream/{project}/{path}", ".tail-item"
    yield "projects", "#/projects", "#main .name"
    yield "project", f"#/project/{project}", "#main .panel"
    yield "health", "#/health", "#main tbody tr"
    yield "error", "#/nowhere", "#main .panel"


def visit(person: Admin, hash: str, there: str) -> None:
    person.go(hash)
    person.page.wait(
        "(selector) => Boolean(document.querySelector(selector)) && !document.querySelector('[aria-busy]')", there
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_views(admin, stack: Stack, furnished: tuple[str, str], width: int, dark: bool) -> None:
    """Nothing is wider than the screen, no text is faint, nothing is without a name."""
    person = admin(stack, width, 760 if width == 360 else 900, phone=width == 360, dark=dark)
    page = person.page
    tone = "dark" if dark else "light"
    for name, hash, there in views(*furnished):
        visit(person, hash, there)
        wide = page.run("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} wide"
        assert page.run(f"({FAINT})()") == [], name
        assert page.run(f"({NAMELESS})()") == [], name
        page.screenshot(f"{name}-{width}-{tone}", whole=True)
    for opener, hash, there in [("#create-stream", f"#/streams/{furnished[0]}", "#stream-list .name"), ("#append", f"#/stream/{furnished[0]}/{furnished[1]}", ".tail-item"),
                                ("#delete", f"#/stream/{furnished[0]}/{furnished[1]}", ".tail-item"), ("#create-project", "#/projects", "#main .name")]:  # fmt: skip
        visit(person, hash, there)
        page.click(opener)
        page.run("document.querySelectorAll('dialog details').forEach((item) => { item.open = true; })")
        for box in ("document.documentElement", "document.querySelector('dialog')"):
            assert page.run(f"{box}.scrollWidth <= {box}.clientWidth"), (opener, box)
        assert page.run(f"({FAINT})()") == [], opener
        assert page.run(f"({NAMELESS})()") == [], opener
        page.screenshot(f"dialog-{opener[1:]}-{width}-{tone}")
        page.press("Escape")
        page.gone("dialog")
    person.stayed()


def test_theme_is_remembered(admin, stack: Stack) -> None:
    """The switch goes from the system's colours over light to dark, and back."""
    person = admin(stack, dark=True)
    page = person.page
    back = "getComputedStyle(document.body).backgroundColor"
    dark = page.run(back)
    page.click("#theme")
    page.wait("document.getElementById('theme').getAttribute('aria-label') === 'Colours: light'")
    light = page.run(back)
    assert light != dark
    page.call("Page.reload")
    page.wait("window.loaded !== 'once' && document.getElementById('theme-name')?.innerText === 'Light'")
    assert page.run(back) == light
    page.click("#theme")
    page.wait("document.getElementById('theme-name').innerText === 'Dark'")
    page.colours(False)
    assert page.run(back) == dark
    page.click("#theme")
    page.wait("document.getElementById('theme-name').innerText === 'Auto'")
    assert page.run(back) == light
    page.call("Page.reload")
    page.wait("document.getElementById('theme-name')?.innerText === 'Auto'")


def answer_history(page: Page, step: int, count: int) -> None:
    """Answers the page's questions about the past: a full hour or day of waves, with a gap."""
    start = int(time.time() * 1000) - step * count * 1000
    waves = [None if 50 <= index < 60 else 50 + 40 * math.sin(index / 9) for index in range(count)]
    series = {
        name: [value if value is None or name != "cache_hit_rate" else value / 100 for value in waves]
        for name in SERIES
    }
    body = base64.b64encode(
        json.dumps({"range": "hour", "step_seconds": step, "start": start, "series": series}).encode()
    ).decode()
    heard = page._hear

    def hear(event: str, about: dict) -> None:
        if event == "Fetch.requestPaused":
            kind = [{"name": "Content-Type", "value": "application/json"}]
            page.browser.send(
                "Fetch.fulfillRequest",
                page.session,
                requestId=about["requestId"],
                responseCode=200,
                responseHeaders=kind,
                body=body,
            )
        else:
            heard(event, about)

    page.browser.listen(page.session, hear)
    page.call("Fetch.enable", patterns=[{"urlPattern": "*/admin/api/history*"}])


def test_charts(admin, stack: Stack) -> None:
    """Each has a line, says in words what it shows, has a table, and can be walked along by keys."""
    person = admin(stack)
    page = person.page
    page.wait("[...document.querySelectorAll('.chart-summary')].every((item) => item.innerText !== 'Loading …')")
    answer_history(page, 10, 360)
    page.click(".switcher label", "Last day")
    page.click(".switcher label", "Last hour")
    page.wait("[...document.querySelectorAll('.chart-summary')].every((item) => item.innerText.startsWith('Now '))")
    page.wait("document.querySelectorAll('.chart canvas').length >= 8")
    ink = dict(page.run(INK))
    assert set(ink) == set(SERIES) and min(ink.values()) > 0.01, ink
    for name, summary in page.run(
        "[...document.querySelectorAll('.chart')].map((item) => [item.dataset.series, item.querySelector('.chart-summary').innerText])"
    ):
        assert all(word in summary for word in ("mean", "highest", "lowest")), (name, summary)
    assert "highest 90/s" in page.run(
        "document.querySelector('[data-series=appends_per_second] .chart-summary').innerText"
    )
    page.screenshot("charts", whole=True)

    page.click("[data-series=live_readers] summary")
    page.wait("document.querySelectorAll('[data-series=live_readers] tbody tr').length === 12")
    value = "document.querySelector('[data-series=reads_per_second] .chart-value').innerText"
    now = page.run(value)
    page.run("document.querySelector('[data-series=reads_per_second] .chart-canvas').focus()")
    page.press("ArrowLeft")
    first = page.run(value)
    page.press("ArrowLeft")
    assert len({now, first, page.run(value)}) == 3
    person.stayed()


def test_charts_survive_a_restart(admin, fresh_stack) -> None:
    """What was measured is drawn, and is drawn still by a server that was started anew."""
    root = temporary_root()
    hooks = Hooks(root)
    stack: Stack = fresh_stack(**hooks.settings)
    history = stack.data_dir / "history"
    client = Client(stack)
    client.create("busy", "application/json")
    for number in range(4):
        before = history.read_bytes() if history.exists() else b""
        client.append("busy", "application/json", json.dumps(list(range(50))))
        deadline = time.monotonic() + PATIENCE
        # The clock goes on until another step was kept.
        while not history.exists() or history.read_bytes() == before:
            assert time.monotonic() < deadline, f"step {number} was not kept"
            hooks.advance(5)
            time.sleep(0.3)
    client.close()
    stack.stop()
    stack.start()
    page = admin(stack).page
    summary = "document.querySelector('[data-series=disk_used_bytes] .chart-summary').innerText"
    page.wait(f"{summary}.startsWith('Now ')")
    assert "iB" in page.run(summary)
    assert dict(page.run(INK))["disk_used_bytes"] > 0.001
    busy = page.run("document.querySelector('[data-series=appends_per_second] .chart-summary').innerText")
    assert busy.startswith("Now ") and "highest 0/s" not in busy, busy
    page.screenshot("charts-after-restart", whole=True)
    stack.stop()
    remove_tree(root)


def test_figures_follow(admin, stack: Stack, http: Client) -> None:
    """The tiles are there, and change by themselves."""
    person = admin(stack)
    tile = (
        "(name) => [...document.querySelectorAll('.tile')]"
        ".find((item) => item.querySelector('dt')?.innerText === name)?.innerText"
    )
    person.page.wait(tile, "Streams")
    for name in ("Appends", "Written", "Reads", "Live readers", "Cache hits", "Disk"):
        assert person.page.run(tile, name), name
    count = f"Number(/([\\d,]+) messages/.exec(({tile})('Appends'))[1].replaceAll(',', ''))"
    before = person.page.run(count)
    http.create(unique(), "application/json", json.dumps(list(range(50))))
    person.page.wait(f"{count} >= {before + 50}")
    person.stayed()


def tab_to(page: Page, selector: str, most: int = 60) -> None:
    """Tab until an element has the focus, which has to be seen."""
    for _ in range(most):
        page.press("Tab")
        if page.run("(selector) => document.activeElement.matches(selector)", selector):
            # Styles follow the focus with the next frame.
            page.wait(
                """(selector) => { const style = getComputedStyle(document.activeElement);
                return document.activeElement.matches(selector) && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2; }""",
                selector,
            )
            return
    raise AssertionError(f"{selector} is not reached: {page.run('document.activeElement.outerHTML')}")


def test_keyboard_alone(admin, stack: Stack, http: Client) -> None:
    """From the skip link to a new stream, an append, and its end."""
    person = admin(stack)
    page, path = person.page, unique("keys")
    page.press("Tab")
    assert page.run("document.activeElement.id") == "skip"
    page.press("Enter")
    assert page.run("document.activeElement.id") == "main"
    page.run("document.activeElement.blur()")
    tab_to(page, "[data-tab=streams]")
    page.press("Enter")
    page.wait("document.querySelector('h1').innerText === 'Streams' && document.activeElement.tagName === 'H1'")
    tab_to(page, "#create-stream")
    page.press("Enter")
    page.wait("document.activeElement.closest('dialog') !== null && document.activeElement.autofocus")
    page.type(path)
    tab_to(page, "dialog button[type=submit]")
    page.press(" ")
    page.gone("dialog")
    page.wait(
        "(path) => document.querySelector('h1').innerText === path && document.activeElement.tagName === 'H1'", path
    )
    page.sees("Live", ".tail-state")
    tab_to(page, "#append")
    page.press("Enter")
    page.wait("document.activeElement.matches('dialog textarea')")
    page.type('{"by":"keys"}')
    tab_to(page, "dialog button[type=submit]")
    page.press("Enter")
    person.shows('{\n  "by": "keys"\n}')
    page.wait("document.activeElement.id === 'append'")

    tab_to(page, "#delete")
    page.press("Enter")
    page.wait("document.activeElement.matches('dialog input')")
    # The focus stays inside.
    for _ in range(8):
        page.press("Tab")
        assert page.run("document.activeElement === document.body || document.activeElement.closest('dialog') !== null")
    page.press("Escape")
    page.wait("document.activeElement.id === 'delete'")
    page.press("Enter")
    page.wait("document.activeElement.matches('dialog input')")
    person.expected = [GONE]
    page.type(path)
    page.press("Enter")
    page.wait("document.querySelector('h1').innerText === 'Streams'")
    assert http.head(path).status == 404
    person.stayed()
