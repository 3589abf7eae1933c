"""Cubes of fields have the values that ecCodes gives, where cfgrib's coordinates say."""

from __future__ import annotations

import itertools
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.parsers.grib.messages import COLUMNS, ROWS, decoded, message, several_fields, write
from vz_beam.errors import FormatError, InputError, TruncatedFileError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.grib import GRIBParser
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.request_log import RequestLog
from vz_beam.storage.source_pool import SourcePool


def parse(path: Path, **words: Any) -> ManifestGroup:
    return GRIBParser(**words).parse(open_source(str(path)))


def values(group: ManifestGroup, name: str) -> Any:
    with SourcePool() as pool:
        return read_values({name: group.arrays[name]}, pool)[name]


LEVELS, STEPS = (500, 1000, 850), (0, 6)


@pytest.mark.parametrize("edition", [1, 2])
def test_fields_in_any_order_are_a_cube(edition: int, tmp_path: Path) -> None:
    places = list(itertools.product(("t", "u"), STEPS, LEVELS))
    np.random.default_rng(0).shuffle(places)
    made = {}
    for name, step, level in places:
        keys = {
            "shortName": name,
            "typeOfLevel": "isobaricInhPa",
            "level": level,
            "dataDate": 20200229,
            "endStep": step,
        }
        made[str(name), int(step), int(level)] = message(edition, **keys)
    path = write(tmp_path / "cube.grib", *made.values())
    with xr.open_dataset(str(path), engine="vz_beam") as ours:
        assert dict(ours.sizes) == {"time": 1, "step": 2, "isobaricInhPa": 3, "latitude": ROWS, "longitude": COLUMNS}
        assert ours["isobaricInhPa"].values.tolist() == [1000, 850, 500]
        assert ours["time"].values.tolist() == [np.datetime64("2020-02-29T12:00", "ns").astype(int)]
        assert ours["step"].dtype == "m8[ns]"
        hours = np.array(STEPS, "m8[h]")
        np.testing.assert_array_equal(ours["valid_time"].values, [ours["time"].values[0] + hours])
        np.testing.assert_array_equal(ours["latitude"].values, [60, 50, 40, 30])
        np.testing.assert_array_equal(ours["longitude"].values, np.arange(6) * 10)
        for (name, step, level), data in made.items():
            field = ours[name].sel(step=np.timedelta64(step, "h"), isobaricInhPa=level)
            np.testing.assert_array_equal(field.values.ravel(), decoded(data))


@pytest.mark.parametrize(
    "packing",
    [
        "grid_simple",
        "grid_ccsds",
        "grid_complex",
        "grid_complex_spatial_differencing",
        "grid_jpeg",
        "grid_ieee",
    ],
)
def test_every_packing_is_decoded(packing: str, tmp_path: Path) -> None:
    data = message(packingType=packing)
    group = parse(write(tmp_path / "a.grib2", data))
    name = next(name for name, array in group.arrays.items() if array.metadata.codecs)
    np.testing.assert_array_equal(values(group, name).ravel(), decoded(data))


def test_points_without_a_value_are_nan(tmp_path: Path) -> None:
    field = np.arange(24.0)
    field[[0, 7, 23]] = np.nan
    for edition in (1, 2):
        group = parse(write(tmp_path / "a.grib", message(edition, values=field)))
        name = next(name for name, array in group.arrays.items() if array.metadata.codecs)
        np.testing.assert_allclose(values(group, name).ravel(), field, atol=1e-3)


def test_a_hole_in_a_cube_is_missing(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"shortName": "t", "typeOfLevel": "isobaricInhPa"}
    parts = [message(**keys, level=level, endStep=step) for step, level in ((0, 500), (0, 850), (6, 500))]
    group = parse(write(tmp_path / "a.grib", *parts))
    found = values(group, "t")
    assert np.isnan(found[0, 1, 0]).all()
    np.testing.assert_array_equal(found[0, 1, 1].ravel(), decoded(parts[2]))
    assert group.arrays["t"].manifest.nrefs == 3


def test_several_fields_of_a_message_are_told_apart(tmp_path: Path) -> None:
    parts = [message(shortName=name, typeOfLevel="isobaricInhPa", level=500) for name in ("t", "u", "q")]
    group = parse(write(tmp_path / "a.grib2", several_fields(*parts)))
    for name, data in zip(("t", "u", "q"), parts, strict=True):
        np.testing.assert_array_equal(values(group, name).ravel(), decoded(data))


