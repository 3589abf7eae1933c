"""What ``vz-beam inspect`` says of arrays, whatever they were found in, and the table that it makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vz_beam.codecs.filter_names import FILTER_NAMES, HDF5_FILTER
from vz_beam.combine.sizes import readable_size
from vz_beam.combine.skipped import one_line

TITLES = (
    "array",
    "dims",
    "shape",
    "dtype",
    "chunks",
    "codecs",
    "references",
    "missing",
    "inlined",
    "data",
    "kind",
    "attrs",
)
RIGHT_ALIGNED = frozenset({"references", "missing", "inlined", "data", "attrs"})
_GAP = "  "


@dataclass(frozen=True, slots=True)
class DescribedArray:
    """One array of a file or store.

    Args:
        path: ``"air"`` or ``"forecast/air"``.
        dims: names of its dimensions.
        shape: elements.
        dtype: of the decoded values.
        chunks: elements; ``"28-31"`` along an axis where their lengths differ.
        codecs: in encoding order, parameters in brackets.
        references: chunks that lie in files.
        missing: chunks that are nowhere.
        inlined: chunks whose bytes are known without the file.
        referenced_nbytes: what the references point at, bytes.
        kind: what becomes of it when the file is opened: ``"virtual"`` or ``"loaded"``; in a store, ``"stored"`` where
            all values are in the store.
        attributes: number of attributes.
    """

    path: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int | str, ...]
    codecs: tuple[str, ...]
    references: int
    missing: int
    inlined: int
    referenced_nbytes: int
    kind: str
    attributes: int


@dataclass(frozen=True, slots=True)
class Description:
    """A file or store.

    Args:
        title: lines of (what, value) about the whole.
        arrays: in order.
        files: distinct files that the references point at.
        skipped: reasons by path of the variables of a file that references cannot express.
    """

    title: Mapping[str, Any]
    arrays: tuple[DescribedArray, ...]
    files: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        arrays = [asdict(array) for array in self.arrays]
        return {**self.title, "arrays": arrays, "skipped": dict(self.skipped), "files": list(self.files)}

    def __str__(self) -> str:
        total = self._total()
        rows = [_row(array) for array in self.arrays]
        width = max(map(len, self.title), default=0)
        lines = [f"{name:<{width}}{_GAP}{value}" for name, value in self.title.items() if value is not None]
        lines += ["", *table([TITLES, *rows, total])]
        if self.skipped:
            lines += ["", "skipped, as references cannot express them (vz-beam build does so with --unsupported skip)"]
            lines += [f"  {path}: {one_line(reason)}" for path, reason in self.skipped.items()]
        return "\n".join(lines)

    def _total(self) -> tuple[str, ...]:
        arrays = self.arrays
        numbers = {
            "references": f"{sum(array.references for array in arrays):,}",
            "missing": f"{sum(array.missing for array in arrays):,}",
            "inlined": f"{sum(array.inlined for array in arrays):,}",
            "data": readable_size(sum(array.referenced_nbytes for array in arrays)),
            "array": f"total {len(arrays):,}",
        }
        return tuple(numbers.get(title, "") for title in TITLES)


def codec_text(name: str, configuration: Mapping[str, Any]) -> str:
    """A codec with its parameters, short; an HDF5 filter by its name alone, since its parameters are many.

    >>> codec_text("vz_beam.hdf5_filter", {"filter": 4, "values": [169, 8, 32, 512], "nbytes": 4096})
    'szip'
    >>> codec_text("numcodecs.zlib", {"level": 4})
    'zlib(4)'
    """
    if name == HDF5_FILTER:
        return FILTER_NAMES.get(configuration["filter"], f"{name}({configuration['filter']})")
    parameters = ",".join(str(value) for value in configuration.values() if value is not None)
    return name.removeprefix("numcodecs.") + (f"({parameters})" if parameters else "")


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned lines; the first row is the titles, and titles of numbers align their columns to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = [title in RIGHT_ALIGNED for title in rows[0]]
    return [
        _GAP.join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in rows
    ]


def _row(array: DescribedArray) -> tuple[str, ...]:
    return (
        array.path,
        " ".join(array.dims) or "-",
        "x".join(map(str, array.shape)) or "scalar",
        array.dtype,
        "x".join(map(str, array.chunks)) or "-",
        " ".join(array.codecs) or "-",
        f"{array.references:,}",
        f"{array.missing:,}",
        f"{array.inlined:,}",
        readable_size(array.referenced_nbytes),
        array.kind,
        str(array.attributes),
    )
