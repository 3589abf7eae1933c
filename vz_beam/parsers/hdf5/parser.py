"""HDF5 and netCDF-4 files: the parser itself.

Source: HDF5 file format specification 3.0, section II.A, "Format Signature and Superblock".
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import InitVar, dataclass, replace
from typing import ClassVar, Literal

from vz_beam.errors import InputError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.parser import CallableParser
from vz_beam.storage.byte_source import ByteSource

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_INLINE_LIMIT_BYTES = 2**20
"""As much as a store should carry for one variable of one file: references to it take a megabyte at 50,000 chunks."""


@dataclass(frozen=True, slots=True)
class HDFParser(CallableParser):
    """HDF5 and netCDF-4 files as manifests.

    Links into other files are followed, and so are virtual datasets and external raw files: references point at the
    files that hold the values. Those are looked for by their names as the folder of the file that names them has them,
    by the same store and credentials. An absolute name is followed where the file is local; else, and where nothing is
    there, the file of that name beside it is taken. The working folder and the environment are not looked at. What is
    not there is an error that names it.

    Args:
        group: path of the group to take, with all below it; ``None`` for the whole file.
        drop_variables: names or paths of variables and groups to leave out, at all levels, where a file has them.
        reader_factory: taken for the sake of callers that name it: bytes are read by vz_beam's own sources.
        inline_limit_bytes: the most that may be kept in the store itself, for one variable of one file, of what
            references cannot express: variable-length strings, chunks that skipped filters, parts of virtual
            datasets that do not lie on the chunk borders of their sources.
        missing_sources: what to do where the source of a virtual dataset is not there: ``"raise"`` refuses the virtual
            dataset, ``"fill"`` leaves those chunks missing, as HDF5 reads them. Gaps between the mappings are missing
            chunks in any case, and a series of numbered sources ends before the first that is not there.
        unsupported: ``"raise"`` one error that names every variable that cannot be expressed, or ``"skip"``
            them and list them in ``ManifestGroup.skipped``, by their paths from ``group``. That is also done with
            objects that are damaged where the rest of the file is not; a file that is too short is refused.
    """

    group: str | None = None
    drop_variables: Iterable[str] | None = None
    reader_factory: InitVar[object] = None
    inline_limit_bytes: int = _INLINE_LIMIT_BYTES
    unsupported: Literal["raise", "skip"] = "raise"
    missing_sources: Literal["raise", "fill"] = "raise"

    name: ClassVar[str] = "hdf5"
    suffixes: ClassVar[tuple[str, ...]] = (".nc", ".nc4", ".h5", ".hdf5", ".he5", ".hdf", ".netcdf", ".cdf")
    title: ClassVar[str] = "HDF5, netCDF-4"
    reads: ClassVar[str] = (
        "all layouts and chunk indexes, virtual datasets, external raw files and links, groups; zlib, shuffle, "
        "fletcher32, zstd, bzip2, blosc, lzf, szip, n-bit, scale-offset, LZ4, bitshuffle; through `hdf5plugin` "
        "Blosc2, ZFP, SZ, SZ3, SPERR, FCIDECOMP, HTJ2K"
    )

    def __post_init__(self, reader_factory: object) -> None:
        if self.unsupported not in ("raise", "skip"):
            raise InputError(f'unsupported={self.unsupported!r}: it is "raise" or "skip"')
        if self.missing_sources not in ("raise", "fill"):
            raise InputError(f'missing_sources={self.missing_sources!r}: it is "raise" or "fill"')
        if self.inline_limit_bytes < 0:
            raise InputError(f"inline_limit_bytes={self.inline_limit_bytes}: it cannot be negative")
        if isinstance(self.drop_variables, str):
            raise InputError(f"drop_variables={self.drop_variables!r}: give a list of names, [{self.drop_variables!r}]")
        object.__setattr__(self, "drop_variables", tuple(self.drop_variables or ()))

    def matches(self, head: bytes) -> bool:
        """Whether the first bytes of a file hold the HDF5 signature, at 0, 512, 1024, 2048 and so on."""
        start = 0
        while start < len(head):
            if head.startswith(_SIGNATURE, start):
                return True
            start = start * 2 or 512
        return False

    def skipping(self) -> HDFParser:
        """The same parser with ``unsupported="skip"``."""
        return replace(self, reader_factory=None, unsupported="skip")

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The variables, groups and attributes of ``source``.

        Raises:
            UnsupportedError: variables that references cannot express.
            FormatError: a file that is damaged or no HDF5; TruncatedFileError where it is too short.
            InputError: ``group`` is not in the file.
        """
        # Loaded here, so that files of other formats are told apart without h5py.
        reading = importlib.import_module("vz_beam.parsers.hdf5.reading")
        choices = reading.Choices(
            group=self.group or "/",
            drop=_names(self.drop_variables or ()),
            inline_limit_bytes=self.inline_limit_bytes,
            skip_unsupported=self.unsupported == "skip",
            fill_missing_sources=self.missing_sources == "fill",
        )
        group = reading.read_group(source, choices)
        assert isinstance(group, ManifestGroup)
        return group


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.strip("/") for name in names)


PARSER = HDFParser()
