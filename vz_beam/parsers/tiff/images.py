"""One image of a TIFF file as a manifest array: its strips or tiles are chunks.

Source: TIFF 6.0, "Strips", "Tiled Images", "Planar Configuration"; GDAL, "GTiff", for sparse files and nodata.
"""

from __future__ import annotations

import base64
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.codecs.tiff import TIFF_ERRORS, TIFF_ID
from vz_beam.errors import FormatError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import MISSING, ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.parsers.attribute_values import cf_fill_number
from vz_beam.parsers.tiff.geo import packing_of

_NONE, _DEFLATE, _ZSTD = (1,), (8, 32946), (50000,)
"""Compressions that Zarr knows by itself."""
_WHOLE_BITS = (8, 16, 32, 64)
_PALETTE, _YCBCR = 3, 6
_CONTIG, _SEPARATE = 1, 2
_NUMBERS_OF_IMAGE = (256, 257, 258, 259, 262, 266, 277, 278, 284, 292, 293, 317, 322, 323, 338, 339, 530, 532, 50674)
_BYTES_OF_IMAGE = (347,)
"""Tags that tifffile needs to decode: of numbers, and of bytes (JPEG tables)."""
_WIDTH, _LENGTH, _ROWS, _TILE_WIDTH, _TILE_LENGTH = 256, 257, 278, 322, 323
_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS = 273, 279, 324, 325
_NODATA = 42113
_JOINED_BYTES = 2**25
"""Strips that follow each other are one chunk up to this size, where that is what makes the last one fit."""
_MOST_CHUNK_BYTES = 2**32
_MOST_CHUNKS = 2**27


@dataclass(frozen=True, slots=True)
class Image:
    """One image.

    Args:
        array: of shape (y, x), (y, x, band) or (band, y, x).
        extent: rows and columns.
        key: images of one key can be one array.
    """

    array: ManifestArray
    extent: tuple[int, int]
    key: tuple[Any, ...]

    @property
    def pixels(self) -> int:
        """Rows times columns."""
        return math.prod(self.extent)


