"""One HDF5 file as manifest groups: every variable placed, or refused by name and all refusals at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from vz_beam.errors import UnsupportedError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf5.arrays import DescribedDataset, described_dataset, manifest_array
from vz_beam.parsers.hdf5.chunk_index import chunk_indexes
from vz_beam.parsers.hdf5.dimensions import Dimensions
from vz_beam.parsers.hdf5.file import NamedDamage, OpenFile
from vz_beam.parsers.hdf5.groups import FoundGroup, find_group
from vz_beam.parsers.hdf5.layout import StoredChunks
from vz_beam.storage.byte_source import ByteSource


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller of the parser asked for; see ``HDFParser``."""

    group: str
    drop: frozenset[str]
    inline_limit_bytes: int
    skip_unsupported: bool


@dataclass(slots=True)
class _Reading:
    """One file being read, and what in it cannot be expressed so far."""

    file: OpenFile
    choices: Choices
    dimensions: Dimensions
    problems: dict[str, str]
    described: dict[str, DescribedDataset] = field(default_factory=dict)

    def describe(self, found: FoundGroup) -> None:
        """Note what the headers of all datasets of ``found`` and below say."""
        with NamedDamage(self.file.source.url, found.path):
            dimensions = self.dimensions.of_group(found)
        self.problems.update(found.problems)
        for dataset in found.datasets:
            if dataset.attributes.is_dimension_only:
                continue
            if dataset.shape is None:
                self.problems[dataset.path] = "it has no values at all (null dataspace)"
                continue
            with self._named(dataset.path):
                self.described[dataset.path] = described_dataset(dataset, dimensions[dataset.path])
        for child in found.groups.values():
            self.describe(child)

    def group(self, found: FoundGroup, indexes: Mapping[str, StoredChunks]) -> ManifestGroup:
        """The arrays and groups of ``found``, all of it described."""
        arrays: dict[str, ManifestArray] = {}
        for dataset in found.datasets:
            described = self.described.get(dataset.path)
            if described is not None:
                with self._named(dataset.path):
                    arrays[dataset.name] = manifest_array(
                        self.file, described, indexes.get(dataset.path), self.choices.inline_limit_bytes
                    )
        groups = {name: self.group(child, indexes) for name, child in found.groups.items()}
        return ManifestGroup(arrays, groups, found.attributes.values)

    @contextmanager
    def _named(self, path: str) -> Iterator[None]:
        """Damage gets the name of the dataset, and what is refused is noted as its problem."""
        try:
            with NamedDamage(self.file.source.url, path):
                yield
        except UnsupportedError as error:
            self.problems[path] = str(error)


def read_group(source: ByteSource, choices: Choices) -> ManifestGroup:
    """The group that was asked for, and all below it.

    Raises:
        UnsupportedError: names every variable that cannot be expressed, unless they are to be skipped.
        FormatError: damaged structures; TruncatedFileError where the file is too short.
    """
    problems: dict[str, str] = {}
    with OpenFile(source) as file:
        group = _read_open(file, choices, problems)
    if problems and not choices.skip_unsupported:
        raise UnsupportedError(_refusal(source.url, problems))
    skipped = {path.strip("/"): reason for path, reason in problems.items()}
    return ManifestGroup(group.arrays, group.groups, group.attributes, skipped) if skipped else group


def _read_open(file: OpenFile, choices: Choices, problems: dict[str, str]) -> ManifestGroup:
    # A function of its own, so that all HDF5 objects are gone before the file is closed under them.
    found = find_group(file, choices.group, choices.drop)
    with NamedDamage(file.source.url, ""):
        dimensions = Dimensions(file.fid, found)
    reading = _Reading(file, choices, dimensions, problems)
    reading.describe(found)
    indexed = {path: (d.dataset, d.metadata.chunk_grid) for path, d in reading.described.items() if d.has_chunk_index}
    return reading.group(found, chunk_indexes(file, indexed))


def _refusal(url: str, problems: dict[str, str]) -> str:
    count = len(problems)
    listed = "\n".join(f"  * {path}: {reason}" for path, reason in problems.items())
    names = ", ".join(repr(path.strip("/")) for path in problems)
    return (
        f"{url}: references cannot express {count} variable{'s' if count != 1 else ''}:\n{listed}\n"
        f"Way out: leave them out by name (drop_variables=[{names}]), or leave out all of their kind "
        'and have them listed (HDFParser(unsupported="skip"))'
    )
