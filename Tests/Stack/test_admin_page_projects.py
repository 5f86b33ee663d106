"""The admin page in a browser: projects, their secrets, tokens, origins, quotas and reader keys."""

from __future__ import annotations

import re

import jwt

from access import Project, ask, project_name, wait_until
from admin_page import REFUSED
from client import Client, expect, unique
from stack import Stack


def value_shown(person) -> str:
    """What a dialog shows once."""
    return str(person.page.wait("document.querySelector('dialog .copy-row input')?.value"))


def test_create_project(admin, jwt_stack: Stack, guarded: Client) -> None:
    """Its secret is shown once and signs tokens that are good."""
    person = admin(jwt_stack)
    page, name = person.page, project_name()
    person.go("#/projects", "Projects")
    page.click("#create-project")
    page.fill("", "not a name", label="Name")
    page.click("dialog button", "Create")
    assert page.run("!document.querySelector('dialog input').checkValidity()")
    page.fill("", name, label="Name")
    page.click("dialog button", "Create")
    page.sees("First secret", "dialog")
    secret = value_shown(person)
    assert re.fullmatch(r"dss_[!-~]{20,}", secret)
    page.screenshot("secret")
    # It does not go by a slip.
    page.press("Escape")
    assert value_shown(person) == secret
    page.click("dialog button", "Copy")
    page.wait("document.querySelector('dialog .copy-done').innerText !== ''")
    page.click("dialog button", "I have stored it")
    page.wait("(name) => document.querySelector('h1').innerText === name", name)
    assert secret not in page.run("document.documentElement.outerHTML")

    path = unique()
    token = jwt.encode({"sub": name, "scope": "write", "exp": 9_000_000_000}, secret, algorithm="HS256")
    wait_until(
        lambda: ask(guarded, "PUT", f"/v1/{name}/stream/{path}", token, type="text/plain").status == 201,
        "the token is good",
    )
    person.go(f"#/streams/{name}", "Streams")
    page.sees(path, "#stream-list")
    person.go("#/projects", "Projects")
    page.click("#create-project")
    page.fill("", name, label="Name")
    person.expected = [REFUSED]
    page.click("dialog button", "Create")
    page.wait("document.querySelector('dialog .error-code')?.innerText.length > 3")
    page.press("Escape")
    person.stayed()


def test_rotate_a_secret(admin, jwt_stack: Stack, guarded: Client, project: Project) -> None:
    """Both are good until the old one is removed; event streams and reads by it end then."""
    person = admin(jwt_stack)
    page, path = person.page, unique()
    project.create(guarded, path)
    old, (first,) = project.token("read"), project.secrets
    person.go(f"#/project/{project.name}", project.name)
    page.click("#add-secret")
    secret = value_shown(person)
    page.click("dialog button", "I have stored it")
    page.wait("document.querySelectorAll('#secrets tbody tr').length === 2")
    new = project.token("read", secret=secret)
    wait_until(lambda: ask(guarded, "GET", project.url(path), new).status == 200, "the new secret is good")
    expect(ask(guarded, "GET", project.url(path), old), 200)

    page.click(f'button[aria-label="Remove secret {first}"]')
    page.click("dialog button", "Remove secret")
    page.wait("document.querySelectorAll('#secrets tbody tr').length === 1")
    wait_until(lambda: ask(guarded, "GET", project.url(path), old).status == 401, "the old secret is gone")
    expect(ask(guarded, "GET", project.url(path), project.token("read", secret=secret, jti="again")), 200)
    person.stayed()


def test_mint_a_token(admin, jwt_stack: Stack, guarded: Client, project: Project) -> None:
    person = admin(jwt_stack)
    page = person.page
    inside, outside = f"in/{unique()}", f"out/{unique()}"
    for path in (inside, outside):
        project.create(guarded, path, "text/plain", "x")
    person.go(f"#/project/{project.name}", project.name)
    page.click("#mint-token")
    page.run("document.querySelector('dialog select').value = 'read'")
    page.fill("", "in/*", label="Only for the stream")
    page.fill("", "600", label="Good for so many seconds")
    page.click("dialog button", "Mint token")
    page.sees("Authorization: Bearer", "dialog")
    token = value_shown(person)
    page.click("dialog button", "Done")
    page.gone("dialog")
    expect(ask(guarded, "GET", project.url(inside), token), 200)
    expect(ask(guarded, "GET", project.url(outside), token), 403)
    expect(ask(guarded, "POST", project.url(inside), token, type="text/plain", body="y"), 403)
    person.stayed()


