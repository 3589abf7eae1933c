"""The arrays, groups and attributes of one group of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vz_beam.errors import ManifestError, ManifestTypeError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.metadata import Attributes, alike

if TYPE_CHECKING:
    import xarray as xr
    from zarr.core.group import GroupMetadata


class ManifestGroup(Mapping[str, "ManifestArray | ManifestGroup"]):
    """One group: its arrays and groups by name, its attributes.

    ``skipped`` says by path which variables the parser left out because it was asked to, and why.
    """

    __slots__ = ("arrays", "attributes", "groups", "skipped")

    def __init__(
        self,
        arrays: Mapping[str, ManifestArray] | None = None,
        groups: Mapping[str, ManifestGroup] | None = None,
        attributes: Attributes | None = None,
        skipped: Mapping[str, str] | None = None,
    ) -> None:
        self.arrays: dict[str, ManifestArray] = dict(arrays or {})
        self.groups: dict[str, ManifestGroup] = dict(groups or {})
        self.attributes: dict[str, Any] = dict(attributes or {})
        self.skipped: dict[str, str] = dict(skipped or {})
        for name, array in self.arrays.items():
            if not isinstance(array, ManifestArray):
                raise ManifestTypeError(f"array {name!r} is a {type(array).__name__}, not a ManifestArray")
        for name, group in self.groups.items():
            if not isinstance(group, ManifestGroup):
                raise ManifestTypeError(f"group {name!r} is a {type(group).__name__}, not a ManifestGroup")
        if both := self.arrays.keys() & self.groups.keys():
            raise ManifestError(f"the names {sorted(both)} stand for an array and for a group")

    def __getitem__(self, path: str) -> ManifestArray | ManifestGroup:
        """An array or group by its name, or by a path of names, which VirtualiZarr refuses; KeyError where it lacks."""
        name, _, rest = path.strip("/").partition("/")
        if rest and name in self.groups:
            return self.groups[name][rest]
        if rest or (name not in self.groups and name not in self.arrays):
            raise KeyError(path)
        return self.groups[name] if name in self.groups else self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.arrays
        yield from self.groups

    def __len__(self) -> int:
        return len(self.arrays) + len(self.groups)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ManifestGroup):
            return NotImplemented
        ours, theirs = (
            {name: (array.metadata, array.manifest) for name, array in group.arrays.items()} for group in (self, other)
        )
        rest = self.groups == other.groups and self.skipped == other.skipped
        return ours == theirs and rest and alike(self.attributes, other.attributes)

    __hash__ = None  # type: ignore[assignment]  # as of any mapping whose values can be large

    def __repr__(self) -> str:
        return f"ManifestGroup<arrays={list(self.arrays)}, groups={list(self.groups)}>"

    @property
    def metadata(self) -> GroupMetadata:
        """What zarr has for the metadata of a group; ``metadata.attributes`` are those of this group."""
        from zarr.core.group import GroupMetadata  # here, since parsers that only look at a file make do without it

        return GroupMetadata(attributes=self.attributes, zarr_format=3)

    @property
    def nbytes_virtual(self) -> int:
        """Size of all arrays below, decoded, bytes."""
        own = sum(array.nbytes_virtual for array in self.arrays.values())
        return own + sum(group.nbytes_virtual for group in self.groups.values())

    def to_virtual_dataset(self) -> xr.Dataset:
        """The arrays of this group alone as a dataset, all of them virtual, so without indexes.

        Raises:
            ManifestError: an array with dimensions and no names for them.
        """
        import xarray as xr  # here, as in ManifestArray.to_virtual_variable

        variables = {name: array.to_virtual_variable() for name, array in self.arrays.items()}
        named = str(self.attributes.get("coordinates", "")).split()
        coordinates = {name: v for name, v in variables.items() if v.dims == (name,) or name in named}
        data = {name: variable for name, variable in variables.items() if name not in coordinates}
        attributes = {name: value for name, value in self.attributes.items() if name != "coordinates"}
        return xr.Dataset(data, coords=xr.Coordinates(coordinates, indexes={}), attrs=attributes)

    def to_virtual_datasets(self) -> dict[str, xr.Dataset]:
        """The dataset of this group and of each below it, by path."""
        return {path: group.to_virtual_dataset() for path, group in self.walk()}

    def to_virtual_datatree(self) -> xr.DataTree:
        """This group and all below it as a tree."""
        import xarray as xr

        return xr.DataTree.from_dict({f"/{path}": dataset for path, dataset in self.to_virtual_datasets().items()})

    def walk(self, path: str = "") -> Iterator[tuple[str, ManifestGroup]]:
        """This group and all below it with their paths: ``""``, ``"a"``, ``"a/b"``."""
        yield path, self
        for name, group in self.groups.items():
            yield from group.walk(f"{path}/{name}" if path else name)
