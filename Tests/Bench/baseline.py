"""What the stack is measured against: a FastCGI responder that only answers 204, and a static file, both
behind an nginx with the configuration of the stack's.

The configuration is derived from the one that the stack runs with: its files are copied, the stack's data
directory is replaced in them by a folder of ours and its port by another, so that the pool's socket is the
responder's; a location for the static file is added. Where that can't be done, the minimal configuration
in baseline.conf is taken, with the stack's number of nginx workers and upstream connections.
"""

import contextlib
import os
import re
import shutil

from memory import descendants
from processes import BenchError, free_port, request, running, wait_until
from stack import ROOT

HERE = os.path.dirname(os.path.abspath(__file__))
STATIC = "/bench-static/"
CONFIGURATION = (".conf", ".types", "fastcgi_params")


class Baseline:
    """A running baseline. `how` says where its configuration comes from."""

    def __init__(self, port, static, how):
        self.port, self.static, self.how = port, static, how

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def place_of(self, path):
        """The file that is served at a path."""
        return os.path.join(self.static, path.removeprefix(STATIC))

    def serve_file(self, name, content):
        """Put a static file up; its path. Its answer has been checked."""
        with open(os.path.join(self.static, name), "wb") as file:
            file.write(content)
        status, _, body = request(self.port, "GET", STATIC + name)
        if status != 200 or body != content:
            raise BenchError(f"the static file {name} was answered with {status}")
        return STATIC + name


@contextlib.contextmanager
def start(binaries, folder, stack):
    """Run the responder and its nginx; with the minimal configuration if the derived one does not work."""
    failure = None
    for number, configure in enumerate((derived, minimal)):
        with contextlib.ExitStack() as started:
            try:
                place = os.path.join(folder, f"baseline{number}")
                baseline = launch(started, binaries, place, configure, stack, failure)
            except (BenchError, OSError) as error:
                failure = error
                continue
            yield baseline
            return
    raise BenchError(f"the baseline does not start: {failure}")


def launch(started, binaries, place, configure, stack, failure):
    """Start both programs with the configuration that `configure` writes; `started` ends them."""
    os.makedirs(place, mode=0o755)
    # Beside the copy, since the stack's data directory may not be open to nginx's user.
    static = place + "-static"
    os.makedirs(static, mode=0o755)
    port = free_port()
    command, pool, how = configure(stack, place, port, static)
    os.makedirs(os.path.dirname(pool), exist_ok=True)
    log = os.path.join(place, "baseline.log")
    responder = started.enter_context(
        running([os.path.join(binaries, "bench-responder"), pool], log))
    wait_until(lambda: os.path.exists(pool), responder, "bench-responder", log)
    nginx = started.enter_context(running(command, log))
    wait_until(lambda: request(port, "POST", ROOT + "probe", b"x")[0] == 204,
               nginx, "the baseline's nginx", log, seconds=5)
    baseline = Baseline(port, static, how if failure is None else f"{how} ({failure})")
    baseline.serve_file("probe", b"x")
    return baseline


def derived(stack, place, port, static):
    """The stack's own configuration with our responder in place of its pool."""
    prefix, main, globals_ = master_of(stack)
    if not main.startswith(stack.data + os.sep):
        raise BenchError("the stack's nginx.conf is not in its data directory")
    copy_layout(stack.data, place)
    texts = {}
    for path in configuration_files(stack.data):
        with open(path) as file:
            text = file.read().replace(stack.data, place)
        texts[path.replace(stack.data, place)] = re.sub(rf"\b{stack.port}\b", str(port), text)
    prefix, main, globals_ = (text.replace(stack.data, place) for text in (prefix, main, globals_))
    pool = pool_socket("\n".join(texts.values()), prefix)
    insert_static(texts, static)
    refuse_shared(texts, prefix, place, pool)
    for path, text in texts.items():
        with open(path, "w") as file:
            file.write(text)
    return nginx_command(prefix, main, globals_, texts), pool, "the stack's"


def nginx_command(prefix, main, globals_, texts):
    """nginx in the foreground, with the stack's options."""
    globals_ = re.sub(r"\bdaemon\s+\w+\s*;", "", globals_)
    if "off" not in directives("\n".join(texts.values()), "daemon"):
        globals_ += " daemon off;"
    command = ["nginx", "-c", main]
    if prefix:
        command += ["-p", prefix]
    if globals_.strip():
        command += ["-g", globals_.strip()]
    return command


