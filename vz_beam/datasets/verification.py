"""Stores compared with the files that they point at: sampled chunks, and whether inputs are what they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from vz_beam.datasets.compared_chunks import FileChunks, SampledChunk, arrays_of, compared
from vz_beam.datasets.coordinate_places import Coordinates, misplaced
from vz_beam.datasets.ordinary_readers import open_store
from vz_beam.datasets.originals import open_original
from vz_beam.errors import FormatError, SourceError, SourceNotFoundError, VzBeamError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.parser import find_parser, skipping
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.identity import Identity
from vz_beam.storage.urls import canonical_url, scheme_of
from vz_beam.storage.zarr_settings import rectilinear_allowed
from vz_beam.writers.rewritten_chunks import CHUNKS_SUFFIX
from vz_beam.writers.writer import WriteTarget, find_writer

SAMPLE = 200
"""Chunks that are compared where nobody says how many."""
NO_INPUTS = "the store does not say what it was made of"
_DEFAULT = "compared elements are netCDF's fill value, which no attribute names: netCDF4 masks it, others show it"
_TOGETHER = 32
_SHOWN = 5
_STORES = ("kerchunk-json", "kerchunk-parquet", "icechunk", "zarr")


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. Two of them merge, in any order.

    Args:
        url: of the store.
        equal: number of chunks that read the same through the store and from the file.
        differences: a text for each chunk that does not.
        unread: a text for each chunk that could not be compared, and why.
        inputs: number of inputs that are what they were.
        changed: those that are not.
        vanished: those that are not there.
        notes: what could not be looked at.
        default_fills: by variable, how many of its compared elements are the value that netCDF fills with where nothing
            was written, and no attribute says so: netCDF4 masks them, while xarray and Zarr readers show numbers.
    """

    url: str
    equal: int = 0
    differences: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    inputs: int = 0
    changed: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    default_fills: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        """Whether nothing differs, nothing has changed, and something was compared where there was anything."""
        return not (self.differences or self.changed or self.vanished) and (self.equal > 0 or not self.unread)

    def merge(self, other: Verification) -> Verification:
        """Both together."""
        joined = {
            name: tuple(sorted({*getattr(self, name), *getattr(other, name)}))
            for name in ("differences", "unread", "changed", "vanished", "notes")
        }
        fills = dict(sorted((Counter(self.default_fills) + Counter(other.default_fills)).items()))
        equal, inputs = self.equal + other.equal, self.inputs + other.inputs
        return Verification(self.url, equal=equal, inputs=inputs, default_fills=fills, **joined)

    def __str__(self) -> str:
        count = self.equal + len(self.differences)
        others = f"{len(self.changed):,} changed, {len(self.vanished):,} vanished"
        lines = [
            self.url,
            f"  chunks      {self.equal:,} of {count:,} compared ones are equal, {len(self.unread):,} not compared",
            f"  inputs      {self.inputs:,} as they were, {others}",
        ]
        for title, texts in (
            ("differs", self.differences),
            ("changed", self.changed),
            ("vanished", self.vanished),
            ("unread", self.unread),
            ("note", (*self.notes, *(f"{name!r}: {count:,} {_DEFAULT}" for name, count in self.default_fills.items()))),
        ):
            lines += [f"  {title:<11} {text}" for text in texts[:_SHOWN]]
            lines += [f"  {title:<11} and {len(texts) - _SHOWN:,} more"] if len(texts) > _SHOWN else []
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Verifier:
    """How a store is read and its files are.

    Args:
        url: of the store.
        storage_options: for the store.
        source_options: for the files; ``None`` takes those of the store.
        registry: stores for the files, instead.
    """

    url: str
    storage_options: Mapping[str, Any] | None = field(default=None, repr=False)
    source_options: Mapping[str, Any] | None = field(default=None, repr=False)
    registry: Any = field(default=None, repr=False)

    def sample(self, count: int = SAMPLE, seed: int = 0) -> list[SampledChunk]:
        """References of the store, at random, from every array where there are enough.

        Raises:
            FormatError: no store of references.
        """
        group, format = self._parsed(self.url, self.storage_options)
        if format not in _STORES:
            raise FormatError(f"{self.url} is no store of references but a file, {format}")
        arrays = {path: array for path, array in arrays_of(group) if (array.manifest.location_ids >= 0).any()}
        rows = {path: np.flatnonzero(array.manifest.location_ids.ravel() >= 0) for path, array in arrays.items()}
        random = np.random.default_rng(seed)
        return [
            _chunk(path, arrays[path], int(row))
            for path, number in _shares({path: len(each) for path, each in rows.items()}, count).items()
            for row in np.sort(random.choice(rows[path], number, replace=False))
        ]

    def compare(self, chunks: Sequence[SampledChunk], inputs: Sequence[str] = ()) -> Verification:
        """Chunks read through the store by an ordinary reader, and from their files by the library of the format.

        Args:
            chunks: that are compared; each file is opened once.
            inputs: URLs of the store's inputs, of which those that are folders hold other files.
        """
        found = Verification(canonical_url(self.url))
        try:
            source = open_file_or_folder(self.url, self.storage_options, allow_external=True)
            try:
                format = find_parser(source).name
            finally:
                source.close()
            schemes = {scheme_of(chunk.url) or "file" for chunk in chunks}
            root = open_store(found.url, format, schemes, self.storage_options, self.source_options)
        except VzBeamError as error:
            return replace(found, unread=(f"{len(chunks):,} chunks: {error}",))
        shown = Coordinates(partial(_shown, root))
        by_file: dict[str, list[SampledChunk]] = {}
        for chunk in chunks:
            by_file.setdefault(chunk.url, []).append(chunk)
        anew = f"{found.url}{CHUNKS_SUFFIX}/"
        for url, some in by_file.items():
            if url.startswith(anew):
                texts = tuple(f"{chunk}: written anew (mismatch='rewrite'), and in no input" for chunk in some)
                found = found.merge(Verification(found.url, unread=texts))
                continue
            found = found.merge(self._compared(root, shown, _holder(url, inputs), some))
        return found

    def inputs(self) -> list[Identity]:
        """What the store says of its inputs."""
        return list(find_writer(self.url).input_table(WriteTarget(self.url), self.storage_options).inputs)

    def look_at(self, inputs: Iterable[Identity]) -> Verification:
        """Whether inputs are what they were."""
        found = Verification(canonical_url(self.url))

        def state(known: Identity) -> Verification:
            try:
                source = open_file_or_folder(known.url, self.source_options, self.registry)
                try:
                    is_same = source.identity().is_same(known)
                finally:
                    source.close()
            except SourceNotFoundError:
                return Verification(found.url, vanished=(known.url,))
            except SourceError as error:
                return Verification(found.url, notes=(f"{known.url} cannot be looked at: {error}",))
            return Verification(found.url, inputs=1) if is_same else Verification(found.url, changed=(known.url,))

        with ThreadPoolExecutor(_TOGETHER) as pool:
            for each in pool.map(state, inputs):
                found = found.merge(each)
        return found

    def _compared(self, root: Any, shown: Coordinates, url: str, chunks: Sequence[SampledChunk]) -> Verification:
        equal, differences, unread = 0, [], []
        fills: Counter[str] = Counter()
        coordinates = Coordinates(partial(self._opened, url))
        with ExitStack() as stack:
            try:
                source = open_file_or_folder(url, self.source_options, self.registry, allow_external=True)
                stack.callback(source.close)
                parser = find_parser(source)
                original = open_original(parser.name, source, stack)
                places = FileChunks(skipping(parser).parse(source), chunks[0].url)
            except VzBeamError as error:
                return Verification(canonical_url(self.url), unread=tuple(f"{chunk}: {error}" for chunk in chunks))
            for chunk in chunks:
                try:
                    found = places.find(chunk)
                    if found is None:
                        text = "no chunk of the file has these bytes"
                    else:
                        text, count = compared(root, original, chunk, *found)
                        fills.update({chunk.path: count} if count else {})
                        text = text or misplaced(shown, coordinates, root, chunk, *found)
                except VzBeamError as error:
                    unread.append(f"{chunk}: {error}")
                    continue
                equal += not text
                differences += [f"{chunk}: {text}"] if text else []
        url = canonical_url(self.url)
        return Verification(url, equal, tuple(differences), tuple(unread), default_fills=dict(fills))

    def _opened(self, url: str, group: str) -> xr.Dataset:
        words: dict[str, Any] = {"storage_options": self.source_options, "registry": self.registry}
        words["allow_external"] = True  # it is the store's own files that are compared, wherever they are
        return xr.open_dataset(url, engine="vz_beam", group=group or None, unsupported="skip", chunks=None, **words)

    def _parsed(self, url: str, options: Mapping[str, Any] | None) -> tuple[ManifestGroup, str]:
        source = open_file_or_folder(url, options, allow_external=True)
        try:
            parser = find_parser(source)
            return parser.parse(source), parser.name
        finally:
            source.close()


