"""What groups and datasets of an open file hold, and what other files hold for them: all of it as manifests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from h5py import h5d, h5g

from vz_beam.errors import SourceNotFoundError, TransientSourceError, UnsupportedError, VzBeamError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf5.arrays import DescribedDataset, described_dataset, manifest_array
from vz_beam.parsers.hdf5.attributes import ObjectAttributes
from vz_beam.parsers.hdf5.chunk_index import chunk_indexes
from vz_beam.parsers.hdf5.dimensions import DatasetDimensions, Dimensions
from vz_beam.parsers.hdf5.external_storage import external_array
from vz_beam.parsers.hdf5.file import NamedDamage, OpenFile, noted_damage
from vz_beam.parsers.hdf5.grafts import grafted
from vz_beam.parsers.hdf5.groups import FoundDataset, FoundGroup, Wanted, found_dataset, walked
from vz_beam.parsers.hdf5.links import FoundObject, InOtherFile, followed
from vz_beam.parsers.hdf5.other_files import OtherFiles
from vz_beam.parsers.hdf5.source_values import SourceValues
from vz_beam.parsers.hdf5.stored_chunks import StoredChunks
from vz_beam.parsers.hdf5.virtual_array import virtual_array
from vz_beam.parsers.hdf5.virtual_mappings import SAME_FILE
from vz_beam.parsers.hdf5.virtual_sources import (
    AbsentSource,
    Chain,
    Place,
    Sources,
    VirtualDataset,
    described_virtual_dataset,
    find_sources,
)

_MOST_FILES = 16
"""Files that may lead to each other by links, or datasets that may be made of each other."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller of the parser asked for; see ``HDFParser``."""

    group: str
    drop: frozenset[str]
    inline_limit_bytes: int
    skip_unsupported: bool
    fill_missing_sources: bool

    @property
    def wanted(self) -> Wanted:
        """What of the files' objects is taken."""
        return Wanted(self.drop, self.skip_unsupported)


@dataclass(frozen=True, slots=True)
class Entered:
    """The groups that links into other files were followed from, by URL and address, and how many such links."""

    groups: frozenset[tuple[str, int]] = frozenset()
    count: int = 0

    def then(self, url: str, addresses: tuple[int, ...]) -> Entered:
        """The same and groups of one more file."""
        return Entered(self.groups | {(url, address) for address in addresses}, self.count + 1)


@dataclass(frozen=True, slots=True)
class _Link:
    """A link of the group ``holder`` into another file, where ``path`` is what it leads to."""

    holder: FoundGroup
    name: str
    target: InOtherFile
    entered: Entered

    @property
    def path(self) -> str:
        """Where the target appears."""
        return f"{self.holder.path.rstrip('/')}/{self.name}"


