"""What a file holds: its groups and datasets, found by walking the links.

Source: HDF5 file format specification 3.0, section IV.A.2.g, "The Link Message".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from h5py import h5, h5d, h5g, h5l, h5o, h5p

from vz_beam.errors import InputError, UnsupportedError
from vz_beam.parsers.attribute_values import text_of
from vz_beam.parsers.hdf5.attributes import ObjectAttributes, object_attributes
from vz_beam.parsers.hdf5.file import NamedDamage, OpenFile, noted_damage
from vz_beam.parsers.hdf5.heap_check import check_fill_value, encoding_of
from vz_beam.parsers.hdf5.links import FoundObject, InOtherFile, followed
from vz_beam.parsers.hdf5.object_header import Message
from vz_beam.parsers.hdf5.virtual_mappings import is_virtual, stored_shape

_COORDINATE_PREFIX = "_nc4_non_coord_"
"""netCDF-4 puts this before a variable that has the name of a dimension without being its coordinate."""


@dataclass(frozen=True, slots=True)
class FoundDataset:
    """One dataset under one of its names.

    ``path`` is absolute and by the link's name, ``name`` as users see it; ``address`` is that of its header, and
    ``messages`` what stands there, nothing where only libhdf5 reads it. ``shape`` stands there as well: that
    of an unlimited virtual dataset depends on its sources.
    """

    name: str
    path: str
    did: h5d.DatasetID
    attributes: ObjectAttributes
    shape: tuple[int, ...] | None
    address: int
    messages: tuple[Message, ...]
    is_virtual: bool = False


@dataclass(slots=True)
class FoundGroup:
    """One group: what it holds, the links by name that lead into other files, and by path those that lead nowhere.

    ``addresses`` are those of the groups on the way here within this file, its own the last.
    """

    path: str
    attributes: ObjectAttributes
    addresses: tuple[int, ...] = ()
    datasets: list[FoundDataset] = field(default_factory=list)
    groups: dict[str, FoundGroup] = field(default_factory=dict)
    elsewhere: dict[str, InOtherFile] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def walk(self) -> Iterator[FoundGroup]:
        """This group and all below it."""
        yield self
        for group in self.groups.values():
            yield from group.walk()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a walk takes.

    Objects whose name or path is in ``drop`` are not even opened: they may be damaged. Those that are damaged are
    problems of their groups where ``goes_on``, else errors.
    """

    drop: frozenset[str] = frozenset()
    goes_on: bool = False

    def drops(self, name: str, path: str) -> bool:
        """Whether an object is left out."""
        return not self.drop.isdisjoint((name, name.removeprefix(_COORDINATE_PREFIX), path.strip("/")))


def find_group(file: OpenFile, path: str, wanted: Wanted) -> FoundGroup | InOtherFile:
    """The group at ``path`` and all below it, in order of creation where the file keeps it.

    A link on the way may lead into another file.

    Raises:
        InputError: there is no such group.
    """
    where = "/" + path.strip("/")
    with NamedDamage(file.source.url, where):
        try:
            found = followed(file, file.root()[0], where.encode())
        except KeyError:
            raise _no_group(file, where) from None
        if isinstance(found, InOtherFile):
            return found
        if not isinstance(found.object, h5g.GroupID):
            raise _no_group(file, where)
        return walked(file, found, where, wanted)


def walked(file: OpenFile, group: FoundObject, path: str, wanted: Wanted) -> FoundGroup:
    """A group and all below it, known by ``path`` to whoever asked."""
    return _Walk(file, wanted).group(group, path, (group.address,))


def found_dataset(file: OpenFile, name: str, path: str, found: FoundObject, attributed: bool = True) -> FoundDataset:
    """A dataset under a name; without its attributes where they are not wanted."""
    did, address = found.object, found.address
    assert isinstance(did, h5d.DatasetID)
    messages = found.messages
    check_fill_value(file.heap, messages, lambda: encoding_of(did.get_type()))
    attributes = object_attributes(did, path, file, messages) if attributed else ObjectAttributes()
    virtual = is_virtual(did, messages)
    shape = stored_shape(did, messages) if virtual else did.shape
    return FoundDataset(name, path, did, attributes, shape, address, messages, virtual)


