"""Messages that tell of new files: which URLs they name."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from vz_beam.errors import FormatError

_SHOWN = 200


def urls_of_notice(message: bytes | str) -> list[str]:
    """The URLs of the files that a message tells of; none where it tells of what is gone.

    A message is a URL or path a line, ``{"url": ...}``, or what stores send of themselves: events of S3 (and of what
    speaks like it), bare, through SNS or through EventBridge, and of Google Cloud Storage.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html, ev-events.html
    beside it, https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html and
    https://cloud.google.com/storage/docs/pubsub-notifications.

    Raises:
        FormatError: anything else.

    >>> urls_of_notice(b"s3://bucket/a.nc"), urls_of_notice('{"bucket": "b", "name": "x/y.nc"}')
    (['s3://bucket/a.nc'], ['gs://b/x/y.nc'])
    """
    try:
        text = message.decode() if isinstance(message, bytes) else message
    except UnicodeDecodeError as error:
        raise _unknown(message) from error
    if not text.lstrip().startswith(("{", "[")):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            raise _unknown(text)
        return lines
    try:
        return _urls_of_document(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unknown(text) from error


def urls_or_warning(message: bytes | str, place: str) -> list[str]:
    """The same; of a message that tells of no file, a warning that names its ``place``, and no URL."""
    try:
        return urls_of_notice(message)
    except FormatError as error:
        warnings.warn(f"{place}: {error}", stacklevel=2)
        return []


def _urls_of_document(document: Any) -> list[str]:
    if isinstance(document, list):
        return [url for one in document for url in _urls_of_document(one)]
    if "Records" in document:
        return [_url_of_record(one) for one in document["Records"] if "ObjectRemoved" not in one.get("eventName", "")]
    if document.get("Event") == "s3:TestEvent":  # S3 sends one where notices are switched on
        return []
    if document.get("Type") == "Notification":
        return urls_of_notice(document["Message"])
    if document.get("source") == "aws.s3":
        place = document["detail"]
        is_new = document["detail-type"] == "Object Created"
        return [f"s3://{place['bucket']['name']}/{place['object']['key']}"] if is_new else []
    url = document["url"] if "url" in document else f"gs://{document['bucket']}/{document['name']}"
    if not isinstance(url, str) or not url:
        raise TypeError("a URL is a text")
    return [url]


def _url_of_record(record: Mapping[str, Any]) -> str:
    place = record["s3"]
    return f"s3://{place['bucket']['name']}/{unquote_plus(place['object']['key'])}"


def _unknown(message: bytes | str) -> FormatError:
    return FormatError(
        f"a message tells of no file that is known here: {message[:_SHOWN]!r}. It may be a URL a line, a JSON object "
        'with "url", or an event of S3 or of Google Cloud Storage'
    )
