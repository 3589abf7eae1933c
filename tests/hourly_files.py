"""Small files of a few hours each, their values, and an opener that fails at first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import vz_beam
from vz_beam.errors import TransientSourceError
from vz_beam.transforms import opening


def file_at(folder: Path, number: int, steps: int = 2, **attributes: Any) -> str:
    """A file of ``steps`` hours from ``steps * number`` on."""
    time = np.arange(steps) + steps * number
    values = np.arange(steps * 3.0).reshape(steps, 3) + 100 * number
    air = ("time", "x"), values, {"units": "K", **attributes}
    dataset = xr.Dataset({"air": air}, {"time": ("time", time, {"units": "hours since 2000-01-01"})})
    path = folder / f"f{number:03}.nc"
    encoding: Any = {"air": {"chunksizes": (1, 3), "zlib": True}}
    dataset.to_netcdf(path, unlimited_dims=["time"], encoding=encoding)
    return str(path)


def check(store: Path, files: Sequence[str]) -> None:
    """The store has the values of ``files``, in this order."""
    with xr.open_dataset(store, engine="vz_beam") as ours:
        parts = [xr.open_dataset(file) for file in files]
        theirs = xr.concat(parts, "time")
        xr.testing.assert_equal(ours.load(), theirs.load())
        for part in parts:
            part.close()


def fails_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the first file that a pipeline opens fail in a way that may pass, and be tried again without a wait."""
    real, tries = vz_beam.open_virtual_dataset, []

    def first_fails(*arguments: Any, **options: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise TransientSourceError("time-out")
        return real(*arguments, **options)

    monkeypatch.setattr(opening, "FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(opening, "open_virtual_dataset", first_fails)
