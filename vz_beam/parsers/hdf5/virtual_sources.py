"""The sources of all virtual datasets of a file, each file opened once for all that is wanted of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from h5py import h5s

from vz_beam.errors import UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.hdf5.groups import FoundDataset
from vz_beam.parsers.hdf5.mapped_source import MappedSource, mapped_source
from vz_beam.parsers.hdf5.virtual_mappings import BlockSeries, VirtualMapping, ended, virtual_mappings

Place = tuple[str, str]
"""The name of a file, and the path of a dataset in it, as a virtual dataset tells both."""
Chain = frozenset[Place]
"""The virtual datasets, by URL and path, that one is a source of: it cannot be made of any of them."""


@dataclass(frozen=True, slots=True)
class AbsentSource:
    """A source that is not there, or cannot be read, which ``is_missing`` tells apart; and why."""

    reason: str
    is_missing: bool


Sources = Mapping[Place, "ManifestArray | AbsentSource"]
ReadSources = Callable[[Mapping[Place, Chain]], Sources]
"""Reads sources, given for each of which virtual datasets it is one."""


@dataclass(slots=True)
class VirtualDataset:
    """One virtual dataset: its mappings, the series among them filled in as far as there are sources."""

    dataset: FoundDataset
    chain: Chain
    limits: tuple[int | None, ...]
    parts: list[VirtualMapping | BlockSeries]
    mappings: list[VirtualMapping] = field(default_factory=list)
    sources: dict[Place, ManifestArray | AbsentSource] = field(default_factory=dict)
    problem: str = ""

    def mapped_sources(
        self, metadata: ArrayMetadata, inner_shape: tuple[int, ...], fill_missing: bool
    ) -> list[MappedSource]:
        """The mappings with the arrays of their sources.

        Raises:
            UnsupportedError: sources that are not there, unless ``fill_missing``; that cannot be read, or do not fit.
        """
        found: list[MappedSource] = []
        for mapping in self.mappings:
            source = self.sources[mapping.file_name, mapping.path]
            if isinstance(source, ManifestArray):
                found.append(mapped_source(mapping, source, metadata.dtype, inner_shape))
                _check_within(found[-1], metadata.shape)
            elif not (source.is_missing and fill_missing):
                way_out = (
                    ' Way out: put it there, or HDFParser(missing_sources="fill") to have missing chunks in its place'
                )
                raise UnsupportedError(
                    f"it is a virtual dataset, and {mapping} cannot be followed: {source.reason}"
                    f"{way_out if source.is_missing else ''}"
                )
        return found

    def settle(self) -> None:
        """End unlimited mappings where their sources end, and give the dataset the shape that follows from that.

        The shape is that of ``H5D_VDS_LAST_AVAILABLE``, which is what libhdf5 shows unless told otherwise.
        """
        unlimited = {axis for part in self.parts if (axis := _unlimited_axis(part)) is not None}
        shape = list(self.dataset.shape or ())
        self.mappings = [self._ended(mapping) for mapping in self.mappings]
        for axis in unlimited:
            stops = [
                mapping.virtual.axes[axis].stop(mapping.virtual.axes[axis].length)
                for mapping in self.mappings
                if mapping.virtual.axes and mapping.virtual.size
            ]
            shape[axis] = max(stops, default=0)
        self.dataset = replace(self.dataset, shape=tuple(shape))

    def _ended(self, mapping: VirtualMapping) -> VirtualMapping:
        source = self.sources[mapping.file_name, mapping.path]
        if isinstance(source, ManifestArray):
            return ended(mapping, source.shape)
        axes = (*mapping.virtual.axes, *mapping.source.axes)
        if not any(axis.is_unlimited for axis in axes):
            return mapping
        rank = len(mapping.source.axes)
        return ended(mapping, (0,) * rank)


def described_virtual_dataset(dataset: FoundDataset, chain: Chain) -> VirtualDataset:
    """The mappings of a virtual dataset as its header has them.

    Raises:
        UnsupportedError: selections that are neither regular nor small.
    """
    shape = dataset.shape or ()
    plist = dataset.did.get_create_plist()
    limits = _limits(plist, shape)
    return VirtualDataset(dataset, chain, limits, virtual_mappings(plist, shape, limits))


def find_sources(datasets: Iterable[VirtualDataset], read: ReadSources) -> None:
    """Read the sources of all ``datasets``, and give those that are unlimited their shapes.

    A numbered series is read on until one of its sources is not there.
    """
    datasets = list(datasets)
    going: list[tuple[VirtualDataset, Any]] = []
    wanted: list[tuple[VirtualDataset, VirtualMapping]] = []
    for dataset in datasets:
        for part in dataset.parts:
            if isinstance(part, BlockSeries):
                going.append((dataset, part.blocks()))
            else:
                dataset.mappings.append(part)
                wanted.append((dataset, part))
    _read(wanted, read)
    while going:
        tried = [(dataset, blocks, next(blocks, None)) for dataset, blocks in going]
        _read([(dataset, mapping) for dataset, _, mapping in tried if mapping is not None], read)
        going = []
        for dataset, blocks, mapping in tried:
            if mapping is None:
                continue
            source = dataset.sources[mapping.file_name, mapping.path]
            if isinstance(source, ManifestArray) or not source.is_missing:
                dataset.mappings.append(mapping)
            if isinstance(source, ManifestArray):
                going.append((dataset, blocks))
    for dataset in datasets:
        dataset.mappings.sort(key=lambda mapping: mapping.number)
        try:
            dataset.settle()
        except UnsupportedError as error:
            dataset.problem = str(error)


def _read(wanted: list[tuple[VirtualDataset, VirtualMapping]], read: ReadSources) -> None:
    chains: dict[Place, Chain] = {}
    for dataset, mapping in wanted:
        place = (mapping.file_name, mapping.path)
        chains[place] = chains.get(place, frozenset()) | dataset.chain
    found = read(chains) if chains else {}
    for dataset, mapping in wanted:
        place = (mapping.file_name, mapping.path)
        dataset.sources[place] = found[place]


def _unlimited_axis(part: VirtualMapping | BlockSeries) -> int | None:
    return part.axis if isinstance(part, BlockSeries) else part.virtual.unlimited_axis


def _limits(plist: Any, shape: tuple[int, ...]) -> tuple[int | None, ...]:
    """To which each dimension can grow, as the selections say: libhdf5 would open the sources to tell."""
    if not plist.get_virtual_count():
        return tuple(shape)
    limits = plist.get_virtual_vspace(0).get_simple_extent_dims(True)
    return tuple(None if limit in (None, h5s.UNLIMITED) else int(limit) for limit in limits)


def _check_within(source: MappedSource, shape: tuple[int, ...]) -> None:
    virtual = source.mapping.virtual
    if virtual.points is not None:
        outside = bool((virtual.points >= np.array(shape)).any())
    else:
        outside = any(axis.stop(axis.length) > length for axis, length in zip(virtual.axes, shape, strict=True))
    if outside:
        raise UnsupportedError(f"{source.mapping} reaches over the virtual dataset, which has the shape {shape}")
