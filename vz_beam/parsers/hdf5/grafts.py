"""What links into other files bring along, put where the links are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup

_PHONY = re.compile(r"phony_dim_(\d+)")

Grafts = Mapping[str, list[ManifestGroup]]
"""Groups of another file by the path of the group into which their arrays and groups are to be put."""


def grafted(group: ManifestGroup, grafts: Grafts) -> ManifestGroup:
    """``group`` with all that links into other files brought.

    Dimensions are inherited, and files know nothing of each other's: a dimension without a name gets a number that no
    other has, and one whose name stands for another length in this file becomes one without a name.
    """
    names = [name for _, part in group.walk() for array in part.arrays.values() for name in _names(array)]
    count = 1 + max((int(match.group(1)) for match in map(_PHONY.fullmatch, names) if match), default=-1)
    return _Grafting(grafts, count).group(group, "/", {})


class _Grafting:
    def __init__(self, grafts: Grafts, phony_count: int) -> None:
        self.grafts = grafts
        self.phony_count = phony_count

    def group(self, group: ManifestGroup, path: str, inherited: Mapping[str, int]) -> ManifestGroup:
        lengths = {**inherited}
        for array in group.arrays.values():
            lengths.update(zip(_names(array), array.shape, strict=True))
        groups = {
            name: self.group(child, f"{path.rstrip('/')}/{name}", lengths) for name, child in group.groups.items()
        }
        arrays = dict(group.arrays)
        for content in self.grafts.get(path, ()):
            renamed = self.renamed(content, {}, lengths)
            arrays.update(renamed.arrays)
            groups.update(renamed.groups)
            for array in renamed.arrays.values():
                lengths.update(zip(_names(array), array.shape, strict=True))
        return ManifestGroup(arrays, groups, group.attributes, group.skipped)

    def renamed(
        self, content: ManifestGroup, new: dict[tuple[str, int], str], lengths: Mapping[str, int]
    ) -> ManifestGroup:
        """``content`` with dimensions whose names mean no other length in ``lengths``; ``new`` are given already."""
        arrays = {name: self._renamed_array(array, new, lengths) for name, array in content.arrays.items()}
        groups = {name: self.renamed(child, new, lengths) for name, child in content.groups.items()}
        return ManifestGroup(arrays, groups, content.attributes, content.skipped)

    def _renamed_array(
        self, array: ManifestArray, new: dict[tuple[str, int], str], lengths: Mapping[str, int]
    ) -> ManifestArray:
        names = []
        for name, length in zip(_names(array), array.shape, strict=True):
            if (name, length) not in new:
                is_known = _PHONY.fullmatch(name) is None and lengths.get(name, length) == length
                new[name, length] = name if is_known else f"phony_dim_{self.phony_count}"
                self.phony_count += not is_known
            names.append(new[name, length])
        return ManifestArray(replace(array.metadata, dimension_names=tuple(names)), array.manifest)


def _names(array: ManifestArray) -> tuple[str, ...]:
    names = array.metadata.dimension_names
    assert names is not None, "the parser names all dimensions"
    return names
