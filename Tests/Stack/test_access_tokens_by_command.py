"""The commands `token` and `check-token`: what one signs others can read, and the other says what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import jwt
import pytest

import bad_tokens
from access import Project, command, command_json
from commands import PATIENCE, environment
from stack import BINARY, Stack, remove_tree, temporary_root

HOUR = 3600
RIGHTS = ["read", "write", "manage"]


@pytest.fixture(scope="module")
def owner() -> Iterator[Project]:
    """A project in data that nobody serves."""
    root = temporary_root()
    stack = Stack(root / "data")
    stack.data_dir.mkdir()
    try:
        yield Project(stack)
    finally:
        remove_tree(root)


def decode(project: Project, token: str, secret: str | None = None) -> dict[str, object]:
    """The claims, by an implementation that is not ours; `iat` is optional and has to be now."""
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    claims = jwt.decode(token, secret or project.secret, algorithms=["HS256"], subject=project.name)
    assert abs(claims.pop("iat", time.time()) - time.time()) < 60
    return claims


def problem(project: Project, token: str, *arguments: object) -> str:
    """Why a token is not good, in both forms alike."""
    outcome = command(project.stack, "check-token", token, *arguments, "--json").expect(1)
    document = json.loads(outcome.out)
    assert list(document) == ["valid", "problem", "claims", "secret_id"] and outcome.err == "", outcome.describe()
    assert document["valid"] is False and document["problem"] and "\n" not in document["problem"], document
    plain = command(project.stack, "check-token", token, *arguments).expect(1)
    assert len(plain.out.splitlines()) == 1 and plain.err == "", plain.describe()
    # The same words, but for the seconds that go by meanwhile.
    assert re.sub(r"\d+ s", "", document["problem"]) in re.sub(r"\d+ s", "", plain.out), plain.describe()
    for secret in project.secrets.values():
        assert secret not in outcome.out + plain.out
    return document["problem"]


# token


@pytest.mark.parametrize("scopes", [["read"], ["write"], ["manage"], ["read", "write"], ["manage", "read"]])
def test_scopes(owner: Project, scopes: list[str]) -> None:
    before = int(time.time())
    flags = [word for scope in scopes for word in ("--scope", scope)]
    answer = command_json(owner.stack, "token", owner.name, *flags)
    assert list(answer) == ["project", "token", "expires_at"] and answer["project"] == owner.name, answer
    claims = decode(owner, answer["token"])
    assert set(claims) == {"sub", "scope", "exp"} and claims["sub"] == owner.name, claims
    # Neither more nor less than was asked for: the larger includes the smaller, which may be left out.
    assert max(claims["scope"].split(" "), key=RIGHTS.index) == max(scopes, key=RIGHTS.index), claims
    assert claims["exp"] == answer["expires_at"], "a whole number of seconds"
    assert before + HOUR - 1 <= claims["exp"] <= time.time() + HOUR + 1


@pytest.mark.parametrize("stream", ["rooms/lobby", "rooms/*", "caf%C3%A9/x"])
def test_stream_and_life(owner: Project, stream: str) -> None:
    before = time.time()
    answer = command_json(owner.stack, "token", owner.name, "--scope", "read", "--stream-id", stream, "--expires-in", 7)
    claims = decode(owner, answer["token"])
    assert set(claims) == {"sub", "scope", "exp", "stream_id"} and claims["stream_id"] == stream, claims
    assert before + 6 <= claims["exp"] <= time.time() + 8


def test_for_people(owner: Project) -> None:
    """The token alone on standard output, as `$(…)` takes it."""
    outcome = command(owner.stack, "token", owner.name, "--scope", "read").expect(0)
    assert outcome.out.endswith("\n") and len(outcome.out.split()) == 1, outcome.describe()
    decode(owner, outcome.out.strip())
    assert outcome.out.strip() not in outcome.err


def test_the_newest_secret_signs(fresh_stack) -> None:
    project = Project(fresh_stack(start=False))
    for _ in range(3):
        answer = command_json(project.stack, "token", project.name, "--scope", "read")
        decode(project, answer["token"], project.secret)
        assert command_json(project.stack, "check-token", answer["token"])["secret_id"] == max(project.secrets)
        project.add_secret()


# check-token


def test_good(owner: Project) -> None:
    """Ours and another implementation's; every claim that the token has, and no other."""
    expires = int(time.time()) + 100
    claims = {"sub": owner.name, "scope": "manage", "exp": expires, "nbf": expires - 200, "iat": expires - 150}
    claims["stream_id"] = 'a"b\\c\n\u0001\u00e9\U0001f600/*'
    for left_out in (set(), {"nbf", "iat", "stream_id"}):
        sent = {name: value for name, value in claims.items() if name not in left_out}
        answer = command_json(owner.stack, "check-token", jwt.encode(sent, owner.secret, "HS256"))
        assert (answer["valid"], answer["problem"], answer["secret_id"]) == (True, None, max(owner.secrets)), answer
        found = answer["claims"]
        assert "manage" in found["scope"].split(" ") and found | {"scope": "manage"} == sent, answer
    ours = command_json(owner.stack, "token", owner.name, "--scope", "write", "--stream-id", "a/*")["token"]
    outcome = command(owner.stack, "check-token", ours, "--project", owner.name).expect(0)
    assert outcome.out.startswith("valid") and "write" in outcome.out and "a/*" in outcome.out, outcome.describe()
    assert owner.name in outcome.out and outcome.err == "", outcome.describe()


