"""nginx's configuration as it is rendered: nginx takes it, a security analyser has nothing against it, no secret is in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import run

DELEGATE = {"DS_AUTH": "delegate", "DS_AUTH_DELEGATE_URL": "http://127.0.0.1:9000/check"}
LIMITS = {"DS_RATE_PER_ADDRESS": 50, "DS_RATE_PER_PROJECT": 500, "DS_LIVE_PER_ADDRESS": 20, "DS_LIVE_PER_PROJECT": 2000}
MODES = {
    f"{name}-{limited}": mode | limits
    for name, mode in (("none", {}), ("project-jwt", {"DS_AUTH": "project-jwt"}), ("delegate", DELEGATE))
    for limited, limits in (("unlimited", {}), ("limited", LIMITS))
}

# Findings of medium or high severity that are accepted, each by check and summary, with the reason.
ACCEPTED = {
    ("weak_ssl_tls", "Missing ssl_protocols directive"): "the rendered server has no TLS: it belongs into the administrator's own `server`",
    ("weak_ssl_tls", "Missing ssl_ciphers directive"): "as above",
    ("hsts_header", "Missing HSTS header"): "as above: without TLS browsers ignore it, and it would speak for a whole host",
    ("host_spoofing", "The proxied Host header may be spoofed."): "the live process neither routes nor authorises by Host",
    ("worker_rlimit_nofile_vs_connections", "The worker_rlimit_nofile should be at least twice than worker_connections."):
        "the supervisor raises the limit of open files to what the system allows; nginx inherits it",
}  # fmt: skip


@pytest.fixture(params=MODES.values(), ids=MODES.keys())
def rendered(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of a rendered configuration."""
    return render(tmp_path, request.param)


def render(folder: Path, settings: dict[str, object]) -> Path:
    outcome = run("nginx-config", "--output", folder / "out", DS_DATA_DIR=folder / "data", **settings).expect(0)
    assert sorted(outcome.out.split()) == sorted(str(path) for path in (folder / "out").iterdir()), outcome.describe()
    return folder / "out"


def tool(name: str) -> str:
    """A program of this Python environment, or of the system."""
    places = [Path(sys.executable).parent, *os.environ.get("PATH", "").split(os.pathsep), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    found = shutil.which(name, path=os.pathsep.join(map(str, places)))
    assert found, f"{name} is missing"
    return found


def findings(configuration: Path) -> list[dict[str, str]]:
    """Of medium or high severity."""
    done = subprocess.run([tool("gixy"), "-f", "json", str(configuration)], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1) and not done.stderr.strip(), done.stderr
    return [found for found in json.loads(done.stdout) if found["severity"] in ("MEDIUM", "HIGH")]


def texts(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.glob("*.conf")))


def test_nginx_takes_it(rendered: Path) -> None:
    done = subprocess.run([tool("nginx"), "-t", "-e", "stderr", "-c", str(rendered / "nginx.conf")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "test is successful" in done.stderr, done.stderr
    assert "[warn]" not in done.stderr and "[emerg]" not in done.stderr, done.stderr


def test_files_are_included_from_where_they_are(rendered: Path) -> None:
    """So that they can stay together in a directory below /etc/nginx."""
    found = re.findall(r"^\s*include\s+([^;]+);", texts(rendered), re.MULTILINE)
    assert len(found) > 10 and all(Path(name).parent == rendered and Path(name).is_file() for name in found), found


def test_nothing_is_left_to_fill_in(rendered: Path) -> None:
    assert not re.search(r"@DS_|@[A-Z_]+@", texts(rendered))


def test_analysis(rendered: Path) -> None:
    """No finding of medium or high severity but those that are accepted for a reason."""
    unknown = [found for found in findings(rendered / "nginx.conf") if (found["plugin"], found["summary"]) not in ACCEPTED]
    assert not unknown, "\n\n".join(
        f"{one['severity']} {one['plugin']}: {one['summary']} ({one.get('file')}:{one.get('line')})\n{one['reason']}\n{one['config']}"
        for one in unknown)  # fmt: skip


def test_analyser_sees_what_is_wrong(tmp_path: Path) -> None:
    """It follows the includes: a hole made in the innermost file is found."""
    folder = render(tmp_path, {})
    hole = "location /hole { return 302 http://$host$uri; }\n"
    server = folder / "durable-streams-server.conf"
    server.write_text(server.read_text() + hole)
    assert [found for found in findings(folder / "nginx.conf") if found["plugin"] == "http_splitting"]


def test_accepted_findings_are_still_found(tmp_path: Path) -> None:
    """Whoever mends one takes it off the list."""
    found = set()
    for name, settings in MODES.items():
        (folder := tmp_path / name).mkdir()
        found |= {(one["plugin"], one["summary"]) for one in findings(render(folder, settings) / "nginx.conf")}
    assert set(ACCEPTED) <= found, set(ACCEPTED) - found


def test_limits_are_there_only_when_asked_for(tmp_path: Path) -> None:
    """Each setting by itself, so that none comes or goes with another."""
    (tmp_path / "plain").mkdir()
    assert not re.search(r"^\s*limit_(req|conn)\s", texts(render(tmp_path / "plain", {})), re.MULTILINE)
    for name, directive in (("RATE_PER_ADDRESS", "req"), ("RATE_PER_PROJECT", "req"), ("LIVE_PER_ADDRESS", "conn"), ("LIVE_PER_PROJECT", "conn")):
        (folder := tmp_path / name).mkdir()
        text = texts(render(folder, {f"DS_{name}": 37}))
        kinds = set(re.findall(r"^\s*limit_(req|conn)\s", text, re.MULTILINE))
        assert kinds == {directive} and re.search(r"\b37\b|=37r/s", text), (name, kinds)


def test_delegate_is_named_where_it_is_asked(tmp_path: Path) -> None:
    """Only in its own mode; what it is told of a request is set by nginx, so that no client can."""
    for name, settings in MODES.items():
        (folder := tmp_path / name).mkdir()
        text = texts(render(folder, {"DS_AUTH_DELEGATE_URL": DELEGATE["DS_AUTH_DELEGATE_URL"]} | settings))
        delegated = settings.get("DS_AUTH") == "delegate"
        assert ("127.0.0.1:9000" in text) == delegated, name
        for header in ("X-Original-Method", "X-Original-URI", "X-Original-Forked-From"):
            assert bool(re.search(rf"^\s*proxy_set_header\s+{header}\s", text, re.MULTILINE | re.IGNORECASE)) == delegated, (name, header)


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = json.loads(run("create-project", "p", "--json", DS_DATA_DIR=data).expect(0).out)
    key = (data / "secrets.key").read_text().strip()
    text = texts(render(tmp_path, MODES["project-jwt-limited"]))
    assert made["secret"] not in text and key not in text


@pytest.mark.parametrize("settings", [{"DS_AUTH": "delegate"}, {"DS_AUTH": "basic"}, {"DS_RATE_PER_ADDRESS": "-1"}], ids=str)
def test_refusals(tmp_path: Path, settings: dict[str, object]) -> None:
    """As `serve` refuses them: one line that names the setting, 78, and nothing written."""
    outcome = run("nginx-config", "--output", tmp_path / "out", DS_DATA_DIR=tmp_path / "data", **settings).expect(78)
    assert re.search("delegate.url|auth|rate.per.address", outcome.refusal, re.IGNORECASE)
    assert not (tmp_path / "out").exists()
