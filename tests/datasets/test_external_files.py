"""Files that a file names elsewhere are read only where that was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest
import xarray as xr
from obstore.store import LocalStore

import vz_beam
from vz_beam.cli import main
from vz_beam.errors import ExternalFileError, UnsupportedError, VzBeamError


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of inputs, and one beside it, with ``other.h5`` and ``raw.bin``, that nobody asked for."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    with h5py.File(outside / "other.h5", "w") as file:
        file.create_dataset("v", data=np.arange(6.0), chunks=(3,))
    np.arange(6.0).tofile(outside / "raw.bin")
    return inside, outside


def linked(inside: Path, outside: Path) -> None:
    with h5py.File(inside / "in.h5", "w") as file:
        file["v"] = h5py.ExternalLink("../outside/other.h5", "/v")


def linked_by_path(inside: Path, outside: Path) -> None:
    with h5py.File(inside / "in.h5", "w") as file:
        file["v"] = h5py.ExternalLink(str(outside / "other.h5"), "/v")


def raw(inside: Path, outside: Path) -> None:
    with h5py.File(inside / "in.h5", "w") as file:
        file.create_dataset("v", (6,), "f8", external=[(str(outside / "raw.bin"), 0, 48)])


def virtual(inside: Path, outside: Path) -> None:
    layout = h5py.VirtualLayout((6,), "f8")
    layout[:] = h5py.VirtualSource(str(outside / "other.h5"), "v", (6,))
    with h5py.File(inside / "in.h5", "w") as file:
        file.create_virtual_dataset("v", layout, fillvalue=-1)


@pytest.mark.parametrize("write", [linked, linked_by_path, raw, virtual])
def test_hdf5_files_lead_out_of_their_folder_only_where_it_is_allowed(
    folders: tuple[Path, Path], write: Callable[[Path, Path], None]
) -> None:
    inside, outside = folders
    write(inside, outside)
    path = inside / "in.h5"
    with pytest.raises(VzBeamError, match=r"/outside/(other.h5|raw.bin), which is neither.* allow_external=True"):
        vz_beam.open_virtual_dataset(path)
    with pytest.raises(VzBeamError, match="allow_external=True"):
        xr.open_dataset(path, engine="vz_beam")
    skipped = vz_beam.open_virtual_dataset(path, unsupported="skip")
    assert not skipped.variables
    assert "allow_external=True" in skipped.vz.skipped["v"]
    ours = vz_beam.open_virtual_dataset(path, allow_external=True, loadable_variables=["v"])
    np.testing.assert_array_equal(ours["v"].values, np.arange(6.0))
    with xr.open_dataset(path, engine="vz_beam", allow_external=True) as read:
        np.testing.assert_array_equal(read["v"].values, np.arange(6.0))


def test_a_registry_allows_what_its_stores_serve(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    linked(inside, outside)
    registry = {"file:///": LocalStore()}
    ours = vz_beam.open_virtual_dataset(inside / "in.h5", registry=registry, loadable_variables=["v"])
    np.testing.assert_array_equal(ours["v"].values, np.arange(6.0))
    with pytest.raises(VzBeamError, match="no store for"):
        vz_beam.open_virtual_dataset(inside / "in.h5", registry={f"file://{inside}": LocalStore(str(inside))})


def references_to(place: str, **entries: object) -> str:
    array = {"zarr_format": 2, "shape": [6], "chunks": [6], "dtype": "<f8", "fill_value": None, "order": "C"}
    refs = {
        ".zgroup": {"zarr_format": 2},
        "v/.zarray": {**array, "compressor": None, "filters": None},
        "v/.zattrs": {"_ARRAY_DIMENSIONS": ["v"]},
        "v/0": [place, 0, 48],
        **entries,
    }
    return json.dumps({"version": 1, "refs": refs})


def test_references_may_point_anywhere_and_their_values_are_not_loaded_unasked(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    path = inside / "in.json"
    path.write_text(references_to(f"file://{outside}/raw.bin"))
    with pytest.raises(ExternalFileError, match=r"in.json refers to file://.*/outside/raw.bin"):
        vz_beam.open_virtual_dataset(path)
    places = vz_beam.open_virtual_dataset(path, loadable_variables=[])
    assert places["v"].data.manifest.locations == (f"file://{outside}/raw.bin",)
    ours = vz_beam.open_virtual_dataset(path, allow_external=True)
    np.testing.assert_array_equal(ours["v"].values, np.arange(6.0))
    with xr.open_dataset(path, engine="vz_beam") as read:  # whoever reads values through references asks for them
        np.testing.assert_array_equal(read["v"].values, np.arange(6.0))


def test_remote_references_never_read_local_files(folders: tuple[Path, Path]) -> None:
    _, outside = folders
    fsspec.filesystem("memory").pipe_file("/hostile/in.json", references_to(f"file://{outside}/raw.bin").encode())
    with pytest.raises(ExternalFileError, match="neither below its folder nor on its host"):
        vz_beam.open_virtual_dataset("simplecache::memory://hostile/in.json")


def test_dmrpp_documents_load_no_values_from_elsewhere(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    (inside / "in.dmrpp").write_text(
        f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<Dataset xmlns="http://xml.opendap.org/ns/DAP/4.0#" xmlns:dmrpp="http://xml.opendap.org/dap/dmrpp/1.0.0#"
    dapVersion="4.0" dmrVersion="1.0" name="raw.bin" dmrpp:href="file://{outside}/raw.bin">
    <Dimension name="v" size="6"/>
    <Float64 name="v"><Dim name="/v"/>
        <dmrpp:chunks byteOrder="LE"><dmrpp:chunk offset="0" nBytes="48"/></dmrpp:chunks>
    </Float64>
</Dataset>"""
    )
    with pytest.raises(ExternalFileError, match=r"in.dmrpp refers to file://.*/outside/raw.bin"):
        vz_beam.open_virtual_dataset(inside / "in.dmrpp")
    ours = vz_beam.open_virtual_dataset(inside / "in.dmrpp", allow_external=True)
    np.testing.assert_array_equal(ours["v"].values, np.arange(6.0))


def test_build_and_commands_say_and_take_the_choice(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    inside, outside = folders
    linked(inside, outside)
    path, store = str(inside / "in.h5"), str(inside / "out.parquet")
    with pytest.raises(UnsupportedError, match="allow_external=True"):
        vz_beam.build([path], store, progress=False)
    vz_beam.build([path], store, allow_external=True, progress=False)
    with xr.open_dataset(store, engine="vz_beam") as read:
        np.testing.assert_array_equal(read["v"].values, np.arange(6.0))
    assert main(["verify", store]) == 0
    capsys.readouterr()
    assert main(["build", path, store, "--mode", "overwrite", "--no-progress"]) == 1
    assert "Way out: --allow-external, for files that you trust" in capsys.readouterr().err
    assert main(["build", path, store, "--mode", "overwrite", "--no-progress", "--allow-external"]) == 0
    capsys.readouterr()
    assert main(["inspect", path]) == 0
    assert "--allow-external, for files" in capsys.readouterr().out
    assert main(["inspect", path, "--allow-external"]) == 0
    assert "float64" in capsys.readouterr().out
    assert main(["convert", path, str(inside / "out.json")]) == 1
    assert main(["convert", path, str(inside / "out.json"), "--allow-external"]) == 0
