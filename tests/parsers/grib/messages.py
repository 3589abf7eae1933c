"""GRIB messages that ecCodes makes of its samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import eccodes
import numpy as np

RANDOM = np.random.default_rng(11)
ROWS, COLUMNS = 4, 6


def message(edition: int = 2, values: Any = None, **keys: Any) -> bytes:
    """A message of a regular grid of 4 x 6 points; ``keys`` are set in their order, ``values`` at the end."""
    handle = eccodes.codes_grib_new_from_samples(f"regular_ll_sfc_grib{edition}")
    try:
        grid = {
            "Ni": COLUMNS,
            "Nj": ROWS,
            "latitudeOfFirstGridPointInDegrees": 60,
            "longitudeOfFirstGridPointInDegrees": 0,
        }
        grid |= {"latitudeOfLastGridPointInDegrees": 30, "longitudeOfLastGridPointInDegrees": 50}
        grid |= {"iDirectionIncrementInDegrees": 10, "jDirectionIncrementInDegrees": 10}
        for key, value in {**grid, **keys}.items():
            eccodes.codes_set(handle, key, value)
        points = RANDOM.random(ROWS * COLUMNS) * 100 if values is None else np.asarray(values, float)
        if np.isnan(points).any():
            eccodes.codes_set(handle, "bitmapPresent", 1)
            eccodes.codes_set(handle, "missingValue", 9999)
        eccodes.codes_set_values(handle, np.where(np.isnan(points), 9999, points))
        return bytes(eccodes.codes_get_message(handle))
    finally:
        eccodes.codes_release(handle)


def decoded(data: bytes) -> Any:
    """The values of a message as ecCodes gives them, float32, NaN where there is none."""
    handle = eccodes.codes_new_from_message(data)
    try:
        eccodes.codes_set(handle, "missingValue", 1e34)
        values = eccodes.codes_get_values(handle)
        return np.where(values == 1e34, np.nan, values).astype("f4")
    finally:
        eccodes.codes_release(handle)


def write(path: Path, *messages: bytes) -> Path:
    """A file of messages."""
    path.write_bytes(b"".join(messages))
    return path


def several_fields(*messages: bytes) -> bytes:
    """One message of the fields of several, which share their first sections and their grid."""
    parts = [_sections(data) for data in messages]
    body = parts[0][1] + parts[0].get(2, b"") + parts[0][3]
    for each in parts:
        body += each[4] + each[5] + each[6] + each[7]
    return messages[0][:8] + (16 + len(body) + 4).to_bytes(8, "big") + body + b"7777"


def _sections(data: bytes) -> dict[int, bytes]:
    found, position = {}, 16
    while data[position : position + 4] != b"7777":
        length = int.from_bytes(data[position : position + 4], "big")
        found[data[position + 4]] = data[position : position + length]
        position += length
    return found
