"""README.md: its curl tour, its Python program and its table of settings are what the server does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from client import Client
from stack import BINARY, REPOSITORY, Stack, free_port

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SETTINGS = (REPOSITORY / "Config/durable-streams.yaml").read_text(encoding="utf-8")
ORIGIN = "http://127.0.0.1:4437"
MARK = "--- end of step"
# Names that tell what the tour has to show; a removed step fails here.
OPERATIONS = {
    "create": "-X PUT -H 'Content-Type: text/plain' -d",
    "create JSON": "-X PUT -H 'Content-Type: application/json'",
    "create with TTL": "-H 'Stream-TTL:",
    "create closed": "-X PUT -H 'Content-Type: application/json' -H 'Stream-Closed: true'",
    "append": "curl -i -H 'Content-Type: text/plain' -d",
    "JSON batch": "-d '[{",
    "resume": "?offset=$OFFSET",
    "head": "curl -I",
    "long-poll": "live=long-poll",
    "SSE": "live=sse",
    "producer": "Producer-Seq:0",
    "gap": "Producer-Seq:2",
    "sequence": "Stream-Seq: 0001",
    "close": "-H 'Stream-Closed: true' -d ' Bye.'",
    "conditional": "If-None-Match",
    "delete": "-X DELETE",
    "preflight": "-X OPTIONS",
    "retention": "Stream-Retention-Age",
    "project": "/v1/shop/stream/",
    "health": "/healthz",
    "ready": "/readyz",
}


@dataclass
class Step:
    """Commands up to the next answer, and the lines shown of that answer."""

    command: str
    shown: list[str]


def section(title: str) -> str:
    """A part of README.md by its heading, up to the next of the same level."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert match, f"README.md has no section {title!r}"
    return match.group(1)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def steps() -> list[Step]:
    """The tour's commands in order; `# ` starts a line of the answer to the command above it."""
    found: list[Step] = []
    for block in blocks(section("A tour with curl"), "sh"):
        for line in block.splitlines():
            if line.startswith("# "):
                assert found, f"an answer without a command: {line}"
                found[-1].shown.append(line[2:])
            elif found and not found[-1].shown:
                found[-1].command += "\n" + line
            else:
                found.append(Step(line, []))
    assert all(step.shown for step in found), f"without an answer: {found[-1].command}"
    return found


def run(script: str) -> str:
    """What a shell prints; the tour's own curl time-out is no failure."""
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    # -q: no curlrc of whoever runs the tests.
    script = 'curl() { command curl -q "$@"; }\n' + script
    done = subprocess.run(
        ["bash", "-c", script], env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=50
    )
    return done.stdout.decode("utf-8").replace("\r\n", "\n")


def pattern(shown: str) -> re.Pattern[str]:
    """What a shown line stands for: `…` is any text, a cursor any number."""
    text = re.escape(shown).replace("…", ".*")
    text = re.sub(r'((?:Stream\\-Cursor:\\ |"streamCursor":"))\d+', r"\1[0-9]+", text)
    return re.compile(text)


def check_answer(step: Step, output: str) -> None:
    """The status of the answer, then each shown line somewhere below it, in the shown order or another."""
    statuses = [line for line in output.splitlines() if line.startswith("HTTP/") and " 100 " not in line]
    context = f"after\n{step.command}\nthe server answered\n{output}"
    status, *lines = step.shown
    assert statuses == [status], f"README.md shows {status!r}, but {context}"
    answer = output.splitlines()
    for line in lines:
        expression = pattern(line)
        assert any(expression.fullmatch(have) for have in answer), f"README.md shows {line!r}, but {context}"
    for name in ("Stream-Up-To-Date", "Stream-Closed"):
        # Their absence says something, so leaving one out would tell readers a falsehood.
        if any(line.startswith("Stream-Next-Offset:") for line in lines):
            told = any(line.startswith(f"{name}:") for line in lines)
            sent = any(have.startswith(f"{name}:") for have in answer)
            assert told == sent, f"README.md {'shows' if told else 'leaves out'} {name}, but {context}"


def test_tour(fresh_stack) -> None:
    """Every command of the tour, in order, on a new server with default settings; answers as shown."""
    stack: Stack = fresh_stack()
    origin = f"http://127.0.0.1:{stack.port}"
    tour = steps()
    script = "".join(f"{step.command}\nwait\nprintf '\\n%s\\n' '{MARK}'\n" for step in tour)
    outputs = run(script.replace(ORIGIN, origin)).replace(origin, ORIGIN).split(f"\n{MARK}\n")
    assert len(outputs) == len(tour) + 1 and outputs[-1] == "", outputs
    for step, output in zip(tour, outputs):
        check_answer(step, output)


def test_command_line(fresh_stack, tmp_path: Path) -> None:
    """The commands that are clients print what is shown, in order, on a new server."""
    stack: Stack = fresh_stack()
    origin = f"http://127.0.0.1:{stack.port}"
    script = "".join(blocks(section("From the command line"), "sh")).replace(".build/release/durable-streams", str(BINARY))
    steps = re.findall(r"((?:^[^#\n].*\n)+)((?:^# .*\n)+)", script, re.MULTILINE)
    assert len(steps) >= 9
    script = f"cd {tmp_path}; export DS_URL={origin}; exec 2>&1\n" + "".join(
        f"{command}printf '\\n%s\\n' '{MARK}'\n" for command, _ in steps
    )
    outputs = run(script).replace(origin, ORIGIN).split(f"\n{MARK}\n")
    for (command, shown), output in zip(steps, outputs):
        have = output.splitlines()
        for line in shown.splitlines():
            assert any(pattern(line[2:]).fullmatch(one) for one in have), f"README.md shows {line!r}, but after\n{command}came\n{output}"


