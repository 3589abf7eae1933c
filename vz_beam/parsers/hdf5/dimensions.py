"""Names of dimensions, from dimension scales, and the lengths that netCDF gives unlimited dimensions.

Source: HDF5 Dimension Scale Specification 1.4; netCDF-4 file format, "Creation order" and "Dimensions with HDF5
dimension scales".
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, count

from h5py import h5a, h5d, h5i, h5o, h5r, h5s

from vz_beam.errors import FormatError
from vz_beam.parsers.attribute_values import text_of
from vz_beam.parsers.hdf5.attribute_messages import attribute_reading
from vz_beam.parsers.hdf5.attributes import referenced, scale_references
from vz_beam.parsers.hdf5.file import OpenFile
from vz_beam.parsers.hdf5.groups import FoundDataset, FoundGroup
from vz_beam.parsers.hdf5.index_reading import Structure

_NETCDF_ID = b"_Netcdf4Dimid"
"""The attribute of netCDF's own scales."""


@dataclass(slots=True)
class Scale:
    """A dimension, by its scale.

    Args:
        name: of the dimension.
        length: elements; ``None`` for a scale without dimensions. An unlimited one is as long as the longest
            dataset along it, since netCDF does not lengthen the scale.
        is_unlimited: whether the scale can grow.
        is_netcdf: whether netCDF made it.
    """

    name: str
    length: int | None
    is_unlimited: bool
    is_netcdf: bool


class AxisNames:
    """Gives names to the axes that array datatypes add; one name stands for one length in all of a file."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = frozenset(taken)
        self._lengths: dict[str, int] = {}

    def names(self, dataset_name: str, inner_shape: Sequence[int]) -> tuple[str, ...]:
        """Names of the axes of one dataset.

        >>> axes = AxisNames()
        >>> axes.names("wind", (3,)), axes.names("wind", (3,)), axes.names("wind", (2,))
        (('wind_axis_0',), ('wind_axis_0',), ('wind_axis_0_2',))
        """
        return tuple(self._name(f"{dataset_name}_axis_{axis}", length) for axis, length in enumerate(inner_shape))

    def _name(self, first: str, length: int) -> str:
        names = chain([first], (f"{first}_{number}" for number in count(2)))
        free = (name for name in names if name not in self._taken)
        return next(name for name in free if self._lengths.setdefault(name, length) == length)


@dataclass(frozen=True, slots=True)
class DatasetDimensions:
    """Names, and the shape that the dimensions give the dataset; larger than its own along unlimited ones."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    axes: AxisNames = field(default_factory=AxisNames)


