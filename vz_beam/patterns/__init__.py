"""Which files make up a dataset, and where each belongs."""

from vz_beam.patterns.dimensions import CombineDim, ConcatDim, MergeDim
from vz_beam.patterns.file_names import NamePattern, pattern_from_names
from vz_beam.patterns.file_pattern import FilePattern
from vz_beam.patterns.file_sequence import pattern_from_file_sequence
from vz_beam.patterns.foreign import as_index, as_pattern_items
from vz_beam.patterns.index import Index, Operation, Position
from vz_beam.patterns.keys import Key
from vz_beam.patterns.natural_order import natural_key

__all__ = [
    "CombineDim",
    "ConcatDim",
    "FilePattern",
    "Index",
    "Key",
    "MergeDim",
    "NamePattern",
    "Operation",
    "Position",
    "as_index",
    "as_pattern_items",
    "natural_key",
    "pattern_from_file_sequence",
    "pattern_from_names",
]
