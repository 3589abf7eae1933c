"""Types, attributes and values that a DMR++ document says as text.

Source: as of :mod:`vz_beam.parsers.dmrpp.parser`; DAP4, "Atomic Types" and "Attributes".
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from vz_beam.errors import FormatError
from vz_beam.parsers.dmrpp.document import Element

NUMBERS: Mapping[str, np.dtype[Any]] = {
    **{
        f"{kind}{8 * size}": np.dtype(f"{code}{size}")
        for kind, code in (("Int", "i"), ("UInt", "u"))
        for size in (1, 2, 4, 8)
    },
    "Byte": np.dtype("u1"),
    "Float32": np.dtype("f4"),
    "Float64": np.dtype("f8"),
}
"""Types by name."""
_ABOUT_THE_DOCUMENT = "build_dmrpp_metadata"
"""How the document was made; not of the file."""
_NETCDF_FILLS = {np.dtype("f4"): 9.969209968386869e36, np.dtype("f8"): 9.969209968386869e36}


def attributes_of(element: Element) -> dict[str, Any]:
    """The attributes of a variable or group; those in a container are named ``container.attribute``."""
    found: dict[str, Any] = {}
    _gather(element, "", found)
    return found


def _gather(element: Element, prefix: str, found: dict[str, Any]) -> None:
    for attribute in element.all("Attribute"):
        name, kind = attribute.words.get("name", ""), attribute.words.get("type", "String")
        if not name or (not prefix and name == _ABOUT_THE_DOCUMENT):
            continue
        if kind == "Container":
            _gather(attribute, f"{prefix}{name}.", found)
            continue
        texts = [value.words.get("value", value.text) for value in attribute.all("Value")]
        if not texts and "value" in attribute.words:
            texts = [attribute.words["value"]]
        values = [_value(text, kind) for text in texts]
        if kind not in NUMBERS and not values:
            values = [""]
        found[prefix + name] = values[0] if len(values) == 1 else values


def _value(text: str, kind: str) -> Any:
    if kind not in NUMBERS:
        return text
    try:
        return _number(text, NUMBERS[kind])
    except (ValueError, OverflowError):
        return text  # as some servers write characters for bytes


def _number(text: str, dtype: np.dtype[Any]) -> Any:
    text = text.strip()
    if dtype.kind == "f":
        return float(np.array(text, np.float64).astype(dtype))
    number = int(text, 0) if not text.lstrip("+-").isdigit() else int(text)
    limits = np.iinfo(dtype)
    if not limits.min <= number <= limits.max:
        raise ValueError(f"{text} is no {dtype}")
    return number


def storage_fill(text: str | None, dtype: np.dtype[Any], attributes: Mapping[str, Any]) -> Any:
    """The fill value that a document says with six digits, as the file has it where something else tells that.

    Raises:
        FormatError: a text that is no value of the type.
    """
    if text is None:
        return None
    if dtype.kind == "S":
        return np.bytes_(text.encode("utf-8")[: dtype.itemsize])
    try:
        value = _number(text, dtype)
    except (ValueError, OverflowError):
        raise FormatError(f"its fill value is {text!r}, and its type is {dtype}") from None
    if dtype.kind == "f":
        for exact in (attributes.get("_FillValue"), attributes.get("missing_value"), _NETCDF_FILLS[dtype]):
            if isinstance(exact, float) and f"{exact:g}" == f"{value:g}":
                value = exact
                break
    return dtype.type(value)


def inlined_bytes(text: str, nbytes: int) -> bytes:
    """Values that a document holds in base64, ``nbytes`` of them, compressed by zlib where they are fewer or more.

    Raises:
        FormatError: other values.
    """
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"its values are in the document, and are no base64: {error}") from None
    if len(data) != nbytes:
        unpacking = zlib.decompressobj()
        with suppress(zlib.error):
            data = unpacking.decompress(data, nbytes + 1)
    if len(data) != nbytes:
        raise FormatError(f"its values in the document have {len(data):,} bytes, and should have {nbytes:,}")
    return data


def inlined_text(text: str) -> str:
    """A string that a document holds in base64.

    Raises:
        FormatError: something else.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True).rstrip(b"\0").decode("utf-8")
    except ValueError as error:
        raise FormatError(f"its value in the document is no text in base64: {error}") from None


def inlined_texts(element: Element, count: int) -> list[str]:
    """The strings of an element ``vlsa``: each ``v`` is one, or ``c`` equal ones; ``s`` says the size of a packed one.

    Raises:
        FormatError: another number of strings.
    """
    texts: list[str] = []
    for part in element.all("v"):
        text = part.text
        try:
            if "s" in part.words:
                text = inlined_bytes(text, int(part.words["s"])).decode("utf-8", "replace")
            repeats = int(part.words.get("c", "1"))
        except ValueError:
            raise FormatError(f"one of its texts says {part.words}, which are no numbers") from None
        if repeats < 0 or len(texts) + repeats > count:
            break
        texts += [text] * repeats
    if len(texts) != count:
        raise FormatError(f"the document has {len(texts):,} of its {count:,} texts")
    return texts
