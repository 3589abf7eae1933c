"""All real DMR++ documents: every variable has the values that h5py reads of its file, or is refused by name."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from integration.real_data import ROOT, series
from vz_beam import open_virtual_mfdataset
from vz_beam.errors import SourceNotFoundError, VzBeamError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.dmrpp import DMRPPParser
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.source_pool import SourcePool

_HDF5 = b"\x89HDF\r\n\x1a\n"
_NEVER_FILLED = "chunks_fill_not_write"
"""A variable whose file says that its fill value is never written: h5py shows zeros, and no document says so."""
_STALE = "bes__FletcherShuffle.nc4.dmrpp"
"""A document of an older version of its file."""
_VLEN = "bes__vlen_dim.h5.dmrpp"
"""Sequences of variable length, of which a server has made an array: h5py has no such values."""


def pairs() -> list[tuple[str, str]]:
    """(document, file) of each pair; no file where none is there."""
    table = ROOT / "dmrpp" / "PAIRS.tsv"
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return [(row["dmrpp"], row["data"]) for row in csv.DictReader(file, delimiter="\t")]


def arrays_of(group: ManifestGroup, prefix: str = "") -> Iterator[tuple[str, ManifestArray]]:
    """Every array by its path."""
    for name, array in group.arrays.items():
        yield prefix + name, array
    for name, member in group.groups.items():
        yield from arrays_of(member, f"{prefix}{name}/")


@pytest.mark.parametrize(("document", "data"), pairs())
def test_a_document_has_the_values_of_its_file(document: str, data: str) -> None:
    if data == "-" or not (ROOT / data).read_bytes().startswith(_HDF5):
        pytest.skip("no HDF5 file beside it")
    group = DMRPPParser(unsupported="skip", data_url=str(ROOT / data)).parse(open_source(str(ROOT / document)))
    compared = 0
    with h5py.File(ROOT / data) as file, SourcePool() as pool:
        for path, array in arrays_of(group):
            expected = _expected(file, path, array.metadata.dtype.kind == "T")
            if expected is None or path.rpartition("/")[2] == _NEVER_FILLED:
                continue
            if document.endswith(_STALE):
                with pytest.raises(VzBeamError):
                    read_values({path: array}, pool)
                continue
            values = read_values({path: array}, pool)[path]
            np.testing.assert_array_equal(values, expected, err_msg=path)
            compared += 1
    assert compared or group.skipped or document.endswith((_STALE, _VLEN)) or not list(arrays_of(group))


def _expected(file: Any, path: str, is_text: bool) -> Any:
    parent, _, name = path.rpartition("/")
    hidden = f"{parent}/_nc4_non_coord_{name}".lstrip("/")
    place = hidden if hidden in file else path
    if place not in file or not isinstance(file[place], h5py.Dataset):
        return None
    values = file[place][()]
    if file[place].dtype.kind == "S" and is_text:
        return np.vectorize(bytes.decode)(values)
    if file[place].dtype.kind == "O":
        return np.vectorize(lambda text: text.decode("utf-8", "replace"))(values) if is_text else None
    return values


@pytest.mark.parametrize("document", [document for document, data in pairs() if data == "-"])
def test_a_document_without_its_file_is_parsed_or_says_which_file_is_absent(document: str) -> None:
    source = open_source(str(ROOT / document))
    with suppress(SourceNotFoundError):
        DMRPPParser(unsupported="skip").parse(source)
    group = DMRPPParser(unsupported="skip", data_url="s3://elsewhere/file.h5").parse(source)
    for _, array in arrays_of(group):
        assert array.manifest.grid_shape == array.metadata.chunk_grid.grid_shape
    assert list(arrays_of(group)) or group.skipped or group.groups


def test_the_monthly_merra_2_documents_are_one_dataset() -> None:
    documents = series("merra2_monthly_dmrpp")
    if not documents:
        pytest.skip("the real data are not there")
    choices: Any = {
        "loadable_variables": [],
        "drop_variables": ["time"],
        "parser": DMRPPParser(unsupported="skip"),
        "combine": "nested",
        "concat_dim": "time",
    }
    joined = open_virtual_mfdataset(documents, compat="override", coords="minimal", data_vars="minimal", **choices)
    assert joined.sizes["time"] == 2
    located = {Path(url).name for name in joined.data_vars for url in joined[name].data.manifest.locations}
    assert {"MERRA2_400.tavgM_2d_slv_Nx.201606.nc4", "MERRA2_400.tavgM_2d_slv_Nx.201607.nc4"} <= located


@pytest.mark.parametrize("path", sorted((ROOT / "broken").glob("*.dmrpp")), ids=lambda path: path.name)
def test_a_broken_document_is_refused_by_name(path: Path) -> None:
    with pytest.raises(VzBeamError, match=path.name):
        DMRPPParser().parse(open_source(str(path)))