@dataclass(slots=True)
class ContentReader:
    """Reads one open file; ``problems`` gets, by path, what cannot be expressed.

    ``chains`` are those of datasets that are read because virtual datasets are made of them, by path; these have no
    dimensions but their own shape. ``depth`` says how many virtual datasets there are above those.
    """

    file: OpenFile
    choices: Choices
    others: OtherFiles
    problems: dict[str, str]
    chains: Mapping[str, Chain] = field(default_factory=dict)
    depth: int = 0

    def group(self, found: FoundGroup, entered: Entered) -> ManifestGroup:
        """The arrays and groups of ``found``, and of all below."""
        virtual = self._virtual_datasets(found)
        with NamedDamage(self.file.source.url, ""):
            dimensions = None if self.chains else Dimensions(self.file, found)
        described: dict[str, DescribedDataset] = {}
        self._describe(found, dimensions, virtual, described)
        indexed = {path: (d.dataset, d.index_grid) for path, d in described.items() if d.index_grid is not None}
        indexes = chunk_indexes(self.file, indexed, self._noted)
        group = self._arrays(found, described, indexes, virtual)
        links = [
            _Link(part, name, target, entered.then(self.file.source.url, part.addresses))
            for part in found.walk()
            for name, target in part.elsewhere.items()
        ]
        if not links:
            return group
        grafts: dict[str, list[ManifestGroup]] = {}
        self._follow(links, grafts)
        return _grafted_below(found.path, group, grafts)

    def datasets(self, chains: Mapping[str, Chain]) -> dict[str, ManifestArray | AbsentSource]:
        """The datasets at the paths of this file that virtual datasets are made of."""
        results: dict[str, ManifestArray | AbsentSource] = {}
        elsewhere: dict[Place, Chain] = {}
        targets: dict[str, Place] = {}
        found = FoundGroup("/", ObjectAttributes())
        url = self.file.source.url
        for path, chain in chains.items():
            if (url, path) in chain or self.depth > _MOST_FILES:
                results[path] = AbsentSource("it goes round in a circle, or is made of too many others", False)
                continue
            with NamedDamage(url, path):
                try:
                    target = followed(self.file, self.file.root()[0], path.encode())
                except KeyError as error:
                    results[path] = AbsentSource(f"in {url} there is no such dataset ({error.args[0]})", True)
                    continue
                if isinstance(target, InOtherFile):
                    targets[path] = (target.file_name, target.path)
                    elsewhere[targets[path]] = elsewhere.get(targets[path], frozenset()) | chain | {(url, path)}
                elif isinstance(target.object, h5d.DatasetID):
                    found.datasets.append(found_dataset(self.file, path, path, target, attributed=False))
                else:
                    results[path] = AbsentSource(f"in {url} that is no dataset", False)
        problems: dict[str, str] = {}
        if found.datasets:
            below = replace(self, problems=problems, chains=chains, depth=self.depth + 1)
            arrays = below.group(found, Entered()).arrays
            for dataset in found.datasets:
                reason = problems.get(dataset.path, "it has no values")
                results[dataset.path] = arrays[dataset.name] if dataset.name in arrays else AbsentSource(reason, False)
        further = self._sources(elsewhere)
        results.update((path, further[place]) for path, place in targets.items())
        return results

    def _virtual_datasets(self, found: FoundGroup) -> dict[str, VirtualDataset]:
        """The virtual datasets among those found, sources read; ``found`` gets the shapes of unlimited ones."""
        virtual: dict[str, VirtualDataset] = {}
        url = self.file.source.url
        for group in found.walk():
            for dataset in group.datasets:
                if dataset.is_virtual and not dataset.attributes.is_dimension_only and dataset.shape is not None:
                    chain = self.chains.get(dataset.path, frozenset()) | {(url, dataset.path)}
                    with self._named(dataset.path):
                        virtual[dataset.path] = described_virtual_dataset(dataset, chain)
        if not virtual:
            return virtual
        find_sources(virtual.values(), self._sources)
        for group in found.walk():
            group.datasets = [
                virtual[dataset.path].dataset if dataset.path in virtual else dataset for dataset in group.datasets
            ]
        return virtual

    def _sources(self, chains: Mapping[Place, Chain]) -> Sources:
        """The sources at these places, each file opened once."""
        by_file: dict[str, dict[str, Chain]] = {}
        for (name, path), chain in chains.items():
            by_file.setdefault(name, {})[path] = chain
        results: dict[Place, ManifestArray | AbsentSource] = {}
        for name, wanted in by_file.items():
            found: Mapping[str, ManifestArray | AbsentSource]
            if name == SAME_FILE:
                found = self.datasets(wanted)
            else:
                try:
                    found = self._datasets_in(name, wanted)
                except TransientSourceError:
                    raise
                except SourceNotFoundError as error:
                    found = dict.fromkeys(wanted, AbsentSource(str(error), True))
                except VzBeamError as error:
                    found = dict.fromkeys(wanted, AbsentSource(str(error), False))
            results.update(((name, path), found[path]) for path in wanted)
        return results

    def _datasets_in(self, name: str, wanted: Mapping[str, Chain]) -> dict[str, ManifestArray | AbsentSource]:
        source = self.others.open(self.file.source, name)
        try:
            with OpenFile(source) as other:
                return replace(self, file=other, chains={}).datasets(wanted)
        finally:
            source.close()

    def _describe(
        self,
        found: FoundGroup,
        dimensions: Dimensions | None,
        virtual: Mapping[str, VirtualDataset],
        described: dict[str, DescribedDataset],
    ) -> None:
        """Note what the headers of all datasets of ``found`` and below say."""
        shapes: Mapping[str, DatasetDimensions] = {d.path: _own_dimensions(d) for d in found.datasets}
        if dimensions is not None:
            with NamedDamage(self.file.source.url, found.path):
                shapes = dimensions.of_group(found)
        self.problems.update(found.problems)
        for dataset in found.datasets:
            if dataset.attributes.is_dimension_only:
                continue
            if dataset.shape is None:
                self.problems[dataset.path] = "it has no values at all (null dataspace)"
                continue
            if dataset.is_virtual and dataset.path not in virtual:
                continue  # its mappings are a problem already
            with self._named(dataset.path):
                described[dataset.path] = described_dataset(self.file, dataset, shapes[dataset.path])
        for child in found.groups.values():
            self._describe(child, dimensions, virtual, described)

    def _arrays(
        self,
        found: FoundGroup,
        described: Mapping[str, DescribedDataset],
        indexes: Mapping[str, StoredChunks],
        virtual: Mapping[str, VirtualDataset],
    ) -> ManifestGroup:
        arrays: dict[str, ManifestArray] = {}
        for dataset in found.datasets:
            if dataset.path in described and dataset.path not in self.problems:
                with self._named(dataset.path):
                    arrays[dataset.name] = self._array(
                        described[dataset.path], indexes.get(dataset.path), virtual.get(dataset.path)
                    )
        groups = {name: self._arrays(child, described, indexes, virtual) for name, child in found.groups.items()}
        return ManifestGroup(arrays, groups, found.attributes.values)

    def _array(
        self, described: DescribedDataset, stored: StoredChunks | None, virtual: VirtualDataset | None
    ) -> ManifestArray:
        limit_bytes, metadata = self.choices.inline_limit_bytes, described.metadata
        if virtual is not None:
            if virtual.problem:
                raise UnsupportedError(f"it is a virtual dataset, and {virtual.problem}")
            sources = virtual.mapped_sources(metadata, described.kind.inner_shape, self.choices.fill_missing_sources)
            return virtual_array(metadata, sources, SourceValues(self.others.read), limit_bytes)
        if described.is_external:
            return external_array(metadata, described.plist, self.file.source, self.others, limit_bytes)
        return manifest_array(self.file, described, stored, limit_bytes)

    def _follow(self, links: list[_Link], grafts: dict[str, list[ManifestGroup]]) -> None:
        """Read what links into other files lead to, each file opened once; ``grafts`` by the paths of their groups."""
        by_file: dict[str, list[_Link]] = {}
        for link in links:
            by_file.setdefault(link.target.file_name, []).append(link)
        for name, into in by_file.items():
            problems: dict[str, str] = {}
            brought: dict[str, list[ManifestGroup]] = {}
            try:
                if into[0].entered.count > _MOST_FILES:
                    raise UnsupportedError(f"more than {_MOST_FILES} links into other files follow each other")
                self._follow_into(name, into, brought, problems)
            except TransientSourceError:
                raise
            except VzBeamError as error:
                for link in into:
                    where = f"{link.target.path!r} in {name!r}"
                    self.problems[link.path] = (
                        f"it is a link into another file ({where}), which cannot be read: {error}"
                    )
            else:
                self.problems.update(problems)
                for path, groups in brought.items():
                    grafts.setdefault(path, []).extend(groups)

    def _follow_into(
        self, name: str, links: list[_Link], grafts: dict[str, list[ManifestGroup]], problems: dict[str, str]
    ) -> None:
        source = self.others.open(self.file.source, name)
        try:
            with OpenFile(source) as other:
                replace(self, file=other, problems=problems).linked(links, grafts)
        finally:
            source.close()

    def linked(self, links: list[_Link], grafts: dict[str, list[ManifestGroup]]) -> None:
        """What links of other files lead to in this one."""
        url = self.file.source.url
        holders: dict[str, FoundGroup] = {}
        further: list[_Link] = []
        for link in links:
            with NamedDamage(url, link.target.path):
                try:
                    target = followed(self.file, self.file.root()[0], b"/" + link.target.path.encode())
                except KeyError as error:
                    where = f"{link.target.path!r} in {link.target.file_name!r}"
                    self.problems[link.path] = f"it is a link into another file ({where}), and leads nowhere ({error})"
                    continue
                if isinstance(target, InOtherFile):
                    entered = Entered(link.entered.groups, link.entered.count + 1)
                    further.append(_Link(link.holder, link.name, target, entered))
                elif isinstance(target.object, h5g.GroupID):
                    self._linked_group(link, target, grafts)
                elif isinstance(target.object, h5d.DatasetID):
                    holder = holders.setdefault(link.holder.path, FoundGroup(link.holder.path, ObjectAttributes()))
                    holder.datasets.append(found_dataset(self.file, link.name, link.path, target))
        for path, holder in holders.items():
            grafts.setdefault(path, []).append(self.group(holder, Entered()))
        self._follow(further, grafts)

    def _linked_group(self, link: _Link, target: FoundObject, grafts: dict[str, list[ManifestGroup]]) -> None:
        if (self.file.source.url, target.address) in link.entered.groups:
            return  # a circle of files ends here, as one of groups does
        found = walked(self.file, target, link.path, self.choices.wanted)
        content = self.group(found, link.entered)
        grafts.setdefault(link.holder.path, []).append(ManifestGroup({}, {link.name: content}))

    @contextmanager
    def _named(self, path: str) -> Iterator[None]:
        """Damage gets the name of the dataset, and what is refused is noted as its problem."""
        try:
            with noted_damage(self.file.source.url, path, self._noted):
                yield
        except UnsupportedError as error:
            self.problems[path] = str(error)

    @property
    def _noted(self) -> dict[str, str] | None:
        """Where damage of single datasets is noted, ``None`` where it is an error."""
        return self.problems if self.choices.skip_unsupported else None


def _own_dimensions(dataset: FoundDataset) -> DatasetDimensions:
    shape = dataset.shape or ()
    return DatasetDimensions(tuple(f"axis_{axis}" for axis in range(len(shape))), shape)


def _grafted_below(path: str, group: ManifestGroup, grafts: Mapping[str, list[ManifestGroup]]) -> ManifestGroup:
    """``group``, which is at ``path``, with what links below brought."""
    below = {"/" + where.removeprefix(path).strip("/"): found for where, found in grafts.items()}
    return grafted(group, below)
