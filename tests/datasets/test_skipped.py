"""Variables that references cannot express: refused by name, or left out and listed, where they matter."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.mixed_files import BAD, write_mixed_file
from vz_beam.errors import InputError, UnsupportedError
from vz_beam.manifests import ManifestGroup
from vz_beam.storage.byte_source import ByteSource


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    return write_mixed_file(tmp_path / "mixed.h5")


def skipping(file: str) -> xr.Dataset:
    return vz_beam.open_virtual_dataset(file, unsupported="skip")


def test_every_variable_is_refused_at_once_with_its_reason_and_the_ways_out(mixed: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        vz_beam.open_virtual_dataset(mixed)
    text = str(caught.value)
    assert text.startswith(f"file://{mixed}: references cannot express 3 variables:\n")
    assert [line.split(":")[0] for line in text.splitlines()[1:4]] == ["  * links", "  * pairs", "  * ragged"]
    assert "REFERENCE" in text
    assert "member 'name' of variable length" in text
    assert "drop_variables=['links', 'pairs', 'ragged']" in text
    assert 'unsupported="skip"' in text


def test_both_ways_out_work(mixed: str) -> None:
    dropped = vz_beam.open_virtual_dataset(mixed, drop_variables=["links", "pairs", "ragged"])
    assert set(dropped.variables) == set(skipping(mixed).variables) == {"time", "t"}
    assert dropped.vz.skipped == {}
    assert set(skipping(mixed).vz.skipped) == set(BAD)
    assert "variable-length" in skipping(mixed).vz.skipped["ragged"]


def test_what_is_dropped_is_not_listed_as_skipped(mixed: str) -> None:
    dataset = vz_beam.open_virtual_dataset(mixed, drop_variables="links", unsupported="skip")
    assert set(dataset.vz.skipped) == {"pairs", "ragged"}


@pytest.mark.parametrize(
    ("of_parser", "given", "refuses"),
    [("raise", None, True), ("raise", "skip", False), ("skip", None, False), ("skip", "raise", True)],
)
def test_the_call_has_the_last_word_and_the_parser_the_first(
    of_parser: str, given: str | None, refuses: bool, mixed: str
) -> None:
    parser = vz_beam.HDFParser(unsupported=of_parser)  # type: ignore[arg-type]
    if refuses:
        with pytest.raises(UnsupportedError, match="3 variables"):
            vz_beam.open_virtual_dataset(mixed, parser=parser, unsupported=given)
    else:
        assert set(vz_beam.open_virtual_dataset(mixed, parser=parser, unsupported=given).vz.skipped) == set(BAD)


def test_what_a_parser_of_another_package_skips_is_refused_unless_asked_for(mixed: str) -> None:
    class Parser:
        def parse(self, source: ByteSource) -> ManifestGroup:
            return ManifestGroup(skipped={"v": "too wild"})

    with pytest.raises(UnsupportedError, match="v: too wild"):
        vz_beam.open_virtual_dataset(mixed, parser=Parser())
    assert vz_beam.open_virtual_dataset(mixed, parser=Parser(), unsupported="skip").vz.skipped == {"v": "too wild"}


def test_an_unknown_choice_is_refused(mixed: str) -> None:
    with pytest.raises(InputError, match=r"unsupported='ignore': it is .raise. or .skip."):
        vz_beam.open_virtual_dataset(mixed, unsupported="ignore")


@pytest.mark.parametrize(
    "step",
    [
        lambda ds: ds.drop_vars("t"),
        lambda ds: ds[["t"]],
        lambda ds: ds.rename(t="temperature").assign_attrs(title="x").drop_attrs(),
        lambda ds: ds.isel(time=slice(None)).expand_dims("member"),
        lambda ds: ds.assign(more=1).assign_coords(other=2).set_coords("t"),
        lambda ds: ds.vz.rename_paths("s3://bucket/file.h5"),
        lambda ds: pickle.loads(pickle.dumps(ds)).copy(),
        lambda ds: xr.DataTree.from_dict({"/": ds}).to_dataset(),
    ],
)
def test_what_was_skipped_stays_known_through_steps_of_xarray(
    step: Callable[[xr.Dataset], xr.Dataset], mixed: str
) -> None:
    assert step(skipping(mixed)).vz.skipped == skipping(mixed).vz.skipped


def test_what_was_skipped_does_not_leak_into_a_store(mixed: str) -> None:
    dropped = vz_beam.open_virtual_dataset(mixed, drop_variables=BAD)
    assert skipping(mixed).vz.to_kerchunk() == dropped.vz.to_kerchunk()
    assert skipping(mixed).attrs == {}


def test_variables_of_other_groups_are_no_problem(mixed: str, tmp_path: Path) -> None:
    with h5py.File(mixed, "a") as file:
        file["clean/v"] = np.arange(2)
    assert set(vz_beam.open_virtual_dataset(mixed, group="clean").variables) == {"v"}
    assert set(vz_beam.open_virtual_datatree(mixed, group="clean").variables) == {"v"}


@pytest.mark.parametrize("name", ["ragged", "below/ragged", "/below/ragged"])
def test_variables_of_a_group_are_dropped_by_name_or_path(name: str, mixed: str) -> None:
    with pytest.raises(UnsupportedError, match=r"(?s)1 variable:.*\* below/ragged: .*\['below/ragged'\]"):
        vz_beam.open_virtual_dataset(mixed, group="below")
    dataset = vz_beam.open_virtual_dataset(mixed, group="/below/", drop_variables=[name])
    assert (set(dataset.variables), dataset.vz.skipped) == ({"good"}, {})


def test_a_path_of_another_group_drops_nothing_here(mixed: str) -> None:
    with pytest.raises(UnsupportedError, match=r"\* ragged:"):
        vz_beam.open_virtual_dataset(mixed, drop_variables=["links", "pairs", "below/ragged"])
    assert "good" in vz_beam.open_virtual_dataset(mixed, group="below", drop_variables=["pairs", "ragged", "/t"])


def test_paths_of_skipped_variables_are_from_the_group_that_is_opened(mixed: str) -> None:
    for parser, group in ((vz_beam.HDFParser(group="below"), None), (None, "below")):
        dataset = vz_beam.open_virtual_dataset(mixed, parser=parser, group=group, unsupported="skip")
        assert list(dataset.vz.skipped) == ["ragged"]


def test_a_tree_lists_the_skipped_variables_of_all_its_groups(mixed: str) -> None:
    with pytest.raises(UnsupportedError, match="4 variables"):
        vz_beam.open_virtual_datatree(mixed)
    tree = vz_beam.open_virtual_datatree(mixed, unsupported="skip")
    assert set(tree.vz.skipped) == {*BAD, "below/ragged"}
    assert set(tree["below"].to_dataset().vz.skipped) == {"ragged"}
    assert pickle.loads(pickle.dumps(tree)).vz.skipped == tree.vz.skipped
    partly = vz_beam.open_virtual_datatree(mixed, unsupported="skip", drop_variables=["pairs", "below/ragged"])
    assert set(partly.vz.skipped) == {"links", "ragged"}
    by_name = vz_beam.open_virtual_datatree(mixed, drop_variables=iter(BAD))
    assert by_name.vz.skipped == {}


def test_loading_a_skipped_variable_says_why_it_cannot_be(mixed: str) -> None:
    with pytest.raises(InputError, match="'ragged' was skipped: values of variable-length arrays"):
        vz_beam.open_virtual_dataset(mixed, loadable_variables=["ragged"], unsupported="skip")


def test_a_group_behind_a_broken_link_says_why_it_cannot_be_opened(mixed: str) -> None:
    with h5py.File(mixed, "a") as file:
        file["away"] = h5py.ExternalLink("gone.h5", "/")
    with pytest.raises(UnsupportedError, match=r"'away' is in its way: .*gone\.h5"):
        vz_beam.open_virtual_dataset(mixed, group="away/inner")
