"""Random sequences against the model of who may see what: no reader ever gets a mark that is not for it, by whatever URL."""

from __future__ import annotations

import os
import random
import time
import zlib
from contextlib import closing

import pytest

from access import Project, ask
from client import Client, at, expect, incarnation, position
from isolation import cut_stack, look, new_project  # noqa: F401 (fixtures)
from model_readers import Life, Readable, Reader, fits, marks
from stack import Stack
from wire import Response

STEPS = int(os.environ.get("DS_MODEL_STEPS", "400"))
PATHS = ["room/a", "room/b", "room/caf%C3%A9~", "hall"]


class Run:
    """One sequence. Each step changes something, or reads what is or was there, with some reader, by some spelling."""

    def __init__(self, http: Client, projects: list[Project], seed: int):
        self.http, self.projects, self.random = http, {project.name: project for project in projects}, random.Random(seed)
        self.prefix = f"run{seed}"
        self.paths = [f"{self.prefix}/{path}" for path in PATHS]
        self.world, self.log, self.number = Readable(), [], 0
        self.readers = [self.new_reader(kind) for kind in ("nobody", "read", "read", "manage", "stream", "below", "short", "bad")]
        self.asked: list[tuple[str, str, str]] = []  # (project, path, target) of what may still be in the cache
        self.tags: list[str] = ["*"]
        self.counts = {"let in": 0, "refused": 0, "HIT": 0, "old": 0}

    # Readers

    def new_reader(self, kind: str) -> Reader:
        self.number += 1
        name = self.random.choice(list(self.projects))
        project, own = self.projects[name], {"jti": f"{self.prefix}-{self.number}"}
        path = self.random.choice(self.paths)
        match kind:
            case "nobody":
                return Reader(kind, None)
            case "read" | "manage" | "write":
                return Reader(kind, project.token(kind, **own), name)
            case "stream":
                return Reader(f"{kind} {path}", project.token("read", stream_id=path, **own), name, stream=path)
            case "below":
                return Reader(kind, project.token("read", stream_id=f"{self.prefix}/room/*", **own), name, stream=f"{self.prefix}/room/*")
            case "short":
                ends = int(time.time()) + self.random.randrange(1, 4)
                return Reader(f"{kind} {ends}", project.token("read", exp=ends, **own), name, expires=ends)
        (other,) = [each for each in self.projects.values() if each.name != name]
        bad = self.random.choice([
            lambda: project.token("read", expires_in=-9, **own),
            lambda: project.token("read", secret=other.secret, **own),
            lambda: ".".join([*project.token("manage", **own).split(".")[:2], project.token("read").split(".")[2]]),
            lambda: project.token("read", **own)[:-3],
        ])  # fmt: skip
        return Reader("bad", bad(), name, valid=False)

    def change_a_reader(self) -> None:
        kind = self.random.choice(["read", "manage", "write", "stream", "below", "short", "short", "bad"])
        self.readers[self.random.randrange(1, len(self.readers))] = self.new_reader(kind)

    # Writers

    def content(self) -> bytes:
        self.number += 1
        return b"<m%07d>" % self.number * self.random.choice([1, 100, 7_000, 20_000])

    def pick(self) -> tuple[Project, str]:
        return self.random.choice(list(self.projects.values())), self.random.choice(self.paths)

    def create(self) -> None:
        project, path = self.pick()
        public, content, key = self.random.random() < 0.4, self.content(), (project.name, path)
        there = self.world.current.get(key)
        query = "public=true" if public else self.random.choice(["", "public=false"])
        answer = look(ask(self.http, "PUT", project.url(path, query), project.token("write"), type="text/plain", body=content))
        self.log.append(f"PUT {project.url(path, query)} {sorted(marks(content))} -> {answer.status}")
        if there:
            expect(answer, 200 if there.public == public else 409)
            return
        expect(answer, 201)
        self.world.begin(Life(*key, public, answer.offset, content))

    def fork(self) -> None:
        """Which shows what it was forked from, to readers of its own."""
        project, path = self.pick()
        source = self.world.current.get((project.name, self.random.choice(self.paths)))
        name = f"{path}/fork"
        if not source or (project.name, name) in self.world.current:
            return
        public = self.random.random() < 0.4
        target = project.url(name, "public=true" if public else "")
        answer = look(ask(self.http, "PUT", target, project.token("write"), type="text/plain", Stream_Forked_From=project.url(source.path)))
        self.log.append(f"PUT {target} from {source.path} -> {answer.status}")
        expect(answer, 201)
        self.world.begin(Life(project.name, name, public, answer.offset, source.content, source))

    def append(self) -> None:
        if not self.world.current:
            return
        life = self.random.choice(list(self.world.current.values()))
        project, content = self.projects[life.project], self.content()
        answer = project.append(self.http, life.path, content)
        life.content, life.tail = life.content + content, answer.offset
        self.log.append(f"POST {project.url(life.path)} {sorted(marks(content))}")

    def delete(self) -> None:
        if not self.world.current:
            return
        life = self.random.choice(list(self.world.current.values()))
        if any(other.source is life for other in self.world.current.values()):
            return  # A source that is still needed can't be made again.
        project = self.projects[life.project]
        expect(look(ask(self.http, "DELETE", project.url(life.path), project.token("write"))), 204)
        self.world.end(life.project, life.path)
        self.log.append(f"DELETE {project.url(life.path)}")
        if self.random.random() < 0.7:
            self.made_again(life)

    def made_again(self, old: Life) -> None:
        """At once, often as the other kind, while copies are warm."""
        project, content = self.projects[old.project], self.content()
        public = old.public != (self.random.random() < 0.7)
        answer = project.create(self.http, old.path, "text/plain", content, **({"query": "public=true"} if public else {}))
        self.world.begin(Life(old.project, old.path, public, look(answer).offset, content))
        self.log.append(f"PUT {project.url(old.path)} again, public {public}, {sorted(marks(content))}")
        for asked in [asked for asked in self.asked if asked[:2] == (old.project, old.path)][-6:]:
            for reader in self.random.sample(self.readers, 3):
                self.ask(reader, *asked)

    # Questions

    def spelled(self, path: str) -> str:
        """Some letters escaped, and escapes in either case."""
        if self.random.random() < 0.6:
            return path
        out = []
        for part in path.replace("%C3%A9", "\0"):
            if part == "\0":
                out.append(self.random.choice(["%C3%A9", "%c3%a9", "%C3%a9"]))
            elif part != "/" and self.random.random() < 0.2:
                out.append(self.random.choice(["%{:02X}", "%{:02x}"]).format(ord(part)))
            else:
                out.append(part)
        return "".join(out)

    def query(self, life: Life) -> str:
        """A start and whatever else; half of all ask for an inner piece by token, which may be kept."""
        end = position(life.tail)
        token = at(life.tail, min(end, self.random.choice([0, 0, 0, 9, 65536, 70_000, 131072, max(0, end - 9), end])))
        start = self.random.choice([f"offset={token}"] * 6 + ["", "offset=-1", f"%6Fffset={token}", f"offset={token[:3]}%30{token[4:]}",
                                    f"offset={token}&offset={token}", "offset=now", "offset=x"])  # fmt: skip
        more = ["x=1", "live=other", "cursor=7", "public=true", "rk=", "rk=AAAAAAAAAAAAAAAAAAAAAA"]
        rest = self.random.sample(more, self.random.choice([0, 0, 0, 0, 1, 2]))
        # At the tail it would wait: half a second, which is long here.
        if token != life.tail and "now" not in start and start and self.random.random() < 0.1:
            rest.append("live=long-poll")
        parts = [part for part in (start, *rest) if part]
        self.random.shuffle(parts)
        return "&".join(parts)

    def target(self) -> tuple[str, str, str] | None:
        """Something new, or half of the time what was asked for before."""
        if self.asked and self.random.random() < 0.5:
            return self.random.choice(self.asked[-40:])
        lives = list(self.world.current.values()) + [lives[-1] for lives in self.world.past.values()]
        if not lives:
            return None
        life = self.random.choice(lives)
        target = self.projects[life.project].url(self.spelled(life.path), self.query(life))
        if self.random.random() < 0.7:
            self.asked.append((life.project, life.path, target))
        return life.project, life.path, target

    def headers(self) -> list[tuple[str, str]]:
        return self.random.sample(
            [("Range", "bytes=0-99"), ("Accept-Encoding", "gzip"), ("If-None-Match", self.random.choice(self.tags[-20:])),
             ("Origin", "https://a.example"), ("Cache-Control", "no-cache"), ("X-Original-URI", "/healthz")],
            self.random.choice([0, 0, 0, 1, 2]),
        )  # fmt: skip

    def read(self) -> None:
        if not (asked := self.target()):
            return
        # The same by several readers, one behind the other: what one warms another may meet.
        for reader in self.random.choices(self.readers, k=self.random.randrange(1, 5)):
            self.ask(reader, *asked)

    def ask(self, reader: Reader, project: str, path: str, target: str) -> None:
        method, headers = self.random.choice(["GET"] * 9 + ["HEAD"]), self.headers()
        asked, before = time.monotonic(), time.time()
        answer = look(ask(self.http, method, target, reader.token, headers=headers))
        after = time.time()
        self.log.append(f"{method} {target} {headers} by {reader.name} of {reader.project} -> {answer.status} {answer.get('X-Cache')}")
        self.judge(reader, project, path, target, answer, asked, before, after)
        if tag := answer.get("ETag"):
            self.tags.append(tag)

    def judge(self, reader: Reader, project: str, path: str, target: str, answer: Response, asked: float, before: float, after: float) -> None:
        lives = self.world.visible(reader, project, path, asked, before)
        current = self.world.current.get((project, path))
        body = answer.body
        if body and answer.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, 31)
        what = f"\n{answer.describe()}"
        # The rule itself: nothing but what is the reader's to see, whatever the status.
        strange = marks(body) - set().union(*(life.marks() for life in lives)) if lives else marks(body)
        assert not strange, f"{sorted(strange)[:3]} is not for {reader}{what}"
        refusals = self.world.refusals(reader, project, path, before, after)
        old = [life for life in lives if life is not current]
        if answer.status in (401, 403):
            assert answer.status in refusals, f"expected {refusals}{what}"
            assert "Stream-Next-Offset" not in answer and "ETag" not in answer and answer.get("X-Cache") != "HIT", what
            self.counts["refused"] += 1
            return
        if None not in refusals:
            # A copy of what was everybody's, while there is no other stream.
            assert answer.status in (200, 304) and answer.get("X-Cache") == "HIT" and old and current is None, f"expected {refusals}{what}"
        self.counts["let in"] += 1
        self.counts["HIT"] += answer.get("X-Cache") == "HIT"
        if answer.status == 200 and body:
            assert fits(body, lives), f"no part of what it may see{what}"
            if not (current and fits(body, [current])):
                self.counts["old"] += 1
                assert answer.get("X-Cache") == "HIT" and old, f"old, and not from the cache{what}"
        if answer.status == 200 and "Stream-Up-To-Date" in answer:
            assert current and answer.offset == current.tail, f"stale at the tail{what}"
            assert not body or current.content.endswith(body), f"stale at the tail{what}"
        if "Stream-Next-Offset" in answer:
            allowed = {incarnation(life.tail) for life in lives}
            assert incarnation(answer.offset) in allowed | {0}, f"of another stream{what}"

    def step(self) -> None:
        self.random.choices([self.read, self.create, self.append, self.delete, self.fork, self.change_a_reader], [70, 8, 8, 6, 2, 6])[0]()


@pytest.fixture(scope="module")
def projects(cut_stack: Stack) -> list[Project]:  # noqa: F811
    return [new_project(cut_stack), new_project(cut_stack)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("round", range(3))
def test_no_reader_sees_what_it_may_not(cut_stack: Stack, projects: list[Project], round: int) -> None:  # noqa: F811
    # The first round is one of which it is known that much comes from the cache: a random one may have little of that.
    known = 66 if round == 0 else 0
    seed = int(os.environ.get("DS_MODEL_SEED", "0")) or known or int(time.time() * 1000) % 1_000_000 * 10 + round
    with closing(Client(cut_stack)) as client:
        run = Run(client, projects, seed)
        for step in range(STEPS):
            try:
                run.step()
            except AssertionError as error:
                history = "\n".join(run.log[-60:])
                pytest.fail(f"seed {seed}, step {step} (DS_MODEL_SEED={seed} repeats it):\n{history}\n{error}", pytrace=False)
    print(f"seed {seed}: {run.counts}")
    # It has to have been a hard one.
    assert STEPS < 300 or min(run.counts["let in"], run.counts["refused"]) > 50, run.counts
    assert STEPS < 300 or seed != known or run.counts["HIT"] > 5, run.counts
