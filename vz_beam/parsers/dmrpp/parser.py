"""DMR++ documents: the parser itself.

Source: DAP4 specification, volume 1, "The Dataset Metadata Response",
https://docs.opendap.org/index.php/DAP4:_Specification_Volume_1; DMR++,
https://docs.opendap.org/index.php/DMR%2B%2B.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.file_parser import FileParser
from vz_beam.storage.byte_source import ByteSource

_START = re.compile(rb"^\s*(<\?xml[^>]*>)?\s*(<!--.*?-->\s*)*<(\w+:)?Dataset\b", re.DOTALL)
_NAMESPACES = (b"xml.opendap.org/dap/dmrpp", b"xml.opendap.org/ns/DAP")


@dataclass(frozen=True, slots=True)
class DMRPPParser(FileParser):
    """The file that a DMR++ document describes, as manifests: the document is read, and not the file.

    The file is where the document says by a URL. Where it says a path of some server, or nothing, the file is taken
    that stands beside the document, under its name without ``.dmrpp``, or under the name that the document says.

    Args:
        group: as of :class:`vz_beam.parsers.file_parser.FileParser`, and so are those up to ``unsupported``.
        skip_variables: see ``group``.
        reader_options: see ``group``.
        drop_variables: see ``group``.
        unsupported: see ``group``.
        data_url: where the file is, whatever the document says; or a mapping of what documents say (``href``) to URLs.
    """

    data_url: str | Mapping[str, str] | None = None

    name: ClassVar[str] = "dmrpp"
    suffixes: ClassVar[tuple[str, ...]] = (".dmrpp",)
    title: ClassVar[str] = "DMR++"
    reads: ClassVar[str] = (
        "groups, byte order, deflate, shuffle and fletcher32 in any order, files named by chunk, compact and inlined "
        "values, missing chunks; structures and strings of variable length without their values are refused"
    )

    def matches(self, head: bytes) -> bool:
        """Whether a file begins as a DAP4 dataset does."""
        return _START.match(head) is not None and any(name in head for name in _NAMESPACES)

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The variables, groups and attributes that the document ``source`` says.

        Of files beside the document the sizes are asked for: a place beyond the end of one is refused.

        Raises:
            UnsupportedError: variables that references cannot express.
            FormatError: no DMR++ document, or a damaged one.
            SourceNotFoundError: the file that it describes is not found.
            InputError: a group that is not there.
        """
        reading = importlib.import_module("vz_beam.parsers.dmrpp.reading")  # here, as other parsers do it
        found = reading.read_document(source, self.data_url, self.wants())
        group = found.nested(source.url, self.group, is_skipping=self.unsupported == "skip")
        assert isinstance(group, ManifestGroup)
        return group


PARSER = DMRPPParser()
