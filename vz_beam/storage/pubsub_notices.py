"""A subscription of Google Pub/Sub with messages about new files, as a source that is looked at again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

from vz_beam.errors import InputError, TransientSourceError
from vz_beam.storage.notices import urls_or_warning

_WAIT_SECONDS = 1.0
"""Messages that come later are those of the next look."""
_LOOK_SECONDS = 10.0
"""A look ends then, however many more messages there are."""
_BATCH = 1_000
"""What one request brings or acknowledges, at most."""
_GONE = ("OBJECT_DELETE", "OBJECT_ARCHIVE")
"""Events of Google Cloud Storage, which sends them as attributes."""


class _Message(NamedTuple):
    """One that is not acknowledged yet: the mark of its last delivery, and the URLs that it names."""

    ack_id: str
    urls: tuple[str, ...]


class PubSubNotices:
    """The URLs that messages of a subscription name, and that are not settled yet.

    A message is acknowledged when all of its files are in the store, or were given up. What a watch that was killed had
    pulled comes again; what comes twice is in the store already, and changes nothing. Messages that tell of no file are
    warned of, and acknowledged.

    The client finds its credentials as Google's clients do, and ``PUBSUB_EMULATOR_HOST``.

    Args:
        source: ``pubsub://PROJECT/SUBSCRIPTION``.

    Raises:
        InputError: another form of URL, google-cloud-pubsub is not installed, no credentials.
    """

    scheme: ClassVar[str] = "pubsub"

    def __init__(self, source: str) -> None:
        parts = urlsplit(source)
        name = parts.path.strip("/")
        if parts.scheme != self.scheme or not parts.netloc or not name or "/" in name:
            raise InputError(f"{source!r} is not of the form pubsub://PROJECT/SUBSCRIPTION")
        try:
            from google.api_core import exceptions
            from google.auth.exceptions import GoogleAuthError
            from google.cloud.pubsub_v1 import SubscriberClient
        except ImportError as error:
            raise InputError(
                "subscriptions of Pub/Sub need google-cloud-pubsub. Way out: pip install 'vz-beam[pubsub]'"
            ) from error
        self._exceptions = exceptions
        self._source = source
        try:
            self._client = SubscriberClient()
        except GoogleAuthError as error:
            raise InputError(f"{source} cannot be read: {error}") from None
        self._path = self._client.subscription_path(parts.netloc, name)
        self._waiting: dict[str, _Message] = {}

    def __call__(self) -> Sequence[str]:
        """All URLs that are not settled.

        Raises:
            TransientSourceError: the service does not answer.
            InputError: there is no such subscription, or it may not be read.
        """
        end = time.monotonic() + _LOOK_SECONDS
        while time.monotonic() < end and (received := self._pulled()):
            for one in received:
                self._note(one)
        return list(dict.fromkeys(url for message in self._waiting.values() for url in message.urls))

    def settle(self, is_done: Callable[[str], bool]) -> None:
        """Acknowledges the messages of which all files are done, as ``is_done`` says of each URL.

        Raises:
            TransientSourceError: the service does not answer; another time will do.
        """
        done = {key: one.ack_id for key, one in self._waiting.items() if all(map(is_done, one.urls))}
        keys = list(done)
        for start in range(0, len(keys), _BATCH):
            some = keys[start : start + _BATCH]
            with self._told():
                self._client.acknowledge(subscription=self._path, ack_ids=[done[key] for key in some], timeout=10.0)
            for key in some:
                del self._waiting[key]

    def close(self) -> None:
        """Leaves the service."""
        self._client.close()

    def _pulled(self) -> Sequence[Any]:
        try:
            with self._told():
                answer = self._client.pull(
                    subscription=self._path, max_messages=_BATCH, retry=None, timeout=_WAIT_SECONDS
                )
        except self._exceptions.DeadlineExceeded:
            return ()  # no message came meanwhile
        received: Sequence[Any] = answer.received_messages
        return received

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the service refuses, as errors of ours."""
        try:
            yield
        except self._exceptions.DeadlineExceeded:
            raise
        except (self._exceptions.ServerError, self._exceptions.TooManyRequests) as error:
            raise TransientSourceError(f"{self._source} cannot be read: {error}. This may pass: try again") from None
        except self._exceptions.GoogleAPICallError as error:
            raise InputError(f"{self._source} cannot be read: {error}") from None

    def _note(self, received: Any) -> None:
        message = received.message
        urls: list[str] = []
        if message.attributes.get("eventType") not in _GONE:
            urls = urls_or_warning(message.data, f"{self._source}, message {message.message_id}")
        self._waiting[message.message_id] = _Message(received.ack_id, tuple(urls))
