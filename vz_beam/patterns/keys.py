"""What a key of a pattern may be, and how it is written as text without loss."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from vz_beam.errors import PatternError

Key = str | int | float | np.datetime64 | None
"""A key after :func:`normalise_key`: times are ``datetime64[ns]``, ``None`` stands where there is no key."""

_WAYS = (
    "A key is a text (str), a number (int, float or numpy's) or a time without time zone "
    "(datetime, date, numpy.datetime64 or pandas.Timestamp)"
)


def normalise_key(key: Any, dimension: str) -> Key:
    """The key as a Python scalar or ``datetime64[ns]``; ``dimension`` only serves the message.

    >>> normalise_key(np.int16(3), "time"), normalise_key(True, "time"), normalise_key(-0.0, "time")
    (3, 1, 0.0)
    >>> print(normalise_key(datetime.date(1999, 1, 4), "time"))
    1999-01-04T00:00:00.000000000

    Raises:
        PatternError: NaN, NaT, times with a time zone or outside datetime64[ns], and every other type.
    """
    if key is None:
        return None
    if isinstance(key, str):
        return str.__str__(key)  # the plain text of a subclass, numpy.str_ and members of a StrEnum included
    if isinstance(key, np.datetime64 | datetime.date):
        return _nanoseconds(key, dimension)
    if isinstance(key, np.number | np.bool_) and not isinstance(key, np.timedelta64 | np.complexfloating):
        key = int(key) if isinstance(key, np.integer | np.bool_) else float(key)
    if isinstance(key, int):
        return int(key)
    if isinstance(key, float):
        if key != key:
            raise PatternError(f"dimension {dimension!r} has the key NaN, which equals nothing. {_WAYS}")
        return float(key) + 0.0  # -0.0 equals 0.0, and equal keys must be written alike
    raise PatternError(
        f"dimension {dimension!r} has the key {key!r} of type {type(key).__name__}. {_WAYS}. "
        "Way out: give its text, str(key) or key.isoformat(), and read that in the format function"
    )


def _nanoseconds(key: np.datetime64 | datetime.date, dimension: str) -> np.datetime64:
    if getattr(key, "tzinfo", None) is not None:
        raise PatternError(
            f"dimension {dimension!r} has the key {key!r} with a time zone. {_WAYS}. "
            "Way out: key.astimezone(timezone.utc).replace(tzinfo=None)"
        )
    # A pandas.Timestamp is a datetime that carries nanoseconds, which numpy drops when it takes it for a datetime.
    time = np.datetime64(key.to_datetime64() if hasattr(key, "to_datetime64") else key)
    if np.isnat(time):
        raise PatternError(f"dimension {dimension!r} has the key NaT, which equals nothing. {_WAYS}")
    try:
        exact = time.astype("datetime64[ns]")
        kept = exact.astype(time.dtype) == time
    except OverflowError:  # numpy before 2.4 wraps round instead
        kept = False
    if not kept:
        raise PatternError(
            f"dimension {dimension!r} has the key {time}, which datetime64[ns] (1677-09-21 to 2262-04-11) "
            "cannot say. Way out: give its text, str(key) or key.isoformat()"
        )
    return np.datetime64(exact, "ns")


def encode_key(key: Key) -> tuple[str, str]:
    """Type and text of a normalised key: equal keys give equal pairs, and :func:`decode_key` gives it back.

    >>> encode_key(0.1), encode_key(None)
    (('float', '0.1'), ('none', ''))
    """
    if key is None:
        return ("none", "")
    if isinstance(key, str):
        return ("str", key)
    if isinstance(key, np.datetime64):
        return ("datetime", str(key))
    return (type(key).__name__, repr(key))


def decode_key(kind: str, text: str) -> Key:
    """The key that :func:`encode_key` wrote.

    >>> decode_key("float", "0.1")
    0.1
    """
    match kind:
        case "none":
            return None
        case "str":
            return text
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "datetime":
            return np.datetime64(text, "ns")
    raise PatternError(f"{kind!r} is no type of key; it is one of 'none', 'str', 'int', 'float', 'datetime'")


def describe_key(key: Key) -> str:
    """The key for people: times as short as they are exact, texts in quotes.

    >>> describe_key(np.datetime64("1999-01-04T00:00", "ns")), describe_key("sst")
    ('1999-01-04', "'sst'")
    >>> describe_key(np.datetime64("1999-01-04T12:30", "ns"))
    '1999-01-04T12:30:00'
    """
    if not isinstance(key, np.datetime64):
        return repr(key)
    day, _, clock = str(key).partition("T")
    seconds, _, fraction = clock.partition(".")
    fraction = fraction.rstrip("0")
    if not fraction:
        return day if seconds == "00:00:00" else f"{day}T{seconds}"
    return f"{day}T{seconds}.{fraction}"
