"""The laws that every parser keeps, as a class that the tests of a parser inherit."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from vz_beam.codecs import fits_v3, grib_v3, hdf4_v3, hdf5_filter_v3, inflate_v3, lzf_v3, tiff_v3  # noqa: F401  # zarr knows the codecs from then on
from vz_beam.errors import FormatError, VzBeamError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.zarr_v3 import to_v3
from vz_beam.parsers.parser import Parser, find_parser
from vz_beam.storage.block_cache import BLOCK_BYTES
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.storage.request_log import RequestLog

Values = Mapping[str, NDArray[Any]]
"""Values by path, ``"air"`` or ``"group/air"``, as they are stored: neither scaled nor masked."""

_CUTS = 48
"""Cuts of each file: as many as take a second or so, at its start, its end and evenly between."""


@dataclass(frozen=True, slots=True)
class ParserCase:
    """One file.

    Args:
        name: of the case, for the test report.
        write: makes the file in the folder that it is given, and gives its path.
        read: the values of all its variables, by a reader that is not ours.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], Values]


_AROUND_BYTES = 2 * BLOCK_BYTES
"""As much of a chunk as reading ahead of a header beside it, or of the end of the file, may bring along."""


class ParserSuite:
    """Inherit it, and set ``parser`` and ``cases``. One case or more should hold chunks above 256 KiB."""

    parser: ClassVar[Parser]
    cases: ClassVar[Sequence[ParserCase]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each case."""
        if "case" in metafunc.fixturenames:
            cases = list(metafunc.cls.cases)
            metafunc.parametrize("case", cases, ids=[case.name for case in cases])

    @pytest.fixture
    def path(self, case: ParserCase, tmp_path: Path) -> Path:
        """The file of the case."""
        return case.write(tmp_path)

    def test_manifests_point_at_the_values(self, case: ParserCase, path: Path) -> None:
        """Values read by zarr through manifests are those of the other reader."""
        found = stored_values(ManifestStore(self._parsed(path)))
        expected = case.read(path)
        assert set(found) == set(expected)
        for name, values in expected.items():
            assert_same_values(found[name], values, name)

    def test_the_parser_is_found_by_content(self, path: Path, tmp_path: Path) -> None:
        """The first bytes tell the format, whatever the file is called."""
        renamed = tmp_path / "without-a-suffix"
        renamed.write_bytes(path.read_bytes())
        source = open_source(str(renamed))
        assert type(find_parser(source)) is type(self.parser)
        source.close()

    def test_a_file_cut_anywhere_is_refused_or_reads_the_same(
        self, case: ParserCase, path: Path, tmp_path: Path
    ) -> None:
        """A short file raises one of our errors, or has the same values; never other errors, never other values."""
        data, expected = path.read_bytes(), case.read(path)
        for stop in _cuts(len(data)):
            # The same name, since it may say the format.
            folder = tmp_path / f"cut-{stop}"
            folder.mkdir()
            cut = folder / path.name
            cut.write_bytes(data[:stop])
            refusal = ""
            try:
                found = stored_values(ManifestStore(self._parsed(cut)))
            except VzBeamError as error:
                refusal = str(pickle.loads(pickle.dumps(error)))
            if refusal:
                assert cut.name in refusal, f"cut at {stop}: the error does not name the file: {refusal}"
                continue
            assert set(found) == set(expected), f"cut at {stop}: other variables"
            for name, values in expected.items():
                assert_same_values(found[name], values, f"{name}, cut at {stop}")

    def test_an_empty_file_is_refused(self, tmp_path: Path) -> None:
        """No bytes are no file of any format."""
        empty = tmp_path / f"empty{(self.parser.suffixes or ('',))[0]}"
        empty.touch()
        with pytest.raises(FormatError, match="empty"):
            self._parsed(empty)

    def test_a_file_of_another_format_is_refused(self, tmp_path: Path) -> None:
        """Text is no file of this format, whatever it is called."""
        other = tmp_path / f"other{(self.parser.suffixes or ('',))[0]}"
        other.write_text("Dear reader, this is a letter.\n" * 100)
        with pytest.raises(FormatError, match="other"):
            self._parsed(other)

    def test_parser_and_result_survive_pickle(self, path: Path) -> None:
        """Both cross between workers."""
        group = self._parsed(path)
        assert described(pickle.loads(pickle.dumps(group))) == described(group)
        copy = pickle.loads(pickle.dumps(self.parser))
        source = open_source(str(path))
        assert described(copy.parse(source)) == described(group)
        source.close()

    def test_chunk_data_is_never_read(self, path: Path) -> None:
        """No request reaches further into a chunk than reading ahead of what is beside it."""
        log = RequestLog(open_source(str(path)))
        group = self.parser.parse(log)
        log.close()
        for start, stop in _chunk_interiors(group):
            for asked_start, asked_stop in log.requests:
                assert asked_stop <= start or stop <= asked_start, f"bytes {asked_start} to {asked_stop} were read"

    def test_bytes_of_a_source_and_a_local_path_give_the_same(self, path: Path) -> None:
        """What the operating system opens, and what only ``read`` gives, are parsed alike."""
        log = RequestLog(open_source(str(path)))
        group = self.parser.parse(log)
        log.close()
        assert described(group) == described(self._parsed(path))

    def test_parsing_twice_gives_the_same(self, path: Path) -> None:
        """Nothing is left over from one time to the next."""
        assert described(self._parsed(path)) == described(self._parsed(path))

    def test_the_parser_is_called_as_virtualizarr_calls_parsers(self, path: Path) -> None:
        """``parser(url, registry)`` gives a Zarr store."""
        store = self.parser(str(path), None)  # type: ignore[operator]  # the call is no part of the protocol
        assert isinstance(store, ManifestStore)
        assert described(store.group) == described(self._parsed(path))

    def _parsed(self, path: Path) -> ManifestGroup:
        source = open_source(str(path))
        try:
            return self.parser.parse(source)
        finally:
            source.close()


def stored_values(store: ManifestStore) -> dict[str, NDArray[Any]]:
    """The values of every array of ``store`` by path, read by zarr."""
    root = zarr.open_group(store, mode="r")
    arrays = dict(root.members(max_depth=None))
    return {path: np.asarray(array[...]) for path, array in arrays.items() if isinstance(array, zarr.Array)}


def assert_same_values(found: NDArray[Any], expected: NDArray[Any], where: str = "") -> None:
    """Shape and every value agree, NaN with NaN, and the types as far as values have them; strings by their text."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape, f"{where}: shape {found.shape}, expected {expected.shape}"
    if expected.dtype.kind in "OUT" or found.dtype.kind in "OUT":
        assert [_text(item) for item in found.ravel()] == [_text(item) for item in expected.ravel()], where
        return
    native = expected.dtype.newbyteorder("=")
    if native.names is None:
        assert found.dtype == native, f"{where}: type {found.dtype}, expected {native}"
    if native.kind in "fc":
        assert np.array_equal(found, expected, equal_nan=True), f"{where}: values differ"
    elif native.names is not None:
        for name in native.names:
            assert_same_values(
                np.ascontiguousarray(found[name]), np.ascontiguousarray(expected[name]), f"{where}.{name}"
            )
    else:
        assert found.tobytes() == expected.astype(native).tobytes(), f"{where}: values differ"


def described(group: ManifestGroup) -> dict[str, Any]:
    """All that a group says, in a form that compares: documents, attributes, every chunk's place."""
    result: dict[str, Any] = {}
    for path, part in group.walk():
        result[f"{path}/"] = (json.dumps(part.attributes), dict(part.skipped))
        for name, array in part.arrays.items():
            document = {**to_v3(array.metadata), "raw_attributes": dict(array.metadata.attributes)}
            result[f"{path}/{name}"] = (json.dumps(document, default=str), array.manifest.dict())
    return result


def _cuts(size: int) -> list[int]:
    edges = [1, 2, 7, 8, 9, 15, 16, 47, 48, 95, 96, 97, 511, 512, size - 1, size - 2, size - 8, size - 100]
    even = np.linspace(0, size - 1, max(_CUTS - len(edges), 2)).astype(int).tolist()
    return sorted({stop for stop in (*edges, *even) if 0 <= stop < size})


def _chunk_interiors(group: ManifestGroup) -> Iterator[tuple[int, int]]:
    """The bytes of each referenced chunk that lie further from its ends than is read ahead."""
    for _, part in group.walk():
        for array in part.arrays.values():
            for entry in array.manifest.dict().values():
                start, stop = entry["offset"] + _AROUND_BYTES, entry["offset"] + entry["length"] - _AROUND_BYTES
                if "data" not in entry and start < stop:
                    yield start, stop


def _text(item: Any) -> str:
    return item.decode() if isinstance(item, bytes) else str(item)