def test_repeated_fields_are_variables_of_their_own(tmp_path: Path) -> None:
    parts = [message(shortName="t", typeOfLevel="isobaricInhPa", level=500) for _ in range(2)]
    tree = parse(write(tmp_path / "a.grib2", *parts))
    assert list(tree.groups) == ["isobaricInhPa", "isobaricInhPa_2"]
    for group, data in zip(tree.groups.values(), parts, strict=True):
        np.testing.assert_array_equal(values(group, "t").ravel(), decoded(data))


def test_kinds_of_levels_are_groups(tmp_path: Path) -> None:
    parts = [
        message(shortName="2t"),
        message(shortName="t", typeOfLevel="isobaricInhPa", level=500),
        message(shortName="t", typeOfLevel="isobaricInhPa", level=850),
        message(shortName="10u"),
    ]
    path = write(tmp_path / "a.grib2", *parts)
    with xr.open_datatree(str(path), engine="vz_beam") as tree:
        assert set(tree.children) == {"heightAboveGround", "isobaricInhPa", "heightAboveGround_2"}
        np.testing.assert_array_equal(tree["heightAboveGround"].to_dataset()["t2m"].values.ravel(), decoded(parts[0]))
        assert float(tree["heightAboveGround_2"].to_dataset()["heightAboveGround"]) == 10
        np.testing.assert_array_equal(
            tree["isobaricInhPa"].to_dataset()["t"].values[0, 0, 1].ravel(), decoded(parts[1])
        )
    assert "t" in parse(path, group="isobaricInhPa").arrays
    assert set(parse(path, drop_variables=["isobaricInhPa"]).groups) == {"heightAboveGround", "heightAboveGround_2"}


@pytest.mark.parametrize("junk", [b"", b"\0" * 3, b"\r\r\nSABR01 GRIB KWBC\r\r\n" * 5, b"GRI" * 400_000])
def test_bytes_between_and_behind_messages_are_passed_over(junk: bytes, tmp_path: Path) -> None:
    parts = [message(shortName="t", typeOfLevel="isobaricInhPa", level=level) for level in (500, 850)]
    path = tmp_path / "a.grib2"
    path.write_bytes(parts[0] + junk + parts[1] + junk.replace(b"GRI", b"abc"))
    found = values(parse(path), "t")
    np.testing.assert_array_equal(found[0, 0, ::-1].reshape(2, -1), [decoded(data) for data in parts])


def test_headers_are_read_and_no_values(tmp_path: Path) -> None:
    big: dict[str, Any] = {
        "Ni": 800,
        "Nj": 500,
        "iDirectionIncrementInDegrees": 0.1,
        "jDirectionIncrementInDegrees": 0.1,
    }
    big |= {"latitudeOfLastGridPointInDegrees": 10.1, "longitudeOfLastGridPointInDegrees": 79.9}
    parts = [
        message(values=np.random.default_rng(1).random(400_000), level=level, shortName="2t", **big) for level in (2, 3)
    ]
    log = RequestLog(open_source(str(write(tmp_path / "a.grib2", *parts))))
    GRIBParser().parse(log)
    assert log.nbytes < 0.3 * sum(map(len, parts))


def test_a_message_that_is_cut_or_damaged_is_named_by_its_place(tmp_path: Path) -> None:
    first, second = message(shortName="2t"), message(shortName="10u")
    path = tmp_path / "a.grib2"
    for cut in (1, 5, 19, 60, len(second) - 1):
        path.write_bytes(first + second[:cut])
        with pytest.raises(TruncatedFileError, match=rf"a\.grib2.* byte {len(first)}"):
            parse(path)
    damaged = bytearray(first)
    damaged[16:20] = struct.pack(">I", 3)
    path.write_bytes(damaged)
    with pytest.raises(FormatError, match=r"a\.grib2: the message at byte 0 has a section"):
        parse(path)
    path.write_bytes(first[:-4] + b"7x77")
    with pytest.raises(FormatError, match="ends with b'7x77'"):
        parse(path)


def test_a_store_opens_without_importing_vz_beam(tmp_path: Path) -> None:
    data = message(shortName="2t", packingType="grid_ccsds")
    path = write(tmp_path / "a.grib2", data)
    vz_beam.open_virtual_dataset(path).vz.to_kerchunk(tmp_path / "refs.json", "json")
    code = (
        f"import numpy, xarray; ds = xarray.open_dataset({str(tmp_path / 'refs.json')!r}, engine='kerchunk');"
        f"numpy.save({str(tmp_path / 'out')!r}, ds['t2m'].values)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy").ravel(), decoded(data))


def test_eccodes_is_asked_for_by_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.grib2", message())
    monkeypatch.setitem(sys.modules, "eccodes", None)
    with pytest.raises(InputError, match=r"pip install 'vz-beam\[grib\]'"):
        parse(path)
