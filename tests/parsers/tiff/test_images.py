"""Images of all kinds read as tifffile reads them, through readers that know nothing of TIFF."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
import xarray as xr
from rasterio.transform import from_origin
from rasterio.windows import Window

import vz_beam
from vz_beam.errors import FormatError, InputError, UnsupportedError, VzBeamError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.tiff import TIFFParser
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.request_log import RequestLog
from vz_beam.storage.source_pool import SourcePool

RANDOM = np.random.default_rng(1)
SHAPE = (37, 53)


def parse(path: Path, **words: Any) -> ManifestGroup:
    return TIFFParser(**words).parse(open_source(str(path)))


def values(group: ManifestGroup, name: str = "image") -> Any:
    with SourcePool() as pool:
        return read_values({name: group.arrays[name]}, pool)[name]


def write(folder: Path, array: Any, **words: Any) -> Path:
    path = folder / "image.tif"
    tifffile.imwrite(path, array, metadata=None, **words)
    return path


def first_page(path: Path) -> Any:
    with tifffile.TiffFile(path) as file:
        return file.pages[0]


def image(dtype: str, shape: tuple[int, ...] = SHAPE) -> Any:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return RANDOM.random(shape).astype(kind)
    limits = np.iinfo(kind)
    return RANDOM.integers(limits.min, limits.max, shape, kind, endpoint=True)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 10}, {"tile": (16, 32)}], ids=["strip", "strips", "tiles"])
@pytest.mark.parametrize(
    ("dtype", "compression", "predictor"),
    [
        *((dtype, None, None) for dtype in ("u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8", "u8")),
        *((dtype, "zlib", predictor) for dtype, predictor in (("u2", None), ("i4", 2), ("f4", 3), ("f8", 3))),
        *(("u2", compression, None) for compression in ("zstd", "lzw", "packbits", "lzma", "lerc")),
        ("u1", "lzw", 2),
        ("f4", "zstd", 3),
        ("f4", "lerc", None),
    ],
)
def test_an_image_has_the_pixels_that_tifffile_reads(
    dtype: str, compression: Any, predictor: Any, layout: Any, byteorder: Any, tmp_path: Path
) -> None:
    if compression == "lerc" and byteorder == ">":
        pytest.skip("tifffile writes no big-endian LERC")
    path = write(tmp_path, image(dtype), compression=compression, predictor=predictor, byteorder=byteorder, **layout)
    group = parse(path)
    found = values(group)
    expected = tifffile.imread(path)
    assert found.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, expected)
    assert group.arrays["image"].metadata.dimension_names == ("y", "x")


@pytest.mark.parametrize("compression", ["jpeg", "webp", "png", "jpeg2000"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 16}, {"tile": (16, 32)}], ids=["strips", "tiles"])
def test_pictures_are_decoded_as_tifffile_decodes_them(compression: Any, layout: Any, tmp_path: Path) -> None:
    path = write(tmp_path, image("u1", (*SHAPE, 3)), compression=compression, photometric="rgb", **layout)
    found = parse(path)
    np.testing.assert_array_equal(values(found), tifffile.imread(path))
    assert found.arrays["image"].metadata.dimension_names == ("y", "x", "band")


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 10}, {"tile": (16, 32)}], ids=["strips", "tiles"])
def test_planes_are_bands_in_front(compression: Any, layout: Any, tmp_path: Path) -> None:
    array = image("u2", (3, *SHAPE))
    path = write(tmp_path, array, planarconfig="separate", photometric="rgb", compression=compression, **layout)
    found = parse(path)
    np.testing.assert_array_equal(values(found), array)
    assert found.arrays["image"].metadata.dimension_names == ("band", "y", "x")


@pytest.mark.parametrize("rows", [5, 7, 37])
def test_short_last_strips_without_compression_need_no_codec_of_ours(rows: int, tmp_path: Path) -> None:
    array = image("u2")
    path = write(tmp_path, array, rowsperstrip=rows)
    found = parse(path).arrays["image"]
    assert found.metadata.codecs == ()
    assert found.manifest.nrefs == 1  # its strips follow each other
    if rows == SHAPE[0]:
        return
    scattered = tmp_path / "scattered.tif"
    data = path.read_bytes()
    page = first_page(path)
    tag = page.tags["StripOffsets"]
    moved, body = [], b""
    for offset, size in zip(reversed(page.dataoffsets), reversed(page.databytecounts), strict=True):
        moved.append(len(data) + len(body))
        body += data[offset : offset + size]
    packed = struct.pack(f"<{len(moved)}{'I' if tag.dtype == 4 else 'H'}", *reversed(moved))
    scattered.write_bytes(data[: tag.valueoffset] + packed + data[tag.valueoffset + len(packed) :] + body)
    group = parse(scattered)
    np.testing.assert_array_equal(values(group), array)
    assert group.arrays["image"].metadata.codecs == ()
    np.testing.assert_array_equal(tifffile.imread(scattered), array)


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12])
def test_packed_bits_are_numbers(bits: int, tmp_path: Path) -> None:
    import imagecodecs

    array = RANDOM.integers(0, 2**bits, SHAPE).astype("u2" if bits > 8 else "u1")
    packed = imagecodecs.packints_encode(array.ravel(), bits, runlen=SHAPE[1])
    tags = [
        (256, 4, SHAPE[1]),
        (257, 4, SHAPE[0]),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8 + 2 + 12 * 9 + 4),
    ]
    tags += [(277, 3, 1), (278, 4, SHAPE[0]), (279, 4, len(packed))]
    entries = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in tags)
    path = tmp_path / "bits.tif"
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + bytes(packed))
    np.testing.assert_array_equal(values(parse(path)), array)
    np.testing.assert_array_equal(values(parse(path)), tifffile.imread(path))


def test_images_of_one_kind_are_pages_and_others_have_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "many.tif"
    arrays = [image("u2"), image("u2"), image("u1"), image("f4", (5, 6))]
    with tifffile.TiffWriter(path) as writer:
        for array in arrays:
            writer.write(array, metadata=None, compression="zlib", photometric="minisblack")
    group = parse(path)
    assert {name: each.shape for name, each in group.arrays.items()} == {
        "image": (2, *SHAPE),
        "image_2": SHAPE,
        "image_3": (5, 6),
    }
    np.testing.assert_array_equal(values(group), np.stack(arrays[:2]))
    np.testing.assert_array_equal(values(group, "image_2"), arrays[2])
    np.testing.assert_array_equal(values(group, "image_3"), arrays[3])
    assert group.arrays["image"].metadata.dimension_names == ("page", "y", "x")


def test_overviews_are_groups_and_masks_variables(tmp_path: Path) -> None:
    path = tmp_path / "cog.tif"
    levels = [image("u2", (64 >> level, 96 >> level)) for level in range(3)]
    scale = (33550, "d", 3, (10.0, 20.0, 0.0), True)
    points = (33922, "d", 6, (0.0, 0.0, 0.0, 1000.0, 5000.0, 0.0), True)
    keys = (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633), True)
    with tifffile.TiffWriter(path) as writer:
        tags = [scale, points, keys, (42113, "s", 0, "7", True)]
        writer.write(levels[0], metadata=None, tile=(16, 16), extratags=tags)
        writer.write(levels[0] > 9, metadata=None, subfiletype=4, photometric="minisblack")
        for level in levels[1:]:
            writer.write(level, metadata=None, tile=(16, 16), subfiletype=1, compression="zlib")
    group = parse(path)
    assert set(group.arrays) == {"image", "mask", "x", "y", "spatial_ref"}
    assert list(group.groups) == ["overview_1", "overview_2"]
    np.testing.assert_array_equal(values(group), levels[0])
    np.testing.assert_array_equal(values(group, "mask"), levels[0] > 9)
    np.testing.assert_array_equal(values(group, "x"), 1000 + (np.arange(96) + 0.5) * 10)
    np.testing.assert_array_equal(values(group, "y"), 5000 - (np.arange(64) + 0.5) * 20)
    for number in (1, 2):
        reduced = group.groups[f"overview_{number}"]
        np.testing.assert_array_equal(values(reduced), levels[number])
        step = 10 * 2**number
        np.testing.assert_array_equal(values(reduced, "x"), 1000 + (np.arange(96 >> number) + 0.5) * step)
    assert group.arrays["spatial_ref"].metadata.attributes["spatial_ref"] == "EPSG:32633"
    assert group.arrays["image"].metadata.attributes == {"_FillValue": 7, "grid_mapping": "spatial_ref"}
    with xr.open_dataset(str(path), engine="vz_beam") as ours:
        np.testing.assert_array_equal(ours["image"].values, np.where(levels[0] == 7, np.nan, levels[0]))
    assert list(parse(path, drop_variables=["overview_2", "mask"]).groups) == ["overview_1"]


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rasterio 1.4 with affine 3
def test_coordinates_are_those_of_gdal(tmp_path: Path) -> None:
    for is_point in (False, True):
        path = tmp_path / f"{is_point}.tif"
        transform = from_origin(7.5, 52.25, 0.25, 0.5)
        profile = {"driver": "GTiff", "height": 4, "width": 6, "count": 2, "dtype": "float32", "crs": "EPSG:4326"}
        with rasterio.open(path, "w", **profile, transform=transform, nodata=-1) as file:
            file.write(np.arange(48, dtype="f4").reshape(2, 4, 6))
            if is_point:
                file.update_tags(AREA_OR_POINT="Point")
        group = parse(path)
        with rasterio.open(path) as file:
            columns = [file.xy(0, column)[0] for column in range(6)]
            rows = [file.xy(row, 0)[1] for row in range(4)]
            pixels = file.read()
        np.testing.assert_allclose(values(group, "x"), columns, rtol=1e-14)
        np.testing.assert_allclose(values(group, "y"), rows, rtol=1e-14)
        found = group.arrays["image"]
        order = [(found.metadata.dimension_names or ()).index(name) for name in ("band", "y", "x")]
        np.testing.assert_array_equal(values(group).transpose(order), pixels)
        assert group.arrays["x"].metadata.attributes["units"] == "degrees_east"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_sparse_tiles_read_as_what_is_no_data(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    profile = {"driver": "GTiff", "height": 64, "width": 64, "count": 1, "dtype": "int16", "tiled": True, "nodata": -5}
    sparse = {"blockxsize": 16, "blockysize": 16, "sparse_ok": True, "compress": "deflate"}
    with rasterio.open(path, "w", **profile, **sparse) as file:
        file.write(np.ones((16, 16), "i2"), 1, window=Window(16, 32, 16, 16))
    group = parse(path)
    assert group.arrays["image"].manifest.nrefs == 1
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(values(group), file.read(1))


def test_scale_and_offset_of_gdal_are_those_of_cf(tmp_path: Path) -> None:
    text = '<GDALMetadata><Item name="UNITTYPE" sample="0" role="unittype">K</Item>' + "".join(
        f'<Item name="{role.upper()}" sample="0" role="{role}">{value}</Item>'
        for role, value in (("scale", 0.5), ("offset", -10))
    )
    path = write(tmp_path, image("i2"), extratags=[(42112, "s", 0, f"{text}</GDALMetadata>", True)])
    with xr.open_dataset(str(path), engine="vz_beam") as ours:
        np.testing.assert_allclose(ours["image"].values, tifffile.imread(path) * 0.5 - 10)


def test_a_store_of_a_compressed_image_opens_without_importing_vz_beam(tmp_path: Path) -> None:
    array = image("u2")
    path = write(tmp_path, array, compression="lzw", predictor=2, rowsperstrip=10)
    for form, name in (("json", "refs.json"), ("parquet", "refs.parquet")):
        vz_beam.open_virtual_dataset(path, loadable_variables=[]).vz.to_kerchunk(tmp_path / name, form)
        code = (
            f"import sys, numpy, xarray; ds = xarray.open_dataset({str(tmp_path / name)!r}, engine='kerchunk');"
            f"numpy.save({str(tmp_path / form)!r}, ds['image'].values)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        np.testing.assert_array_equal(np.load(tmp_path / f"{form}.npy"), array)


def test_files_are_joined_along_a_new_dimension(tmp_path: Path) -> None:
    arrays, paths = [], []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        arrays.append(image("u2"))
        paths.append(str(write(tmp_path / str(number), arrays[-1], compression="lzw", tile=(16, 16))))
    vz_beam.build(paths, tmp_path / "store.parquet", concat_dim="time", progress=False)
    with xr.open_dataset(str(tmp_path / "store.parquet"), engine="kerchunk") as ours:
        np.testing.assert_array_equal(ours["image"].values, np.stack(arrays))


def test_few_requests_read_the_tags_of_many_tiles(tmp_path: Path) -> None:
    path = write(tmp_path, np.zeros((2048, 2048), "u1"), tile=(16, 16))
    log = RequestLog(open_source(str(path)))
    assert TIFFParser().parse(log).arrays["image"].manifest.nrefs == 128 * 128
    assert log.rounds <= 4


@pytest.mark.parametrize("cut", [0, 4, 7, 9, 40, 300])
def test_a_file_that_is_cut_is_refused(cut: int, tmp_path: Path) -> None:
    path = write(tmp_path, image("u2"), rowsperstrip=5, compression="lzw")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(VzBeamError, match=r"image\.tif"):
        parse(path)


def test_a_damaged_strip_is_an_error_at_reading(tmp_path: Path) -> None:
    path = write(tmp_path, image("u2"), compression="zlib", predictor=2)
    group = parse(path)
    offset = first_page(path).dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[offset : offset + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(FormatError, match="cannot be decoded"):
        values(group)


def test_what_tifffile_cannot_decode_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, image("u1"))
    place = first_page(path).tags["Compression"].valueoffset
    data = bytearray(path.read_bytes())
    data[place : place + 2] = struct.pack("<H", 34676)  # SGILOG
    path.write_bytes(data)
    with pytest.raises(UnsupportedError, match=r"image: tifffile cannot decode it: .*SGILOG"):
        parse(path)


def test_tifffile_is_asked_for_by_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, image("u1"))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(InputError, match=r"pip install 'vz-beam\[tiff\]'"):
        parse(path)
