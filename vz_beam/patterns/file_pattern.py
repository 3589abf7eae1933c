"""Which files make up a dataset, and where each belongs: a function of keys over a product of dimensions."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from enum import Enum
from typing import Any, Self

import numpy as np

from vz_beam.errors import PatternError
from vz_beam.patterns.dimensions import CombineDim, ConcatDim, MergeDim, position_at
from vz_beam.patterns.index import Index, Operation
from vz_beam.patterns.keys import normalise_key
from vz_beam.patterns.open_options import OpenOptions

FormatFunction = Callable[..., Any]
"""The keys of one input as keyword arguments; returns its URL, a ``str`` or ``os.PathLike``."""

Gaps = Callable[..., bool] | Collection[tuple[Any, ...]]
"""Which inputs do not exist: a function like the format function, or tuples of keys in the order of the dimensions."""


class FilePattern:
    """The outer product of ``combine_dims``, each combination of keys being one input.

    >>> pattern = FilePattern("{variable}_{time}.nc".format, ConcatDim("time", [1, 2]), MergeDim("variable", ["u"]))
    >>> [url for index, url in pattern.items()]
    ['u_1.nc', 'u_2.nc']
    """

    def __init__(
        self,
        format_function: FormatFunction,
        *combine_dims: CombineDim,
        fsspec_open_kwargs: Mapping[str, Any] | None = None,
        query_string_secrets: Mapping[str, str] | None = None,
        file_type: str = "unknown",
        gaps: Gaps | None = None,
    ) -> None:
        """Check the arguments; neither ``format_function`` nor ``gaps`` is called before the inputs are asked for.

        Args:
            format_function: gives the URL of an input, called with one keyword for each dimension.
            combine_dims: the dimensions, the last running fastest. Without any, the pattern is one input.
            fsspec_open_kwargs: options of the file system; shown, hashed and pickled nowhere.
            query_string_secrets: what is added to the query of each URL; shown, hashed and pickled nowhere.
            file_type: the name of a format, ``"unknown"`` where the content decides.
            gaps: which inputs of the product do not exist.

        Raises:
            PatternError: two dimensions of one name, arguments of another type, gaps outside the product.
        """
        if not callable(format_function):
            raise PatternError(
                f"format_function is a {type(format_function).__name__}, which cannot be called; it is a function of "
                "the dimensions' keys that returns a URL. Way out: for a list of files, pattern_from_file_sequence"
            )
        for dim in combine_dims:
            if not isinstance(dim, ConcatDim | MergeDim):
                raise PatternError(f"a dimension of a FilePattern is a ConcatDim or a MergeDim, not {dim!r}")
        names = [dim.name for dim in combine_dims]
        if len(set(names)) < len(names):
            raise PatternError(f"the dimensions of a pattern need different names, and these are {names}")
        self.format_function = format_function
        self.combine_dims: tuple[CombineDim, ...] = combine_dims
        self.file_type = _file_type(file_type)
        self._options = OpenOptions(fsspec_open_kwargs, query_string_secrets)
        self._gap_function, self._gap_numbers = self._read_gaps(gaps)

    @property
    def fsspec_open_kwargs(self) -> dict[str, Any]:
        """Options of the file system."""
        return self._options.fsspec_open_kwargs

    @property
    def query_string_secrets(self) -> dict[str, str]:
        """What is added to the query of each URL."""
        return self._options.query_string_secrets

    @property
    def dims(self) -> dict[str, int]:
        """Number of keys of each dimension, by name."""
        return {dim.name: len(dim.keys) for dim in self.combine_dims}

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of keys of each dimension."""
        return tuple(self.dims.values())

    @property
    def merge_dims(self) -> list[str]:
        """Names of the dimensions that are laid side by side."""
        return self._names("merge")

    @property
    def concat_dims(self) -> list[str]:
        """Names of the dimensions that are joined end to end."""
        return self._names("concat")

    @property
    def nitems_per_input(self) -> dict[str, int | None]:
        """Elements of each input along each concat dimension, ``None`` where that is not known."""
        return {dim.name: dim.nitems_per_file for dim in self.combine_dims if isinstance(dim, ConcatDim)}

    @property
    def concat_sequence_lens(self) -> dict[str, int | None]:
        """Elements of the whole along each concat dimension, ``None`` where that is not known."""
        dims = self.dims
        return {name: items and items * dims[name] for name, items in self.nitems_per_input.items()}

    @property
    def combine_dim_keys(self) -> dict[str, list[Any]]:
        """The keys of each dimension, as they were given."""
        return {dim.name: list(dim.keys) for dim in self.combine_dims}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.dims}>"

    def __len__(self) -> int:
        if self._gap_function is None:
            return math.prod(self.shape) - len(self._gap_numbers)
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Index]:
        for numbers in self._product():
            if not self._is_gap(numbers):
                yield self._index(numbers)

    def __getitem__(self, index: Index) -> str:
        if not isinstance(index, Index):
            raise PatternError(
                f"a pattern is asked by an Index, not by {index!r}; as_index() makes one of a foreign one"
            )
        numbers = self._numbers(index)
        if self._is_gap(numbers):
            raise PatternError(f"input [{index}] is a declared gap of the pattern: there is no such file")
        return self._url(numbers)

    def items(self) -> Iterator[tuple[Index, str]]:
        """Every input with its URL, the last dimension fastest.

        Raises:
            PatternError: a format function that fails or returns no URL, one URL for two inputs, no input at all.
        """
        hashes: set[int] = set()  # 64 bits an input rather than its URL; a hit is looked at exactly
        for numbers in self._product():
            if self._is_gap(numbers):
                continue
            url = self._url(numbers)
            if hash(url) in hashes:
                self._refuse_second_use(url, numbers)
            hashes.add(hash(url))
            yield self._index(numbers), url
        if not hashes:
            raise PatternError(f"every input of {self!r} is a declared gap; nothing is left")

    def missing(self) -> Iterator[Index]:
        """The declared gaps, in the order of the product."""
        for numbers in self._product():
            if self._is_gap(numbers):
                yield self._index(numbers)

    def prune(self, nkeep: int = 2) -> Self:
        """A small pattern to try things on: all merge keys, the first ``nkeep`` keys of each concat dimension."""
        if not isinstance(nkeep, int) or isinstance(nkeep, bool) or nkeep < 1:
            raise PatternError(f"nkeep is a whole number from 1 on, not {nkeep!r}")
        pruned = object.__new__(type(self))  # whatever else a subclass holds is kept, and its __init__ may differ
        pruned.__dict__.update(self.__dict__)
        pruned.combine_dims = tuple(
            ConcatDim(dim.name, dim.keys[:nkeep], dim.nitems_per_file) if isinstance(dim, ConcatDim) else dim
            for dim in self.combine_dims
        )
        sizes = pruned.shape
        pruned._gap_numbers = frozenset(
            numbers for numbers in self._gap_numbers if all(n < size for n, size in zip(numbers, sizes, strict=True))
        )
        return pruned

    def sha256(self) -> bytes:
        """A digest of dimensions, keys, URLs and gaps; options and secrets are no part of it."""
        digest = hashlib.sha256()
        rows: list[Any] = [("vz_beam pattern", 1, self.file_type)]
        rows += [(dim.name, dim.operation, getattr(dim, "nitems_per_file", None)) for dim in self.combine_dims]
        for row in itertools.chain(rows, ((index.to_tuple(), url) for index, url in self.items())):
            text = repr(row).encode("utf-8", "surrogatepass")
            digest.update(len(text).to_bytes(8, "little") + text)
        return digest.digest()

    def _names(self, operation: Operation) -> list[str]:
        return [dim.name for dim in self.combine_dims if dim.operation == operation]

    def _product(self) -> Iterator[tuple[int, ...]]:
        return itertools.product(*(range(size) for size in self.shape))

    def _index(self, numbers: tuple[int, ...]) -> Index:
        return Index(tuple(position_at(dim, n) for dim, n in zip(self.combine_dims, numbers, strict=True)))

    def _keywords(self, numbers: tuple[int, ...]) -> dict[str, Any]:
        return {dim.name: dim.keys[n] for dim, n in zip(self.combine_dims, numbers, strict=True)}

    def _numbers(self, index: Index) -> tuple[int, ...]:
        if set(index.dimensions) != set(self.dims):
            raise PatternError(f"index [{index}] does not fit a pattern of the dimensions {list(self.dims)}")
        numbers = tuple(index.position(dim.name).number for dim in self.combine_dims)
        for dim, number in zip(self.combine_dims, numbers, strict=True):
            asked = index.position(dim.name)
            if number >= len(dim.keys) or asked.key not in (None, position_at(dim, number).key):
                raise PatternError(f"index [{index}] is not of this pattern: {dim!r} has no such place")
        return numbers

    def _url(self, numbers: tuple[int, ...]) -> str:
        keywords = self._keywords(numbers)
        call = f"format_function({_arguments(keywords)})"
        try:
            url = self.format_function(**keywords)
        except Exception as error:  # whatever a user's function raises is told with the keys it got
            raise PatternError(f"{call} raised {type(error).__name__}: {error}") from error
        path = url.__fspath__() if hasattr(type(url), "__fspath__") else url
        if not isinstance(path, str) or not path:
            raise PatternError(f"{call} returned {url!r}; a URL is a str that is not empty, or an os.PathLike of one")
        return str.__str__(path)

    def _refuse_second_use(self, url: str, numbers: tuple[int, ...]) -> None:
        for earlier in itertools.takewhile(lambda before: before != numbers, self._product()):
            if not self._is_gap(earlier) and self._url(earlier) == url:
                raise PatternError(
                    f"inputs [{self._index(earlier)}] and [{self._index(numbers)}] have one URL: {url!r}. "
                    "Way out: let format_function use every key, and leave out dimensions that the files do not have"
                )

    def _is_gap(self, numbers: tuple[int, ...]) -> bool:
        if self._gap_function is None:
            return numbers in self._gap_numbers
        keywords = self._keywords(numbers)
        call = f"gaps({_arguments(keywords)})"
        try:
            answer = self._gap_function(**keywords)
        except Exception as error:  # as with the format function
            raise PatternError(f"{call} raised {type(error).__name__}: {error}") from error
        if not isinstance(answer, bool | np.bool_):
            raise PatternError(f"{call} returned {answer!r}; it says with True or False whether the input is a gap")
        return bool(answer)

    def _read_gaps(self, gaps: Gaps | None) -> tuple[Callable[..., bool] | None, frozenset[tuple[int, ...]]]:
        if gaps is None:
            return None, frozenset()
        if callable(gaps):
            return gaps, frozenset()
        if isinstance(gaps, str | Mapping) or not isinstance(gaps, Set | list | tuple):
            raise PatternError(f"gaps is a function of the keys or a set of tuples of keys, not {gaps!r}")
        places = [{normalise_key(key, dim.name): n for n, key in enumerate(dim.keys)} for dim in self.combine_dims]
        numbers, unknown = set(), []
        for gap in gaps:
            if not isinstance(gap, tuple) or len(gap) != len(places):
                raise PatternError(f"the gap {gap!r} is no tuple of one key for each of {list(self.dims)}")
            found = tuple(
                place.get(normalise_key(key, dim.name))
                for key, place, dim in zip(gap, places, self.combine_dims, strict=True)
            )
            if None in found:
                unknown.append(repr(gap))
            numbers.add(found)
        if unknown:
            raise PatternError(f"these gaps are no inputs of {self!r}: {', '.join(sorted(unknown)[:5])}")
        return None, frozenset(tuple(n for n in found if n is not None) for found in numbers)


def _arguments(keywords: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={key!r}" for name, key in keywords.items())


def _file_type(file_type: Any) -> str:
    name = file_type.value if isinstance(file_type, Enum) else file_type
    if not isinstance(name, str) or not name:
        raise PatternError(f"file_type is the name of a format, such as 'netcdf4' or 'unknown', not {file_type!r}")
    return name
