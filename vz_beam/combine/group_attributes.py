"""Attributes of the groups of the combined dataset."""

from __future__ import annotations

from collections.abc import Mapping

from vz_beam.combine.layout import ArrayLayout
from vz_beam.combine.survey import Survey
from vz_beam.manifests.metadata import Attributes


def group_attributes(survey: Survey, arrays: Mapping[str, ArrayLayout]) -> dict[str, Attributes]:
    """Attributes by group; coordinates that no variable's attribute names are named by their group's."""
    groups: dict[str, Attributes] = {}
    for path in sorted(key.removesuffix("/") for key in survey.attributes if key.endswith("/")):
        attributes = survey.attributes[f"{path}/"].result((), survey.choices.attributes)
        named: set[str] = set()
        coordinates = []
        for array_path, array in arrays.items():
            group, _, name = array_path.rpartition("/")
            if group == path:
                named.update(str(array.metadata.attributes.get("coordinates", "")).split())
                known = survey.representatives.get(array_path)
                if known is not None and known.is_coordinate and name not in known.dims:
                    coordinates.append(name)
        if unnamed := [name for name in coordinates if name not in named]:
            attributes["coordinates"] = " ".join([*str(attributes.get("coordinates", "")).split(), *unnamed])
        groups[path] = attributes
    return groups