def master_of(stack):
    """Prefix, configuration file and global directives on the command line of the stack's nginx."""
    for pid in descendants(stack.pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
            title = file.read().replace("\0", " ").strip()
            if not title.startswith("nginx: master process"):
                continue
            options = dict(re.findall(r" -([pcg]) +(.*?)(?= -[a-zA-Z] |$)", title))
            if "c" in options:
                prefix, main = options.get("p", ""), options["c"]
                return prefix, os.path.join(prefix, main), options.get("g", "")
    raise BenchError("no nginx found below the stack's process")


def configuration_files(data):
    """The files that nginx reads."""
    for folder, _, names in os.walk(data):
        for name in names:
            if name.endswith(CONFIGURATION):
                yield os.path.join(folder, name)


def copy_layout(source, target):
    """The folders of the stack, empty, with the same owner and mode: nginx's temporary files, its cache."""
    for folder, names, _ in os.walk(source):
        depth = os.path.relpath(folder, source).count(os.sep)
        if depth >= 3:
            names.clear()
        copy = folder.replace(source, target, 1)
        os.makedirs(copy, exist_ok=True)
        shutil.copymode(folder, copy)
        if os.geteuid() == 0:
            status = os.stat(folder)
            os.chown(copy, status.st_uid, status.st_gid)


def pool_socket(text, prefix):
    """The Unix socket that fastcgi_pass leads to."""
    targets = [target for target in directives(text, "fastcgi_pass") if "$" not in target]
    if not targets:
        raise BenchError("no fastcgi_pass in the stack's configuration")
    found = set()
    for target in targets:
        if target.startswith("unix:"):
            found.add(target)
            continue
        block = re.search(rf"upstream\s+{re.escape(target)}\s*{{(.*?)}}", text, re.DOTALL)
        found.update(re.findall(r"server\s+(unix:[^;\s]+)", block[1]) if block else [])
    if len(found) != 1:
        raise BenchError(f"not one pool socket in the stack's configuration: {sorted(found)}")
    return os.path.join(prefix, found.pop().removeprefix("unix:").rstrip(":"))


def insert_static(texts, static):
    """Add the static location to the first server block."""
    location = (f"location ^~ {STATIC} {{ alias {static}/; sendfile on; "
                "default_type application/octet-stream; }")
    for path, text in texts.items():
        changed, count = re.subn(
            r"^(\s*listen\s[^;]*;)", lambda m: f"{m[1]}\n{location}", text, 1, re.MULTILINE)
        if count:
            texts[path] = changed
            return
    raise BenchError("no server block in the stack's configuration")


def refuse_shared(texts, prefix, place, pool):
    """Fail when a path that nginx or the responder writes to is still the stack's."""
    text = "\n".join(texts.values())
    written = [value.split()[0] for value in directives(text, r"(?:pid|\w+_cache_path|\w+_temp_path)")]
    for path in [pool, *written]:
        if not os.path.join(prefix, path).startswith(place + os.sep):
            raise BenchError(f"{path} lies outside the stack's data directory")


def minimal(stack, place, port, static):
    """The configuration in baseline.conf."""
    text = "\n".join(open(path).read() for path in configuration_files(stack.data))
    pool = os.path.join(place, "responder.sock")
    users = directives(text, "user")
    values = {
        "USER": f"user {users[0]};" if users and os.geteuid() == 0 else "",
        "WORKER_PROCESSES": (directives(text, "worker_processes") or [os.cpu_count()])[0],
        "KEEPALIVE": (directives(text, "keepalive") or [128])[0],
        "DIR": place, "SOCKET": pool, "PORT": port, "STATIC": static, "STATIC_URL": STATIC,
    }
    with open(os.path.join(HERE, "baseline.conf")) as file:
        conf = re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), file.read().partition("\n\n")[2])
    path = os.path.join(place, "nginx.conf")
    with open(path, "w") as file:
        file.write(conf)
    return ["nginx", "-p", place, "-c", path], pool, "a minimal one"


def directives(text, name):
    """The values of all directives of this name (a regular expression), comments left out."""
    text = re.sub(r"(^|\s)#.*", "", text)
    return [value.strip() for value in re.findall(rf"(?:^|[;{{}}\s]){name}\s+([^;{{}}]+)(?=;)", text)]
