"""The names of the dimensions of all arrays of one store; phony ones where it has none, as for HDF5."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count

from vz_beam.errors import FormatError
from vz_beam.manifests.metadata import ArrayMetadata


class DimensionNames:
    """Gives names, one group after the other.

    Phony dimensions are one for each distinct length in the group, and as many of one length as one array needs. Their
    numbers run on through the store, since dimensions are inherited.

    Args:
        taken: names of arrays and dimensions, which no phony one may have.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = frozenset(taken)
        self._numbers = count()

    def of_group(self, arrays: Mapping[str, ArrayMetadata]) -> dict[str, ArrayMetadata]:
        """The arrays of a group with a name for each dimension.

        A name that an array has already, or that stands for another length in the group, cannot be given again: that
        dimension is phony too.
        """
        phony: dict[int, list[str]] = {}
        lengths: dict[str, int] = {}
        result = {}
        for name, metadata in arrays.items():
            names: list[str] = []
            used: Counter[int] = Counter()
            for known, length in zip(metadata.dimension_names or (None,) * metadata.ndim, metadata.shape, strict=True):
                if known is not None and known not in names and lengths.setdefault(known, length) == length:
                    names.append(known)
                    continue
                same = phony.setdefault(length, [])
                if used[length] == len(same):
                    same.append(self._phony_name())
                names.append(same[used[length]])
                used[length] += 1
            result[name] = replace(metadata, dimension_names=tuple(names))
        return result

    def _phony_name(self) -> str:
        return next(name for number in self._numbers if (name := f"phony_dim_{number}") not in self._taken)


def check_names(metadata: ArrayMetadata) -> None:
    """Refuses names that are no texts, or empty, which xarray would take for one that is not there.

    Raises:
        FormatError: such a name.
    """
    names = metadata.dimension_names
    if names is not None and not all(isinstance(name, str) and name for name in names):
        raise FormatError(f"dimension names {names} hold one that is no text, or empty")
