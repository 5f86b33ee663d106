"""How nginx and the server talk about a request stays between them: no client can set it, see it or go round it."""

from __future__ import annotations

import re

import pytest

from access import Project, ask, check_bad_token, check_no_token
from client import Client, expect
from isolation import SMALL_PIECES, Held, cut, cut_stack, hold, look, mine, new_project, other  # noqa: F401 (fixtures)
from stack import REPOSITORY, Stack
from store import files, wait_for_rotation
from test_cache import own, served

# Parameters and answer headers by which the parts talk, as a client would have to spell them.
INTERNAL = ["Verdict", "Allow-Origin", "Vary", "Scope", "Public", "Project", "Stream", "Cache", "Cache-Key", "Generation", "Uncached", "Takes-Files",
            "If-None-Match", "Authorized", "Auth", "Expires", "Reader-Key", "Expose"]  # fmt: skip
VALUES = ["allow", "*", "1", "public", "https://evil.example", "/.durable-streams-segments/"]


def hostile(held: Held) -> list[tuple[str, str]]:
    """Headers by which a careless server could be talked into something."""
    start, good = held.project.url(held.path), f"Bearer {held.good}"
    found = [(f"{prefix}{name}", value) for name in INTERNAL for prefix in ("DS-", "X-DS-") for value in VALUES]
    found += [(f"HTTP_DS_{name.upper().replace('-', '_')}", "1") for name in INTERNAL] + [(f"DS_{name}", "allow") for name in INTERNAL]
    found += [("X-Original-Method", method) for method in ("OPTIONS", "GET", "HEAD")]
    names = ("X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri")
    found += [(name, target) for name in names for target in ("/healthz", "/readyz", start)]
    found += [("X-Original-Forked-From", start), ("X-HTTP-Method-Override", "OPTIONS"), ("X-Method-Override", "OPTIONS")]
    found += [("X-Accel-Redirect", target) for target in ("/.durable-streams-segments/", "@durable_streams_poll", start)]
    found += [("X-Accel-Expires", "3600"), ("X-Accel-Buffering", "yes"), ("X-Accel-Charset", "utf-8"), ("X-Cache", "HIT"), ("X-Sendfile", "/etc/passwd")]
    found += [("X-Real-IP", "127.0.0.1"), ("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=127.0.0.1"), ("Forwarded", f'by="{good}"')]
    found += [(name, good) for name in ("Proxy-Authorization", "X-Authorization", "X-Forwarded-Authorization", "X-Original-Authorization", "Cookie")]
    found += [("Authorization_", good), ("Cookie", f"Authorization={held.good}; token={held.good}"), ("Stream-Public", "true")]
    found += [("Stream-Reader-Key", held.key()), ("Upgrade", "h2c"), ("Expect-CT", "x"), ("Via", "1.1 nginx"), ("Status", "200"), ("Server", "x")]
    return found


def test_no_header_lets_a_stranger_in(cut: Client, mine: Project, other: Project) -> None:
    held = hold(cut, mine)
    theirs = other.token("manage")
    for header in hostile(held):
        held.warm()
        for method in ("GET", "HEAD"):
            check_no_token(held.deny(look(cut.request(method, held.target, [header]))), method == "HEAD")
            check_bad_token(held.deny(look(ask(cut, method, held.target, theirs, headers=[header]))), method == "HEAD")
    assert held.warm().body == held.content[:65536]


def test_no_header_changes_what_others_get(cut: Client, mine: Project) -> None:
    """Sent by who may read: neither the copy nor anybody else's answer is another one for it."""
    held = hold(cut, mine)
    plain = expect(held.read(), 200)
    tail = mine.url(held.path, own(held.tail, 196_608))
    for header in hostile(held):
        if header[0].lower() == "upgrade":
            continue
        for target, content in ((held.target, held.content[:65536]), (tail, held.content[196_608:])):
            for headers in ([header], []):
                answer = expect(held.read(target, headers=headers), 200)
                assert answer.body == content and (target == held.target or served(answer) != "HIT"), (header, answer.describe())
                assert "evil.example" not in answer.head.decode("latin-1") and "Stream-Public" not in answer, (header, answer.describe())
                assert answer.get("Cache-Control") == plain.get("Cache-Control"), (header, answer.describe())


