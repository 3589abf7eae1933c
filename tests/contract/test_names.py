"""Where users of VirtualiZarr import names from, and what they call them with."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

import vz_beam
from vz_beam.manifests import ChunkManifest, ManifestArray, ManifestGroup, ManifestStore
from vz_beam.manifests.utils import create_v3_array_metadata

NAMES = (
    "vz_beam:ManifestStore",
    "vz_beam:open_virtual_dataset",
    "vz_beam:open_virtual_datatree",
    "vz_beam:open_virtual_mfdataset",
    "vz_beam.manifests:ChunkEntry",
    "vz_beam.manifests:ChunkManifest",
    "vz_beam.manifests:ManifestArray",
    "vz_beam.manifests:ManifestGroup",
    "vz_beam.manifests:ManifestStore",
    "vz_beam.manifests.array:ManifestArray",
    "vz_beam.manifests.group:ManifestGroup",
    "vz_beam.manifests.manifest:ChunkEntry",
    "vz_beam.manifests.manifest:ChunkManifest",
    "vz_beam.manifests.manifest:join",
    "vz_beam.manifests.store:ManifestStore",
    "vz_beam.manifests.utils:ceildiv",
    "vz_beam.manifests.utils:copy_and_replace_metadata",
    "vz_beam.manifests.utils:create_v3_array_metadata",
    "vz_beam.manifests.utils:manifest_chunk_shape",
    "vz_beam.parallel:DaskDelayedExecutor",
    "vz_beam.parallel:SerialExecutor",
    "vz_beam.parallel:get_executor",
    "vz_beam.parsers:DMRPPParser",
    "vz_beam.parsers:FITSParser",
    "vz_beam.parsers:GRIBParser",
    "vz_beam.parsers:HDF4Parser",
    "vz_beam.parsers:HDFParser",
    "vz_beam.parsers:IcechunkParser",
    "vz_beam.parsers:NetCDF3Parser",
    "vz_beam.parsers:Parser",
    "vz_beam.parsers:TIFFParser",
    "vz_beam.parsers:ZarrParser",
    "vz_beam.parsers:ZippedZarrParser",
    "vz_beam.parsers.dmrpp:DMRPPParser",
    "vz_beam.parsers.fits:FITSParser",
    "vz_beam.parsers.grib:GRIBParser",
    "vz_beam.parsers.hdf4:HDF4Parser",
    "vz_beam.parsers.hdf:HDFParser",
    "vz_beam.parsers.icechunk:IcechunkParser",
    "vz_beam.parsers.netcdf3:NetCDF3Parser",
    "vz_beam.parsers.tiff:TIFFParser",
    "vz_beam.parsers.typing:Parser",
    "vz_beam.parsers.zarr:ZarrParser",
    "vz_beam.parsers.zipped_zarr:ZippedZarrParser",
    "vz_beam.parsers.typing:ReaderFactory",
    "vz_beam.registry:ObjectStoreRegistry",
    "vz_beam.xarray:open_virtual_dataset",
    "vz_beam.xarray:open_virtual_mfdataset",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_where_it_is_looked_for(name: str) -> None:
    assert pkgutil.resolve_name(name) is not None


@pytest.mark.parametrize("module", sorted({name.partition(":")[0] for name in NAMES}))
def test_a_module_can_be_the_first_to_be_imported(module: str) -> None:
    names = ", ".join(name.partition(":")[2] for name in NAMES if name.startswith(f"{module}:"))
    subprocess.run([sys.executable, "-W", "error", "-c", f"from {module} import {names}"], check=True)


@pytest.mark.parametrize("module", [vz_beam, vz_beam.manifests, vz_beam.parsers])
def test_a_name_that_is_not_there_is_an_attribute_error(module: Any) -> None:
    with pytest.raises(AttributeError, match="NoSuchParser"):
        module.NoSuchParser  # noqa: B018


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (
            vz_beam.open_virtual_dataset,
            ["url", "registry", "parser", "drop_variables", "loadable_variables", "decode_times"],
        ),
        (vz_beam.open_virtual_datatree, ["url", "registry", "parser"]),
        (
            vz_beam.open_virtual_mfdataset,
            [
                *("urls", "registry", "parser", "concat_dim", "compat", "preprocess", "data_vars", "coords", "combine"),
                *("parallel", "join", "attrs_file", "combine_attrs"),
            ],
        ),
        (ChunkManifest, ["entries", "shape", "separator"]),
        (ManifestArray, ["metadata", "chunkmanifest"]),
        (ManifestGroup, ["arrays", "groups", "attributes"]),
        (ManifestStore, ["group"]),
        (vz_beam.HDFParser, ["group", "drop_variables", "reader_factory"]),
        (
            create_v3_array_metadata,
            [
                *("shape", "data_type", "chunk_shape", "chunk_key_encoding", "fill_value", "codecs", "attributes"),
                "dimension_names",
            ],
        ),
    ],
)
def test_arguments_come_in_the_order_that_users_know(function: Any, names: list[str]) -> None:
    assert list(inspect.signature(function).parameters)[: len(names)] == names


def test_executors_are_found_by_word_or_class() -> None:
    from vz_beam.parallel import DaskDelayedExecutor, SerialExecutor, get_executor

    assert get_executor(False) is SerialExecutor
    assert get_executor("dask") is DaskDelayedExecutor
    assert get_executor(parallel=ThreadPoolExecutor) is ThreadPoolExecutor
    for wrong in (True, None, "lithops", "x", int, SerialExecutor()):
        with pytest.raises(ValueError, match=r"parallel=.*Executor"):
            get_executor(wrong)


@pytest.mark.parametrize("word", [False, "dask"])
def test_an_executor_maps_and_submits(word: Any) -> None:
    from vz_beam.parallel import get_executor

    with get_executor(word)() as executor:
        assert isinstance(executor, Executor)
        assert list(executor.map(lambda a, b: a + b, [1, 2, 3], [10, 20])) == [11, 22]
        future = executor.submit(divmod, 7, 2)
        assert isinstance(future, Future)
        assert future.result() == (3, 1)
        assert isinstance(executor.submit(divmod, 7, 0).exception(), ZeroDivisionError)
        assert executor.submit(int, "11", base=2).result() == 3
