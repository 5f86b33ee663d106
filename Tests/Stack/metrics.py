"""The metrics of a stack, as a Prometheus server would take them."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from commands import run
from stack import Stack

PREFIX = "durable_streams_"
PATIENCE = 15.0


def parse(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Samples by name, without the prefix, and labels; none may be there twice."""
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
        for sample in family.samples:
            assert sample.name.startswith(PREFIX), sample
            key = (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items()))
            assert key not in samples, f"{key} is there twice"
            samples[key] = sample.value
    return samples


class Metrics:
    """What was counted at one moment."""

    def __init__(self, text: str):
        self.text = text
        self.samples = parse(text)

    @classmethod
    def of(cls, stack: Stack) -> Metrics:
        return cls(run("status", "--prometheus", "--data-dir", stack.data_dir).expect(0).out)

    def __call__(self, name: str, **labels: str) -> float:
        """A sample; 0 where a series has none yet."""
        return self.samples.get((name, frozenset(labels.items())), 0)

    def all(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        return sum(value for (found, has), value in self.samples.items() if found == name and labels.items() <= dict(has).items())


def wait_for(stack: Stack, condition: Callable[[Metrics], bool], what: str = "the metrics") -> Metrics:
    """The first metrics for which it holds; some are sampled once a second."""
    deadline = time.monotonic() + PATIENCE
    while not condition(found := Metrics.of(stack)):
        assert time.monotonic() < deadline, f"{what} did not come:\n{found.text}"
        time.sleep(0.05)
    return found
