"""Worker processes of the local runner, to which no input is lost.

Beam's own handler of them (2.77) writes the input of a bundle into a stream that another thread empties every second
(``DATA_BUFFER_TIME_LIMIT_MS``): it takes what is there, and then clears the stream. What is written between the two is
gone, and nobody is told. It needs an input that takes more than a second to write: of 100,000,000 references on a busy
machine a fifth was lost in two runs of five, in pieces of 10 MiB, which the count of receipts refused.
"""

from __future__ import annotations

from typing import Any

from apache_beam.runners.portability.fn_api_runner.worker_handlers import SubprocessSdkWorkerHandler, WorkerHandler
from apache_beam.runners.worker.data_plane import SizeBasedBufferingClosableOutputStream

from vz_beam.errors import RunnerError

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
