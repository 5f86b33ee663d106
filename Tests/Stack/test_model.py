"""Random operation sequences against the model: every status, header and byte."""

from __future__ import annotations

import os
import random
import time

import pytest

from checks import check_error, check_fixed, protocol_headers
from client import Client, unique, url
from model import ZERO, Expected, Request, Stream, messages
from wire import Response

STEPS = int(os.environ.get("DS_MODEL_STEPS", "400"))
TYPES = ["text/plain", "application/json", "application/octet-stream"]
JSON_BODIES = [b"1", b'"x"', b"[1,2]", b"[[1],2]", b'{"a":[1,2]}', b"[null,true]", b"[]", b"{", b"[1,]"]
BYTE_BODIES = [b"a", b"hello", b"\x00\xff", b"line\r\n", b"[1,2]"]


class Run:
    """One seeded sequence; keeps a log so that a failure shows how it came about."""

    def __init__(self, client: Client, seed: int):
        self.client, self.random, self.log = client, random.Random(seed), []
        self.names = [unique(f"model-{seed}") for _ in range(4)]
        self.streams: dict[str, Stream] = {}
        self.etags: dict[str, str] = {}
        self.old_tokens: list[str] = []
        self.counter = 0

    def step(self) -> None:
        choose = self.random.choices(
            [self.put, self.post, self.get, self.bad_get, self.head, self.delete], weights=[12, 45, 28, 4, 8, 3]
        )[0]
        choose(self.random.choice(self.names))

    # Operations

    def request(self, stream: Stream | None) -> Request:
        pick = self.random
        type = stream.type if stream and pick.random() < 0.9 else pick.choice([*TYPES, None])
        body = pick.choice(JSON_BODIES if type == "application/json" else BYTE_BODIES) if pick.random() < 0.9 else b""
        return Request(type, body)

    def put(self, name: str) -> None:
        stream = self.streams.get(name)
        request = self.request(stream)
        request.closing = self.random.random() < 0.1
        request.ttl = self.random.choice([None, None, None, "5000", "6000"])
        if stream and self.random.random() < 0.6:
            request.closing, request.ttl = stream.closed, stream.ttl
        headers = self.headers(request) | ({"Stream_TTL": request.ttl} if request.ttl else {})
        answer = self.client.put(name, request.type, request.body, **headers)
        if stream:
            return self.check("PUT", name, request, answer, stream.put_again(request))
        if request.type == "application/json" and request.body and messages(request.body) is None:
            return self.check("PUT", name, request, answer, Expected(400))
        assert answer.status == 201, self.explain("PUT", name, request, answer, Expected(201))
        stream = self.streams[name] = Stream(request)
        stream.incarnation = answer.offset.split("_")[0]
        location = f"http://127.0.0.1:{self.client.stack.port}{url(name)}"
        expected = Expected(201, {"stream-next-offset": stream.tail, "location": location}, type=stream.type)
        if stream.closed:
            expected.headers["stream-closed"] = "true"
        self.check("PUT", name, request, answer, expected)

    def post(self, name: str) -> None:
        pick, stream = self.random, self.streams.get(name)
        request = self.request(stream)
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
        expected = stream.post(request) if stream else Expected(404, code="STREAM_NOT_FOUND")
        self.check("POST", name, request, answer, expected)

    def get(self, name: str) -> None:
        pick, stream = self.random, self.streams.get(name)
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
        expected = stream.get(offset, etags, live) if stream else Expected(404, code="STREAM_NOT_FOUND")
        self.check("GET", name, (query, etags), answer, expected)

    def last_etag(self, name: str) -> str:
        return self.etags.get(name, '"none"')

    def bad_get(self, name: str) -> None:
        query = self.random.choice(["offset=", "offset=0", "offset=-2", "offset=-1&offset=-1", "offset=x&live=sse", "live=sse&offset=now%20"])
        known = name in self.streams
        expected = Expected(400, code="OFFSET_INVALID") if known else Expected(404, code="STREAM_NOT_FOUND")
        self.check("GET", name, query, self.client.get(name, query), expected)

    def head(self, name: str) -> None:
        stream = self.streams.get(name)
        expected = stream.head() if stream else Expected(404, body=None, cache="no-store")
        self.check("HEAD", name, None, self.client.head(name), expected)

    def delete(self, name: str) -> None:
        stream = self.streams.pop(name, None)
        if stream:
            self.old_tokens += [stream.tail, stream.token(0)]
        self.check("DELETE", name, None, self.client.delete(name), Expected(204) if stream else Expected(404, code="STREAM_NOT_FOUND"))

    # Comparison

    def headers(self, request: Request) -> dict[str, str]:
        found = {"Stream_Closed": "true"} if request.closing else {}
        if request.producer:
            id, epoch, seq = request.producer
            found |= {"Producer_Id": id, "Producer_Epoch": str(epoch), "Producer_Seq": str(seq)}
        if request.seq:
            found["Stream_Seq"] = request.seq
        return found

    def explain(self, method: str, name: str, request: object, answer: Response, expected: Expected) -> str:
        history = "\n".join(line for line in self.log if f" {name} " in line)
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
    for step in range(STEPS):
        try:
            run.step()
        except AssertionError as error:
            pytest.fail(f"seed {seed}, step {step} (DS_MODEL_SEED={seed} repeats it): {error}", pytrace=False)
