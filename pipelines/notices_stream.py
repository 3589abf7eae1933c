r"""An unbounded stream of notices about new files, one store: each window of them is one commit.

On an engine, the notices are messages of a Pub/Sub subscription, each a JSON object as object stores send them:

    python -m pipelines.notices_stream --subscription projects/P/subscriptions/S --store gs://bucket/hourly.icechunk \
        --streaming --runner DataflowRunner ...

On this machine they are the lines of a file, {"time": SECONDS, "url": URL}, that a stream for testing plays:

    python -m pipelines.notices_stream --notices notices.jsonl --store hourly.icechunk --window_seconds 60
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from vz_beam import CombineManifests, OpenWithVirtualizarr, WriteReferences
from vz_beam.patterns import Index, Position


def run(arguments: Sequence[str] | None = None) -> None:
    """Publishes each window once its end has passed, in order, for ever or until the file of notices ends."""
    parser = ArgumentParser(description=__doc__, epilog="Other options are those of the runner.")
    notices = parser.add_mutually_exclusive_group(required=True)
    notices.add_argument("--notices", help="file with a notice a line, played as they came")
    notices.add_argument("--subscription", help="of Pub/Sub, instead")
    parser.add_argument("--store", required=True, help="path or URL, ending in .parquet, .json, .icechunk or .zarr")
    parser.add_argument("--concat_dim", default="time", help="dimension along which the files follow each other")
    parser.add_argument("--window_seconds", type=float, default=60.0, help="files of a window are one commit")
    given, others = parser.parse_known_args(arguments)
    options = PipelineOptions(others, streaming=True)
    index = Index((Position(given.concat_dim, "concat", 0),))  # inputs of a window are ordered by their names
    with beam.Pipeline(options=options) as pipeline:
        urls = pipeline | ("Notices" >> _source(given))
        done = (
            urls
            | "Spread" >> beam.Reshuffle()  # before there are windows: behind it nothing is too late yet
            | "Windows" >> beam.WindowInto(FixedWindows(given.window_seconds))
            | "Inputs" >> beam.Map(lambda url: (index, url)).with_output_types(tuple[Index, str])
            | OpenWithVirtualizarr(errors="collect")
            | CombineManifests(holes="missing", order_by="coordinate")
            | WriteReferences(given.store, mode="append")
        )
        _ = done.summaries | "Print summaries" >> beam.Map(print)
        _ = done.failures | "Print failures" >> beam.Map(lambda failure: print("not in the store:", failure))


def _source(given: Namespace) -> Any:
    if given.subscription:
        messages = beam.io.ReadFromPubSub(subscription=given.subscription, timestamp_attribute="eventTime")
        return messages | beam.Map(_url_of_message)
    stream = TestStream()
    latest = float("-inf")
    for line in Path(given.notices).read_text(encoding="utf-8").splitlines():
        notice = json.loads(line)
        stream = stream.add_elements([TimestampedValue(notice["url"], notice["time"])])
        if notice["time"] > latest:
            latest = notice["time"]
            stream = stream.advance_watermark_to(latest)
    return stream.advance_watermark_to_infinity()


def _url_of_message(message: bytes) -> str:
    notice = json.loads(message)
    return f"gs://{notice['bucket']}/{notice['name']}"


if __name__ == "__main__":
    run()
