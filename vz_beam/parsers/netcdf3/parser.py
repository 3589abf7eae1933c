"""NetCDF classic files: the parser itself.

Source: NetCDF classic format specification,
https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vz_beam import storage
from vz_beam.errors import InputError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.parser import CallableParser
from vz_beam.storage.byte_source import ByteSource, open_source

if TYPE_CHECKING:
    from vz_beam.storage.manifest_store import ManifestStore

_OPTIONS = "storage_options"


@dataclass(frozen=True, slots=True)
class NetCDF3Parser(CallableParser):
    """Files of the netCDF classic formats (CDF-1, CDF-2, CDF-5) as manifests.

    A variable without the record dimension is one chunk. Of the others each record is a chunk, or where a file has one
    such variable, whose records follow each other, all of them are. Characters stay characters (``S1``), as in the
    file; xarray joins them to text when it decodes.

    Args:
        group: ``None`` or ``"/"``: these files have no groups.
        skip_variables: names of variables to leave out, where a file has them; VirtualiZarr's word.
        reader_options: ``{"storage_options": ...}`` for the file, where the parser opens it itself because it is
            called with a URL. They are not pickled.
        drop_variables: as ``skip_variables``.
        unsupported: ``"raise"`` one error that names every variable that cannot be expressed, or ``"skip"``
            them and list them in ``ManifestGroup.skipped``.
    """

    group: str | None = None
    skip_variables: Sequence[str] | None = None
    reader_options: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    drop_variables: Sequence[str] | None = None
    unsupported: Literal["raise", "skip"] = "raise"

    name: ClassVar[str] = "netcdf3"
    suffixes: ClassVar[tuple[str, ...]] = (".nc3", ".nc5")
    title: ClassVar[str] = "netCDF-3"
    reads: ClassVar[str] = (
        "classic, 64-bit offset and CDF-5; each record of a variable is a chunk, or all are one where they follow "
        "each other; values beyond the end of the file are refused"
    )

    def __post_init__(self) -> None:
        if self.unsupported not in ("raise", "skip"):
            raise InputError(f'unsupported={self.unsupported!r}: it is "raise" or "skip"')
        for name in ("skip_variables", "drop_variables"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise InputError(f"{name}={value!r}: give a list of names, [{value!r}]")
            object.__setattr__(self, name, tuple(value or ()))
        if odd := sorted((self.reader_options or {}).keys() - {_OPTIONS}):
            raise InputError(f"reader_options has {odd[0]!r}, and only {_OPTIONS!r} is known")

    def __reduce__(self) -> tuple[Any, ...]:
        words = ("group", "skip_variables", "drop_variables", "unsupported")
        return (_parser, tuple((word, getattr(self, word)) for word in words))

    def __call__(self, url: str | os.PathLike[str], registry: Any = None) -> ManifestStore:
        """A read-only Zarr store over the file at ``url``; ``registry`` is a registry of object stores."""
        options = (self.reader_options or {}).get(_OPTIONS)
        source = open_source(url, options, registry)
        try:
            group = self.parse(source)
        finally:
            source.close()
        return storage.ManifestStore(group, registry=registry, storage_options=options)

    def matches(self, head: bytes) -> bool:
        """Whether a file begins with ``CDF`` and a version that there is."""
        return head[:3] == b"CDF" and head[3:4] in (b"\x01", b"\x02", b"\x05")

    def skipping(self) -> NetCDF3Parser:
        """The same parser with ``unsupported="skip"``."""
        return replace(self, unsupported="skip")

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The variables and attributes of ``source``.

        Raises:
            UnsupportedError: variables that references cannot express.
            FormatError: a file that is damaged or no netCDF classic file; TruncatedFileError where it is too short.
            InputError: a group is asked for.
        """
        if (self.group or "").strip("/"):
            raise InputError(f"{source.url}: group={self.group!r}: a netCDF classic file has no groups")
        reading = importlib.import_module("vz_beam.parsers.netcdf3.reading")  # here, as other parsers do it
        dropped = {name.strip("/") for name in (*(self.skip_variables or ()), *(self.drop_variables or ()))}
        group = reading.read_group(source, dropped, self.unsupported == "skip")
        assert isinstance(group, ManifestGroup)
        return group


def _parser(*words: tuple[str, Any]) -> NetCDF3Parser:
    return NetCDF3Parser(**dict(words))


PARSER = NetCDF3Parser()
