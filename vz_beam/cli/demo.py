"""``vz-beam demo``: makes an archive, builds its store, opens it with xarray, and compares every value."""

from __future__ import annotations

import argparse
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fsspec
import h5py
import numpy as np
import xarray as xr
from fsspec.implementations.reference import LazyReferenceMapper
from numpy.typing import NDArray
from zarr.storage import FsspecStore

from vz_beam.cli.build_command import how_to_open
from vz_beam.cli.command import ALL_WELL, FAILED
from vz_beam.cli.demo_archive import write_archive
from vz_beam.combine.sizes import readable_size
from vz_beam.errors import InputError
from vz_beam.transforms.building import build

MARK = ".vz-beam-demo"
"""A file that says that a folder was made by the demo, and may be written into again."""


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo and says what it did; exit code 1 where a value differs."""
    folder = Path(arguments.folder)
    claim_folder(folder)
    start = time.perf_counter()
    files = write_archive(folder / "data")
    nbytes = sum(path.stat().st_size for path in files)
    print(f"made      {len(files)} netCDF-4 files in {folder / 'data'}, {readable_size(nbytes)} ({_since(start)})")

    store, glob = folder / "demo.parquet", folder / "data" / "*.nc"
    start = time.perf_counter()
    summary = build(str(glob), store, concat_dim="time", mode="overwrite", progress=False)
    print(
        f"built     {store}: {summary.references:,} references to chunks that stay where they are, "
        f"{readable_size(summary.stored_nbytes)} ({_since(start)})"
    )
    print(f"          the same again: vz-beam build '{glob}' again.parquet --concat-dim time")

    start = time.perf_counter()
    with open_store(store) as dataset:
        sizes = ", ".join(f"{name}: {size}" for name, size in dataset.sizes.items())
        names = ", ".join(map(str, dataset.variables))
        print(f"opened    it with xarray: {names} over {sizes} ({_since(start)})")
        start = time.perf_counter()
        differing, count = compare(dataset, files)
    if differing:
        print(f"compared  {count:,} values with the files, read by h5py: NOT THE SAME in {', '.join(differing)}")
        return FAILED
    print(f"compared  {count:,} values with the files, read by h5py: all the same ({_since(start)})")
    print(f"to look   pip install {' '.join(summary.packages)}")
    print(f"          python -c 'import xarray as xr; print({how_to_open(str(store))})'")
    return ALL_WELL


def claim_folder(folder: Path) -> None:
    """Makes the folder, or takes one that an earlier demo made.

    Raises:
        InputError: a folder that is not empty and not the demo's.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; the demo needs a folder of its own. Way out: vz-beam demo OTHER_FOLDER")
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / MARK
    if not mark.exists() and any(folder.iterdir()):
        raise InputError(
            f"{folder} holds files that are not the demo's, and is left as it is. Way out: vz-beam demo OTHER_FOLDER"
        )
    mark.touch()


def open_store(store: Path) -> xr.Dataset:
    """The store as xarray opens it: by kerchunk's engine, or by that of zarr where kerchunk is not installed."""
    if find_spec("kerchunk") and find_spec("fastparquet"):
        return xr.open_dataset(str(store), engine="kerchunk")
    references = LazyReferenceMapper(str(store), fs=fsspec.filesystem("file"), engine="pyarrow")
    filesystem = fsspec.filesystem("reference", fo=references, remote_protocol="file", asynchronous=True)
    opened: xr.Dataset = xr.open_zarr(FsspecStore(filesystem, read_only=True), consolidated=False, chunks=None)
    return opened


def compare(dataset: xr.Dataset, files: list[Path]) -> tuple[list[str], int]:
    """Names of variables that differ from the files, and the number of values that were compared."""
    originals = [_read(path) for path in files]
    names = list(originals[0])
    differing = sorted(map(str, dataset.variables.keys() ^ set(names)))
    count = 0
    for name in names:
        parts = [original[name] for original in originals]
        expected = parts[0]
        if name in dataset.variables and "time" in dataset[name].dims:
            expected = np.concatenate(parts)
        elif any(not np.array_equal(part, expected) for part in parts):
            differing.append(name)
        count += expected.size
        if name not in differing and not _same(dataset[name], expected):
            differing.append(name)
    return differing, count


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """All variables of a file, decoded by nothing but h5py and what CF says in its sections 4.4 and 8.1."""
    values = {}
    with h5py.File(path) as file:
        for name, variable in file.items():
            data, attributes = variable[()], variable.attrs
            if "scale_factor" in attributes:
                unpacked = data * attributes["scale_factor"] + attributes["add_offset"]
                data = np.where(data == attributes["_FillValue"], np.nan, unpacked)
            elif " since " in str(attributes.get("units")):
                epoch = np.datetime64(attributes["units"].partition(" since ")[2], "s")
                data = epoch + (data * 86_400).astype("timedelta64[s]")
            values[name] = np.asarray(data)
    return values


def _same(array: xr.DataArray, expected: NDArray[Any]) -> bool:
    values = array.values
    if values.shape != expected.shape:
        return False
    if "scale_factor" not in array.encoding:
        return bool(np.array_equal(values, expected))
    # unpacking rounds; less than half a step of the packing away means the same packed number
    apart = np.abs(values.astype("f8") - expected)
    near = bool(np.nanmax(apart) < array.encoding["scale_factor"] / 2)
    return near and bool(np.array_equal(np.isnan(values), np.isnan(expected)))


def _since(start: float) -> str:
    return f"{time.perf_counter() - start:.1f} s"
