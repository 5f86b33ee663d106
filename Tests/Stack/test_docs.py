"""docs/*.md: commands do what the pages show, configurations are taken by those they are for, names and links lead somewhere.

Blocks by their language: `sh` runs, in order, on a server of the page's own, and the lines behind `# ` are its answer;
`nginx` goes through `nginx -t` (`nginx main`, `server` and `include`: the place it is for, else `http { … }`); `yaml` is a settings
file; of what needs root (`bash`) or a service manager (`ini`) our own commands are compared with their help.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

import pytest

from commands import run as run_command
from stack import BINARY, REPOSITORY, Stack, remove_tree, temporary_root
from test_nginx_config import tool
from test_readme import MARK, ORIGIN, blocks, pattern, run

PAGES = sorted(REPOSITORY.glob("docs/*.md"))
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
DATA = "/var/lib/durable-streams"
SETTINGS_FILE = "/etc/durable-streams/durable-streams.yaml"
CERTIFICATES = "/etc/letsencrypt/live/streams.example.com"
TROUBLES = TEXTS["troubleshooting.md"]
LANGUAGES = {"sh", "bash", "nginx", "nginx main", "nginx server", "nginx include", "yaml", "ini", "sysctl", "json", "promql", "text", "console", ""}


def with_block(language: str) -> list[str]:
    return [name for name, text in TEXTS.items() if blocks(text, language)]


def prose(text: str) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def steps(text: str) -> list[tuple[str, list[str]]]:
    """Commands with the lines shown of their answers."""
    script = "".join(blocks(text, "sh"))
    found = re.findall(r"((?:^(?!# ).*\n)+)((?:^# .*\n)+)", script, re.MULTILINE)
    assert "".join(command + shown for command, shown in found) == script, "a command without an answer"
    return [(command, [line[2:] for line in shown.splitlines()]) for command, shown in found]


@pytest.mark.parametrize("name", with_block("sh"))
def test_commands(name: str, fresh_stack, tmp_path: Path) -> None:
    """They succeed, in order, and answer as shown."""
    # doctor waits for both.
    stack: Stack = fresh_stack(DS_LONG_POLL_TIMEOUT=1, DS_SSE_KEEP_ALIVE=1)
    settings = tmp_path / "settings.yaml"
    settings.write_text("".join(blocks(TEXTS[name], "yaml")))
    places = {
        f"{DATA}-again": f"{tmp_path}/again",
        DATA: str(stack.data_dir),
        SETTINGS_FILE: str(settings),
        "/backup/streams": f"{tmp_path}/backup",
        "/tmp/streams-nginx": f"{tmp_path}/nginx",
        ORIGIN: f"http://127.0.0.1:{stack.port}",
        ".build/release/durable-streams": "durable-streams",
        "--data-dir data": f"--data-dir {stack.data_dir}",
    }

    def placed(text: str) -> str:
        for old, new in places.items():
            text = re.sub(re.escape(old) + r"(?![-\w])", new, text)
        return text

    commands = steps(TEXTS[name])
    script = f'durable-streams() {{ command {BINARY} "$@"; }}\n'
    script += "".join(f"{{\n{placed(command)}}} 2>&1; printf '\\n%s %s\\n' '{MARK}' $?\n" for command, _ in commands)
    outputs = re.split(rf"\n{MARK} (\d+)\n", run(script))
    assert len(outputs) == 2 * len(commands) + 1, outputs
    for (command, shown), output, status in zip(commands, outputs[::2], outputs[1::2]):
        assert status == "0", f"{name}: {command}ended with {status}:\n{output}"
        for line in shown:
            expression = pattern(placed(line))
            assert any(expression.fullmatch(have) for have in output.splitlines()), f"{name} shows {line!r}, but after\n{command}came\n{output}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a self-signed certificate under the names that certbot gives."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
         "-subj", "/CN=streams.example.com", "-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")],
        check=True, capture_output=True, timeout=60)  # fmt: skip
    return folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path leaves room for those of sockets."""
    root = temporary_root()
    yield root
    remove_tree(root)


