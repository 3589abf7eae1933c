"""All real GRIB files: every field has the values that ecCodes gives, where cfgrib's coordinates say."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cfgrib
import eccodes
import numpy as np
import pytest
import xarray as xr

import vz_beam
from integration.real_data import ROOT, series
from vz_beam import ConcatDim, FilePattern, MergeDim
from vz_beam.errors import VzBeamError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.grib import GRIBParser
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.source_pool import SourcePool

_NO_VALUE = 1e34
_NO_DATE = "earthkit__t_year_missing.grib"
"""A file whose fields have a day and no year."""
_BY_COLUMNS = "pygrib__scanning_mode_with_bitmap.grib2"
"""Its points follow each other along columns, which cfgrib 0.9.15 takes for rows."""


def files_of(*folders: str) -> list[Path]:
    """The GRIB files of folders of real data, and no indexes."""
    found = [path for folder in folders for path in sorted((ROOT / folder).glob("*"))]
    return [
        path for path in found if path.is_file() and path.suffix not in (".idx", ".index", ".tsv") and _is_grib(path)
    ]


def _is_grib(path: Path) -> bool:
    with path.open("rb") as file:
        return b"GRIB" in file.read(200)


def fields_of(group: ManifestGroup, prefix: str = "") -> Iterator[tuple[str, ManifestArray]]:
    """Every array of fields by its path."""
    for name, array in group.arrays.items():
        if any(codec.configuration.get("what") == "values" for codec in array.metadata.codecs):
            yield prefix + name, array
    for name, member in group.groups.items():
        yield from fields_of(member, f"{prefix}{name}/")


def by_eccodes(path: Path) -> list[Any]:
    """The values of every field, in order."""
    found = []
    eccodes.codes_grib_multi_support_on()
    with path.open("rb") as file:
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            eccodes.codes_set(handle, "missingValue", _NO_VALUE)
            values = eccodes.codes_get_values(handle)
            found.append(np.where(values == _NO_VALUE, np.nan, values))
            eccodes.codes_release(handle)
    eccodes.codes_grib_multi_support_off()
    return found


@pytest.mark.parametrize("path", files_of("grib1", "grib2"), ids=lambda path: path.name)
def test_every_field_has_the_values_that_eccodes_gives(path: Path) -> None:
    group = GRIBParser(unsupported="skip").parse(open_source(str(path)))
    expected: dict[Any, list[Any]] = {}
    fields = by_eccodes(path)
    for field in fields:
        expected.setdefault((field.size, field.astype("f4")[:999].tobytes()), []).append(field)
    compared = 0
    with SourcePool() as pool:
        for name, array in fields_of(group):
            count = array.metadata.codecs[0].configuration["count"]
            here = (array.manifest.location_ids >= 0).ravel()
            values = read_values({name: array}, pool)[name].reshape(len(here), count)
            for field in values[here]:
                same = expected.get((count, field.astype("f4")[:999].tobytes()), [])
                assert any(np.array_equal(field, other.astype(field.dtype), equal_nan=True) for other in same), name
                compared += 1
    assert compared + len(group.skipped) == len(fields)
    assert bool(group.skipped) == (path.name == _NO_DATE)


@pytest.mark.parametrize("path", files_of("grib1", "grib2"), ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_fields_stand_where_cfgrib_puts_them(path: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = cfgrib.open_datasets(str(path), backend_kwargs={"indexpath": "", "squeeze": True})
    except Exception as error:
        pytest.skip(f"cfgrib cannot read it: {error}")
    if path.name in (_NO_DATE, _BY_COLUMNS):
        pytest.skip("refused by us, or wrong by cfgrib")
    compared = 0
    with xr.open_datatree(str(path), engine="vz_beam") as tree:
        ours = [node.to_dataset() for node in tree.subtree if node.data_vars]
        for dataset in theirs:
            for name, variable in dataset.data_vars.items():
                names = [n for own in ours for n in own.data_vars if n == name or "unknown" in f"{name} {n}"]
                compared += any(_has(own, str(each), variable) for own in ours for each in names)
        assert compared or not any(dataset.data_vars for dataset in theirs)


def _has(ours: xr.Dataset, name: str, theirs: xr.DataArray) -> bool:
    """Whether our variable, at the coordinates of theirs, has the same values."""
    if name not in ours:
        return False
    known = {
        str(coordinate): values
        for coordinate, values in theirs.coords.items()
        if coordinate in ours.coords and values.ndim <= 1 and coordinate not in ("latitude", "longitude", "valid_time")
    }
    own = ours[name]
    try:
        for coordinate, values in known.items():
            if coordinate in own.dims:
                own = own.sel({coordinate: np.atleast_1d(values.values)})
            elif not np.isclose(float(own[coordinate].astype(float)), float(values.astype(float))):
                return False
    except (KeyError, ValueError, TypeError):
        return False
    if own.size != theirs.size:
        return False
    order = [dim for dim in theirs.dims if dim in own.dims]
    aligned = own.transpose(..., *order) if len(order) == theirs.ndim else own
    return np.array_equal(aligned.values.reshape(theirs.shape), theirs.values.astype(own.dtype), equal_nan=True)


@pytest.mark.parametrize("path", files_of("grib1", "grib2"), ids=lambda path: path.name)
def test_points_stand_where_eccodes_puts_them(path: Path) -> None:
    """Of the first field of each file: (latitude, longitude, value) of all points."""
    with path.open("rb") as file:
        handle = eccodes.codes_grib_new_from_file(file)
    eccodes.codes_set(handle, "missingValue", _NO_VALUE)
    try:
        places = [eccodes.codes_get_array(handle, key) for key in ("latitudes", "longitudes")]
    except eccodes.CodesInternalError as error:
        pytest.skip(f"its points have no places: {error}")
    field = eccodes.codes_get_values(handle)
    expected = _sorted(places[0], places[1], np.where(field == _NO_VALUE, np.nan, field))
    eccodes.codes_release(handle)
    group = GRIBParser(unsupported="skip").parse(open_source(str(path)))
    arrays = [group, *group.groups.values()]
    with SourcePool() as pool:
        for member in arrays:
            names = [name for name, _ in fields_of(ManifestGroup(member.arrays, {}, {}))]
            if not names or "latitude" not in member.arrays:
                continue
            array = member.arrays[names[0]]
            read = read_values({name: member.arrays[name] for name in ("latitude", "longitude", names[0])}, pool)
            latitude, longitude = read["latitude"], read["longitude"]
            dims = (array.metadata.dimension_names or ())[-2:]
            if dims == ("latitude", "longitude"):
                latitude, longitude = np.meshgrid(latitude, longitude, indexing="ij")
            elif dims == ("longitude", "latitude"):
                longitude, latitude = np.meshgrid(longitude, latitude, indexing="ij")
            fields = read[names[0]].reshape(-1, latitude.size)
            same = [_sorted(latitude, longitude, one) for one in fields]
            if any(one.shape == expected.shape and np.array_equal(one, expected, equal_nan=True) for one in same):
                return
    assert group.skipped or not any("latitude" in member.arrays for member in arrays)


def _sorted(latitude: Any, longitude: Any, values: Any) -> Any:
    table = np.stack([np.ravel(latitude), np.ravel(longitude), np.ravel(values).astype("f4")])
    return table[:, np.lexsort(table)]


def test_the_pattern_of_parameters_and_steps_is_one_store(tmp_path: Path) -> None:
    files = series("earthkit_pattern")
    if not files:
        pytest.skip("the real data are not there")
    by_place = {}
    for file in files:  # such as earthkit__z_2020-09-22T12-00-00_6.grib
        parameter, _, hours = Path(file).stem.partition("__")[2].split("_")
        by_place[parameter, int(hours)] = file
    names, steps = sorted({name for name, _ in by_place}), sorted({step for _, step in by_place})
    pattern = FilePattern(lambda name, step: by_place[name, step], MergeDim("name", names), ConcatDim("step", steps))
    store = tmp_path / "store.parquet"
    vz_beam.build(pattern, store, progress=False)
    with xr.open_dataset(str(store), engine="kerchunk") as ours:
        for (name, step), file in by_place.items():
            fields = by_eccodes(Path(file))
            own = ours[name].sel(step=np.timedelta64(step, "h")).values.reshape(len(fields), -1)
            for field in fields:
                assert any(np.array_equal(row, field.astype(row.dtype), equal_nan=True) for row in own)


@pytest.mark.parametrize("path", files_of("broken", "suspect"), ids=lambda path: path.name)
def test_a_broken_file_is_refused_by_name(path: Path) -> None:
    with pytest.raises(VzBeamError, match=path.name):
        GRIBParser().parse(open_source(str(path)))
