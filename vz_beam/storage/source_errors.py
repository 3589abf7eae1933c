"""Failures of obstore, fsspec and the operating system in the words of vz_beam.

Their own texts quote URLs with signatures, and answers of servers that repeat keys, so only what is known to be
harmless is taken from them, and they are not chained.
"""

from __future__ import annotations

import errno
import re

from vz_beam.errors import InputError, SourceError, SourceNotFoundError, TransientSourceError, VzBeamError
from vz_beam.storage.url_secrets import shown

_STATUS = re.compile(r"status code: (\d{3})(?: ([A-Z][A-Za-z ]*))?")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_METADATA_SERVICE = ("169.254.169.254", "metadata.google.internal", "169.254.170.2")
_OTHER_RANGE = re.compile(r"Requested \d+\.\.\d+, got \d+\.\.\d+")
_PASSING = (
    "error sending request",
    "error decoding response body",
    "request or response body error",
    "timed out",
    "timeout",
    "connection",
    "broken pipe",
    "incomplete",
)
_BROKEN_BODY = ("error decoding response body", "request or response body error")
_PASSING_NUMBERS = frozenset(
    {
        errno.EIO, errno.ETIMEDOUT, errno.ESTALE, errno.EAGAIN, errno.ECONNRESET, errno.ECONNABORTED,
        errno.ECONNREFUSED, errno.EPIPE, errno.ENETUNREACH, errno.EHOSTUNREACH,
    }
)  # fmt: skip


def object_error(error: Exception, url: str) -> VzBeamError:
    """What an error of obstore means for the object at ``url``."""
    if isinstance(error, VzBeamError):
        return error
    text = str(error).split("\n\nDebug source")[0]
    where = shown(url)
    status_match = _STATUS.search(text)
    status = int(status_match.group(1)) if status_match else None
    reason = f"status {status}" if status else _first_words(text)
    if code := _CODE.search(text):
        reason += f", {code.group(1)}"
    if any(service in text for service in _METADATA_SERVICE):
        return SourceError(
            f"{where}: no credentials were found, neither in storage_options nor in the environment. Way out: "
            "storage_options={'skip_signature': True} for public data, else credentials in the words of obstore"
        )
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return not_found(url, reason)
    kind = type(error).__name__
    if kind in ("PermissionDeniedError", "UnauthenticatedError") or status in (401, 403):
        return SourceError(
            f"{where}: access was refused ({reason}). Way out: give credentials in storage_options or in the "
            "environment of the workers; public data may need storage_options={'skip_signature': True}"
        )
    if kind == "NotSupportedError" and "Range" in text:
        return SourceError(
            f"{where}: the server does not answer requests for byte ranges, so its chunks cannot be referenced. "
            "Way out: copy the files to where ranges work"
        )
    if isinstance(error, ValueError) or kind == "InvalidPathError":
        return InputError(f"{where}: obstore cannot address this name: {_first_words(text)}")
    if (status is not None and (status in (408, 425, 429) or status >= 500)) or _is_passing(error, text):
        return TransientSourceError(f"{where}: {reason}. This may pass: try again")
    if found := _OTHER_RANGE.search(text):
        return TransientSourceError(f"{where}: the server sent other bytes ({found[0]}). This may pass: try again")
    return SourceError(f"{where}: {reason}")


def is_asked_again(error: Exception) -> bool:
    """Whether an error of obstore may pass, and obstore has not tried again itself, as it does where requests fail."""
    text = str(error).split("\n\nDebug source")[0]
    return bool(_OTHER_RANGE.search(text)) or any(words in text for words in _BROKEN_BODY)


def filesystem_error(error: Exception, url: str) -> VzBeamError:
    """What an error of fsspec or of one of its filesystems means for the file at ``url``."""
    if isinstance(error, VzBeamError):
        return error
    where, kind, text = shown(url), type(error).__name__, str(error)
    status = _status_of(error) or _status_of(error.__cause__)
    if status in (404, 410) or (isinstance(error, FileNotFoundError) and status is None):
        return not_found(url, "no such file")
    if isinstance(error, ImportError):
        return InputError(f"{where}: a package for this protocol is not installed: {_first_words(text)}")
    if isinstance(error, ValueError) and "Protocol" in text:
        return InputError(f"{where}: neither obstore nor fsspec knows this protocol")
    if isinstance(error, IsADirectoryError):
        return SourceError(f"{where} is a folder, and a file was expected. Way out: name the files, or use a glob")
    if isinstance(error, PermissionError) or status in (401, 403):
        return SourceError(f"{where}: access was refused ({kind}). Way out: give credentials in storage_options")
    if (status is not None and (status == 429 or status >= 500)) or _is_passing(error, f"{kind} {text}"):
        return TransientSourceError(f"{where}: {kind}. This may pass: try again")
    return SourceError(f"{where}: {kind}: {_first_words(text)}")


def not_found(url: str, reason: str, hint: str = "") -> SourceNotFoundError:
    """The error of a source that is not there."""
    return SourceNotFoundError(f"{shown(url)} is not there ({reason}).{' ' + hint if hint else ''}")


def _status_of(error: BaseException | None) -> int | None:
    """The status of an answer of http; fsspec says "not found" of any, and keeps the answer as the cause."""
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return status if isinstance(status, int) else None


def _is_passing(error: Exception, text: str) -> bool:
    if isinstance(error, OSError) and error.errno in _PASSING_NUMBERS:
        return True
    if isinstance(error, (TimeoutError, ConnectionError)):
        return True
    return any(words in text.lower() for words in _PASSING)


def _first_words(text: str) -> str:
    """The first line, cut where an answer of a server may begin."""
    line = text.strip().split("\n")[0].split(" - Server returned")[0]
    return shown(line.split(": <")[0])[:200] or "no reason given"
