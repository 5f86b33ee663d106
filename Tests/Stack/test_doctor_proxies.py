"""`durable-streams doctor` finds what a proxy in front does wrong, just that, and says what mends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from access import Project, wait_known
from front import Front, doctor, running
from stack import Stack, remove_tree, temporary_root

SHORT = {"DS_LONG_POLL_TIMEOUT": 1, "DS_SSE_KEEP_ALIVE": 1, "DS_SSE_LIFETIME": 8, "DS_MAX_BODY_BYTES": 2 << 20}
BODY = ("--max-body", "2MiB")

# Copies of whatever a map says, whatever the server says.
KEEP = (
    "proxy_cache c; proxy_cache_methods GET HEAD; proxy_cache_convert_head off; proxy_cache_key $copy;"
    "proxy_ignore_headers Cache-Control Expires X-Accel-Expires Vary; proxy_no_cache $skip $skip_answer; proxy_cache_bypass $skip;"
)
BUFFERED = {"proxy_buffering off": "proxy_buffering on", "proxy_cache off;": ""}


def keeping(what: str, of: str, statuses: str = "200", copy: str = '"$request_method $request_uri"', answer: str = "") -> Front:
    """A proxy that keeps copies of some requests: those for which `of` has the value of a row of `what`."""
    http = f'map "{of}" $skip {{ default 1; {what} 0; }}\nmap "{answer}" $skip_answer {{ default 0; "true" 1; }}'
    http += f"\nmap '' $copy {{ default {copy}; }}"
    return Front(http=http, location=f"{KEEP} proxy_cache_valid {statuses} 1m;", changes=BUFFERED)


RIGHT = "proxy_http_version 1.1; proxy_buffering off;"


def only(query: str, lines: str, rest: str = RIGHT) -> Front:
    """Other lines for requests whose `live` is this."""
    inner = f"proxy_set_header Connection ''; proxy_set_header Host $http_host; {rest}"
    return Front(
        location=f"if ($arg_live = {query}) {{ rewrite ^ /.only last; }}",
        server=f"location = /.only {{ internal; proxy_pass http://durable_streams$request_uri; {inner} {lines} }}",
    )


GET = '"~^GET:"'
NO_LIVE = '"~^GET:$"'
# Of a proxy: what it is, which checks have to find something, and words of their mends.
BROKEN: dict[str, tuple[Front, dict[str, str]]] = {
    "events are buffered": (
        # As nginx does it where nobody said otherwise. Chunks of HTTP/1.1 it would pass on even so.
        only("sse", "proxy_ignore_headers X-Accel-Buffering;", rest=""),
        {"event-buffering": "proxy_buffering off;"},
    ),
    "events are compressed": (
        Front(location="gzip on; gzip_types text/event-stream;", changes={"gzip off;": ""}),
        {"event-compression": "gzip_types"},
    ),
    "long-polls are cached": (
        keeping('"long-poll"', "$arg_live", copy="$arg_live", answer="$upstream_http_stream_closed"),
        {"long-poll": "proxy_no_cache $arg_live;"},
    ),
    "HEAD is cached": (keeping('"HEAD"', "$request_method"), {"head": "proxy_cache_bypass"}),
    "tails are cached": (keeping(NO_LIVE, "$request_method:$arg_live"), {"own-writes": "$upstream_http_stream_up_to_date"}),
    "errors are cached": (keeping(GET, "$request_method:", "404"), {"cached-errors": "proxy_cache_valid"}),
    "copies go by the path": (
        keeping('"~^GET:offset=[-0-9]"', "$request_method:$args", copy="$uri"),
        {"query": "proxy_cache_key $scheme$host$request_uri;"},
    ),
    "queries are dropped": (
        Front(http='map $request_uri $bare { "~^([^?]*)" $1; }', changes={"proxy_pass http://durable_streams;": "proxy_pass http://durable_streams$bare;"}),
        {"query": "$is_args$args"},
    ),
    "queries are tidied up": (Front(location='if ($args = "offset=-1&offset=-1") { set $args offset=-1; }'), {"query": "normalising"}),
    "paths are decoded": (
        Front(changes={"proxy_pass http://durable_streams;": "proxy_pass http://durable_streams/;", "merge_slashes off;": ""}),
        {"paths": "merge_slashes off;"},
    ),
    "bodies are limited": (Front(changes={"client_max_body_size 16m": "client_max_body_size 1m"}), {"body-limit": "client_max_body_size 2m;"}),
    "errors are pages": (
        Front(location="proxy_intercept_errors on; error_page 404 /404.html;", changes={"proxy_intercept_errors off;": ""},
              server="location = /404.html { internal; default_type text/html; return 404 '<h1>Nothing here</h1>'; }"),
        {"error-pages": "proxy_intercept_errors off;"},
    ),
    "an origin is added": (
        Front(http="map $request_method $allowed { GET '*'; default ''; }", server="add_header Access-Control-Allow-Origin $allowed;"),
        {"cors": "add_header Access-Control"},
    ),
    "origins are dropped": (
        Front(location="proxy_hide_header Access-Control-Allow-Origin;"),
        {"cors": "proxy_hide_header Access-Control-Allow-Origin", "preflight": "proxy_hide_header Access-Control-Allow-Origin"},
    ),
    "headers stay hidden from pages": (
        Front(location="proxy_hide_header Access-Control-Expose-Headers;"),
        {"cors": "proxy_hide_header Access-Control-Expose-Headers"},
    ),
    "preflights are refused": (Front(location="if ($request_method = OPTIONS) { return 405; }"), {"preflight": "OPTIONS"}),
    "preflights allow too little": (
        Front(location="proxy_hide_header Access-Control-Allow-Headers;"),
        {"preflight": "let the server answer OPTIONS itself"},
    ),
    "DELETE is refused": (Front(location="limit_except GET POST PUT OPTIONS { deny all; }"), {"methods": "limit_except"}),
    "PUT is refused": (Front(location="limit_except GET POST DELETE OPTIONS { deny all; }"), {"methods": "limit_except"}),
    "it is not ready": (Front(server="location = /readyz { return 503; }"), {"readiness": "durable-streams status"}),
    "the admin page is open": (
        Front(changes={r"location /admin \{ return 404; \}": "location /admin { return 200 admin; }"}),
        {"admin-page": "location /admin { return 404; }"},
    ),
}  # fmt: skip
WARNINGS: dict[str, tuple[Front, dict[str, str]]] = {
    "Location leads elsewhere": (Front(changes={r"Host \$http_host": "Host backend.internal"}), {"location": "DS_PUBLIC_URL="}),
    "connections end": (Front(server="keepalive_timeout 0;"), {"connections": "keepalive_timeout 75s;"}),
}
REQUEST_HEADERS = ("Stream-Seq", "Stream-TTL", "Stream-Closed", "If-None-Match", "Producer-Seq")
RESPONSE_HEADERS = ("ETag", "Stream-Next-Offset", "Stream-Up-To-Date", "Stream-Closed", "Stream-TTL", "Stream-Cursor", "Producer-Epoch", "Location")
# Those that have to wait for what the proxy does.
WAITING = {
    "long-polls are cut off": (only("long-poll", "proxy_read_timeout 600ms;"), {"long-poll-time": "proxy_read_timeout 120s;"}),
    "event streams are cut off": (only("sse", "proxy_read_timeout 600ms;"), {"event-stream-time": "DS_SSE_KEEP_ALIVE"}),
}


@pytest.fixture(scope="module")
def behind() -> Iterator[Stack]:
    """The server behind all proxies."""
    root = temporary_root()
    stack = Stack(root / "data", **SHORT)
    try:
        yield stack.start()
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


@pytest.mark.parametrize("what", BROKEN)
def test_errors(behind: Stack, what: str) -> None:
    front, expected = BROKEN[what]
    with running(front, behind.port) as port:
        doctor("--url", f"http://127.0.0.1:{port}", "--quick", *BODY).check(expected)


@pytest.mark.parametrize("what", WARNINGS)
def test_warnings(behind: Stack, what: str) -> None:
    front, expected = WARNINGS[what]
    with running(front, behind.port) as port:
        doctor("--url", f"http://127.0.0.1:{port}", "--quick", *BODY).check(expected, "warning")


@pytest.mark.parametrize("name", REQUEST_HEADERS)
def test_dropped_request_headers(behind: Stack, name: str) -> None:
    with running(Front(location=f'proxy_set_header {name} "";'), behind.port) as port:
        seen = doctor("--url", f"http://127.0.0.1:{port}", "--quick", *BODY)
    seen.check({"request-headers": f"proxy_set_header {name} $http_"})
    assert name in seen.findings["request-headers"]["seen"]


@pytest.mark.parametrize("name", RESPONSE_HEADERS)
def test_dropped_response_headers(behind: Stack, name: str) -> None:
    with running(Front(location=f"proxy_hide_header {name};"), behind.port) as port:
        seen = doctor("--url", f"http://127.0.0.1:{port}", "--quick", *BODY)
    seen.check({"response-headers": f"proxy_pass_header {name};"})
    assert name in seen.findings["response-headers"]["seen"]


@pytest.mark.parametrize("what", WAITING)
def test_cut_off(behind: Stack, what: str) -> None:
    front, expected = WAITING[what]
    with running(front, behind.port) as port:
        doctor("--url", f"http://127.0.0.1:{port}", *BODY).check(expected)


def test_no_compression(behind: Stack) -> None:
    """A note, which leaves the exit status alone."""
    with running(Front(location='proxy_set_header Accept-Encoding "";'), behind.port) as port:
        doctor("--url", f"http://127.0.0.1:{port}", "--quick", *BODY).check({"compression": "Accept-Encoding"}, "note")


def test_queries_are_sorted(behind: Stack) -> None:
    """A note: it is harmless to most."""
    with running(Front(location='if ($args ~ "^cursor=1&(.*)$") { set $args $1&cursor=1; }'), behind.port) as port:
        doctor("--url", f"http://127.0.0.1:{port}", "--quick", *BODY).check({"query-order": "sorting"}, "note")


def test_clock(behind: Stack, faults_library) -> None:
    """Which of the two is wrong it can't know."""
    url = f"http://127.0.0.1:{behind.port}"
    for seconds, severity in ((-300, "error"), (20, "warning")):
        seen = doctor("--url", url, "--quick", *BODY, LD_PRELOAD=faults_library, FAULTS_LATER=seconds)
        seen.check({"clock": "timedatectl"}, severity)
        assert ("ahead of" if seconds < 0 else "behind") in seen.findings["clock"]["seen"]


