"""A file pattern made from the files that are there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from vz_beam.patterns.file_names import pattern_from_names
from vz_beam.patterns.file_pattern import FilePattern
from vz_beam.storage.listing import list_files


def pattern_from_glob(
    glob: str | os.PathLike[str],
    concat_dim: str | Sequence[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    name_pattern: str | None = None,
) -> FilePattern:
    """A pattern of all files that match, in natural order of their names.

    Args:
        glob: a glob or folder, see :func:`vz_beam.storage.listing.list_files`.
        concat_dim: the dimension along which the files follow each other; ``None`` where there is one file.
        storage_options: for listing only; they are not kept.
        name_pattern: how names hold the places of several dimensions, as in ``"{variable}_{year}.nc"``.

    Raises:
        PatternError: nothing matches, or names do not fit ``name_pattern``.
    """
    return pattern_from_names(list_files(glob, storage_options), concat_dim, name_pattern=name_pattern)
