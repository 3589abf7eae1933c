from __future__ import annotations

import pickle
import subprocess
import sys

import h5py
import numpy as np
import pytest

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam.errors import InputError, UnsupportedError
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.parsers.parser import Parser, SkippingParser


def write_mixed(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["good"] = np.arange(3)
        file["nothing"] = h5py.Empty("f4")
        file.create_dataset("g/ragged", (2,), dtype=h5py.vlen_dtype("i4"))


def test_all_refusals_are_one_error_with_both_ways_out(hdf5: Hdf5File) -> None:
    write_mixed(hdf5)
    with pytest.raises(UnsupportedError) as caught:
        hdf5.parse()
    text = str(caught.value)
    assert hdf5.path.as_uri() in text
    assert "/nothing: " in text
    assert "/g/ragged: " in text
    assert "drop_variables=['nothing', 'g/ragged']" in text
    assert 'unsupported="skip"' in text
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


def test_skipped_variables_are_recorded_with_their_reasons(hdf5: Hdf5File) -> None:
    write_mixed(hdf5)
    group = hdf5.checked(unsupported="skip")
    assert list(group.arrays) == ["good"]
    assert set(group.skipped) == {"nothing", "g/ragged"}
    assert "variable-length" in group.skipped["g/ragged"]


def test_dropped_variables_are_not_refused(hdf5: Hdf5File) -> None:
    write_mixed(hdf5)
    group = hdf5.checked(drop_variables=["nothing", "ragged"])
    assert (list(group.arrays), group.skipped) == (["good"], {})


def test_a_dropped_variable_may_be_damaged(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["bad"] = np.arange(3)
        file["good"] = np.arange(4)
        address = h5py.h5o.get_info(file["bad"].id).addr
    data = bytearray(hdf5.path.read_bytes())
    data[address] = 99  # the version of its object header
    hdf5.path.write_bytes(data)
    assert list(hdf5.parse(drop_variables=["bad"]).arrays) == ["good"]


@pytest.mark.parametrize(
    "choices", [{"unsupported": "ignore"}, {"inline_limit_bytes": -1}, {"drop_variables": "v"}], ids=str
)
def test_choices_that_cannot_work_are_refused_at_once(choices: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(choices))):
        HDFParser(**choices)  # type: ignore[arg-type]


def test_a_parser_equals_another_of_the_same_choices() -> None:
    assert HDFParser(drop_variables=["a"]) == HDFParser(drop_variables=("a",)) != HDFParser()
    assert isinstance(HDFParser(), Parser)


@pytest.mark.parametrize("start", [0, 512, 1024, 2048, 4096, 8192])
def test_the_signature_is_found_behind_user_blocks(start: int) -> None:
    assert HDFParser().matches(bytes(start) + b"\x89HDF\r\n\x1a\n")


@pytest.mark.parametrize("head", [b"", b"CDF\x01", b"\x89HDF\r\n", bytes(256) + b"\x89HDF\r\n\x1a\n"])
def test_other_heads_do_not_match(head: bytes) -> None:
    assert not HDFParser().matches(head)


def test_a_file_that_this_process_has_open_is_parsed(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["v"] = np.arange(3)
    with h5py.File(hdf5.path) as file:
        assert list(hdf5.parse().arrays) == ["v"]
        assert file["v"][:].tolist() == [0, 1, 2]


def test_the_file_is_closed_when_it_was_parsed_and_when_it_was_refused(hdf5: Hdf5File) -> None:
    write_mixed(hdf5)
    hdf5.parse(unsupported="skip")
    with pytest.raises(UnsupportedError):
        hdf5.parse()
    with h5py.File(hdf5.path, "r+") as file:
        file["more"] = 1


def test_knowing_a_file_by_its_first_bytes_loads_no_library() -> None:
    code = (
        "import sys; from vz_beam.parsers.parser import known_parsers; "
        "assert known_parsers().found['hdf5'].matches(b'\\x89HDF\\r\\n\\x1a\\n'); "
        "print([name for name in ('h5py', 'zarr', 'xarray') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_paths_of_skipped_variables_are_from_the_group_that_was_asked_for(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        for path in ("g/ragged", "g/g/ragged"):
            file.create_dataset(path, (2,), dtype=h5py.vlen_dtype("i4"))
        file["g/g/good"] = np.arange(3)
    assert set(hdf5.parse(unsupported="skip").skipped) == {"g/ragged", "g/g/ragged"}
    for group in ("g", "/g/"):
        assert set(hdf5.parse(unsupported="skip", group=group).skipped) == {"ragged", "g/ragged"}
    assert set(hdf5.parse(unsupported="skip", group="g/g").skipped) == {"ragged"}


def test_a_parser_that_skips_is_otherwise_the_same() -> None:
    parser = HDFParser(group="g", drop_variables=["a"], missing_sources="fill")
    assert isinstance(parser, SkippingParser)
    assert parser.skipping() == HDFParser("g", ["a"], unsupported="skip", missing_sources="fill")
