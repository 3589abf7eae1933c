"""One HDF5 file as manifest groups: every variable placed, or refused by name and all refusals at once."""

from __future__ import annotations

from vz_beam.errors import SourceError, UnsupportedError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf5.contents import Choices, ContentReader, Entered
from vz_beam.parsers.hdf5.file import OpenFile
from vz_beam.parsers.hdf5.groups import find_group
from vz_beam.parsers.hdf5.links import InOtherFile
from vz_beam.parsers.hdf5.other_files import OtherFiles
from vz_beam.parsers.refusal import unsupported_variables
from vz_beam.storage.byte_source import ByteSource

__all__ = ["Choices", "read_group"]

_MOST_FILES = 16
"""Links into other files that may follow each other on the way to the group that was asked for."""


def read_group(source: ByteSource, choices: Choices) -> ManifestGroup:
    """The group that was asked for, and all below it.

    Raises:
        UnsupportedError: names every variable that cannot be expressed, unless they are to be skipped.
        FormatError: damaged structures; TruncatedFileError where the file is too short.
    """
    problems: dict[str, str] = {}
    where = choices.group
    others = OtherFiles(source)
    found = _read_at(source, where, choices, others, problems)
    for _ in range(_MOST_FILES):
        if isinstance(found, ManifestGroup):
            break
        teller, link = found
        try:
            other = others.open(teller, link.file_name)
        except SourceError as error:
            raise type(error)(f"{teller.url}: the group {choices.group!r} lies in another file: {error}") from error
        try:
            where = link.path
            found = _read_at(other, where, choices, others, problems)
        finally:
            other.close()
    else:
        raise UnsupportedError(f"{source.url}: the group {choices.group!r} is a link that leads round in a circle")
    group = found
    assert isinstance(group, ManifestGroup)
    if problems and not choices.skip_unsupported:
        raise unsupported_variables(source.url, problems)
    prefix = where.strip("/") + "/"
    skipped = {path.strip("/").removeprefix(prefix): reason for path, reason in problems.items()}
    return ManifestGroup(group.arrays, group.groups, group.attributes, skipped) if skipped else group


def _read_at(
    source: ByteSource, path: str, choices: Choices, others: OtherFiles, problems: dict[str, str]
) -> ManifestGroup | tuple[ByteSource, InOtherFile]:
    with OpenFile(source, path) as file:
        return _read_open(file, path, choices, others, problems)


def _read_open(
    file: OpenFile, path: str, choices: Choices, others: OtherFiles, problems: dict[str, str]
) -> ManifestGroup | tuple[ByteSource, InOtherFile]:
    # A function of its own, so that all HDF5 objects are gone before the file is closed under them.
    found = find_group(file, path, choices.wanted)
    if isinstance(found, InOtherFile):
        return file.source, found
    return ContentReader(file, choices, others, problems).group(found, Entered())
