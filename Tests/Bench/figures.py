"""The figures one after another: which server each is taken on, and the rows that come of them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator

import baseline as baselines
import figures_access
import figures_appends
import figures_backup
import figures_batches
import figures_cold_start
import figures_endurance
import figures_forks
import figures_latency
import figures_live
import figures_overload
import figures_purge
import figures_reads
import figures_replay
import figures_requests
import figures_rotation
import figures_scale
import figures_space
import stack as stacks
from load import compare
from processes import BenchError
from report import Curve, Row


@dataclasses.dataclass(frozen=True)
class Part:
    """Figures below one heading, taken on a server that is started for them with these settings beside its
    baseline; without a server's name, on servers of their own."""

    heading: str
    figures: tuple[Callable, ...]
    server: str = ""
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    # Whether the memory of this server counts: some get bodies of 16 MiB, several of which are in hand at a time.
    watched: bool = False


# What `make bench` takes.
PLAN = (
    Part("Durable appends through nginx, 256 bytes where nothing else is said",
         (figures_appends.appends, figures_latency.append_at_half_of_peak, figures_batches.json_batches),
         "appends", watched=True),
    Part("Catch-up reads through nginx", (figures_reads.catch_up_hit, figures_reads.catch_up_tail, figures_reads.tail_beside_writer), "reads", watched=True),
    Part("Live delivery", (figures_live.live, figures_live.long_poll), "live"),
    # On a server of its own: memory that earlier readers have left would be theirs already.
    Part("Live delivery", (figures_live.idle,), "idle"),
    Part("Start", (figures_cold_start.cold_start,)),
    Part("Overload", (figures_overload.overload,)),
)
# An hour of one load: only when it is asked for by its name, as `make bench-hour` does.
HOURS = (Part("Endurance", (figures_endurance.endurance,)),)
# What `make bench-all` takes too.
EXTRA = (
    Part("More appends and reads", (figures_requests.append_of_few, figures_requests.miss_of_large_body,
                                    figures_replay.replay), "more", watched=True),
    Part("More appends and reads", (figures_replay.replay_many, figures_replay.replay_cold), "replay", watched=True),
    # Segments would take over what is to come out of the cache.
    Part("More appends and reads", (figures_requests.hit_of_small_pieces,), "small",
         {"DS_SEGMENT_MAX_BYTES": "1GiB", "DS_READ_CHUNK_BYTES": str(64 * 1024)}, watched=True),
    Part("Forks", (figures_forks.fork_creation, figures_forks.fork_chains), "forks"),
    Part("Chores beside appends", (figures_purge.purge_one, figures_purge.purge_expired,
                                   figures_rotation.append_during_rotation, figures_backup.backup)),
    Part("Scale", (figures_scale.append_to_many_streams, figures_scale.append_to_long_stream,
                   figures_access.list_many_streams, figures_space.disk_space)),
    Part("Access", (figures_access.append_with_token, figures_access.hit_with_token,
                    figures_access.not_modified_with_token)),
)


def name_of(figure: Callable) -> str:
    """The name by which a figure is selected."""
    return figure.__name__.replace("_", "-")


def names() -> list[str]:
    """All figures, each once."""
    return list(dict.fromkeys(name_of(figure) for part in PLAN + EXTRA + HOURS for figure in part.figures))


class Bench:
    """Takes the figures one after another; the rows are complete up to the one that failed."""

    def __init__(self, options, folder, sampler, tell):
        self.options, self.binaries, self.folder = options, options.binaries, folder
        self.rounds, self.seconds = options.rounds, options.seconds
        self.sampler, self.tell = sampler, tell
        self.rows: list[Row] = []
        self.curves: list[Curve] = []
        self.heading = ""
        self.gateway_errors = None
        # Appends a second, the most that were seen.
        self.peak = 0.0

    def run(self) -> None:
        """All figures that were asked for, then what was counted on the way."""
        for part in PLAN + EXTRA + HOURS if self.options.only else PLAN + EXTRA if self.options.all else PLAN:
            self.heading = part.heading
            chosen = [figure for figure in part.figures if self.chosen(figure)]
            if chosen and part.server:
                self.with_baseline(part, chosen)
            else:
                for figure in chosen:
                    self.take(figure)
        self.heading = "Counted on the way"
        if self.gateway_errors is not None:
            self.add(Row("502 and 504 answers to appends", self.gateway_errors, "answers", reach=1))
        if self.sampler.samples:
            self.memory()

    def chosen(self, figure: Callable) -> bool:
        """Whether a figure was asked for."""
        return not self.options.only or name_of(figure) in self.options.only

    def with_baseline(self, part: Part, chosen: list[Callable]) -> None:
        """Start a stack and its baseline, take some figures, and stop both."""
        with self.stack(part.server, part.settings) as stack:
            if part.watched:
                self.sampler.watch(stack.pid)
            with baselines.start(self.binaries, os.path.join(self.folder, part.server), stack) as baseline:
                self.tell(f"nginx configuration of the baselines: {baseline.how}")
                for figure in chosen:
                    self.take(figure, stack, baseline)

    @contextlib.contextmanager
    def stack(self, name: str, settings: dict[str, str]) -> Iterator[stacks.Stack]:
        """A running stack whose folder goes with it."""
        folder = os.path.join(self.folder, name)
        try:
            with stacks.start(self.binaries, folder, settings) as stack:
                yield stack
        finally:
            self.sampler.watch(None)
            shutil.rmtree(folder, ignore_errors=True)

    def take(self, figure: Callable, *servers) -> None:
        """One figure; what stops it is a row that says so, and the others still get their turn."""
        try:
            figure(self, *servers)
        except BenchError as error:
            self.add(Row(name_of(figure), None, "", failure=str(error)))

    def add(self, row: Row) -> None:
        """Keep a row, and say it at once."""
        row.group = row.group or self.heading
        self.rows.append(row)
        remarks = "".join(f" ({text})" for text in (row.failure, row.note) if text)
        self.tell(" ".join(filter(None, row.as_cells())) + remarks)

    def add_curve(self, name: str, points: list) -> None:
        """Keep the latencies of a measurement for the plot; `points` are pairs of a percentile and microseconds."""
        self.curves.append(Curve(name, [(percentile, value) for percentile, value in points], self.heading))

    def beside(self, name, load, other_url, other, stack, unit="req/s", scale=1.0, reach=None, beside=""):
        """One row: `load` on the stack beside `other` on a baseline; the stack's outcome."""
        mine, theirs = compare([(stack.url, load), (other_url, other)], self.rounds, self.seconds)
        fault = mine.fault or (f"baseline: {theirs.fault}" if theirs.fault else "")
        self.add(Row(name, mine.rate * scale, unit, theirs.rate * scale, reach, fault, beside=beside))
        return mine

    def fail_last(self, reason):
        """The row added last can't be believed."""
        self.rows[-1].failure = reason
        self.tell(f"{self.rows[-1].name}: {reason}")

    def memory(self):
        """The peak of the sum over all worker and live processes."""
        sampler = self.sampler
        self.add(Row("memory of pool and live process, VmRSS", sampler.peak_rss * 1024 / 1e6, "MB",
                     reach=100))
        self.add(Row("memory of pool and live process, Pss", sampler.peak_pss * 1024 / 1e6, "MB"))
        for name, kilobytes in sorted(sampler.by_program.items()):
            self.tell(f"peak VmRSS of {name}: {kilobytes * 1024 / 1e6:.1f} MB")
