"""A request of a random run: it is sent, judged by the model, and compared; a lost answer is found out about."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

from checks import check_error, check_fixed, protocol_headers
from model import World
from model_clock import Clock
from model_stream import Expected
from retention import NAMES, split
from wire import ConnectionClosed, Response

LOST = {502, 503, 504}
RETENTION = {name.lower() for name in NAMES}


class Asking(Clock):
    """Asks the server and the model the same."""

    def ask(self, method: str, name: str, request: object, send: Callable[[], Response], judge: Callable[[World, Response], Expected]) -> None:
        """Send a request, and compare; if the answer is lost, find out what became of it."""
        self.learn()
        before = copy.deepcopy(self.world) if self.kills else self.world
        then = self.now()
        try:
            answer = send()
        except ConnectionClosed:
            assert self.kills
            answer = Response(502, [])
        self.world.moment = (then, self.now())
        if self.kills and answer.status in LOST:
            judge(self.world, answer)
            self.find_out(f"{method} {name} {request}", before)
            return
        failures = []
        for world in self.watch.possible(self.world) if self.watch else [self.world]:
            expected = judge(world, answer)
            try:
                self.check(method, name, request, answer, expected)
            except AssertionError as error:
                failures.append(error)
            else:
                self.world = world
                break
        else:
            raise failures[-1]
        self.log.append(f"{method} {name} {request} -> {answer.status} {answer.get('Stream-Next-Offset')}")

    def find_out(self, what: str, before: World) -> None:
        """It happened wholly or not at all: HEAD on all names tells which."""
        self.log.append(f"{what} -> lost")
        after, then = self.world, self.now()
        heads = {name: self.again(lambda name=name: self.client.head(name)) for name in self.names}
        moment = (then, self.now())
        # Looking has ended what had expired, in both.
        possible = []
        for world in (after, before):
            world.moment = moment
            fits = True
            for name, head in heads.items():
                expected = world.head(name)
                if (stream := world.streams.get(name)) and not stream.incarnation:
                    stream.incarnation = (head.get("Stream-Next-Offset") or "").split("_")[0]
                    expected = world.head(name)
                headers = {key: value for key, value in expected.headers.items() if key not in RETENTION}
                fits &= head.status == expected.status and (head.status != 200 or protocol_headers(head) == headers)
            if fits:
                possible.append(world)
        history = "\n".join(self.log[-400:])
        assert possible, f"\n{history}\nneither before nor after: {[(name, head.describe()) for name, head in heads.items()]}"
        self.world = possible[0]
        for name, stream in self.world.streams.items():
            other = (before if self.world is after else after).streams.get(name)
            if other and other.incarnation == stream.incarnation and other.fork == stream.fork:
                stream.earliest, stream.latest = min(stream.earliest, other.earliest), max(stream.latest, other.latest)
                stream.floor = min(stream.floor, other.floor)
        self.log.append("it happened" if self.world is after else "it did not happen")

    def again(self, send: Callable[[], Response]) -> Response:
        deadline = time.monotonic() + 20
        while True:
            try:
                if (answer := send()).status not in LOST:
                    return answer
            except ConnectionClosed:
                pass
            assert time.monotonic() < deadline, self.client.stack.log_tail()
            time.sleep(0.01)

    # Comparison

    def explain(self, method: str, name: str, request: object, answer: Response, expected: Expected) -> str:
        history = "\n".join(line for line in self.log[-400:])
        return f"\n{history}\n{method} {name} {request}\nexpected {expected}\ngot {answer.describe()}"

    def check(self, method: str, name: str, request: object, answer: Response, expected: Expected) -> None:
        try:
            assert answer.status == expected.status
            rest, retention = split(answer)
            retention = {key.lower(): value for key, value in retention.items()}
            if answer.status >= 400 and method != "HEAD":
                headers = {key.replace("-", "_"): value for key, value in expected.headers.items() if key not in RETENTION}
                check_error(rest, expected.status, expected.code, **headers)
                assert retention == {key: value for key, value in expected.headers.items() if key in RETENTION}
                return
            check_fixed(rest)
            found = protocol_headers(rest) | retention
            for key, value in expected.optional.items():
                assert found.pop(key, value) == value
            if expected.headers.get("stream-cursor") == "*":
                assert found.pop("stream-cursor").isdigit()
                del expected.headers["stream-cursor"]
            assert found == expected.headers
            if expected.type is not None:
                assert answer.get("Content-Type") == expected.type
            if expected.cache is not None:
                assert answer.get("Cache-Control") in expected.cache
            if expected.body is not None:
                assert answer.body == expected.body
        except AssertionError as error:
            raise AssertionError(f"{error}{self.explain(method, name, request, answer, expected)}") from None
