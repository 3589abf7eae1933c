"""A store of references as ``vz-beam inspect`` sees it: what it holds, and which files it points at.

Source: https://fsspec.github.io/kerchunk/spec.html, version 1, and "Parquet references".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from vz_beam.cli.described_arrays import DescribedArray, Description, codec_text
from vz_beam.cli.described_file import dtype_text
from vz_beam.combine.sizes import readable_size
from vz_beam.errors import FormatError, InputError
from vz_beam.storage.byte_sink import ByteSink, open_sink
from vz_beam.storage.parquet_tables import table_of
from vz_beam.storage.urls import canonical_url, scheme_of

PARQUET_SUFFIXES = (".parquet", ".parq")


class _Chunks(NamedTuple):
    """What the references of one array are."""

    references: int
    inlined: int
    nbytes: int


def is_store(url: str, storage_options: Mapping[str, Any] | None = None) -> bool:
    """Whether ``url`` is a store of references rather than a file; only names that look like one are looked at."""
    canonical = canonical_url(url).rstrip("/")
    if scheme_of(canonical) in ("http", "https"):
        return False
    suffix = PurePosixPath(canonical).suffix.lower()
    if suffix == ".json":
        return True
    return suffix in PARQUET_SUFFIXES and open_sink(canonical, storage_options).exists(".zmetadata")


def describe_store(url: str, group: str | None = None, storage_options: Mapping[str, Any] | None = None) -> Description:
    """What is in the store at ``url``.

    Raises:
        SourceNotFoundError: nothing there.
        FormatError: not a store of references.
        InputError: a group that it does not have.
    """
    canonical = canonical_url(url).rstrip("/")
    files: dict[str, None] = {}
    if canonical.lower().endswith(".json"):
        format = "kerchunk-json"
        metadata, chunks, stored = _read_json(canonical, storage_options, files)
    else:
        format = "kerchunk-parquet"
        metadata, chunks, stored = _read_parquet(open_sink(canonical, storage_options), files)
    prefix = (group or "").strip("/")
    groups = sorted(key.removesuffix(".zgroup").strip("/") for key in metadata if key.endswith(".zgroup"))
    if prefix not in groups:
        raise InputError(f"{canonical} has no group {group!r}; its groups are {[path for path in groups if path]}")
    paths = [key.removesuffix("/.zarray") for key in metadata if key.endswith("/.zarray")]
    arrays = tuple(
        _described(path, metadata[f"{path}/.zarray"], metadata.get(f"{path}/.zattrs", {}), chunks[path])
        for path in paths
        if not prefix or path.startswith(f"{prefix}/")
    )
    title = {
        "store": canonical,
        "format": format,
        "size": readable_size(stored),
        "groups": ", ".join(path for path in groups if path) or None,
        "attributes": len(metadata.get(f"{prefix}/.zattrs" if prefix else ".zattrs", {})),
        "references into": f"{len(files):,} file{'' if len(files) == 1 else 's'}",
    }
    return Description(title, arrays, tuple(files))


def _described(path: str, zarray: Mapping[str, Any], zattrs: Mapping[str, Any], chunks: _Chunks) -> DescribedArray:
    shape, chunk_shape = tuple(zarray["shape"]), tuple(zarray["chunks"])
    count = math.prod(-(-length // step) for length, step in zip(shape, chunk_shape, strict=True))
    codecs = [codec for codec in (*(zarray.get("filters") or ()), zarray.get("compressor")) if codec]
    dims = tuple(zattrs.get("_ARRAY_DIMENSIONS", ()))
    return DescribedArray(
        path=path,
        dims=dims,
        shape=shape,
        dtype=_dtype_of(zarray),
        chunks=chunk_shape,
        codecs=tuple(codec_text(codec["id"], {k: v for k, v in codec.items() if k != "id"}) for codec in codecs),
        references=chunks.references,
        missing=count - chunks.references - chunks.inlined,
        inlined=chunks.inlined,
        referenced_nbytes=chunks.nbytes,
        kind="virtual" if chunks.references else "stored",
        attributes=len(zattrs.keys() - {"_ARRAY_DIMENSIONS"}),
    )


def _dtype_of(zarray: Mapping[str, Any]) -> str:
    if zarray["dtype"] == "|O":
        return "string"
    dtype: np.dtype[Any] = np.dtype(zarray["dtype"])
    return dtype_text(dtype) if dtype.isnative else str(dtype.newbyteorder("="))


def _read_parquet(store: ByteSink, files: dict[str, None]) -> tuple[dict[str, Any], dict[str, _Chunks], int]:
    data = store.read(".zmetadata")
    metadata = json.loads(data)["metadata"]
    stored = len(data)
    chunks = {}
    for key in metadata:
        if not key.endswith("/.zarray"):
            continue
        path = key.removesuffix("/.zarray")
        counted = []
        for name in store.list(path):
            if PurePosixPath(name).parent.as_posix() == path and name.endswith(".parq"):
                data = store.read(name)
                stored += len(data)
                counted.append(_count_records(data, files))
        chunks[path] = _Chunks(*(sum(column) for column in zip(_Chunks(0, 0, 0), *counted, strict=True)))
    return metadata, chunks, stored


def _count_records(data: bytes, files: dict[str, None]) -> _Chunks:
    records = table_of(data)
    paths = records["path"]
    references = len(paths) - paths.null_count
    files |= dict.fromkeys(pc.unique(paths).drop_null().to_pylist())
    inlined = len(records) - records["raw"].null_count if "raw" in records.column_names else 0
    sizes = pc.sum(pc.if_else(pc.is_valid(paths), records["size"], 0)).as_py() or 0
    return _Chunks(references, inlined, int(sizes))


def _read_json(
    url: str, storage_options: Mapping[str, Any] | None, files: dict[str, None]
) -> tuple[dict[str, Any], dict[str, _Chunks], int]:
    folder, _, name = url.rpartition("/")
    data = open_sink(folder, storage_options).read(name)
    try:
        document = json.loads(data)
        references = document.get("refs", document)
        metadata = {key: _json_value(value) for key, value in references.items() if _is_metadata(key)}
    except (ValueError, AttributeError) as error:
        raise FormatError(
            f"{url} is not a store of references: {error}. Way out: name a store or a data file"
        ) from error
    if ".zgroup" not in metadata:
        raise FormatError(f"{url} is JSON, and holds no Kerchunk references: it has no '.zgroup'")
    chunks = {key.removesuffix("/.zarray"): _Chunks(0, 0, 0) for key in metadata if key.endswith("/.zarray")}
    for key, value in references.items():
        if not _is_metadata(key):
            path = key.rpartition("/")[0]
            chunks[path] = _Chunks(*map(sum, zip(chunks[path], _count_reference(value, files), strict=True)))
    return metadata, chunks, len(data)


def _count_reference(value: Any, files: dict[str, None]) -> _Chunks:
    if not isinstance(value, list):
        return _Chunks(0, 1, 0)
    files[value[0]] = None
    return _Chunks(1, 0, value[2] if len(value) > 1 else 0)


def _json_value(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _is_metadata(key: str) -> bool:
    return key.rpartition("/")[2] in (".zgroup", ".zarray", ".zattrs")


def first_files(files: tuple[str, ...], shown: int = 5) -> Iterator[str]:
    """Lines that name the first files."""
    yield from (f"  {file}" for file in files[:shown])
    if len(files) > shown:
        yield f"  and {len(files) - shown:,} more"
