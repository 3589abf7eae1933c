"""An array made of references, which xarray wraps like any other array."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray

from vz_beam.errors import FormatError, ManifestError, ManifestTypeError, NeedsValuesError
from vz_beam.manifests.array_functions import ARRAY_FUNCTIONS, elementwise_equal
from vz_beam.manifests.array_indexing import index_array
from vz_beam.manifests.axis_order import transpose
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.constant_array import AssumedArray, constant
from vz_beam.manifests.fill_choice import check_holds
from vz_beam.manifests.metadata import ArrayMetadata, check_even
from vz_beam.manifests.reshaping import reshape, squeeze
from vz_beam.manifests.zarr_v3 import from_v3

if TYPE_CHECKING:
    import xarray as xr
    from zarr.core.metadata.v3 import ArrayV3Metadata


class ManifestArray(NDArrayOperatorsMixin):
    """A virtual array: metadata, and a manifest that says where the chunks lie.

    It has no values: numpy functions that only rearrange chunks work, others raise ``ManifestError``.

    Args:
        metadata: an :class:`ArrayMetadata`, or a Zarr v3 array document as dict or zarr object.
        chunkmanifest: a manifest whose grid shape is ``ceil(shape / chunk_shape)``, or the dict that makes one.

    Raises:
        ManifestError: a manifest that does not fit the metadata.
        ManifestTypeError: something else than metadata and a manifest, or a document that lacks a part.
        UnsupportedGridError: a document of a grid that is not regular.
    """

    __slots__ = ("manifest", "metadata")

    def __init__(
        self,
        metadata: ArrayMetadata | ArrayV3Metadata | Mapping[str, Any],
        chunkmanifest: ChunkManifest | Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.metadata = metadata if isinstance(metadata, ArrayMetadata) else _from_document(metadata)
        grid_shape = self.metadata.chunk_grid.grid_shape
        if isinstance(chunkmanifest, Mapping):
            # VirtualiZarr wants them here as the store would name them, by "/", and everywhere else by "."
            separator = "/" if any("/" in key for key in chunkmanifest if isinstance(key, str)) else "."
            chunkmanifest = ChunkManifest(chunkmanifest, shape=grid_shape, separator=separator)
        if not isinstance(chunkmanifest, ChunkManifest):
            raise ManifestTypeError(
                f"chunkmanifest arg must be of type ChunkManifest or dict, but got type {type(chunkmanifest)}"
            )
        if chunkmanifest.grid_shape != grid_shape:
            raise ManifestError(
                f"the manifest has a grid of {chunkmanifest.grid_shape} chunks, but shape {self.shape} in chunks "
                f"of {self.metadata.chunk_shape} makes {grid_shape}"
            )
        self.manifest = chunkmanifest

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements along each dimension."""
        return self.metadata.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the decoded values, in native byte order."""
        return self.metadata.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.metadata.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Size of the decoded values, bytes: what xarray shows as the size of a variable."""
        return self.nbytes_virtual

    @property
    def nbytes_virtual(self) -> int:
        """Size of the decoded values, bytes."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a scalar array")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"ManifestArray<shape={self.shape}, dtype={self.dtype}, chunks={self.metadata.chunk_shape}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (ManifestArray, (self.metadata, self.manifest))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        raise NeedsValuesError(
            "ManifestArrays can't be converted into numpy arrays or pandas Index objects: a virtual array has no "
            "values in memory. Load the variable when opening (loadable_variables=[...]), or write the references and "
            "open the store"
        )

    def __array_function__(
        self, func: Callable[..., Any], types: tuple[type, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        implementation = ARRAY_FUNCTIONS.get(func)
        if implementation is None:
            raise NeedsValuesError(
                f"numpy.{func.__name__} cannot be done on references without reading data: load the variable "
                "(loadable_variables=[...]), or write the references and open the store"
            )
        return implementation(*args, **kwargs)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if ufunc in (np.isnan, np.isnat) and method == "__call__":
            return constant(False, self.shape, AssumedArray)
        if ufunc in (np.equal, np.not_equal) and method == "__call__" and inputs[0] is not self:
            return self == inputs[0] if ufunc is np.equal else self != inputs[0]
        raise NeedsValuesError(
            f"numpy.{ufunc.__name__} needs values, and this array is virtual: load the variable "
            "(loadable_variables=[...]), or write the references and open the store"
        )

    def __eq__(self, other: object) -> Any:
        """Whether both refer to the same bytes in the same way, bool[shape]: one answer, in the memory of one element.

        (VirtualiZarr makes an array of as many elements.)
        """
        if isinstance(other, str) and self.dtype.kind in "OT":
            return constant(
                False, self.shape, AssumedArray
            )  # xarray asks so which texts are missing: references are not looked into
        if not isinstance(other, ManifestArray):
            raise NeedsValuesError(
                "Cannot check equality between a ManifestArray, which can be compared with another one only, and an "
                f"object of type {type(other)}"
            )
        return elementwise_equal(self, other)

    def __ne__(self, other: object) -> Any:
        return ~(self == other)

    __hash__ = None  # type: ignore[assignment]  # == compares by elements, as numpy does

    def __getitem__(self, indexer: Any) -> ManifestArray:
        return index_array(self, indexer)

    @property
    def T(self) -> ManifestArray:
        """The array with its axes reversed."""
        return transpose(self)

    def transpose(self, *axes: Any) -> ManifestArray:
        """The array with its axes in another order; see :func:`vz_beam.manifests.axis_order.transpose`."""
        one = len(axes) == 1 and not isinstance(axes[0], (int, np.integer))
        return transpose(self, (axes[0] if one else axes) or None)

    def squeeze(self, axis: Any = None) -> ManifestArray:
        """The array without axes of length 1; see :func:`vz_beam.manifests.reshaping.squeeze`."""
        return squeeze(self, axis)

    def reshape(self, *shape: Any) -> ManifestArray:
        """The array in another shape, where chunks allow; see :func:`vz_beam.manifests.reshaping.reshape`."""
        return reshape(self, shape[0] if len(shape) == 1 else shape)

    def astype(self, dtype: DTypeLike, *, copy: bool = True) -> ManifestArray:
        """The array itself, where ``dtype`` is its own; anything else would need values."""
        wanted = np.dtype(dtype)
        same_text = wanted.kind == self.dtype.kind and wanted.kind in "SU" and wanted.itemsize == 0
        if wanted != self.dtype and not same_text:
            raise NeedsValuesError(f"{self.dtype} cannot become {wanted} without reading data")
        return self

    def with_fill_value_only(self, fill_value: Any) -> ManifestArray:
        """An array of the same metadata without chunks, all of which reads as ``fill_value``.

        Raises:
            ManifestError: a value that the type does not hold.
        """
        check_holds(fill_value, self.dtype)
        value = fill_value if self.dtype.kind in "OT" else np.asarray(fill_value).astype(self.dtype)[()]
        metadata = replace(self.metadata, fill_value=value)
        return ManifestArray(metadata, ChunkManifest.empty(metadata.chunk_grid.grid_shape))

    def to_virtual_variable(self) -> xr.Variable:
        """The array as an xarray variable, with its dimension names and attributes.

        Raises:
            ManifestError: an array with dimensions and no names for them.
        """
        names = self.metadata.dimension_names
        if names is None and self.ndim:
            raise ManifestError(
                f"Cannot create virtual variable from {self.ndim}-dimensional array without dimension names. It has no "
                "names for them: set dimension_names"
            )
        import xarray as xr  # here, since parsers that only look at a file make do without it

        return xr.Variable(names or (), self, dict(self.metadata.attributes))

    def rename_paths(self, new: str | Callable[[str], str]) -> ManifestArray:
        """The same array in other files; see :meth:`ChunkManifest.rename_paths`."""
        return ManifestArray(self.metadata, self.manifest.rename_paths(new))


def _from_document(document: ArrayV3Metadata | Mapping[str, Any]) -> ArrayMetadata:
    try:
        metadata = from_v3(document)
    except FormatError as error:  # it is an argument here, and no file
        raise ManifestTypeError(f"metadata of an array: {error}") from error
    check_even(metadata)  # as in VirtualiZarr; parsers and pipelines, which know what follows, give an ArrayMetadata
    return metadata
