"""Kerchunk references in JSON: the parser itself.

Source: https://fsspec.github.io/kerchunk/spec.html, versions 0 and 1.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from vz_beam.errors import FormatError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.kerchunk.arguments import check_arguments
from vz_beam.parsers.kerchunk.json_text import unpacked_head
from vz_beam.parsers.parser import CallableParser
from vz_beam.storage.byte_source import ByteSource

_START = rb"^(?:\xef\xbb\xbf)?\s*\{\s*"
_HEAD = re.compile(
    _START + rb'(?:"version"\s*:\s*[01]\s*,\s*)?"(?:refs|templates|gen)"\s*:'  # version 1
    rb"|" + _START + rb'"[^"]*"\s*:\s*\[\s*"[^"]*"\s*(?:,\s*\d+\s*,\s*\d+\s*)?\]'  # version 0 that begins with a chunk
    rb"|" + _START + rb'"(?:[^"]*/)?(?:\.z(?:group|array|attrs)|zarr\.json)"\s*:'  # or with a document
)


@dataclass(frozen=True, slots=True)
class KerchunkJSONParser(CallableParser):
    """Kerchunk references in JSON as manifests, of whoever wrote them; also compressed by gzip or Zstandard.

    Read are versions 0 and 1, templates and generators, Zarr v2 and v3 metadata, groups, and every form of entry.
    Values are what fsspec and xarray show: missing chunks are missing, and a ``fill_value`` means missing data. Texts
    in double braces are put in place by name, with whole numbers counted; nothing else of Jinja2 is run. Chunks outside
    an array's shape are left alone, keys that name no chunk are refused.

    Args:
        group: path of the group to take, with all below it; ``None`` for the whole store.
        fs_root: what relative names of files start from: a folder, a URL, or a protocol such as ``"s3://"``. Without it
            they are refused, since the references do not say.
        skip_variables: names or paths of variables and groups to leave out, at all levels; VirtualiZarr's word.
        drop_variables: the same.
        unsupported: ``"raise"`` one error that names every variable that cannot be read, or ``"skip"`` them and list
            them in ``ManifestGroup.skipped``, by their paths from ``group``.
    """

    group: str | None = None
    fs_root: str | None = None
    skip_variables: Sequence[str] | None = None
    drop_variables: Sequence[str] | None = None
    unsupported: Literal["raise", "skip"] = "raise"

    name: ClassVar[str] = "kerchunk-json"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".json.gz", ".json.zst")
    title: ClassVar[str] = "Kerchunk JSON"
    reads: ClassVar[str] = (
        "versions 0 and 1, templates and generators, also compressed; groups, inlined and missing chunks; stores of "
        "kerchunk, VirtualiZarr and vz_beam"
    )

    def __post_init__(self) -> None:
        check_arguments(self.unsupported, skip_variables=self.skip_variables, drop_variables=self.drop_variables)
        for name in ("skip_variables", "drop_variables"):
            object.__setattr__(self, name, tuple(getattr(self, name) or ()))

    def matches(self, head: bytes) -> bool:
        """Whether a file begins as references in JSON do; what Zstandard compresses is known by its name."""
        return _HEAD.match(unpacked_head(head)) is not None

    def skipping(self) -> KerchunkJSONParser:
        """The same parser with ``unsupported="skip"``."""
        return replace(self, unsupported="skip")

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The variables, groups and attributes of ``source``; no file that it points at is read.

        Of chunks that are whole files, the sizes of these files are asked for.

        Raises:
            FormatError: no references, or damaged ones; TruncatedFileError where the file ends too early.
            UnsupportedError: variables that cannot be read.
            InputError: ``group`` is not in the store.
        """
        if not source.size():
            raise FormatError(f"{source.url} is empty (0 bytes). Way out: fetch it again, or leave it out")
        # Loaded here, so that files of other formats are told apart without it.
        reading = importlib.import_module("vz_beam.parsers.kerchunk.json_references")
        choices = importlib.import_module("vz_beam.parsers.kerchunk.store_group").choices_of(
            self.group, (self.skip_variables, self.drop_variables), self.unsupported
        )
        group = reading.read_json(source, self.fs_root, choices)
        assert isinstance(group, ManifestGroup)
        return group


PARSER = KerchunkJSONParser()
