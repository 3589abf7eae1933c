"""What ``ds.vz`` and ``tree.vz`` offer: writing references, renaming paths, counting."""

from __future__ import annotations

import os
import warnings
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import xarray as xr

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.choices import CHUNKS_PER_SHARD, CombineChoices
from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import Layout
from vz_beam.combine.placing import InputReferences, place, place_in_shards, references_of
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import nodes_of, schema_of, virtual_array
from vz_beam.combine.skipped import skipped_in
from vz_beam.combine.whole_shards import WholeShards
from vz_beam.datasets.appending import append_store
from vz_beam.datasets.changed_arrays import Data, changed_arrays
from vz_beam.datasets.rechunking import rechunked_variables
from vz_beam.errors import InputError, InputTypeError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.path_columns import check_new_paths
from vz_beam.patterns.index import Index
from vz_beam.storage.identity import IDENTITY_KEY, Identity
from vz_beam.storage.source_pool import SourcePool
from vz_beam.writers.dataset_references import kerchunk_dict
from vz_beam.writers.icechunk_session import Region, write_nodes
from vz_beam.writers.writer import WriteTarget, find_writer, write_store

if TYPE_CHECKING:
    from icechunk import IcechunkStore

LastUpdatedAt = datetime | str | Mapping[str, datetime | str | None] | None


def count_references(dataset: xr.Dataset | xr.DataTree) -> int:
    """Number of references of all arrays, inlined chunks included and missing chunks left out."""
    arrays = (virtual_array(v) for _, node in nodes_of(dataset) for v in node.variables.values())
    return sum(array.manifest.nrefs for array in arrays if array is not None)


