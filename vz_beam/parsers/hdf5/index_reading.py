"""What the readers of chunk indexes have in common: they ask for ranges, and all of a file are served together.

Source: HDF5 file format specification 4.0, section III, "Disk Format: Level 1 - File Infrastructure".
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, TypeVar

import numpy as np
from numcodecs.jenkins import jenkins_lookup3

from vz_beam.errors import FormatError
from vz_beam.parsers.hdf5.layout_message import ChunkedLayout
from vz_beam.parsers.hdf5.stored_chunks import GridPlaces
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.pieces import Pieces

Result = TypeVar("Result")
Other = TypeVar("Other")
Reading = Generator[list[tuple[int, int]], Sequence[bytes], Result]
"""Yields ranges of addresses that it needs next, half open, and is sent the bytes of each.

They may be read or cut when they are looked at: a reading that takes them in turn holds one at a time.
"""

UNDEFINED = np.uint64(2**64 - 1)
"""The address of what was never written."""
CHECKSUM_NBYTES = 4


@dataclass(frozen=True, slots=True)
class Structure:
    """Something that the file at ``url`` keeps about the object at ``path``; ``title`` is what it is called."""

    url: str
    path: str

    @property
    def title(self) -> str:
        """What errors call it."""
        return "structure"

    def damage(self, address: int, what: str) -> FormatError:
        """The error that tells what is at ``address`` instead of a part of it."""
        return FormatError(
            f"{self.url}: the {self.title} of {self.path!r} is damaged: at address {address} is {what}. Way out: fetch "
            "the file again, or leave the variable out (drop_variables)"
        )

    def check_block(self, address: int, data: bytes, signature: bytes) -> None:
        """Raise where ``data`` is no block with ``signature`` that is whole and ends in its checksum."""
        self.check_signature(address, data, signature)
        self.check_sum(address, data)

    def check_signature(self, address: int, data: bytes, signature: bytes) -> None:
        """Raise where ``data`` is no block of version 0 that begins with ``signature``."""
        if not data.startswith(signature + b"\0"):
            raise self.damage(address, f"{data[:5]!r}, not {signature!r} of version 0")

    def check_sum(self, address: int, data: bytes) -> None:
        """Raise where the checksum at the end of ``data`` is not that of what is before it."""
        stored = int.from_bytes(data[-CHECKSUM_NBYTES:], "little")
        if jenkins_lookup3(data[:-CHECKSUM_NBYTES], 0) != stored:
            raise self.damage(address, f"a block of {len(data)} bytes whose checksum does not fit")


@dataclass(frozen=True, slots=True)
class ChunkIndex(Structure):
    """The index of the chunks of the dataset at ``path``, in the file at ``url``.

    ``layout`` says what kind it is, and has an address; ``grid_limits`` is the number of chunks along each dimension
    at the dataset's largest, ``None`` where it is unlimited; ``grid`` is what it is now.
    """

    layout: ChunkedLayout
    grid_limits: tuple[int | None, ...]
    grid: GridPlaces

    @property
    def title(self) -> str:
        """What errors call it."""
        return "chunk index"

    @property
    def address(self) -> int:
        """Where the index begins."""
        assert self.layout.address is not None, "what was never written has no index"
        return self.layout.address

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.layout.chunk_shape)

    @property
    def chunk_nbytes(self) -> int:
        """Size of a chunk without filters, bytes."""
        return math.prod(self.layout.chunk_shape) * self.layout.element_nbytes


def read_together(source: ByteSource, base: int, readings: Sequence[Reading[Result]]) -> list[Result]:
    """The result of each reading; what they ask for at the same time is fetched in one call.

    Args:
        source: of the file.
        base: what is added to addresses, bytes.
        readings: not begun yet.

    Raises:
        TruncatedFileError: a range behind the end of the file; and what the readings raise.
    """
    results: dict[int, Result] = {}
    sent: list[tuple[int, Sequence[bytes] | None]] = [(number, None) for number in range(len(readings))]
    while sent:
        asked: list[tuple[int, list[tuple[int, int]]]] = []
        for number, pieces in sent:
            try:
                asked.append((number, next(readings[number]) if pieces is None else readings[number].send(pieces)))
            except StopIteration as stop:
                results[number] = stop.value
        fetched = _pieces(source, [(start + base, stop + base) for _, ranges in asked for start, stop in ranges])
        places = pairwise(accumulate((len(ranges) for _, ranges in asked), initial=0))
        sent = [(number, fetched[start:stop]) for (number, _), (start, stop) in zip(asked, places, strict=True)]
    return [results[number] for number in range(len(readings))]


def _pieces(source: ByteSource, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
    if not ranges:
        return ()
    if isinstance(source, BlockCache):
        return source.pieces(ranges)
    if source.local_path is not None:
        return Pieces(source.read, ranges)  # the operating system fetches ahead
    return source.read_many(ranges)


def side_by_side(one: Reading[Result], other: Reading[Other]) -> Reading[tuple[Result, Other]]:
    """Both results; what the two readings ask for at the same time is asked for together."""
    readings: tuple[Reading[Any], Reading[Any]] = (one, other)
    results: dict[int, Any] = {}
    sent: dict[int, Sequence[bytes] | None] = {0: None, 1: None}
    while True:
        asked: dict[int, list[tuple[int, int]]] = {}
        for number, pieces in sent.items():
            try:
                asked[number] = next(readings[number]) if pieces is None else readings[number].send(pieces)
            except StopIteration as stop:
                results[number] = stop.value
        if not asked:
            return results[0], results[1]
        found = iter((yield [each for ranges in asked.values() for each in ranges]))
        sent = {number: [next(found) for _ in ranges] for number, ranges in asked.items()}
