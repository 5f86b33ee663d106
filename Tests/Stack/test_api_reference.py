"""docs/openapi.yaml and docs/api.md say what the server does: the first is tried by schemathesis, the second is compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from access import Project
from admin import password
from client import Client
from stack import REPOSITORY, Stack

REFERENCE = REPOSITORY / "docs/openapi.yaml"
ADMIN_REFERENCE = REPOSITORY / "docs/openapi-admin.yaml"
QUICK = {"DS_SSE_LIFETIME": 0.3, "DS_LONG_POLL_TIMEOUT": 0.1}
# Not asked: that whatever fits the schema is accepted. Headers that exclude one another, and offsets of other streams,
# fit it and are refused.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,use_after_free,unsupported_method,ignored_auth"
)


def conform(stack: Stack, folder: Path, *options: str, reference: Path = REFERENCE, examples: int = 12) -> str:
    """Has schemathesis ask the server what the reference describes; returns what it printed."""
    script = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [script, "run", reference, "--url", f"http://127.0.0.1:{stack.port}", "--checks", CHECKS, "--seed", "7",
         "--max-examples", str(examples), "--generation-database", "none", "--no-color", "--suppress-health-check", "all",
         # A preflight is answered whatever its URL says, which counts as a fault here; test_head_delete_options.py has them.
         "--exclude-method", "OPTIONS", *options],
        cwd=folder, env={**os.environ, "SCHEMATHESIS_HOOKS": ""}, capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def test_an_open_server_answers_as_the_reference_says(fresh_stack: Callable[..., Stack], tmp_path: Path) -> None:
    printed = conform(fresh_stack(**QUICK), tmp_path)
    assert re.search(r"Tested: +\d+", printed) and "No issues found" in printed, printed[-2000:]


def test_a_server_that_asks_for_tokens_does_too(fresh_stack: Callable[..., Stack], tmp_path: Path) -> None:
    stack = fresh_stack(DS_AUTH="project-jwt", **QUICK)
    token = Project(stack, "shop").token("manage")
    # All requests are about the token's project, or none would get far.
    project = "{type: string, pattern: '^[A-Za-z0-9._~-]{1,64}$', examples: [_default]}"
    text = REFERENCE.read_text()
    assert project in text
    reference = tmp_path / "openapi.yaml"
    reference.write_text(text.replace(project, "{type: string, enum: [shop]}"))
    printed = conform(stack, tmp_path, "-H", f"Authorization: Bearer {token}", reference=reference, examples=6)
    assert "Authentication failed" not in printed, printed[-2000:]
    # Without one everything but preflights and probes is refused, in the way that the reference says.
    assert "Authentication failed: 6 operations" in conform(stack, tmp_path, examples=3)


def test_the_administrators_interface_does_too(fresh_stack: Callable[..., Stack], tmp_path: Path) -> None:
    stack = fresh_stack(**QUICK)
    Client(stack).create("orders", "text/plain", "hello")
    printed = conform(
        stack, tmp_path, "--auth", f"admin:{password(stack)}", "-H", "X-DS-Admin: 1", "--phases", "examples,coverage",
        reference=ADMIN_REFERENCE)
    assert re.search(r"Tested: +15", printed), printed[-2000:]


def codes_of_the_server() -> set[str]:
    """Every code that stands in the sources or in nginx's files."""
    swift = "".join(path.read_text() for path in (REPOSITORY / "Sources/StreamService").glob("ServiceError*.swift"))
    nginx = (REPOSITORY / "nginx/durable-streams-server.conf").read_text()
    found = set(re.findall(r'(?:ServiceError|refusal)\(\s*\d{3},\s*"([A-Z_]+)"', swift))
    return found | set(re.findall(r'"code":"([A-Z_]+)"', nginx))


def test_every_error_code_is_explained() -> None:
    text = (REPOSITORY / "docs/api.md").read_text()
    explained = set(re.findall(r"^\| [\d, ]+ \| `([A-Z_]+)` \|", text, re.MULTILINE))
    assert len(explained) > 40
    assert explained == codes_of_the_server()


@pytest.mark.parametrize("probe", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_a_probe_takes_no_other_method(http, probe: str, method: str) -> None:
    answer = http.request(method, probe)
    assert answer.status == 405 and answer.get("Allow") == "GET, HEAD, OPTIONS", answer.describe()
