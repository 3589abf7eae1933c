"""Azurite, Microsoft's emulator of Azure Blob Storage, on this machine.

Source: https://learn.microsoft.com/azure/storage/common/storage-use-azurite; npm's package ``azurite``, which is
installed into a cache the first time.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
from typing import Any

import obstore
from obstore.store import AzureStore

from integration.servers.local_server import LocalServer, free_ports
from integration.servers.programs import ProgramMissingError, cached_program

VERSION = "3.35.0"
"""The last one for Node.js 20."""
ACCOUNT = "vzbeam"
SECRET = base64.b64encode(b"vz-beam-azure-secret-canary").decode()


class AzuriteServer(LocalServer):
    """Serves containers of one account, by its shared key."""

    name = "azurite"
    scheme = "az"
    secrets = (SECRET,)

    def __init__(self) -> None:
        super().__init__()
        self.port = free_ports(1)[0]
        self.endpoint = f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def options(self) -> dict[str, Any]:
        """Storage options of the server, in the words of obstore."""
        return {**self.public, "account_key": SECRET}

    @property
    def wrong(self) -> dict[str, Any]:
        """Storage options with a secret that is none."""
        return {**self.public, "account_key": base64.b64encode(b"wrong-canary").decode()}

    @property
    def public(self) -> dict[str, Any]:
        """Those that are no secrets."""
        return {"account_name": ACCOUNT, "endpoint": self.endpoint}

    @property
    def environment(self) -> dict[str, str]:
        """Where a process finds the secrets by itself."""
        return {"AZURE_STORAGE_ACCOUNT_KEY": SECRET}

    @property
    def fsspec_options(self) -> dict[str, Any]:
        """The same in the words of adlfs."""
        words = {"AccountName": ACCOUNT, "AccountKey": SECRET, "BlobEndpoint": self.endpoint}
        text = ";".join(f"{word}={value}" for word, value in words.items())
        return {"account_name": ACCOUNT, "connection_string": f"DefaultEndpointsProtocol=http;{text};"}

    def bucket(self, name: str) -> AzureStore:
        """A container as obstore has it."""
        config: Any = self.options
        return AzureStore(name, config=config, client_options={"allow_http": True})

    def command(self) -> list[str]:
        """See :meth:`LocalServer.command`."""
        folder = cached_program("azurite", VERSION, _install)
        program = f"{folder}/node_modules/azurite/dist/src/blob/main.js"
        return [
            "env", f"AZURITE_ACCOUNTS={ACCOUNT}:{SECRET}", "node", program, "--silent", "--disableTelemetry",
            "--skipApiVersionCheck", "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", str(self.port),
        ]  # fmt: skip

    def ask(self) -> None:
        """See :meth:`LocalServer.ask`."""
        self.make_bucket("ready")
        obstore.put(self.bucket("ready"), "key", b"value")

    def make_bucket(self, name: str) -> None:
        """Make a container, which may be there."""
        import adlfs

        filesystem = adlfs.AzureBlobFileSystem(**self.fsspec_options, skip_instance_cache=True)
        if not filesystem.exists(name):
            filesystem.mkdir(name)


def _install(folder: str) -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise ProgramMissingError("Azurite needs Node.js with npm")
    words = ["install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", f"azurite@{VERSION}"]
    subprocess.run([npm, *words], check=True, capture_output=True, text=True, timeout=300)
