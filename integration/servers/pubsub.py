"""Google's own fake of Pub/Sub, which its Go clients are tested with, on this machine; built by Go the first time.

Source: https://pkg.go.dev/cloud.google.com/go/pubsub/v2/pstest
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from integration.servers.local_server import LocalServer, free_ports
from integration.servers.programs import ProgramMissingError, cached_program

VERSION = "2.9.0"
PROJECT = "vz-beam"
_PROGRAM = Path(__file__).with_name("pubsub")


class PubSubServer(LocalServer):
    """A service without topics. Clients find it where ``PUBSUB_EMULATOR_HOST`` is :attr:`address`."""

    name = "pubsub"

    def __init__(self) -> None:
        super().__init__()
        self.port = free_ports(1)[0]
        self.address = f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """See :meth:`LocalServer.command`."""
        return [str(cached_program("pubsub", VERSION, _install) / "pubsub"), str(self.port)]

    def ask(self) -> None:
        """See :meth:`LocalServer.ask`."""
        import grpc

        with grpc.insecure_channel(self.address) as channel:
            grpc.channel_ready_future(channel).result(timeout=2)

    def make(self, topic: str, *, deadline_seconds: int = 10) -> str:
        """Makes a topic with a subscription of the same name; its URL."""
        from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

        path = PublisherClient.topic_path(PROJECT, topic)
        PublisherClient().create_topic(name=path)
        with SubscriberClient() as client:
            name = client.subscription_path(PROJECT, topic)
            client.create_subscription(name=name, topic=path, ack_deadline_seconds=deadline_seconds)
        return f"pubsub://{PROJECT}/{topic}"

    def send(self, topic: str, messages: Iterable[bytes | str], **attributes: str) -> None:
        """Sends messages, and waits until they are there."""
        from google.cloud.pubsub_v1 import PublisherClient

        client = PublisherClient()
        path = client.topic_path(PROJECT, topic)
        encoded = (message.encode() if isinstance(message, str) else message for message in messages)
        for future in [client.publish(path, message, **attributes) for message in encoded]:
            future.result(timeout=10)


def _install(folder: str) -> None:
    go = shutil.which("go")
    if go is None:
        raise ProgramMissingError("the fake of Pub/Sub needs Go")
    command = [go, "build", "-o", f"{folder}/pubsub", "."]
    try:
        subprocess.run(command, cwd=_PROGRAM, capture_output=True, text=True, check=True, timeout=400)
    except subprocess.CalledProcessError as error:  # an older Go, or no module proxy
        raise ProgramMissingError(f"the fake of Pub/Sub cannot be built: {error.stderr[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramMissingError("the fake of Pub/Sub was not built within 400 s") from error
