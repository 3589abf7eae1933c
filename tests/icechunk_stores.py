"""Icechunk repositories in memory, whose references may lie in one local folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import xarray as xr


def new_repository(folder: Path | None, storage: icechunk.Storage | None = None) -> icechunk.Repository:
    """A repository with a container of that folder, or without any; in memory unless ``storage`` is given."""
    config = icechunk.RepositoryConfig.default()
    access: Any = None
    if folder is not None:
        prefix = f"file://{folder}/"
        container = icechunk.VirtualChunkContainer(prefix, icechunk.local_filesystem_store(str(folder)))
        config.set_virtual_chunk_container(container)
        access = access_to([prefix])
    return icechunk.Repository.create(
        storage or icechunk.in_memory_storage(), config, authorize_virtual_chunk_access=access
    )


def access_to(prefixes: Iterable[str]) -> Any:
    """What opens containers of local files. 1.x knows nothing but None, of which 2.x says that it will go."""
    local = getattr(icechunk.credentials, "LocalFileSystemAccess", None)
    if local is None:
        return icechunk.containers_credentials(dict.fromkeys(prefixes))
    return dict.fromkeys(prefixes, local)


def write(repository: icechunk.Repository, data: xr.Dataset | xr.DataTree, **choices: Any) -> None:
    """Write and commit."""
    session = repository.writable_session("main")
    data.vz.to_icechunk(session.store, **choices)
    session.commit("written")


def read(repository: icechunk.Repository, **choices: Any) -> xr.Dataset:
    """The store as xarray shows it."""
    store = repository.readonly_session("main").store
    dataset: xr.Dataset = xr.open_zarr(store, consolidated=False, chunks=None, **choices)
    return dataset


def assert_same(ours: xr.Dataset, expected: xr.Dataset | Mapping[str, xr.Variable]) -> None:
    """Names, dimensions, types and values are the same."""
    assert set(map(str, ours.variables)) == set(map(str, getattr(expected, "variables", expected)))
    for name, variable in getattr(expected, "variables", expected).items():
        assert ours[name].dims == variable.dims, name
        if variable.dtype.kind in "OTU":  # texts, for which zarr has a type of its own
            assert ours[name].values.tolist() == variable.values.tolist(), name
            continue
        assert ours[name].dtype == variable.dtype, name
        np.testing.assert_array_equal(ours[name].values, variable.values, err_msg=str(name))