def verify_store(
    url: str,
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    storage_options: Mapping[str, Any] | None = None,
    source_storage_options: Mapping[str, Any] | None = None,
    registry: Any = None,
) -> Verification:
    """Compare a store with the files that it points at.

    Args:
        url: of the store.
        sample: number of chunks to compare, from every array where there are enough.
        seed: which ones.
        storage_options: for the store.
        source_storage_options: for the files; ``None`` takes those of the store.
        registry: stores for the files, instead.

    Raises:
        StoreNotFoundError, SourceNotFoundError: no store is there.
        FormatError: something else is.
        IncompleteStoreError: record files of the store are lost.
    """
    sources = storage_options if source_storage_options is None else source_storage_options
    verifier = Verifier(url, storage_options, sources, registry)
    chunks = verifier.sample(sample, seed)
    inputs = verifier.inputs()
    found = verifier.compare(chunks, [one.url for one in inputs]).merge(verifier.look_at(inputs))
    return found if inputs else replace(found, notes=(*found.notes, NO_INPUTS))


def _chunk(path: str, array: ManifestArray, row: int) -> SampledChunk:
    manifest = array.manifest
    index = tuple(int(i) for i in np.unravel_index(row, manifest.grid_shape)) if manifest.grid_shape else ()
    url = manifest.locations[int(manifest.location_ids.flat[row])]
    return SampledChunk(path, index, url, int(manifest.offsets.flat[row]), int(manifest.lengths.flat[row]))


def _shares(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """How many of ``count`` each gets: as its size is, and one at least where there are enough.

    >>> _shares({"a": 1000, "b": 10, "c": 1}, 20)
    {'a': 18, 'b': 1, 'c': 1}
    """
    shares = {}
    left, total = count, sum(sizes.values())
    for path, size in sorted(sizes.items(), key=lambda item: (item[1], item[0])):
        share = min(size, max(1, round(left * size / total)), left)
        left, total = left - share, total - size
        shares[path] = share
    return {path: shares[path] for path in sizes if shares[path]}


def _shown(root: Any, group: str) -> xr.Dataset:
    with rectilinear_allowed():
        return xr.open_dataset(root.store, engine="zarr", group=group or None, consolidated=False, chunks=None)


def _holder(url: str, inputs: Sequence[str]) -> str:
    """The input that a file is, or lies in; itself where no input says so."""
    folders = [one for one in inputs if url.startswith(f"{one}/")]
    return max(folders, key=len, default=url)
