"""What pipelines count, as Beam's metrics of the namespace ``vz_beam``; README lists their names."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apache_beam.metrics.metric import MetricResults, Metrics, MetricsFilter

NAMESPACE = "vz_beam"
_TOOK = "_milliseconds"


def count(name: str, number: int = 1) -> None:
    """Adds to a counter."""
    if number:
        Metrics.counter(NAMESPACE, name).inc(number)


def counts_of(result: Any) -> dict[str, int]:
    """What a pipeline that has ended counted; of what took time the sums. Nothing where its runner does not say."""
    try:
        found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    except (NotImplementedError, AttributeError):
        return {}
    counted = {one.key.metric.name: int(one.result) for one in found[MetricResults.COUNTERS]}
    took = [one for one in found[MetricResults.DISTRIBUTIONS] if one.key.metric.name.endswith(_TOOK)]
    return counted | {one.key.metric.name: int(one.result.sum) for one in took}


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Adds how long a stage took to the distribution ``STAGE_milliseconds``, also where it fails."""
    began = time.monotonic()
    try:
        yield
    finally:
        took = round((time.monotonic() - began) * 1000)
        Metrics.distribution(NAMESPACE, f"{stage}{_TOOK}").update(took)


class _Together:
    """How many threads of this process are within something."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    @contextmanager
    def counted(self, name: str) -> Iterator[None]:
        """Adds the number, this thread included, to a distribution."""
        with self._lock:
            self._count += 1
            now = self._count
        Metrics.distribution(NAMESPACE, name).update(now)
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1


opened_together = _Together()
"""Of the files that this process opens."""
