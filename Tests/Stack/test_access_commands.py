"""The commands about projects, secrets and tokens, on data that nobody serves and beside a running server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from access import Project, command, command_json, project_name
from commands import run
from stack import Stack

TIME = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
SECRET = re.compile(r"dss_[!-~]{20,}")
NO_QUOTA = {"streams": None, "bytes": None, "body": None}

# Each command with the least that it needs.
LEAST = {
    "create-project": ["create-project", "NAME"],
    "projects": ["projects"],
    "add-secret": ["add-secret", "NAME"],
    "remove-secret": ["remove-secret", "NAME", "1"],
    "token": ["token", "NAME", "--scope", "read"],
    "check-token": ["check-token", "a.b.c", "--project", "NAME"],
    "streams": ["streams", "NAME"],
    "set-cors": ["set-cors", "NAME", "*"],
    "set-quota": ["set-quota", "NAME", "--streams", "1"],
    "rotate-reader-key": ["rotate-reader-key", "NAME"],
}


@pytest.fixture(params=["alone", "beside"])
def held(request: pytest.FixtureRequest, fresh_stack) -> Stack:
    """A data directory that no server has seen yet, and that of a running server, which other tests use too."""
    if request.param == "beside":
        return request.getfixturevalue("jwt_stack")
    stack = fresh_stack(start=False)
    stack.data_dir.mkdir()
    return stack


def shown(project: Project) -> dict[str, object]:
    """What `projects` says of one."""
    document = command_json(project.stack, "projects")
    assert list(document) == ["projects"]
    (found,) = [entry for entry in document["projects"] if entry["project"] == project.name]
    return found


def secret_ids(project: Project) -> list[int]:
    return [secret["id"] for secret in shown(project)["secrets"]]


# Projects and secrets.


def test_create_project(held: Stack) -> None:
    name = project_name()
    outcome = command(held, "create-project", name, "--json").expect(0)
    (line,) = outcome.out.splitlines()
    made = json.loads(line)
    assert list(made) == ["project", "id", "secret"] and made["project"] == name, made
    assert SECRET.fullmatch(made["secret"]) and isinstance(made["id"], int) and outcome.err == "", outcome.describe()


def test_create_project_for_people(held: Stack) -> None:
    """The secret alone on standard output, so that a shell can take it; what it is on standard error."""
    name = project_name()
    outcome = command(held, "create-project", name).expect(0)
    assert SECRET.fullmatch(outcome.out.removesuffix("\n")), outcome.describe()
    assert name in outcome.err and "not shown again" in outcome.err, outcome.describe()
    assert outcome.out.strip() not in outcome.err


def test_create_project_that_exists(held: Stack) -> None:
    """Nothing changes: its tokens are as good as before."""
    project = Project(held)
    before = shown(project)
    for flags in ([], ["--json"]):
        outcome = command(held, "create-project", project.name, *flags).expect(73)
        assert project.name in outcome.refusal
    assert shown(project) == before
    command(held, "check-token", project.token()).expect(0)


@pytest.mark.parametrize("name", ["a", "Z9", "A-b_c.d~e", "a" * 64, "_default"])
def test_names(fresh_stack, name: str) -> None:
    stack = fresh_stack(start=False)
    assert json.loads(command(stack, "create-project", "--json", "--", name).expect(0).out)["project"] == name
    assert [entry["project"] for entry in command_json(stack, "projects")["projects"]] == [name]


@pytest.mark.parametrize("name", ["", "a" * 65, "a/b", "a b", "a%20b", "ü", "a\n", "a:b", "*", ".", ".."])
def test_malformed_names(fresh_stack, name: str) -> None:
    stack = fresh_stack(start=False)
    stack.data_dir.mkdir()
    outcome = command(stack, "create-project", name).expect(65)
    assert "name" in outcome.refusal, outcome.describe()
    assert command_json(stack, "projects") == {"projects": []}


def test_projects(held: Stack) -> None:
    project = Project(held)
    project.add_secret()
    found = shown(project)
    assert list(found) == ["project", "created_at", "secrets", "cors", "quota", "usage"], found
    assert TIME.fullmatch(found["created_at"]), found
    assert [secret["id"] for secret in found["secrets"]] == sorted(project.secrets, reverse=True), "newest first"
    for secret in found["secrets"]:
        assert list(secret) == ["id", "created_at"] and TIME.fullmatch(secret["created_at"]), found
    assert (found["cors"], found["quota"]) == ([], NO_QUOTA), found
    assert found["usage"] == {"streams": 0, "bytes": 0}, found


def test_projects_for_people(held: Stack) -> None:
    """Neither form shows a secret."""
    project = Project(held)
    outcome = command(held, "projects").expect(0)
    assert project.name in outcome.out.splitlines(), outcome.describe()
    for text in (outcome.out, outcome.err, json.dumps(command_json(held, "projects"))):
        assert "dss_" not in text and project.secret.removeprefix("dss_") not in text


def test_no_projects(fresh_stack) -> None:
    stack = fresh_stack(start=False)
    stack.data_dir.mkdir()
    command(stack, "projects").expect(66)
    assert list(stack.data_dir.iterdir()) == [], "a mistyped directory is not taken for a new one"
    stack.start()
    assert command_json(stack, "projects") == {"projects": []}
    assert command(stack, "projects").expect(0).out == ""


def test_add_and_remove_secrets(held: Stack) -> None:
    """Both are good until one is removed; an id is never given again."""
    project = Project(held)
    (first,) = project.secrets
    second = project.add_secret()
    tokens = {number: project.token(secret=secret) for number, secret in project.secrets.items()}
    for number, token in tokens.items():
        assert command_json(held, "check-token", token)["secret_id"] == number
    project.remove_secret(first)
    assert secret_ids(project) == [second]
    command(held, "check-token", tokens[first]).expect(1)
    command(held, "check-token", tokens[second]).expect(0)
    third = project.add_secret()
    assert third > second > first and secret_ids(project) == [third, second]
    outcome = command(held, "add-secret", project.name).expect(0)
    assert SECRET.fullmatch(outcome.out.removesuffix("\n")) and "not shown again" in outcome.err, outcome.describe()
    outcome = command(held, "remove-secret", project.name, third).expect(0)
    assert project.name in outcome.out and str(third) in outcome.out, outcome.describe()


def test_the_last_secret_stays(held: Stack) -> None:
    project = Project(held)
    (number,) = project.secrets
    for _ in range(2):
        outcome = command(held, "remove-secret", project.name, number).expect(65)
        assert "last" in outcome.refusal and "add-secret" in outcome.refusal, outcome.describe()
    assert secret_ids(project) == [number]
    command(held, "check-token", project.token()).expect(0)


def test_secrets_of_others(held: Stack) -> None:
    """An id belongs to one project."""
    project, other = Project(held), Project(held)
    project.add_secret(), other.add_secret()
    strange = max(other.secrets) if max(other.secrets) not in project.secrets else 999_999
    for number in (strange, 999_999, 0):
        outcome = command(held, "remove-secret", project.name, number).expect(66)
        assert project.name in outcome.refusal and str(number) in outcome.refusal, outcome.describe()
    assert len(secret_ids(project)) == len(secret_ids(other)) == 2


# Origins, quotas, reader keys.


def test_set_cors(held: Stack) -> None:
    """Each list takes the place of the one before."""
    project = Project(held)
    several = ["http://localhost:8080", "https://a.example", "http://[::1]:81"]
    for origins in (["https://shop.example.org"], several, ["*"]):
        answer = command_json(held, "set-cors", project.name, *origins)
        assert answer == {"project": project.name, "cors": origins}
        assert shown(project)["cors"] == origins
        assert origins[-1] in command(held, "set-cors", project.name, *origins).expect(0).out
    assert command_json(held, "set-cors", project.name, "--none") == {"project": project.name, "cors": []}
    assert shown(project)["cors"] == []


@pytest.mark.parametrize(
    "origin",
    ["", "shop.example.org", "https://", "https://a/", "https://a/b", "https://a?b", "https://a#b", "https://u@a"]
    + ["https://a b", "https://a:", "https://a:x", "https://a:99999", "//a", "**", "https://a,https://b"]
    + ["https://a\r\nX: y"],
)
def test_malformed_origins(fresh_stack, origin: str) -> None:
    project = Project(fresh_stack(start=False))
    command_json(project.stack, "set-cors", project.name, "https://good.example")
    for origins in ([origin], ["https://other.example", origin]):
        outcome = command(project.stack, "set-cors", project.name, *origins).expect(64)
        assert outcome.out == "" and "origin" in outcome.err, outcome.describe()
    assert shown(project)["cors"] == ["https://good.example"]


def test_set_quota(held: Stack) -> None:
    """What is not given stays, 0 takes a limit away, and sizes are written as in settings."""
    project = Project(held)
    quota = dict(NO_QUOTA)
    for arguments, change in (
        (["--streams", 5], {"streams": 5}),
        (["--bytes", "10GiB"], {"bytes": 10 << 30}),
        (["--body", 1000], {"body": 1000}),
        (["--streams", 0, "--body", "2KiB"], {"streams": None, "body": 2048}),
        ([], {}),
        (["--bytes", 0, "--body", "0"], {"bytes": None, "body": None}),
    ):
        quota |= change
        answer = command_json(held, "set-quota", project.name, *arguments)
        assert answer == {"project": project.name, "quota": quota}, arguments
        assert shown(project)["quota"] == quota
    assert "7MiB" in command(held, "set-quota", project.name, "--body", "7MiB").expect(0).out


def test_rotate_reader_key_of_what_is_not_there(held: Stack) -> None:
    project = Project(held)
    outcome = command(held, "rotate-reader-key", project.name, "no/such").expect(66)
    assert "no/such" in outcome.refusal, outcome.describe()
    assert command_json(held, "rotate-reader-key", project.name) == {"project": project.name, "stream": None}
    assert project.name in command(held, "rotate-reader-key", project.name).expect(0).out


# What all commands do alike.


@pytest.mark.parametrize("name", [name for name in LEAST if name not in ("create-project", "projects", "check-token")])
def test_unknown_project(held: Stack, name: str) -> None:
    Project(held)
    missing = project_name()
    for flags in ([], ["--json"]):
        outcome = command(held, *[missing if word == "NAME" else word for word in LEAST[name]], *flags).expect(66)
        assert missing in outcome.refusal, outcome.describe()


@pytest.mark.parametrize(
    "arguments",
    [[name] for name in LEAST if name != "projects"]
    + [[*words, "one-too-many"] for name, words in LEAST.items() if name not in ("set-cors", "rotate-reader-key")]
    + [[*words, "--no-such-flag"] for words in LEAST.values()]
    + [["rotate-reader-key", "p", "a", "b"], ["remove-secret", "p"]]
    + [["remove-secret", "p", number] for number in ("x", "", "1.5", "+1", "99999999999999999999")]
    + [["token", "p"], ["token", "p", "--scope"], ["token", "p", "--scope", "admin"], ["token", "p", "--scope", ""]]
    + [["token", "p", "--scope", "read", "--expires-in", text] for text in ("0", "x", "1.5", "+1", "1h", str(2**63))]
    + [["set-cors", "p"], ["set-cors", "p", "*", "--none"], ["set-cors", "p", "*", "https://a.example"]]
    + [["set-quota", "p", flag, text] for flag in ("--streams", "--bytes", "--body") for text in ("x", "+1", "1MB", "")]
    + [["set-quota", "p", "--streams", "1KiB"], ["set-quota", "p", "--bytes", "99999999TiB"]]
    + [["streams", "p", "--limit", text] for text in ("0", "1001", "x", "+1", "")],
    ids=" ".join,
)
def test_usage(tmp_path: Path, arguments: list[str]) -> None:
    """Status 64 with the command's usage, before anything is made."""
    outcome = run(*arguments, "--data-dir", tmp_path / "data").expect(64)
    assert outcome.out == "" and f"durable-streams {arguments[0]}" in outcome.err, outcome.describe()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", LEAST)
