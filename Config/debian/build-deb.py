#!/usr/bin/env python3
"""Makes a Debian package of the optimised build: `make deb`.

The three programs come from .build/release. They hold the libraries of Swift, of which Debian has no packages; all others
that they load are packages.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import subprocess
import tempfile
from email.utils import format_datetime
from datetime import datetime, timezone
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PROGRAMS = ["durable-streams", "durable-streams-worker", "durable-streams-live"]
LIBRARY = Path("usr/lib/durable-streams")
SHARE = Path("usr/share/durable-streams")
DOC = Path("usr/share/doc/durable-streams")
DATA = "/var/lib/durable-streams"
# Whoever gives the package to others signs it, as Debian's tools have it.
MAINTAINER = "{} <{}>".format(
    os.environ.get("DEBFULLNAME", "The Durable Streams for nginx authors"), os.environ.get("DEBEMAIL", "durable-streams@localhost")
)


def output(*command: object, **options: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def memory_directory(data: str = DATA) -> str:
    """As DataDirectoryLayout.memoryDirectory: FNV-1a of the data directory's path."""
    value = 0xCBF29CE484222325
    for byte in data.encode():
        value = ((value ^ byte) * 0x100000001B3) & (2**64 - 1)
    return f"/dev/shm/durable-streams-{value:016x}"


class Tree:
    """The files of the package."""

    def __init__(self, root: Path, values: dict[str, str]):
        self.root, self.values = root, values

    def write(self, path: Path | str, content: bytes | str, mode: int = 0o644) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        target.chmod(mode)
        return target

    def copy(self, source: Path, path: Path | str, mode: int = 0o644) -> Path:
        return self.write(path, source.read_bytes(), mode)

    def fill(self, source: Path, path: Path | str, mode: int = 0o644) -> Path:
        text = source.read_text()
        for name, value in self.values.items():
            text = text.replace(f"@{name}@", value)
        assert not re.search(r"@[A-Z_]+@", text), f"{source}: a placeholder is left"
        return self.write(path, text, mode)

    def compress(self, path: Path | str, content: bytes | str) -> None:
        self.write(f"{path}.gz", gzip.compress(content if isinstance(content, bytes) else content.encode(), 9, mtime=0))


def add_programs(tree: Tree, build: Path) -> list[Path]:
    """Stripped; they look for libraries nowhere but where the system does."""
    targets = [tree.copy(build / name, LIBRARY / name, 0o755) for name in PROGRAMS]
    for target in targets:
        output("strip", "--strip-unneeded", "--remove-section=.comment", "--remove-section=.note", target)
        output("patchelf", "--remove-rpath", target)
        assert "/lib/swift/" not in output("ldd", target), f"{target.name} needs libraries of the tool chain"
    link = tree.root / "usr/bin/durable-streams"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"../lib/durable-streams/{PROGRAMS[0]}")
    return targets


def add_files(tree: Tree, build: Path) -> None:
    for path in sorted((REPOSITORY / "nginx").rglob("*")):
        if path.is_file() and "sites" not in path.relative_to(REPOSITORY / "nginx").parts:
            tree.copy(path, SHARE / "nginx" / path.relative_to(REPOSITORY / "nginx"))
    for path in sorted((REPOSITORY / "Config/systemd").glob("durable-streams*")):
        tree.copy(path, f"lib/systemd/system/{path.name}")
    tree.fill(REPOSITORY / "Config/systemd/tmpfiles.conf", "usr/lib/tmpfiles.d/durable-streams.conf")
    tree.copy(REPOSITORY / "nginx/sites/durable-streams.conf", "etc/nginx/sites-available/durable-streams.conf")
    tree.copy(HERE / "durable-streams.yaml", "etc/durable-streams/durable-streams.yaml")
    tree.copy(HERE / "logrotate", "etc/logrotate.d/durable-streams")
    tree.copy(REPOSITORY / "Config/durable-streams.yaml", DOC / "examples/durable-streams.yaml")
    for folder in ("grafana", "prometheus"):
        for path in sorted((REPOSITORY / "Config" / folder).glob("*")):
            tree.copy(path, DOC / "examples" / folder / path.name)
    tree.fill(HERE / "copyright", DOC / "copyright")
    for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*"))]:
        if path.is_file():
            tree.copy(path, DOC / path.name)
    tree.compress(DOC / "NEWS", (REPOSITORY / "CHANGELOG.md").read_bytes())
    tree.copy(HERE / "lintian-overrides", "usr/share/lintian/overrides/durable-streams")
    add_shell_help(tree, build / PROGRAMS[0])


