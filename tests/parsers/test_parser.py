from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from vz_beam.errors import FormatError, SourceNotFoundError
from vz_beam.parsers import parser as parsers
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.parsers.parser import Parser, find_parser
from vz_beam.plugins import Plugins
from vz_beam.storage.byte_source import open_source


def found(path: Path) -> Parser:
    source = open_source(str(path))
    try:
        return find_parser(source)
    finally:
        source.close()


@pytest.mark.parametrize("userblock", [0, 512, 4096])
def test_content_tells_the_format_whatever_the_name(tmp_path: Path, userblock: int) -> None:
    path = tmp_path / "data.bin"
    with h5py.File(path, "w", userblock_size=userblock) as file:
        file["v"] = 1
    assert found(path) == HDFParser()


def test_the_name_tells_where_content_does_not(tmp_path: Path) -> None:
    path = tmp_path / "behind a large user block.NC4"
    path.write_bytes(bytes(20_000))
    assert found(path) == HDFParser()


def test_an_unknown_file_is_refused_with_its_first_bytes_and_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear reader,\x00\xff")
    with pytest.raises(
        FormatError, match=r"letter\.txt: no parser knows.*44 65 61 72.*Dear reader,\.\..*hdf5.*parser="
    ):
        found(path)


def test_formats_that_cannot_be_used_here_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.grib"
    path.write_bytes(b"GRIB")
    monkeypatch.setattr(parsers, "known_parsers", lambda: Plugins({}, {"grib": "No module named 'eccodes'"}))
    with pytest.raises(FormatError, match=r"grib cannot be used here \(No module named 'eccodes'\)"):
        found(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.nc"
    path.touch()
    with pytest.raises(FormatError, match=r"empty\.nc is empty"):
        found(path)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"missing\.nc"):
        HDFParser()(str(tmp_path / "missing.nc"))
