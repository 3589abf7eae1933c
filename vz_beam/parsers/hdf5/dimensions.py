"""Names of dimensions, from dimension scales, and the lengths that netCDF gives unlimited dimensions.

Source: HDF5 Dimension Scale Specification 1.4; netCDF-4 file format, "Creation order" and "Dimensions with HDF5
dimension scales".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from h5py import h5a, h5i, h5o, h5r, h5s
from h5py.h5f import FileID

from vz_beam.parsers.hdf5.attributes import text_of
from vz_beam.parsers.hdf5.groups import FoundDataset, FoundGroup


@dataclass(frozen=True, slots=True)
class Scale:
    """A dimension: its name, its length where it has one of its own, netCDF's number of it."""

    name: str
    length: int | None
    is_netcdf: bool


@dataclass(frozen=True, slots=True)
class DatasetDimensions:
    """Names, and the shape that the dimensions give the dataset; larger than its own along unlimited ones."""

    names: tuple[str, ...]
    shape: tuple[int, ...]


class Dimensions:
    """The dimensions of all datasets found in a file, by the address of the dataset or the netCDF number."""

    def __init__(self, fid: FileID, root: FoundGroup) -> None:
        self._fid = fid
        self._by_address: dict[int, Scale] = {}
        self._by_number: dict[int, Scale] = {}
        self._phony_count = 0
        for group in root.walk():
            for dataset in group.datasets:
                self._note_scale(dataset)

    def _note_scale(self, dataset: FoundDataset) -> None:
        attributes = dataset.attributes
        if not attributes.is_scale or dataset.shape is None:
            return
        length = dataset.shape[0] if dataset.shape else None
        scale = Scale(_last(dataset.path), length, attributes.dimension_id is not None)
        self._by_address.setdefault(h5o.get_info(dataset.did).addr, scale)
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
            if dataset.shape is None or dataset.attributes.is_dimension_only:
                continue
            scales = self._scales(dataset)
            shape = _extended(dataset, scales)
            names: list[str] = []
            used: Counter[int] = Counter()
            for scale, length in zip(scales, shape, strict=True):
                if scale is not None and scale.name not in names and lengths.setdefault(scale.name, length) == length:
                    names.append(scale.name)
                    continue
                known = phony.setdefault(length, [])
                if used[length] == len(known):
                    known.append(f"phony_dim_{self._phony_count}")
                    self._phony_count += 1
                names.append(known[used[length]])
                used[length] += 1
            result[dataset.path] = DatasetDimensions(tuple(names), shape)
        return result

    def _scales(self, dataset: FoundDataset) -> list[Scale | None]:
        """The scale of each dimension, ``None`` where there is none or one of another length."""
        attributes, shape = dataset.attributes, dataset.shape
        assert shape is not None
        scales: list[Scale | None] = [None] * len(shape)
        if attributes.dimension_list is not None and len(attributes.dimension_list) == len(shape):
            scales = [self._chosen(entry) for entry in attributes.dimension_list]
        elif attributes.coordinate_ids is not None and len(attributes.coordinate_ids) == len(shape):
            scales = [self._by_number.get(number) for number in attributes.coordinate_ids]
        elif attributes.is_scale and shape:
            scales[0] = self._by_address.get(h5o.get_info(dataset.did).addr)
        limits = dataset.did.get_space().get_simple_extent_dims(True) if any(scales) else ()
        for axis, scale in enumerate(scales):
            if scale is None or scale.length is None or scale.length == shape[axis]:
                continue
            may_grow = scale.is_netcdf and limits[axis] == h5s.UNLIMITED and shape[axis] < scale.length
            if not may_grow:
                scales[axis] = None
        return scales

    def _chosen(self, references: Iterable[h5r.Reference]) -> Scale | None:
        """One scale of those attached to a dimension: netCDF's own, else the first."""
        scales = [scale for scale in map(self._target, references) if scale is not None]
        return next((scale for scale in scales if scale.is_netcdf), scales[0] if scales else None)

    def _target(self, reference: h5r.Reference) -> Scale | None:
        if not reference:
            return None
        target = h5r.dereference(reference, self._fid)
        if target is None:
            return None
        address = h5o.get_info(target).addr
        if address not in self._by_address:  # dropped, above the group that was asked for, or without a link
            name = h5i.get_name(target)
            if name is None:
                return None
            shape = target.shape
            self._by_address[address] = Scale(
                _last(text_of(name)), shape[0] if shape else None, bool(h5a.exists(target, b"_Netcdf4Dimid"))
            )
        return self._by_address[address]


def _extended(dataset: FoundDataset, scales: list[Scale | None]) -> tuple[int, ...]:
    assert dataset.shape is not None
    return tuple(
        length if scale is None or scale.length is None else scale.length
        for scale, length in zip(scales, dataset.shape, strict=True)
    )


def _last(path: str) -> str:
    return path.rpartition("/")[2]
