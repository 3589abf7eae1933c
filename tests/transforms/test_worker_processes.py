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
    assert {type(stream._stream) for stream in used} == {data_plane.SizeBasedBufferingClosableOutputStream}


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


@pytest.mark.parametrize("is_grouped", [False, True])
def test_much_input_is_sent_in_several_messages_and_all_of_it_arrives(
    is_grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    flush = data_plane.SizeBasedBufferingClosableOutputStream.flush

    def noted(stream: Any) -> None:
        sizes.append(stream.size())
        flush(stream)

    monkeypatch.setattr(data_plane.SizeBasedBufferingClosableOutputStream, "flush", noted)
    options = PipelineOptions([])
    with beam.Pipeline(local_runner(options, workers=2), options) as pipeline:
        made = pipeline | beam.Create(range(160)) | beam.Reshuffle() | beam.Map(lambda n: (n, bytes([n]) * 500_000))
        other = (
            made | beam.GroupByKey() if is_grouped else (made, pipeline | "None" >> beam.Create([])) | beam.Flatten()
        )
        found = other | beam.MapTuple(lambda n, data: (n, len(data if isinstance(data, bytes) else next(iter(data)))))
        assert_that(found, equal_to([(n, 500_000) for n in range(160)]))
    large = [size for size in sizes if size > 1_000_000]
    assert sum(large) > 40_000_000
    assert max(large) < 30_000_000


def test_a_worker_that_fails_ends_the_run_although_much_is_still_to_be_sent() -> None:
    def fail(pair: tuple[int, bytes]) -> None:
        raise ValueError(f"element {pair[0]} is bad")

    options = PipelineOptions([])
    pipeline = beam.Pipeline(local_runner(options, workers=2), options)
    made = pipeline | beam.Create(range(300)) | beam.Reshuffle() | beam.Map(lambda n: (n, bytes([n % 256]) * 1_000_000))
    _ = (made, pipeline | "None" >> beam.Create([])) | beam.Flatten() | beam.Map(fail)
    with pytest.raises(RuntimeError, match="is bad"):
        pipeline.run().wait_until_finish()
