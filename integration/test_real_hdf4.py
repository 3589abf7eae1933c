"""All real HDF4 files: every data set has the values that pyhdf reads, or is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyhdf.SD import SD, SDC

from integration.real_data import ROOT
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf4 import HDF4Parser
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.source_pool import SourcePool

_MAGIC = b"\x0e\x03\x13\x01"


def files_of(*folders: str) -> list[Path]:
    """The HDF4 files of folders of real data."""
    found = [path for folder in folders for path in sorted((ROOT / folder).glob("*")) if path.is_file()]
    return [path for path in found if path.read_bytes()[:4] == _MAGIC]


def arrays_of(group: ManifestGroup, prefix: str = "") -> Iterator[tuple[str, ManifestArray]]:
    """Every array by its path."""
    for name, array in group.arrays.items():
        yield prefix + name, array
    for name, member in group.groups.items():
        yield from arrays_of(member, f"{prefix}{name}/")


def by_pyhdf(path: Path) -> list[tuple[str, Any]]:
    """(name, values) of every data set that pyhdf can read; arrays without elements are none."""
    file = SD(str(path), SDC.READ)
    found: list[tuple[str, Any]] = []
    for number in range(file.info()[0]):
        data = file.select(number)
        name = data.info()[0].replace("/", "_")
        try:
            found.append((name, np.array(data.get())))
        except Exception:  # pyhdf has one error for all it cannot do, arrays without elements among them
            found.append((name, None))
        data.endaccess()
    file.end()
    return found


@pytest.mark.parametrize("path", files_of("hdf4", "dmrpp", "broken", "suspect"), ids=lambda path: path.name)
def test_every_data_set_has_the_values_that_pyhdf_reads(path: Path) -> None:
    group = HDF4Parser(unsupported="skip").parse(open_source(str(path)))
    expected = by_pyhdf(path)
    names = [name for name, _ in expected]
    found = dict(arrays_of(group))
    with SourcePool() as pool:
        for place, array in found.items():
            last = place.rpartition("/")[2]
            name = last if last in names else last.rpartition("_")[0]
            values = read_values({place: array}, pool)[place]
            if not values.size:
                continue
            same = [other for known, other in expected if known == name and other is not None]
            assert any(_same(values, other) for other in same), place
    refused = [place for place in group.skipped if place.rpartition("/")[2] in names or place.endswith("_scales")]
    if not any(place.endswith("_scales") for place in group.skipped):
        assert len(found) + len(refused) == len(expected)


def _same(ours: Any, theirs: Any) -> bool:
    if ours.dtype.kind == "S":  # characters, which pyhdf gives as numbers or as texts
        texts = theirs.astype("u1").view("S1") if theirs.dtype.kind in "iu" else theirs.astype("S")
        return bytes(ours.tobytes().rstrip(b"\0")) == bytes(texts.tobytes().rstrip(b"\0"))
    return ours.shape == theirs.shape and np.array_equal(ours, theirs, equal_nan=theirs.dtype.kind == "f")
