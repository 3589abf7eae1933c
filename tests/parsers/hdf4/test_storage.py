"""Data sets in all ways of storing them have the values that pyhdf reads, or a reason why they have none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pyhdf import VS, V  # noqa: F401  # which HDF.vstart needs
from pyhdf.HDF import HC, HDF
from pyhdf.SD import SD, SDC

import vz_beam
from tests.parsers.hdf4.data_sets import TYPES, add, read, write
from vz_beam.codecs.hdf4 import decode_nbit, decode_rle, decode_skphuff
from vz_beam.errors import FormatError, UnsupportedError, VzBeamError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf4 import HDF4Parser
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.source_pool import SourcePool

RANDOM = np.random.default_rng(9)


def parse(path: Path, **words: Any) -> ManifestGroup:
    return HDF4Parser(**words).parse(open_source(str(path)))


def values(group: ManifestGroup, name: str) -> Any:
    with SourcePool() as pool:
        return read_values({name: group.arrays[name]}, pool)[name]


def image(dtype: str, shape: tuple[int, ...] = (30, 20)) -> Any:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return np.round(RANDOM.random(shape), 1).astype(kind)
    return RANDOM.integers(max(-50, np.iinfo(kind).min), 50, shape).astype(kind)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "compress",
    [None, (SDC.COMP_DEFLATE, 6), (SDC.COMP_RLE,), (SDC.COMP_SKPHUFF, 1), (SDC.COMP_SKPHUFF, 4)],
    ids=["plain", "deflate", "rle", "skphuff 1", "skphuff 4"],
)
def test_every_type_and_compression_is_decoded(dtype: str, compress: Any, tmp_path: Path) -> None:
    array = image(dtype)
    group = parse(write(tmp_path / "a.hdf", {"v": array}, compress=compress))
    found = values(group, "v")
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, array)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=400))
def test_run_lengths_are_what_a_simple_encoder_says(numbers: list[int]) -> None:
    data, place = bytearray(), 0
    while place < len(numbers):
        run = 1
        while place + run < len(numbers) and numbers[place + run] == numbers[place] and run < 130:
            run += 1
        if run >= 3:
            data += bytes([0x80 | (run - 3), numbers[place]])
        else:
            run = min(run, 128)
            data += bytes([run - 1, *numbers[place : place + run]])
        place += run
    assert decode_rle(bytes(data), nbytes=len(numbers)).tolist() == numbers


@given(st.data())
def test_some_bits_of_integers_are_put_back_in_their_place(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([1, 2, 4]))
    bits = data.draw(st.integers(1, 8 * size))
    first = data.draw(st.integers(bits - 1, 8 * size - 1))
    numbers = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=9))
    text = "".join(f"{number:0{bits}b}" for number in numbers)
    packed = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    for sign in (False, True):
        for ones in (False, True):
            about = {"count": len(numbers), "size": size, "first": first, "bits": bits}
            found = decode_nbit(packed, **about, sign=sign, ones=ones).tobytes()
            for place, number in enumerate(numbers):
                low = first - bits + 1
                expected = number << low | ((1 << low) - 1) * ones
                above = ((1 << 8 * size) - 1) ^ ((1 << first + 1) - 1)
                expected |= above if (number >> bits - 1 if sign else ones) else 0
                assert int.from_bytes(found[place * size : (place + 1) * size], "big") == expected


@pytest.mark.parametrize("decode", [lambda d: decode_rle(d, nbytes=99), lambda d: decode_skphuff(d, nbytes=99, skip=2)])
@pytest.mark.parametrize("data", [b"", b"\x81", b"\x05ab"])
def test_streams_that_end_too_early_are_refused(decode: Any, data: bytes) -> None:
    with pytest.raises(FormatError, match="ends after"):
        decode(data)


def test_rows_that_are_added_one_by_one_are_found_in_their_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf"
    file = SD(str(path), SDC.WRITE | SDC.CREATE)
    first = file.create("v", SDC.INT32, (SDC.UNLIMITED, 5))
    rows = np.arange(60, dtype="i4").reshape(12, 5)
    for row in range(12):
        first[row] = rows[row]
        if row == 3:
            add(file, f"between_{row}", np.arange(7, dtype="i2"))
    first.endaccess()
    file.end()
    np.testing.assert_array_equal(values(parse(path), "v"), read(path)["v"])
    np.testing.assert_array_equal(values(parse(path), "v"), rows)


def test_names_attributes_and_fill_values_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf"
    file = SD(str(path), SDC.WRITE | SDC.CREATE)
    file.title = "a title"
    file.numbers = [1.5, 2.5]
    about = {"units": "K", "scale_factor": 0.5, "valid_range": [0, 9]}
    add(file, "t", image("i2", (4, 6)), dims=("lat", "lon"), fill=-9, attributes=about)
    add(file, "lat", np.arange(4.0), dims=("lat",))
    add(file, "never", np.zeros((0, 6), "i2"), dims=("other", "lon"), unlimited=True)
    file.end()
    group = parse(path)
    assert group.attributes == {"title": "a title", "numbers": [1.5, 2.5]}
    metadata = group.arrays["t"].metadata
    assert metadata.dimension_names == ("lat", "lon")
    assert metadata.attributes == {"units": "K", "scale_factor": 0.5, "valid_range": [0, 9], "_FillValue": -9}
    assert metadata.fill_value == -9
    assert group.arrays["never"].shape == (0, 6)
    with xr.open_dataset(str(path), engine="vz_beam") as ours:
        np.testing.assert_array_equal(ours["lat"].values, np.arange(4.0))
        raw = read(path)["t"].astype(float)
        np.testing.assert_allclose(ours["t"].values, np.where(raw == -9, np.nan, raw * 0.5))


def test_a_data_set_that_was_never_written_reads_as_its_fill_value(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf"
    file = SD(str(path), SDC.WRITE | SDC.CREATE)
    for name, fill in (("a", -7), ("b", None)):
        data = file.create(name, SDC.INT16, (3, 2))
        if fill is not None:
            data.setfillvalue(fill)
        data.endaccess()
    file.end()
    group, expected = parse(path), read(path)
    for name in ("a", "b"):
        np.testing.assert_array_equal(values(group, name), expected[name])


def test_vdatas_are_refused_by_name_and_data_sets_beside_them_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf", {"v": image("i2")})
    file = HDF(str(path), HC.WRITE)
    tables = file.vstart()
    table = tables.create("stations", (("id", HC.INT32, 1),))
    table.write([[1], [2]])
    table.detach()
    tables.end()
    file.close()
    with pytest.raises(UnsupportedError, match="stations: it is a Vdata, a table of 2 records"):
        parse(path)
    group = parse(path, unsupported="skip")
    assert list(group.skipped) == ["stations"]
    np.testing.assert_array_equal(values(group, "v"), read(path)["v"])
    assert not parse(path, drop_variables=["stations"]).skipped


def test_unlimited_arrays_are_as_long_as_pyhdf_shows_them(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf"
    file = SD(str(path), SDC.WRITE | SDC.CREATE)
    for name, rows in (("a", 3), ("b", 5)):
        add(file, name, image("i4", (rows, 2)), dims=(f"record_{name}", "x"), unlimited=True)
    file.end()
    with xr.open_dataset(str(path), engine="vz_beam", mask_and_scale=False) as ours:
        assert {name: len(ours[name]) for name in ours} == {"a": 3, "b": 5}
        for name, expected in read(path).items():
            np.testing.assert_array_equal(ours[name].values, expected)


@pytest.mark.parametrize("cut", [0, 3, 4, 9, 150, 210, 1000])
def test_a_file_that_is_cut_is_refused(cut: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf", {"v": image("i2")})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(VzBeamError, match=r"a\.hdf"):
        parse(path)


def test_a_directory_that_comes_back_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf", {"v": image("i2")})
    data = bytearray(path.read_bytes())
    data[6:10] = (4).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(FormatError, match="its directory comes back to byte 4"):
        parse(path)


def test_a_store_opens_without_importing_vz_beam(tmp_path: Path) -> None:
    array = image("i4")
    path = write(tmp_path / "a.hdf", {"v": array}, compress=(SDC.COMP_SKPHUFF, 4))
    vz_beam.open_virtual_dataset(path).vz.to_kerchunk(tmp_path / "refs.json", "json")
    code = (
        f"import numpy, xarray; ds = xarray.open_dataset({str(tmp_path / 'refs.json')!r}, engine='kerchunk', "
        f"mask_and_scale=False); numpy.save({str(tmp_path / 'out')!r}, ds['v'].values)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), array)