def nginx_blocks() -> list[tuple[str, str, str]]:
    """(page and number, where it belongs, block)"""
    return [
        (f"{name}-{place or 'http'}-{number}", place, block)
        for name, text in TEXTS.items()
        for place in ("", "main", "server", "include")
        for number, block in enumerate(blocks(text, f"nginx {place}".strip()))
    ]


@pytest.mark.parametrize(("place", "block"), [one[1:] for one in nginx_blocks()], ids=[one[0] for one in nginx_blocks()])
def test_nginx_takes_it(place: str, block: str, certificate: Path, folder: Path) -> None:
    """Beside the files that `nginx-config` writes."""
    run_command("nginx-config", "--output", folder, DS_DATA_DIR=folder / "data", DS_AUTH="project-jwt").expect(0)
    for name in ("data/nginx/cache", "verdicts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    http = (folder / "durable-streams-project-jwt-http.conf").read_text()
    (folder / "durable-streams-project-jwt-http.conf").write_text(re.sub(r"/dev/shm/\S+", str(folder / "verdicts"), http))
    block = block.replace("/etc/nginx/durable-streams/", f"{folder}/").replace(CERTIFICATES, str(certificate))
    block = block.replace("/etc/nginx/admins-ca.pem", str(certificate / "fullchain.pem"))
    # nginx -t binds what it is to listen on. One socket for each directive of the page.
    numbers = count(1)
    block = re.sub(r"^(\s*listen )(\[::\]:)?(80|443)\b", lambda found: f"{found[1]}unix:{folder}/{next(numbers)}.sock", block, flags=re.MULTILINE)
    events = "" if "events {" in block else "events {}\n"
    server = block if place == "server" else ""
    inner = block if place == "" else f"server {{ listen unix:{folder}/0.sock; {server} include durable-streams-server.conf; }}"
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = (block if place == "main" else "") + events
    needed = place or "durable-streams-server.conf" in block
    include = block if place == "include" else "include durable-streams-http.conf;" if needed else ""
    text += f"pid {folder}/pid;\nhttp {{\n{temporary}access_log off;\n{include}\n{inner}\n}}\n"
    (folder / "page.conf").write_text(text)
    done = subprocess.run(
        [tool("nginx"), "-t", "-e", "stderr", "-c", str(folder / "page.conf")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "[warn]" not in done.stderr, f"{done.stderr}\n{text}"


@pytest.mark.parametrize("name", with_block("yaml"))
def test_settings(name: str, tmp_path: Path) -> None:
    """A server would take them."""
    for number, block in enumerate(blocks(TEXTS[name], "yaml")):
        if not re.match(r"(#.*\n)*\w+: ", block) or "\n  " in block:
            continue  # Somebody else's.
        (file := tmp_path / f"{number}.yaml").write_text(block)
        run_command("nginx-config", "--config", file, "--output", tmp_path / "out").expect(0)


@cache
def help_of(command: str) -> str:
    done = subprocess.run([BINARY, command, "--help"], capture_output=True, text=True, timeout=60)
    return done.stdout if f"USAGE: durable-streams {command}" in done.stdout else ""


def commands_in(text: str) -> set[str]:
    """Our own command lines, wherever they stand: blocks, code in a sentence, tables."""
    text = text.replace("\\\n", " ")
    # Code may go on in the next line of a paragraph.
    code = [re.sub(r"\s+", " ", one) for one in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(text))]
    code += re.findall(r"^(?!#).*\bdurable-streams .*$", "\n".join(re.findall(r"^```[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)), re.MULTILINE)
    return {match for line in code for match in re.findall(r"(?:^|/|\s|\()durable-streams ((?:--)?[a-z][^|;&)'\"]*)", line)}


@pytest.mark.parametrize("name", TEXTS)
def test_names_of_commands(name: str) -> None:
    """Each command has each of its options."""
    for line in commands_in(TEXTS[name]):
        command, *arguments = line.split()
        if command == "--version":
            continue
        assert help_of(command), f"{name}: no command {command}"
        for flag in (argument.split("=")[0] for argument in arguments if argument.startswith("--")):
            assert re.search(rf"{flag}(?![-\w])", help_of(command)), f"{name}: {command} has no {flag}"


@pytest.mark.parametrize("name", TEXTS)
def test_languages(name: str) -> None:
    """No block is of a kind that nobody checks by mistake."""
    fences = re.findall(r"^```(.*)$", TEXTS[name], re.MULTILINE)
    assert len(fences) % 2 == 0 and set(fences[::2]) <= LANGUAGES, set(fences[::2]) - LANGUAGES


def anchors(text: str) -> set[str]:
    """Of the headings, as they are made on the usual pages."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("name", TEXTS)
def test_links(name: str) -> None:
    """Every relative link leads to a file, and to a heading there."""
    for target in re.findall(r"\]\(([^)]+)\)", TEXTS[name]):
        file, _, anchor = target.partition("#")
        if ":" in target:
            continue
        path = REPOSITORY / "docs" / file if file else REPOSITORY / "docs" / name
        assert path.exists(), f"{name}: {target}"
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), f"{name}: {target}"


@cache
def source() -> str:
    """All of the program and of nginx's files, with strings that go over several lines put together."""
    files = [file for folder in ("Sources", "nginx") for file in sorted((REPOSITORY / folder).rglob("*")) if file.suffix in (".swift", ".conf")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return re.sub(r'\\\n\s*|"\s*\n\s*\+\s*"', "", text)


def rows() -> list[list[str]]:
    lines = [line for line in TROUBLES.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| Symptom"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_troubles_are_complete() -> None:
    """Each row says what it is, what shows it and what mends it; there are many."""
    assert len(rows()) >= 25
    for row in rows():
        assert len(row) == 3 and all(len(cell) > 2 for cell in row), row


# What others print.
FOREIGN = {"blocked by CORS policy", "worker_connections are not enough", "Too many open files"}


def test_words_of_troubles() -> None:
    """Messages, codes and settings that the table names are the program's own."""
    quoted = set(re.findall("“([^”]+)”", TROUBLES)) - FOREIGN
    assert len(quoted) > 15
    for words in quoted:
        assert words in source(), words
    for code in set(re.findall(r"\d{3} `([A-Z_]+)`", TROUBLES)):
        assert f'"{code}"' in source(), code


def test_settings_are_named_right() -> None:
    """A code word with an underscore is a setting, or a word of nginx or the kernel that is known here."""
    known = set(re.findall(r"^(\w+):", (REPOSITORY / "Config/durable-streams.yaml").read_text(), re.MULTILINE))
    for name in ("deployment.md", "operations.md", "tuning.md", "troubleshooting.md"):
        for word in re.findall(r"`([a-z]+_[a-z_]+)`", TEXTS[name]):
            foreign = re.match(r"(proxy|fastcgi|client|ssl|real|set|worker|gzip|tcp|access|merge|error|listen)_", word)
            assert word in known or foreign and word not in known, f"{name}: {word}"


# Some of the symptoms, made: what the page quotes is what the server says.
STARTS = {
    "is not accepted; give": ({"DS_WORKERS": "many"}, 78),
    "unknown setting": ({"DS_WORKER": "2"}, 78),
    "can be reached from elsewhere while DS_AUTH is none": ({"DS_LISTEN": "0.0.0.0:4437"}, 78),
    "nobody is named to ask": ({"DS_AUTH": "delegate"}, 78),
    "nginx is missing": ({"DS_NGINX_PATH": "no-such-nginx"}, 69),
    "is not one of this machine's": ({"DS_LISTEN": "203.0.113.7:4437", "DS_ALLOW_OPEN": "true"}, 69),
}


@pytest.mark.parametrize("words", STARTS)
def test_refusals_to_start(words: str, tmp_path: Path) -> None:
    settings, status = STARTS[words]
    outcome = run_command("serve", **({"DS_DATA_DIR": tmp_path / "data"} | settings))
    assert outcome.status == status and words in outcome.err, outcome.describe()
    assert re.search(rf"“{re.escape(words)}”[^|]*\({status}\)", TROUBLES), words


