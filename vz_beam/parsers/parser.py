"""What a parser is, and which parser fits a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from vz_beam import storage
from vz_beam.errors import FormatError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.plugins import Plugins, find_plugins
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import FolderSource, open_file_or_folder

if TYPE_CHECKING:
    from vz_beam.storage.manifest_store import ManifestStore

HEAD_BYTES = 2**14
"""What parsers see of a file to know it: HDF5 has its signature as far as 8 KiB from the start in practice."""
_SHOWN_BYTES = 16


@runtime_checkable
class Parser(Protocol):
    """One format: how to know it, and how to make manifests of it."""

    @property
    def name(self) -> str:
        """The format, one word."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How names of such files end, in small letters, dots included."""
        ...

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins with ``head``, at most 16 KiB, is of this format. Loads no library.

        Of a store that is a folder, ``head`` is the whole document that marks it, such as ``.zmetadata``.
        """
        ...

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The arrays, groups and attributes of ``source``; reads no chunk data. The source stays open."""
        ...


@runtime_checkable
class SkippingParser(Parser, Protocol):
    """A parser that can leave out what references cannot express, and list it in ``ManifestGroup.skipped``."""

    @property
    def unsupported(self) -> str:
        """``"raise"`` where ``parse`` refuses the file, naming all such variables; ``"skip"`` where it lists them."""
        ...

    def skipping(self) -> Parser:
        """The same parser with ``unsupported="skip"``."""
        ...


def skipping(parser: Parser) -> Parser:
    """The parser as one that leaves out what references cannot express, where it can do so."""
    return parser.skipping() if isinstance(parser, SkippingParser) else parser


class CallableParser:
    """Gives a parser the call that VirtualiZarr's parsers have."""

    __slots__ = ()

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The arrays, groups and attributes of ``source``."""
        raise NotImplementedError

    def __call__(self, url: str | os.PathLike[str], registry: Any = None) -> ManifestStore:
        """A read-only Zarr store over the file at ``url``; ``registry`` is a registry of object stores."""
        source = open_file_or_folder(url, registry=registry)
        try:
            group = self.parse(source)
        finally:
            source.close()
        return storage.ManifestStore(group, registry=registry)


def known_parsers() -> Plugins:
    """All parsers by name: those of vz_beam, then those of other packages."""
    return find_plugins("vz_beam.parsers", "PARSER", "vz_beam.parsers")


def find_parser(source: ByteSource) -> Parser:
    """The parser that knows the first bytes of ``source``, else the one that knows how its name ends.

    Of a folder, the document that marks it is looked at, as a whole.

    Raises:
        SourceNotFoundError: there is no such file.
        FormatError: an empty file, or one that no parser knows.
    """
    head = source.read(0, source.size()) if isinstance(source, FolderSource) else source.read_head(HEAD_BYTES)
    if not head:
        raise FormatError(f"{source.url} is empty (0 bytes). Way out: fetch it again, or leave it out")
    plugins = known_parsers()
    for parser in plugins.found.values():
        if parser.matches(head):
            return parser  # type: ignore[no-any-return]  # plugins are Any until they are asked
    name = urlsplit(source.url).path.lower()
    known = {suffix: parser for parser in plugins.found.values() for suffix in parser.suffixes}
    for suffix in sorted(known, key=len, reverse=True):
        if name.endswith(suffix):
            return known[suffix]  # type: ignore[no-any-return]
    raise FormatError(_unknown(source.url, head, plugins))


def _unknown(url: str, head: bytes, plugins: Plugins) -> str:
    start = head[:_SHOWN_BYTES]
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in start)
    formats = "; ".join(
        f"{parser.name} ({', '.join(parser.suffixes) or 'by content'})" for parser in plugins.found.values()
    )
    absent = "".join(f"; {name} cannot be used here ({error})" for name, error in plugins.failed.items())
    return (
        f"{url}: no parser knows this file. It begins with {start.hex(' ')} ({text!r}). "
        f"Known formats: {formats}{absent}. Way out: name the parser yourself (parser=...), or leave the file out"
    )
