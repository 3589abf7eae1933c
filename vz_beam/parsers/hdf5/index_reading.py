"""What the readers of chunk indexes have in common: they ask for ranges, and all of a file are served together.

Source: HDF5 file format specification 4.0, section III, "Disk Format: Level 1 - File Infrastructure".
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numcodecs.jenkins import jenkins_lookup3
from numpy.typing import NDArray

from vz_beam.errors import FormatError
from vz_beam.parsers.hdf5.layout_message import ChunkedLayout
from vz_beam.storage.byte_source import ByteSource

Result = TypeVar("Result")
Other = TypeVar("Other")
Reading = Generator[list[tuple[int, int]], list[bytes], Result]
"""Yields ranges of addresses that it needs next, half open, and is sent the bytes of each."""

UNDEFINED = np.uint64(2**64 - 1)
"""The address of what was never written."""
CHECKSUM_NBYTES = 4
BLOCK_HEAD_NBYTES = 14
"""What each block of an array begins with: signature, version, client, and the address of the array's head."""


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
    at the dataset's largest, ``None`` where it is unlimited.
    """

    layout: ChunkedLayout
    grid_limits: tuple[int | None, ...]

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


@dataclass(frozen=True, slots=True)
class ChunkRecords:
    """The chunks that an index lists, one row each, in its order.

    ``places`` int64[n, rank], chunks; ``addresses`` uint64[n]; ``lengths`` unsigned[n], bytes; ``masks`` uint32[n],
    bit ``i`` set where filter ``i`` was skipped.
    """

    places: NDArray[np.int64]
    addresses: NDArray[np.uint64]
    lengths: NDArray[np.unsignedinteger[Any]]
    masks: NDArray[np.uint32]


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
    sent: list[tuple[int, list[bytes] | None]] = [(number, None) for number in range(len(readings))]
    while sent:
        asked: list[tuple[int, list[tuple[int, int]]]] = []
        for number, pieces in sent:
            try:
                asked.append((number, next(readings[number]) if pieces is None else readings[number].send(pieces)))
            except StopIteration as stop:
                results[number] = stop.value
        wanted = [(start + base, stop + base) for _, ranges in asked for start, stop in ranges]
        fetched = iter(source.read_many(wanted) if wanted else [])
        sent = [(number, [next(fetched) for _ in ranges]) for number, ranges in asked]
    return [results[number] for number in range(len(readings))]


def side_by_side(one: Reading[Result], other: Reading[Other]) -> Reading[tuple[Result, Other]]:
    """Both results; what the two readings ask for at the same time is asked for together."""
    readings: tuple[Reading[Any], Reading[Any]] = (one, other)
    results: dict[int, Any] = {}
    sent: dict[int, list[bytes] | None] = {0: None, 1: None}
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


def element_form(element_nbytes: int, filtered: bool, rank: int = 0) -> np.dtype[Any] | None:
    """One chunk in an index of HDF5 1.10 or later; ``None`` where no such element has ``element_nbytes`` bytes.

    The size of a filtered chunk takes what the rest leaves. ``rank`` is the number of places behind it, 0 in arrays.
    """
    places = [("place", "<u8", (rank,))] if rank else []
    rest = element_nbytes - 8 - 8 * rank
    if not filtered:
        return np.dtype([("address", "<u8"), *places]) if rest == 0 else None
    if not 1 <= rest - 4 <= 8:
        return None
    return np.dtype([("address", "<u8"), ("length", "u1", (rest - 4,)), ("mask", "<u4"), *places])


@dataclass(frozen=True, slots=True)
class ElementBlock:
    """A block of ``count`` elements behind a head of ``head_nbytes``.

    Head and elements have one checksum, or where there are more than ``page_length`` elements, the head and each page
    of so many have their own.
    """

    address: int
    head_nbytes: int
    form: np.dtype[Any]
    count: int
    page_length: int

    @property
    def pages(self) -> int:
        """Number of pages; 0 where it has none."""
        return pages_of(self.count, self.page_length)

    @property
    def range(self) -> tuple[int, int]:
        """Where it is, addresses."""
        nbytes = self.head_nbytes + self.count * self.form.itemsize + CHECKSUM_NBYTES * (1 + self.pages)
        return self.address, self.address + nbytes

    def elements(self, index: ChunkIndex, data: bytes, used: NDArray[np.bool_]) -> Elements:
        """The elements of stored chunks; ``data`` is all of the block, ``used`` bool[pages] the pages ever written."""
        if not self.pages:
            return self._checked(index, 0, data, self.head_nbytes)
        start = self.head_nbytes + CHECKSUM_NBYTES
        index.check_sum(self.address, data[:start])
        page_nbytes = self.page_length * self.form.itemsize + CHECKSUM_NBYTES
        found = [Elements.none(self.form)]
        for page in np.flatnonzero(used).tolist():
            at = start + page * page_nbytes
            elements = self._checked(index, at, data[at : at + page_nbytes], 0)
            found.append(elements.behind(page * self.page_length))
        return Elements.together(found)

    def _checked(self, index: ChunkIndex, at: int, data: bytes, start: int) -> Elements:
        index.check_sum(self.address + at, data)
        elements = np.frombuffer(data[start:-CHECKSUM_NBYTES], self.form)
        numbers = np.flatnonzero(elements["address"] != UNDEFINED)
        return Elements(numbers, elements[numbers])


@dataclass(frozen=True, slots=True)
class Elements:
    """Elements of an array that stand for stored chunks: their numbers int64[n], and themselves form[n]."""

    numbers: NDArray[np.int64]
    rows: NDArray[Any]

    @classmethod
    def none(cls, form: np.dtype[Any]) -> Elements:
        """No element."""
        return cls(np.empty(0, np.int64), np.empty(0, form))

    @classmethod
    def together(cls, parts: Sequence[Elements]) -> Elements:
        """All elements of ``parts``, at least one."""
        return cls(np.concatenate([part.numbers for part in parts]), np.concatenate([part.rows for part in parts]))

    def behind(self, count: int) -> Elements:
        """The same elements, numbered as if ``count`` came before them."""
        return Elements(self.numbers + count, self.rows)


def pages_of(count: int, page_length: int) -> int:
    """Number of pages of a block of ``count`` elements; 0 where it is not paged.

    >>> pages_of(1024, 1024), pages_of(1025, 1024)
    (0, 2)
    """
    return -(-count // page_length) if count > page_length else 0


def records_of(index: ChunkIndex, elements: NDArray[Any], places: NDArray[np.int64]) -> ChunkRecords:
    """The chunks of ``elements`` ``element_form[n]``, which lie at ``places`` int64[n, rank]."""
    assert elements.dtype.names is not None
    addresses = elements["address"]
    if "length" not in elements.dtype.names:
        lengths = np.broadcast_to(np.uint64(index.chunk_nbytes), addresses.shape)
        return ChunkRecords(places, addresses, lengths, np.broadcast_to(np.uint32(0), addresses.shape))
    digits = elements["length"]
    padded = np.zeros((len(elements), 8), np.uint8)
    padded[:, : digits.shape[1]] = digits
    return ChunkRecords(places, addresses, padded.view("<u8")[:, 0], elements["mask"])


def places_of(numbers: NDArray[np.int64], grid_shape: Sequence[int]) -> NDArray[np.int64]:
    """Grid positions int64[n, rank] of C-order chunk numbers; the first length does not matter.

    >>> places_of(np.array([7]), (0, 3)).tolist()
    [[2, 1]]
    """
    places = np.empty((len(numbers), len(grid_shape)), np.int64)
    for axis in range(len(grid_shape) - 1, 0, -1):
        numbers, places[:, axis] = np.divmod(numbers, grid_shape[axis])
    if grid_shape:
        places[:, 0] = numbers
    return places
