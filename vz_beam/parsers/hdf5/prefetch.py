"""The structure of a file brought into memory ahead of libhdf5, which would ask for it piece by piece.

Source: HDF5 file format specification 4.0, sections III, "Disk Format: Level 1 - File Infrastructure", and IV, "Disk
Format: Level 2 - Data Objects".
"""

from __future__ import annotations

import re
import struct
from collections.abc import Generator, Sequence

from vz_beam.errors import FormatError
from vz_beam.parsers.hdf5.attribute_messages import attribute_reading, back_references, heap_addresses
from vz_beam.parsers.hdf5.group_links import HARD, link_reading, symbol_addresses
from vz_beam.parsers.hdf5.index_reading import Structure
from vz_beam.parsers.hdf5.layout_message import chunked_layout
from vz_beam.parsers.hdf5.object_header import Message, message_reading
from vz_beam.parsers.hdf5.superblock import read_superblock
from vz_beam.storage.block_cache import BLOCK_BYTES, BlockCache

_INDEX_BYTES, _HEAP_BYTES = 4096, 4096
"""The root of a chunk index: a B-tree node of 64 chunks in four dimensions; a usual collection of the heap."""
_BEHIND_BYTES = 8 * 1024
_MOST_BYTES = 16 * 1024 * 1024
"""Half of what the cache holds: of more structure than this, the rest comes as libhdf5 asks for it."""
_DAMAGE = (FormatError, struct.error, ValueError, IndexError, LookupError, OverflowError)
"""How damage shows here. It ends the look at one object and nothing else: whoever reads the object will name it."""

_NEW_HEADER = re.compile(rb"OHDR\x02[\x00-\x3f]")
"""How object headers of version 2 begin: their signature, version and flags."""
_SYMBOLS = re.compile(rb"SNOD\x01\x00")
"""How symbol table nodes begin, which list the object headers of version 1."""

Walk = Generator[list[tuple[int, int]], list[bytes], None]


def prefetch_structure(cache: BlockCache, path: str) -> None:
    """Read what leads to the objects at ``path`` and below through ``cache``: headers, links, attributes.

    A level at a time. Where the whole file is wanted, what has the signature of an object header in a block that is
    there is taken for one: objects lie near each other, and need not wait for the links to them. Nothing is concluded
    from it, so what is not understood does no harm. Chunk indexes are left at their roots.
    """
    head = cache.read_head(BLOCK_BYTES)
    superblock = read_superblock(head)
    if superblock is not None:
        steps = tuple(step.encode() for step in path.split("/") if step)
        _Prefetch(cache, superblock.start).run(superblock.root, steps)


class _Prefetch:
    def __init__(self, cache: BlockCache, base: int) -> None:
        self.cache = cache
        self.base = base
        self.size = cache.size()
        self.left = _MOST_BYTES
        self.seen: set[int] = set()
        self.scans = True
        self.scanned: set[int] = set()
        self.waiting: list[tuple[Walk, list[tuple[int, int]]]] = []
        self.structure = Structure(cache.url, "/")

    def run(self, root: int, steps: Sequence[bytes]) -> None:
        """Follow all that the object ``steps`` below the one at ``root`` leads to."""
        self._visit(root, steps)
        self.scans = not steps
        has_tail = False
        while True:
            asked = self._asked()
            # what is needed next often lies behind, and may be in the next block already
            wanted = [(start, min(stop + _BEHIND_BYTES, self.size)) for _, ranges in asked for start, stop in ranges]
            if not has_tail and wanted:
                has_tail = True
                wanted.append((max(self.size - BLOCK_BYTES, 0), self.size))
            self.left -= sum(stop - start for start, stop in wanted)
            if not asked or self.left < 0:
                return
            self.cache.read_many(wanted)
            self.waiting = asked

    def _asked(self) -> list[tuple[Walk, list[tuple[int, int]]]]:
        """The walks that have come as far as what is in memory leads, and what each needs next."""
        asked: list[tuple[Walk, list[tuple[int, int]]]] = []
        if self.scans:
            self._scan()
        while self.waiting:
            walk, ranges = self.waiting.pop()
            found = self.cache.read_known(ranges)
            if found is None:
                asked.append((walk, ranges))
                continue
            try:
                ranges = walk.send(found)
            except StopIteration:
                continue
            except _DAMAGE:
                continue
            self.waiting.append((walk, [self._clipped(*each) for each in ranges]))
        return asked

    def _scan(self) -> None:
        """Visit what looks like an object header in blocks that came in."""
        for start, data in self.cache.blocks():
            if start in self.scanned:
                continue
            self.scanned.add(start)
            for match in _NEW_HEADER.finditer(data):
                self._visit(start + match.start() - self.base)
            for match in _SYMBOLS.finditer(data):
                for address in symbol_addresses(data[match.start() :]):
                    self._visit(address)

    def _clipped(self, start: int, stop: int) -> tuple[int, int]:
        first = min(max(start, 0) + self.base, self.size)
        return first, min(max(stop + self.base, first), self.size)

    def _visit(self, address: int, steps: Sequence[bytes] = ()) -> None:
        if address not in self.seen:
            self.seen.add(address)
            self._begin(self._object(address, steps))

    def _begin(self, walk: Walk) -> None:
        try:
            self.waiting.append((walk, [self._clipped(*each) for each in next(walk)]))
        except StopIteration:
            pass
        except _DAMAGE:
            pass

    def _object(self, address: int, steps: Sequence[bytes]) -> Walk:
        messages = yield from message_reading(address)
        self._begin(self._links(messages, steps))
        self._begin(self._attributes(messages))
        layout = chunked_layout(messages)
        if layout is not None and layout.address is not None:
            yield [(layout.address, layout.address + _INDEX_BYTES)]

    def _links(self, messages: Sequence[Message], steps: Sequence[bytes]) -> Walk:
        for link in (yield from link_reading(self.structure, messages, self.size)):
            if link.kind == HARD and (not steps or link.name == steps[0]):
                self._visit(link.address, steps[1:])

    def _attributes(self, messages: Sequence[Message]) -> Walk:
        attributes, _ = yield from attribute_reading(self.structure, messages, self.size)
        for attribute in attributes:
            for address in back_references(attribute):
                self._visit(address)
        heaps = {address for attribute in attributes for address in heap_addresses(attribute)}
        fresh = sorted(heaps - self.seen)
        self.seen |= heaps
        if fresh:
            yield [(address, address + _HEAP_BYTES) for address in fresh]