def add_shell_help(tree: Tree, program: Path) -> None:
    for shell, path in (
        ("bash", "usr/share/bash-completion/completions/durable-streams"),
        ("zsh", "usr/share/zsh/vendor-completions/_durable-streams"),
        ("fish", "usr/share/fish/vendor_completions.d/durable-streams.fish"),
    ):
        lines = output(program, "completions", shell).splitlines()
        # Completions are read, never run.
        tree.write(path, "\n".join(line for line in lines if not line.startswith("#!")) + "\n")
    manual = subprocess.run([str(program), "man"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if manual.returncode == 0:
        tree.compress("usr/share/man/man1/durable-streams.1", manual.stdout)


def dependencies(binaries: list[Path]) -> str:
    """Of the libraries by dpkg-shlibdeps, which wants a source package's folder."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "debian").mkdir()
        (Path(folder) / "debian/control").write_text("Source: durable-streams\n\nPackage: durable-streams\nArchitecture: any\n")
        found = output(
            "dpkg-shlibdeps", "-O", *[f"-e{path}" for path in binaries], cwd=folder, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    libraries = found.strip().removeprefix("shlibs:Depends=")
    assert "libsqlite3-0" in libraries, libraries
    # Of relocations in the packed form no symbol tells, so dpkg-shlibdeps doesn't.
    return f"{libraries}, libc6 (>= 2.36), adduser, libjs-dygraphs, nginx (>= 1.22)"


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the Debian package of the optimised build.")
    parser.add_argument("--build", type=Path, default=REPOSITORY / ".build/release", help="where the programs are")
    parser.add_argument("--output", type=Path, default=REPOSITORY / ".build/deb", help="folder of the package")
    parser.add_argument("--version", help="another version than the program's own, to try upgrades")
    options = parser.parse_args()
    os.umask(0o022)
    version = options.version or output(options.build / PROGRAMS[0], "--version").split()[-1]
    architecture = output("dpkg", "--print-architecture").strip()
    licence = (REPOSITORY / "LICENSE").read_text().split("\n\n", 2)
    values = {
        "VERSION": version,
        "ARCHITECTURE": architecture,
        "MAINTAINER": MAINTAINER,
        "MEMORY_DIRECTORY": memory_directory(),
        "COPYRIGHT": licence[1].removeprefix("Copyright (c) ").strip(),
        "LICENSE": "\n".join(f" {line}" if line else " ." for line in licence[2].strip().splitlines()),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    package = options.output / f"durable-streams_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory(dir=options.output) as folder:
        root = Path(folder) / "root"
        root.mkdir(mode=0o755)
        tree = Tree(root, values)
        binaries = add_programs(tree, options.build)
        add_files(tree, options.build)
        when = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", time_of_commit())), timezone.utc)
        tree.compress(
            DOC / "changelog",
            f"durable-streams ({version}) unstable; urgency=medium\n\n  * Version {version}: see NEWS.gz.\n\n"
            f" -- {MAINTAINER}  {format_datetime(when)}\n",
        )
        values["DEPENDS"] = dependencies(binaries)
        files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
        values["INSTALLED_SIZE"] = str(sum((path.stat().st_size + 1023) // 1024 for path in files))
        tree.fill(HERE / "control.in", "DEBIAN/control")
        for name in ("postinst", "prerm", "postrm"):
            tree.fill(HERE / name, f"DEBIAN/{name}", 0o755)
        conffiles = sorted(f"/{path.relative_to(root)}" for path in files if path.is_relative_to(root / "etc"))
        tree.write("DEBIAN/conffiles", "".join(f"{path}\n" for path in conffiles))
        sums = output("md5sum", *[path.relative_to(root) for path in sorted(files) if not path.is_relative_to(root / "etc")], cwd=root)
        tree.write("DEBIAN/md5sums", sums)
        for path in root.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
        output("dpkg-deb", "--root-owner-group", "-Zxz", "-z2", "--build", root, package)
    print(package)


def time_of_commit() -> str:
    """Of the last one, so that the package of a commit is the same whenever it is made."""
    if not shutil.which("git"):
        return "0"
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=REPOSITORY, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else "0"


if __name__ == "__main__":
    main()
