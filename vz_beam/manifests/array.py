"""An array made of references, which xarray wraps like any other array."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vz_beam.errors import ManifestError
from vz_beam.manifests.array_functions import ARRAY_FUNCTIONS, elementwise_equal
from vz_beam.manifests.array_indexing import index_array
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.manifests.zarr_v3 import from_v3


class ManifestArray:
    """A virtual array: metadata, and a manifest that says where the chunks lie.

    It has no values: numpy functions that only rearrange chunks work, others raise ``ManifestError``.

    Args:
        metadata: an :class:`ArrayMetadata`, or a Zarr v3 array document as dict or zarr object.
        chunkmanifest: a manifest whose grid shape is ``ceil(shape / chunk_shape)``, or the dict that makes one.

    Raises:
        ManifestError: a manifest that does not fit the metadata.
    """

    __slots__ = ("manifest", "metadata")

    def __init__(
        self,
        metadata: ArrayMetadata | Mapping[str, Any],
        chunkmanifest: ChunkManifest | Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.metadata = metadata if isinstance(metadata, ArrayMetadata) else from_v3(metadata)
        grid_shape = self.metadata.chunk_grid.grid_shape
        if isinstance(chunkmanifest, Mapping):
            chunkmanifest = ChunkManifest(chunkmanifest, shape=grid_shape)
        if not isinstance(chunkmanifest, ChunkManifest):
            raise TypeError(f"a manifest array needs a ChunkManifest or dict, not a {type(chunkmanifest).__name__}")
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
        raise ManifestError(
            "a virtual array has no values in memory: load the variable when opening "
            "(loadable_variables=[...]), or write the references and open the store"
        )

    def __array_function__(
        self, func: Callable[..., Any], types: tuple[type, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        implementation = ARRAY_FUNCTIONS.get(func)
        if implementation is None:
            raise ManifestError(
                f"numpy.{func.__name__} cannot be done on references without reading data: load the variable "
                "(loadable_variables=[...]), or write the references and open the store"
            )
        return implementation(*args, **kwargs)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if ufunc is np.isnan and method == "__call__":
            return np.broadcast_to(np.False_, self.shape)
        raise ManifestError(
            f"numpy.{ufunc.__name__} needs values, and this array is virtual: load the variable "
            "(loadable_variables=[...]), or write the references and open the store"
        )

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, ManifestArray):
            raise TypeError(f"a manifest array can be compared with another one, not with a {type(other).__name__}")
        return elementwise_equal(self, other)

    __hash__ = None  # type: ignore[assignment]  # == compares by elements, as numpy does

    def __getitem__(self, indexer: Any) -> ManifestArray:
        return index_array(self, indexer)

    def astype(self, dtype: DTypeLike, *, copy: bool = True) -> ManifestArray:
        """The array itself, where ``dtype`` is its own; anything else would need values."""
        if np.dtype(dtype) != self.dtype:
            raise ManifestError(f"{self.dtype} cannot become {np.dtype(dtype)} without reading data")
        return self

    def rename_paths(self, new: str | Callable[[str], str]) -> ManifestArray:
        """The same array in other files; see :meth:`ChunkManifest.rename_paths`."""
        return ManifestArray(self.metadata, self.manifest.rename_paths(new))
