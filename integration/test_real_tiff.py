"""All real TIFF files: every image has the pixels that tifffile and rasterio read, or is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
import xarray as xr

import vz_beam
from integration.real_data import ROOT, series
from vz_beam.errors import VzBeamError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.tiff import TIFFParser
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.source_pool import SourcePool

_COORDINATES = ("x", "y", "spatial_ref")
_LOSSY = (7, 33003, 33005, 34712, 34887, 50001)
"""Compressions whose decoders differ in the last bit: JPEG, JPEG 2000, LERC, WebP."""
_YCBCR = 6
_REFUSED = ("imagetiff__graydepth-invert-overflow-9f2f479685f84884.tiff",)
"""Damaged files that have no image at all."""
pytestmark = pytest.mark.filterwarnings("ignore")  # rasterio warns of files without georeference


def files_of(*folders: str) -> list[Path]:
    """The TIFF files of folders of real data."""
    found = [path for folder in folders for path in sorted((ROOT / folder).glob("*"))]
    return [path for path in found if path.suffix.lower() in (".tif", ".tiff")]


def images_of(group: ManifestGroup, prefix: str = "") -> Iterator[tuple[str, ManifestArray]]:
    """Every image by its path."""
    for name, array in group.arrays.items():
        if name not in _COORDINATES:
            yield prefix + name, array
    for name, member in group.groups.items():
        yield from images_of(member, f"{prefix}{name}/")


@pytest.mark.parametrize("path", files_of("tiff"), ids=lambda path: path.name)
def test_every_image_has_the_pixels_that_tifffile_reads(path: Path) -> None:
    group = TIFFParser().parse(open_source(str(path)))
    with tifffile.TiffFile(path) as file, SourcePool() as pool:
        expected = [page.asarray() for page in file.pages]
        count = 0
        for name, array in images_of(group):
            values = read_values({name: array}, pool)[name]
            is_stack = (array.metadata.dimension_names or ())[0] == "page"
            for image in values if is_stack else [values]:
                count += 1
                assert any(_same(image, other) for other in expected), name
    assert count == len(expected)


def _same(one: Any, other: Any) -> bool:
    is_number = other.dtype.kind in "fc"
    return one.shape == other.shape and np.array_equal(one, other, equal_nan=is_number)


@pytest.mark.parametrize("path", files_of("tiff"), ids=lambda path: path.name)
def test_the_first_image_has_the_pixels_and_places_that_rasterio_reads(path: Path) -> None:
    group = TIFFParser().parse(open_source(str(path)))
    try:
        with rasterio.open(path) as file:
            pixels = file.read()
            xs = [file.xy(0, column)[0] for column in range(file.width)]
            ys = [file.xy(row, 0)[1] for row in range(file.height)]
            is_turned = bool(file.transform.b or file.transform.d) or file.transform.is_identity
    except (rasterio.errors.RasterioError, ValueError) as error:
        pytest.skip(f"rasterio cannot read it: {error}")
    array = group.arrays["image"]
    with SourcePool() as pool:
        values = read_values({"image": array}, pool)["image"]
        places = read_values({name: group.arrays[name] for name in ("x", "y") if name in group.arrays}, pool)
    names = list(array.metadata.dimension_names or ())
    if "page" in names:
        values, names = values[0], names[1:]
    if "band" not in names:
        values, names = values[np.newaxis], ["band", *names]
    values = values.transpose([names.index(name) for name in ("band", "y", "x")])
    page = _first_page(path)
    if int(page.compression) in _LOSSY:
        apart = np.abs(values.astype(float) - pixels[: len(values)])
        # two ways to smooth the coarser colours of JPEG differ at edges
        assert apart.mean() < 1 if int(page.photometric) == _YCBCR else apart.max() <= 2
    elif page.bitspersample in (8, 16, 32, 64):
        np.testing.assert_array_equal(values.astype(pixels.dtype), pixels)
    if places and not is_turned:
        np.testing.assert_allclose(places["x"], xs, rtol=1e-9, atol=1e-9 * abs(xs[-1] - xs[0]))
        np.testing.assert_allclose(places["y"], ys, rtol=1e-9, atol=1e-9 * abs(ys[-1] - ys[0]))


def _first_page(path: Path) -> Any:
    with tifffile.TiffFile(path) as file:
        return file.pages[0]


@pytest.mark.parametrize("name", ["landsat_ard_lc08", "lcmap_cog", "seaflux_qc_3hourly"])
def test_a_series_is_one_store_along_a_new_dimension(name: str, tmp_path: Path) -> None:
    files = series(name)
    if not files:
        pytest.skip("the real data are not there")
    store = tmp_path / "store.parquet"
    vz_beam.build(files, store, concat_dim="time", progress=False)
    expected = np.stack([tifffile.imread(file, key=0) for file in files])
    with xr.open_dataset(str(store), engine="kerchunk", mask_and_scale=False) as ours:
        np.testing.assert_array_equal(ours["image"].values, expected)


@pytest.mark.parametrize("path", files_of("broken", "suspect"), ids=lambda path: path.name)
def test_a_damaged_file_is_refused_or_has_the_pixels_that_tifffile_reads(path: Path) -> None:
    if path.name in _REFUSED:
        with pytest.raises(VzBeamError, match=path.name):
            TIFFParser(unsupported="skip").parse(open_source(str(path)))
        return
    group = TIFFParser(unsupported="skip").parse(open_source(str(path)))
    with SourcePool() as pool:
        for name, array in images_of(group):
            np.testing.assert_array_equal(read_values({name: array}, pool)[name], tifffile.imread(path))
    assert group.skipped or group.arrays
