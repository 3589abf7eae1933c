"""What a file holds, by paths, before it becomes a group of manifests: arrays, groups, and what cannot be expressed."""

from __future__ import annotations

from dataclasses import dataclass, field

from vz_beam.errors import InputError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import Attributes
from vz_beam.parsers.refusal import unsupported_variables


@dataclass(slots=True)
class FlatGroup:
    """The contents of a file by path, such as ``"air"`` or ``"forecast/air"``, in the file's order.

    Args:
        arrays: by path.
        groups: attributes by path; ``""`` is the root. Every group is there before what is in it.
        problems: why references cannot express a variable, by its path.
    """

    arrays: dict[str, ManifestArray] = field(default_factory=dict)
    groups: dict[str, Attributes] = field(default_factory=lambda: {"": {}})
    problems: dict[str, str] = field(default_factory=dict)

    def nested(self, url: str, group: str | None = None, *, is_skipping: bool = False) -> ManifestGroup:
        """The group at the path ``group``, with all below it.

        Raises:
            InputError: there is no such group.
            UnsupportedError: names all variables in it that references cannot express, unless they are skipped.
        """
        root = (group or "").strip("/")
        if root not in self.groups:
            known = [path for path in self.groups if path]
            raise InputError(f"{url} has no group {root!r}; its groups are {known or 'none but the root'}")
        prefix = f"{root}/" if root else ""
        problems = {path: why for path, why in self.problems.items() if path.startswith(prefix)}
        if problems and not is_skipping:
            raise unsupported_variables(url, problems)
        skipped = {path.removeprefix(prefix): why for path, why in problems.items()}
        made = {root: ManifestGroup({}, {}, self.groups[root], skipped)}
        for path, attributes in self.groups.items():
            if path != root and path.startswith(prefix):
                parent, _, name = path.rpartition("/")
                made[path] = ManifestGroup({}, {}, attributes)
                made[parent].groups[name] = made[path]
        for path, array in self.arrays.items():
            parent, _, name = path.rpartition("/")
            if parent in made:
                made[parent].arrays[name] = array
        return made[root]
