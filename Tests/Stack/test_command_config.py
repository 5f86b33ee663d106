"""`check-config`, `default-config`, `completions`, `man`."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from cli import ask
from stack import BINARY, REPOSITORY, Stack, free_port

SETTINGS = (REPOSITORY / "Config/durable-streams.yaml").read_text()
KEYS = re.findall(r"^(\w+):", SETTINGS, re.MULTILINE)


def place(tmp_path: Path) -> dict[str, object]:
    return {"DS_DATA_DIR": tmp_path / "data", "DS_LISTEN": f"127.0.0.1:{free_port()}"}


def test_default_config(tmp_path: Path) -> None:
    """It is the file in the repository, and a server takes it."""
    assert ask(None, "default-config").expect(0).text == SETTINGS
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS)
    done = ask(None, "check-config", "--strict", path, **place(tmp_path)).expect(0)
    assert "fine" in done.text and not done.err and list(tmp_path.iterdir()) == [path]


def test_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("workers: 0\nlog_level: loud\nsse_lifetime: [1]\nunknown: 1\n")
    done = ask(None, "check-config", path, "--worker-threads", "x", "--nonsense", "1", DS_CACHE_SIZE="big", DS_UNKNOWN="2").expect(78)
    errors = [line for line in done.err.splitlines() if line.startswith("durable-streams: error: ")]
    warnings = [line for line in done.err.splitlines() if line.startswith("durable-streams: warning: ")]
    for words in (
        ["workers", '"0"', f"key workers of settings file {path}", "1 to 64"],
        ["log_level", '"loud"', "one of trace"],
        ["sse_lifetime", "a list"],
        ["worker_threads", '"x"', "flag --worker-threads"],
        ["cache_size", '"big"', "environment variable DS_CACHE_SIZE"],
        ["--nonsense", "the command line"],
    ):
        assert [line for line in errors if all(word in line for word in words)], (words, errors)
    assert len(errors) == 6 and len(warnings) == 2 and "6 error(s), 2 warning(s)" in done.text


def test_unknown_names_warn_and_are_errors_when_strict(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("from_the_future: 1\n")
    done = ask(None, "check-config", path, **place(tmp_path)).expect(0)
    assert "warning: unknown setting from_the_future" in done.refusal
    assert "error: unknown setting" in ask(None, "check-config", "--strict", path, **place(tmp_path)).expect(78).refusal
    assert "DS_FUTURE" in ask(None, "check-config", "--strict", DS_FUTURE=1, **place(tmp_path)).expect(78).refusal
    # Variables of the commands are none of a server.
    ask(None, "check-config", "--strict", DS_URL="http://x", DS_TOKEN="t", **place(tmp_path)).expect(0)


def test_open_servers(tmp_path: Path) -> None:
    port = free_port()
    settings = place(tmp_path) | {"DS_LISTEN": f"0.0.0.0:{port}"}
    assert "DS_AUTH" in ask(None, "check-config", **settings).expect(78).refusal
    assert "allow_open" in ask(None, "check-config", **settings, DS_ALLOW_OPEN="true").expect(0).refusal
    ask(None, "check-config", "--strict", **settings, DS_ALLOW_OPEN="true").expect(78)
    assert "auth_delegate_url" in ask(None, "check-config", **settings, DS_AUTH="delegate").expect(78).refusal
    jwt = settings | {"DS_AUTH": "project-jwt"}
    ask(None, "check-config", "--strict", **jwt, DS_PUBLIC_URL="https://streams.example").expect(0)
    assert "not encrypted" in ask(None, "check-config", **jwt, DS_PUBLIC_URL="http://streams.example").expect(0).refusal


def test_places(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    listen = place(tmp_path)["DS_LISTEN"]
    assert "not a directory" in ask(None, "check-config", DS_DATA_DIR=file, DS_LISTEN=listen).expect(78).refusal
    assert "can't be made" in ask(None, "check-config", DS_DATA_DIR=file / "x", DS_LISTEN=listen).refusal.replace("Not a directory", "can't be made")
    backup = tmp_path / "backup"
    backup.mkdir()
    (backup / "restoring").touch()
    assert "restore" in ask(None, "check-config", DS_DATA_DIR=backup, DS_LISTEN=listen).expect(78).refusal


def test_nginx(tmp_path: Path) -> None:
    """It has to be there, and to take what it would be given."""
    settings = place(tmp_path)
    assert "apt-get install nginx" in ask(None, "check-config", **settings, DS_NGINX_PATH="/nowhere/nginx").expect(78).refusal
    templates = tmp_path / "nginx"
    shutil.copytree(REPOSITORY / "nginx", templates)
    ask(None, "check-config", "--strict", **settings, DS_NGINX_TEMPLATES=templates).expect(0)
    server = templates / "durable-streams-server.conf"
    server.write_text(server.read_text() + "\nno_such_directive on;\n")
    done = ask(None, "check-config", **settings, DS_NGINX_TEMPLATES=templates).expect(78)
    assert "no_such_directive" in done.refusal and not list(Path("/tmp").glob("durable-streams-check-*/data/none"))
    assert "nginx_templates" in ask(None, "check-config", **settings, DS_NGINX_TEMPLATES=tmp_path).expect(78).refusal


def test_beside_a_running_server(stack: Stack, tmp_path: Path) -> None:
    """Its own address is no problem, that of another is."""
    listen = f"127.0.0.1:{stack.port}"
    done = ask(None, "check-config", "--strict", DS_LISTEN=listen, DS_DATA_DIR=stack.data_dir).expect(0)
    assert "fine" in done.text and stack.ready()
    assert listen in ask(None, "check-config", DS_LISTEN=listen, DS_DATA_DIR=tmp_path / "data").expect(78).refusal
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"{port}" in ask(None, "check-config", DS_LISTEN=f"127.0.0.1:{port}", DS_DATA_DIR=stack.data_dir).expect(78).refusal


# Completions.


def complete(script: str, line: str) -> list[str]:
    """What bash offers at the end of a line."""
    words = line.split(" ")
    program = f"""
    {script}
    COMP_LINE={line!r} COMP_POINT={len(line)} COMP_WORDS=({" ".join(repr(word) for word in words)}) COMP_CWORD={len(words) - 1}
    _durable-streams durable-streams {words[-1]!r} {words[-2]!r}
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, text=True, timeout=20, env={"PATH": f"{BINARY.parent}:/usr/bin:/bin"})
    assert not done.stderr, done.stderr
    return done.stdout.split()


