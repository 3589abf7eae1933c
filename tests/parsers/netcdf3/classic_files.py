from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import netCDF4
import numpy as np
from numpy.typing import NDArray

from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.netcdf3 import NetCDF3Parser
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.testing.parser_suite import assert_same_values, stored_values

Form = Literal["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"]
FORMS: tuple[Form, ...] = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA")
"""CDF-1, CDF-2 and CDF-5, by the names that netCDF4 has for them."""

Content = Mapping[str, tuple[Sequence[str], NDArray[Any]]]
"""Variables by name: dimensions and values. The dimension ``time`` is that of the records."""


def write(path: Path, content: Content, form: Form = "NETCDF3_CLASSIC") -> Path:
    with netCDF4.Dataset(path, "w", format=form) as file:
        for dims, values in content.values():
            for dim, length in zip(dims, values.shape, strict=True):
                if dim not in file.dimensions:
                    file.createDimension(dim, None if dim == "time" else length)
        for name, (dims, values) in content.items():
            variable = file.createVariable(name, values.dtype, dims)
            variable.set_auto_maskandscale(False)
            variable[...] = values
    return path


def parsed(path: Path, **choices: Any) -> ManifestGroup:
    with closing(open_source(str(path))) as source:
        return NetCDF3Parser(**choices).parse(source)


def read_netcdf4(path: Path) -> dict[str, NDArray[Any]]:
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        file.set_auto_chartostring(False)
        return {name: np.asarray(variable[...]) for name, variable in file.variables.items()}


def assert_as_netcdf4_reads(path: Path) -> ManifestGroup:
    group = parsed(path)
    found, expected = stored_values(ManifestStore(group)), read_netcdf4(path)
    assert list(group.arrays) == list(expected)
    for name, values in expected.items():
        assert_same_values(found[name], values, name)
    return group
