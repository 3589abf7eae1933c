"""References written by hand: an array of six chunks, and what reads or refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parsers.kerchunk.stores import array_document, dimensions
from vz_beam.errors import FormatError, InputError, UnsupportedError
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser
from vz_beam.testing.parser_suite import stored_values

GROUP = {".zgroup": {"zarr_format": 2}}
V = {"v/.zarray": array_document([5, 4], [2, 2]), "v/.zattrs": dimensions("y", "x")}
VALUES = np.arange(24, dtype="<i2").reshape(6, 4)


def chunks(url: str, separator: str = ".") -> dict[str, list[Any]]:
    return {f"v/{n // 2}{separator}{n % 2}": [url, 8 * n, 8] for n in range(6)}


def read(path: Any, **words: Any) -> dict[str, Any]:
    return stored_values(KerchunkJSONParser(**words)(path))


def refused(path: Any, **words: Any) -> str:
    with pytest.raises((FormatError, UnsupportedError, InputError)) as refusal:
        KerchunkJSONParser(**words)(path)
    assert Path(path).name in str(refusal.value)
    return str(refusal.value)