def image_of(page: Any, url: str, size: int) -> Image:
    """The image of a page of tifffile; ``size`` is that of the file, bytes.

    Raises:
        UnsupportedError: it cannot be decoded.
        FormatError: its strips or tiles are not in the file, or not as many as it should have.
    """
    dtype = page.dtype
    if dtype is None:
        raise UnsupportedError(
            f"its pixels have {page.bitspersample} bits in the sample format {page.sampleformat}: no type of numpy"
        )
    dtype = np.dtype(dtype).newbyteorder("=")
    if page.imagedepth != 1 or page.tiledepth != 1:
        raise UnsupportedError("it is a volume of several planes in one image (ImageDepth)")
    rows, columns, samples = int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel)
    if min(rows, columns, samples) < 1:
        raise FormatError(f"it has {rows} rows, {columns} columns and {samples} samples")
    is_separate = int(page.planarconfig) == _SEPARATE and samples > 1
    height = int(page.tilelength) if page.is_tiled else min(int(page.rowsperstrip) or rows, rows)
    width = int(page.tilewidth) if page.is_tiled else columns
    if min(height, width) < 1:
        raise FormatError(f"its strips or tiles have {height} rows and {width} columns")
    grid = (-(-rows // height), -(-columns // width))
    expected = math.prod(grid) * (samples if is_separate else 1)
    if expected > _MOST_CHUNKS:
        raise FormatError(f"it would have {expected:,} strips or tiles")
    offsets, lengths = _places(page, expected, size)
    chunk_bytes = height * width * (1 if is_separate else samples) * dtype.itemsize
    if chunk_bytes >= _MOST_CHUNK_BYTES:
        raise UnsupportedError(f"one of its strips or tiles has {chunk_bytes:,} bytes when it is decoded")
    codecs = _codecs(page)
    is_plain = codecs is not None
    order = "little" if not is_plain or page.parent.byteorder == "<" else "big"
    short = rows % height if not page.is_tiled else 0
    if codecs is None:
        codecs = (_codec_of_ours(page, height, short, chunk_bytes),)
    elif short and codecs:  # a short strip decodes to fewer bytes than a chunk, which Zarr's codecs refuse
        codecs, order = (_codec_of_ours(page, height, short, chunk_bytes),), "little"
    elif short:
        height, grid, offsets, lengths = _fitting(height, short, grid, offsets, lengths, rows, chunk_bytes // height)
    if not codecs:
        _check_lengths(lengths, height * width * (1 if is_separate else samples) * dtype.itemsize, page)
    fill = _nodata(page, dtype)
    has_bands = samples > 1
    if has_bands and is_separate:
        shape, chunk_shape, names = (samples, rows, columns), (1, height, width), ("band", "y", "x")
    elif has_bands:
        shape, chunk_shape, names = (rows, columns, samples), (height, width, samples), ("y", "x", "band")
    else:
        shape, chunk_shape, names = (rows, columns), (height, width), ("y", "x")  # type: ignore[assignment]
    metadata = ArrayMetadata(
        shape=shape,
        dtype=dtype,
        chunk_shape=chunk_shape,
        byte_order=order if dtype.itemsize > 1 else None,
        codecs=codecs,
        fill_value=dtype.type(fill) if fill is not None and not isinstance(fill, str) else dtype.type(0),
        attributes=_attributes(page, dtype, fill, samples),
        dimension_names=names,
    )
    array = ManifestArray(metadata, _manifest(url, metadata.chunk_grid.grid_shape, offsets, lengths))
    key = (shape, dtype, chunk_shape, metadata.byte_order, tuple(map(repr, codecs)), repr(metadata.attributes))
    return Image(array, (rows, columns), key)


def stacked(images: list[Image]) -> ManifestArray:
    """Images of one key as one array, along the dimension ``page`` where there are several."""
    if len(images) == 1:
        return images[0].array
    arrays = [image.array for image in images]
    first = arrays[0].metadata
    metadata = first.with_shape(
        (len(arrays), *first.shape), (1, *first.chunk_shape), ("page", *(first.dimension_names or ()))
    )
    manifests = [array.manifest for array in arrays]
    ids = np.stack([manifest.location_ids for manifest in manifests])
    offsets, lengths = (np.stack([getattr(each, name) for each in manifests]) for name in ("offsets", "lengths"))
    locations = next((array.manifest.locations for array in arrays if array.manifest.locations), ())
    return ManifestArray(metadata, ChunkManifest.from_columns(locations, ids, offsets, lengths))


def _places(page: Any, expected: int, size: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    try:
        offsets = np.array(page.dataoffsets, np.uint64)
        lengths = np.array(page.databytecounts, np.uint64)
    except (OverflowError, ValueError, TypeError) as error:
        raise FormatError(f"the places of its strips or tiles are no numbers of bytes: {error}") from error
    if len(offsets) == 0 and len(lengths) == 0:
        raise FormatError("it does not say where its strips or tiles are")
    if len(offsets) < expected or len(lengths) < expected:
        raise FormatError(f"it has {min(len(offsets), len(lengths)):,} strips or tiles, and should have {expected:,}")
    offsets, lengths = offsets[:expected], lengths[:expected]
    lengths = np.where(offsets == 0, np.uint64(0), lengths)
    ends = offsets + lengths
    if (lengths > 0).any() and ((ends > size) & (lengths > 0)).any():
        raise FormatError(
            f"a strip or tile ends at byte {int(ends[lengths > 0].max()):,}, and the file has {size:,}: it is cut short"
        )
    return offsets, lengths


def _codecs(page: Any) -> tuple[Codec, ...] | None:
    """The codecs of Zarr that decode the image; ``None`` where there are none."""
    bits, compression = page.bitspersample, int(page.compression)
    is_whole = bits in _WHOLE_BITS and page.dtype.itemsize * 8 == bits
    if not is_whole or int(page.predictor) != 1 or int(page.fillorder) != 1 or int(page.photometric) == _YCBCR:
        return None
    if compression in _NONE:
        return ()
    if compression in _DEFLATE:
        return (Codec("numcodecs.zlib", {"level": 6}),)
    if compression in _ZSTD:
        return (Codec("zstd", {"level": 9, "checksum": False}),)
    return None


def _codec_of_ours(page: Any, height: int, short: int, nbytes: int) -> Codec:
    """Tifffile decodes: its header is the image's tags on an image of one tile, or of a whole and a short strip."""
    tags: dict[int, tuple[int, ...] | bytes] = {}
    for code in (*_NUMBERS_OF_IMAGE, *_BYTES_OF_IMAGE):
        tag = page.tags.get(code)
        if tag is None:
            continue
        if code in _BYTES_OF_IMAGE:
            tags[code] = bytes(tag.value)
        else:
            values = tag.value if isinstance(tag.value, tuple) else (tag.value,)
            tags[code] = tuple(int(value) for value in values)
    strips = 1
    if page.is_tiled:
        tags[_WIDTH], tags[_LENGTH] = (int(page.tilewidth),), (int(page.tilelength),)
    else:
        strips = 2 if short else 1
        tags[_ROWS], tags[_LENGTH] = (height,), (height + short,)
    if int(page.planarconfig) == _SEPARATE:
        strips *= int(page.samplesperpixel)
    where, how_many = (_TILE_OFFSETS, _TILE_COUNTS) if page.is_tiled else (_STRIP_OFFSETS, _STRIP_COUNTS)
    tags[where], tags[how_many] = (8,) * strips, (1,) * strips
    header = base64.b64encode(_directory(tags, page.parent.byteorder)).decode()
    codec = Codec(TIFF_ID, {"header": header, "nbytes": nbytes})
    _check_decodable(page)
    return codec


def _check_decodable(page: Any) -> None:
    try:
        page.decode(None, 0)  # of nothing: tells whether it could
    except TIFF_ERRORS as error:
        raise UnsupportedError(
            f"tifffile cannot decode it: {str(error).removeprefix('<').splitlines()[0][:200]}"
        ) from error


def _directory(tags: dict[int, tuple[int, ...] | bytes], order: str) -> bytes:
    """A TIFF file of one directory and no pixels."""
    entries, extra = [], b""
    begin = 8 + 2 + 12 * len(tags) + 4
    for code, value in sorted(tags.items()):
        if isinstance(value, bytes):
            kind, count, data = 7, len(value), value
        else:
            kind, count, data = 4, len(value), struct.pack(f"{order}{len(value)}I", *value)
        if len(data) > 4:
            place = struct.pack(f"{order}I", begin + len(extra))
            extra += data + bytes(len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        entries.append(struct.pack(f"{order}HHI", code, kind, count) + place)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    body = struct.pack(f"{order}H", len(tags)) + b"".join(entries) + struct.pack(f"{order}I", 0)
    return head + body + extra + bytes(8)


def _fitting(
    height: int,
    short: int,
    grid: tuple[int, int],
    offsets: NDArray[np.uint64],
    lengths: NDArray[np.uint64],
    rows: int,
    row_bytes: int,
) -> tuple[int, tuple[int, int], NDArray[np.uint64], NDArray[np.uint64]]:
    """Uncompressed strips as chunks that are all of one height, the last one too: joined, or cut.

    The places are of one plane after another. Gives height, grid, offsets and lengths.
    """
    planes = len(offsets) // grid[0]
    whole = np.full(grid[0], height * row_bytes, np.uint64)
    whole[-1] = short * row_bytes
    _check_strips(lengths.reshape(planes, grid[0]), whole)
    starts = offsets.reshape(planes, grid[0])
    ahead = np.concatenate([[0], np.cumsum(whole)[:-1]]).astype(np.uint64)
    follows = bool((starts == starts[:, :1] + ahead).all()) and bool((lengths > 0).all())
    if follows and rows * row_bytes <= _JOINED_BYTES:
        return rows, (1, grid[1]), starts[:, 0], np.full(planes, rows * row_bytes, np.uint64)
    piece = math.gcd(height, short)
    count = rows // piece
    first = np.arange(count, dtype=np.uint64) * np.uint64(piece)
    strip = (first // np.uint64(height)).astype(np.int64)
    within = (first % np.uint64(height)) * np.uint64(row_bytes)
    cut = np.where(lengths.reshape(planes, grid[0])[:, strip] > 0, starts[:, strip] + within, 0).ravel()
    sizes = np.where(cut > 0, np.uint64(piece * row_bytes), np.uint64(0))
    return piece, (count, grid[1]), cut.astype(np.uint64), sizes.astype(np.uint64)


def _check_strips(lengths: NDArray[np.uint64], whole: NDArray[np.uint64]) -> None:
    odd = (lengths != whole) & (lengths > 0)
    if (lengths[odd] < np.broadcast_to(whole, lengths.shape)[odd]).any():
        raise FormatError(
            f"an uncompressed strip has {int(lengths[odd].min()):,} bytes, and its rows need {int(whole.max()):,}"
        )


def _check_lengths(lengths: NDArray[np.uint64], nbytes: int, page: Any) -> None:
    here = lengths[lengths > 0]
    if (here < nbytes).any():
        raise FormatError(
            f"an uncompressed strip or tile has {int(here.min()):,} bytes, and its pixels need {nbytes:,}"
        )
    lengths[lengths > nbytes] = nbytes  # some writers pad


def _manifest(
    url: str, grid_shape: tuple[int, ...], offsets: NDArray[np.uint64], lengths: NDArray[np.uint64]
) -> ChunkManifest:
    ids = np.where(lengths > 0, 0, MISSING).astype(np.int32)
    offsets = np.where(lengths > 0, offsets, np.uint64(0))
    shaped = (offsets.reshape(grid_shape), lengths.reshape(grid_shape))
    return ChunkManifest.from_columns((url,), ids.reshape(grid_shape), *shaped)


def _nodata(page: Any, dtype: np.dtype[Any]) -> Any:
    """What GDAL says is no data, as the type holds it; ``None`` where it says nothing or what no pixel can be."""
    tag = page.tags.get(_NODATA)
    if tag is None:
        return None
    text = str(tag.value).strip("\0 ")
    try:
        value = float(text) if dtype.kind in "fc" else int(text, 10) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        return None
    number = cf_fill_number(value, dtype)
    return number if dtype.kind in "fc" or isinstance(number, int) else None


def _attributes(page: Any, dtype: np.dtype[Any], fill: Any, samples: int) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if fill is not None and dtype.kind in "iuf":
        limits = np.iinfo(dtype) if dtype.kind in "iu" else None
        if limits is None or limits.min <= fill <= limits.max:
            attributes["_FillValue"] = fill
    attributes |= packing_of(page, samples)
    if int(page.photometric) == _PALETTE and page.colormap is not None:
        attributes["photometric"] = "palette"
    return attributes
