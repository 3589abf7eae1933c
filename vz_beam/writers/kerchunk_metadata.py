"""The Zarr v2 metadata of a whole store, by key, as both Kerchunk formats hold it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from vz_beam.combine.layout import Layout
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import Attributes, plain_value
from vz_beam.manifests.zarr_v2 import attributes_v2, to_v2


def store_metadata(layout: Layout) -> dict[str, dict[str, Any]]:
    """Every ``.zgroup``, ``.zarray`` and ``.zattrs`` document by its key, keys sorted.

    Raises:
        UnsupportedError: arrays that Zarr v2 cannot express; names all of them.
    """
    documents: dict[str, dict[str, Any]] = {}
    for path, attributes in groups_of(layout).items():
        prefix = f"{path}/" if path else ""
        documents[f"{prefix}.zgroup"] = {"zarr_format": 2}
        documents[f"{prefix}.zattrs"] = {name: plain_value(value) for name, value in attributes.items()}
    problems = []
    for path, array in layout.arrays.items():
        try:
            documents[f"{path}/.zarray"] = to_v2(array.metadata, path)
        except UnsupportedError as error:
            problems.append(str(error))
        documents[f"{path}/.zattrs"] = attributes_v2(array.metadata)
    if problems:
        raise UnsupportedError("\n".join(problems))
    return dict(sorted(documents.items()))


def groups_of(layout: Layout) -> dict[str, Attributes]:
    """Attributes of every group, those included that only the paths of arrays and other groups name."""
    groups: dict[str, Attributes] = {"": {}}
    for path in (*layout.groups, *layout.arrays):
        for parent in PurePosixPath(path).parents:
            groups.setdefault("" if str(parent) == "." else str(parent), {})
    return {**groups, **layout.groups}
