"""Data directories as servers of older schema versions left them.

`schemas/N.json` holds one of version N: the SQL that makes the database, the other files, and what a server answers on
it. They are frozen. For a new version, `python Tests/Stack/schemas.py N` writes the next one from a server that runs.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from client import ROOT, Client, expect, producer, url
from commands import run
from stack import Stack, free_port, remove_tree, temporary_root
from store import ask_store, wait_until
from wire import Response

FOLDER = Path(__file__).with_name("schemas")
VERSIONS = [1, 2, 3, 4]
# Tables and columns that came later than version 1.
SINCE: dict[int, dict[str, list[str]]] = {
    2: {
        "stream": ["earliest", "retention_age", "retention_bytes", "retention_messages", "retention_due"],
        "log_state": ["restored_at", "store"],
    },
    3: {"stream": ["public", "reader_generation"], "record": ["written_at"]},
    4: {"record_index": ["further"]},
}
KEPT = ("Content-Type", "Stream-Next-Offset", "Stream-Closed", "Stream-Up-To-Date", "Stream-TTL", "Producer-Seq")
SECRETS_KEY = "secrets.key"
# What a server of the fixture must have been started with.
SETTINGS = {"DS_SEGMENT_MAX_MESSAGES": 4}


def fixture(version: int) -> dict:
    return json.loads((FOLDER / f"{version}.json").read_text())


def lay_out(version: int, data: Path) -> dict:
    """Makes a data directory of a version; returns the fixture."""
    found = fixture(version)
    data.mkdir(parents=True)
    with closing(sqlite3.connect(data / "hot.sqlite", isolation_level=None)) as store:
        # As its server did, before anything else was there.
        store.execute("PRAGMA auto_vacuum = INCREMENTAL")
        store.executescript("\n".join(found["sql"]))
        store.execute(f"PRAGMA user_version = {version}")
        store.execute("PRAGMA journal_mode = WAL")
    for name, content in found["files"].items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content))
        path.chmod(0o600 if name == SECRETS_KEY else 0o640)
    return found


def projects(data: Path) -> list:
    """What is registered."""
    return json.loads(run("projects", "--json", "--data-dir", data).expect(0).out)["projects"]


def ask(http: Client, question: dict) -> dict:
    """A question's answer, less what differs from one server to the next."""
    body = question.get("body")
    return digest(http.request(question["method"], question["target"], question.get("headers", []), body))


def digest(response: Response) -> dict:
    headers = {name: response.get(name) for name in KEPT if name in response}
    return {"status": response.status, "headers": headers, "body": base64.b64encode(response.body).decode()}


# Writing fixtures.


def fill(http: Client, version: int) -> list[dict]:
    """Makes content of all kinds; returns the questions that tell whether it is there."""
    text, js = "text/plain", "application/json"
    http.create("plain", text, "first ")
    for number in range(20):
        http.append("plain", text, f"line {number}\n")
    http.create("orders", js)
    for number in range(12):
        http.append("orders", js, json.dumps([{"n": number, "part": part} for part in range(1 + number % 3)]))
    http.create("made", text)
    for sequence in range(5):
        http.append("made", text, f"p{sequence}\n", **producer("till-7", 3, sequence))
    http.append("made", text, "other\n", **producer("till-8", 0, 0))
    expect(http.post("made", text, "ordered\n", Stream_Seq="0007"), 204)
    http.create("closed", js, '[{"last":true}]', Stream_Closed="true")
    http.create("brief", text, "ttl", Stream_TTL="864000000")
    middle = http.get("plain", "offset=-1").offset
    http.append("plain", text, "behind the fork\n")
    http.fork("branch", "plain", text, "own ", at=middle)
    http.fork("twig", "branch", text, "twig")
    http.create("gone", text, "deleted, but needed")
    http.fork("heir", "gone", text, " by its fork")
    expect(http.delete("gone"), 204)
    expect(http.request("PUT", "/v1/shop/stream/orders", [("Content-Type", text)], "of the shop"), 201)
    if version >= 2:
        http.create("kept", text, "a", Stream_Retention_Messages="1000000")
    names = ["plain", "orders", "made", "closed", "brief", "branch", "twig", "heir", *(["kept"] if version >= 2 else [])]
    if version >= 4:
        # Too short for a segment: a row of the index that names two records.
        names.append("pair")
        http.create("pair", text, "one ")
        http.append("pair", text, "two")
    targets = [url(name) for name in names] + ["/v1/shop/stream/orders"]
    questions = [{"method": method, "target": target} for target in targets for method in ("GET", "HEAD")]
    # Offsets that readers kept.
    questions += [{"method": "GET", "target": url("plain", f"offset={middle}")}]
    for target in (url("orders"), url("branch")):
        offset = digest(http.request("GET", target))["headers"]["Stream-Next-Offset"]
        questions += [{"method": "GET", "target": f"{target}?offset={offset}"}]
    # Producers and writers go on where they were: repeated, stale, due, out of order.
    for name, epoch, sequence in (("till-7", 3, 4), ("till-7", 2, 9), ("till-8", 0, 2)):
        questions += [append("made", f"again {name}", producer(name, epoch, sequence))]
    questions += [append("made", "!", {"Stream_Seq": "0006"}), append("closed", "[1]", {}, js)]
    questions += [{"method": "GET", "target": url("gone")}]
    return questions


