from __future__ import annotations

from typing import Self

import h5py
import netCDF4
import numpy as np
import pytest

from tests.parsers.hdf5.conftest import Folder
from vz_beam.errors import SourceNotFoundError, TransientSourceError, UnsupportedError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.storage.byte_source import ByteSource, open_source
from vz_beam.storage.request_log import RequestLog


def link(folder: Folder, **targets: tuple[str, str]) -> None:
    """``main.h5`` with a dataset of its own and links of these names to (file, path)."""
    with h5py.File(folder / "main.h5", "w") as file:
        file["own"] = np.arange(3)
        for name, (other, path) in targets.items():
            file[name.replace("__", "/")] = h5py.ExternalLink(other, path)


def paths(group: ManifestGroup) -> list[str]:
    return sorted(f"{path}/{name}".strip("/") for path, part in group.walk() for name in part.arrays)


def test_datasets_and_groups_of_other_files_appear_under_the_names_of_the_links(folder: Folder) -> None:
    folder.write("sub/other.h5", v=np.arange(4.0), **{"g/w": np.arange(5), "g/h/x": np.arange(6)})
    link(folder, a=("sub/other.h5", "/v"), b=("sub/other.h5", "g"), g__c=("sub/other.h5", "/"))
    group = folder.checked("main.h5")
    assert paths(group) == ["a", "b/h/x", "b/w", "g/c/g/h/x", "g/c/g/w", "g/c/v", "own"]
    assert group.arrays["a"].manifest.locations == (f"file://{folder.path}/sub/other.h5",)


def test_soft_links_lead_through_links_into_other_files(folder: Folder) -> None:
    folder.write("other.h5", **{"g/h/x": np.arange(6)})
    link(folder, away=("other.h5", "/g"))
    with h5py.File(folder / "main.h5", "a") as file:
        file["soft"] = h5py.SoftLink("/away/h/x")
        file["again"] = h5py.SoftLink("soft")
        file["all"] = h5py.SoftLink("away")
    assert paths(folder.checked("main.h5")) == ["again", "all/h/x", "away/h/x", "own", "soft"]


def test_links_lead_on_from_one_file_to_the_next(folder: Folder) -> None:
    folder.write("c/c.h5", v=np.arange(7))
    folder.write("b/b.h5", own=1)
    with h5py.File(folder / "b/b.h5", "a") as file:
        file["on"] = h5py.ExternalLink("../c/c.h5", "/v")
        file["g/all"] = h5py.ExternalLink("../c/c.h5", "/")
    link(folder, a=("b/b.h5", "/on"), b=("b/b.h5", "/g/all/v"), c=("b/b.h5", "/g"))
    assert paths(folder.checked("main.h5")) == ["a", "b", "c/all/v", "own"]


def test_a_remote_file_is_never_taken_for_the_one_that_it_links_to(folder: Folder) -> None:
    folder.write("other.h5", own=np.arange(9) * 10)
    link(folder, a=("other.h5", "/own"), gone=("nowhere.h5", "/own"))
    with h5py.File(folder / "main.h5", "a") as file:
        file["soft"] = h5py.SoftLink("/a")
        file["lost"] = h5py.SoftLink("/gone")
    group = folder.checked("main.h5", unsupported="skip")
    assert (paths(group), sorted(group.skipped)) == (["a", "own", "soft"], ["gone", "lost"])


def test_targets_that_are_not_there_are_refused_together_by_name(folder: Folder) -> None:
    folder.write("other.h5", v=np.arange(4))
    (folder / "text.h5").write_text("Dear reader")
    (folder / "cut.h5").write_bytes((folder / "other.h5").read_bytes()[:600])
    names = {"nofile": ("gone.h5", "/v"), "nopath": ("other.h5", "/w"), "deep__text": ("text.h5", "/v")}
    link(folder, **names, short=("cut.h5", "/v"), good=("other.h5", "/v"))
    text = folder.refused("main.h5")
    assert "cannot express 4 variables" in text
    assert "/nofile: it is a link into another file ('/v' in 'gone.h5'), which cannot be read: " in text
    assert "/nopath: it is a link into another file ('/w' in 'other.h5'), and leads nowhere" in text
    assert "/deep/text: it is" in text
    assert paths(folder.checked("main.h5", unsupported="skip")) == ["good", "own"]


def test_what_cannot_be_expressed_in_another_file_has_the_name_that_it_has_here(folder: Folder) -> None:
    with h5py.File(folder / "other.h5", "w") as file:
        file["g/good"] = np.arange(3)
        file.create_dataset("g/ragged", (2,), dtype=h5py.vlen_dtype("i4"))
        file["g/gone"] = h5py.SoftLink("/nowhere")
    link(folder, a__b=("other.h5", "/g"))
    group = folder.checked("main.h5", unsupported="skip")
    assert (paths(group), sorted(group.skipped)) == (["a/b/good", "own"], ["a/b/gone", "a/b/ragged"])
    assert paths(folder.checked("main.h5", drop_variables=["a/b/ragged", "gone"])) == ["a/b/good", "own"]
    (folder / "other.h5").unlink()
    assert paths(folder.checked("main.h5", drop_variables=["a/b"])) == ["own"]