class Dimensions:
    """The dimensions of all datasets found in a file."""

    def __init__(self, file: OpenFile, root: FoundGroup) -> None:
        self._file = file
        self._by_address: dict[int, Scale] = {}
        self._by_number: dict[int, Scale] = {}
        self._by_path: dict[str, list[Scale | None]] = {}
        self._phony_numbers = count()
        datasets = [dataset for group in root.walk() for dataset in group.datasets]
        for dataset in datasets:
            self._note_scale(dataset)
        for dataset in datasets:
            if dataset.shape is not None and not dataset.attributes.is_dimension_only:
                self._by_path[dataset.path] = scales = self._attached(dataset)
                for scale, length in zip(scales, dataset.shape, strict=True):
                    if scale is not None and scale.is_unlimited:
                        scale.length = max(scale.length or 0, length)
        self._taken = {dataset.name for dataset in datasets} | {scale.name for scale in self._by_address.values()}
        self._axes = AxisNames(self._taken)

    def _note_scale(self, dataset: FoundDataset) -> None:
        attributes = dataset.attributes
        if not attributes.is_scale or dataset.shape is None:
            return
        scale = _scale(dataset.did, _last(dataset.path), attributes.dimension_id is not None)
        if dataset.is_virtual and dataset.shape:  # libhdf5 would look for the length in files that it cannot see
            scale.length = dataset.shape[0]
        self._by_address.setdefault(dataset.address, scale)
        if attributes.dimension_id is not None:
            self._by_number.setdefault(attributes.dimension_id, scale)

    def of_group(self, group: FoundGroup) -> dict[str, DatasetDimensions]:
        """The dimensions of each dataset of ``group`` by path; those without a scale get phony names.

        A name that the dataset has already, or that stands for another length in the group (scales of one
        name in two groups), cannot be given again: that dimension is phony too. Phony dimensions are one for
        each distinct length in the group, and as many of one length as one dataset needs. Their numbers run
        on through the file, since dimensions are inherited.
        """
        phony: dict[int, list[str]] = {}
        result: dict[str, DatasetDimensions] = {}
        lengths: dict[str, int] = {}
        for dataset in group.datasets:
            if dataset.path not in self._by_path:
                continue
            scales = _fitting(dataset, self._by_path[dataset.path])
            shape = _extended(dataset, scales)
            names: list[str] = []
            used: Counter[int] = Counter()
            for scale, length in zip(scales, shape, strict=True):
                if scale is not None and scale.name not in names and lengths.setdefault(scale.name, length) == length:
                    names.append(scale.name)
                    continue
                known = phony.setdefault(length, [])
                if used[length] == len(known):
                    known.append(self._phony_name())
                names.append(known[used[length]])
                used[length] += 1
            result[dataset.path] = DatasetDimensions(tuple(names), shape, self._axes)
        return result

    def _phony_name(self) -> str:
        """A name that neither a dimension nor a variable has."""
        return next(name for number in self._phony_numbers if (name := f"phony_dim_{number}") not in self._taken)

    def _attached(self, dataset: FoundDataset) -> list[Scale | None]:
        """The scale of each dimension, ``None`` where there is none."""
        attributes, shape = dataset.attributes, dataset.shape
        assert shape is not None
        scales: list[Scale | None] = [None] * len(shape)
        listed = attributes.dimension_list
        if any(isinstance(item, int) and item not in self._by_address for entry in listed or () for item in entry):
            self._open_others(dataset)
        if listed is not None and len(listed) == len(shape):
            scales = [self._chosen(entry) for entry in listed]
        elif attributes.coordinate_ids is not None and len(attributes.coordinate_ids) == len(shape):
            scales = [self._by_number.get(number) for number in attributes.coordinate_ids]
        elif attributes.is_scale and shape:
            scales[0] = self._by_address.get(dataset.address)
        return scales

    def _open_others(self, dataset: FoundDataset) -> None:
        """Note the scales of ``dataset`` that were dropped, or are above the group that was asked for."""
        listed = dataset.attributes.dimension_list or ()
        for entry, references in zip(listed, scale_references(dataset.did) or (), strict=False):
            for address, reference in zip(entry, references, strict=False):
                if isinstance(address, int) and address not in self._by_address:
                    # a scale that is damaged has no name to give; where it is not dropped, that is told elsewhere
                    with suppress(FormatError, struct.error, IndexError, ValueError):
                        self._note_scale_at(address, reference, dataset.path)

    def _chosen(self, references: Iterable[int | h5r.Reference]) -> Scale | None:
        """One scale of those attached to a dimension: netCDF's own, else the first."""
        scales = [scale for scale in map(self._target, references) if scale is not None]
        return next((scale for scale in scales if scale.is_netcdf), scales[0] if scales else None)

    def _target(self, reference: int | h5r.Reference) -> Scale | None:
        if isinstance(reference, int):
            return self._by_address.get(reference)
        target = referenced(reference, self._file.fid)
        if not isinstance(target, h5d.DatasetID):
            return None
        address = h5o.get_info(target).addr
        self._note_target(address, target, h5a.exists(target, _NETCDF_ID))
        return self._by_address.get(address)

    def _note_scale_at(self, address: int, reference: h5r.Reference, path: str) -> None:
        messages = self._file.checked_messages(address, path)
        structure = Structure(self._file.source.url, path)
        attributes, _ = self._file.follow(attribute_reading(structure, messages, self._file.nbytes))
        is_netcdf = any(attribute.name == _NETCDF_ID for attribute in attributes)
        self._note_target(address, referenced(reference, self._file.fid), is_netcdf)

    def _note_target(self, address: int, target: object, is_netcdf: bool) -> None:
        """Note a scale that is no found dataset; one without a name is none."""
        name = h5i.get_name(target) if isinstance(target, h5d.DatasetID) else None
        if name is not None and address not in self._by_address:
            assert isinstance(target, h5d.DatasetID)
            self._by_address[address] = _scale(target, _last(text_of(name)), is_netcdf)


def _scale(did: h5d.DatasetID, name: str, is_netcdf: bool) -> Scale:
    space = did.get_space()
    lengths, limits = space.get_simple_extent_dims(), space.get_simple_extent_dims(True)
    if not lengths:
        return Scale(name, None, False, is_netcdf)
    return Scale(name, lengths[0], limits[0] == h5s.UNLIMITED, is_netcdf)


def _fitting(dataset: FoundDataset, scales: list[Scale | None]) -> list[Scale | None]:
    """The scales without those of another length, unless the dataset can grow to that length."""
    shape = dataset.shape
    assert shape is not None
    if all(scale is None or scale.length in (None, length) for scale, length in zip(scales, shape, strict=True)):
        return scales
    limits = dataset.did.get_space().get_simple_extent_dims(True)
    return [
        scale
        if scale is None
        or scale.length in (None, length)
        or (scale.is_unlimited and limit == h5s.UNLIMITED and length < (scale.length or 0))
        else None
        for scale, length, limit in zip(scales, shape, limits, strict=True)
    ]


def _extended(dataset: FoundDataset, scales: list[Scale | None]) -> tuple[int, ...]:
    assert dataset.shape is not None
    return tuple(
        length if scale is None or scale.length is None else scale.length
        for scale, length in zip(scales, dataset.shape, strict=True)
    )


def _last(path: str) -> str:
    return path.rpartition("/")[2]
