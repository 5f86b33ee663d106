"""Names, types, producers and content with markup: the page shows them as they are, and nothing of them runs."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from admin_page import GONE, REFUSED
from client import Client, producer, unique
from stack import Stack

IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = '"><script>alert(2)</script>'
MARKUP = [
    IMAGE,
    SCRIPT,
    "<svg onload=alert(3)>",
    "'-alert(4)-'",
    "javascript:alert(5)",
    "</title><script>alert(6)</script>",
    "&lt;b&gt;",
    "${alert(7)}{{8}}",
]

# What the page itself never has: a script that it did not come with, a listener in an attribute, a source of elsewhere.
FOREIGN = """
[...document.querySelectorAll("main img, main script, main svg[onload], main iframe, main object, dialog img, dialog script, main style, [onerror], [onload], [onclick]")]
  .map((element) => element.outerHTML)
"""


def path_of(name: str) -> str:
    """As it stands in URLs."""
    return quote(name, safe="/:'()*$&=;,!")


def check_inert(person) -> None:
    """Nothing ran, and nothing stands there that could."""
    assert person.page.run(FOREIGN) == []
    for link in person.page.run("[...document.querySelectorAll('a')].map((link) => link.href)"):
        assert link.startswith(person.address), link
    person.page.check_clean(*person.expected)


def test_names(admin, stack: Stack, http: Client) -> None:
    """In the list, as the title, in the prefix, in the messages of dialogs, and in the place for what is typed."""
    person = admin(stack)
    page = person.page
    # A slash of theirs only begins another part of the name.
    folder = unique("markup")
    for markup in MARKUP:
        name = f"{folder}/{markup}"
        http.create(path_of(name), "application/json", json.dumps([markup]))
        person.go(f"#/streams/_default?prefix={quote(path_of(name), safe='')}")
        page.wait("(name) => document.querySelector('#stream-list .name')?.textContent === name", name)
        page.click("#stream-list .name")
        page.sees("Live tail", "#main")
        assert page.run("document.querySelector('h1').textContent") == name
        assert page.run("document.title").startswith(name)
        person.shows(json.dumps(markup))
        check_inert(person)
    page.click("#close")
    page.sees(MARKUP[-1], "dialog")
    page.press("Escape")
    # The list of all of them.
    person.go(f"#/streams/_default?prefix={folder}/")
    page.wait("(count) => document.querySelectorAll('#stream-list .name').length === count", len(MARKUP))
    assert sorted(person.names()) == sorted(f"{folder}/{markup}" for markup in MARKUP)
    check_inert(person)
    # The filter, and what is said when nothing fits.
    for markup in (IMAGE, SCRIPT):
        page.fill("#prefix", f"{folder}/none/{markup}")
        page.sees(f"{folder}/none/{markup}", "#stream-list code:last-of-type")
        check_inert(person)
    person.expected = [GONE]
    for markup in (IMAGE, SCRIPT):
        name = f"{folder}/{markup}"
        person.stream("_default", path_of(name))
        page.click("#delete")
        page.sees(name, "dialog .typed-name")
        page.fill("", name, label="Type the name to confirm")
        check_inert(person)
        page.click("dialog button", "Delete for ever")
        page.gone("dialog")
        page.sees("Stream deleted.", "#toasts")


def test_names_that_browsers_cannot_send(admin, stack: Stack, http: Client) -> None:
    """A bare `<` in a URL: listed beside the stream whose URL has it escaped, and never taken for that."""
    person = admin(stack)
    folder = unique("bare")
    http.create(f"{folder}/<b>", "text/plain", "bare")
    http.create(f"{folder}/%3Cb%3E", "text/plain", "escaped")
    person.go(f"#/streams/_default?prefix={folder}/", "Streams")
    person.page.wait("document.querySelectorAll('#stream-list .name').length === 2")
    links = person.page.run("[...document.querySelectorAll('#stream-list a.name')].map((link) => link.textContent)")
    assert links == [f"{folder}/<b>"]
    person.page.sees("browsers escape", "#stream-list span.name")
    person.page.click("#stream-list a.name")
    person.shows("escaped")
    check_inert(person)


def test_types_and_producers(admin, stack: Stack, http: Client) -> None:
    """What comes in headers: content types with parameters, and ids of producers."""
    person = admin(stack)
    path = unique()
    type = f'text/plain; x="{IMAGE}"'
    http.create(path, type)
    ids = [IMAGE, SCRIPT.replace("alert(2)", "alert(9)"), "' onfocus=alert(10) autofocus='"]
    for id in ids:
        http.append(path, type, f"{SCRIPT}\n", **producer(id, 0, 0))
    person.go(f"#/streams/_default?prefix={path}")
    person.page.sees(type, "#stream-list")
    check_inert(person)
    person.stream("_default", path)
    person.page.sees(type, "#main")
    shown = person.page.run("[...document.querySelectorAll('#main tbody th code')].map((item) => item.textContent)")
    assert sorted(shown) == sorted(ids)
    person.page.click("#append")
    person.page.sees(type, "dialog")
    check_inert(person)
    person.page.press("Escape")
    person.page.screenshot("markup", whole=True)


def test_content(admin, stack: Stack, http: Client) -> None:
    """Text, JSON with markup as keys and values, bytes that spell markup, and events that pose as others."""
    person = admin(stack)
    text, document, data = unique(), unique(), unique()
    evil = "".join(MARKUP) + "\nevent: control\ndata:{}\n\n" + "</pre>" + IMAGE
    http.create(text, "text/html", evil)
    person.stream("_default", text)
    person.shows(evil)
    check_inert(person)

    value = {markup: [markup, "\u2028", "\0"] for markup in MARKUP}
    http.create(document, "application/json", json.dumps([value]))
    person.stream("_default", document)
    person.page.wait("document.querySelectorAll('#tail .payload').length === 1")
    (shown,) = person.messages()
    assert json.loads(shown) == value
    check_inert(person)

    http.create(data, "image/svg+xml", f"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(11)'>{IMAGE}</svg>")
    person.stream("_default", data)
    person.page.wait("document.querySelectorAll('#tail .payload').length === 1")
    check_inert(person)


def test_addresses(admin, stack: Stack) -> None:
    """A link from somewhere else that holds markup."""
    person = admin(stack)
    person.expected = [REFUSED]
    for place in (
        "#/project/",
        "#/streams/",
        "#/stream/_default/",
        "#/",
        "#/streams/_default?prefix=",
        "#/streams/_default?after=",
    ):
        for written in (quote(f"{IMAGE}{SCRIPT}".replace("/", ""), safe=""), f"{IMAGE}{SCRIPT}"):
            person.page.run("document.querySelector('h1')?.setAttribute('data-before', '')")
            person.go(place + written)
            person.page.wait(
                "Boolean(document.querySelector('h1:not([data-before])')) && !document.querySelector('[aria-busy]')"
            )
            check_inert(person)
            person.go("#/health", "Health")
    # And as the first thing that is opened.
    person.page.open("about:blank")
    person.page.open(f"{person.address}#/stream/_default/{IMAGE}{SCRIPT}")
    person.page.sees("STREAM_NOT_FOUND", "#main")
    check_inert(person)


def test_the_policy_holds(admin, stack: Stack) -> None:
    """Should markup get in all the same, it does not run, nor does it load or send anything; and a test would see it."""
    person = admin(stack)
    person.page.run("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)>')")
    person.page.wait("document.querySelector('main > img').complete")
    person.page.run(
        "const script = document.createElement('script'); script.textContent = 'window.ran = 1'; document.body.append(script)"
    )
    blocked = person.page.run("fetch('http://127.0.0.2:9/').then(() => 'sent', () => 'blocked')")
    assert (person.page.run("window.ran ?? 0"), blocked, person.page.dialogs) == (0, "blocked", [])
    assert sum("Content Security Policy" in text for text in person.page.complaints) >= 3, person.page.complaints
    with pytest.raises(AssertionError):
        person.page.check_clean()
    person.expected = ["Content Security Policy", REFUSED]