@pytest.mark.parametrize("parameter", ["access_token", "token", "authorization", "Authorization", "bearer", "jwt"])
def test_a_token_in_the_query_is_none(cut: Client, mine: Project, parameter: str) -> None:
    """It would be in logs, and in keys of caches."""
    held = hold(cut, mine)
    for value in (held.good, f"Bearer%20{held.good}"):
        target = f"{held.target}&{parameter}={value}"
        expect(held.read(target), 200)
        expect(held.read(target), 200)
        check_no_token(held.deny(look(ask(cut, "GET", target))))


def test_two_authorizations(cut: Client, mine: Project, other: Project) -> None:
    """Of a good and a bad one neither counts."""
    held = hold(cut, mine)
    good, bad = (("Authorization", f"Bearer {token}") for token in (held.good, other.token("read")))
    for pair in ([good, bad], [bad, good], [good, good]):
        held.warm()
        assert held.deny(look(cut.request("GET", held.target, pair))).status == 400
    for value in (f"Bearer {held.good}, Bearer {held.good}", f"Bearer {held.good} {held.good}", f"Bearer {held.good},{other.token()}"):
        assert held.deny(look(cut.request("GET", held.target, [("Authorization", value)]))).status == 401


def locations(stack: Stack) -> list[str]:
    """Every internal place that is named by the templates, and by what was made of them."""
    folders = [REPOSITORY / "nginx", stack.data_dir]
    text = "\n".join(file.read_text("utf-8", "replace") for folder in folders for file in folder.rglob("*.conf"))
    found = sorted(set(re.findall(r"/\.durable-streams-[a-z0-9-]+/?", text)))
    assert len(found) > 10, found
    return found


def test_internal_places_are_closed(cut_stack: Stack, cut: Client, mine: Project) -> None:
    """To everybody, in whatever spelling: an error of ours, which tells nothing of a stream."""
    held = hold(cut, mine)
    etag = held.warm().get("ETag") or ""
    for place in [*locations(cut_stack), "/.durable-streams-auth", "/.durable-streams-verdict", "/_auth"]:
        for target in (place, f"{place}?{own(held.tail)}", place.replace("/.", "/%2e", 1), f"{place}{mine.url(held.path)}", f"/v1/..{place}",
                       f"{mine.url('')}..{place}", f"//{place}", f"/.{place}", f"http://127.0.0.1{place}"):  # fmt: skip
            for token in (None, held.good, mine.token("manage")):
                for method in ("GET", "POST", "PUT", "HEAD"):
                    answer = held.deny(ask(cut, method, target, token, If_None_Match=etag))
                    # The operator's route has headers of its own (test_admin_access.py).
                    if "-admin-" not in place:
                        look(answer)
                    assert answer.status in (400, 401, 403, 404, 405, 414), f"{method} {target}: {answer.describe()}"
                    assert served(answer) != "HIT" and "Stream-Next-Offset" not in answer and "ETag" not in answer, answer.describe()


def test_segment_files_are_closed(fresh_stack) -> None:
    """By name too, for whoever may read all of them in the right way."""
    stack = fresh_stack(**SMALL_PIECES | {"DS_SEGMENT_MAX_MESSAGES": 2})
    client, project = Client(stack), new_project(stack)
    held = hold(client, project, Stream_Closed="true")
    wait_for_rotation(stack)
    assert expect(held.read(project.url(held.path)), 200).body == held.content
    for file in files(stack):
        name = file.relative_to(stack.data_dir / "segments")
        for token in (None, held.good, project.token("manage")):
            place = f".durable-streams-segments/{name}"
            for target in (f"/{place}", f"/.durable-streams-segments//{name}", f"/%2Edurable-streams-segments/{name}", f"/v1/../{place}",
                           f"/segments/{name}", f"{project.url('')}../../../{place}"):  # fmt: skip
                answer = held.deny(look(ask(client, "GET", target, token, Range="bytes=0-99")))
                assert answer.status in (400, 401, 403, 404), answer.describe()
    client.close()
