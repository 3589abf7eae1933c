"""All real netCDF-3 files: every variable has the values that the netCDF library reads, or is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

from integration.real_data import ROOT
from vz_beam.errors import VzBeamError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.netcdf3 import NetCDF3Parser
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.source_pool import SourcePool

_MAGIC = b"CDF"
_REFUSED = ("pnetcdf__bad_padding_name_var.nc5",)
"""A name that is padded with other bytes than zeros: the library reads it, the format forbids it."""


def files_of(*folders: str) -> list[Path]:
    """The netCDF-3 files of folders of real data."""
    found = [path for folder in folders for path in sorted((ROOT / folder).glob("*")) if path.is_file()]
    return [path for path in found if path.read_bytes()[:3] == _MAGIC]


def arrays_of(group: ManifestGroup) -> Iterator[tuple[str, ManifestArray]]:
    """Every variable by name; netCDF-3 has no groups."""
    yield from group.arrays.items()


@pytest.mark.parametrize("path", files_of("netcdf3"), ids=lambda path: path.name)
def test_every_variable_has_the_values_that_the_library_reads(path: Path) -> None:
    group = NetCDF3Parser().parse(open_source(str(path)))
    with netCDF4.Dataset(str(path)) as file, SourcePool() as pool:
        file.set_auto_maskandscale(False)
        file.set_auto_chartostring(False)
        assert set(group.arrays) == set(file.variables)
        for name, array in arrays_of(group):
            variable: Any = file.variables[name]
            if len(set(variable.dimensions)) == variable.ndim:  # a dimension that is there twice gets two names
                assert array.metadata.dimension_names == variable.dimensions, name
            values = read_values({name: array}, pool)[name]
            np.testing.assert_array_equal(values, np.asarray(variable[...]), err_msg=name)
            attributes = {key for key in variable.ncattrs() if key != "_FillValue"}
            assert attributes <= set(array.metadata.attributes), name


def parsed(path: Path) -> tuple[ManifestGroup | None, str]:
    """The group of a file, or what the error says."""
    try:
        return NetCDF3Parser(unsupported="skip").parse(open_source(str(path))), ""
    except VzBeamError as error:
        return None, str(error)


@pytest.mark.parametrize("path", files_of("broken", "suspect"), ids=lambda path: path.name)
def test_a_damaged_file_is_refused_or_has_the_values_that_the_library_reads(path: Path) -> None:
    group, message = parsed(path)
    if group is None:
        assert path.name in message
        return
    assert path.name not in _REFUSED
    with netCDF4.Dataset(str(path)) as file, SourcePool() as pool:
        file.set_auto_maskandscale(False)
        file.set_auto_chartostring(False)
        for name, array in arrays_of(group):
            values = read_values({name: array}, pool)[name]
            np.testing.assert_array_equal(values, np.asarray(file.variables[name][...]), err_msg=name)
        assert set(group.arrays) | set(group.skipped) == set(file.variables)