def test_backup_commands(fresh_stack, tmp_path: Path) -> None:
    """They do what they print, in order, beside a running server."""
    stack: Stack = fresh_stack()
    (block,) = blocks(section("Back up, restore, check"), "sh")
    with closing(Client(stack)) as http:
        http.create("a", "text/plain", "abc", Stream_Closed="true")
    places = {".build/release/durable-streams": str(BINARY), "/srv/streams-again": f"{tmp_path}/again"}
    places |= {"/backup/streams": f"{tmp_path}/backup", "/srv/streams": str(stack.data_dir)}
    for old, new in places.items():
        block = block.replace(old, new)
    commands = re.findall(r"^([^#].*)\n# (.*)$", block, re.MULTILINE)
    assert {command.split()[1] for command, _ in commands} == {"backup", "verify", "restore"}
    for command, shown in commands:
        output = run(command).splitlines()
        assert len(output) == 1 and pattern(shown).fullmatch(output[0]), (command, output)


def test_status_command(fresh_stack) -> None:
    """It shows what README shows of it."""
    stack: Stack = fresh_stack()
    (block,) = blocks(section("Look after it"), "sh")
    command, *shown = block.splitlines()
    output = run(command.replace(".build/release/durable-streams", str(BINARY)).replace("--data-dir data", f"--data-dir {stack.data_dir}"))
    for line in shown:
        assert any(pattern(line.removeprefix("# ")).fullmatch(have) for have in output.splitlines()), (line, output)


def test_access_commands(fresh_stack) -> None:
    """They do what they show, in order, on a server with tokens."""
    stack: Stack = fresh_stack(DS_AUTH="project-jwt")
    script = "".join(blocks(section("Access"), "sh"))
    places = {".build/release/durable-streams": str(BINARY), "--data-dir data": f"--data-dir {stack.data_dir}"}
    for old, new in (places | {ORIGIN: f"http://127.0.0.1:{stack.port}"}).items():
        script = script.replace(old, new)
    steps = re.findall(r"((?:^[^#\n].*\n)+)((?:^# .*\n)+)", script, re.MULTILINE)
    assert len(steps) >= 10
    # A second for the server to notice the project.
    outputs = run("".join(f"{command}sleep 0.3\nprintf '\\n%s\\n' '{MARK}'\n" for command, _ in steps)).split(f"\n{MARK}\n")
    for (command, shown), output in zip(steps, outputs):
        have = output.splitlines()
        for line in shown.splitlines():
            assert any(pattern(line[2:]).fullmatch(one) for one in have), f"README.md shows {line!r}, but after\n{command}came\n{output}"


def test_delegate_program(fresh_stack) -> None:
    """The key service decides as it says."""
    (program,) = blocks(section("Access"), "python")
    port = free_port()
    service = subprocess.Popen([sys.executable, "-c", program.replace("9000", str(port))], stderr=subprocess.DEVNULL)
    try:
        stack: Stack = fresh_stack(DS_AUTH="delegate", DS_AUTH_DELEGATE_URL=f"http://127.0.0.1:{port}/check")
        with closing(Client(stack)) as http:
            expected = {None: (401, 401), "reader-key": (403, 404), "writer-key": (201, 200), "x": (401, 401)}
            for key, statuses in expected.items():
                headers = {"X-API-Key": key} if key else {}
                found = [http.request(method, "/v1/stream/a", headers | {"Content-Type": "text/plain"}).status for method in ("PUT", "GET")]
                assert tuple(found) == statuses, key
    finally:
        service.kill()
        service.wait()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_tour_is_complete(operation: str) -> None:
    assert any(OPERATIONS[operation] in step.command for step in steps()), f"the tour does not show: {operation}"


def test_python_program(stack: Stack) -> None:
    """It prints what its comments say."""
    (program,) = blocks(section("From Python"), "python")
    shown = [line.strip()[2:] for line in program.splitlines() if line.strip().startswith("# ")]
    done = subprocess.run(
        [sys.executable, "-c", program.replace(ORIGIN, f"http://127.0.0.1:{stack.port}")],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert shown and done.stdout.splitlines() == shown


def test_table_of_settings() -> None:
    """Every key with its variable, default and unit, in the order of the settings file; no other."""
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))[:4]
        for line in section("Configuration").splitlines()
        if "`DS_" in line and line.startswith("|")
    ]
    expected, unit = [], ""
    for line in SETTINGS.splitlines():
        if match := re.match(r"# Unit: (.+?)\.(?: |$)", line):
            unit = match.group(1)
        elif match := re.match(r"(\w+): (.*)", line):
            key, default = match.group(1), match.group(2).strip('"')
            expected.append((f"`{key}`", f"`DS_{key.upper()}`", f"`{default}`" if default else "empty", unit))
    assert rows == expected


def test_links() -> None:
    """Every relative link leads to a file."""
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    missing = [target for target in targets if not Path(REPOSITORY / target).exists()]
    assert targets and not missing, missing
