"""The admin page in a browser: streams are created, written, watched, closed and deleted."""

from __future__ import annotations

import json
import os
import signal

from admin_page import GONE, REFUSED
from client import Client, expect, unique
from stack import Stack, identity, wait_gone


def test_create_append_and_watch(admin, stack: Stack, http: Client) -> None:
    """What the page and what others append arrives in the open page by itself, as it was sent."""
    person = admin(stack)
    name = f"{unique('watched')} ü"
    path = name.replace(" ü", "%20%C3%BC")
    person.create_stream("_default", name, body='{"from":"form","n":9007199254740993}')
    person.shows('{\n  "from": "form",\n  "n": 9007199254740993\n}')
    person.append('[{"id":1},{"id":2}]')
    person.shows('{\n  "id": 1\n}', '{\n  "id": 2\n}')
    http.append(path, "application/json", '{"from":"elsewhere"}')
    person.shows('{\n  "id": 2\n}', '{\n  "from": "elsewhere"\n}')
    person.page.wait(
        "[...document.querySelectorAll('.facts dt')].find((item) => item.textContent === 'Messages').nextSibling.textContent === '4'"
    )
    body = expect(http.get(path), 200).body
    assert body == b'[{"from":"form","n":9007199254740993},{"id":1},{"id":2},{"from":"elsewhere"}]'
    person.stayed()
    person.page.screenshot("stream", whole=True)


def test_text_and_bytes(admin, stack: Stack, http: Client) -> None:
    """Text as it is, bytes as hex or base64, and bytes may be typed as either."""
    person = admin(stack)
    text, data = unique(), unique()
    http.create(text, "text/plain", "first\n line")
    person.stream("_default", text)
    person.shows("first\n line")
    http.append(text, "text/plain", "<b>second</b>")
    person.shows("first\n line", "<b>second</b>")

    http.create(data, "application/octet-stream", b"\x00\xffAB")
    person.stream("_default", data)
    hexadecimal = "000000  00 ff 41 42                                      ··AB"
    person.shows(hexadecimal)
    person.append("DE AD be ef")
    person.shows(hexadecimal, "000000  de ad be ef                                      ····")
    person.page.click("#main .switcher input[value=base64]")
    person.shows("AP9BQg==", "3q2+7w==")
    assert expect(http.get(data), 200).body == b"\x00\xffAB\xde\xad\xbe\xef"
    person.stayed()


def test_tail_keeps_the_newest_500(admin, stack: Stack, http: Client) -> None:
    """And while it is paused nothing moves, but nothing is lost either."""
    person = admin(stack)
    path = unique()
    http.create(path, "application/json", "[1]")
    person.stream("_default", path)
    person.shows("1")
    http.append(path, "application/json", json.dumps(list(range(1000, 1700))))
    person.shows("1698", "1699")
    assert person.messages() == [str(number) for number in range(1200, 1700)]
    person.page.click("#tail-pause", "Pause")
    http.append(path, "application/json", '["paused"]')
    person.page.sees("1 wait", "#tail-count")
    assert person.messages()[-1] == "1699"
    person.page.click("#tail-pause", "Resume")
    person.shows("1699", '"paused"')
    assert len(person.messages()) == 500
    person.page.run(
        "document.getElementById('tail-from').value = 'start'; document.getElementById('tail-from').dispatchEvent(new Event('change'))"
    )
    person.shows('"paused"')
    person.stayed()


def test_close(admin, stack: Stack, http: Client) -> None:
    person = admin(stack)
    path = unique()
    http.create(path, "application/json", "[1]")
    person.stream("_default", path)
    person.page.click("#close")
    person.page.click("dialog button", "Close stream")
    person.page.sees("Complete", ".tail-state")
    person.page.gone("#append")
    person.page.sees("closed", ".stream-head")
    assert expect(http.head(path), 200).get("Stream-Closed") == "true"
    person.stayed()


def test_delete_asks_for_the_name(admin, stack: Stack, http: Client) -> None:
    person = admin(stack)
    path = unique("doomed")
    other = f"{path}-other"
    http.create(path, "application/json", "[1]")
    http.create(other, "application/json", "[1]")
    person.stream("_default", path)
    person.page.click("#delete")
    for wrong in ("", other, path[:-1]):
        person.page.fill("", wrong, label="Type the name to confirm")
        assert person.page.run("document.querySelector('dialog button[type=submit]').disabled") is True, wrong
        person.page.press("Enter")
    person.page.screenshot("delete")
    person.page.press("Escape")
    person.page.gone("dialog")
    expect(http.head(path), 200)

    person.expected = [GONE]
    person.page.click("#delete")
    person.page.fill("", path, label="Type the name to confirm")
    person.page.click("dialog button", "Delete for ever")
    person.page.gone("dialog")
    person.page.wait("document.querySelector('h1').innerText === 'Streams'")
    expect(http.head(path), 404)
    expect(http.head(other), 200)
    person.go(f"#/streams/_default?prefix={path}")
    person.page.wait(
        "(name) => [...document.querySelectorAll('#stream-list .name')].map((item) => item.textContent).join() === name",
        other,
    )
    person.stayed()


