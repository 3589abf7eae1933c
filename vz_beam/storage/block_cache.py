"""A source that remembers what it read, in aligned blocks: for readers that ask for many small pieces."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from vz_beam.errors import InputError
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.identity import Identity
from vz_beam.storage.open_handle import OpenHandle
from vz_beam.storage.pieces import Pieces
from vz_beam.storage.range_plan import GAP_BYTES
from vz_beam.storage.source_ranges import checked_end, checked_range, checked_ranges

BLOCK_BYTES = 64 * 1024
"""Headers, B-tree nodes and heaps of an HDF5 file lie some KB apart; a block brings the next few along."""
MAX_BLOCKS = 512
"""32 MiB of blocks: the metadata of most files, and small beside a worker's memory."""
_LARGE_BLOCKS = 16  # a range over more blocks than this is data, which is read once: it would only push metadata out
_MANY_BLOCKS = 128
"""Of more blocks at once, 8 MiB, only the pieces are fetched: the nodes of a large chunk index are far apart."""


class BlockCache(OpenHandle):
    """Reads ``source`` in aligned blocks of ``block_bytes`` and keeps the ``max_blocks`` used last.

    ``read_many`` fetches all blocks that are missing together. Threads may read at once; two of them may
    fetch the same block.
    """

    __slots__ = ("_block_bytes", "_blocks", "_lock", "_max_blocks", "_size", "_source")

    def __init__(self, source: ByteSource, *, block_bytes: int = BLOCK_BYTES, max_blocks: int = MAX_BLOCKS) -> None:
        if block_bytes < 1 or max_blocks < 1:
            raise InputError(f"block_bytes={block_bytes} and max_blocks={max_blocks} are to be at least 1")
        self._source = source
        self.url = source.url
        self._block_bytes = block_bytes
        self._max_blocks = max_blocks
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._size: int | None = None
        self._lock = threading.Lock()

    @property
    def local_path(self) -> str | None:
        """That of the source."""
        return self._source.local_path

    def size(self) -> int:
        """Size of the file, bytes; the first block comes with it, since every reader begins there."""
        if self._size is None:
            head = self._source.read_head(self._block_bytes)
            self._size = self._source.size()
            if head:
                self._keep({0: head})
        return self._size

    def read_head(self, nbytes: int) -> bytes:
        """The first ``nbytes`` bytes, or all where there are fewer."""
        return self.read(0, min(nbytes, self.size()))

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``start`` to ``stop``, from memory where they were read before."""
        start, stop = checked_range(self.url, start, stop)
        number, first = divmod(start, self._block_bytes)
        with self._lock:
            block = self._blocks.get(number)
            if block is not None and first + stop - start <= len(block):
                self._blocks.move_to_end(number)
                return block[first : first + stop - start]
        return self.read_many([(start, stop)])[0]

    def read_known(self, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """The bytes of each range where all of them are in memory, else ``None``; nothing is fetched."""
        wanted = checked_ranges(self.url, ranges)
        numbers = {
            n for start, stop in wanted for n in range(start // self._block_bytes, -(-stop // self._block_bytes))
        }
        blocks, missing = self._known(numbers) if len(numbers) <= self._max_blocks else ({}, [0])
        return None if missing else [self._piece(blocks, {}, start, stop) for start, stop in wanted]

    def blocks(self) -> list[tuple[int, bytes]]:
        """The blocks in memory: where each begins, bytes, and what it holds."""
        with self._lock:
            return [(number * self._block_bytes, block) for number, block in self._blocks.items()]

    def for_values(self) -> ByteSource:
        """The same file for a reader of chunks: what is in memory comes from there, the rest as it is, and not kept."""
        return _ForValues(self)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range; what is not in memory is fetched in one call."""
        return list(self.pieces(ranges))

    def pieces(self, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        """The same, but each piece is cut out of its blocks only when it is looked at."""
        wanted = checked_ranges(self.url, ranges)
        size = self.size()
        large: dict[tuple[int, int], bytes | None] = {}
        numbers: set[int] = set()
        checked_end(self.url, wanted, size)
        for start, stop in wanted:
            if stop - start > _LARGE_BLOCKS * self._block_bytes:
                large[start, stop] = None
            elif start < stop:
                numbers.update(range(start // self._block_bytes, (stop - 1) // self._block_bytes + 1))
        blocks, missing = self._known(numbers)
        if len(missing) > _MANY_BLOCKS:
            return self.read_exactly(wanted)
        missing = self._with_gaps(missing)
        fetches = [self._range_of(number, size) for number in missing] + list(large)
        fetched = self._source.read_many(fetches) if fetches else []
        blocks.update(zip(missing, fetched, strict=False))
        large.update(zip(large, fetched[len(missing) :], strict=True))
        self._keep(blocks)
        return Pieces(partial(self._piece, blocks, large), wanted)

    def read_exactly(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range; those that are not in memory are fetched without what lies around them."""
        wanted = checked_ranges(self.url, ranges)
        checked_end(self.url, wanted, self.size())
        numbers = [range(start // self._block_bytes, -(-stop // self._block_bytes)) for start, stop in wanted]
        blocks, _ = self._known({number for each in numbers if len(each) <= _LARGE_BLOCKS for number in each})
        known = [all(number in blocks for number in each) for each in numbers]
        missing = [each for each, is_known in zip(wanted, known, strict=True) if not is_known]
        fetched = iter(self._source.read_many(missing) if missing else [])
        return [
            self._piece(blocks, {}, *each) if is_known else next(fetched)
            for each, is_known in zip(wanted, known, strict=True)
        ]

    def identity(self) -> Identity:
        """What the file is now."""
        return self._source.identity()

    def first_identity(self) -> Identity:
        """What the file was when it was first asked for anything."""
        return self._source.first_identity()

    def sibling(self, name: str) -> ByteSource:
        """That of the source, without a cache."""
        return self._source.sibling(name)

    def other(self, url: str) -> ByteSource:
        """That of the source, without a cache."""
        return self._source.other(url)

    def close(self) -> None:
        """Closes the source and forgets what was read."""
        with self._lock:
            self._blocks.clear()
        self._source.close()

    def _with_gaps(self, numbers: list[int]) -> list[int]:
        """``numbers``, ascending, and the blocks between them that come along in any case: so they are kept."""
        most = GAP_BYTES // self._block_bytes
        near = [(before, after) for before, after in pairwise(numbers) if after - before - 1 <= most]
        gaps = {number for before, after in near for number in range(before + 1, after)}
        return sorted({*numbers, *self._known(gaps)[1]})

    def _range_of(self, number: int, size: int) -> tuple[int, int]:
        start = number * self._block_bytes
        return start, min(start + self._block_bytes, size)

    def _known(self, numbers: set[int]) -> tuple[dict[int, bytes], list[int]]:
        with self._lock:
            blocks = {number: self._blocks[number] for number in numbers if number in self._blocks}
        return blocks, sorted(numbers - blocks.keys())

    def _keep(self, blocks: dict[int, bytes]) -> None:
        with self._lock:
            for number, block in blocks.items():
                self._blocks[number] = block
                self._blocks.move_to_end(number)
            while len(self._blocks) > self._max_blocks:
                self._blocks.popitem(last=False)

    def _piece(
        self, blocks: dict[int, bytes], large: dict[tuple[int, int], bytes | None], start: int, stop: int
    ) -> bytes:
        if start == stop:
            return b""
        data = large.get((start, stop))
        if data is not None:
            return data
        size = self._block_bytes
        first, last = start // size, (stop - 1) // size
        if first == last:
            return blocks[first][start - first * size : stop - first * size]
        middle = [blocks[number] for number in range(first + 1, last)]
        return b"".join([blocks[first][start - first * size :], *middle, blocks[last][: stop - last * size]])


class _ForValues(OpenHandle):
    """What ``BlockCache.for_values`` gives; it is closed with the cache."""

    __slots__ = ("_cache",)

    def __init__(self, cache: BlockCache) -> None:
        self._cache = cache
        self.url = cache.url

    @property
    def local_path(self) -> str | None:
        return self._cache.local_path

    def size(self) -> int:
        return self._cache.size()

    def read_head(self, nbytes: int) -> bytes:
        return self._cache.read_head(nbytes)

    def read(self, start: int, stop: int) -> bytes:
        return self._cache.read_exactly([(start, stop)])[0]

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return self._cache.read_exactly(ranges)

    def identity(self) -> Identity:
        return self._cache.identity()

    def first_identity(self) -> Identity:
        return self._cache.first_identity()

    def sibling(self, name: str) -> ByteSource:
        return self._cache.sibling(name)

    def other(self, url: str) -> ByteSource:
        return self._cache.other(url)
