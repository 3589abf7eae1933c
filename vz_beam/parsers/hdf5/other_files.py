"""The other files that an HDF5 file names: where they are looked for, and what it means that one is not there."""

from __future__ import annotations

from vz_beam.errors import InputError, SourceNotFoundError
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.sibling_urls import is_absolute


class OtherFiles:
    """Opens the files that HDF5 files name, by the store, options and credentials of the file that was asked for.

    Names are relative to the folder of the file that tells them. An absolute name is a path of this machine where that
    file is local; where there is no such file, one of that name beside the telling file is taken, as HDF5 does. Neither
    the working folder nor environment variables are looked at, in which libhdf5 differs (measured with HDF5 2.0.0: it
    looks for raw files in the working folder alone, for others there as well): what a store holds must not depend on
    where the parser ran. libhdf5 itself is never let near: of a remote file it would take the file itself for any other
    one (measured), and so read wrong values.
    """

    __slots__ = ("_opened", "_root")

    def __init__(self, root: ByteSource) -> None:
        self._root = root
        self._opened: dict[str, tuple[ByteSource, str]] = {}

    def open(self, teller: ByteSource, name: str) -> ByteSource:
        """The file that ``teller`` calls ``name``; the caller closes it.

        Raises:
            SourceNotFoundError: there is none, in any of the places.
        """
        names = [name, name.replace("\\", "/").rpartition("/")[2]] if is_absolute(name) else [name]
        failures: list[str] = []
        for tried in names:
            try:
                source = teller.sibling(tried)
                source.size()  # a remote file is not asked for anything before
            except (SourceNotFoundError, InputError) as error:
                failures.append(str(error).rstrip("."))
            else:
                self._opened[source.url] = (teller, tried)
                return source
        raise SourceNotFoundError("; ".join(failures))

    def read(self, url: str, start: int, stop: int) -> bytes:
        """The bytes ``start`` to ``stop`` of the file that was asked for, or of one that was opened before."""
        if url == self._root.url:
            return self._root.read(start, stop)
        teller, name = self._opened[url]
        source = teller.sibling(name)
        try:
            return source.read(start, stop)
        finally:
            source.close()