def test_rotate_reader_keys(admin, jwt_stack: Stack, guarded: Client, project: Project) -> None:
    """Of one stream, then of all."""
    person = admin(jwt_stack)
    page = person.page
    paths = [unique(), unique()]
    for path in paths:
        project.create(guarded, path)

    def keys() -> list[str]:
        return [
            str(expect(ask(guarded, "HEAD", project.url(path), project.token("read")), 200).get("Stream-Reader-Key"))
            for path in paths
        ]

    before = keys()
    person.go(f"#/project/{project.name}", project.name)
    page.click("#rotate-reader-keys")
    page.fill("", paths[0], label="Only for the stream")
    page.click("dialog button", "Rotate")
    page.gone("dialog")
    wait_until(lambda: keys()[0] != before[0], "the stream has another key")
    assert keys()[1] == before[1]
    page.click("#rotate-reader-keys")
    page.click("dialog button", "Rotate")
    page.gone("dialog")
    wait_until(lambda: keys()[1] != before[1], "the other has another key too")
    person.stayed()


def test_origins_and_quotas(admin, jwt_stack: Stack, guarded: Client, project: Project) -> None:
    """They are in force, and shown as they are after the page was loaded anew."""
    person = admin(jwt_stack)
    page = person.page
    project.create(guarded, path := unique())
    person.go(f"#/project/{project.name}", project.name)
    page.fill("#origins textarea", "https://one.example\nhttps://two.example")
    page.fill("", "1", label="Streams")
    # What is typed in one form outlives that another is saved and drawn again.
    page.run("document.querySelector('#origins').dataset.before = 'yes'")
    page.click("#origins button", "Save origins")
    page.sees("Origins saved.", "#toasts")
    page.wait("!('before' in document.querySelector('#origins').dataset)")
    page.fill("", "9", label="Bytes of one body")
    page.click("#quotas button", "Save quotas")
    page.sees("Quotas saved.", "#toasts")

    def allowed() -> object:
        return ask(
            guarded, "GET", project.url(path), project.token("read", jti=unique()), Origin="https://two.example"
        ).get("Access-Control-Allow-Origin")

    wait_until(lambda: allowed() == "https://two.example", "the origin is let in")
    wait_until(
        lambda: ask(
            guarded, "POST", project.url(path), project.token("write"), type="text/plain", body="0123456789"
        ).status
        == 413,
        "the body is too large",
    )
    expect(ask(guarded, "PUT", project.url(unique()), project.token("write"), type="text/plain"), 507)

    page.call("Page.reload")
    page.wait("window.loaded !== 'once' && Boolean(document.querySelector('#quotas input'))")
    assert page.run("document.querySelector('#origins textarea').value") == "https://one.example\nhttps://two.example"
    assert page.run("[...document.querySelectorAll('#quotas input')].map((input) => input.value)") == ["1", "", "9"]
    page.screenshot("project", whole=True)

    person.expected = [REFUSED]
    page.fill("#origins textarea", "not an origin")
    page.click("#origins button", "Save origins")
    page.wait("document.querySelector('#origins .error-code')?.innerText.length > 3")
    page.fill("", "", label="Streams")
    page.click("#quotas button", "Save quotas")
    wait_until(
        lambda: ask(guarded, "PUT", project.url(unique()), project.token("write"), type="text/plain").status == 201,
        "the quota is gone",
    )


def test_project_of_streams_alone(admin, stack: Stack, http: Client) -> None:
    """One that was never registered is shown, and can be."""
    person = admin(stack)
    name = project_name()
    expect(http.request("PUT", f"/v1/{name}/stream/a", [("Content-Type", "text/plain")]), 201)
    person.go("#/projects", "Projects")
    person.page.click("#main .name", name)
    person.page.sees("Not registered", "#main")
    person.page.click("#main button", "Register")
    person.page.click("dialog button", "Register")
    assert value_shown(person).startswith("dss_")
    person.page.click("dialog button", "I have stored it")
    person.page.wait("document.querySelectorAll('#secrets tbody tr').length === 1")
    person.stayed()
