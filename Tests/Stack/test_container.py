"""The container's files, as far as they can be judged without an engine: linters, and what they promise to one another."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from compose_spec import ComposeSpecification, Service
from pydantic import ValidationError

from stack import REPOSITORY

FOLDER = REPOSITORY / "Config/container"
CONTAINERFILE = FOLDER / "Containerfile"


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(Path(sys.executable).with_name("hadolint")), "--no-color", str(path)], capture_output=True, text=True, timeout=60)


def test_containerfile_is_sound() -> None:
    done = hadolint(CONTAINERFILE)
    assert done.returncode == 0 and not done.stdout.strip(), done.stdout + done.stderr


def test_linter_sees_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "Containerfile"
    wrong.write_text("FROM debian\nRUN sudo apt-get install curl\nCMD serve\n")
    assert hadolint(wrong).returncode != 0


def test_build_installs_what_the_makefile_does() -> None:
    """Headers of all libraries; nginx comes with the package."""
    listed = re.search(r"^SERVER_PACKAGES := (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert listed
    build = CONTAINERFILE.read_text().split("FROM ")[1]
    missing = [name for name in listed.group(1).split() if name.endswith("-dev") and name not in build]
    assert not missing


def test_it_runs_without_rights() -> None:
    """As a user with a number, with a probe, and with settings that keep an open server from others."""
    text = CONTAINERFILE.read_text()
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    assert "HEALTHCHECK" in text and "/readyz" in text and "DS_AUTH=project-jwt" in text
    # Keys and passwords that the package made must not be in the image.
    assert "rm -rf" in text and text.index("apt-get install -y --no-install-recommends curl") < text.index("/var/lib/durable-streams \\\n    && install")


def test_compose_file() -> None:
    """It follows the specification, and names what is there."""
    content = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    ComposeSpecification.model_validate(content)
    service = content["services"]["streams"]
    # The model lets unknown keys pass.
    known = {field.alias or name for name, field in Service.model_fields.items()}
    assert len(known) > 50 and set(service) <= known, set(service) - known
    assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == CONTAINERFILE
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    named = {volume.split(":")[0] for volume in service["volumes"]}
    assert named == set(content["volumes"])
    assert service["cap_drop"] == ["ALL"] and service["read_only"] and service["security_opt"] == ["no-new-privileges:true"]


def test_specification_refuses_what_is_wrong() -> None:
    content = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    content["services"]["streams"]["volumes"] = 3
    with pytest.raises(ValidationError):
        ComposeSpecification.model_validate(content)
