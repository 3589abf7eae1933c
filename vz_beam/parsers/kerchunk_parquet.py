"""Kerchunk references in Parquet: the parser itself.

Source: https://fsspec.github.io/kerchunk/spec.html, "Parquet references".
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vz_beam import storage
from vz_beam.errors import FormatError, InputError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.kerchunk.arguments import check_arguments
from vz_beam.parsers.parser import CallableParser
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import open_file_or_folder

if TYPE_CHECKING:
    from vz_beam.storage.manifest_store import ManifestStore

_START = re.compile(rb'^\s*\{\s*"(?:metadata|record_size)"\s*:')
_RECORD_SIZE = re.compile(rb'"record_size"\s*:\s*\d')
_OPTIONS = "storage_options"


@dataclass(frozen=True, slots=True)
class KerchunkParquetParser(CallableParser):
    """Kerchunk references in Parquet as manifests, of whoever wrote them.

    The source is the folder, or the file ``.zmetadata`` in it. Values are what fsspec and xarray show, but for what is
    lost: a record file that is cut short or not there is refused, where they show fill values.

    Args:
        group: path of the group to take, with all below it; ``None`` for the whole store.
        fs_root: what relative names of files start from: a folder, a URL, or a protocol such as ``"s3://"``. Without it
            they are refused, since the references do not say.
        skip_variables: names or paths of variables and groups to leave out, at all levels; VirtualiZarr's word.
        reader_options: ``{"storage_options": ...}`` for the store, where the parser opens it itself because it is
            called with a URL. They are not pickled.
        drop_variables: as ``skip_variables``.
        missing_records: what to do where a record file is not there: ``"raise"`` refuses the variable, ``"fill"``
            leaves its chunks missing, which is right where a writer leaves out files without references.
        unsupported: ``"raise"`` one error that names every variable that cannot be read, or ``"skip"`` them and list
            them in ``ManifestGroup.skipped``, by their paths from ``group``.
    """

    group: str | None = None
    fs_root: str | None = None
    skip_variables: Sequence[str] | None = None
    reader_options: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    drop_variables: Sequence[str] | None = None
    missing_records: Literal["raise", "fill"] = "raise"
    unsupported: Literal["raise", "skip"] = "raise"

    name: ClassVar[str] = "kerchunk-parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".parq")
    title: ClassVar[str] = "Kerchunk Parquet"
    reads: ClassVar[str] = (
        "stores of kerchunk, VirtualiZarr and vz_beam, read as far as they are asked for; a record file that is lost "
        "is refused, where other readers show fill values"
    )

    def __post_init__(self) -> None:
        check_arguments(self.unsupported, skip_variables=self.skip_variables, drop_variables=self.drop_variables)
        if self.missing_records not in ("raise", "fill"):
            raise InputError(f'missing_records={self.missing_records!r}: it is "raise" or "fill"')
        if odd := sorted((self.reader_options or {}).keys() - {_OPTIONS}):
            raise InputError(f"reader_options has {odd[0]!r}, and only {_OPTIONS!r} is known")
        for name in ("skip_variables", "drop_variables"):
            object.__setattr__(self, name, tuple(getattr(self, name) or ()))

    def __reduce__(self) -> tuple[Any, ...]:
        words = ("group", "fs_root", "skip_variables", "drop_variables", "missing_records", "unsupported")
        return (_parser, tuple((word, getattr(self, word)) for word in words))

    def __call__(self, url: str | os.PathLike[str], registry: Any = None) -> ManifestStore:
        """A read-only Zarr store over the references at ``url``; ``registry`` is a registry of object stores."""
        options = (self.reader_options or {}).get(_OPTIONS)
        source = open_file_or_folder(url, options, registry)
        try:
            group = self.parse(source)
        finally:
            source.close()
        return storage.ManifestStore(group, registry=registry, storage_options=options)

    def matches(self, head: bytes) -> bool:
        """Whether a ``.zmetadata`` begins as that of references does, which has a ``record_size``."""
        return _START.match(head) is not None and _RECORD_SIZE.search(head) is not None

    def skipping(self) -> KerchunkParquetParser:
        """The same parser with ``unsupported="skip"``."""
        return replace(self, unsupported="skip")

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The variables, groups and attributes of ``source``; no file that it points at is read.

        Of chunks that are whole files, the sizes of these files are asked for.

        Raises:
            FormatError: no references, or damaged ones; TruncatedFileError where ``.zmetadata`` ends too early.
            UnsupportedError: variables that cannot be read, those among them whose references are lost.
            InputError: ``group`` is not in the store.
        """
        if not source.size():
            raise FormatError(f"{source.url} is empty (0 bytes). Way out: fetch it again, or leave it out")
        # Loaded here, so that files of other formats are told apart without pyarrow.
        reading = importlib.import_module("vz_beam.parsers.kerchunk.parquet_references")
        choices = importlib.import_module("vz_beam.parsers.kerchunk.store_group").choices_of(
            self.group, (self.skip_variables, self.drop_variables), self.unsupported
        )
        group = reading.read_parquet(source, self.fs_root, choices, self.missing_records == "fill")
        assert isinstance(group, ManifestGroup)
        return group


def _parser(*words: tuple[str, Any]) -> KerchunkParquetParser:
    return KerchunkParquetParser(**dict(words))


PARSER = KerchunkParquetParser()
