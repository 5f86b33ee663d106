"""What live delivery is measured against: a bare writer of events behind the same nginx, and nchan."""

import contextlib
import os
import re

import baseline as baselines
from processes import BenchError, free_port, request, running, wait_until

NCHAN_MODULES = ("/usr/lib/nginx/modules/ngx_nchan_module.so", "/usr/lib64/nginx/modules/ngx_nchan_module.so",
                 "/usr/local/nginx/modules/ngx_nchan_module.so")
NCHAN_HINT = "nchan is not installed: apt-get install libnginx-mod-nchan, or make bench-peers"
PUBLISH = "/bench-publish"


class Peer:
    """A running server that takes messages and hands them to readers. `kind` is what bench-sse calls it."""

    def __init__(self, kind, port, pids):
        self.kind, self.port, self.pids = kind, port, pids

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def bare_writer(binaries, folder, stack, syncs=False):
    """bench-writer in the place of the live process, behind nginx with the stack's configuration."""
    place, static = folder, folder + "-static"
    os.makedirs(place, mode=0o755)
    os.makedirs(static, mode=0o755)
    port = free_port()
    command, pool, _ = baselines.derived(stack, place, port, static)
    socket = os.path.join(os.path.dirname(pool), "live.sock")
    log = os.path.join(place, "writer.log")
    insert_publisher(place)
    arguments = [os.path.join(place, "appended")] if syncs else []
    with running([os.path.join(binaries, "bench-writer"), socket, *arguments], log) as writer:
        wait_until(lambda: os.path.exists(socket), writer, "bench-writer", log)
        with running(command, log) as nginx:
            wait_until(lambda: request(port, "POST", PUBLISH, b"x")[0] == 204, nginx, "its nginx", log, seconds=5)
            yield Peer("writer", port, (writer.pid, nginx.pid))


def insert_publisher(place):
    """A location that leads posts to the writer as the stack's leads readers there: on kept connections."""
    location = (f"location = {PUBLISH} {{ proxy_pass http://durable_streams_live; proxy_http_version 1.1; "
                'proxy_set_header Connection ""; }')
    for path in baselines.configuration_files(place):
        with open(path) as file:
            text = file.read()
        changed, count = re.subn(r"^(\s*listen\s[^;]*;)", lambda m: f"{m[1]}\n{location}", text, 1, re.MULTILINE)
        if count:
            with open(path, "w") as file:
                file.write(changed)
            return
    raise BenchError("no server block in the stack's configuration")


NCHAN = """
load_module {module};
{user}
daemon off;
worker_processes auto;
pid {place}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path       {place}/proxy;
    fastcgi_temp_path     {place}/fastcgi;
    uwsgi_temp_path       {place}/uwsgi;
    scgi_temp_path        {place}/scgi;
    nchan_shared_memory_size 128M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        tcp_nodelay on;
        keepalive_requests 1000000;
        location = /ready {{ return 204; }}
        location ~ ^/publish/(.+)$ {{
            nchan_publisher;
            nchan_channel_id $1;
            nchan_message_buffer_length 100;
        }}
        location ~ ^/events/(.+)$ {{
            nchan_subscriber eventsource;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
        }}
        location ~ ^/poll/(.+)$ {{
            nchan_subscriber longpoll;
            nchan_channel_id $1;
            nchan_subscriber_first_message oldest;
        }}
    }}
}}
"""


def nchan_module():
    """Where nchan's module lies, or None."""
    return next(filter(os.path.exists, NCHAN_MODULES), None)


@contextlib.contextmanager
def nchan(folder):
    """nginx with nchan, with as many workers as the stack's."""
    module = nchan_module()
    if module is None:
        raise BenchError(NCHAN_HINT)
    os.makedirs(folder, mode=0o755)
    port, path, log = free_port(), os.path.join(folder, "nginx.conf"), os.path.join(folder, "nginx.log")
    with open(path, "w") as file:
        user = "user root;" if os.geteuid() == 0 else ""
        file.write(NCHAN.format(module=module, user=user, place=folder, port=port))
    with running(["nginx", "-p", folder, "-c", path], log) as child:
        wait_until(lambda: request(port, "GET", "/ready")[0] == 204, child, "nginx with nchan", log)
        yield Peer("nchan", port, (child.pid,))
