"""Virtual datasets as files would give them, made without files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.layout import Layout
from vz_beam.combine.placing import place_all
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import FailedInput, schema_of
from vz_beam.manifests import ArrayMetadata, ChunkManifest, Codec, ManifestArray
from vz_beam.patterns import Index
from vz_beam.patterns.index import Position


def virtual_variable(
    url: str,
    dims: Sequence[str],
    shape: Sequence[int],
    chunk_shape: Sequence[int],
    *,
    dtype: str = "i2",
    codecs: tuple[Codec, ...] = (),
    fill_value: Any = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Variable:
    """A variable whose chunk ``n`` lies at byte ``100 * n`` of ``url``, 10 bytes of them where it is compressed."""
    metadata = ArrayMetadata(
        tuple(shape), np.dtype(dtype), tuple(chunk_shape), codecs=codecs, fill_value=fill_value, attributes=attrs or {}
    )
    grid_shape = metadata.chunk_grid.grid_shape
    count = metadata.chunk_grid.size
    manifest = ChunkManifest.from_columns(
        (url,),
        np.zeros(grid_shape, np.int32),
        (np.arange(count, dtype=np.uint64) * 100).reshape(grid_shape),
        np.full(grid_shape, 10 if codecs else metadata.chunk_nbytes, np.uint32),
    )
    return xr.Variable(dims, ManifestArray(metadata, manifest), dict(attrs or {}))


def virtual_file(number: int, steps: int = 4, first: float | None = None, **choices: Any) -> xr.Dataset:
    """File ``number`` of a daily series: ``v(time, x)`` in chunks of 2 steps, and a loaded time."""
    url = f"s3://archive/{number:03}.nc"
    start = 4.0 * number if first is None else first
    chunk_steps = choices.pop("chunk_steps", 2)
    dataset = xr.Dataset(
        {"v": virtual_variable(url, ("time", "x"), (steps, 6), (chunk_steps, 3), **choices)},
        coords={"time": ("time", start + np.arange(steps)), "x": ("x", np.arange(6.0))},
    )
    dataset.encoding["source"] = url
    return dataset


def time_index(number: int, size: int = 0) -> Index:
    """The index of file ``number`` along time."""
    return Index((Position("time", "concat", number, size),))


def combine(
    inputs: Sequence[tuple[Index, xr.Dataset | xr.DataTree]], failures: Sequence[FailedInput] = (), **choices: Any
) -> tuple[Layout, dict[ShardKey, Fragment]]:
    """What a pipeline does, in a loop."""
    gathered = SchemaAccumulator()
    for failure in failures:
        gathered.fail(failure)
    for index, dataset in inputs:
        gathered.add(schema_of(index, dataset))
    layout = plan_layout(gathered, CombineChoices(**choices))
    return layout, place_all(layout, inputs)
