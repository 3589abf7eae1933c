"""What ``ds.vz`` and ``tree.vz`` offer: writing references, renaming paths, counting."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import xarray as xr

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.fragment import Fragment, ShardKey, split_by_shard
from vz_beam.combine.layout import CHUNKS_PER_SHARD, Layout
from vz_beam.combine.placing import place, references_of
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import nodes_of, schema_of, virtual_array
from vz_beam.combine.skipped import skipped_in
from vz_beam.errors import InputError
from vz_beam.patterns.index import Index
from vz_beam.writers.dataset_references import kerchunk_dict
from vz_beam.writers.writer import find_writer, write_store


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
        storage_options: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """The references in Kerchunk's form.

        Args:
            filepath: where to write; may be left out for ``"dict"`` only.
            format: ``"dict"`` (returned), ``"json"`` or ``"parquet"``.
            record_size: references in one Parquet file.
            categorical_threshold: taken for the sake of callers that name it; paths are always stored once.
            mode: ``"create"`` refuses an existing store, ``"overwrite"`` replaces it.
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
        layout, fragments = self._references(record_size)
        if format == "dict":
            return kerchunk_dict(layout, fragments)
        assert filepath is not None
        writer = find_writer(str(filepath), f"kerchunk-{format}")
        write_store(writer, filepath, layout, _shards(layout, fragments), mode=mode, storage_options=storage_options)
        return None

    def _references(self, record_size: int) -> tuple[Layout, dict[str, Fragment]]:
        index = Index(())
        schema = schema_of(index, self._data)
        layout = plan_layout(SchemaAccumulator().add(schema), CombineChoices(chunks_per_shard=record_size))
        return layout, dict(place(layout, references_of(index, self._data)))


class VirtualDatasetAccessor(_VirtualAccessor):
    """``ds.vz``: references of a dataset."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._data: xr.Dataset = dataset

    def rename_paths(self, new: str | Callable[[str], str]) -> xr.Dataset:
        """The same data with references into other files: one URL for all, or a function of each distinct URL."""
        return _renamed(self._data, new)


class VirtualDataTreeAccessor(_VirtualAccessor):
    """``tree.vz``: references of a tree."""

    def __init__(self, tree: xr.DataTree) -> None:
        self._data: xr.DataTree = tree

    def rename_paths(self, new: str | Callable[[str], str]) -> xr.DataTree:
        """As for a dataset, in every node."""
        nodes = {f"/{path}": _renamed(node, new) for path, node in nodes_of(self._data)}
        return xr.DataTree.from_dict(nodes, name=self._data.name)


def register_accessors() -> None:
    """Make ``ds.vz`` and ``tree.vz`` ours, also where VirtualiZarr, which has the same name for its own, came later."""
    for kind, accessor, register in (
        (xr.Dataset, VirtualDatasetAccessor, xr.register_dataset_accessor),
        (xr.DataTree, VirtualDataTreeAccessor, xr.register_datatree_accessor),
    ):
        if getattr(kind, "vz", None) is not accessor:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                register("vz")(accessor)  # type: ignore[no-untyped-call]


register_accessors()


def _renamed(dataset: xr.Dataset, new: str | Callable[[str], str]) -> xr.Dataset:
    renamed = dataset.copy(deep=False)
    for name, variable in dataset.variables.items():
        array = virtual_array(variable)
        if array is not None:
            renamed[name] = xr.Variable(variable.dims, array.rename_paths(new), variable.attrs, variable.encoding)
    return renamed


def _shards(layout: Layout, fragments: Mapping[str, Fragment]) -> dict[ShardKey, Fragment]:
    shards = dict.fromkeys(layout.shard_keys(), Fragment.empty())
    for path, fragment in fragments.items():
        shards.update(split_by_shard(path, fragment, layout.chunks_per_shard))
    return shards
