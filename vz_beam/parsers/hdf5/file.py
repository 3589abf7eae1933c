"""An HDF5 file opened for its headers, and what the library says about damaged ones in our words."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

import h5py
from h5py import h5f, h5g, h5o

from vz_beam.errors import FormatError, TruncatedFileError, UnsupportedError, VzBeamError
from vz_beam.parsers.hdf5.dense_check import DENSE, dense_check, dense_places
from vz_beam.parsers.hdf5.global_heap import GlobalHeap, HeapDamage
from vz_beam.parsers.hdf5.heap_check import check_mappings
from vz_beam.parsers.hdf5.index_reading import Reading, Result, Structure, read_together
from vz_beam.parsers.hdf5.layout_message import check_chunk_shape, virtual_heap_place
from vz_beam.parsers.hdf5.local_heap import NAMED_IN_HEAP, check_local_heap, heap_addresses_of
from vz_beam.parsers.hdf5.object_header import HeaderDamage, Message, header_messages
from vz_beam.parsers.hdf5.prefetch import prefetch_structure
from vz_beam.parsers.hdf5.superblock import ADDRESS_BYTES, read_superblock
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.source_file import SourceFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_TRUNCATED = re.compile(r"truncated file|addr overflow|end of file|read past|eof", re.IGNORECASE)
_UNUSUAL = "datatype has unusually large # of unused bits"
"""libhdf5 takes such types for damage, and they may be: it reads them only where the program asks for it."""
_LIBRARY_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    struct.error,
    AttributeError,
    OverflowError,
    MemoryError,
    UnicodeDecodeError,
)
"""What h5py and HDF5 raise on damaged structures; damage may look like any value."""
_SHARED_MESSAGE_TABLE = 0x0F
_HEAD_BYTES = 4096
"""Enough for a superblock behind a user block of usual size."""


class OpenFile:
    """The file of ``source``, open while in the ``with`` block.

    The operating system opens it where it can: measured on a netCDF-4 file of 7 variables and 256 chunks, parsing takes
    4.2 ms then, and 4.9 ms where h5py calls back into Python for each read.

    Args:
        source: stays open.
        path: of the group that is wanted: what lies elsewhere in a remote file is not read ahead.

    ``bytes`` reads the file through what h5py has read of it; ``base`` is what the format adds to addresses, bytes;
    ``heap`` is the global heap.
    """

    __slots__ = (
        *("_address_bytes", "_extension", "_file", "_reader", "_root", "_root_messages"),
        *("base", "bytes", "fid", "heap", "nbytes", "source"),
    )

    def __init__(self, source: ByteSource, path: str = "/") -> None:
        self.source = source
        self.bytes = source
        if source.local_path is None:
            self.bytes = source if isinstance(source, BlockCache) else BlockCache(source)
        self.nbytes = self.bytes.size()
        if not self.nbytes:
            raise FormatError(f"{source.url} is empty (0 bytes). Way out: fetch it again, or leave it out")
        self.base, self._address_bytes = 0, ADDRESS_BYTES
        self._root: int | None = None
        self._extension: int | None = None
        self._root_messages: tuple[Message, ...] | None = None
        self.heap = GlobalHeap(self._read_many_addresses, self.nbytes)
        self._reader: _ReaderForHDF5 | None = None
        self._file: h5py.File | None = None
        try:
            with NamedDamage(source.url, ""):
                self._file = self._opened(path)
        except BaseException:
            if self._held_error() is None:
                raise
        # Outside of the handler: an error of the source must not carry that of h5py along, see NamedDamage.
        self._raise_held_error()
        assert self._file is not None
        self.fid = self._file.id
        creation = self.fid.get_create_plist()
        self.base = int(creation.get_userblock())
        self._address_bytes = max(creation.get_sizes())

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        try:
            with NamedDamage(self.source.url, ""):
                self._file.close()
        except FormatError:
            if error is None:  # what was found first says more
                raise
        self._raise_held_error()

    def header_messages(self, address: int) -> tuple[Message, ...]:
        """The messages of the object header at ``address``; none where only libhdf5 reads it."""
        if self._address_bytes != ADDRESS_BYTES:
            return ()
        return header_messages(self._read_addresses, address)

    def root(self) -> tuple[h5g.GroupID, int, tuple[Message, ...]]:
        """The root group, the address of its header, and what stands there, checked."""
        group = h5o.open(self.fid, b"/")
        if self._root is None:  # else not asked: H5Oget_info looks into heaps that nobody has checked yet
            self._root = int(h5o.get_info(group).addr)
        if self._root_messages is None:
            self._root_messages = self.checked_messages(self._root, "/")
        return group, self._root, self._root_messages

    def shares_messages(self) -> bool:
        """Whether objects may have attributes in common."""
        extension = () if self._extension is None else self.header_messages(self._extension)
        return any(message.kind == _SHARED_MESSAGE_TABLE for message in extension)

    def checked_messages(self, address: int, path: str) -> tuple[Message, ...]:
        """The messages of the object header at ``address``, before libhdf5 opens the object, which is at ``path``.

        Raises:
            HeaderDamage, HeapDamage, FormatError: libhdf5 would not come back from opening it.
        """
        messages = self.header_messages(address)
        check_chunk_shape(messages)
        kinds = {message.kind for message in messages}
        if not kinds.isdisjoint(NAMED_IN_HEAP):
            for heap in heap_addresses_of(messages):
                check_local_heap(self._read_addresses, heap)
        place = virtual_heap_place(messages)
        if place is not None:
            self.heap.check(place[:1])
            check_mappings(self.heap.object(*place))
        if not kinds.isdisjoint(DENSE) and any(dense_places(messages)):
            self.follow(dense_check(Structure(self.source.url, path), messages, self.nbytes))
        return messages

    def follow(self, reading: Reading[Result]) -> Result:
        """The result of a reading of this file.

        Raises:
            ValueError: what it raises for damage without a name.
        """
        return read_together(self.bytes, self.base, [reading])[0]

    def _read_addresses(self, start: int, stop: int) -> bytes:
        return self.bytes.read(*self._range(start, stop))

    def _read_many_addresses(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return self.bytes.read_many([self._range(start, stop) for start, stop in ranges])

    def _range(self, start: int, stop: int) -> tuple[int, int]:
        first = min(self.base + start, self.nbytes)
        return first, min(max(self.base + stop, first), self.nbytes)

    def _check_root(self) -> None:
        superblock = read_superblock(self.bytes.read_head(_HEAD_BYTES))
        if superblock is None:
            return
        self._root, self._extension = superblock.root, superblock.extension
        if superblock.root_heap is None:
            return
        self.base = superblock.start
        self.checked_messages(superblock.root, "/")
        check_local_heap(self._read_addresses, superblock.root_heap)

    def _opened(self, path: str) -> h5py.File:
        if not isinstance(self.bytes, BlockCache):
            self._check_root()
            assert self.source.local_path is not None, "what the operating system does not open is read through a cache"
            # No access properties: HDF5 refuses a file that this process has open with others already.
            return h5py.File(h5f.open(os.fsencode(self.source.local_path), h5f.ACC_RDONLY))
        prefetch_structure(self.bytes, path)
        self._check_root()
        self._reader = _ReaderForHDF5(self.bytes)
        file = h5py.File(self._reader, "r")
        try:
            _check_not_being_written(self.bytes, file.userblock_size)
        except BaseException:
            file.close()
            raise
        return file

    def _held_error(self) -> Exception | None:
        return None if self._reader is None else self._reader.error

    def _raise_held_error(self) -> None:
        """Raise what went wrong in reading rather than what HDF5 made of the zeros that it got."""
        error = self._held_error()
        if error is not None:
            if self._file is not None:
                self._file.close()
            self._reader = None  # no cycle of error and file: both end with this call
            raise error


class _ReaderForHDF5(SourceFile):
    """Keeps the error of a read until HDF5 has returned, and gives it zeros meanwhile.

    Without its traceback, which would keep ``buffer``: that is memory of HDF5, and not for long.
    """

    def __init__(self, source: ByteSource) -> None:
        super().__init__(source)
        self.error: Exception | None = None

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fills ``buffer``, with zeros from the first error on."""
        if self.error is None:
            try:
                return super().readinto(buffer)
            except Exception as error:  # raised when the file is closed, or when it could not be opened
                self.error = error.with_traceback(None)
        view = memoryview(buffer).cast("B")
        view[:] = bytes(len(view))
        return 0


