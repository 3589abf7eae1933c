"""Beam on this machine, and the runners that are known to be wrong."""

from __future__ import annotations

from typing import Any

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_provision_api_pb2, beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import (
    ExtendedProvisionInfo,
    FnApiRunner,
    ParallelBundleManager,
    RunnerResult,
)
from apache_beam.runners.portability.portable_runner import JobServiceHandle

from vz_beam.errors import InputError, RunnerError
from vz_beam.transforms.worker_processes import ENVIRONMENT, ParallelBundles

REFUSED = {
    "DaskRunner": (
        "it computes only the last of two sinks, gives every element to every tagged output, drops what finish_bundle "
        "gives, and reports DONE"
    ),
}
"""Runners that lose or change data without saying so, and how; measured with Beam 2.77."""


def local_runner(options: PipelineOptions, workers: int = 1, worker_command: str | None = None) -> FnApiRunner:
    """A runner for this machine; ``options`` are changed to say how many workers it has.

    One worker runs in this process, more are processes of their own. Their gRPC ports are open on all interfaces
    of the machine while the pipeline runs. The runner is named, since Beam's ``DirectRunner`` chooses among three.

    Args:
        options: of the pipeline.
        workers: how many.
        worker_command: what starts a worker process; ``None`` is Beam's own command.

    Raises:
        InputError: fewer than one worker.
    """
    if workers < 1:
        raise InputError(f"workers={workers} must be at least 1")
    direct = options.view_as(DirectOptions)
    direct.direct_num_workers = workers
    direct.direct_running_mode = "in_memory" if workers == 1 else "multi_processing"
    # worker processes see the options that the provision service gives them, which are empty unless set here
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options(drop_default=True))
    provision = ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded))
    return _LocalRunner(worker_command, provision)


def check_runner(runner: Any) -> None:
    """Refuse a runner that is known to be wrong, given by name or as an object.

    Raises:
        RunnerError: with what it does wrong.
    """
    name = (runner if isinstance(runner, str) else type(runner).__name__).rpartition(".")[2]
    if name in REFUSED:
        raise RunnerError(f"{name} gives wrong results: {REFUSED[name]}. Use workers=N, FlinkRunner or DataflowRunner")


class _LocalRunner(FnApiRunner):
    """Beam's runner, with a say in how worker processes are started, and in how much they are sent at once."""

    def __init__(self, worker_command: str | None, provision_info: ExtendedProvisionInfo) -> None:
        super().__init__(provision_info=provision_info)
        self._worker_command = worker_command

    def _get_bundle_manager(self, bundle_context_manager: Any) -> Any:
        manager = super()._get_bundle_manager(bundle_context_manager)
        if type(manager) is not ParallelBundleManager:
            return manager
        tokens = self.get_cache_token_generator(static=False)
        return ParallelBundles(bundle_context_manager, self._progress_frequency, cache_token_generator=tokens)

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> RunnerResult:
        """Run, with our worker processes in place of those that Beam has written into the environments."""
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                environment.urn = ENVIRONMENT
                if self._worker_command is not None:
                    environment.payload = self._worker_command.encode()
        return super().run_via_runner_api(pipeline_proto, options)
