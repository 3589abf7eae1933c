from __future__ import annotations

import glob
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vz_beam.storage.glob_match import below, matches, matching

SEGMENTS = st.sampled_from(["a", "b", "ab", ".a"])
PATTERNS = st.sampled_from(["a", "*", "?", "a*", "[ab]", "**", ".*"])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    names = ["a", "b", "ab", ".a"]
    for first in names:
        for second in names:
            (root / f"d{first}" / second).mkdir(parents=True)
            for third in names:
                (root / f"d{first}" / second / third).write_bytes(b"")
    return root


@pytest.mark.parametrize(
    "pattern",
    ["**/a", "d*/*/a", "da/**", "da/**/a", "*/**/[ab]", "**/ab/*", "d?/?/?", "**/.a", "da/**/**/b", "*", "**"],
)
def test_keys_match_where_python_globs_paths(tree: Path, pattern: str) -> None:
    keys = [os.path.relpath(path, tree) for path in tree.rglob("*") if path.is_file()]
    found = glob.glob(pattern, root_dir=tree, recursive=True)
    assert sorted(matching(keys, pattern)) == sorted({name for name in found if (tree / name).is_file()})


@given(st.lists(SEGMENTS, min_size=1, max_size=4), st.lists(SEGMENTS, min_size=1, max_size=4))
def test_a_pattern_without_wildcards_matches_itself_alone(key: list[str], pattern: list[str]) -> None:
    assert matches("/".join(key), "/".join(pattern)) == (key == pattern)


@given(st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=5), st.integers(0, 5), st.integers(0, 5))
def test_two_stars_stand_for_any_number_of_segments(key: list[str], start: int, stop: int) -> None:
    start, stop = sorted((min(start, len(key)), min(stop, len(key))))
    pattern = [*key[:start], "**", *key[stop:]]
    assert matches("/".join(key), "/".join(pattern))


def test_a_zarr_store_is_one_input() -> None:
    keys = [
        "d/1.zarr/zarr.json",
        "d/1.zarr/x/zarr.json",
        "d/1.zarr/x/c/0",
        "d/2.zarr/.zgroup",
        "d/2.zarr/x/0",
        "d/3.nc",
    ]
    assert matching(keys, "d/*.zarr") == ["d/1.zarr", "d/2.zarr"]
    assert below(keys, "d") == ["d/3.nc", "d/1.zarr", "d/2.zarr"]
    assert below(keys, "d/1.zarr") == ["d/1.zarr"]
