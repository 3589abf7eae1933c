"""A server program on loopback, which a test starts and ends, and which ends by itself where the test cannot."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

LIFETIME_SECONDS = 900
_START_SECONDS = 90


class LocalServer:
    """Runs while in the ``with`` block. Subclasses say the command, and how to see that it answers."""

    name: str

    def __init__(self) -> None:
        self.folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Of the program; it may write to ``folder``. Raises where the program cannot be had."""
        raise NotImplementedError

    def ask(self) -> None:
        """Asks the server something; raises where there is no right answer."""
        raise NotImplementedError

    @property
    def log(self) -> str:
        """What the server has printed."""
        return (self.folder / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix=f"vz_beam_{self.name}_"))
        command = ["timeout", str(LIFETIME_SECONDS), *self.command()]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.ask()
                return self
            except Exception as error:
                if time.monotonic() > end or self._process.poll() is not None:
                    text = f"{self.name} did not start: {error}; {self.log[-2000:]}"
                    self.__exit__()
                    raise RuntimeError(text) from error
                time.sleep(0.2)

    def __exit__(self, *_: Any) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        subprocess.run(["pkill", "-KILL", "-s", str(self._process.pid)], check=False)
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens to at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
