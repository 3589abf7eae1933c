"""Fields of GRIB messages, whatever their packing, and the places of their points; decoded by ecCodes.

Source: as of :mod:`vz_beam.codecs.grib_sections`; https://confluence.ecmwf.int/display/ECC.
"""

from __future__ import annotations

import importlib
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.decoder_v2 import DecoderV2
from vz_beam.codecs.grib_sections import MAGIC, fields_of, single_field
from vz_beam.errors import FormatError, InputError

GRIB_ID = "vz_beam.grib"
"""The codec's name in Zarr v2 and v3."""
NO_VALUE = 9.969209968386869e36
"""Stands for points without a value while ecCodes decodes: no packing gives exactly this number."""
ECCODES_LOCK = threading.RLock()
"""ecCodes is not built for threads everywhere."""


def eccodes_library() -> Any:
    """The module eccodes.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("eccodes")
    except (ImportError, RuntimeError) as error:
        raise InputError(f"GRIB needs eccodes ({error}). Way out: pip install 'vz-beam[grib]'") from error


class Message:
    """A message as ecCodes knows it: a context, in which no other thread decodes."""

    def __init__(self, data: bytes) -> None:
        self._library = eccodes_library()
        self._data = data

    def __enter__(self) -> Message:
        ECCODES_LOCK.acquire()
        try:
            self._handle = self._library.codes_new_from_message(self._data)
        except Exception as error:
            ECCODES_LOCK.release()
            raise FormatError(f"ecCodes knows no message in {len(self._data):,} bytes: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._library.codes_release(self._handle)
        finally:
            ECCODES_LOCK.release()

    def get(self, key: str, kind: Any = None) -> Any:
        """The value of a key; ``None`` where the message has none."""
        try:
            value = self._library.codes_get(self._handle, key, kind)
        except self._library.CodesInternalError:
            return None
        return None if isinstance(value, str) and value in ("unknown", "MISSING") else value

    def set(self, key: str, value: Any) -> None:
        """Changes a key.

        Raises:
            FormatError: the message has no such key, or not this value of it.
        """
        try:
            self._library.codes_set(self._handle, key, value)
        except self._library.CodesInternalError as error:
            raise FormatError(f"ecCodes cannot set {key!r} of a message to {value!r}: {error}") from error

    def array(self, key: str) -> NDArray[np.float64]:
        """The values of a key, float64[n].

        Raises:
            FormatError: ecCodes cannot decode them.
        """
        try:
            values: NDArray[np.float64] = np.asarray(self._library.codes_get_array(self._handle, key), np.float64)
        except self._library.CodesInternalError as error:
            raise FormatError(f"ecCodes cannot give {key!r} of a message: {error}") from error
        return values


def decode_grib(data: bytes, *, what: str, field: int, dtype: str, count: int) -> NDArray[np.uint8]:
    """Values or places of the points of a field, in little-endian bytes, in the order of the message.

    Args:
        data: the message; for places, its beginning up to the values.
        what: ``"values"``, ``"latitudes"`` or ``"longitudes"`` (degrees).
        field: which of the message's fields, from 0.
        dtype: numpy dtype of what is given.
        count: number of points.

    Raises:
        FormatError: no message, or one that ecCodes cannot decode.
    """
    if data[:4] != MAGIC:
        raise FormatError(f"{len(data):,} bytes are no GRIB message: they begin with {data[:4]!r}")
    whole = single_field(data, field) if what == "values" else fields_of(data)[field].header
    with Message(whole) as message:
        if what == "values":
            message.set("missingValue", NO_VALUE)
        values = message.array(what)
    if what == "values":
        values = np.where(values == NO_VALUE, np.nan, values)
    if len(values) != count:
        raise FormatError(f"a GRIB message has {len(values):,} points, and its grid {count:,}")
    return np.frombuffer(values.astype(np.dtype(dtype).newbyteorder("<")).tobytes(), np.uint8)


class GribV2(DecoderV2):
    """The codec for Zarr v2 and Kerchunk; configured as :func:`decode_grib`."""

    codec_id = GRIB_ID
    decoder = staticmethod(decode_grib)