def _check_not_being_written(source: ByteSource, start: int) -> None:
    """Raise where the superblock at byte ``start`` says that a writer has the file open.

    HDF5 asks that of files that the operating system opens only. The flag is in superblocks of version 3, in byte 11.
    """
    head = source.read(start, start + 12)
    if head[8] >= 3 and head[11] & 1:
        raise FormatError(
            f"{source.url}: the file is open for writing, or its writer died: its superblock says so. Way out: wait "
            "for the writer, or clear the flag with `h5clear -s` where there is none"
        )


class NamedDamage:
    """Turns what the library raises on damaged bytes into ``FormatError``, or ``TruncatedFileError``, of ``path``.

    A type that libhdf5 refuses becomes ``UnsupportedError``.

    The library's error loses its traceback, which would keep h5py's access properties: a process that still has those
    of a file object at its end crashes there (h5py 3.16).
    """

    __slots__ = ("_path", "_url")

    def __init__(self, url: str, path: str) -> None:
        self._url = url
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, (VzBeamError, ConnectionError, TimeoutError)):
            return
        if isinstance(error, _LIBRARY_ERRORS):
            raise _damage(error, self._url, self._path) from error.with_traceback(None)


@contextmanager
def noted_damage(url: str, path: str, problems: dict[str, str] | None) -> Iterator[None]:
    """As :class:`NamedDamage`, but damage of the object at ``path`` alone is noted in ``problems``.

    A file that is too short is no matter of one object. ``None`` raises all of it.
    """
    try:
        with NamedDamage(url, path):
            yield
    except TruncatedFileError:
        raise
    except FormatError as error:
        if problems is None:
            raise
        problems[path] = str(error)


def _damage(error: Exception, url: str, path: str) -> VzBeamError:
    where = f" at {path!r}" if path else ""
    text = str(error) or type(error).__name__
    if "signature not found" in text:
        return FormatError(
            f"{url}: this is no HDF5 file: it has no HDF5 signature, neither at its start nor behind a user "
            "block. Way out: name the parser of its format (parser=...), fetch it again, or leave it out"
        )
    if _UNUSUAL in text:
        return UnsupportedError(f"its type is one that libhdf5 refuses: {text}")
    if isinstance(error, (HeapDamage, HeaderDamage)):
        return FormatError(f"{url}: the file is damaged{where}: {text}. Way out: fetch it again, or leave it out")
    if _TRUNCATED.search(text):
        return TruncatedFileError(
            f"{url}: the file ends before its own structures say{where}: {text}. Way out: fetch the file again"
        )
    return FormatError(
        f"{url}: the HDF5 library cannot read the file{where}: {text}. Way out: check it with `h5dump -H`, "
        "fetch it again, or leave it out"
    )
