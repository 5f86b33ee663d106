"""An SSE reader that accepts exactly the bytes section 10 allows and nothing else."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from client import url
from stack import Stack
from wire import Connection, ConnectionClosed, Response, build_request


@dataclass
class Event:
    """One event or comment: `kind` is data, control or comment."""

    kind: str
    lines: list[bytes]
    raw: bytes

    @property
    def text(self) -> bytes:
        """The lines joined by LF, as a client puts them together."""
        return b"\n".join(self.lines)

    @property
    def control(self) -> dict[str, object]:
        assert self.kind == "control", self
        return json.loads(self.lines[0])


def parse_event(block: bytes) -> Event:
    """One block, without its empty line; fails on anything 10.2 does not allow."""
    assert b"\r" not in block, f"CR in an event: {block!r}"
    lines = block.split(b"\n")
    if lines[0].startswith(b":"):
        assert block == b": keep-alive", f"unknown comment {block!r}"
        return Event("comment", [], block)
    kinds = {b"event: data": "data", b"event: control": "control"}
    assert lines[0] in kinds, f"bad first line in {block!r}"
    kind = kinds[lines[0]]
    payload = []
    assert len(lines) > 1, f"event without data: {block!r}"
    for line in lines[1:]:
        assert line.startswith(b"data:"), f"bad line {line!r} in {block!r}"
        value = line[5:]
        if value.startswith(b" "):
            # A space is put in front only of a line that itself begins with one.
            assert value.startswith(b"  "), f"needless space in {line!r}"
            value = value[1:]
        payload.append(value)
    event = Event(kind, payload, block)
    if kind == "control":
        check_control(event)
    return event


def check_control(event: Event) -> None:
    """10.2: members of a control event."""
    assert len(event.lines) == 1 and event.lines[0].startswith(b"{"), event
    control = event.control
    assert set(control) <= {"streamNextOffset", "streamCursor", "upToDate", "streamClosed"}, control
    assert isinstance(control["streamNextOffset"], str), control
    for name in ("upToDate", "streamClosed"):
        assert control.get(name, True) is True, control
    if "streamClosed" in control:
        assert "streamCursor" not in control and "upToDate" in control, control
    else:
        cursor = control["streamCursor"]
        assert isinstance(cursor, str) and cursor.isdigit(), control


class EventSource:
    """One SSE connection."""

    def __init__(self, stack: Stack, path: str, query: str = "offset=-1", headers=(), timeout: float = 15.0):
        self.connection = Connection(stack.port, timeout=timeout)
        self.connection.send(build_request("GET", url(path, f"live=sse&{query}"), list(headers)))
        self.head: Response = self.connection.read_head()
        assert self.head.status == 200, f"expected an event stream, got {self.head.describe()}"
        self.text = b""
        self.ended = False
        self._chunks = self.connection.chunks()

    def __enter__(self) -> EventSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def _more(self) -> bool:
        try:
            self.text += next(self._chunks)
        except StopIteration:
            self.ended = True
            return False
        return True

    def next(self) -> Event | None:
        """The next event or comment; None at the orderly end of the response."""
        while b"\n\n" not in self.text:
            if not self._more():
                assert self.text == b"", f"response ends inside an event: {self.text!r}"
                return None
        block, self.text = self.text.split(b"\n\n", 1)
        return parse_event(block)

    def event(self) -> Event:
        """The next event that is not a comment; there has to be one."""
        while (event := self.next()) is not None:
            if event.kind != "comment":
                return event
        raise ConnectionClosed("the response ended where an event was expected")

    def control(self) -> dict[str, object]:
        event = self.event()
        assert event.kind == "control", f"expected a control event, got {event}"
        return event.control

    def batch(self) -> tuple[bytes, dict[str, object]]:
        """A data event and the control that has to follow at once."""
        data = self.event()
        assert data.kind == "data", f"expected a data event, got {data}"
        control = self.next()
        assert control is not None and control.kind == "control", f"data without control: {control}"
        return data.text, control.control

    def until(self, offset: str) -> tuple[list[bytes], dict[str, object]]:
        """Collect data events up to a position; each has to move forward."""
        pieces, last = [], ""
        while True:
            data, control = self.batch()
            pieces.append(data)
            here = str(control["streamNextOffset"])
            assert here > last, f"streamNextOffset went from {last} to {here}"
            last = here
            if here >= offset:
                assert here == offset, f"went past {offset} to {here}"
                return pieces, control

    def end(self) -> None:
        """The response has to end here, without a further event."""
        event = self.next()
        assert event is None, f"expected the end, got {event}"


def decode_base64(text: bytes) -> bytes:
    """10.3: standard alphabet with padding; line breaks inside are allowed."""
    joined = text.replace(b"\n", b"")
    assert len(joined) % 4 == 0, f"length of {joined!r} is not a multiple of 4"
    return base64.b64decode(joined, validate=True)
