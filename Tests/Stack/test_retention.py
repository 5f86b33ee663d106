"""Retention: what is kept by age, bytes and messages."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from client import Client, position
from hooks import Hooks
from retention import DAY, EARLIEST, Log, grow, pass_time, segments, select, shown, split, wait_cold
from sse import EventSource
from store import wait_until

# Limits, and how many parts of 1000 bytes they promise, however brackets and commas are counted.
PROMISES: dict[str, tuple[dict[str, str], int]] = {
    "messages": ({"Stream_Retention_Messages": "8"}, 8),
    "last": ({"Stream_Retention_Messages": "1"}, 1),
    "bytes": ({"Stream_Retention_Bytes": "12500"}, 13),
    "one-byte": ({"Stream_Retention_Bytes": "1"}, 1),
    "messages-before-bytes": ({"Stream_Retention_Messages": "9", "Stream_Retention_Bytes": "12500"}, 9),
    "bytes-before-messages": ({"Stream_Retention_Messages": "30", "Stream_Retention_Bytes": "4500"}, 5),
    "messages-before-age": ({"Stream_Retention_Messages": "6", "Stream_Retention_Age": DAY}, 6),
    "zero-beside": ({"Stream_Retention_Messages": "6", "Stream_Retention_Age": "0", "Stream_Retention_Bytes": "0"}, 6),
    "merged": ({"Stream_Retention_Messages": "72"}, 72),
    "merged-bytes": ({"Stream_Retention_Bytes": "74500"}, 75),
    "more-than-there": ({"Stream_Retention_Messages": "1000", "Stream_Retention_Bytes": "1000000"}, 1000),
    "young": ({"Stream_Retention_Age": DAY}, 1000),
    "none": ({}, 1000),
}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_what_is_kept(fresh_stack) -> None:
    """With each segment of two: never less than promised; never a segment more than has to be, though some are merged."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2, DS_SSE_LIFETIME=240)
    rounds = 48
    with closing(Client(stack)) as http:
        logs = {(name, kind): Log(http, f"{name}-{kind}", kind, 1000, **limits)
                for name, (limits, _) in PROMISES.items() for kind in ("bytes", "json")}  # fmt: skip
        gone, merged = dict.fromkeys(logs, 0), dict.fromkeys(logs, 2)

        def is_tight(key: tuple[str, str]) -> bool:
            """What is kept begins with a segment without which it would be too little."""
            log, first = logs[key], logs[key].gone()
            rows = [row for row in segments(stack, log.path) if row[0] >= log.place(first)]
            assert rows[0][0] == log.place(first) and rows[-1][1] == log.place(len(log.parts)), (key, rows)
            merged[key] = max(merged[key], *(appends for _, _, _, appends in rows))
            return len(log.parts) - rows[0][1] // log.place(1) < PROMISES[key[0]][1]

        with EventSource(stack, "merged-json", f"offset={logs['merged', 'json'].origin}") as follower:
            follower.control()
            for _ in range(rounds):
                for log in logs.values():
                    log.append(2)
                wait_cold(stack, *logs.values())
                for key, log in logs.items():
                    now = log.gone()
                    assert now >= gone[key], f"{key} went back from {gone[key]} to {now}"
                    assert now <= max(0, len(log.parts) - PROMISES[key[0]][1]), f"{key} kept less than promised: {now} have gone"
                    gone[key] = now
                    wait_until(stack, lambda key=key: is_tight(key), f"{key} keeps no more than it has to")
            assert len(follower.until(logs["merged", "json"].token())[0]) >= 1
        for (name, kind), log in logs.items():
            first, promise = log.gone(), PROMISES[name][1]
            assert len(log.parts) - first <= promise + max(2, promise // 4), f"{name}-{kind} kept from {first} on"
            assert merged[name, kind] <= max(2, promise // 4), f"segments of {merged[name, kind]} appends in {name}-{kind}"
            assert log.read()[1] == log.content(first)
        assert min(merged[name, kind] for name in ("merged", "merged-bytes", "none") for kind in ("bytes", "json")) > 2, merged


def test_batches_and_large_appends(fresh_stack) -> None:
    """A batch counts as its messages, an append as one, whatever its size; a segment goes as a whole."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2)
    with closing(Client(stack)) as http:
        json, text = Log(http, "json", "json", Stream_Retention_Messages="4"), Log(http, "text", size=9000, Stream_Retention_Messages="4")
        for _ in range(3):
            batch = [b'"%03d"' % (len(json.parts) + n) for n in range(5)]
            http.append("json", json.type, b"[" + b",".join(batch) + b"]")
            json.parts += batch
            text.append(2)
            wait_cold(stack, json, text)
        wait_until(stack, lambda: (json.gone(), text.gone()) == (10, 2), "what may go has gone")
        assert json.read()[1] == json.content(10) and text.read()[1] == text.content(2)


@pytest.mark.parametrize("kind", ["bytes", "json"])
def test_closed(fresh_stack, kind: str) -> None:
    """Only whole segments go: what is closed at once is one, and stays; else closing makes a segment of the rest."""
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2)
    with closing(Client(stack)) as http:
        log = Log(http, "a", kind, Stream_Retention_Messages="1")
        grow(stack, log, 4)
        log.append(1, Stream_Closed="true")
        wait_cold(stack, log)
        wait_until(stack, lambda: log.gone() == 4, "all but the last has gone")
        first, content = log.read()
        rest, found = split(first)
        assert content == log.content(4) and rest.get("Stream-Closed") == "true" and found == {EARLIEST: log.token(4)}
        assert (rest.get("ETag") or "").endswith(f':{log.token(4)}:{log.token()}:c"')
        http.create("b", log.type, log.content() if kind == "bytes" else b"[%s]" % log.content(), Stream_Closed="true", Stream_Retention_Messages="1")
        wait_until(stack, lambda: len(segments(stack, "b")) == 1, "it has moved")
        wait_until(stack, lambda: select(stack, "SELECT count(*) FROM rotation") == [(0,)], "nothing moves any more")
        assert position(shown(http, "b")[EARLIEST]) == 0


@pytest.mark.timeout(90)
def test_age_in_real_time(fresh_stack) -> None:
    """Not before its age, and at the latest a quarter of it and two seconds later, however idle the stream is."""
    age, late = 3.0, 3.0 * 1.25 + 2
    stack = fresh_stack()
    with closing(Client(stack)) as http:
        logs = [Log(http, kind, kind, Stream_Retention_Age="3") for kind in ("bytes", "json")]
        sent: list[float] = []
        answered: list[float] = []
        while min(log.gone() for log in logs) < 8:
            if len(sent) < 8:
                sent.append(time.monotonic())
                for log in logs:
                    log.append()
                answered.append(time.monotonic())
            for log in logs:
                before = time.monotonic()
                gone, after = log.gone(), time.monotonic()
                early = [n for n in range(gone) if after - sent[n] < age - 0.01]
                # Slack for a machine that is busy with something else.
                overdue = [n for n in range(gone, len(sent)) if before - answered[n] > late + 3]
                assert not early and not overdue, (log.kind, early, overdue)
                assert http.head(log.path).offset == log.token(), "the tail has moved"
            time.sleep(0.25)
        for log in logs:
            log.append()
            assert log.read()[1] == log.content(8)


def test_nothing_goes_before_its_age(fresh_stack, tmp_path: Path) -> None:
    """Each segment by the age of its newest part, to the minute."""
    hooks = Hooks(tmp_path / "hooks")
    stack = fresh_stack(DS_SEGMENT_MAX_MESSAGES=2, **hooks.settings)
    with closing(Client(stack)) as http:
        log = Log(http, "a", Stream_Retention_Age="3600")
        grow(stack, log, 2)
        pass_time(stack, hooks, 1800)
        grow(stack, log, 2)
        pass_time(stack, hooks, 1770)
        assert log.gone() == 0 and log.read()[1] == log.content()
        pass_time(stack, hooks, 30 + 902)
        wait_until(stack, lambda: log.gone() == 2, "the first two have gone")
        assert log.read()[1] == log.content(2)
