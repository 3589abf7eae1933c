"""The plan of the combined dataset: small, O(inputs), and all that placing and writing need to know."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vz_beam.combine.choices import CHUNKS_PER_SHARD, CombineChoices
from vz_beam.combine.fragment import ShardKey
from vz_beam.combine.hole import Hole
from vz_beam.combine.schema import FailedInput
from vz_beam.manifests.metadata import ArrayMetadata, Attributes

_MOST_NAMED = 3
"""Arrays in a note."""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """How inputs whose chunks do not fit an array become part of it: such chunks are written anew.

    Args:
        variants: the array as most inputs store it, and then as others do; shapes do not count.
        of_input: place in ``variants`` by the numbers of the others.
        has_holes: whether inputs may be absent, so that parts of chunks come from nowhere.
    """

    variants: tuple[ArrayMetadata, ...]
    of_input: Mapping[tuple[int, ...], int] = field(default_factory=dict)
    has_holes: bool = False


@dataclass(frozen=True, slots=True)
class Growth:
    """How an array becomes larger that a store has already.

    Args:
        stored: its chunk grid in the store, chunks.
        added: the chunk grid of what is added, chunks.
        axis: along which it grows.
    """

    stored: tuple[int, ...]
    added: tuple[int, ...]
    axis: int

    @property
    def kept_chunks(self) -> int:
        """How many chunks of the store, from the first on, keep their numbers: all or none."""
        return math.prod(self.stored) if math.prod(self.stored[: self.axis]) == 1 else 0


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """One array of the combined dataset.

    Args:
        metadata: of the whole array.
        chunks: encoded chunks that the layout itself holds (loaded variables), by C-order chunk number.
        is_loaded: whether the layout holds all values, so that no reference may arrive.
        placed_by: numbers along those dimensions of the pattern that the array does not have: where several inputs
            hold an array that must agree, the one with these numbers places it.
        substitutes: numbers of the inputs that place what such inputs do not have.
        is_cut: whether chunks of inputs are to be cut where they are not of the array's shape.
        unwritten: where missing chunks of the whole array read as missing data: the encoded chunk that stands for
            those that were never written in a file, and read as a value.
        rewriting: where chunks that do not fit are to be written anew.
        references: how many the inputs have for this array, by which it is known that all have arrived; ``None`` where
            they are not those that are written.
        growth: where a store has the array's beginning already, and references are added to it.
        is_kept: whether a store has the whole array already, which what is added must agree with.
        kept_shards: how many shards, from the first on, a store has already and keeps as they are.
    """

    metadata: ArrayMetadata
    chunks: Mapping[int, bytes] = field(default_factory=dict)
    is_loaded: bool = False
    placed_by: Mapping[str, int] = field(default_factory=dict)
    substitutes: frozenset[tuple[int, ...]] = frozenset()
    is_cut: bool = False
    unwritten: bytes | None = None
    rewriting: Rewriting | None = None
    references: int | None = None
    growth: Growth | None = None
    is_kept: bool = False
    kept_shards: int = 0

    def is_placed_by(self, numbers: Mapping[str, int]) -> bool:
        """Whether the input with these numbers, by dimension, places its part of the array."""
        if all(numbers[dim] == number for dim, number in self.placed_by.items()):
            return True
        return bool(self.substitutes) and tuple(numbers.values()) in self.substitutes

    def shard_numbers(self, chunks_per_shard: int) -> range:
        """The shards that are to be written: all but those that a store has, and that stay as they are."""
        return range(self.kept_shards, -(-self.metadata.chunk_grid.size // chunks_per_shard))


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What the combined dataset is.

    Args:
        arrays: by path, such as ``"air"`` or ``"forecast/air"``, in the order in which they are written.
        groups: attributes of each group by path; ``""`` is the root.
        starts: int64[numbers], elements, for each concatenated dimension by its path: where the input of that number
            begins; -1 for numbers that no input has.
        new_dims: those concatenated dimensions that the files lack and their variables gain.
        chunks_per_shard: chunks of an array in one shard.
        inputs: number of inputs that the layout was made from.
        notes: what the user should know about the inputs although it is no error.
        failed: texts of the inputs that are left out because they could not be opened.
        left_out: paths of variables that some inputs have and the dataset has not.
        excluded: inputs that are left out because they disagree with most others, by their numbers.
        eras: the group of each input by its numbers, where inputs that disagree are in groups of their own.
        choices: by which the inputs were combined.
        holes: places that no input gives, which a later run can fill.
    """

    arrays: Mapping[str, ArrayLayout]
    groups: Mapping[str, Attributes]
    starts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    new_dims: tuple[str, ...] = ()
    chunks_per_shard: int = CHUNKS_PER_SHARD
    inputs: int = 0
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()
    excluded: Mapping[tuple[int, ...], FailedInput] = field(default_factory=dict)
    eras: Mapping[tuple[int, ...], str] = field(default_factory=dict)
    choices: CombineChoices = field(default_factory=CombineChoices)
    holes: tuple[Hole, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout):
            return NotImplemented
        names = (
            "arrays",
            "groups",
            "new_dims",
            "chunks_per_shard",
            "inputs",
            "failed",
            "notes",
            "left_out",
            "excluded",
            "eras",
            "holes",
        )
        return (
            all(getattr(self, name) == getattr(other, name) for name in names)
            and list(self.arrays) == list(other.arrays)
            and self.starts.keys() == other.starts.keys()
            and all(np.array_equal(starts, other.starts[dim]) for dim, starts in self.starts.items())
        )

    __hash__ = None  # type: ignore[assignment]  # holds mappings; layouts are compared, not looked up

    def shard_keys(self) -> Iterator[ShardKey]:
        """Every shard of every array that is to be written, also those that no reference will reach."""
        for path, array in self.arrays.items():
            for number in array.shard_numbers(self.chunks_per_shard):
                yield ShardKey(path, number)

    @property
    def reading_notes(self) -> tuple[str, ...]:
        """What readers of the store need that not all of them do by themselves."""
        uneven = [repr(path) for path, array in self.arrays.items() if array.metadata.uneven_chunks]
        if not uneven:
            return ()
        named = ", ".join(uneven[:_MOST_NAMED]) + " ..." * (len(uneven) > _MOST_NAMED)
        setting = 'zarr.config.set({"array.rectilinear_chunks": True})'
        return (f"chunks of {named} are of several lengths: zarr 3.2 and later read them after {setting}",)

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each dimension of the root group, elements."""
        sizes: dict[str, int] = {}
        for path, array in self.arrays.items():
            if "/" not in path:
                sizes.update(zip(array.metadata.dimension_names or (), array.metadata.shape, strict=False))
        return sizes