def test_refusals_say_what_to_do(admin, stack: Stack, http: Client) -> None:
    """Code, message and advice; and the form keeps what was typed."""
    person = admin(stack)
    person.expected = [REFUSED]
    page = person.page
    person.go("#/stream/_default/no/such/stream")
    page.sees("STREAM_NOT_FOUND", ".panel.error .error-code")
    page.sees("no such stream", ".panel.error .error-message")
    page.sees("deleted", ".panel.error .error-advice")
    page.screenshot("error")

    path = unique()
    http.create(path, "application/json", "[1]")
    person.stream("_default", path)
    page.click("#append")
    page.fill("dialog textarea", '{"a":')
    page.click("dialog button[type=submit]")
    page.sees("INPUT_INVALID", "dialog .error-code")
    page.fill("dialog textarea", "[]")
    page.click("dialog button[type=submit]")
    page.sees("JSON_EMPTY", "dialog .error-code")
    # Somebody closes it while the form is open.
    expect(http.post(path, Stream_Closed="true"), 204)
    page.fill("dialog textarea", '"kept"')
    page.click("dialog button[type=submit]")
    page.sees("STREAM_CLOSED", "dialog .error-code")
    page.sees("new stream", "dialog .error-advice")
    assert page.run("document.querySelector('dialog textarea').value") == '"kept"'
    page.press("Escape")

    person.go("#/streams/_default", "Streams")
    page.click("#create-stream")
    page.fill("", path, label="Name")
    page.fill("", "text/plain", label="Content type")
    page.click("dialog button", "Create")
    page.sees("STREAM_EXISTS", "dialog .error-code")
    page.fill("", "a//b", label="Name")
    page.click("dialog button", "Create")
    page.sees("PATH_INVALID", "dialog .error-code")
    page.press("Escape")


def test_health(admin, stack: Stack) -> None:
    """Every process that runs, by its id."""
    person = admin(stack)
    person.go("#/health", "Health")
    person.page.sees("All processes run.", "#main")
    shown = person.page.run(
        "[...document.querySelectorAll('#main tbody tr')].map((row) => [...row.children].map((cell) => cell.innerText))"
    )
    ids = {int(row[4].replace(",", "")) for row in shown}
    wanted = {stack.process.pid, *stack.processes("durable-streams-worker"), *stack.processes("durable-streams-live")}
    assert wanted <= ids, (wanted, shown)
    assert any(row[0].startswith("nginx") for row in shown), shown
    assert {row[1] for row in shown} == {"running"}, shown
    person.page.screenshot("health")


def test_page_outlives_the_server(admin, fresh_stack) -> None:
    """It says that the server is away, and goes on by itself; the tail misses and repeats nothing across kills and rotations."""
    stack: Stack = fresh_stack(DS_SSE_LIFETIME=0.5)
    http = Client(stack)
    path = unique()
    http.create(path, "application/json", "[0]")
    person = admin(stack)
    person.expected = [REFUSED, "EventSource's response has a MIME type"]
    person.stream("_default", path)
    for number in range(1, 30):
        http.append(path, "application/json", str(number))
        if number == 10:
            (pid,) = stack.processes("durable-streams-live")
            who = identity(pid)
            os.kill(pid, signal.SIGKILL)
            assert not wait_gone([who])
        if number % 10 == 0:
            person.shows(str(number))
    person.shows(*[str(number) for number in range(30)])
    http.close()

    stack.stop()
    person.page.wait("!document.getElementById('connection').hidden")
    person.page.sees("UNREACHABLE", "#connection")
    stack.start()
    http.append(path, "application/json", "30")
    person.page.wait("document.getElementById('connection').hidden", within=20)
    person.shows(*[str(number) for number in range(31)])
    assert len(person.messages()) == 31
    person.stayed()
    http.close()


def test_wrong_password_shows_nothing(new_page, stack: Stack) -> None:
    page = new_page()
    page.sign_in(f"http://127.0.0.1:{stack.port}/admin/", "wrong")
    assert page.challenges > 1 and "Overview" not in page.text()


def test_names_of_every_kind(admin, stack: Stack, http: Client) -> None:
    """A name that is typed is the name that is shown, listed and found."""
    person = admin(stack)
    folder = unique("odd")
    for odd in ("a?b#c&d=e", "per%cent", "colon:comma,semi;plus+eq=at@", "quote'\"s", "{}[]|^`", "ünï/🦆"):
        name = f"{folder}/{odd}"
        person.create_stream("_default", name, "text/plain", odd)
        person.shows(odd)
        person.go(f"#/streams/_default?prefix={folder}/", "Streams")
        person.page.click("#stream-list .name", name)
        person.shows(odd)
    person.stayed()