class _VirtualAccessor:
    _data: xr.Dataset | xr.DataTree

    @property
    def nbytes(self) -> int:
        """Memory of references and loaded arrays, bytes."""
        total = 0
        for _, node in nodes_of(self._data):
            for variable in node.variables.values():
                array = virtual_array(variable)
                total += variable.nbytes if array is None else array.manifest.nbytes
        return total

    @property
    def skipped(self) -> dict[str, str]:
        """Reasons by path of the variables that were left out when the file was opened (``unsupported="skip"``)."""
        return skipped_in(self._data)

    def nrefs(self) -> int:
        """Number of references, inlined chunks included and missing chunks left out."""
        return count_references(self._data)

    def to_kerchunk(
        self,
        filepath: str | os.PathLike[str] | None = None,
        format: str = "dict",
        record_size: int = CHUNKS_PER_SHARD,
        categorical_threshold: int = 10,
        *,
        mode: str = "create",
        append_dim: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """The references in Kerchunk's form.

        Args:
            filepath: where to write; may be left out for ``"dict"`` only.
            format: ``"dict"`` (returned), ``"json"`` or ``"parquet"``.
            record_size: references in one Parquet file.
            categorical_threshold: taken for the sake of callers that name it; paths are always stored once.
            mode: ``"create"`` refuses an existing store, ``"overwrite"`` replaces it, ``"append"`` puts the dataset to
                its end.
            append_dim: with ``"append"``, the dimension along which the store grows.
            storage_options: for the store of ``filepath``.

        Raises:
            InputError: an unknown format, or no path.
            UnsupportedError: arrays that Zarr v2 metadata cannot express.
            StoreExistsError: a store is there already.
        """
        if format not in ("dict", "json", "parquet"):
            raise InputError(f"format {format!r} is not one of 'dict', 'json', 'parquet'")
        if format != "dict" and filepath is None:
            raise InputError(f"format {format!r} needs a filepath to write to")
        self._warn_unless_virtual()
        index = Index(())
        schema, references = schema_of(index, self._data), references_of(index, self._data)
        layout = plan_layout(SchemaAccumulator().add(schema), CombineChoices(chunks_per_shard=record_size))
        if format == "dict":
            return kerchunk_dict(layout, dict(place(layout, references)))
        assert filepath is not None
        writer = find_writer(str(filepath), f"kerchunk-{format}")
        target = WriteTarget(os.fspath(filepath), mode, append_dim)
        choices: dict[str, Any] = {"storage_options": storage_options, "inputs": self._inputs()}
        if mode == "append":
            with SourcePool() as open_location:
                append_store(writer, target, layout, _shards(layout, references), open_location, **choices)
        else:
            write_store(writer, target.url, layout, _shards(layout, references), mode=mode, **choices)
        return None

    def _inputs(self) -> list[Identity]:
        """The file of the dataset, where it is of one: what xarray joins keeps the encoding of the first."""
        identity = self._data.encoding.get(IDENTITY_KEY)
        arrays = [virtual_array(v) for _, node in nodes_of(self._data) for v in node.variables.values()]
        urls = {url for array in arrays if array is not None for url in array.manifest.locations}
        return [identity] if identity is not None and urls <= {identity.url} else []

    def _warn_unless_virtual(self) -> None:
        variables = [v for _, node in nodes_of(self._data) for v in node.variables.values()]
        if variables and all(virtual_array(variable) is None for variable in variables):
            warnings.warn("none of the variables is virtual: all values are written into the references", stacklevel=3)


class VirtualDatasetAccessor(_VirtualAccessor):
    """``ds.vz``: references of a dataset."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._data: xr.Dataset = dataset

    def to_icechunk(
        self,
        store: IcechunkStore,
        *,
        group: str | None = None,
        mode: str | None = None,
        append_dim: str | None = None,
        region: Region | None = None,
        validate_containers: bool = True,
        last_updated_at: LastUpdatedAt = None,
    ) -> None:
        """Write the references, and the values of loaded variables, into an Icechunk session, which you then commit.

        What is refused is refused before the first write. On append and region writes the dataset must say the same
        as the store: type, chunks, codecs, fill value, packing, units. Loaded times are encoded in the store's units;
        a loaded coordinate must go on where the store's ends. Variables without ``append_dim`` must be as they are in
        the store, and stay.

        Args:
            store: ``session.store`` of a writable session, or of a fork of one.
            group: path of the group, the root where it is ``None``; groups above it are made.
            mode: ``"w-"``, the default, refuses a group that is there; ``"w"`` replaces it with all that is in it;
                ``"a"`` replaces the variables of this dataset only. Not with ``append_dim`` or ``region``.
            append_dim: dimension along which the arrays of the store grow; they must end with a whole chunk.
            region: part of the store that is written over: a slice by dimension, from chunk border to chunk border;
                ``"auto"`` for one dimension, or for all, looks its coordinate up in the store. A chunk that the
                dataset lacks is missing afterwards.
            validate_containers: whether each referenced file must be in a virtual chunk container of the repository.
            last_updated_at: readers refuse files that changed after this time. ``None`` takes the last change of local
                files, and of others a time one second from now; a datetime is one time for all; a mapping of URLs has
                times or etags for each; ``"unchecked"`` lets readers take files as they are.

        Raises:
            InputTypeError: something else than an Icechunk store (also a TypeError).
            InputError: choices that do not fit the store, a read-only store, no container (also a ValueError).
            StoreExistsError: the group is there (also zarr's ContainsGroupError).
            StoreMismatchError: all that differs between the dataset and the store (also a ValueError).
            UnsupportedError: what the store cannot express.
        """
        write_nodes(
            store,
            {"": self._data},
            group=group,
            mode=mode,
            append_dim=append_dim,
            region=region,
            validate_containers=validate_containers,
            last_updated_at=last_updated_at,
        )

    def rename_paths(self, new: str | Callable[[str], str]) -> xr.Dataset:
        """The same data with references into other files: one URL for all, or a function of each distinct URL.

        Raises:
            TypeError: neither a URL nor a function.
            ManifestError: a relative path.
        """
        check_new_paths(new)
        return _renamed(self._data, new)

    def rechunk(self, chunks: Mapping[Any, int]) -> xr.Dataset:
        """The same data in chunks of other lengths, made of the same bytes: nothing is read or copied.

        Uncompressed chunks can be cut, and joined where they lie one after the other in one file; see
        :func:`vz_beam.manifests.rechunked`. Variables that have none of the dimensions stay as they are, and so do
        loaded ones.

        Args:
            chunks: elements of a chunk by dimension, such as ``{"time": 1}``.

        Raises:
            InputError: a dimension that no variable has, or a length below 1.
            ManifestError: chunks that the bytes do not allow; every such variable is named, with why.
        """
        return rechunked_variables(self._data, chunks)


class VirtualDataTreeAccessor(_VirtualAccessor):
    """``tree.vz``: references of a tree."""

    def __init__(self, tree: xr.DataTree) -> None:
        self._data: xr.DataTree = tree

    def to_icechunk(
        self,
        store: IcechunkStore,
        *,
        mode: str | None = None,
        write_inherited_coords: bool = False,
        validate_containers: bool = True,
        last_updated_at: LastUpdatedAt = None,
        **kwargs: Any,
    ) -> None:
        """Write all nodes as :meth:`VirtualDatasetAccessor.to_icechunk` does one, all checked before the first write.

        ``write_inherited_coords`` repeats coordinates of a node in those below it. ``append_dim`` goes to the nodes
        that have the dimension, ``region`` to all that have variables.
        """
        if unknown := kwargs.keys() - {"append_dim", "region"}:
            raise InputTypeError(
                f"to_icechunk of a tree takes append_dim and region beside its own, not {sorted(unknown)}"
            )
        nodes = {node.path.strip("/"): node.to_dataset(inherit=write_inherited_coords) for node in self._data.subtree}
        write_nodes(
            store,
            nodes,
            mode=mode,
            validate_containers=validate_containers,
            last_updated_at=last_updated_at,
            **kwargs,
        )

    def rename_paths(self, new: str | Callable[[str], str]) -> xr.DataTree:
        """As for a dataset, in every node."""
        check_new_paths(new)
        return _renamed(self._data, new)

    def rechunk(self, chunks: Mapping[Any, int]) -> xr.DataTree:
        """As for a dataset, in every node; a dimension must be one of some node."""
        return rechunked_variables(self._data, chunks)


def deprecated_dataset_accessor(dataset: xr.Dataset) -> VirtualDatasetAccessor:
    """``ds.virtualize``, as VirtualiZarr's users had it before ``ds.vz``."""
    _warn_of_old_name()
    return VirtualDatasetAccessor(dataset)


def deprecated_datatree_accessor(tree: xr.DataTree) -> VirtualDataTreeAccessor:
    """``tree.virtualize``; see :func:`deprecated_dataset_accessor`."""
    _warn_of_old_name()
    return VirtualDataTreeAccessor(tree)


def _warn_of_old_name() -> None:
    warnings.warn("the accessor `virtualize` is called `vz`: use `.vz`", DeprecationWarning, stacklevel=4)


def register_accessors() -> None:
    """Make ``ds.vz`` and ``tree.vz`` ours, also where VirtualiZarr, whose accessors have these names, came later."""
    for kind, name, accessor, register in (
        (xr.Dataset, "vz", VirtualDatasetAccessor, xr.register_dataset_accessor),
        (xr.DataTree, "vz", VirtualDataTreeAccessor, xr.register_datatree_accessor),
        (xr.Dataset, "virtualize", deprecated_dataset_accessor, xr.register_dataset_accessor),
        (xr.DataTree, "virtualize", deprecated_datatree_accessor, xr.register_datatree_accessor),
    ):
        if getattr(kind, name, None) is not accessor:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                register(name)(accessor)  # type: ignore[no-untyped-call]


register_accessors()


def _renamed(data: Data, new: str | Callable[[str], str]) -> Data:
    return changed_arrays(
        data, lambda _, __, array: array.rename_paths(new) if isinstance(array, ManifestArray) else array
    )


def _shards(layout: Layout, references: InputReferences) -> Mapping[ShardKey, Fragment]:
    """Those of a dataset that is all of its layout; chunks stay where they are, but for those that need more work."""
    whole: dict[str, ChunkManifest] = {}
    others: dict[ShardKey, Fragment] = {}
    for part in references.arrays:
        array = layout.arrays[part.path]
        if part.manifest is None:
            continue
        if array.is_cut or array.rewriting or array.unwritten is not None:
            alone = replace(references, arrays=(part,))
            others.update(place_in_shards(layout, alone))
        else:
            whole[part.path] = part.manifest
    return ChainMap(others, WholeShards(whole, layout.chunks_per_shard))  # type: ignore[arg-type]  # not written to
