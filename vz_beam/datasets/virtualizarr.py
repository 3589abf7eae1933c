"""What VirtualiZarr makes as ours, and the other way round: manifests, groups and virtual datasets.

VirtualiZarr and vz_beam both call their accessor ``vz``. Whoever converts to ours has the accessor of ours behind it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zarr.core.metadata.v3 import ArrayV3Metadata

from vz_beam.datasets.accessor import register_accessors
from vz_beam.datasets.changed_arrays import Data, changed_arrays
from vz_beam.errors import InputError, UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.zarr_v3 import from_v3, to_v3


def from_virtualizarr(data: Data) -> Data:
    """The same dataset or tree with arrays of ours for VirtualiZarr's; what is loaded stays.

    Takes some seconds for a million references, of which VirtualiZarr hands over one at a time.

    Raises:
        FormatError: metadata that we do not understand.
    """
    register_accessors()
    return changed_arrays(data, lambda _, __, array: _array(array) if is_virtualizarr_array(array) else array)


def to_virtualizarr(data: Data) -> Data:
    """The same dataset or tree with VirtualiZarr's arrays for ours; what is loaded stays.

    Raises:
        InputError: VirtualiZarr is not installed.
        UnsupportedError: inlined chunks, which VirtualiZarr takes from version 2.6.1 on.
    """
    theirs = _virtualizarr_manifests()
    return changed_arrays(
        data, lambda _, __, array: _their_array(theirs, array) if isinstance(array, ManifestArray) else array
    )


def group_from_virtualizarr(store: Any) -> ManifestGroup:
    """The group of what one of VirtualiZarr's parsers gave.

    Raises:
        InputError: it is no store of VirtualiZarr's.
    """
    group = getattr(store, "_group", None)
    if not type(store).__module__.startswith("virtualizarr.") or group is None:
        raise InputError(f"a parser gives a ManifestStore, vz_beam's or VirtualiZarr's, not a {type(store).__name__}")
    register_accessors()
    return _group(group)


def is_virtualizarr_array(array: object) -> bool:
    """Whether it is VirtualiZarr's ManifestArray, without importing that."""
    theirs = sys.modules.get("virtualizarr.manifests")
    return theirs is not None and isinstance(array, theirs.ManifestArray)


def _group(group: Any) -> ManifestGroup:
    return ManifestGroup(
        {name: _array(array) for name, array in group.arrays.items()},
        {name: _group(below) for name, below in group.groups.items()},
        dict(group.metadata.attributes),
    )


def _array(array: Any) -> ManifestArray:
    manifest, metadata = array.manifest, from_v3(array.metadata)
    grid_shape, wanted = tuple(manifest.shape_chunk_grid), metadata.chunk_grid.grid_shape
    entries = manifest.dict()
    if entries and grid_shape != wanted:  # an empty grid may have any shape there: that of the elements, above all
        raise InputError(
            f"VirtualiZarr gave a grid of {grid_shape} chunks, and shape {metadata.shape} in chunks of "
            f"{metadata.chunk_shape} makes {wanted}"
        )
    return ManifestArray(metadata, ChunkManifest(_named(entries), shape=wanted))


def _named(entries: dict[str, Any]) -> dict[str, Any]:
    """The entries by our keys: VirtualiZarr has an empty one for a scalar's chunk, and integers of numpy."""
    return {
        key or "c": {**entry, "offset": int(entry["offset"]), "length": int(entry["length"])}
        for key, entry in entries.items()
    }


def _their_array(theirs: Any, array: ManifestArray) -> Any:
    manifest = array.manifest
    urls: NDArray[Any] = np.array([*manifest.locations, "", ""], np.dtypes.StringDType())
    inlined = {}
    if manifest.inlined:
        inlined = {
            tuple(int(i) for i in np.unravel_index(number, manifest.grid_shape)): data
            for number, data in manifest.inlined.items()
        }
    columns = {
        "paths": np.asarray(urls[manifest.location_ids], urls.dtype),  # ids of other chunks count from the end
        "offsets": manifest.offsets,
        "lengths": manifest.lengths.astype(np.uint64),
    }
    try:
        converted = theirs.ChunkManifest.from_arrays(**columns, **({"inlined": inlined} if inlined else {}))
    except TypeError as error:
        if not inlined:
            raise
        raise UnsupportedError(
            "this version of VirtualiZarr takes no inlined chunks. Way out: install 2.6.1 or later, or drop those"
        ) from error
    return theirs.ManifestArray(metadata=ArrayV3Metadata.from_dict(to_v3(array.metadata)), chunkmanifest=converted)


def _virtualizarr_manifests() -> Any:
    try:
        import virtualizarr.manifests
    except ImportError:
        raise InputError("VirtualiZarr is not installed. Way out: pip install 'vz-beam[virtualizarr]'") from None
    register_accessors()
    return virtualizarr.manifests
