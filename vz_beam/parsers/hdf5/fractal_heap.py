"""The fractal heap, where groups keep many links and objects keep many attributes.

Source: HDF5 file format specification 4.0, section III.F, "Disk Format: Level 1F - Fractal Heap".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vz_beam.parsers.hdf5.index_reading import CHECKSUM_NBYTES, Reading, Structure

_HEAD = struct.Struct("<4sBHHBI12QHQQHHQH")
HEAP_HEAD_NBYTES = _HEAD.size
_HUGE_COUNT = 15
"""Which field of the head says how many huge objects there are."""
_NOWHERE = 2**64 - 1
_MANAGED, _HUGE, _TINY = 0, 1, 2
"""Kinds of objects: in a block of the heap, by themselves, or in the identifier. Huge ones are not read here."""
_MOST_BLOCKS = 2**16
"""Direct blocks of one heap that are looked at: of at least 512 bytes each, and links and attributes take few."""


@dataclass(frozen=True, slots=True)
class FractalHeap:
    """What the head of a heap tells; ``width`` blocks stand in each row, those of the first of ``block_nbytes``.

    ``first`` is the first block where that holds objects, else empty.
    """

    structure: Structure
    address: int
    huge_count: int
    is_filtered: bool
    offset_nbytes: int
    length_nbytes: int
    width: int
    block_nbytes: int
    largest_nbytes: int
    root: int
    rows: int
    first: bytes = b""

    def row_nbytes(self, row: int) -> int:
        """Size of each block of a row, bytes: the first two rows are alike, further ones double."""
        return self.block_nbytes << max(row - 1, 0)

    def rows_within(self, nbytes: int) -> int:
        """Number of rows of an indirect block that stands for so many bytes of the heap."""
        return (nbytes // (self.block_nbytes * self.width)).bit_length()

    @property
    def block_head_nbytes(self) -> int:
        """Signature, version, address of the heap and offset in it, which all blocks begin with."""
        return 13 + self.offset_nbytes

    def objects(self, identifiers: Sequence[bytes]) -> Reading[list[bytes | None]]:
        """The objects by their identifiers; ``None`` for huge ones, and in filtered heaps.

        Raises:
            FormatError: blocks that are none.
        """
        if self.is_filtered:
            return [None] * len(identifiers)
        wanted = [self._place(identifier) for identifier in identifiers]
        offsets = sorted({place[0] for place in wanted if isinstance(place, tuple)})
        blocks = yield from self._direct_blocks(offsets)
        found = [_cut(blocks, *place) if isinstance(place, tuple) else place for place in wanted]
        for place, data in zip(wanted, found, strict=True):
            if isinstance(place, tuple) and (data is None or len(data) < place[1]):
                raise self.structure.damage(self.address, f"a heap without {place[1]} bytes at its offset {place[0]}")
        return found

    def _place(self, identifier: bytes) -> bytes | tuple[int, int] | None:
        """Offset and length in the heap; the object itself where it is tiny, ``None`` where it is huge."""
        kind = identifier[0] >> 4
        if kind == _TINY:
            return identifier[1 : 2 + (identifier[0] & 0x0F)]
        if kind == _HUGE and self.huge_count:
            return None
        if kind != _MANAGED:
            raise self.structure.damage(self.address, f"a heap without an object {identifier.hex()}")
        stop = 1 + self.offset_nbytes
        offset = int.from_bytes(identifier[1:stop], "little")
        return offset, int.from_bytes(identifier[stop : stop + self.length_nbytes], "little")

    def _direct_blocks(self, offsets: Sequence[int]) -> Reading[list[tuple[_Block, bytes]]]:
        """The direct blocks in which ``offsets`` lie, with their bytes, a level of indirect blocks at a time."""
        if self.root == _NOWHERE or not offsets:
            return []
        level = [_Block(self.root, 0, self.block_nbytes, self.rows)]
        if self.first:
            return [(level[0], self.first)]
        direct: list[_Block] = []
        while level:
            direct += [block for block in level if not block.rows]
            indirect = [block for block in level if block.rows]
            if len(direct) + len(indirect) > _MOST_BLOCKS:
                raise self.structure.damage(self.root, f"a heap of more than {_MOST_BLOCKS} blocks")
            sizes = [self.block_head_nbytes + 8 * block.rows * self.width + CHECKSUM_NBYTES for block in indirect]
            found: Sequence[bytes] = ()
            if indirect:
                found = yield [(b.address, b.address + nbytes) for b, nbytes in zip(indirect, sizes, strict=True)]
            level = []
            for block, data in zip(indirect, found, strict=True):
                self.structure.check_block(block.address, data, b"FHIB")
                level += [child for child in self._children(block, data) if _holds(child, offsets)]
        pieces = list((yield [(block.address, block.address + block.nbytes) for block in direct])) if direct else []
        for block, data in zip(direct, pieces, strict=True):
            self.structure.check_signature(block.address, data, b"FHDB")
        return list(zip(direct, pieces, strict=True))

    def _children(self, block: _Block, data: bytes) -> Iterator[_Block]:
        addresses = struct.unpack_from(f"<{block.rows * self.width}Q", data, self.block_head_nbytes)
        offset = block.offset
        for number, address in enumerate(addresses):
            nbytes = self.row_nbytes(number // self.width)
            if address != _NOWHERE:
                rows = self.rows_within(nbytes) if nbytes > self.largest_nbytes else 0
                yield _Block(address, offset, nbytes, rows)
            offset += nbytes


def check_heap_head(structure: Structure, address: int, data: bytes) -> None:
    """Raise where ``data``, of ``HEAP_HEAD_NBYTES``, is not the head of a heap that can be."""
    structure.check_signature(address, data, b"FRHP")
    *_, width, start, largest, bits, _, _, rows = _HEAD.unpack(data)
    powers = all(number and not number & (number - 1) for number in (width, start, largest))
    row_bits = (width * start).bit_length() - 1
    if not powers or largest < start or not row_bits <= bits <= 64 or rows > bits - row_bits + 1:
        raise structure.damage(
            address, f"a heap of {bits} bits with {rows} rows of {width} blocks of {start} bytes or more"
        )


def opened_heap(structure: Structure, address: int) -> Reading[FractalHeap]:
    """The heap at ``address``, and its first block where all of its objects are in that.

    Raises:
        FormatError: what is there is no heap.
    """
    (data,) = yield [(address, address + _HEAD.size)]
    check_heap_head(structure, address, data)
    head = _HEAD.unpack(data)
    _, _, _, filters_nbytes, _, managed_nbytes, *_, width, start, largest, bits, _, root, rows = head
    length_nbytes = min((largest.bit_length() + 7) // 8, (managed_nbytes.bit_length() + 7) // 8)
    heap = FractalHeap(
        structure,
        address,
        head[_HUGE_COUNT],
        bool(filters_nbytes),
        (bits + 7) // 8,
        length_nbytes,
        width,
        start,
        largest,
        root,
        rows,
    )
    if rows or root == _NOWHERE or filters_nbytes:
        return heap
    (first,) = yield [(root, root + start)]
    structure.check_signature(root, first, b"FHDB")
    return replace(heap, first=first)


@dataclass(frozen=True, slots=True)
class _Block:
    """A block at ``address`` that holds ``nbytes`` of the heap from ``offset`` on; indirect ones have ``rows``."""

    address: int
    offset: int
    nbytes: int
    rows: int = 0


def _holds(block: _Block, offsets: Sequence[int]) -> bool:
    return any(block.offset <= offset < block.offset + block.nbytes for offset in offsets)


def _cut(blocks: Sequence[tuple[_Block, bytes]], offset: int, length: int) -> bytes | None:
    for block, data in blocks:
        start = offset - block.offset
        if 0 <= start < block.nbytes:
            return data[start : start + length]
    return None
