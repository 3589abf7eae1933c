"""What an array is, apart from where its chunks lie: shape, type, codecs, fill and attributes.

Source: Zarr v3 core specification, "Array metadata" (https://zarr-specs.readthedocs.io/en/latest/v3/core/).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from vz_beam.errors import ManifestError, UnsupportedGridError, VzBeamError
from vz_beam.manifests.chunk_grid import ChunkGrid, UnevenChunks

Attributes = Mapping[str, Any]
"""Attribute values are ``str``, ``int``, ``float``, ``bool``, ``None``, or lists of those: what JSON can say."""


def plain_value(value: Any) -> Any:
    """An attribute value as JSON can say it: numpy scalars and arrays become numbers and lists."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


@dataclass(frozen=True, slots=True)
class Codec:
    """One step of a codec pipeline: its Zarr v3 name and configuration.

    The steps of an :class:`ArrayMetadata` stand in encoding order and act on bytes; the step
    from array to bytes is ``ArrayMetadata.byte_order`` unless ``serializer`` says otherwise.
    """

    name: str
    configuration: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The codec as the Zarr v3 metadata writes it."""
        return {"name": self.name, "configuration": dict(self.configuration)}

    to_dict = to_json


@dataclass(frozen=True, slots=True)
class ArrayMetadata:
    """Everything that a Zarr array's metadata says.

    It has the members of zarr's ``ArrayV3Metadata`` that are read in practice, and is equal to one that writes the same
    document. Unlike there, ``codecs`` does not hold the step from array to bytes, and ``fill_value`` is ``None`` where
    the file names none: ``to_dict()`` has both as Zarr v3 writes them.

    Args:
        shape: elements.
        dtype: numpy dtype in native byte order; the stored order is ``byte_order``.
            Variable-length strings are ``np.dtypes.StringDType()`` with the serializer ``vlen-utf8``.
        chunk_shape: elements; each at least 1; of the longest chunk along the axes in ``uneven_chunks``.
        byte_order: ``"little"``, ``"big"``, or ``None`` where a byte order has no meaning.
        serializer: the array-to-bytes codec where it is not plain ``bytes``, else ``None``.
        codecs: bytes-to-bytes codecs in encoding order.
        fill_value: what a missing chunk reads as, a numpy scalar of ``dtype`` (``str`` for
            strings); ``None`` where the format names none. It is the storage fill, not the attribute
            ``_FillValue``.
        attributes: as the file has them, ``_FillValue`` included.
        dimension_names: one for each dimension, or ``None``.
        packing_dtypes: types of the attributes ``scale_factor`` and ``add_offset`` in the file, where Python's numbers
            have others. No store says them; two arrays that differ in nothing else are equal.
        uneven_chunks: by axis, where chunks are not all of one length, which only rectilinear grids of Zarr v3 can say.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_shape: tuple[int, ...]
    byte_order: str | None = "little"
    serializer: Codec | None = None
    codecs: tuple[Codec, ...] = ()
    fill_value: Any = None
    attributes: Attributes = field(default_factory=dict)
    dimension_names: tuple[str, ...] | None = None
    packing_dtypes: Mapping[str, np.dtype[Any]] = field(default_factory=dict, compare=False)
    uneven_chunks: Mapping[int, UnevenChunks] = field(default_factory=dict)

    def __post_init__(self) -> None:
        grid = ChunkGrid(self.shape, self.chunk_shape, self.uneven_chunks)
        object.__setattr__(self, "shape", grid.shape)
        object.__setattr__(self, "chunk_shape", grid.chunk_shape)
        dtype: np.dtype[Any] = np.dtype(self.dtype)
        if dtype.byteorder == ">" and dtype.kind not in "OV":
            raise ManifestError(f"dtype {dtype} is not native: its byte order belongs into byte_order")
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "codecs", tuple(self.codecs))
        if self.byte_order not in ("little", "big", None):
            raise ManifestError(f"byte order {self.byte_order!r} is neither 'little', 'big' nor None")
        if self.dimension_names is not None:
            names = tuple(self.dimension_names)
            if len(names) != len(self.shape):
                raise ManifestError(f"dimension names {names} do not fit shape {self.shape}")
            object.__setattr__(self, "dimension_names", names)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ArrayMetadata):
            return all(alike(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        if not hasattr(other, "to_dict") or not hasattr(other, "chunk_grid"):
            return NotImplemented
        v3 = _v3_documents()
        try:
            return alike(self.to_dict(), v3.to_v3(v3.from_v3(other)))
        except VzBeamError:
            return False

    def to_dict(self) -> dict[str, Any]:
        """The Zarr v3 document of the array; see :func:`vz_beam.manifests.zarr_v3.to_v3`."""
        return _v3_documents().to_v3(self)  # type: ignore[no-any-return]

    @property
    def data_type(self) -> Any:
        """The data type as zarr has it."""
        import zarr.dtype  # here, since parsers that only look at a file make do without it

        return zarr.dtype.parse_dtype(self.to_dict()["data_type"], zarr_format=3)

    @property
    def chunk_key_encoding(self) -> Mapping[str, Any]:
        """How a store names chunks: as Zarr v3 does where nothing else is said."""
        return self.to_dict()["chunk_key_encoding"]  # type: ignore[no-any-return]

    @property
    def zarr_format(self) -> int:
        """3."""
        return 3

    @property
    def node_type(self) -> str:
        """``"array"``."""
        return "array"

    @property
    def chunk_grid(self) -> ChunkGrid:
        """The grid that ``shape``, ``chunk_shape`` and ``uneven_chunks`` make."""
        return ChunkGrid(self.shape, self.chunk_shape, self.uneven_chunks)

    @property
    def typed_attributes(self) -> dict[str, Any]:
        """``attributes`` with packing in the types of the file, by which xarray chooses that of decoded values."""
        known = self.packing_dtypes.keys() & self.attributes.keys()
        return {**self.attributes, **{name: self.packing_dtypes[name].type(self.attributes[name]) for name in known}}

    @property
    def chunks(self) -> tuple[int, ...]:
        """``chunk_shape`` under the name that zarr gives it."""
        return self.chunk_shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def chunk_nbytes(self) -> int:
        """Size of one decoded chunk, of the longest, bytes. Meaningless for variable-length types."""
        return int(np.prod(self.chunk_shape, dtype=np.int64)) * self.dtype.itemsize

    def with_shape(
        self,
        shape: tuple[int, ...],
        chunk_shape: tuple[int, ...] | None = None,
        dimension_names: tuple[str, ...] | None = None,
    ) -> ArrayMetadata:
        """The same metadata on another shape; names are dropped unless given or still fitting.

        Chunks of another shape are even ones.
        """
        if dimension_names is None and len(shape) == self.ndim:
            dimension_names = self.dimension_names
        return replace(
            self,
            shape=shape,
            chunk_shape=self.chunk_shape if chunk_shape is None else chunk_shape,
            dimension_names=dimension_names,
            uneven_chunks=self.uneven_chunks if chunk_shape is None else {},
        )


def check_even(*arrays: ArrayMetadata) -> None:
    """Refuses arrays whose chunks are not all of one shape, which are written and read, and not rearranged.

    Raises:
        UnsupportedGridError: says which chunks the first one has.
    """
    for metadata in arrays:
        if metadata.uneven_chunks:
            raise UnsupportedGridError(
                f"an array of shape {metadata.shape} has chunks of {metadata.chunk_grid.shown} elements, a rectilinear "
                "grid, which cannot be rearranged. Way out: combine its files (vz_beam.build, "
                "chunk_grid='rectilinear'), or load it (loadable_variables=[...])"
            )


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal, NaN to NaN, in whatever they lie."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(alike(value, other[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, (float, complex, np.number, np.datetime64, np.timedelta64)) and one != one:
        return isinstance(other, type(one)) and bool(other != other)
    return bool(np.all(one == other)) and np.shape(one) == np.shape(other)


def _v3_documents() -> Any:
    """The module that writes and reads documents, which imports this one."""
    return importlib.import_module("vz_beam.manifests.zarr_v3")
