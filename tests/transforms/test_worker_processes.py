from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import BundleManager
from apache_beam.runners.worker import data_plane
from apache_beam.testing.util import assert_that, equal_to

from vz_beam import local_runner


def test_no_thread_empties_the_stream_that_a_bundle_is_sent_through(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Any] = []
    send = BundleManager._send_input_to_worker

    def noted(manager: Any, bundle: str, transform: str, streams: Any) -> None:
        used.append(manager._worker_handler.data_conn.output_stream(bundle, transform))
        send(manager, bundle, transform, streams)

    monkeypatch.setattr(BundleManager, "_send_input_to_worker", noted)
    options = PipelineOptions([])
    with beam.Pipeline(local_runner(options, workers=2), options) as pipeline:
        numbers = pipeline | beam.Create(range(100)) | beam.Reshuffle()
        assert_that(numbers, equal_to(range(100)))
    assert used
    assert {type(stream) for stream in used} == {data_plane.SizeBasedBufferingClosableOutputStream}


def test_what_is_written_slowly_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between what Beam's other thread takes and what it clears, as a busy machine does it."""
    taken = data_plane.SizeBasedBufferingClosableOutputStream.get

    def slow(stream: Any) -> bytes:
        data = taken(stream)
        if data:
            data_plane.time.sleep(0.05)
        return data

    def written_slowly(manager: Any, bundle: str, transform: str, streams: Any) -> None:
        stream = manager._worker_handler.data_conn.output_stream(bundle, transform)
        for piece in streams or []:
            stream.write(piece)
            data_plane.time.sleep(0.02)
        stream.close()

    monkeypatch.setattr("apache_beam.runners.portability.fn_api_runner.worker_handlers.DATA_BUFFER_TIME_LIMIT_MS", 10)
    monkeypatch.setattr(data_plane.SizeBasedBufferingClosableOutputStream, "get", slow)
    monkeypatch.setattr(BundleManager, "_send_input_to_worker", written_slowly)
    monkeypatch.setattr(BundleManager, "_send_timers_to_worker", lambda *_: None)
    options = PipelineOptions([])
    with beam.Pipeline(local_runner(options, workers=2), options) as pipeline:
        numbers = pipeline | beam.Create(range(400)) | beam.Reshuffle() | beam.Map(lambda n: (n, b"x" * 200_000))
        numbers = (numbers, pipeline | "More" >> beam.Create([(-1, b"")])) | beam.Flatten()
        assert_that(numbers | beam.Keys(), equal_to(range(-1, 400)))
