"""Worker processes of the local runner, to which no input is lost, and which are sent no more than they can work on.

Beam's own handler of them (2.77) writes the input of a bundle into a stream that another thread empties every second
(``DATA_BUFFER_TIME_LIMIT_MS``): it takes what is there, and then clears the stream. What is written between the two is
gone, and nobody is told. It needs an input that takes more than a second to write: of 100,000,000 references on a busy
machine a fifth was lost in two runs of five, in pieces of 10 MiB, which the count of receipts refused.

Beam also sends the whole input of a bundle as one message, which a worker holds three times over, and which fails from
2 GiB on. It goes in messages of some 10 MiB here; a worker takes the next ones when it has worked on those before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from apache_beam.runners.portability.fn_api_runner.execution import GroupingBuffer
from apache_beam.runners.portability.fn_api_runner.fn_runner import ParallelBundleManager
from apache_beam.runners.portability.fn_api_runner.worker_handlers import SubprocessSdkWorkerHandler, WorkerHandler
from apache_beam.runners.worker.data_plane import SizeBasedBufferingClosableOutputStream

from vz_beam.errors import RunnerError

_PARTS = 64
"""Of a worker's part of grouped input: 100,000,000 references in two workers make parts of 3 MB."""
_MESSAGE_BYTES = 10 * 2**20
"""What Beam's streams take for one message, too."""
ENVIRONMENT = "vz_beam:env:worker_process:v1"
"""The kind of environment whose workers these are; its payload is their command line, as of Beam's own."""


@WorkerHandler.register_environment(ENVIRONMENT, bytes)
class WorkerProcess(SubprocessSdkWorkerHandler):
    """Beam's handler of a worker process, with streams that only their writer empties."""

    def __init__(self, command: bytes, state: Any, provision_info: Any, grpc_server: Any) -> None:
        super().__init__(command, state, provision_info, grpc_server)
        self.data_conn._data_buffer_time_limit_ms = 0  # what a channel makes its streams by: 0 is no other thread
        stream = self.data_conn.output_stream("none", "none")
        if type(stream) is not SizeBasedBufferingClosableOutputStream:
            raise RunnerError(
                f"this version of Beam sends input to its workers through a {type(stream).__name__}, of which vz_beam "
                "does not know that nothing is lost. Way out: workers=1, or a version of Beam that vz_beam was tested "
                "with (2.65 to 2.77)"
            )
        self.data_conn.output_stream = _in_messages(  # type: ignore[method-assign]
            self.data_conn.output_stream  # type: ignore[assignment]
        )


class ParallelBundles(ParallelBundleManager):
    """Beam's manager of the bundles of one stage, with grouped input in parts that can be sent one by one."""

    def process_bundle(self, inputs: Mapping[str, Any], *arguments: Any, **options: Any) -> Any:
        """See the class."""
        parted: dict[str, Any] = {
            name: _Parted(buffer) if _is_large(buffer) else buffer for name, buffer in inputs.items()
        }
        return super().process_bundle(parted, *arguments, **options)


def _is_large(buffer: Any) -> bool:
    """Whether grouped input is more than a message; less stays in the order in which it came."""
    if not isinstance(buffer, GroupingBuffer):
        return False
    groups = buffer._table.values()
    return sum(len(value) for values in groups for value in values if isinstance(value, bytes)) > _MESSAGE_BYTES


class _Parted:
    """A grouping buffer that gives each worker a list of parts, of whole elements, instead of one."""

    def __init__(self, buffer: GroupingBuffer) -> None:
        self._buffer = buffer

    def partition(self, count: int) -> list[list[bytes]]:
        """A list for each of ``count`` workers."""
        parts = self._buffer.partition(count * _PARTS)
        return [[data for part in parts[worker::count] for data in part if data] for worker in range(count)]


class _Messages:
    """A stream of which much is sent by a thread, message by message, and a little at once; writes are whole elements.

    The runner writes all input of a bundle before it tells the worker of it, and the channel takes only so much from
    it as the worker is sent: sent by the runner itself, the rest would wait for ever.
    """

    def __init__(self, stream: SizeBasedBufferingClosableOutputStream) -> None:
        self._stream = stream
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Takes encoded elements."""
        self._written.append(data)

    def close(self) -> None:
        """All has been written."""
        if sum(map(len, self._written)) <= _MESSAGE_BYTES:
            self._send()
        else:
            threading.Thread(target=self._send, name="vz_beam_input", daemon=True).start()

    def _send(self) -> None:
        for data in self._written:
            self._stream.write(data)
            self._stream.maybe_flush()
        self._stream.close()


def _in_messages(output_stream: Callable[[str, str], Any]) -> Callable[[str, str], _Messages]:
    return lambda instruction_id, transform_id: _Messages(output_stream(instruction_id, transform_id))
