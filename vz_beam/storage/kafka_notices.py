"""A topic of Kafka with messages about new files, as a source that is looked at again and again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from vz_beam.errors import InputError, TransientSourceError
from vz_beam.storage.notices import urls_or_warning

_TIMEOUT_SECONDS = 10.0
_WAIT_SECONDS = 0.3
"""Messages that come later are those of the next look."""
_BATCH = 10_000


class KafkaNotices:
    """The URLs that the messages of a topic name, from its first message on, in the order of each partition.

    Nothing is acknowledged and no group is joined: what is done, the store knows. So a topic is read anew whenever a
    watch starts, and several may read it. Messages that tell of no file are warned of, by partition and offset.

    Args:
        source: ``kafka://HOST:PORT[,HOST:PORT]/TOPIC``.
        config: further settings of the client, in the words of librdkafka (``{"security.protocol": "SASL_SSL", ...}``).

    Raises:
        InputError: another form of URL, or confluent-kafka is not installed.
    """

    scheme: ClassVar[str] = "kafka"

    def __init__(self, source: str, config: Mapping[str, Any] | None = None) -> None:
        parts = urlsplit(source)
        topic = parts.path.strip("/")
        if parts.scheme != self.scheme or not parts.netloc or not topic or "/" in topic or "@" in parts.netloc:
            raise InputError(f"{source.rpartition('@')[2]!r} is not of the form kafka://HOST:PORT/TOPIC")
        try:
            import confluent_kafka
        except ImportError as error:
            raise InputError("topics of Kafka need confluent-kafka. Way out: pip install 'vz-beam[kafka]'") from error
        self._kafka = confluent_kafka
        self._source = f"{self.scheme}://{parts.netloc}/{topic}"
        self._topic = topic
        own = {"bootstrap.servers": parts.netloc, "group.id": "vz_beam", "enable.auto.commit": False}
        self._consumer = confluent_kafka.Consumer({"enable.partition.eof": True, **(config or {}), **own})
        self._partitions: set[int] = set()
        self._urls: dict[str, None] = {}

    def __call__(self) -> Sequence[str]:
        """All URLs until now.

        Raises:
            TransientSourceError: no broker answers.
        """
        try:
            self._read()
        except self._kafka.KafkaException as error:
            raise TransientSourceError(f"{self._source} cannot be read: {error.args[0].str()}") from None
        return list(self._urls)

    def close(self) -> None:
        """Leaves the brokers."""
        self._consumer.close()

    def _read(self) -> None:
        topic = self._consumer.list_topics(self._topic, timeout=_TIMEOUT_SECONDS).topics[self._topic]
        if topic.error is not None and topic.error.code() != self._kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise self._kafka.KafkaException(topic.error)
        silent = set(topic.partitions) - self._partitions
        if silent:
            begin = [self._kafka.TopicPartition(self._topic, number, self._kafka.OFFSET_BEGINNING) for number in silent]
            self._consumer.incremental_assign(begin)
            self._partitions |= silent
        last, is_more = time.monotonic(), True
        while is_more or silent:
            messages = self._consumer.consume(_BATCH, timeout=_WAIT_SECONDS)
            is_more = False
            for message in messages:
                silent.discard(message.partition())  # the end of a partition is told as well
                if (error := message.error()) is None:
                    is_more, last = True, time.monotonic()
                    self._note(message)
                elif error.code() != self._kafka.KafkaError._PARTITION_EOF:
                    raise self._kafka.KafkaException(error)
            if silent and time.monotonic() - last > _TIMEOUT_SECONDS:
                raise TransientSourceError(f"{self._source}: no message came within {_TIMEOUT_SECONDS:.0f} s")

    def _note(self, message: Any) -> None:
        place = f"{self._source}, partition {message.partition()}, offset {message.offset()}"
        urls = urls_or_warning(message.value() or b"", place)
        self._urls.update(dict.fromkeys(urls))
