"""Kerchunk stores as tests write them, and their values as fsspec, zarr and xarray show them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.storage import FsspecStore

from vz_beam.datasets.engine import VzBeamBackendEntrypoint
from vz_beam.errors import FormatError, InputError, UnsupportedError
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser
from vz_beam.testing.parser_suite import stored_values
from vz_beam.testing.raw_store import RawStore
from vz_beam.testing.writer_cases import cases
from vz_beam.writers.writer import find_writer, write_store

CASES = cases()
FORMATS = {"json": ".json", "parquet": ".parquet"}
"""Suffixes of stores by the name of their form."""
_TEXTS = "OUT"
"""Kinds of text, of which xarray chooses by the reader."""


def written_store(folder: Path, case: str, form: str) -> tuple[RawStore, str]:
    """A store of one of the writers' cases, and its path."""
    store = RawStore(folder)
    CASES[case](store)
    path = str(folder / f"store{FORMATS[form]}")
    write_store(find_writer(path), path, store.layout, store.shards())
    return store, path


def write_json(path: Path, value: Any) -> str:
    """The path of ``value`` as JSON."""
    path.write_text(json.dumps(value))
    return str(path)


def array_document(
    shape: list[int], chunks: list[int], dtype: str = "<i2", fill_value: Any = None, **others: Any
) -> dict[str, Any]:
    """A ``.zarray`` without codecs."""
    known = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "fill_value": fill_value}
    return {**known, "compressor": None, "filters": None, "order": "C", **others}


def dimensions(*names: str, **attributes: Any) -> dict[str, Any]:
    """A ``.zattrs`` with the names of dimensions."""
    return {**attributes, "_ARRAY_DIMENSIONS": list(names)}


def write_parquet_store(
    folder: Path,
    documents: Mapping[str, Any],
    records: Mapping[str, Mapping[str, list[Any]] | pa.Table],
    record_size: int,
) -> str:
    """The path of a store whose record files have the given columns, by their paths in it."""
    folder.mkdir(parents=True)
    (folder / ".zmetadata").write_text(json.dumps({"metadata": dict(documents), "record_size": record_size}))
    for name, columns in records.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(dict(columns)), file)
    return str(folder)


def open_ours(store: Any, **options: Any) -> xr.Dataset:
    """A store opened by the engine of vz_beam."""
    return xr.open_dataset(store, engine=VzBeamBackendEntrypoint, **options)


def open_theirs(store: Any, group: str | None = None, zarr_format: Literal[2, 3] = 2, **options: Any) -> xr.Dataset:
    """One group of a store as xarray shows it by fsspec's ``reference://``, without us.

    Groups below the root need consolidated metadata in the store: zarr's FsspecStore does not list them.
    """
    zarr_store: Any = _zarr_store(store, options)
    return xr.open_dataset(
        zarr_store, engine="zarr", group=group, zarr_format=zarr_format, chunks=None, consolidated=group is not None
    )


def stored_by_zarr(store: Any, zarr_format: Literal[2, 3] = 2, **options: Any) -> dict[str, NDArray[Any]]:
    """The values of all arrays of a store by path, neither scaled nor masked, by zarr and fsspec."""
    group = zarr.open_group(_zarr_store(store, options), mode="r", zarr_format=zarr_format)
    members = dict(group.members(max_depth=None))
    return {path: _native(array[...]) for path, array in members.items() if isinstance(array, zarr.Array)}


def _native(values: Any) -> NDArray[Any]:
    found: NDArray[Any] = np.asarray(values)
    return found if found.dtype.kind == "T" else found.astype(found.dtype.newbyteorder("="))


def _zarr_store(store: Any, options: Mapping[str, Any]) -> FsspecStore:
    given = {"remote_protocol": "file", **options}
    store = store if isinstance(store, dict) else str(store)
    filesystem = fsspec.filesystem("reference", fo=store, asynchronous=True, skip_instance_cache=True, **given)
    return FsspecStore(filesystem, read_only=True, path="")


def assert_same_dataset(ours: xr.Dataset, theirs: xr.Dataset) -> None:
    """Names, dimensions, types, values and attributes agree."""
    assert set(ours.variables) == set(theirs.variables)
    assert set(ours.coords) == set(theirs.coords)
    for name in theirs.variables:
        assert ours[name].dims == theirs[name].dims, name
        texts = ours[name].dtype.kind in _TEXTS and theirs[name].dtype.kind in _TEXTS
        assert texts or ours[name].dtype == theirs[name].dtype, name
        np.testing.assert_array_equal(ours[name].values, theirs[name].values, err_msg=str(name))
        np.testing.assert_equal(dict(ours[name].attrs), dict(theirs[name].attrs), err_msg=str(name))
    np.testing.assert_equal(ours.attrs, theirs.attrs)


GENERATED: dict[str, Any] = {
    "version": 1,
    "templates": {"u": "s3://bucket/path", "f": "{{c}}.bin"},
    "gen": [
        {
            "key": "v/{{i}}.{{j}}",
            "url": "{{u}}/{{f(c='text')}}_{{i}}",
            "offset": "{{(i + 1) * 1000}}",
            "length": "1000",
            "dimensions": {"i": {"stop": 5}, "j": [0, 1, 2]},
        }
    ],
    "refs": {
        ".zgroup": '{"zarr_format": 2}',
        "v/.zarray": array_document([10, 6], [2, 2]),
        "v/.zattrs": dimensions("x", "y"),
        "w/zarr.json": {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [4],
            "data_type": "int16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "attributes": {},
            "dimension_names": ["z"],
        },
        "w/c/0": ["{{u}}", 0, 4],
        "w/c/1": "base64:AAEAAQ==",
    },
}
"""References by templates and generators, and an array of Zarr v3; no file is there."""

GROUP = {".zgroup": {"zarr_format": 2}}
V = {"v/.zarray": array_document([5, 4], [2, 2]), "v/.zattrs": dimensions("y", "x")}
VALUES = np.arange(24, dtype="<i2").reshape(6, 4)
"""Documents of an array of six chunks, and its values in a file."""


def chunks(url: str, separator: str = ".") -> dict[str, list[Any]]:
    """The references of ``v``, to a file with its six chunks."""
    return {f"v/{n // 2}{separator}{n % 2}": [url, 8 * n, 8] for n in range(6)}


def read_json(path: Any, **words: Any) -> dict[str, Any]:
    """The values of all arrays of a JSON file by path."""
    return stored_values(KerchunkJSONParser(**words)(path))


def json_refusal(path: Any, **words: Any) -> str:
    """The error that a JSON file is refused with, which names the file."""
    with pytest.raises((FormatError, UnsupportedError, InputError)) as refusal:
        KerchunkJSONParser(**words)(path)
    assert Path(path).name in str(refusal.value)
    return str(refusal.value)