def test_bash_completions() -> None:
    script = ask(None, "completions", "bash").expect(0).text
    commands = complete(script, "durable-streams ")
    assert {"serve", "append", "read", "inspect", "close", "delete", "check-config", "backup"} <= set(commands)
    for command in ("serve", "nginx-config", "check-config"):
        offered = complete(script, f"durable-streams {command} --")
        assert {f"--{key.replace('_', '-')}" for key in KEYS} | {"--config"} <= set(offered), command
        assert complete(script, f"durable-streams {command} --auth ") == ["none", "project-jwt", "delegate"]
        assert complete(script, f"durable-streams {command} --log-level wa") == ["warning"]
    assert complete(script, "durable-streams read --fol") == ["--follow"]
    assert complete(script, "durable-streams completions ") != []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_completions(shell: str, tmp_path: Path) -> None:
    script = ask(None, "completions", shell).expect(0).text
    for key in KEYS:
        flag = key.replace("_", "-")
        assert script.count(f"--{flag}[" if shell == "zsh" else f" -l {flag} ") >= 3, key
    assert ask(None, "completions", "tcsh").status == 64
    if program := shutil.which(shell):
        (tmp_path / "s").write_text(script)
        subprocess.run([program, "-n", str(tmp_path / "s")], check=True, timeout=20)


# The manual page.


def test_manual_page(tmp_path: Path) -> None:
    page = tmp_path / "durable-streams.1"
    page.write_text(ask(None, "man").expect(0).text)
    text = page.read_text()
    for word in ["serve", "append", "read", "check\\-config", "EXIT STATUS", "ENVIRONMENT", "DS_TOKEN", *(f"\\-\\-{key.replace('_', chr(92) + '-')}" for key in KEYS)]:
        assert word in text, word
    assert "exec\\-bound" not in text
    checks = {"mandoc": ["mandoc", "-Tlint", "-W", "warning", str(page)], "groff": ["groff", "-man", "-Tutf8", "-ww", "-z", str(page)]}
    for name, words in checks.items():
        if shutil.which(name):
            done = subprocess.run(words, capture_output=True, text=True, timeout=30)
            assert done.returncode == 0 and not done.stdout.strip() and not done.stderr.strip(), (name, done.stdout, done.stderr)
