"""Who may listen to the world, and settings of access and limits that are malformed."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack, closing

import pytest

from commands import run
from stack import free_port
from store import wait_until
from test_startup import one_line, refused
from wire import Connection

# Nobody's: the addresses of documentation (RFC 5737, RFC 3849), so that no test ever listens beyond loopback.
NOT_OURS = ["192.0.2.1", "[2001:db8::1]"]


@pytest.mark.parametrize("address", [*NOT_OURS, "0.0.0.0", "[::]"])
def test_open_server_is_refused(fresh_stack, address: str) -> None:
    """One line that names both ways out, and 78, without listening for a moment."""
    port = free_port()
    with ExitStack() as holders:
        # Even if it tried, it could not have the port.
        for family, loopback in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            if family == socket.AF_INET or socket.has_dualstack_ipv6():
                holder = holders.enter_context(socket.socket(family))
                holder.bind((loopback, port))
                holder.listen()
        for settings in ({}, {"DS_AUTH": "none"}, {"DS_ALLOW_OPEN": "false"}):
            status, errors = refused(fresh_stack(start=False, port=port, DS_LISTEN=f"{address}:{port}", **settings))
            line = one_line(errors)
            assert status == 78 and "DS_AUTH" in line and "DS_ALLOW_OPEN" in line, (status, errors)


@pytest.mark.parametrize("settings", [
    {"DS_ALLOW_OPEN": "true"}, {"DS_AUTH": "project-jwt"},
    {"DS_AUTH": "delegate", "DS_AUTH_DELEGATE_URL": "http://127.0.0.1:9/"}], ids=["open", "project-jwt", "delegate"])  # fmt: skip
@pytest.mark.parametrize("address", NOT_OURS)
def test_guarded_or_allowed_server_is_not(fresh_stack, address: str, settings: dict[str, str]) -> None:
    """It comes as far as listening, which nobody can at such an address: tests never listen beyond loopback."""
    status, errors = refused(fresh_stack(start=False, DS_LISTEN=f"{address}:{free_port()}", **settings))
    assert status != 0 and "DS_ALLOW_OPEN" not in errors, errors


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "127.1.2.3"])
def test_all_of_loopback_is_free(fresh_stack, address: str) -> None:
    port = free_port()
    stack = fresh_stack(start=False, port=port, DS_LISTEN=f"{address}:{port}")
    with stack.log.open("ab") as log:
        stack.process = stack.spawn(stdout=log, stderr=log)

    def ready() -> bool:
        assert stack.process.poll() is None, stack.log_tail()
        try:
            with closing(Connection(port, address)) as connection:
                return connection.exchange("GET", "/readyz").status == 200
        except Exception:
            return False

    wait_until(stack, ready, f"it is ready at {address}")
    stack.stop()


def test_rendering_of_an_open_server(tmp_path) -> None:
    run("nginx-config", "--output", tmp_path / "out", DS_DATA_DIR=tmp_path / "data", DS_LISTEN="0.0.0.0:4437", DS_ALLOW_OPEN="true").expect(0)
    assert re.search(r"listen\s+0\.0\.0\.0:4437\b", (tmp_path / "out/nginx.conf").read_text())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("DS_AUTH", value) for value in ("basic", "jwt", "project_jwt", "none,delegate", "true")],
        *[("DS_ALLOW_OPEN", value) for value in ("maybe", "2", "truee")],
        *[(f"DS_{name}", value) for name in ("RATE_PER_ADDRESS", "RATE_PER_PROJECT", "LIVE_PER_ADDRESS", "LIVE_PER_PROJECT")
          for value in ("-1", "many", "1.5", "5r/s", "99999999999999999999")],
        *[("DS_AUTH_DELEGATE_URL", value) for value in ("nonsense", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:99999/")],
        # What would mean something in nginx's configuration.
        *[("DS_AUTH_DELEGATE_URL", f"http://127.0.0.1:1/{text}") for text in ("a b", ";", "$uri", "{", "}", "#", '"', "'", "\\", "\nreturn")],
    ],
)  # fmt: skip
def test_malformed_setting(fresh_stack, name: str, value: str) -> None:
    """One line that names the setting, and 78."""
    others = {"DS_AUTH": "delegate"} if name == "DS_AUTH_DELEGATE_URL" else {}
    status, errors = refused(fresh_stack(start=False, **(others | {name: value})))
    key = name.removeprefix("DS_").lower()
    assert status == 78 and re.search(rf"{name}|{key}|{key.replace('_', '-')}", one_line(errors)), (status, errors)
