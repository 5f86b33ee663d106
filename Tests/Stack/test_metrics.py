"""Metrics: they count what happens, once, over all processes, restarts and nginx's cache; and they are all explained."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from access import command_json
from admin import Admin
from client import Client, at, expect
from commands import run
from metrics import PREFIX, Metrics, wait_for
from stack import REPOSITORY, Stack

TEXT = {"Content-Type": "text/plain"}


@pytest.fixture
def counted(fresh_stack) -> Stack:
    """A server of this test alone, so that nobody else is counted."""
    return fresh_stack(DS_READ_CHUNK_BYTES=65536, DS_SEGMENT_MAX_BYTES="1KiB", DS_SWEEP_INTERVAL=0.1)


@pytest.fixture
def client(counted: Stack):
    client = Client(counted)
    yield client
    client.close()


def test_requests_are_counted_by_operation_and_status(counted: Stack, client: Client) -> None:
    """So many appends, reads and refusals, and what they stored and sent."""
    before = Metrics.of(counted)
    client.create("a", "text/plain")
    client.create("j", "application/json")
    for _ in range(7):
        expect(client.request("POST", "/v1/stream/a", TEXT, b"12345"), 204)
    expect(client.request("POST", "/v1/stream/j", {"Content-Type": "application/json"}, b"[1,2,3]"), 204)
    for _ in range(4):
        expect(client.get("a"), 200)
    expect(client.request("HEAD", "/v1/stream/a"), 200)
    for _ in range(3):
        expect(client.request("POST", "/v1/stream/none", TEXT, b"x"), 404)
    expect(client.request("POST", "/v1/stream/a", {**TEXT, "Stream-Closed": "true"}), 204)
    expect(client.request("POST", "/v1/stream/a", TEXT, b"x"), 409)
    expect(client.request("DELETE", "/v1/stream/a"), 204)
    after = Metrics.of(counted)

    def grown(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    for operation, status, count in [
        ("create", "2xx", 2), ("append", "2xx", 8), ("append", "4xx", 4), ("read", "2xx", 4), ("head", "2xx", 1),
        ("close", "2xx", 1), ("delete", "2xx", 1), ("append", "5xx", 0), ("long_poll", "2xx", 0),
    ]:  # fmt: skip
        labels = {"operation": operation, "status": status}
        assert grown("requests_total", **labels) == count, labels
        assert grown("request_duration_seconds_count", **labels) == count, labels
        assert grown("request_duration_seconds_bucket", **labels, le="+Inf") == count, labels
    assert 0 < grown("request_duration_seconds_sum", operation="append", status="2xx") < 30
    assert grown("appends_total") == 8
    assert grown("appended_messages_total") == 7 + 3
    assert grown("appended_bytes_total") == 7 * 5 + len("1,2,3")
    assert grown("read_bytes_total", source="worker") == 4 * 35
    assert grown("streams_created_total") == 2 and grown("streams_removed_total", reason="deleted") == 1
    # Each of them was alone, but for chores that join.
    groups = grown("commit_group_requests_count")
    assert groups >= 15 and grown("commit_seconds_count") == groups == grown("write_lock_seconds_count")
    assert grown("commit_group_requests_sum") >= groups
    assert after("commit_queue_requests") == 0


def test_the_store_is_sampled(counted: Stack, client: Client) -> None:
    """Streams, sizes, rotations and what has expired."""
    # The sampler goes by this number until its next pass, so both ways are seen.
    for index in range(5):
        client.create(f"s{index}", "text/plain", b"x" * 100)
    seen = wait_for(counted, lambda found: found("streams") == 5 and found("hot_bytes") == 500)
    assert seen("hot_messages") == 5 and seen("segments") == 0
    assert seen("database_bytes") > 0 and seen("wal_bytes") >= 32 << 20
    assert 0 < seen("disk_free_bytes") <= seen("disk_total_bytes")
    assert seen("store_sampled_timestamp_seconds") > 1_600_000_000
    expect(client.request("POST", "/v1/stream/s0", TEXT, b"y" * 5000), 204)
    seen = wait_for(counted, lambda found: found("segments") >= 1 and found("hot_bytes") == 400)
    assert seen("rotations_total") >= 1 and seen("cold_bytes") >= 5100
    wait_for(counted, lambda found: found("purged_records_total") >= 2 and found("purge_backlog") == 0)
    expect(client.request("PUT", "/v1/stream/short", {**TEXT, "Stream-TTL": "1"}), 201)
    wait_for(counted, lambda found: found("streams_removed_total", reason="expired") == 1 and found("streams") == 5)
    expect(client.request("DELETE", "/v1/stream/s0"), 204)
    wait_for(counted, lambda found: found("segments") == 0 and found("streams") == 4)


def test_a_full_disk_and_a_quota_are_refusals(fresh_stack) -> None:
    """507 is counted apart from other errors."""
    stack = fresh_stack(DS_DISK_HIGH_WATER=1)
    client = Client(stack)
    answer = client.request("PUT", "/v1/stream/a", TEXT, b"x")
    client.close()
    if answer.status == 201:
        pytest.skip("less than a hundredth of this disk is in use")
    assert answer.status == 507
    assert Metrics.of(stack)("writes_refused_total", reason="no_space") == 1


def test_hits_are_counted_though_no_process_sees_them(counted: Stack, client: Client) -> None:
    """nginx writes them down, and the file is emptied again."""
    tail = client.create("big", "application/octet-stream", b"z" * 300_000).offset
    query = f"offset={at(tail, 5)}"
    first = expect(client.get("big", query), 200)
    assert first.get("X-Cache") == "MISS"
    hits = 0
    for _ in range(20):
        hits += expect(client.get("big", query), 200).get("X-Cache") == "HIT"
    assert hits >= 10
    found = wait_for(counted, lambda found: found.all("cache_results_total") >= 21, "what the cache did")
    assert found("cache_results_total", result="hit") == hits
    assert found("cache_results_total", result="miss") == 1
    assert found.all("cache_results_total") == 21
    assert found("requests_total", operation="read", status="2xx") + found(
        "requests_total", operation="read", status="3xx"
    ) == 21 - hits, "nobody was asked about a hit"
    tally = counted.data_dir / "run" / "cache.tally"
    assert tally.stat().st_size < 4096


def test_live_readers_and_wake_ups(counted: Stack, client: Client) -> None:
    """They are there while they wait, and what wakes them is timed."""
    tail = client.create("live", "text/plain").offset
    poll, events = counted.connect(), counted.connect()
    with poll, events:
        for connection, kind in ((poll, "long-poll"), (events, "sse")):
            connection.send(f"GET /v1/stream/live?live={kind}&offset={tail} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        seen = wait_for(
            counted,
            lambda found: found("live_readers", kind="long_poll") == 1 and found("live_readers", kind="event_stream") == 1,
        )
        assert seen("watched_streams") == 1
        before = seen("wake_latency_seconds_count")
        expect(client.request("POST", "/v1/stream/live", TEXT, b"now"), 204)
        seen = wait_for(counted, lambda found: found("live_readers", kind="long_poll") == 0)
        assert seen("wake_ups_total") >= 1
        assert seen("wake_latency_seconds_count") > before
        assert 0 < seen("wake_latency_seconds_sum") < 15
        assert seen("requests_total", operation="long_poll", status="2xx") == 1
        assert seen("requests_total", operation="events", status="2xx") == 1
        assert seen("read_bytes_total", source="live") > 3
    wait_for(counted, lambda found: found("live_readers", kind="event_stream") == 0 and found("watched_streams") == 0)


def test_counters_survive_a_kill(counted: Stack, client: Client) -> None:
    """What a worker has counted stays; its successor goes on, and starts are counted."""
    client.create("a", "text/plain", b"x")
    for pid in counted.processes("durable-streams-worker"):
        os.kill(pid, signal.SIGKILL)
    client.close()
    found = wait_for(counted, lambda found: found("process_starts_total", role="worker") == 2)
    assert found("appends_total") == 1
    counted.wait_ready()
    expect(client.request("POST", "/v1/stream/a", TEXT, b"y"), 204)
    found = Metrics.of(counted)
    assert found("appends_total") == 2
    assert found("process_up", role="worker", number="1", state="running") == 1
    assert found("process_up", role="nginx", number="0", state="running") == 1
    for role in ("supervisor", "worker", "live", "nginx"):
        assert found.all("process_resident_memory_bytes", role=role) > 1 << 20, role
        assert found.all("process_open_descriptors", role=role) > 3, role


def test_the_route_gives_what_the_command_gives(counted: Stack, client: Client) -> None:
    """/admin/metrics, by the version of the format that Prometheus asks for; its own requests are counted too."""
    client.create("a", "text/plain", b"x")
    admin = Admin(counted)
    answer = expect(admin.send("GET", "/metrics"), 200)
    assert answer.get("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.get("Cache-Control") == "no-store"
    by_route, by_command = Metrics(answer.body.decode()), Metrics.of(counted)
    admin.close()
    assert exposed(by_route.text) == exposed(by_command.text)
    assert by_route("appends_total") == by_command("appends_total") == 1
    assert by_command("requests_total", operation="admin", status="2xx") == 1
    assert "project_" not in by_route.text


def test_projects_are_labels_when_asked_for(fresh_stack) -> None:
    """Each registered one, with what it takes; streams are never named."""
    stack = fresh_stack(DS_METRICS_PROJECT_LABELS="true")
    command_json(stack, "create-project", "shop")
    client, admin = Client(stack), Admin(stack)
    try:
        expect(client.request("PUT", "/v1/shop/stream/secret-name", TEXT, b"12345"), 201)
        text = expect(admin.send("GET", "/metrics"), 200).body.decode()
    finally:
        client.close()
        admin.close()
    found = Metrics(text)
    assert found("project_streams", project="shop") == 1
    assert found("project_bytes", project="shop") == 5
    assert "secret-name" not in text


def test_a_useless_file_of_counters_is_made_anew(fresh_stack) -> None:
    """Cut short by somebody, or of an older version: the server starts, and counts from the beginning."""
    stack = fresh_stack(start=False)
    telemetry = stack.data_dir / "run" / "telemetry"
    telemetry.parent.mkdir(parents=True)
    telemetry.write_bytes(b"\0" * 100)
    stack.start()
    assert Metrics.of(stack)("process_starts_total", role="worker") == 1
    assert stack.stop() == 0
    whole = telemetry.read_bytes()
    telemetry.write_bytes(whole[:8] + bytes(8) + whole[16:])
    stack.start()
    assert Metrics.of(stack)("process_starts_total", role="worker") == 1


# What is written about metrics.

DOCUMENT = REPOSITORY / "docs" / "metrics.md"
DASHBOARD = REPOSITORY / "Config" / "grafana" / "durable-streams.json"
ALERTS = REPOSITORY / "Config" / "prometheus" / "alerts.yaml"
# Only with `metrics_project_labels`.
OPTIONAL = {f"{PREFIX}project_streams", f"{PREFIX}project_bytes"}


def exposed(text: str) -> dict[str, str]:
    """Types by name."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def test_every_metric_is_explained(stack: Stack) -> None:
    """docs/metrics.md has a row for each, with its type, and none for what is not there."""
    rows = re.findall(r"^\| `(durable_streams_\w+)`[^|]*\| (\w+) \|([^|]*)\|([^|]*)\|([^|]*)\|$", DOCUMENT.read_text(), re.MULTILINE)
    documented = {name: kind for name, kind, *_ in rows}
    assert len(documented) == len(rows), "a metric is explained twice"
    for name, _, *cells in rows:
        assert all(cell.strip() for cell in cells), f"{name} lacks unit, meaning or normal range"
    found = exposed(Metrics.of(stack).text)
    assert {name: kind for name, kind in documented.items() if name not in OPTIONAL} == found
    assert OPTIONAL <= documented.keys()