def register(data: Path) -> None:
    """Projects with secrets, origins and quotas."""
    for arguments in (
        ("create-project", "shop"),
        ("add-secret", "shop"),
        ("set-cors", "shop", "https://app.example.com"),
        ("set-quota", "shop", "--streams", "10", "--bytes", "1000000"),
        ("create-project", "empty"),
    ):
        run(*arguments, "--data-dir", data).expect(0)


def append(path: str, body: str, extra: dict[str, str], type: str = "text/plain") -> dict:
    headers = [("Content-Type", type), *((key.replace("_", "-"), value) for key, value in extra.items())]
    return {"method": "POST", "target": f"{ROOT}/{path}", "headers": headers, "body": body}


def schema_sql(source: Path, version: int) -> list[str]:
    """The statements of the Swift sources that make a database of a version."""
    import re

    def block(text: str, name: str) -> str:
        match = re.search(name + r' = """\n(.*?)"""', text, re.DOTALL)
        assert match, name
        return match[1]

    schema = (source / "Schema.swift").read_text()
    steps = [block(schema, "firstVersion"), block(schema, "retention")]
    if version >= 3:
        # Its triggers are put together by functions; a database has them as text.
        steps.append(block((source / "Registry/RegistrySchema.swift").read_text(), "third"))
    if version >= 4:
        steps.append(block(schema, "runs"))
    return steps[:version]


def dump(store: sqlite3.Connection, version: int, create: list[str]) -> list[str]:
    """The script of an older database with the rows of a current one."""
    later = {}
    for number, tables in SINCE.items():
        if number > version:
            for table, columns in tables.items():
                later.setdefault(table, set()).update(columns)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        for step in create:
            empty.executescript(step)
        tables = [name for (name,) in empty.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
    lines = [*create]
    for table in tables:
        lines.append(f"DELETE FROM {table};")
        columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})") if row[1] not in later.get(table, set())]
        quoted = ", ".join(f"quote({column})" for column in columns)
        for row in store.execute(f"SELECT {quoted} FROM {table}"):
            lines.append(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(row)});")
    for name, sequence in store.execute("SELECT name, seq FROM sqlite_sequence"):
        if name in tables:
            lines += [f"DELETE FROM sqlite_sequence WHERE name = '{name}';"]
            lines += [f"INSERT INTO sqlite_sequence VALUES ('{name}', {sequence});"]
    if version >= 3:
        lines += [f"{sql};" for (sql,) in store.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")]
    return lines


def write_fixture(version: int) -> None:
    root = temporary_root()
    stack = Stack(root / "data", free_port(), **SETTINGS)
    try:
        stack.start()
        with closing(Client(stack)) as http:
            questions = fill(http, version)
            answers = [ask(http, question) for question in questions]
            if version >= 3:
                register(stack.data_dir)
            registered = projects(stack.data_dir)
        wait_until(stack, lambda: ask_store(stack, "SELECT count(*) FROM record_index")[0], "an index")
        stack.stop()
        source = Path(__file__).resolve().parents[2] / "Sources/StreamStore"
        with closing(sqlite3.connect(root / "data/hot.sqlite")) as store:
            sql = dump(store, version, schema_sql(source, version))
        data = root / "data"
        paths = sorted(data.glob("segments/*/*"))
        assert paths, "segments should be there"
        if version >= 3:
            paths.append(data / SECRETS_KEY)
        files = {str(path.relative_to(data)): base64.b64encode(path.read_bytes()).decode() for path in paths}
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)
    FOLDER.mkdir(exist_ok=True)
    content = {"version": version, "sql": sql, "files": files, "questions": questions, "answers": answers}
    content["projects"] = registered
    (FOLDER / f"{version}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        write_fixture(int(wanted))
