"""A process that loads Beam and xarray once and then forks the local workers, so that each of them starts at once.

Run as a program, it listens on the Unix socket that it is given. For each connection it takes a line of JSON, the
environment of a worker, forks it, and answers with its exit status. It ends when its standard input closes, that is
with the process that started it. Workers do not import the user's main module again, as ``multiprocessing`` would.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import select
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator

PASSED_ON = (
    "CONTROL_API_SERVICE_DESCRIPTOR",
    "LOGGING_API_SERVICE_DESCRIPTOR",
    "PIPELINE_OPTIONS",
    "WORKER_ID",
)
"""What Beam tells a worker through its environment."""

_THRIFT = {"MALLOC_ARENA_MAX": "1", "ICECHUNK_NO_LOGS": "1"}
"""One heap a worker. With glibc's one for each thread, columns that were freed in one are no use to the others:
10,000,000 references took 0.46 GiB a worker and take 0.35, 30,000,000 took 0.60 and take 0.53 (measured).
Icechunk 1.x spends most of its time on logs that nobody reads there."""

_CLIENT = """
import json, os, socket, sys
names = sys.argv[2:]
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(json.dumps({n: os.environ[n] for n in names if n in os.environ}).encode() + b"\\n")
sys.exit(int(s.makefile().readline() or 1))
"""
"""What Beam starts as a worker: it asks the nursery for one and waits for its end. It loads no package."""


@contextlib.contextmanager
def worker_nursery() -> Iterator[str]:
    """Starts a nursery, without waiting for it, and gives the command line of a worker that it forks."""
    with tempfile.TemporaryDirectory(prefix="vz_beam_") as folder:
        path = os.path.join(folder, "nursery")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)  # here, so that workers may ask before the nursery has loaded everything
        listener.listen()
        process = subprocess.Popen(
            [sys.executable, "-m", "vz_beam.transforms.worker_nursery", str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=(listener.fileno(),),
            env={**_THRIFT, **os.environ},
        )
        listener.close()
        try:
            yield shlex.join([sys.executable, "-I", "-S", "-c", _CLIENT, path, *PASSED_ON])
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def serve(listener: socket.socket) -> None:
    """Forks a worker for each connection until standard input closes."""
    waiting: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [], 0.05 if waiting else None)
        if sys.stdin in ready:
            return
        if listener in ready:
            connection, _ = listener.accept()
            settings = json.loads(connection.makefile().readline())
            child = os.fork()
            if child == 0:
                listener.close()
                _become_worker(settings)
            waiting[child] = connection
        for child in list(waiting):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                with waiting.pop(child) as connection, contextlib.suppress(BrokenPipeError):
                    connection.sendall(f"{os.waitstatus_to_exitcode(status) & 0xFF}\n".encode())


def _become_worker(settings: dict[str, str]) -> None:
    """Runs Beam's worker to its end; does not return."""
    status = 1
    try:
        os.environ.update(settings)
        sdk_worker_main.main([])
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    # Beam remarks on optional libraries when it is loaded; what goes wrong in a worker comes back as its error
    logging.disable(logging.WARNING)
    gc.disable()  # loading makes a million objects and no garbage: looking for it takes a quarter of the time
    from apache_beam.runners.worker import sdk_worker_main  # only the nursery itself needs what it loads for workers

    import vz_beam.parsers.hdf5.reading
    import vz_beam.transforms.writing  # noqa: F401 - loaded here once, so that the workers have it
    from vz_beam.parsers.parser import known_parsers

    known_parsers()

    gc.freeze()  # workers need not look through all that was loaded at each of their own collections
    gc.enable()
    serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)  # nothing is left to do, and taking down what was loaded takes 0.2 s
