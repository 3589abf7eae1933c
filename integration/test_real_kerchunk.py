"""All real files of Kerchunk references: entries and values are those of fsspec and zarr, or refused by name."""

from __future__ import annotations

import base64
import gzip
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr
from zarr.errors import UnknownCodecError
from zarr.storage import FsspecStore

from integration.real_data import ROOT
from vz_beam.errors import FormatError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.kerchunk_json import KerchunkJSONParser
from vz_beam.parsers.kerchunk_parquet import KerchunkParquetParser
from vz_beam.parsers.parser import find_parser
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.testing.parser_suite import assert_same_values

FOLDER = ROOT / "kerchunk"
_BASE = "{{base}}"
"""Template of the references made here, for the folder above that of the references."""


def json_files() -> list[Path]:
    """Files that hold one set of references."""
    files = [path for path in sorted(FOLDER.glob("*.json*")) if path.is_file()]
    return [path for path in files if isinstance(_value(path), dict)]


def parquet_stores() -> list[Path]:
    return sorted(path.parent for path in FOLDER.glob("*/.zmetadata"))


def _value(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("path", json_files(), ids=lambda path: path.name)
def test_entries_and_values_of_json_are_those_of_fsspec(path: Path) -> None:
    with closing(open_file_or_folder(path)) as source:
        assert isinstance(find_parser(source), KerchunkJSONParser)
    group = KerchunkJSONParser(fs_root=str(FOLDER), unsupported="skip")(path).group
    value = _value(path)
    overrides = {"base": str(ROOT)} if "base" in value.get("templates", {}) else None
    options = {"fo": value, "template_overrides": overrides, "remote_protocol": "file"}
    if "{{u}}" in json.dumps(value.get("refs", value)) and "u" not in value.get("templates", {}):
        assert any("'u' is not known" in reason for reason in group.skipped.values())
        return
    entries = fsspec.filesystem("reference", skip_instance_cache=True, **options).references
    check(group, {key: entry for key, entry in entries.items() if not _is_document(key)}, options)


@pytest.mark.parametrize("path", parquet_stores(), ids=lambda path: path.name)
def test_entries_and_values_of_parquet_are_those_of_fsspec(path: Path) -> None:
    with closing(open_file_or_folder(path)) as source:
        assert isinstance(find_parser(source), KerchunkParquetParser)
    group = KerchunkParquetParser(fs_root=str(FOLDER), unsupported="skip")(path).group
    options = {"fo": str(path), "remote_protocol": "file"}
    references = fsspec.filesystem("reference", skip_instance_cache=True, **options).references
    entries = {}
    for name, array in arrays_of(group).items():
        for place in np.ndindex(*array.manifest.grid_shape):
            key = f"{name}/" + (".".join(map(str, place)) or "0")
            if key in references:
                entries[key] = references[key]
    check(group, entries, options)


@pytest.mark.skipif(not FOLDER.exists(), reason="no real data")
def test_files_of_other_things_are_refused_by_name() -> None:
    for name in ("kerchunk__subset.json.gz", "kerchunk__kerchunk_index.parquet"):
        parser = KerchunkJSONParser() if ".json" in name else KerchunkParquetParser()
        with pytest.raises(FormatError, match=name):
            parser(FOLDER / name)


def _is_document(key: str) -> bool:
    return key.rpartition("/")[2] in (".zgroup", ".zattrs", ".zarray", ".zmetadata")


def check(group: ManifestGroup, entries: dict[str, Any], options: dict[str, Any]) -> None:
    """Each array has the entries that fsspec has for it, and the values where its files are here."""
    arrays = arrays_of(group)
    known = {key.rpartition("/")[0] for key in entries}
    assert known <= {*arrays, *group.skipped}
    assert arrays
    reading = fsspec.filesystem("reference", skip_instance_cache=True, asynchronous=True, **options)
    theirs: Any = zarr.open_group(FsspecStore(reading, read_only=True, path=""), mode="r", zarr_format=2)
    for name, array in arrays.items():
        ours = array.manifest.dict()
        here = {key.rpartition("/")[2]: entry for key, entry in entries.items() if key.rpartition("/")[0] == name}
        here = {key: entry for key, entry in here.items() if _is_inside(key, array)}
        assert len(ours) == len(here), name
        for key, entry in ours.items():
            _check_entry(entry, here[key if array.ndim else next(iter(here))])
        if _is_here(array):
            assert_same_as(array, theirs, name)


def _is_inside(key: str, array: ManifestArray) -> bool:
    """Whether the chunk is one of the array: files may be written with others, which no reader asks for."""
    return all(int(index) < count for index, count in zip(key.split("."), array.manifest.grid_shape, strict=False))


def _check_entry(ours: Any, theirs: Any) -> None:
    if "data" in ours:
        text = theirs.encode() if isinstance(theirs, str) else theirs
        marked = text.startswith(b"base64:")
        assert ours["data"] == (base64.b64decode(text[7:]) if marked else text)
        return
    assert isinstance(theirs, (list, tuple))
    assert theirs[0].split("/")[-1] == ours["path"].split("/")[-1]
    if len(theirs) > 1:
        assert (ours["offset"], ours["length"]) == (theirs[1], theirs[2])


def assert_same_as(array: ManifestArray, theirs: Any, name: str) -> None:
    try:
        expected = np.asarray(theirs[name][...])
    except UnknownCodecError:  # which is not installed
        return
    try:
        found: Any = zarr.open_group(ManifestStore(ManifestGroup({"v": array})), mode="r")
        values = np.asarray(found["v"][...])
    except UnknownCodecError:  # numcodecs alone knows those that kerchunk brings along
        return
    assert_same_values(values, expected, name)


def _is_here(array: ManifestArray) -> bool:
    return all(
        url.startswith("file://") and Path(url.removeprefix("file://")).exists() for url in array.manifest.locations
    )


def arrays_of(group: ManifestGroup) -> dict[str, ManifestArray]:
    """Arrays by path."""
    return {f"{at}/{name}".strip("/"): array for at, part in group.walk() for name, array in part.arrays.items()}