def test_help(name: str) -> None:
    """What it does, one example, and every way to name the data."""
    outcome = run(name, "--help").expect(0)
    example = re.search(r"Example: (.*?)\n\n", outcome.out, re.DOTALL)
    assert example and f"durable-streams {name}" in " ".join(example[1].split()), outcome.describe()
    assert {"--data-dir", "--config", "--json"} <= set(re.findall(r"--[a-z-]+", outcome.out)), outcome.describe()
    overview = run("--help").expect(0).out
    assert re.search(rf"^  {name}\s+\S", overview, re.MULTILINE), overview


def test_where_the_data_are(fresh_stack) -> None:
    """By flag, by variable, by settings file, and relative to the working directory; the first command makes them."""
    root = fresh_stack(start=False).data_dir.parent
    data, settings = root / "data", root / "settings.yaml"
    settings.write_text(f"data_dir: {data}\n")
    run("create-project", "a", "--data-dir", data).expect(0)
    run("create-project", "b", DS_DATA_DIR=data).expect(0)
    run("create-project", "c", "--config", settings).expect(0)
    run("create-project", "d", cwd=root).expect(0)
    outcome = run("projects", "--json", "--data-dir", "data", cwd=root).expect(0)
    assert [entry["project"] for entry in json.loads(outcome.out)["projects"]] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("name", LEAST)
def test_a_file_in_place_of_the_data_directory(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    data.write_text("mine")
    outcome = run(*LEAST[name], "--data-dir", data)
    assert outcome.status in (66, 73, 74, 78) and str(data) in outcome.refusal, outcome.describe()
    assert data.read_text() == "mine"
