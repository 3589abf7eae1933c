"""``xr.open_dataset(file, engine="vz_beam")``: archival files with their values, which are read when they are used.

Source: xarray, "How to add a new backend" (https://docs.xarray.dev/en/stable/internals/how-to-add-new-backend.html).
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from xarray.backends import AbstractDataStore, BackendArray, BackendEntrypoint, StoreBackendEntrypoint
from xarray.core import indexing
from zarr.errors import UnstableSpecificationWarning, ZarrUserWarning

from vz_beam.combine.era_pieces import pieces_in
from vz_beam.combine.skipped import SKIPPED_KEY
from vz_beam.datasets.concatenation import concatenated
from vz_beam.datasets.opening import OpenedGroup, StorageOptions, names_of, opened_file
from vz_beam.errors import FormatError, ManifestError, UnsupportedError, UnsupportedGridError, VzBeamError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.storage.array_values import read_values
from vz_beam.storage.chunk_requests import chunks_together
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.storage.zarr_settings import knows_rectilinear, rectilinear_allowed

_ONE_AT_A_TIME = threading.Lock()
"""Warnings are silenced for all threads at once."""


class VzBeamBackendEntrypoint(BackendEntrypoint):
    """Opens whatever a parser of vz_beam knows, where it is asked for by name.

    Dimension coordinates are read at once and together, all else when it is used, the chunks of a variable together.
    ``chunks={}`` makes one dask chunk of each chunk in the file. What is pickled holds no credentials: workers in
    other processes use those of their surroundings.

    The root of a store of eras (``mismatch="split"``) opens as one dataset, decoded, where the eras hold the same
    variables and follow each other along one dimension; each era is a group.

    Beside what :func:`xarray.open_dataset` takes, the methods take ``group``, ``storage_options``, ``registry``,
    ``parser`` and ``unsupported`` as :func:`vz_beam.open_virtual_dataset` does, and raise its errors.
    """

    description = "Open archival files through their chunk manifests (vz_beam)"
    supports_groups = True
    open_dataset_parameters: ClassVar[tuple[str, ...]] = (
        *("drop_variables", "mask_and_scale", "decode_times", "decode_timedelta", "use_cftime"),
        *("concat_characters", "decode_coords"),
    )

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """False: no file is taken away from another engine."""
        return False

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        storage_options: StorageOptions | None = None,
        registry: Any = None,
        parser: Any = None,
        unsupported: str | None = None,
        allow_external: bool = False,
        **decoders: Any,
    ) -> xr.Dataset:
        """One group of a file."""
        how = (registry, parser, group, storage_options, unsupported, None, allow_external)
        with opened_file(filename_or_obj, *how, values_anywhere=True) as opened:
            drop = names_of(drop_variables, "drop_variables") or []
            skipped = opened.left_out([path for path in opened.skipped if "/" not in path], drop)
            store, stored = _stored_below(opened.node, registry, storage_options)
            dataset = _dataset(opened, "", opened.node, stored, drop, skipped, decoders)
            whole = pieces_in(opened.node.attributes)
            if whole is not None and not opened.node.arrays:
                eras = {
                    name: _dataset(opened, name, node, stored, drop, {}, decoders)
                    for name, node in opened.node.groups.items()
                }
                dataset = concatenated(eras, *whole)
                dataset.encoding["source"] = opened.url
        dataset.set_close(store.close)
        return dataset

    def open_groups_as_dict(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        storage_options: StorageOptions | None = None,
        registry: Any = None,
        parser: Any = None,
        unsupported: str | None = None,
        allow_external: bool = False,
        **decoders: Any,
    ) -> dict[str, xr.Dataset]:
        """Each group at and below ``group`` by its path from there, such as ``"/"`` and ``"/a/b"``."""
        how = (registry, parser, group, storage_options, unsupported, None, allow_external)
        with opened_file(filename_or_obj, *how, values_anywhere=True) as opened:
            drop = names_of(drop_variables, "drop_variables") or []
            skipped = opened.left_out(opened.skipped, drop)
            store, stored = _stored_below(opened.node, registry, storage_options)
            groups = {}
            for path, node in opened.node.walk():
                here = {p.rpartition("/")[2]: why for p, why in skipped.items() if p.rpartition("/")[0] == path}
                groups[f"/{path}"] = _dataset(opened, path, node, stored, drop, here, decoders)
        groups["/"].set_close(store.close)
        return groups

    def open_datatree(self, filename_or_obj: Any, **options: Any) -> xr.DataTree:
        """All groups of a file, or of one of its groups."""
        groups = self.open_groups_as_dict(filename_or_obj, **options)
        tree = xr.DataTree.from_dict(groups)
        tree.set_close(groups["/"].close)
        return tree


def _stored_below(
    node: ManifestGroup, registry: Any, storage_options: StorageOptions | None
) -> tuple[ManifestStore, dict[tuple[str, str], _StoredValues]]:
    """The values of all arrays at and below ``node`` by path and name, and the store that they are read from.

    In the store they are numbered: files have names that mean something else in a path.
    """
    arrays = {(path, name): array for path, group in node.walk() for name, array in group.arrays.items()}
    root = ManifestGroup({str(number): array for number, array in enumerate(arrays.values())})
    store = ManifestStore(root, registry=registry, storage_options=storage_options)
    named = enumerate(arrays.items())
    return store, {place: _StoredValues(store, str(number), array) for number, (place, array) in named}


def _dataset(
    opened: OpenedGroup,
    path: str,
    node: ManifestGroup,
    stored: Mapping[tuple[str, str], _StoredValues],
    drop: Iterable[str],
    skipped: Mapping[str, str],
    decoders: Mapping[str, Any],
) -> xr.Dataset:
    """The decoded dataset of ``node``, which is at ``path`` from the group that was opened."""
    dropped = set(opened.names_at(path, drop))
    arrays = {name: array for name, array in node.arrays.items() if name not in dropped}
    variables = {}
    scales = {name: array for name, array in arrays.items() if array.metadata.dimension_names == (name,)}
    known: dict[str, NDArray[Any]] = {}
    with suppress(UnsupportedError):  # of codecs that zarr alone undoes: then they are read as all others are
        known = read_values(scales, opened.open_location)
    for name, array in arrays.items():
        dims = array.metadata.dimension_names
        if dims is None:
            if array.ndim:
                raise ManifestError(f"{opened.url}: the parser gave {name!r} no dimension names")
            dims = ()
        chunks = array.metadata.chunk_shape
        uneven = array.metadata.uneven_chunks
        preferred = [
            array.metadata.chunk_grid.clipped(axis) if axis in uneven else length for axis, length in enumerate(chunks)
        ]
        encoding: dict[str, Any] = {"chunks": chunks, "preferred_chunks": dict(zip(dims, preferred, strict=True))}
        encoding["source"] = opened.url
        if array.dtype.kind == "T":
            encoding["dtype"] = str  # as xarray's readers of netCDF files have it: decoding makes such texts numpy's
        values: Any = known.get(name)
        if values is None:
            values = indexing.LazilyIndexedArray(stored[path, name])
        variables[name] = xr.Variable(dims, values, array.metadata.typed_attributes, encoding)
    dataset = StoreBackendEntrypoint().open_dataset(_Variables(variables, node.attributes), **decoders)
    dataset.encoding["source"] = opened.url
    if skipped:
        dataset.encoding[SKIPPED_KEY] = dict(skipped)
    return dataset


class _Variables(AbstractDataStore):
    """What xarray decodes: variables as they are stored, and the attributes of their group."""

    def __init__(self, variables: Mapping[str, xr.Variable], attributes: Mapping[str, Any]) -> None:
        self._variables = variables
        self._attributes = attributes

    def get_variables(self) -> Mapping[str, xr.Variable]:
        """Variables by name."""
        return self._variables

    def get_attrs(self) -> dict[str, Any]:
        """Of the group."""
        return dict(self._attributes)

    def get_dimensions(self) -> dict[str, int]:
        """Length of each dimension, elements."""
        return {str(d): n for v in self._variables.values() for d, n in zip(v.dims, v.shape, strict=True)}

    def get_encoding(self) -> dict[str, Any]:
        """Nothing."""
        return {}


class _StoredValues(BackendArray):
    """The values of one array of a store. A pickle holds that array alone."""

    def __init__(self, store: ManifestStore, path: str, array: ManifestArray) -> None:
        self._store = store
        self._path = path
        self._array = array
        self._opened: zarr.Array[Any] | None = None
        self.shape = array.shape
        self.dtype = np.dtype(object) if array.dtype.kind == "T" else array.dtype

    def __deepcopy__(self, memo: Any) -> _StoredValues:
        return self  # nothing here changes; a copy by way of a pickle would lose its credentials

    def __reduce__(self) -> tuple[Any, ...]:
        return (_values_of, (self._array,))

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        values = indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)
        return np.asarray(values, self.dtype)

    def _read(self, selection: tuple[Any, ...]) -> Any:
        try:
            if self._opened is None:
                uneven = bool(self._array.metadata.uneven_chunks)
                self._opened = _open_quietly(self._store, self._path, is_rectilinear=uneven)
            array = self._opened
            with chunks_together():
                return array.oindex[selection] if selection else array[()]
        except (VzBeamError, LookupError, MemoryError):
            raise
        except Exception as error:  # codecs have errors of their own, zlib.error for one
            locations = self._array.manifest.locations
            where = (
                locations[0] if len(locations) == 1 else f"one of {len(locations):,} files" if locations else "inlined"
            )
            raise FormatError(
                f"chunks of an array of shape {self.shape} ({where}) cannot be decoded as their metadata says: "
                f"{type(error).__name__}: {str(error)[:200]}. Way out: fetch the file again, or leave the variable out"
            ) from error


def _open_quietly(store: ManifestStore, path: str, *, is_rectilinear: bool) -> zarr.Array[Any]:
    """The array; that files are compressed in ways that Zarr's specification does not name is no news to users.

    Raises:
        UnsupportedError: chunks of several lengths, which zarr knows from 3.2 on.
    """
    if is_rectilinear and not knows_rectilinear():
        raise UnsupportedGridError(
            f"the array has chunks of several lengths (a rectilinear grid), which zarr {zarr.__version__} cannot "
            "read. Way out: zarr 3.2 or later (Python 3.12 or later)"
        )
    with _ONE_AT_A_TIME, warnings.catch_warnings(), rectilinear_allowed():
        warnings.simplefilter("ignore", ZarrUserWarning)
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        return zarr.open_array(store=store, path=path, mode="r")


def _values_of(array: ManifestArray) -> _StoredValues:
    return _StoredValues(ManifestStore(ManifestGroup({"values": array})), "values", array)
