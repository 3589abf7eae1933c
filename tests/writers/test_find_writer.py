import pytest

from vz_beam.errors import InputError
from vz_beam.writers.writer import WriteTarget, find_writer


@pytest.mark.parametrize(
    ("url", "format", "words"),
    [
        ("store.nc", None, r"'\.nc' names no format.*kerchunk-parquet \(\.parquet \.parq\)"),
        ("store", None, "names no format"),
        ("store.json", "csv", r"'csv' is not known.*kerchunk-json \(\.json\)"),
    ],
)
def test_an_unknown_format_is_refused_and_the_known_ones_are_listed(url: str, format: str | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        find_writer(url, format)


def test_a_format_that_is_named_goes_before_the_suffix() -> None:
    assert find_writer("store.json", "kerchunk-parquet").name == "kerchunk-parquet"


@pytest.mark.parametrize(("url", "mode"), [("", "create"), ("store.json", "grow"), ("store.json", "w")])
def test_a_target_without_a_name_or_with_an_unknown_mode_is_refused(url: str, mode: str) -> None:
    with pytest.raises(InputError):
        WriteTarget(url, mode)
