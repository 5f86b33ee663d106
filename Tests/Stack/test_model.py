"""Random operation sequences against the model: every status, header and byte."""

from __future__ import annotations

import os
import random
import time

import pytest

from checks import check_error, check_fixed, protocol_headers
from client import NINES, Client, unique, url
from model import ZERO, Expected, Request, Stream, World
from wire import Response

STEPS = int(os.environ.get("DS_MODEL_STEPS", "400"))
TYPES = ["text/plain", "application/json", "application/octet-stream"]
JSON_BODIES = [b"1", b'"x"', b"[1,2]", b"[[1],2]", b'{"a":[1,2]}', b"[null,true]", b"[]", b"{", b"[1,]"]
BYTE_BODIES = [b"a", b"hello", b"\x00\xff", b"line\r\n", b"[1,2]"]


class Run:
    """One seeded sequence; keeps a log so that a failure shows how it came about."""

    def __init__(self, client: Client, seed: int):
        self.client, self.random, self.log = client, random.Random(seed), []
        self.names = [unique(f"model-{seed}") for _ in range(7)]
        self.world = World()
        self.etags: dict[str, str] = {}
        self.old_tokens: list[str] = []
        self.counter = 0

    def step(self) -> None:
        choose = self.random.choices(
            [self.put, self.post, self.get, self.bad_get, self.head, self.delete], weights=[24, 40, 30, 4, 8, 5]
        )[0]
        choose(self.random.choice(self.names))

    # Operations

    def request(self, stream: Stream | None) -> Request:
        pick = self.random
        type = stream.type if stream and pick.random() < 0.9 else pick.choice([*TYPES, None])
        body = pick.choice(JSON_BODIES if type == "application/json" else BYTE_BODIES) if pick.random() < 0.9 else b""
        return Request(type, body)

    def readable(self, name: str) -> Stream | None:
        return None if self.world.refusal(name) else self.world.streams[name]

    def put(self, name: str) -> None:
        pick = self.random
        free = [other for other in self.names if other not in self.world.streams]
        if free and pick.random() < 0.6:
            name = pick.choice(free)
        stream = self.world.streams.get(name)
        request = self.request(stream)
        request.closing = pick.random() < 0.1
        request.ttl = pick.choice([None, None, None, "5000", "6000"])
        if pick.random() < 0.7:
            self.ask_for_fork(request)
        if stream and pick.random() < 0.7:
            self.ask_again(request, stream)
        answer = self.client.put(name, request.type, request.body, **self.headers(request))
        expected = self.world.put(name, request)
        if isinstance(expected, Stream):
            stream = expected
            location = f"http://127.0.0.1:{self.client.stack.port}{url(name)}"
            stream.incarnation = stream.incarnation or (answer.get("Stream-Next-Offset") or "").split("_")[0]
            expected = Expected(201, {"stream-next-offset": stream.tail, "location": location}, type=stream.type)
            if stream.closed:
                expected.headers["stream-closed"] = "true"
        self.check("PUT", name, request, answer, expected)

    def ask_for_fork(self, request: Request) -> None:
        """Any stream as source, mostly with a fork point that it has."""
        pick = self.random
        request.source = pick.choice([*self.names, *list(self.world.streams) * 4])
        source = self.world.streams.get(request.source)
        if source and pick.random() < 0.85:
            request.type = pick.choice([None, source.type])
        places = [source.token(pick.randrange(len(source.units) + 1)) for _ in range(8)] if source else []
        places += [pick.choice([ZERO, NINES, "", source.token(len(source.units) + 1) if source else ZERO, *self.old_tokens[-3:]])]
        request.fork_offset = pick.choice([None, None, None, *places])
        request.sub_offset = pick.choice([None, None, None, None, "0", "1", "1", "2", "3", "5"])
        if pick.random() < 0.03:
            request.fork_offset, request.sub_offset, request.source = pick.choice(
                [("now", None, request.source), (None, "", request.source), (None, "01", request.source), (ZERO, None, None), (None, "0", None)]
            )

    def ask_again(self, request: Request, stream: Stream) -> None:
        """What the stream was created with, sometimes with the defaults left out or one thing changed."""
        pick = self.random
        request.closing, request.ttl, request.type = stream.closed, stream.ttl, stream.type
        request.source, request.fork_offset, request.sub_offset = None, None, None
        if stream.fork:
            request.source, request.fork_offset, sub = stream.fork
            request.sub_offset = str(sub)
            request.type = pick.choice([None, stream.type])
            if pick.random() < 0.5:
                request.fork_offset = None
            if stream.inherited and pick.random() < 0.5:
                request.ttl = None
            if sub == 0 and pick.random() < 0.5:
                request.sub_offset = None
            if pick.random() < 0.15:
                request.sub_offset = "1"
            if pick.random() < 0.1:
                request.source = pick.choice(self.names)

    def post(self, name: str) -> None:
        pick, stream = self.random, self.readable(name)
        request = self.request(self.world.streams.get(name))
        request.closing = pick.random() < 0.06
        if request.closing and pick.random() < 0.5:
            request.body = b""
        if pick.random() < 0.4:
            id = pick.choice("pq")
            epoch, seq = stream.producers.get(id, (0, -1)) if stream else (0, -1)
            request.producer = (id, max(0, epoch + pick.choice([0, 0, 0, 0, 0, 1, -1])), max(0, seq + pick.choice([1, 1, 1, 1, 0, 2, -seq])))
        if stream and stream.closed_by and pick.random() < 0.5:
            request.producer = stream.closed_by
        if pick.random() < 0.3:
            self.counter += pick.choice([1, 1, 1, -2])
            request.seq = f"s{max(0, self.counter):05d}"
        answer = self.client.post(name, request.type, request.body, **self.headers(request))
        self.check("POST", name, request, answer, self.world.refusal(name) or stream.post(request))

    def get(self, name: str) -> None:
        pick, stream = self.random, self.readable(name)
        offsets: list[str | None] = [None, "-1", "now", ZERO]
        if stream:
            offsets += [stream.token(pick.randrange(len(stream.units) + 1)) for _ in range(3)] + [stream.tail, stream.token(len(stream.units) + 3)]
        if self.old_tokens:
            offsets.append(pick.choice(self.old_tokens))
        offset = pick.choice(offsets)
        live = False
        if stream and offset is not None and pick.random() < 0.3:
            # Only long-polls that are answered at once.
            place = {"-1": 0, ZERO: 0, "now": len(stream.units)}.get(offset, int(offset[17:]) if "_" in offset else 0)
            live = place != len(stream.units) or stream.closed
        etags = pick.choice([[], [], ["*"], ['"zz"'], [self.last_etag(name)]])
        query = "&".join(part for part in (("live=long-poll" if live else ""), f"offset={offset}" if offset else "") if part)
        answer = self.client.get(name, query, **({"If_None_Match": ", ".join(etags)} if etags else {}))
        if stream and not stream.instance and (etag := answer.get("ETag")):
            stream.instance = etag.strip('"').split(":")[0]
        if stream and (etag := answer.get("ETag")):
            self.etags[name] = etag
        self.check("GET", name, (query, etags), answer, self.world.refusal(name) or stream.get(offset, etags, live))

    def last_etag(self, name: str) -> str:
        return self.etags.get(name, '"none"')

    def bad_get(self, name: str) -> None:
        query = self.random.choice(["offset=", "offset=0", "offset=-2", "offset=-1&offset=-1", "offset=x&live=sse", "live=sse&offset=now%20"])
        expected = self.world.refusal(name) or Expected(400, code="OFFSET_INVALID")
        self.check("GET", name, query, self.client.get(name, query), expected)

    def head(self, name: str) -> None:
        refused = self.world.refusal(name)
        expected = Expected(refused.status, body=None, cache="no-store") if refused else self.world.streams[name].head()
        self.check("HEAD", name, None, self.client.head(name), expected)

    def delete(self, name: str) -> None:
        if stream := self.readable(name):
            self.old_tokens += [stream.tail, stream.token(0)]
        self.check("DELETE", name, None, self.client.delete(name), self.world.delete(name))

    def finish(self) -> None:
        """Every stream once more, then everything is deleted: the counts have to come out even."""
        for name in self.names:
            self.get(name)
        for _ in range(len(self.names)):
            for name in self.random.sample(self.names, len(self.names)):
                self.delete(name)
        assert not self.world.streams

    # Comparison

    def headers(self, request: Request) -> dict[str, str]:
        found = {"Stream_Closed": "true"} if request.closing else {}
        if request.producer:
            id, epoch, seq = request.producer
            found |= {"Producer_Id": id, "Producer_Epoch": str(epoch), "Producer_Seq": str(seq)}
        given = {"Stream_Seq": request.seq, "Stream_TTL": request.ttl, "Stream_Fork_Offset": request.fork_offset,
                 "Stream_Fork_Sub_Offset": request.sub_offset, "Stream_Forked_From": request.source and url(request.source)}  # fmt: skip
        return found | {key: value for key, value in given.items() if value is not None}

    def explain(self, method: str, name: str, request: object, answer: Response, expected: Expected) -> str:
        history = "\n".join(line for line in self.log[-400:])
        return f"\n{history}\n{method} {name} {request}\nexpected {expected}\ngot {answer.describe()}"

    def check(self, method: str, name: str, request: object, answer: Response, expected: Expected) -> None:
        self.log.append(f"{method} {name} {request} -> {answer.status} {answer.get('Stream-Next-Offset')}")
        try:
            assert answer.status == expected.status
            if answer.status >= 400 and method != "HEAD":
                headers = {key.replace("-", "_"): value for key, value in expected.headers.items()}
                check_error(answer, expected.status, expected.code, **headers)
                return
            check_fixed(answer)
            found = protocol_headers(answer)
            if expected.headers.get("stream-cursor") == "*":
                assert found.pop("stream-cursor").isdigit()
                del expected.headers["stream-cursor"]
            assert found == expected.headers
            if expected.type is not None:
                assert answer.get("Content-Type") == expected.type
            if expected.cache is not None:
                assert answer.get("Cache-Control") == expected.cache
            if expected.body is not None:
                assert answer.body == expected.body
        except AssertionError as error:
            raise AssertionError(f"{error}{self.explain(method, name, request, answer, expected)}") from None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("round", range(4))
def test_random_sequences(http: Client, round: int) -> None:
    seed = int(os.environ.get("DS_MODEL_SEED", "0")) or int(time.time() * 1000) % 1_000_000 * 10 + round
    run = Run(http, seed)
    for step in range(STEPS + 1):
        try:
            run.step() if step < STEPS else run.finish()
        except AssertionError as error:
            pytest.fail(f"seed {seed}, step {step} (DS_MODEL_SEED={seed} repeats it): {error}", pytrace=False)
