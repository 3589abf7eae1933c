"""Where the files are that a DMR++ document names: URLs as they are, and paths of servers found beside the document."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from vz_beam.errors import SourceNotFoundError, UnsupportedError
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.urls import canonical_url, scheme_of

_ACCESS_URL = "OPeNDAP_DMRpp_DATA_ACCESS_URL"
"""Stands in documents for an address that a server fills in."""
_SUFFIX = ".dmrpp"


class DataFiles:
    """The files of one document.

    Args:
        source: the document.
        root: what it says of its file, ``href`` of its root.
        data_url: what the caller says of that file, or of each ``href``.
    """

    def __init__(self, source: ByteSource, root: str, data_url: str | Mapping[str, str] | None) -> None:
        self._source = source
        self._root = root
        self._given = data_url if isinstance(data_url, Mapping) else {} if data_url is None else {root: data_url}
        self._found: dict[str, tuple[str, int | None]] = {}

    def place(self, href: str = "") -> tuple[str, int | None]:
        """URL of the file, and its size in bytes where it was asked for.

        Raises:
            SourceNotFoundError: neither a URL nor beside the document; UnsupportedError where it is not the one file
                that all variables are in.
        """
        href = href or self._root
        if href not in self._found:
            self._found[href] = self._look(href)
        return self._found[href]

    def _look(self, href: str) -> tuple[str, int | None]:
        if href in self._given:
            return canonical_url(self._given[href]), None
        if scheme_of(href):
            return canonical_url(href), None
        tried = []
        for name in self._names(href):
            try:
                file = self._source.sibling(name)
            except SourceNotFoundError:
                tried.append(name)
                continue
            try:
                return file.url, file.size()
            except SourceNotFoundError:
                tried.append(name)
            finally:
                file.close()
        kind = SourceNotFoundError if href == self._root else UnsupportedError
        raise kind(
            f"{self._source.url} describes {href or 'a file without a name'!r}, which is not a URL, and beside the "
            f"document there is none of {tried}. Way out: say where the file is, DMRPPParser(data_url=...)"
        )

    def _names(self, href: str) -> list[str]:
        own = unquote(urlsplit(self._source.url).path).rpartition("/")[2]
        names = []
        if href == self._root and own.endswith(_SUFFIX):
            names.append(own.removesuffix(_SUFFIX))
        if href and href != _ACCESS_URL:
            names += [href.rpartition("/")[2], href.lstrip("/")]
        return [name for name in dict.fromkeys(names) if name and name != own]
