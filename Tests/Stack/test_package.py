"""The Debian package on a machine of its own: installed, started by systemd, upgraded, removed and purged."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from house import DATA, SERVICES, House, build, missing, rebuild
from machine import unified
from stack import REPOSITORY, remove_tree, temporary_root

UNITS = REPOSITORY / "Config/systemd"
SOCKETS = ["durable-streams-pool.socket", "durable-streams-live.socket"]
# Tenths of the exposure that systemd-analyze finds; 100 is a service without any limits.
EXPOSURE = 12
CONFIG = "etc/durable-streams/durable-streams.yaml"
SITE = "etc/nginx/sites-available/durable-streams.conf"


# The units by themselves.


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("unit", SERVICES)
def test_exposure(unit: str) -> None:
    """How much of the system a service that is taken over could reach."""
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE}", str(UNITS / unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr


def test_memory_directory() -> None:
    """tmpfiles.d makes the folder that the server would make: nginx needs it before."""
    sys.path.insert(0, str(REPOSITORY / "Config/debian"))
    source = (REPOSITORY / "Config/debian/build-deb.py").read_text()
    names: dict[str, object] = {"__file__": str(REPOSITORY / "Config/debian/build-deb.py"), "__name__": "build_deb"}
    exec(compile(source, "build-deb.py", "exec"), names)
    from commands import run

    root = temporary_root()
    try:
        run("nginx-config", "--output", root / "out", DS_DATA_DIR=root / "data", DS_AUTH="project-jwt").expect(0)
        expected = names["memory_directory"](str(root / "data"))  # type: ignore[operator]
        text = (root / "out/durable-streams-project-jwt-http.conf").read_text()
        assert f"{expected}/verdicts" in text
        shutil.rmtree(expected)
    finally:
        remove_tree(root)


# The package.


@pytest.fixture
def house() -> Iterator[House]:
    root = temporary_root()
    house = House(root)
    try:
        yield house
    finally:
        house.machine.halt()
        remove_tree(root)
    assert not unified().joinpath(f"durable-streams-test-{os.getpid()}").exists()
    assert str(root) not in Path("/proc/self/mounts").read_text()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_life_of_a_package(house: House) -> None:
    """One test, since a machine takes half a minute to make."""
    folder = house.machine.root.parent
    with ThreadPoolExecutor() as pool:
        making = pool.submit(build, folder)
        house.machine.bootstrap()
        package = making.result()
    # It looks at the package while that is installed.
    checking = subprocess.Popen(["lintian", "--allow-root", "--fail-on", "error", str(package)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        install(house, package)
        house.machine.boot()
        starts(house)
        serves(house)
        keeps_the_administration(house)
        survives_kills(house)
        upgrades(house, package)
        refuses_newer_data(house, package)
        rotates_logs(house)
        goes(house)
        findings, _ = checking.communicate(timeout=120)
        assert checking.returncode == 0, findings
    finally:
        checking.kill()
        checking.wait()


def install(house: House, package: Path) -> None:
    """Nothing starts, since the policy of this root forbids it; all is there for the start."""
    shutil.copy(package, house.file("root/first.deb"))
    done = house.machine.change("apt-get", "install", "-q", "-y", "systemd", "systemd-sysv", "openssl", "logrotate", "/root/first.deb")
    assert house.file("etc/nginx/durable-streams/durable-streams-http.conf").exists(), done.stdout[-3000:]
    assert "www-data" in house.machine.change("id", "-nG", "durable-streams").stdout.split()
    assert house.machine.change("durable-streams", "--version").stdout.strip() in house.machine.change("dpkg-query", "-W", "-f", "durable-streams ${Version}", "durable-streams").stdout
    house.machine.change("nginx", "-t")
    data = house.file(DATA).stat()
    assert data.st_mode & 0o7777 == 0o711 and data.st_uid != 0
    for name in SOCKETS:
        assert house.file(f"etc/systemd/system/sockets.target.wants/{name}").is_symlink()
    assert house.file("etc/systemd/system/multi-user.target.wants/durable-streams.target").is_symlink()
    conffiles = house.machine.change("dpkg-query", "-W", "-f", "${Conffiles}", "durable-streams").stdout
    assert all(f"/{path}" in conffiles for path in (CONFIG, SITE, "etc/logrotate.d/durable-streams")), conffiles


def starts(house: House) -> None:
    """As the units say: own user, sandbox, nothing refused by it; the files of the units have no fault."""
    house.wait_for(lambda: house.active(*SERVICES, *SOCKETS, "durable-streams.target", "nginx.service"), "not all units are active")
    failed = house.machine.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout
    assert "durable" not in failed and "nginx" not in failed, failed
    verified = house.machine.run("systemd-analyze", "verify", "--man=no", *SERVICES, *SOCKETS, "durable-streams.target")
    assert not verified.stdout.strip(), verified.stdout
    workers = house.machine.processes("durable-streams-worker") + house.machine.processes("durable-streams-live")
    assert len(workers) >= 2
    own = int(house.machine.run("id", "-u", "durable-streams").stdout)
    for pid in house.machine.processes("durable-streams"):
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        assert status["Uid"].split() == [str(own)] * 4
        assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapBnd"], 16)) == ("1", "2", 0)
        # What the unit asks for, if this machine gives that much.
        assert open_files(pid) == min(65536, open_files(house.machine.pid))
    for path in ("hot.sqlite", "secrets.key", "admin-password", "admin.key"):
        if house.file(f"{DATA}/{path}").exists():
            assert house.machine.run("runuser", "-u", "www-data", "--", "test", "-r", f"/{DATA}/{path}", check=False).returncode == 1, path
    for unit in SERVICES:
        shown = house.machine.run("systemctl", "show", "-p", "StatusText,WatchdogUSec,NRestarts", unit).stdout
        assert "StatusText=ready" in shown and "WatchdogUSec=30s" in shown and "NRestarts=0" in shown, shown


def open_files(pid: int) -> int:
    found = re.search(r"Max open files\s+\d+\s+(\d+)", Path(f"/proc/{pid}/limits").read_text())
    assert found
    return int(found.group(1))


def serves(house: House) -> None:
    """Through the site file, by TLS: create, append, read, follow; HTTP/2, the redirect, and who may see the administration."""
    folder = house.file("etc/ssl/durable-streams")
    folder.mkdir()
    house.machine.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=streams.example.org",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", "/etc/ssl/durable-streams/privkey.pem", "-out", "/etc/ssl/durable-streams/fullchain.pem")  # fmt: skip
    house.machine.run("ln", "-s", "../sites-available/durable-streams.conf", "/etc/nginx/sites-enabled/")
    assert "[warn]" not in house.machine.run("nginx", "-t").stdout
    house.machine.run("systemctl", "reload", "nginx")
    house.wait_for(lambda: house.machine.run("openssl", "s_client", "-connect", "127.0.0.1:443", check=False).returncode == 0, "nginx does not listen on 443")

    assert house.ask("PUT", "/v1/shop/stream/orders", Content_Type="application/json")[0] == 401
    json.loads(house.tool("create-project", "shop", "--json"))
    house.token = house.tool("token", "shop", "--scope", "write")
    house.wait_for(lambda: house.ask("PUT", "/v1/shop/stream/orders", Content_Type="application/json")[0] in (200, 201), "no stream is made")
    assert house.ask("POST", "/v1/shop/stream/orders", b'{"id":1}', Content_Type="application/json")[0] == 204
    assert house.ask("GET", "/v1/shop/stream/orders")[:2] == (200, b'[{"id":1}]')
    assert house.ask("GET", "/readyz")[0] == 200
    # The live process hears of a project within a second by itself.
    house.wait_for(lambda: house.ask("GET", "/v1/shop/stream/orders?live=long-poll&offset=-1")[0] == 200, "live reads are refused")
    with closing(house.connect(443)) as connection:
        connection.request("GET", "/v1/shop/stream/orders?live=sse&offset=-1", headers={"Host": "streams.example.org", "Authorization": f"Bearer {house.token}"})
        events = connection.getresponse()
        assert events.getheader("Content-Type") == "text/event-stream"
        wait_for_line(events, b'data:[{"id":1}]')
        assert house.ask("POST", "/v1/shop/stream/orders", b'{"id":2}', Content_Type="application/json")[0] == 204
        wait_for_line(events, b'data:[{"id":2}]')

    with closing(house.connect(443, alpn="h2")) as connection:
        assert connection.sock.selected_alpn_protocol() == "h2"
        assert connection.sock.version() in ("TLSv1.2", "TLSv1.3")
    status, _, headers = house.ask("POST", "/v1/shop/stream/orders?a=b", b"x", port=80)
    assert (status, headers["location"]) == (308, "https://streams.example.org/v1/shop/stream/orders?a=b")
    # A whole segment goes out as its file, which nginx's own user has to reach.
    content = b"x" * (5 << 20)
    assert house.ask("PUT", "/v1/shop/stream/big", content, Content_Type="text/plain", Stream_Closed="true")[0] == 201
    house.wait_for(lambda: any(path.is_file() for path in house.file(f"{DATA}/segments").rglob("*")), "no segment is written")
    assert house.ask("GET", "/v1/shop/stream/big")[:2] == (200, content)


def keeps_the_administration(house: House) -> None:
    """For this machine and who has the password alone."""
    password = house.file(f"{DATA}/admin-password").read_text().strip()
    basic = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
    assert house.ask("GET", "/admin/")[0] == 401
    status, page, _ = house.ask("GET", "/admin/", Authorization=basic)
    assert status == 200 and b"<html" in page
    assert house.ask("GET", "/admin/vendor/dygraph.min.js", Authorization=basic)[0] == 200
    assert json.loads(house.ask("GET", "/admin/api/overview", Authorization=basic)[1])["ready"] is True
    house.machine.run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    assert house.ask("GET", "/admin/", host="192.0.2.1", Authorization=basic)[0] == 403
    assert house.ask("GET", "/readyz", host="192.0.2.1")[0] == 200


def wait_for_line(events: http.client.HTTPResponse, wanted: bytes) -> None:
    while (line := events.readline().strip()) != wanted:
        assert not line.startswith(b"data:[") and not events.isclosed(), line


def survives_kills(house: House) -> None:
    """What ends by itself is started again; what was asked meanwhile waits on the socket and is answered."""
    for unit in SERVICES:
        house.machine.run("systemctl", "kill", "--signal=KILL", unit)
        house.wait_for(lambda: house.active(unit), f"{unit} is not restarted")
        assert house.ask("GET", "/v1/shop/stream/orders")[0] == 200
    house.machine.run("systemctl", "stop", *SERVICES)
    assert not house.active(SERVICES[0])
    # Socket activation: the request itself starts the pool.
    assert house.ask("GET", "/v1/shop/stream/orders")[1] == b'[{"id":1},{"id":2}]'
    house.machine.run("systemctl", "start", *SERVICES)


def upgrades(house: House, package: Path) -> None:
    """Data stay, and so do edits of the settings, though the new version has changed the file; requests go on."""

    def change(files: Path) -> None:
        (files / CONFIG).write_text((files / CONFIG).read_text() + "\n# New in this version.\n")

    second = rebuild(package, "9.0.0", change)
    shutil.copy(second, house.file("root/second.deb"))
    edited = house.file(CONFIG).read_text() + "\nworker_threads: 3\n"
    house.file(CONFIG).write_text(edited)
    site = house.file(SITE).read_text().replace("ssl_session_timeout 1d", "ssl_session_timeout 2d")
    house.file(SITE).write_text(site)
    answers: list[int] = []
    ended = threading.Event()

    def ask_on() -> None:
        while not ended.is_set():
            answers.append(house.ask("POST", "/v1/shop/stream/orders", b'{"id":0}', Content_Type="application/json")[0])

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        house.machine.run("dpkg", "--force-confdef", "--force-confold", "-i", "/root/second.deb")
        house.wait_for(lambda: house.active(*SERVICES), "not started again")
        assert house.ask("GET", "/readyz")[0] == 200
    finally:
        ended.set()
        asking.join(40)
    assert answers and set(answers) == {204}, answers
    assert house.machine.run("dpkg-query", "-W", "-f", "${Version}", "durable-streams").stdout == "9.0.0"
    assert house.file(CONFIG).read_text() == edited and house.file(SITE).read_text() == site
    status, body, _ = house.ask("GET", "/v1/shop/stream/orders")
    assert status == 200 and len(json.loads(body)) == 2 + len(answers)


def refuses_newer_data(house: House, package: Path) -> None:
    """A downgrade onto data of a newer schema: the service says so in one line and is not tried again and again."""
    house.machine.run("systemctl", "stop", *SERVICES, *SOCKETS)
    store = house.file(f"{DATA}/hot.sqlite")
    known = set_version(store, 99)
    house.machine.run("dpkg", "--force-confold", "-i", "/root/first.deb")
    house.wait_for(lambda: house.machine.run("systemctl", "is-failed", SERVICES[0], check=False).stdout.strip() == "failed", "it is not refused")
    shown = house.machine.run("systemctl", "show", "-p", "ExecMainStatus,NRestarts", SERVICES[0]).stdout
    assert "ExecMainStatus=78" in shown and "NRestarts=0" in shown, shown
    lines = [line for line in house.machine.journal(SERVICES[0]).splitlines() if "newer" in line]
    assert lines and "99" in lines[-1] and str(known) in lines[-1], house.machine.journal(SERVICES[0])[-2000:]
    house.machine.run("systemctl", "stop", *SERVICES, *SOCKETS, check=False)
    set_version(store, known)
    house.machine.run("systemctl", "reset-failed", *SERVICES, *SOCKETS)
    house.machine.run("systemctl", "start", *SOCKETS, *SERVICES)
    assert house.ask("GET", "/v1/shop/stream/big")[0] == 200


def set_version(store: Path, version: int) -> int:
    owner = store.stat()
    with closing(sqlite3.connect(store, isolation_level=None)) as database:
        ((known,),) = database.execute("PRAGMA user_version").fetchall()
        database.execute(f"PRAGMA user_version = {version}")
    for path in store.parent.glob("hot.sqlite*"):
        os.chown(path, owner.st_uid, owner.st_gid)
    return known


def rotates_logs(house: House) -> None:
    """A request log in the folder of the package is rotated, and nginx opens it anew."""
    site = house.file(SITE)
    site.write_text(site.read_text().replace("server_tokens off;", "server_tokens off;\n    access_log /var/log/durable-streams/requests.log;", 1))
    house.machine.run("systemctl", "reload", "nginx")
    log = house.file("var/log/durable-streams/requests.log")

    def is_logged(mark: str) -> bool:
        house.ask("GET", f"/{mark}", port=80)
        return log.exists() and mark in log.read_text()

    house.wait_for(lambda: is_logged("before"), "nothing is logged")
    house.machine.run("logrotate", "--force", "/etc/logrotate.d/durable-streams")
    assert "before" in log.with_name("requests.log.1").read_text()
    house.wait_for(lambda: is_logged("after"), "nothing is logged behind the rotation")
    assert "before" not in log.read_text()


def goes(house: House) -> None:
    """Removed, it leaves data and settings; purged, it leaves nothing."""
    house.machine.run("dpkg", "--remove", "durable-streams")
    assert not house.machine.processes("durable-streams") and not house.active(*SOCKETS)
    assert not house.machine.run("find", "/run/durable-streams", "-type", "s", check=False).stdout.startswith("/")
    assert house.file(f"{DATA}/hot.sqlite").exists() and house.file(CONFIG).exists()
    own = house.machine.run("id", "-u", "durable-streams").stdout.strip()
    house.machine.run("dpkg", "--purge", "durable-streams")
    searched = ["/etc", "/usr", "/lib", "/var", "/run", "/dev/shm", "/home", "/opt", "/srv", "/tmp"]
    left = house.machine.run("find", *searched, "-xdev", "(", "-name", "*durable*streams*", "-o", "-uid", own, ")", check=False).stdout
    # The journal is systemd's own.
    ours = [path for path in left.splitlines() if path.startswith("/") and "/log/journal" not in path and not path.startswith("/etc/ssl/")]
    assert not ours, ours
    for database in ("passwd", "group", "shadow", "gshadow"):
        assert "durable-streams" not in house.file(f"etc/{database}").read_text(), database
    assert not house.machine.processes("durable-streams")
    assert "durable" not in house.machine.run("mount").stdout
    assert "durable" not in house.machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend").stdout
    house.machine.run("nginx", "-t")
    assert house.active("nginx.service")
