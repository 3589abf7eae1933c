"""An HDF5 file opened for its headers, and what the library says about damaged ones in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import h5py
from h5py import h5f, h5p

from vz_beam.errors import FormatError, TruncatedFileError, VzBeamError
from vz_beam.storage.block_cache import BlockCache
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.source_file import SourceFile

_TRUNCATED = re.compile(r"truncated file|addr overflow|end of file|read past|eof", re.IGNORECASE)
_LIBRARY_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    UnicodeDecodeError,
)
"""What h5py and HDF5 raise on damaged structures; damage may look like any value."""


class OpenFile:
    """The file of ``source``, open while in the ``with`` block.

    The operating system opens it where it can: measured on a netCDF-4 file of 7 variables, that takes 0.1 ms
    where h5py calling back into Python takes 1 ms.
    """

    __slots__ = ("_callback", "fid", "nbytes", "source")

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.nbytes = source.size()
        self._callback: h5py.File | None = None
        with damage_named(source.url, ""):
            if source.local_path is not None:
                access = h5p.create(h5p.FILE_ACCESS)
                access.set_fclose_degree(h5f.CLOSE_STRONG)
                # Locks fail on read-only and network file systems; nothing is written here.
                access.set_file_locking(False, True)
                self.fid = h5f.open(source.local_path.encode(), h5f.ACC_RDONLY, access)
            else:
                self._callback = h5py.File(SourceFile(BlockCache(source)), "r")
                self.fid = self._callback.id

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._callback is not None:
            self._callback.close()
        else:
            self.fid.close()


@contextmanager
def damage_named(url: str, path: str) -> Iterator[None]:
    """Turn what the library raises on damaged bytes into ``FormatError``, or ``TruncatedFileError``, of ``path``."""
    try:
        yield
    except VzBeamError:
        raise
    except _LIBRARY_ERRORS as error:
        if isinstance(error, (ConnectionError, TimeoutError)):
            raise
        where = f" at {path!r}" if path else ""
        text = str(error) or type(error).__name__
        if _TRUNCATED.search(text):
            raise TruncatedFileError(
                f"{url}: the file ends before its own structures say{where}: {text}. Way out: fetch the file again"
            ) from error
        raise FormatError(
            f"{url}: the HDF5 library cannot read the file{where}: {text}. Way out: check it with `h5dump -H`, "
            "fetch it again, or leave it out"
        ) from error