def test_the_command_of_the_document(stack: Stack) -> None:
    """docs/metrics.md shows what the command answers, up to where it leaves the rest out."""
    (block,) = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    command, *shown = block.splitlines()
    program, *arguments = command.split()
    assert program.endswith("/durable-streams") and shown[-1] == "# …"
    answered = run(*[str(stack.data_dir) if word == "data" else word for word in arguments]).expect(0).out.splitlines()
    assert [f"# {line}" for line in answered[: len(shown) - 1]] == shown[:-1]


@pytest.mark.parametrize("file", [DASHBOARD, ALERTS], ids=["dashboard", "alerts"])
def test_what_is_asked_for_is_there(stack: Stack, file: Path) -> None:
    """Expressions name metrics that exist, histograms by their series."""
    names = set()
    for name, kind in exposed(Metrics.of(stack).text).items():
        names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    asked = set(re.findall(r"durable_streams_\w+", file.read_text()))
    assert asked and asked <= names | OPTIONAL, asked - names


def test_the_dashboard_is_one_of_grafana() -> None:
    """Each panel has a title, says what it shows, and asks for something; ids are unique."""
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert dashboard["uid"] and dashboard["title"] and len(panels) > 10
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels:
        assert panel["title"] and panel["description"] and panel["targets"], panel
        assert all(target["expr"] for target in panel["targets"]), panel["title"]


def test_alerts_say_what_to_do() -> None:
    """Each has a severity, a summary and what to do."""
    text = ALERTS.read_text()
    rules = re.split(r"^\s+- alert: ", text, flags=re.MULTILINE)[1:]
    assert len(rules) > 8
    for rule in rules:
        name = rule.split()[0]
        assert re.search(r"^\s+expr: \S", rule, re.MULTILINE), name
        assert re.search(r"severity: (page|ticket)", rule), name
        assert re.search(r"summary: \S", rule) and re.search(r"action: \S", rule), name
