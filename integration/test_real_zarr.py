"""All real Zarr stores, in folders and zip files: every array has the values that zarr reads, or is refused by name."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from integration.real_data import ROOT
from vz_beam.errors import VzBeamError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.zarr import ZarrParser
from vz_beam.parsers.zipped_zarr import ZippedZarrParser
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.manifest_store import ManifestStore

_MARKS = (".zgroup", ".zarray", ".zmetadata", ".zattrs", "zarr.json")
_REFUSED = (
    "zarrs__sharded_array_write_read.zarr",
    "zarrs__zarr_python_compat",
    "cfpython__example_field_0.zarr3",
)
"""Folders of stores that are no store themselves, and one whose metadata are no JSON."""
pytestmark = pytest.mark.filterwarnings("ignore")  # zarr warns of codecs and types without a specification


def stores() -> list[Path]:
    """The stores of the real data."""
    found = [path for folder in ("zarr2", "zarr3") for path in sorted((ROOT / folder).glob("*"))]
    return [*found, *sorted((ROOT / "broken").glob("*.zarr*"))]


def paths_of(group: ManifestGroup, prefix: str = "") -> Iterator[str]:
    """Every array by its path."""
    for name in group.arrays:
        yield prefix + name
    for name, member in group.groups.items():
        yield from paths_of(member, f"{prefix}{name}/")


@pytest.mark.parametrize("path", stores(), ids=lambda path: path.name)
def test_every_array_has_the_values_that_zarr_reads(path: Path, tmp_path: Path) -> None:
    if path.name in _REFUSED:
        with pytest.raises(VzBeamError, match=path.name):
            ZarrParser().parse(open_file_or_folder(path))
        return
    is_zipped = path.suffix == ".zip"
    parser: Any = ZippedZarrParser(unsupported="skip") if is_zipped else ZarrParser(unsupported="skip")
    group = parser.parse(open_file_or_folder(path))
    root = path
    if is_zipped:
        with zipfile.ZipFile(path) as file:
            file.extractall(tmp_path)
        root = min((Path(place) for place, _, names in os.walk(tmp_path) if set(names) & set(_MARKS)), key=_depth)
    ours: Any = zarr.open_group(ManifestStore(group), mode="r")
    for name in paths_of(group):
        theirs: Any = zarr.open_array(root / name, mode="r")
        np.testing.assert_array_equal(_plain(ours[name][...]), _plain(theirs[...]), err_msg=name)
    assert list(paths_of(group)) or group.skipped


def _depth(path: Path) -> int:
    return len(path.parts)


def _plain(values: Any) -> Any:
    array = np.asarray(values)
    return array.astype(object) if array.dtype.kind in "OT" else array