@pytest.mark.parametrize("frame", ["{}", "{}\n", "  {} \r\n", "{}\nrest\n"])
@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
def test_from_standard_input(owner: Project, frame: str, good: bool) -> None:
    """So it stays out of the shell's history, and out of what others see of processes."""
    token = owner.token(expires_in=HOUR if good else -12)
    result = subprocess.run(
        [str(BINARY), "check-token", "-", "--project", owner.name],
        input=frame.format(token).encode(),
        env=environment({"DS_DATA_DIR": owner.stack.data_dir}),
        capture_output=True,
        timeout=PATIENCE,
    )
    assert result.returncode == (0 if good else 1), result
    assert result.stdout.startswith(b"valid" if good else b"not valid") and result.stderr == b"", result


@pytest.mark.parametrize("name", bad_tokens.BAD)
def test_bad(owner: Project, name: str) -> None:
    """Every token that the server refuses, with a word of the reason."""
    make, reason = bad_tokens.BAD[name]
    found = problem(owner, make(owner), "--project", owner.name)
    assert re.search(reason, found, re.IGNORECASE), f"{found!r} has nothing of {reason!r}"


@pytest.mark.parametrize("token", ["", " ", "a", "."], ids=repr)
def test_no_token_at_all(owner: Project, token: str) -> None:
    problem(owner, token)
    problem(owner, token, "--project", owner.name)


def test_how_long_ago(owner: Project) -> None:
    found = problem(owner, owner.token(expires_in=-12))
    assert any(f"expired {seconds} s ago" in found for seconds in range(12, 20)), found


def test_another_project(owner: Project) -> None:
    """A token is checked as if it were sent there; an unknown project answers like a wrong token."""
    other = Project(owner.stack)
    token = other.token()
    command(owner.stack, "check-token", token).expect(0)
    problem(owner, token, "--project", owner.name)
    # Signed by the right secret, it says what is wrong with it.
    assert "sub" in problem(owner, owner.token(sub=other.name), "--project", owner.name)
    assert "no-such-project" in problem(owner, owner.token(sub="no-such-project"))
    assert "no-such-project" in problem(owner, token, "--project", "no-such-project")


def test_a_removed_secret(fresh_stack) -> None:
    project = Project(fresh_stack(start=False))
    (first,) = project.secrets
    token = project.token()
    project.add_secret()
    project.remove_secret(first)
    assert "signature" in problem(project, token)
