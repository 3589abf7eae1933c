"""The types of numbers in FITS files, and how they are scaled.

Source: FITS standard 4.0, sections 4.4.2 (BSCALE, BZERO, BLANK) and 5.2.5 (unsigned integers).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vz_beam.codecs.fits import FITS_VALUES
from vz_beam.errors import FormatError
from vz_beam.manifests.metadata import Codec

STORED = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
"""numpy's types by BITPIX."""


def scaling(header: Mapping[str, Any], stored: np.dtype[Any]) -> tuple[np.dtype[Any], tuple[Codec, ...]]:
    """The type that astropy gives pixels, and the codecs that give them so.

    Raises:
        FormatError: keywords that are no numbers.
    """
    scale, zero, blank = header.get("BSCALE", 1), header.get("BZERO", 0), header.get("BLANK")
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in (scale, zero)):
        raise FormatError(f"BSCALE is {scale!r} and BZERO {zero!r}")
    if stored.kind == "f" or isinstance(blank, bool) or not isinstance(blank, int):
        blank = None
    bits = 8 * stored.itemsize
    native = stored.newbyteorder("=")
    if (unsigned := unsigned_integers(stored, scale, zero)) is not None:
        return unsigned
    if scale == 1 and zero == 0 and blank is None:
        return native, ()
    dtype = native if stored.kind == "f" else np.dtype("f8" if bits > 16 else "f4")
    configuration: dict[str, Any] = {"kind": "scaled", "stored": stored.str, "dtype": dtype.str}
    configuration |= {"scale": float(scale), "zero": float(zero), "blank": blank}
    return dtype, (Codec(FITS_VALUES, configuration),)


def unsigned_integers(
    stored: np.dtype[Any], scale: float, zero: float
) -> tuple[np.dtype[Any], tuple[Codec, ...]] | None:
    """The type and codec of integers whose offset stands for the other sign; ``None`` for all others."""
    bits = 8 * stored.itemsize
    if stored.kind not in "iu" or scale != 1 or zero != (-128 if bits == 8 else 2 ** (bits - 1)):
        return None
    dtype = np.dtype("i1") if bits == 8 else np.dtype(f"u{stored.itemsize}")
    return dtype, (Codec(FITS_VALUES, {"kind": "unsigned", "stored": stored.str, "dtype": dtype.str}),)
