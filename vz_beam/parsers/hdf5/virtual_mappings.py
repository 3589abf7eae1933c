"""What a virtual dataset is made of: which part of it is which part of which dataset of which file.

Source: HDF5 file format specification 3.0, section III.H, "Global Heap Block for Virtual Datasets".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from h5py import h5d, h5p

from vz_beam.errors import UnsupportedError
from vz_beam.parsers.attribute_values import text_of
from vz_beam.parsers.hdf5.object_header import Message
from vz_beam.parsers.hdf5.selections import AxisSelection, Selection, selection_of, whole

SAME_FILE = "."
"""How a virtual dataset names its own file."""
_DATASPACE, _LAYOUT = 0x01, 0x08
_VIRTUAL_CLASS = 3
_LAYOUT_OF_VIRTUAL = 4
"""The first version of the layout message that knows virtual datasets."""
_SHARED = 0x02


@dataclass(frozen=True, slots=True)
class VirtualMapping:
    """One mapping: the elements ``virtual`` are the elements ``source`` of the dataset ``path`` in ``file_name``.

    ``number`` counts the mappings of the dataset. Names with the number of a block in them stand there filled in.
    """

    number: int
    file_name: str
    path: str
    virtual: Selection
    source: Selection

    def __str__(self) -> str:
        return f"mapping {self.number} (from {self.path!r} in {self.file_name!r})"


@dataclass(frozen=True, slots=True)
class BlockSeries:
    """A mapping whose file or dataset has the number of a block in its name (``%b``), as many as there are."""

    first: VirtualMapping
    axis: int
    limit: int | None

    def blocks(self) -> Iterator[VirtualMapping]:
        """The mappings of block 0, 1, 2 and so on, for as long as the dataset can grow."""
        along = self.first.virtual.axes[self.axis]
        stride, block = (along.stride, along.block) if along.count != 1 else (along.stride, along.stride)
        number = 0
        while self.limit is None or along.start + number * stride + block <= self.limit:
            here = AxisSelection(along.start + number * stride, block, 1, block)
            yield replace(
                self.first,
                file_name=_filled(self.first.file_name, number),
                path=_filled(self.first.path, number),
                virtual=self.first.virtual.with_axis(self.axis, here),
            )
            number += 1


def is_virtual(did: h5d.DatasetID, messages: tuple[Message, ...]) -> bool:
    """Whether a dataset is virtual; ``messages`` are those of its header, where they are known."""
    if not messages:
        return bool(did.get_create_plist().get_layout() == h5d.VIRTUAL)
    body = next((message.body for message in messages if message.kind == _LAYOUT), b"")
    return len(body) > 1 and body[0] >= _LAYOUT_OF_VIRTUAL and body[1] == _VIRTUAL_CLASS


def stored_shape(did: h5d.DatasetID, messages: tuple[Message, ...]) -> tuple[int, ...] | None:
    """The shape that stands in the header; ``None`` for a null dataspace.

    libhdf5 is not asked where that can be helped: it opens the sources of an unlimited virtual dataset to tell its
    shape, and the wrong files where the file is remote.
    """
    for message in messages:
        if message.kind == _DATASPACE and not message.flags & _SHARED and message.body[0] in (1, 2):
            version, rank = message.body[:2]
            start = 8 if version == 1 else 4
            if len(message.body) >= start + 8 * rank and not (version == 2 and message.body[3] == 2):
                return struct.unpack_from(f"<{rank}Q", message.body, start)
    shape: tuple[int, ...] | None = did.shape
    return shape


def virtual_mappings(
    plist: h5p.PropDCID, shape: tuple[int, ...], limits: tuple[int | None, ...]
) -> list[VirtualMapping | BlockSeries]:
    """The mappings of a virtual dataset in their order, of which later ones overwrite earlier ones.

    Args:
        plist: of its creation.
        shape: as its header has it.
        limits: to which each dimension can grow, ``None`` for any length.

    Raises:
        UnsupportedError: selections that are neither regular nor small.
    """
    mappings: list[VirtualMapping | BlockSeries] = []
    for number in range(plist.get_virtual_count()):
        name, path = text_of(plist.get_virtual_filename(number)), text_of(plist.get_virtual_dsetname(number))
        virtual = selection_of(plist.get_virtual_vspace(number))
        source = selection_of(plist.get_virtual_srcspace(number))
        if virtual is None or source is None:
            continue
        mapping = VirtualMapping(number, name, path, whole(shape) if virtual.is_all else virtual, source)
        axis = virtual.unlimited_axis
        if axis is None or source.unlimited_axis is not None:
            mappings.append(replace(mapping, file_name=_filled(name), path=_filled(path)))
        elif "%b" not in (name + path).replace("%%", ""):
            raise UnsupportedError(f"{mapping} has no end, and its source has one")
        else:
            mappings.append(BlockSeries(mapping, axis, limits[axis]))
    return mappings


def ended(mapping: VirtualMapping, source_shape: tuple[int, ...]) -> VirtualMapping:
    """An unlimited mapping as far as its source goes; any other as it is."""
    axis, source_axis = mapping.virtual.unlimited_axis, mapping.source.unlimited_axis
    if source_axis is None or axis is None:
        return mapping
    if len(source_shape) != len(mapping.source.axes):
        raise UnsupportedError(f"{mapping} is of {len(mapping.source.axes)} dimensions, its source of {source_shape}")
    along, source_along = mapping.virtual.axes[axis], mapping.source.axes[source_axis]
    length = source_along.length_below(source_shape[source_axis])
    try:
        return replace(
            mapping,
            virtual=mapping.virtual.with_axis(axis, along.within(length)),
            source=mapping.source.with_axis(source_axis, source_along.within(length)),
        )
    except UnsupportedError as error:
        raise UnsupportedError(f"{mapping}: {error}") from error


def _filled(name: str, number: int | None = None) -> str:
    """A name with the number of a block in the place of ``%b``; ``%%`` stands for ``%``.

    >>> _filled("100%%-%b.h5", 7), _filled("50%.h5")
    ('100%-7.h5', '50%.h5')
    """
    parts = name.split("%%")
    return "%".join(part if number is None else part.replace("%b", str(number)) for part in parts)