def test_circles_of_files_end(folder: Folder) -> None:
    folder.write("other.h5", v=np.arange(4))
    link(folder, g__there=("other.h5", "/"), round=("other.h5", "/loop"))
    with h5py.File(folder / "other.h5", "a") as file:
        file["back"] = h5py.ExternalLink("main.h5", "/g")
        file["home"] = h5py.ExternalLink("main.h5", "/")
        file["loop"] = h5py.ExternalLink("main.h5", "/round")
    group = folder.checked("main.h5", unsupported="skip")
    assert paths(group) == ["g/there/v", "own"]
    assert "links into other files follow each other" in group.skipped["round"]


def test_a_group_in_another_file_can_be_taken_alone(folder: Folder) -> None:
    folder.write("b.h5", **{"g/h/x": np.arange(6), "g/y": np.arange(3)})
    with h5py.File(folder / "b.h5", "a") as file:
        file["loop"] = h5py.ExternalLink("b.h5", "/loop")
    link(folder, away=("b.h5", "/g"), lost=("gone.h5", "/"), loop=("b.h5", "/loop"))
    for group in (HDFParser(group="/away/h").parse(source(folder)), folder.remote("main.h5", group="/away/h")):
        assert paths(group) == ["x"]
    with pytest.raises(SourceNotFoundError, match=r"'lost' lies in another file.*gone\.h5"):
        HDFParser(group="lost").parse(source(folder))
    with pytest.raises(UnsupportedError, match="round in a circle"):
        HDFParser(group="loop").parse(source(folder))


def test_dimensions_are_those_of_the_other_file(folder: Folder) -> None:
    with netCDF4.Dataset(folder / "other.nc", "w") as file:
        file.createDimension("x", 4)
        file.createDimension("own_x", 5)
        file.createVariable("v", "i4", ("x", "own_x"))[:] = 1
        file.createVariable("x", "i4", ("x",))[:] = range(4)
    with netCDF4.Dataset(folder / "main.nc", "w") as file:
        file.createDimension("own_x", 3)
        file.createVariable("own", "i4", ("own_x",))[:] = 2
    with h5py.File(folder / "main.nc", "a") as file:
        file["v"] = h5py.ExternalLink("other.nc", "/v")
        file["g"] = h5py.ExternalLink("other.nc", "/")
    group = folder.checked("main.nc", unsupported="raise")
    # own_x has another length here, and dimensions are inherited by groups
    assert group.arrays["v"].metadata.dimension_names == ("x", "phony_dim_1")
    assert group.groups["g"].arrays["v"].metadata.dimension_names == ("x", "phony_dim_0")
    assert group.groups["g"].arrays["x"].metadata.dimension_names == ("x",)


def test_dimensions_without_names_get_numbers_that_no_other_has(folder: Folder) -> None:
    folder.write("other.h5", v=np.zeros((4, 6)), w=np.zeros(6))
    link(folder, g=("other.h5", "/"), v=("other.h5", "/v"))
    with h5py.File(folder / "main.h5", "a") as file:
        file["sub/deep"] = np.zeros(8)
    group = folder.checked("main.h5")
    names = {}
    for path, part in group.walk():
        for name, array in part.arrays.items():
            names[f"{path}/{name}".strip("/")] = array.metadata.dimension_names or ()
    assert names["g/w"] == names["g/v"][1:]
    distinct = {*names["own"], *names["sub/deep"], *names["v"], *names["g/v"]}
    assert len(distinct) == 6


def test_virtual_datasets_find_their_sources_from_the_file_that_holds_them(folder: Folder) -> None:
    folder.write("sub/source.h5", d=np.arange(4, dtype="i4"))
    layout = h5py.VirtualLayout((4,), "i4")
    layout[:] = h5py.VirtualSource("source.h5", "d", (4,), "i4")
    with h5py.File(folder / "sub/virtual.h5", "w") as file:
        file.create_virtual_dataset("v", layout, fillvalue=-1)
        file["s"] = h5py.ExternalLink("source.h5", "/d")
    link(folder, v=("sub/virtual.h5", "/v"))
    layout = h5py.VirtualLayout((2, 4), "i4")
    layout[0] = h5py.VirtualSource("sub/virtual.h5", "v", (4,), "i4")
    layout[1] = h5py.VirtualSource("sub/virtual.h5", "s", (4,), "i4")
    with h5py.File(folder / "main.h5", "a") as file:
        file.create_virtual_dataset("w", layout, fillvalue=-1)
    group = folder.checked("main.h5", inline_limit_bytes=0)
    assert {group.arrays[name].manifest.locations for name in ("v", "w")} == {(f"file://{folder.path}/sub/source.h5",)}


def test_each_other_file_is_opened_once_for_all_links_and_closed(folder: Folder) -> None:
    folder.write("other.h5", **{f"v{number}": np.arange(4) for number in range(9)})
    link(folder, **{f"g{number % 3}__v{number}": ("other.h5", f"/v{number}") for number in range(9)})
    log = RequestLog(open_source(str(folder / "main.h5")))
    assert len(paths(HDFParser().parse(log))) == 10
    (other,) = log.siblings
    with pytest.raises(Exception, match="was closed"):
        other.read(0, 1)


def test_a_failure_that_may_pass_is_no_reason_to_leave_a_variable_out(folder: Folder) -> None:
    folder.write("other.h5", v=np.arange(4))
    link(folder, v=("other.h5", "/v"))

    class Failing(RequestLog):
        def sibling(self, name: str) -> Self:
            raise TransientSourceError(f"{name}: status 503. This may pass: try again")

    with pytest.raises(TransientSourceError, match="503"):
        HDFParser(unsupported="skip").parse(Failing(source(folder)))


def source(folder: Folder) -> ByteSource:
    return open_source(str(folder / "main.h5"))