def _no_group(file: OpenFile, path: str) -> InputError:
    root = FoundObject(*file.root())
    found = _Walk(file, Wanted(goes_on=True)).group(root, "/", (root.address,))
    paths = ", ".join(repr(group.path) for group in found.walk())
    return InputError(
        f"{file.source.url}: there is no group {path!r}; the file has {paths}. Way out: group=one of these"
    )


class _Walk:
    """One walk through a file's links."""

    def __init__(self, file: OpenFile, wanted: Wanted) -> None:
        self.file = file
        self.wanted = wanted

    def group(self, group: FoundObject, path: str, ancestors: tuple[int, ...]) -> FoundGroup:
        """``group`` and all below; ``ancestors`` are the addresses on the way here, where cycles end."""
        file, gid, messages = self.file, group.object, group.messages
        assert isinstance(gid, h5g.GroupID)
        found = FoundGroup(path, object_attributes(gid, path, file, messages), ancestors)
        for raw_name, kind, target in _links(gid):
            name = text_of(raw_name)
            child_path = f"{path.rstrip('/')}/{name}"
            if self.wanted.drops(name, child_path):
                continue
            try:
                with noted_damage(file.source.url, child_path, found.problems if self.wanted.goes_on else None):
                    child = self._open(gid, raw_name, kind, target, child_path, found)
                    if child is not None:
                        self._add(found, name, child_path, child, ancestors)
            except UnsupportedError as error:
                found.problems[child_path] = str(error)
        _show_coordinate_names(found)
        return found

    def _add(
        self, found: FoundGroup, name: str, path: str, child: FoundObject | InOtherFile, ancestors: tuple[int, ...]
    ) -> None:
        if isinstance(child, InOtherFile):
            found.elsewhere[name] = child
        elif isinstance(child.object, h5g.GroupID):
            # H5Oget_info of a dataset reads all of its chunk index, and links tell the address as well
            if child.address not in ancestors:
                found.groups[name] = self.group(child, path, (*ancestors, child.address))
        elif isinstance(child.object, h5d.DatasetID):
            found.datasets.append(found_dataset(self.file, name, path, child))

    def _open(
        self, gid: h5g.GroupID, raw_name: bytes, kind: int, address: int, path: str, found: FoundGroup
    ) -> FoundObject | InOtherFile | None:
        """What is behind a link; ``None`` and a problem noted where that is nothing."""
        if kind == h5l.TYPE_HARD:
            messages = self.file.checked_messages(address, path)
            return FoundObject(h5o.open(gid, raw_name), address, messages)
        if kind == h5l.TYPE_EXTERNAL:
            return followed(self.file, gid, raw_name)
        if kind != h5l.TYPE_SOFT:
            found.problems[path] = f"it is a link of kind {kind}, which only the program that made it can follow"
            return None
        try:
            return followed(self.file, gid, raw_name)
        except (KeyError, OSError, RuntimeError) as error:
            if isinstance(error, (ConnectionError, TimeoutError)):
                raise
            target = text_of(gid.links.get_val(raw_name))
            found.problems[path] = f"it is a link to {target!r}, which leads nowhere ({error})"
            return None


def _links(gid: h5g.GroupID) -> list[tuple[bytes, int, int]]:
    """Name, kind and address of each link, in order of creation where the group keeps it, else by name.

    Only the addresses of hard links are addresses.
    """
    links: list[tuple[bytes, int, int]] = []

    def note(name: bytes, info: h5l.LinkInfo) -> None:
        links.append((name, info.type, info.u))

    tracked = gid.get_create_plist().get_link_creation_order() & h5p.CRT_ORDER_TRACKED
    gid.links.iterate(note, info=True, idx_type=h5.INDEX_CRT_ORDER if tracked else h5.INDEX_NAME)
    return links


def _show_coordinate_names(group: FoundGroup) -> None:
    """Undo netCDF's renaming where nothing else has the name by then."""
    taken = {dataset.name for dataset in group.datasets if not dataset.attributes.is_dimension_only}
    taken |= group.groups.keys()
    for number, dataset in enumerate(group.datasets):
        shown = dataset.name.removeprefix(_COORDINATE_PREFIX)
        if shown != dataset.name and shown not in taken:
            group.datasets[number] = replace(dataset, name=shown)
