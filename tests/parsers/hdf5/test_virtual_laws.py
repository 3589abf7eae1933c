"""Virtual datasets of any regular mappings read as h5py reads them, or are refused; never otherwise."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.parsers.hdf5.conftest import parsed
from vz_beam.errors import UnsupportedError
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.testing.parser_suite import assert_same_values, stored_values

Axis = tuple[int, int, int, int]
"""Start, stride, count and block of a selection along one axis."""


@st.composite
def axes(draw: st.DrawFn, length: int, wanted: int) -> Axis:
    """A selection of ``wanted`` elements along an axis of ``length``."""
    block = draw(st.sampled_from([size for size in range(1, wanted + 1) if wanted % size == 0]))
    count = wanted // block
    most = (length - block) // (count - 1) if count > 1 else block
    stride = draw(st.integers(block, most)) if count > 1 and most >= block else block
    start = draw(st.integers(0, length - (stride * (count - 1) + block)))
    return start, stride, count, block


@st.composite
def sources(draw: st.DrawFn, shape: tuple[int, int]) -> dict[str, Any]:
    """A source, and a mapping of a part of it into a virtual dataset of ``shape``."""
    own = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    counts = tuple(draw(st.integers(1, min(a, b))) for a, b in zip(shape, own, strict=True))
    chunks = draw(st.none() | st.tuples(st.integers(1, own[0]), st.integers(1, own[1])))
    return {
        "shape": own,
        "dtype": draw(st.sampled_from(["<i4", "<i4", "<i4", ">i4", "<i2"])),
        "chunks": chunks,
        "compression": draw(st.sampled_from([None, "gzip"])) if chunks else None,
        "written": draw(st.sampled_from(["all", "all", "row", "none"])),
        "fill": draw(st.sampled_from([-1, 7])),
        "virtual": tuple(draw(axes(a, n)) for a, n in zip(shape, counts, strict=True)),
        "source": tuple(draw(axes(a, n)) for a, n in zip(own, counts, strict=True)),
    }


def selected(shape: tuple[int, ...], selection: tuple[Axis, ...]) -> h5s.SpaceID:
    space = h5s.create_simple(shape)
    start, stride, count, block = zip(*selection, strict=True)
    space.select_hyperslab(start, count, stride, block)
    return space


def write(folder: Path, shape: tuple[int, int], parts: list[dict[str, Any]]) -> Path:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_fill_value(np.array(-1, "i4"))
    for number, part in enumerate(parts):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            choices = {"chunks": part["chunks"], "compression": part["compression"], "fillvalue": part["fill"]}
            source = file.create_dataset("d", part["shape"], part["dtype"], **choices)
            values = np.arange(source.size).reshape(source.shape) + 100 * number
            if part["written"] == "all":
                source[...] = values
            elif part["written"] == "row":
                source[0] = values[0]
        spaces = selected(shape, part["virtual"]), selected(part["shape"], part["source"])
        plist.set_virtual(spaces[0], b"%d.h5" % number, b"d", spaces[1])
    with h5py.File(folder / "main.h5", "w") as file:
        h5d.create(file.id, b"v", h5t.STD_I32LE, h5s.create_simple(shape), plist)
    return folder / "main.h5"


def read(folder: Path, shape: tuple[int, int], parts: list[dict[str, Any]]) -> np.ndarray:
    """The values, mapping by mapping: where mappings overlap, libhdf5 2.0 does not fill the gaps."""
    values = np.full(shape, -1, "i4")
    for number, part in enumerate(parts):
        with h5py.File(folder / f"{number}.h5") as file:
            rows, columns = (positions(axis) for axis in part["source"])
            values[np.ix_(*map(positions, part["virtual"]))] = file["d"][()][np.ix_(rows, columns)]
    return values


def positions(axis: Axis) -> np.ndarray:
    start, stride, count, block = axis
    return (start + np.arange(count)[:, None] * stride + np.arange(block)).ravel()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), limit=st.sampled_from([2**20, 2**20, 40, 0]))
def test_any_regular_mappings_read_as_they_are_or_are_refused(data: st.DataObject, limit: int) -> None:
    shape = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    parts = data.draw(st.lists(sources(shape), min_size=1, max_size=4))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write(folder, shape, parts)
        try:
            group = parsed(path, inline_limit_bytes=limit)
        except UnsupportedError:
            event("refused")
            assert limit < 2**20
            return
        manifest = group.arrays["v"].manifest
        event(f"references: {bool(manifest.locations)}, inlined: {bool(manifest.inlined)}")
        assert sum(map(len, manifest.inlined.values())) <= limit
        expected = read(folder, shape, parts)
        assert_same_values(stored_values(ManifestStore(group))["v"], expected)
        if len(parts) == 1:
            with h5py.File(path) as file:
                assert_same_values(file["v"][()], expected)
