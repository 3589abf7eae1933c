"""The laws of writers of Kerchunk references: inherit :class:`KerchunkWriterSuite` in a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.storage import FsspecStore

from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.testing.raw_store import RawStore
from vz_beam.testing.writer_suite import Values, WriterSuite, raw_store
from vz_beam.writers.writer import WriteTarget, write_store


class KerchunkWriterSuite(WriterSuite):
    """What every writer of Kerchunk references must do."""

    def readings(self, url: str, store: RawStore) -> Iterator[tuple[str, Values, Values]]:
        """By fsspec's reference filesystem."""
        has_groups = any("/" in path for path in store.arrays)
        guessed: list[dict[str, str]] = [] if has_groups else [{}]
        for options in [*guessed, {"remote_protocol": "file"}]:
            yield str(options), read_by_xarray(url, store.arrays, options), read_by_zarr(url, store.arrays, options)

    def shown(self, url: str, names: Iterable[str]) -> Values:
        """By xarray's engine "kerchunk"."""
        return read_by_xarray(url, names)

    def test_a_variable_keeps_its_integer_type_where_nothing_is_masked(self, tmp_path: Path) -> None:
        """A storage fill must not reach xarray as ``_FillValue``."""
        store = raw_store(tmp_path, "zeros without a CF fill")
        write_store(self.writer, self.url(tmp_path), store.layout, store.shards())
        with xr.open_dataset(self.url(tmp_path), engine="kerchunk", chunks=None) as dataset:
            assert {name: variable.dtype for name, variable in dataset.variables.items()} == {
                "v": np.dtype("i2"),
                "w": np.dtype("i2"),
            }

    def test_arrays_that_the_format_cannot_express_are_all_named_before_anything_is_written(
        self, tmp_path: Path
    ) -> None:
        """Zarr v2 has no shards, no checksum codec of v3, no transposition."""
        codecs = {"a": Codec("crc32c"), "b": Codec("transpose", {"order": [0]})}
        arrays = {
            name: ArrayLayout(ArrayMetadata((2,), np.dtype("i2"), (2,), codecs=(codec,), dimension_names=("x",)))
            for name, codec in codecs.items()
        }
        serializer = Codec("sharding_indexed", {"chunk_shape": [1]})
        arrays["c"] = ArrayLayout(
            ArrayMetadata((2,), np.dtype("i2"), (2,), serializer=serializer, dimension_names=("x",))
        )
        with pytest.raises(UnsupportedError) as refusal:
            self.writer.begin(WriteTarget(self.url(tmp_path / "out")), Layout(arrays, {"": {}}))
        for words in ("'a'", "crc32c", "'b'", "transpose", "'c'", "sharding_indexed", "Way out"):
            assert words in str(refusal.value)
        assert not (tmp_path / "out").exists()


def read_by_xarray(url: str, paths: Iterable[str], options: Mapping[str, str] | None = None) -> dict[str, NDArray[Any]]:
    """The values of arrays as xarray shows them."""
    values = {}
    for path in paths:
        group, _, name = path.rpartition("/")
        if group:
            backend = {"storage_options": {"fo": url, **(options or {})}}
            dataset = xr.open_dataset(
                "reference://", engine="zarr", group=group, zarr_format=2, chunks=None, backend_kwargs=backend
            )
        else:
            dataset = xr.open_dataset(url, engine="kerchunk", chunks=None, storage_options=dict(options or {}))
        with dataset:
            values[path] = dataset[name].values
    return values


def read_by_zarr(url: str, paths: Iterable[str], options: Mapping[str, str] | None = None) -> dict[str, NDArray[Any]]:
    """The values of arrays as zarr shows them."""
    filesystem = fsspec.filesystem("reference", fo=url, asynchronous=True, **(options or {}))
    group = zarr.open_group(FsspecStore(filesystem, read_only=True, path=""), mode="r", zarr_format=2)
    arrays = {path: group[path] for path in paths}
    return {path: np.asarray(array[...]) for path, array in arrays.items() if isinstance(array, zarr.Array)}
