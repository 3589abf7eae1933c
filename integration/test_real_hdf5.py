"""All real HDF5 files: every variable has the values that h5py reads, or is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  # so that h5py reads its filters
import numpy as np
import pytest
import zarr

from integration.real_data import ROOT
from vz_beam.errors import VzBeamError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.storage.request_log import RequestLog
from vz_beam.testing.parser_suite import assert_same_values

SOUND, DAMAGED = ("hdf5", "netcdf4", "dmrpp"), ("broken", "suspect")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAD_NBYTES = 4096
_NOT_A_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
_RENAMED = "_nc4_non_coord_"
_MOST_NBYTES = 2**28


def files_of(*folders: str) -> list[Path]:
    """The HDF5 files of folders of real data."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).glob("*")) if path.is_file()]
    return [path for path in paths if _SIGNATURE in _head(path)]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_NBYTES)


@pytest.fixture(params=["local", "ranges"])
def source_of(request: pytest.FixtureRequest) -> Any:
    """How a file is opened: by the operating system, or by ranges, as remote files are."""
    if request.param == "local":
        return lambda path: open_source(str(path))
    return lambda path: RequestLog(open_source(str(path)))


@pytest.mark.parametrize("path", files_of(*SOUND), ids=lambda path: path.name)
def test_a_file_has_the_values_that_h5py_reads(path: Path, source_of: Any) -> None:
    with source_of(path) as source:
        group = HDFParser(unsupported="skip").parse(source)
        compared = check(path, group)
    assert compared or group.skipped or not any(_is_comparable(*each) for each in _datasets(path).items())


@pytest.mark.parametrize("path", files_of(*DAMAGED), ids=lambda path: path.name)
def test_a_damaged_file_is_refused_or_has_the_values_that_h5py_reads(path: Path, source_of: Any) -> None:
    try:
        with source_of(path) as source:
            group = HDFParser(unsupported="skip").parse(source)
    except VzBeamError as error:
        refusal = str(error)
    else:
        check(path, group)
        return
    assert path.name in refusal


def check(path: Path, group: ManifestGroup) -> int:
    """The number of variables that were compared with h5py; all that it finds are there, or refused."""
    root: Any = zarr.open_group(ManifestStore(group), mode="r")
    ours = {f"{at}/{name}".strip("/") for at, part in group.walk() for name in part.arrays}
    refused = {name.strip("/") for name in group.skipped}
    compared = 0
    for name, expected in _datasets(path).items():
        shown = "/".join(name.replace(_RENAMED, "").split("/"))
        if any(shown == each or shown.startswith(each + "/") for each in refused):
            continue
        assert shown in ours, f"{name} is neither there nor refused"
        if not _is_comparable(shown, expected):
            continue
        found = np.asarray(root[shown][...])
        if found.shape != expected.shape and found.ndim == expected.ndim:  # others made its unlimited dimension longer
            found = found[tuple(slice(0, length) for length in expected.shape)]
        assert_same_values(found, expected, shown)
        compared += 1
    return compared


def _datasets(path: Path) -> dict[str, Any]:
    """The values of the datasets by path, ``None`` where h5py cannot read them or they are too large to compare."""
    found: dict[str, Any] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not _is_dimension_only(item):
            found[name] = _values(item)

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def _is_comparable(name: str, expected: Any) -> bool:
    return expected is not None and "\\" not in name  # which zarr takes for a slash


def _is_dimension_only(dataset: h5py.Dataset) -> bool:
    try:
        return _NOT_A_VARIABLE in bytes(dataset.attrs.get("NAME", b""))
    except (TypeError, OSError):
        return False


def _values(dataset: h5py.Dataset) -> Any:
    try:
        if dataset.size and dataset.size * dataset.dtype.itemsize > _MOST_NBYTES:
            return None
        return np.asarray(dataset[()])
    except (OSError, TypeError, ValueError, KeyError):
        return None
