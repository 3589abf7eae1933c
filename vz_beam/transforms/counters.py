"""What pipelines count, as Beam's metrics of the namespace ``vz_beam``; README lists their names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apache_beam.metrics.metric import MetricResults, Metrics, MetricsFilter

NAMESPACE = "vz_beam"


def count(name: str, number: int = 1) -> None:
    """Adds to a counter."""
    if number:
        Metrics.counter(NAMESPACE, name).inc(number)


def counts_of(result: Any) -> dict[str, int]:
    """What a pipeline that has ended counted; of distributions the sums. Nothing where its runner does not say."""
    try:
        found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    except (NotImplementedError, AttributeError):
        return {}
    counted = {one.key.metric.name: int(one.result) for one in found[MetricResults.COUNTERS]}
    return counted | {one.key.metric.name: int(one.result.sum) for one in found[MetricResults.DISTRIBUTIONS]}


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Adds how long a stage took to the distribution ``STAGE_milliseconds``, also where it fails."""
    began = time.monotonic()
    try:
        yield
    finally:
        took = round((time.monotonic() - began) * 1000)
        Metrics.distribution(NAMESPACE, f"{stage}_milliseconds").update(took)
