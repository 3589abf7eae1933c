"""Many files opened as one virtual dataset or tree, with the syntax of ``xarray.open_mfdataset``."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import xarray as xr

from vz_beam.datasets.executors import executor_class
from vz_beam.datasets.file_lists import leaves_of, listed_files, with_leaves
from vz_beam.datasets.joining import check_agreement, join_datasets, join_trees
from vz_beam.datasets.opening import names_of, open_virtual_dataset, open_virtual_datatree
from vz_beam.errors import InputError
from vz_beam.storage.held_options import HeldOptions
from vz_beam.storage.url_secrets import shown
from vz_beam.storage.urls import canonical_url

Combine = Literal["by_coords", "nested"]
Errors = Literal["raise", "warn", "ignore"]


def open_virtual_mfdataset(
    urls: str | os.PathLike[str] | Sequence[Any],
    registry: Any = None,
    parser: Any = None,
    concat_dim: Any = None,
    compat: Any = "no_conflicts",
    preprocess: Callable[[xr.Dataset], xr.Dataset] | None = None,
    data_vars: Any = "all",
    coords: Any = "different",
    combine: Combine = "by_coords",
    parallel: Any = False,
    join: Any = "outer",
    attrs_file: str | os.PathLike[str] | None = None,
    combine_attrs: Any = "override",
    errors: Errors = "raise",
    **kwargs: Any,
) -> xr.Dataset:
    """One virtual dataset of many files, joined by xarray.

    All datasets are held and joined in this process. For archives that are too large for that, build a store
    (:func:`vz_beam.build`).

    Unlike VirtualiZarr: globs work on every protocol that can be listed; files that differ in units, packing,
    calendar, chunks or codecs are always refused, since no choice of ``combine_attrs`` makes one array of them;
    ``"lithops"`` is no word for ``parallel``, but any executor is.

    Args:
        urls: a glob, a folder, or a list of URLs and paths; for ``combine="nested"`` lists of lists, as in xarray.
        registry: an object store registry; ``None`` makes stores from the URLs.
        parser: ``None`` finds one for each file.
        concat_dim: for ``combine="nested"``: the dimension of each level of lists, ``None`` where it is a merge.
        compat: as in :func:`xarray.open_mfdataset`, and so are ``data_vars``, ``coords`` and ``join``. Virtual
            variables are equal only where they refer to the same bytes: ``data_vars="minimal"`` needs
            ``compat="override"``, which keeps those of the first file.
        preprocess: a function of each dataset, called in this process; ``encoding["source"]`` is the file's URL.
        data_vars: see ``compat``.
        coords: see ``compat``.
        combine: ``"by_coords"`` orders files by their coordinates, ``"nested"`` takes them in the order given.
        parallel: ``False`` opens file after file. ``"beam"`` opens them in processes of this machine, by a pipeline;
            ``"dask"`` by the scheduler that dask is set to, else its threads, of which only one at a time reads HDF5
            metadata; a class of ``concurrent.futures.Executor`` is made without arguments. Secrets among the storage
            options, and registries, never leave this process: workers in others need credentials of their own.
        join: see ``compat``.
        attrs_file: one of the files, whose attributes the dataset gets; else ``combine_attrs`` says.
        combine_attrs: what becomes of attributes that do not change the meaning of the data, where files differ.
        errors: what becomes of a file that cannot be opened: ``"warn"`` and ``"ignore"`` leave it out.
        **kwargs: for :func:`vz_beam.open_virtual_dataset`.

    Raises:
        OSError: no files, or none that can be opened.
        InputError: arguments that do not fit together (a ValueError).
        MismatchError: files that disagree, all cases with both files and values (a ValueError).
    """
    choices = {"compat": compat, "data_vars": data_vars, "coords": coords, "join": join, "combine_attrs": combine_attrs}
    many = _ManyFiles(open_virtual_dataset, combine, concat_dim, parallel, errors, attrs_file)
    datasets = many.opened(urls, registry, parser, preprocess, kwargs)
    combined = join_datasets(datasets, combine, concat_dim, choices)
    if many.model is not None:
        combined.attrs = dict(many.model.attrs)
    return combined


def open_virtual_mfdatatree(
    urls: str | os.PathLike[str] | Sequence[Any],
    registry: Any = None,
    parser: Any = None,
    concat_dim: Any = None,
    compat: Any = "no_conflicts",
    preprocess: Callable[[xr.DataTree], xr.DataTree] | None = None,
    data_vars: Any = "all",
    coords: Any = "different",
    combine: Combine = "by_coords",
    parallel: Any = False,
    join: Any = "outer",
    attrs_file: str | os.PathLike[str] | None = None,
    combine_attrs: Any = "override",
    errors: Errors = "raise",
    **kwargs: Any,
) -> xr.DataTree:
    """One virtual tree of many files, whose groups are joined each by itself; VirtualiZarr has no such function.

    Arguments and errors are those of :func:`open_virtual_mfdataset`, ``preprocess`` is given trees, ``kwargs`` are for
    :func:`vz_beam.open_virtual_datatree`. Groups see the coordinates of those above them. A group of which no variable
    has a dimension along which files are joined is the first file's. All files must have the same groups.
    """
    choices = {"compat": compat, "data_vars": data_vars, "coords": coords, "join": join, "combine_attrs": combine_attrs}
    many = _ManyFiles(open_virtual_datatree, combine, concat_dim, parallel, errors, attrs_file)
    trees = many.opened(urls, registry, parser, preprocess, kwargs)
    tree = join_trees(trees, combine, concat_dim, choices)
    if many.model is not None:
        for node in tree.subtree:
            node.attrs = dict(many.model[node.path].attrs)
    return tree


@dataclass(frozen=True, slots=True)
class _OpenFile:
    """Opens one file anywhere: what it gives or raises is its value, and pickled it holds no credentials."""

    open_one: Callable[..., Any]
    options: HeldOptions
    parser: Any
    choices: Mapping[str, Any]

    def __call__(self, url: str) -> xr.Dataset | xr.DataTree | Exception:
        try:
            registry, storage_options = self.options.registry, self.options.storage_options
            return self.open_one(url, registry, self.parser, storage_options=storage_options, **self.choices)  # type: ignore[no-any-return]
        except Exception as error:  # raised or told by the caller, in the order of the files
            return error


class _ManyFiles:
    """The opening of many files by one function; arguments are checked before any file is looked at."""

    def __init__(
        self,
        open_one: Callable[..., Any],
        combine: str,
        concat_dim: Any,
        parallel: Any,
        errors: str,
        attrs_file: str | os.PathLike[str] | None,
    ) -> None:
        if combine not in ("by_coords", "nested"):
            raise InputError(f"combine={combine!r} is neither 'by_coords' nor 'nested'")
        if combine == "by_coords" and concat_dim is not None:
            raise InputError(
                f"concat_dim={concat_dim!r} has no meaning for combine='by_coords', which finds the dimensions itself: "
                "leave it out, or say combine='nested'"
            )
        if errors not in ("raise", "warn", "ignore"):
            raise InputError(f"errors={errors!r} is not one of 'raise', 'warn', 'ignore'")
        self._open_one = open_one
        self._executor = executor_class(parallel)
        self._errors = errors
        self._attrs_file = None if attrs_file is None else canonical_url(attrs_file)
        self.model: Any = None
        """What ``attrs_file`` holds, once it is opened."""

    def opened(
        self,
        urls: Any,
        registry: Any,
        parser: Any,
        preprocess: Callable[[Any], Any] | None,
        choices: Mapping[str, Any],
    ) -> list[Any]:
        """What the files hold, in lists of lists as ``urls``."""
        unknown = choices.keys() - inspect.signature(self._open_one).parameters
        if unknown:
            raise TypeError(f"{self._open_one.__name__}() does not know {sorted(unknown)}")
        choices = dict(choices)
        storage_options = choices.pop("storage_options", None)
        for word in ("drop_variables", "loadable_variables"):
            choices[word] = names_of(choices.get(word), word)  # an iterator would be used up by the first file
        files = listed_files(urls, storage_options, registry)
        flat = list(leaves_of(files))
        if self._attrs_file is not None and self._attrs_file not in flat:
            raise InputError(f"attrs_file {self._attrs_file} is not one of the {len(flat)} files")
        open_file = _OpenFile(self._open_one, HeldOptions(storage_options, registry), parser, choices)
        results: list[Any] = []
        with self._executor() as executor:
            for url, result in zip(flat, executor.map(open_file, flat), strict=True):
                results.append(self._checked(url, result, preprocess))
        kept = [result for result in results if result is not None]
        if not kept:
            raise OSError(f"none of {len(flat)} files could be opened, the first is {flat[0]}")
        check_agreement(kept)
        return with_leaves(files, iter(results))

    def _checked(self, url: str, result: Any, preprocess: Callable[[Any], Any] | None) -> Any:
        """The preprocessed result; ``None`` where it is an error that leaves its file out."""
        if isinstance(result, Exception):
            if self._errors == "raise":
                result.add_note(f"while opening {shown(url)}")
                raise result
            if self._errors == "warn":
                warnings.warn(f"{shown(url)} is left out: {type(result).__name__}: {result}", stacklevel=4)
            return None
        if preprocess is not None:
            source = result.encoding.get("source", url)
            result = preprocess(result)
            result.encoding.setdefault("source", source)
        if url == self._attrs_file:
            self.model = result
        return result
