"""The figures one after another: which server each is taken on, and the rows that come of them."""

import contextlib
import os
import shutil

import baseline as baselines
import figures_access
import figures_backup
import figures_forks
import figures_purge
import figures_replay
import figures_requests
import figures_rotation
import figures_scale
import figures_space
import stack as stacks
from load import compare
from processes import BenchError
from report import Row

# Each server with its settings, and the figures taken on it.
PLAN = (
    ("default", {}, (figures_requests.appends, figures_requests.catch_up_miss, figures_requests.live,
                     figures_replay.replay)),
    ("replay", {}, (figures_replay.replay_many, figures_replay.replay_cold)),
    # Segments would take over what is to come out of the cache.
    ("hot", {"DS_SEGMENT_MAX_BYTES": "1GiB"}, (figures_requests.catch_up_hit,)),
    ("small", {"DS_SEGMENT_MAX_BYTES": "1GiB", "DS_READ_CHUNK_BYTES": str(64 * 1024)},
     (figures_requests.catch_up_hit,)),
    ("forks", {}, (figures_forks.fork_creation, figures_forks.fork_chains)),
)
# Servers whose memory counts: the others get bodies of 16 MiB, several of which are in hand at a time.
WATCHED = ("default", "replay", "hot", "small")
# Figures that start servers of their own.
ALONE = (figures_purge.purge_one, figures_purge.purge_expired, figures_rotation.append_during_rotation,
         figures_scale.append_to_many_streams, figures_scale.append_to_long_stream, figures_space.disk_space,
         figures_backup.backup, figures_access.append_with_token, figures_access.hit_with_token,
         figures_access.not_modified_with_token, figures_access.list_many_streams)


def name_of(figure):
    """The name by which a figure is selected."""
    return figure.__name__.replace("_", "-")


def names():
    """All figures, each once."""
    figures = [figure for _, _, group in PLAN for figure in group] + list(ALONE)
    return list(dict.fromkeys(map(name_of, figures)))


class Bench:
    """Takes the figures one after another; the rows are complete up to the one that failed."""

    def __init__(self, options, folder, sampler, tell):
        self.options, self.binaries, self.folder = options, options.binaries, folder
        self.rounds, self.seconds = options.rounds, options.seconds
        self.sampler, self.tell = sampler, tell
        self.rows = []
        self.gateway_errors = None

    def run(self):
        """All figures that were asked for, then what was counted on the way."""
        for name, settings, group in PLAN:
            chosen = [figure for figure in group if self.chosen(figure)]
            if chosen:
                self.with_baseline(name, settings, chosen)
        for figure in filter(self.chosen, ALONE):
            self.take(figure)
        if self.gateway_errors is not None:
            self.add(Row("502 and 504 answers to appends", self.gateway_errors, "answers", reach=1))
        if self.sampler.samples:
            self.memory()

    def chosen(self, figure):
        """Whether a figure was asked for."""
        return not self.options.only or name_of(figure) in self.options.only

    def with_baseline(self, name, settings, figures):
        """Start a stack and its baseline, take some figures, and stop both."""
        with self.stack(name, settings) as stack:
            if name in WATCHED:
                self.sampler.watch(stack.pid)
            with baselines.start(self.binaries, os.path.join(self.folder, name), stack) as baseline:
                self.tell(f"nginx configuration of the baselines: {baseline.how}")
                for figure in figures:
                    self.take(figure, stack, baseline)

    @contextlib.contextmanager
    def stack(self, name, settings):
        """A running stack whose folder goes with it."""
        folder = os.path.join(self.folder, name)
        try:
            with stacks.start(self.binaries, folder, settings) as stack:
                yield stack
        finally:
            self.sampler.watch(None)
            shutil.rmtree(folder, ignore_errors=True)

    def take(self, figure, *servers):
        """One figure; what stops it is a row that says so, and the others still get their turn."""
        try:
            figure(self, *servers)
        except BenchError as error:
            self.add(Row(name_of(figure), None, "", failure=str(error)))

    def add(self, row):
        """Keep a row, and say it at once."""
        self.rows.append(row)
        self.tell(" ".join(filter(None, row.as_cells())) + (f" ({row.failure})" if row.failure else ""))

    def beside(self, name, load, other_url, other, stack, unit="req/s", scale=1.0, reach=None):
        """One row: `load` on the stack beside `other` on a baseline; the stack's outcome."""
        mine, theirs = compare([(stack.url, load), (other_url, other)], self.rounds, self.seconds)
        fault = mine.fault or (f"baseline: {theirs.fault}" if theirs.fault else "")
        self.add(Row(name, mine.rate * scale, unit, theirs.rate * scale, reach, fault))
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
