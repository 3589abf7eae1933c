"""Chunk indexes of datasets with one unlimited dimension: extensible arrays.

Source: HDF5 file format specification 4.0, section III.H, "Disk Format: Level 1H - Extensible Array Index".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.parsers.hdf5.chunk_elements import (
    BLOCK_HEAD_NBYTES,
    ElementBlock,
    ElementCollector,
    element_form,
    pages_of,
    places_of,
)
from vz_beam.parsers.hdf5.index_reading import CHECKSUM_NBYTES, UNDEFINED, ChunkIndex, Reading
from vz_beam.parsers.hdf5.stored_chunks import StoredChunks

_HEAD = struct.Struct("<4sBBBBBBBB6QQI")


@dataclass(frozen=True, slots=True)
class _Form:
    """What the head of an extensible array tells of its blocks.

    ``count`` elements in all; ``in_index`` of them in the index block; ``smallest`` in the smallest data block; the
    index block points at the data blocks of the first ``direct`` of ``levels`` super blocks, and at the others
    themselves. Blocks give their offset in ``offset_nbytes`` bytes.
    """

    element: np.dtype[Any]
    count: int
    in_index: int
    smallest: int
    direct: int
    levels: int
    page_length: int
    offset_nbytes: int

    def data_blocks(self, level: int) -> int:
        """Number of data blocks of a super block."""
        return int(1 << level // 2)

    def block_length(self, level: int) -> int:
        """Number of elements in each of them."""
        return int(self.smallest << (level + 1) // 2)

    def first(self, level: int) -> int:
        """Number of the first element of a super block."""
        return self.in_index + sum(self.data_blocks(before) * self.block_length(before) for before in range(level))

    @property
    def pointers(self) -> int:
        """Number of data blocks that the index block points at."""
        return sum(map(self.data_blocks, range(self.direct)))

    @property
    def index_block_nbytes(self) -> int:
        """Size of the index block, bytes."""
        pointers = self.pointers + self.levels - self.direct
        return BLOCK_HEAD_NBYTES + self.in_index * self.element.itemsize + 8 * pointers + CHECKSUM_NBYTES

    def super_range(self, block: _SuperBlock) -> tuple[int, int]:
        """Where a super block is, addresses."""
        each = (pages_of(self.block_length(block.level), self.page_length) + 7) // 8 + 8
        nbytes = self.block_head_nbytes + self.data_blocks(block.level) * each + CHECKSUM_NBYTES
        return block.address, block.address + nbytes

    @property
    def block_head_nbytes(self) -> int:
        """What is before elements or pointers in data blocks and super blocks, bytes."""
        return BLOCK_HEAD_NBYTES + self.offset_nbytes


@dataclass(frozen=True, slots=True)
class _DataBlock:
    """One data block: the number of its first element, and bool[pages], which of its pages are used."""

    elements: ElementBlock
    first: int
    used: NDArray[np.bool_]

    def collect(self, index: ChunkIndex, data: bytes, collector: ElementCollector) -> None:
        """Hand over its elements, by their numbers in the array."""
        index.check_signature(self.elements.address, data, b"EADB")
        for first, elements in self.elements.elements(index, data, self.used):
            collector.add(self.first + first, elements)


@dataclass(frozen=True, slots=True)
class _SuperBlock:
    """One super block, by its level."""

    address: int
    level: int


def extensible_array_chunks(index: ChunkIndex) -> Reading[StoredChunks]:
    """The chunks that an extensible array lists."""
    (data,) = yield [(index.address, index.address + _HEAD.size)]
    form, address = _read_head(index, data)
    collector = ElementCollector(index, lambda numbers: _places(index, numbers))
    if address != UNDEFINED:
        (data,) = yield [(address, address + form.index_block_nbytes)]
        elements, blocks, supers = _read_index_block(index, form, address, data)
        collector.add(0, elements)
        # data blocks that the index block points at are read together with the super blocks
        pieces = yield [block.elements.range for block in blocks] + [form.super_range(each) for each in supers]
        for block, piece in zip(blocks, pieces, strict=False):
            block.collect(index, piece, collector)
        below = [
            block
            for each, piece in zip(supers, pieces[len(blocks) :], strict=True)
            for block in _read_super_block(index, form, each, piece)
        ]
        if len({block.elements.address for block in blocks + below}) < len(blocks + below):
            raise index.damage(address, "an extensible array that lists a data block twice")
        pieces = yield [block.elements.range for block in below]
        for block, piece in zip(below, pieces, strict=True):
            block.collect(index, piece, collector)
    return collector.chunks()


def _read_head(index: ChunkIndex, data: bytes) -> tuple[_Form, int]:
    """The form of the array, and the address of its index block."""
    index.check_block(index.address, data, b"EAHD")
    _, _, client, element_nbytes, bits, in_index, smallest, least_pointers, page_bits, *counts, address, _ = (
        _HEAD.unpack(data)
    )
    element = element_form(element_nbytes, filtered=client == 1)
    count = counts[4]
    fits = smallest and not smallest & (smallest - 1) and least_pointers > 1
    if element is None or client > 1 or not fits or bits > 64 or least_pointers & (least_pointers - 1):
        raise index.damage(
            index.address,
            f"an extensible array of {element_nbytes}-byte elements, {smallest} in the smallest block",
        )
    direct = 2 * (least_pointers.bit_length() - 1)
    levels = max(1 + bits - (smallest.bit_length() - 1), direct)
    form = _Form(element, count, in_index, smallest, direct, levels, 1 << page_bits, (bits + 7) // 8)
    return form, address


def _read_index_block(
    index: ChunkIndex, form: _Form, address: int, data: bytes
) -> tuple[NDArray[Any], list[_DataBlock], list[_SuperBlock]]:
    """The elements in the index block, and the data blocks and super blocks that it points at."""
    index.check_block(address, data, b"EAIB")
    rows = np.frombuffer(data, form.element, form.in_index, BLOCK_HEAD_NBYTES)
    pointers = np.frombuffer(data[BLOCK_HEAD_NBYTES + rows.nbytes : -CHECKSUM_NBYTES], "<u8").tolist()
    blocks: list[_DataBlock] = []
    place = 0
    for level in range(form.direct):
        # which pages of these are used is not told: they are far too small to have pages
        used = np.ones(pages_of(form.block_length(level), form.page_length), bool)
        blocks += _data_blocks(form, level, pointers[place : place + form.data_blocks(level)], [used] * len(pointers))
        place += form.data_blocks(level)
    supers = [
        _SuperBlock(pointer, level)
        for level, pointer in enumerate(pointers[place:], form.direct)
        if pointer != UNDEFINED and form.first(level) < form.count
    ]
    return rows, blocks, supers


def _read_super_block(index: ChunkIndex, form: _Form, block: _SuperBlock, data: bytes) -> list[_DataBlock]:
    index.check_block(block.address, data, b"EASB")
    count = form.data_blocks(block.level)
    pages = pages_of(form.block_length(block.level), form.page_length)
    bits_nbytes = (pages + 7) // 8
    bits = np.frombuffer(data, np.uint8, count * bits_nbytes, form.block_head_nbytes).reshape(count, bits_nbytes)
    used = np.unpackbits(bits, axis=1)[:, :pages].astype(bool)
    pointers = np.frombuffer(data, "<u8", count, form.block_head_nbytes + count * bits_nbytes).tolist()
    return _data_blocks(form, block.level, pointers, list(used))


def _data_blocks(
    form: _Form, level: int, pointers: Sequence[int], used: Sequence[NDArray[np.bool_]]
) -> list[_DataBlock]:
    """The data blocks of a super block that are there and have elements."""
    first, length = form.first(level), form.block_length(level)
    return [
        _DataBlock(
            ElementBlock(pointer, form.block_head_nbytes, form.element, length, form.page_length),
            first + number * length,
            used[number],
        )
        for number, pointer in enumerate(pointers)
        if pointer != UNDEFINED and first + number * length < form.count
    ]


def _places(index: ChunkIndex, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Grid positions int64[n, rank] of elements, which are counted as if the unlimited dimension came first."""
    axis = index.grid_limits.index(None) if None in index.grid_limits else 0
    others = [limit for place, limit in enumerate(index.grid_limits) if place != axis and limit is not None]
    if len(others) != index.rank - 1:
        raise index.damage(index.address, "an extensible array for more than one unlimited dimension")
    if not math.prod(others):
        return np.empty((0, index.rank), np.int64)
    places = places_of(numbers, (0, *others))
    order = [axis, *(place for place in range(index.rank) if place != axis)]
    result = np.empty_like(places)
    result[:, order] = places
    return result
