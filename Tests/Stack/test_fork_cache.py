"""nginx's cache and forks: nothing of a soft-deleted source, and nothing of a fork that was made again."""

from __future__ import annotations

import time

from checks import check_error
from client import Client, at, expect
from test_cache import BIG, STALE_LIMIT, big_stream, hit, own, served

OCTETS = "application/octet-stream"


def keep_asking(small: Client, *questions: tuple[str, str]) -> None:
    """Until nothing old may be served any more; asked all the time, as a popular stream would be."""
    deadline = time.monotonic() + STALE_LIMIT
    while time.monotonic() < deadline:
        for path, query in questions:
            small.get(path, query)
        time.sleep(0.1)


def twice(small: Client, path: str, query: str):
    """A fork's reads are not stored: one made again at the URL would share their tokens."""
    for _ in range(2):
        read = expect(small.get(path, query), 200)
        assert served(read) == "MISS"
    return read


def test_soft_deleted_data_does_not_live_on(small: Client, path: str) -> None:
    """A source's cached ranges end with it; its fork's go on, under tokens that are the same."""
    tail = big_stream(small, path)
    places = {"": 0, own(tail): 0, own(tail, 7): 7}
    small.fork(f"{path}/b", path, None, "own")
    for query in places:
        (hit if query else twice)(small, path, query)
        twice(small, f"{path}/b", query)
    expect(small.delete(path), 204)
    check_error(small.get(path), 410)  # the start is not stored
    keep_asking(small, *((path, query) for query in places))
    for query, place in places.items():
        check_error(small.get(path, query), 410)
        read = expect(small.get(f"{path}/b", query), 200)
        assert BIG[place:].startswith(read.body)
    assert small.read_all(f"{path}/b")[0] == BIG + b"own"
    expect(small.delete(f"{path}/b"), 204)
    for name in (path, f"{path}/b"):
        for query in places:
            check_error(small.get(name, query), 404)


def test_equal_tokens_of_source_and_forks_are_kept_apart(small: Client, path: str) -> None:
    """Each stream's ranges are read by its own URL."""
    tail = small.create(path, OCTETS, b"-" * 1000).offset
    for letter in (b"a", b"b"):
        small.fork(f"{path}/{letter.decode()}", path, None, letter * 150_000)
    small.append(path, OCTETS, b"s" * 150_000)
    for name, letter in ((path, b"s"), (f"{path}/a", b"a"), (f"{path}/b", b"b")):
        read = (hit if name == path else twice)(small, name, f"offset={tail}")
        assert set(read.body) == set(letter)
        assert small.read_all(name)[0] == b"-" * 1000 + letter * 150_000


def test_a_fork_made_again(small: Client, path: str) -> None:
    """Its offsets are those of its predecessor, since both are its source's: yet a reader gets nothing old."""
    tail = small.create(path, OCTETS, b"-" * 1000).offset
    old, new = b"-" * 1000 + b"old!" * 50_000, b"-" * 1000 + b"new?" * 50_000
    small.fork(f"{path}/b", path, None, old[1000:])
    first = twice(small, f"{path}/b", "offset=-1")
    twice(small, f"{path}/b", f"offset={first.offset}")
    expect(small.delete(f"{path}/b"), 204)
    small.fork(f"{path}/b", path, None, new[1000:])
    assert small.read_all(f"{path}/b")[0] == new
    assert small.read_all(f"{path}/b", at(tail, 1000))[0] == new[1000:]
