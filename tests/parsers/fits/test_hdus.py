"""Images and tables of all kinds have the values that astropy gives, or a reason why they have none."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import vz_beam
from vz_beam.errors import FormatError, InputError, TruncatedFileError, UnsupportedError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.fits import FITSParser
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.source_pool import SourcePool

RANDOM = np.random.default_rng(3)


def write(folder: Path, *hdus: Any) -> Path:
    path = folder / "file.fits"
    first = hdus[0] if hdus and isinstance(hdus[0], fits.PrimaryHDU) else fits.PrimaryHDU()
    fits.HDUList([first, *(hdu for hdu in hdus if hdu is not first)]).writeto(path)
    return path


def parse(path: Path, **words: Any) -> ManifestGroup:
    return FITSParser(**words).parse(open_source(str(path)))


def values(group: ManifestGroup, name: str) -> Any:
    with SourcePool() as pool:
        return read_values({name: group.arrays[name]}, pool)[name]


def assert_like_astropy(path: Path, group: ManifestGroup, name: str, number: int) -> None:
    with fits.open(path) as file:
        expected = np.array(file[number].data)
    found = values(group, name)
    assert found.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_an_image_has_its_type_unsigned_integers_exactly(dtype: str, tmp_path: Path) -> None:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        array = RANDOM.random((3, 4, 5, 2)).astype(kind)
    else:
        limits = np.iinfo(kind)
        array = RANDOM.integers(limits.min, limits.max, (3, 4, 5, 2), kind, endpoint=True)
    path = write(tmp_path, fits.PrimaryHDU(array))
    group = parse(path)
    assert_like_astropy(path, group, "PRIMARY", 0)
    assert group.arrays["PRIMARY"].metadata.dimension_names == ("axis_4", "z", "y", "x")


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4"])
@pytest.mark.parametrize("blank", [None, 4])
def test_stored_numbers_are_multiplied_and_then_shifted(dtype: str, blank: int | None, tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.arange(12, dtype=dtype).reshape(3, 4))
    path = write(tmp_path, hdu)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as file:
        file[0].header["BSCALE"], file[0].header["BZERO"] = 0.5, 10
        if blank is not None and dtype != "f4":
            file[0].header["BLANK"] = blank
    group = parse(path)
    assert_like_astropy(path, group, "PRIMARY", 0)
    assert values(group, "PRIMARY")[1, 1] == 12.5
    if blank is not None and dtype != "f4":
        assert np.isnan(values(group, "PRIMARY")[1, 0])


def test_blank_alone_makes_numbers_that_may_be_absent(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.arange(6, dtype="i2"))
    hdu.header["BLANK"] = 3
    path = write(tmp_path, hdu)
    assert_like_astropy(path, parse(path), "PRIMARY", 0)


def test_keywords_are_attributes_and_those_of_the_bytes_are_not(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.zeros((2, 3), "f4"))
    hdu.header["CTYPE1"], hdu.header["CRVAL1"], hdu.header["BUNIT"], hdu.header["OBS"] = "RA---TAN", 10.5, "Jy", True
    hdu.header["HISTORY"] = "first"
    hdu.header["HISTORY"] = "second"
    attributes = parse(write(tmp_path, hdu)).arrays["PRIMARY"].metadata.attributes
    expected = {"CTYPE1": "RA---TAN", "CRVAL1": 10.5, "BUNIT": "Jy", "units": "Jy", "OBS": True}
    assert attributes == {**expected, "HISTORY": "first\nsecond"}


def test_large_images_are_cut_into_chunks_of_whole_slices(tmp_path: Path) -> None:
    array = RANDOM.random((30, 300, 400)).astype("f8")
    path = write(tmp_path, fits.PrimaryHDU(array))
    group = parse(path)
    assert group.arrays["PRIMARY"].metadata.chunk_shape == (6, 300, 400)
    assert group.arrays["PRIMARY"].metadata.codecs == ()
    np.testing.assert_array_equal(values(group, "PRIMARY"), array)


def test_hdus_of_one_name_and_axes_of_other_lengths_have_names_of_their_own(tmp_path: Path) -> None:
    parts = [fits.ImageHDU(np.full((2, size), size, "i2"), name="SCI", ver=size) for size in (3, 4, 3)]
    group = parse(write(tmp_path, *parts))
    assert {name: array.metadata.dimension_names for name, array in group.arrays.items()} == {
        "SCI": ("y", "x"),
        "SCI_2": ("y", "x_2"),
        "SCI_3": ("y", "x"),
    }
    with xr.open_dataset(str(tmp_path / "file.fits"), engine="vz_beam") as ours:
        assert float(ours["SCI_2"].values.mean()) == 4


COLUMNS = {
    "logical": fits.Column("c", "L", array=[True, False, True]),
    "logicals": fits.Column("c", "4L", array=RANDOM.random((3, 4)) > 0.5),
    "bits": fits.Column("c", "11X", array=RANDOM.random((3, 11)) > 0.5),
    "bytes": fits.Column("c", "B", array=[1, 2, 255]),
    "signed bytes": fits.Column("c", "B", array=np.array([-128, 0, 127], "i1"), bzero=-128),
    "i2": fits.Column("c", "I", array=[-1, 2, 3]),
    "u2": fits.Column("c", "I", array=np.array([0, 1, 2**16 - 1], "u2"), bzero=2**15),
    "u4": fits.Column("c", "J", array=np.array([0, 1, 2**32 - 1], "u4"), bzero=2**31),
    "i8": fits.Column("c", "K", array=[-1, 2**62, 3]),
    "floats": fits.Column("c", "6E", dim="(3,2)", array=RANDOM.random((3, 2, 3)).astype("f4")),
    "double": fits.Column("c", "D", array=[np.nan, 1, -2.5]),
    "complex": fits.Column("c", "C", array=np.array([1 + 2j, 0, -1j], "c8")),
    "complexes": fits.Column("c", "2M", array=RANDOM.random((3, 2)) + 1j),
    "texts": fits.Column("c", "5A", array=["abc", "", "de fg"]),
    "nothing": fits.Column("c", "0J", array=np.zeros((3, 0), "i4")),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("neighbours", [True, False], ids=["among others", "alone"])
def test_a_column_has_the_values_that_astropy_gives(kind: str, neighbours: bool, tmp_path: Path) -> None:
    others = [fits.Column("a", "J", array=[1, 2, 3]), fits.Column("z", "3A", array=["x", "y", "z"])]
    if kind == "nothing" and not neighbours:
        pytest.skip("astropy writes no table without bytes")
    columns = [others[0], COLUMNS[kind], others[1]] if neighbours else [COLUMNS[kind]]
    path = write(tmp_path, fits.BinTableHDU.from_columns(columns, name="T"))
    with fits.open(path) as file:
        expected = np.array(file["T"].data["c"])
    if expected.dtype.kind in "US":
        expected = np.char.rstrip(expected.astype("S"))
    table = parse(path).groups["T"]
    found = values(table, "c")
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)
    for name in ("a", "z") if neighbours else ():
        assert values(table, name).tolist() == ([1, 2, 3] if name == "a" else [b"x", b"y", b"z"])


def test_numbers_of_a_column_are_multiplied_and_then_shifted(tmp_path: Path) -> None:
    path = write(tmp_path, fits.BinTableHDU.from_columns([fits.Column("c", "I", array=[1, 2, -3])], name="T"))
    with fits.open(path, mode="update") as file:
        file["T"].header["TSCAL1"], file["T"].header["TZERO1"] = 0.5, 10
    with fits.open(path) as file:
        np.testing.assert_array_equal(values(parse(path).groups["T"], "c"), file["T"].data["c"])
    assert values(parse(path).groups["T"], "c").tolist() == [10.5, 11, 8.5]


def test_a_table_of_one_row_is_read_without_its_neighbours(tmp_path: Path) -> None:
    parts = [fits.Column("a", "J", array=[7]), fits.Column("v", "4D", array=[[1, 2, 3, 4]])]
    table = parse(write(tmp_path, fits.BinTableHDU.from_columns(parts, name="T"))).groups["T"]
    assert table.arrays["v"].metadata.codecs == ()
    assert values(table, "v").tolist() == [[1, 2, 3, 4]]


def test_many_rows_are_cut_into_chunks(tmp_path: Path) -> None:
    count = 120_000
    parts = [fits.Column("n", "K", array=np.arange(count)), fits.Column("v", "12D", array=RANDOM.random((count, 12)))]
    path = write(tmp_path, fits.BinTableHDU.from_columns(parts, name="T"))
    table = parse(path).groups["T"]
    assert table.arrays["n"].manifest.nrefs > 1
    np.testing.assert_array_equal(values(table, "n"), np.arange(count))


def test_a_table_in_text_has_the_numbers_that_astropy_gives(tmp_path: Path) -> None:
    parts = [
        fits.Column("i", "I6", ascii=True, array=[1, -22, 333]),
        fits.Column("long", "I12", ascii=True, array=[1, 2, 10**11]),
        fits.Column("f", "F8.3", ascii=True, array=[1.5, -2.25, 0]),
        fits.Column("d", "D20.10", ascii=True, array=[1e-300, 2, 3]),
        fits.Column("s", "A4", ascii=True, array=["ab", "", "abcd"]),
    ]
    path = write(tmp_path, fits.TableHDU.from_columns(parts, name="T"))
    table = parse(path).groups["T"]
    with fits.open(path) as file:
        for name in ("i", "long", "f", "d"):
            np.testing.assert_array_equal(values(table, name), file["T"].data[name])
    assert values(table, "s").tolist() == [b"ab", b"", b"abcd"]


@pytest.mark.parametrize("compression", ["RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1", "NOCOMPRESS"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
def test_compressed_tiles_have_the_pixels_that_astropy_gives(compression: str, dtype: str, tmp_path: Path) -> None:
    array = RANDOM.integers(0, 99, (20, 30)).astype(dtype)
    tile = (10, 30) if compression == "HCOMPRESS_1" else None
    hdu = fits.CompImageHDU(array, name="R", compression_type=compression, tile_shape=tile)
    path = write(tmp_path, hdu)
    group = parse(path)
    with fits.open(path) as file:
        np.testing.assert_array_equal(values(group, "R"), file["R"].data)
    np.testing.assert_array_equal(values(group, "R"), array)


def test_uneven_tiles_are_read_where_their_streams_tell_their_size_and_refused_elsewhere(tmp_path: Path) -> None:
    array = np.arange(26 * 30, dtype="i4").reshape(26, 30)
    path = write(tmp_path, fits.CompImageHDU(array, name="R", compression_type="GZIP_1", tile_shape=(10, 30)))
    np.testing.assert_array_equal(values(parse(path), "R"), array)
    path.unlink()
    path = write(tmp_path, fits.CompImageHDU(array, name="R", compression_type="RICE_1", tile_shape=(10, 30)))
    with pytest.raises(UnsupportedError, match=r"R: its tiles of \(10, 30\) do not fit"):
        parse(path)


def test_rounded_numbers_are_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, fits.CompImageHDU(RANDOM.random((20, 30)).astype("f4"), name="R"))
    with pytest.raises(UnsupportedError, match=r"R: .*scale"):
        parse(path)


def test_columns_of_variable_length_are_refused_by_name_and_others_read(tmp_path: Path) -> None:
    ragged = np.array([np.arange(2), np.arange(3)], dtype=object)
    parts = [fits.Column("v", "PJ()", array=ragged), fits.Column("n", "J", array=[5, 6])]
    path = write(tmp_path, fits.BinTableHDU.from_columns(parts, name="T"))
    with pytest.raises(UnsupportedError, match="T/v: its values have a length of their own"):
        parse(path)
    group = parse(path, unsupported="skip")
    assert list(group.skipped) == ["T/v"]
    assert values(group.groups["T"], "n").tolist() == [5, 6]
    assert list(parse(path, drop_variables=["v"]).groups["T"].arrays) == ["n"]


def test_random_groups_are_refused_by_name(tmp_path: Path) -> None:
    data = fits.GroupData(np.arange(20.0).reshape(2, 10), parnames=["p"], pardata=[np.arange(2.0)], bitpix=-32)
    path = tmp_path / "file.fits"
    fits.GroupsHDU(data).writeto(path)
    with pytest.raises(UnsupportedError, match="PRIMARY: it holds random groups"):
        parse(path)


def test_a_file_that_is_compressed_as_a_whole_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = write(tmp_path, fits.PrimaryHDU(np.zeros(9)))
    packed = tmp_path / "file.fits.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(UnsupportedError, match=r"file\.fits\.gz is compressed as a whole .*gunzip"):
        vz_beam.open_virtual_dataset(packed)


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"NAXIS1": -4}, "is damaged"),
        ({"NAXIS": 9999}, "is damaged"),
        ({"BITPIX": 7}, "is damaged"),
        ({"NAXIS1": 10**9}, "go on to byte"),
    ],
)
def test_damaged_headers_are_named_by_number_and_place(cards: dict[str, int], words: str, tmp_path: Path) -> None:
    path = write(tmp_path, fits.PrimaryHDU(np.zeros((4, 4))))
    data = path.read_bytes()
    for key, value in cards.items():
        place = data.index(key.ljust(8).encode())
        data = data[:place] + f"{key:8}= {value:20}".ljust(80).encode() + data[place + 80 :]
    path.write_bytes(data)
    with pytest.raises(FormatError, match=rf"file\.fits: .*{words}"):
        parse(path)


def test_a_header_without_an_end_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, fits.PrimaryHDU())
    path.write_bytes(path.read_bytes().replace(b"END     ", b"NOEND   "))
    with pytest.raises(TruncatedFileError, match="which has no END"):
        parse(path)


def test_two_images_are_one_store_along_a_new_dimension(tmp_path: Path) -> None:
    arrays, paths = [], []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        arrays.append(RANDOM.integers(0, 2**16, (4, 5)).astype("u2"))
        paths.append(str(write(tmp_path / str(number), fits.PrimaryHDU(arrays[-1]))))
    vz_beam.build(paths, tmp_path / "store.parquet", concat_dim="time", progress=False)
    with xr.open_dataset(str(tmp_path / "store.parquet"), engine="kerchunk") as ours:
        np.testing.assert_array_equal(ours["PRIMARY"].values, np.stack(arrays))


def test_astropy_is_asked_for_by_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, fits.PrimaryHDU(np.zeros(4)))
    monkeypatch.setitem(sys.modules, "astropy.io.fits", None)
    with pytest.raises(InputError, match=r"pip install 'vz-beam\[fits\]'"):
        parse(path)