@pytest.fixture(scope="module")
def tokens() -> Iterator[tuple[Stack, Project]]:
    """A server with tokens, and a project that it knows."""
    root = temporary_root()
    stack = Stack(root / "data", **SHORT, DS_AUTH="project-jwt")
    try:
        project = Project(stack.start())
        wait_known(stack, project)
        yield stack, project
    finally:
        stack.stop(expect_clean=False)
        remove_tree(root)


def test_cache_before_auth(tokens: tuple[Stack, Project]) -> None:
    """Pieces are kept for whoever comes; tails are not, or `own-writes` would find that too."""
    stack, project = tokens
    front = keeping(NO_LIVE, "$request_method:$arg_live", answer="$upstream_http_stream_up_to_date")
    with running(front, stack.port) as port:
        seen = doctor("--url", f"http://127.0.0.1:{port}", "--token", project.token("write"), "--quick", *BODY)
    seen.check({"cache-before-auth": "$http_authorization"})


@pytest.mark.parametrize("whose", ["forged", "expired"])
def test_any_token_will_do(tokens: tuple[Stack, Project], whose: str) -> None:
    """A proxy that gives copies to whoever has some token."""
    stack, project = tokens
    front = keeping('"~^GET::B"', "$request_method:$arg_live:$http_authorization", answer="$upstream_http_stream_up_to_date")
    if whose == "expired":
        # The forged one differs at its end.
        front.http = front.http.replace('"~^GET::B"', '"~A{8}$" 1; "~^GET::B"')
    with running(front, stack.port) as port:
        seen = doctor("--url", f"http://127.0.0.1:{port}", "--token", project.token("write"), "--quick", *BODY)
    seen.check({"cache-before-auth": "$http_authorization"})
    assert whose in seen.findings["cache-before-auth"]["seen"]


def test_dropped_token(tokens: tuple[Stack, Project]) -> None:
    stack, project = tokens
    with running(Front(location='proxy_set_header Authorization "";'), stack.port) as port:
        seen = doctor("--url", f"http://127.0.0.1:{port}", "--token", project.token("write"), "--quick", *BODY)
    seen.check({"request-headers": "proxy_set_header Authorization $http_authorization;"})


def test_origin_that_must_be_let_in(tokens: tuple[Stack, Project]) -> None:
    stack, project = tokens
    arguments = ("--url", f"http://127.0.0.1:{stack.port}", "--token", project.token("write"), "--quick", *BODY)
    seen = doctor(*arguments, "--origin", "https://app.example.com")
    assert set(seen.findings) <= {"cors", "preflight"} and "set-cors PROJECT https://app.example.com" in seen.findings["cors"]["mend"]
