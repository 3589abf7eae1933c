"""Icechunk repositories have the values that icechunk reads, or a reason why they have none."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr

import vz_beam
from tests.icechunk_stores import access_to
from vz_beam.errors import FormatError, InputError, UnsupportedError, VzBeamError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.icechunk import IcechunkParser
from vz_beam.parsers.parser import find_parser
from vz_beam.storage.byte_sink import open_sink
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.manifest_store import ManifestStore

VERSION_2 = Path(__file__).with_name("version_2")
NAMES = ("g/virtual", "native", "scalar", "large")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, icechunk.Repository, str]:
    """A repository of two commits, the tag ``first`` on the first one; its folder, and the id of the first commit."""
    folder = tmp_path_factory.mktemp("icechunk")
    data = folder / "data"
    data.mkdir()
    np.arange(400, dtype="<i4").tofile(data / "one file.bin")
    config = icechunk.RepositoryConfig.default()
    config.inline_chunk_threshold_bytes = 100
    config.set_virtual_chunk_container(
        icechunk.VirtualChunkContainer(f"{data.as_uri()}/", icechunk.local_filesystem_store(str(data)))
    )
    split = icechunk.ManifestSplittingConfig.from_dict(
        {icechunk.ManifestSplitCondition.AnyArray(): {icechunk.ManifestSplitDimCondition.Any(): 7}}
    )
    config.manifest = icechunk.ManifestConfig(splitting=split)
    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(str(folder / "repo.icechunk")), config=config)
    session = repo.writable_session("main")
    root: Any = zarr.open_group(session.store, mode="a", attributes={"title": "two commits"})
    virtual = root.create_array(
        "g/virtual",
        shape=(10, 40),
        chunks=(1, 10),
        dtype="i4",
        compressors=None,
        fill_value=9,
        dimension_names=("t", "z"),
    )
    virtual[3, :10] = np.arange(10)
    specs = [
        icechunk.VirtualChunkSpec([row, 1 + row % 3], f"{data.as_uri()}/one file.bin", offset=40 * row, length=40)
        for row in range(10)
    ]
    session.store.set_virtual_refs("g/virtual", specs)
    native = root.create_array("native", shape=(50, 60), chunks=(20, 20), dtype="f8", dimension_names=("y", "x"))
    native[:30] = np.random.default_rng(1).random((30, 60))
    native.attrs["units"] = "K"
    root.create_array("scalar", shape=(), dtype="f4")[...] = 1.5
    root.create_array("large", shape=(300, 300), chunks=(300, 300), dtype="i4")[:] = 7
    first = session.commit("first")
    repo.create_tag("first", first)
    session = repo.writable_session("main")
    root = zarr.open_group(session.store, mode="a")
    root["native"][:] = 1.0
    root["g/virtual"].resize((6, 40))
    session.commit("second")
    repo.create_branch("side", first)
    authorized = access_to([f"{data.as_uri()}/"])
    return folder, icechunk.Repository.open(repo.storage, authorize_virtual_chunk_access=authorized), first


def parse(folder: Path, **words: Any) -> ManifestGroup:
    return IcechunkParser(**words).parse(open_file_or_folder(folder))


def values(store: Any) -> dict[str, Any]:
    root: Any = zarr.open_group(store, mode="r")
    return {name: root[name][...] for name in NAMES}


@pytest.mark.parametrize("words", [{}, {"branch": "side"}, {"tag": "first"}, {"snapshot_id": "first"}])
def test_every_kind_of_chunk_of_every_kind_of_version(
    words: dict[str, str], repository: tuple[Path, icechunk.Repository, str]
) -> None:
    folder, repo, first = repository
    if "snapshot_id" in words:
        words = {"snapshot_id": first}
    group = parse(folder / "repo.icechunk", **words)
    session = repo.readonly_session(**(words or {"branch": "main"}))  # type: ignore[arg-type]
    expected = values(session.store)
    for name, found in values(ManifestStore(group)).items():
        np.testing.assert_array_equal(found, expected[name], name)
    assert group.attributes == {"title": "two commits"}
    virtual = group.groups["g"].arrays["virtual"]
    assert virtual.manifest.nrefs == (7 if not words else 11)
    assert len(virtual.manifest.inlined) == 1
    assert len(virtual.manifest.locations) == 1
    assert group.arrays["native"].metadata.attributes == {"units": "K"}
    assert group.arrays["native"].metadata.dimension_names == ("y", "x")


def test_it_is_found_by_content_and_xarray_opens_it(
    repository: tuple[Path, icechunk.Repository, str], tmp_path: Path
) -> None:
    folder, repo, _ = repository
    source = open_file_or_folder(folder / "repo.icechunk")
    assert find_parser(source).name == "icechunk"
    found = vz_beam.open_virtual_datatree(folder / "repo.icechunk")
    assert found["native"].data.manifest.nrefs == 9
    with xr.open_dataset(str(folder / "repo.icechunk"), engine="vz_beam", group="g") as ours:
        expected = xr.open_zarr(repo.readonly_session("main").store, group="g", consolidated=False)
        np.testing.assert_array_equal(ours["virtual"].values, expected["virtual"].values)


def test_groups_names_and_pickles(repository: tuple[Path, icechunk.Repository, str]) -> None:
    folder = repository[0] / "repo.icechunk"
    assert list(parse(folder, group="g").arrays) == ["virtual"]
    assert sorted(parse(folder, drop_variables=["native"], skip_variables=["g"]).arrays) == ["large", "scalar"]
    parser = IcechunkParser(tag="first", reader_options={"storage_options": {"secret": "canary"}})
    assert b"canary" not in pickle.dumps(parser)
    assert pickle.loads(pickle.dumps(parser)) == parser
    assert isinstance(IcechunkParser()(folder), ManifestStore)


def test_what_is_not_there_is_refused_by_name(repository: tuple[Path, icechunk.Repository, str]) -> None:
    folder = repository[0] / "repo.icechunk"
    for words, message in (
        ({"branch": "trunk"}, "no branch 'trunk'"),
        ({"tag": "last"}, "no tag 'last'"),
        ({"snapshot_id": "abc"}, "20 digits"),
        ({"group": "h"}, "'?h'?"),
    ):
        with pytest.raises(InputError, match=message):
            parse(folder, **words)
    with pytest.raises(InputError, match="branch and tag"):
        IcechunkParser(branch="a", tag="b")
    with pytest.raises(FormatError, match="is a file"):
        IcechunkParser().parse(open_file_or_folder(__file__))


def test_version_2_with_compressed_locations() -> None:
    for words, expected in (({}, 4.5), ({"tag": "first"}, 3.5), ({"branch": "main"}, 4.5)):
        group = parse(VERSION_2, **words)
        manifest = group.groups["group"].arrays["x"].manifest
        names = [f"s3://an-archive/daily/observations-{row:06d}.nc" for row in range(2000)]
        assert [manifest.locations[number] for number in manifest.location_ids.tolist()] == names
        np.testing.assert_array_equal(manifest.offsets, 100 + np.arange(2000))
        assert (manifest.lengths == 8).all()
        root: Any = zarr.open_group(ManifestStore(group), mode="r")
        assert root["small"][...] == expected
    with pytest.raises(InputError, match="no tag 'second'; there are: 'first'"):
        parse(VERSION_2, tag="second")


def test_objects_elsewhere() -> None:
    sink = open_sink("memory://icechunk-parser")
    for file in VERSION_2.rglob("*"):
        if file.is_file():
            sink.write(f"a.icechunk/{file.relative_to(VERSION_2)}", file.read_bytes())
    group = IcechunkParser().parse(open_file_or_folder("memory://icechunk-parser/a.icechunk"))
    assert group.groups["group"].arrays["x"].manifest.nrefs == 2000
    assert group.arrays["small"].manifest.nrefs == 1
    sink.delete("a.icechunk")


def test_damage_is_one_of_our_errors_that_names_the_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    refused = 0
    unnamed = []
    for file in sorted(file for file in VERSION_2.rglob("*") if file.is_file()):
        whole = file.read_bytes()
        name = str(file.relative_to(VERSION_2))
        for number in range(40):
            data = bytearray(whole[: len(whole) * number // 40] if number % 2 else whole)
            for place in random.integers(0, len(whole), 1 + number // 4):
                if place < len(data):
                    data[place] = random.integers(0, 256)
            folder = tmp_path / f"{file.name}-{number}"
            shutil.copytree(VERSION_2, folder)
            (folder / name).write_bytes(data)
            try:
                parse(folder)
            except VzBeamError as error:
                refused += 1
                unnamed += [] if folder.name in str(error) or name in str(error) else [str(error)]
    assert unnamed == []
    assert refused > 100


def test_a_lost_manifest_is_the_matter_of_its_arrays(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(VERSION_2, folder)
    (folder / "manifests/6R94S076W6JWTAFY2JDG").write_bytes(b"nothing")
    with pytest.raises(UnsupportedError, match=r"group/x: .*6R94S076W6JWTAFY2JDG is no file of Icechunk"):
        parse(folder)
    group = parse(folder, unsupported="skip")
    assert list(group.skipped) == ["group/x"]
    (folder / "manifests/6R94S076W6JWTAFY2JDG").unlink()
    with pytest.raises(UnsupportedError, match=r"group/x: .*6R94S076W6JWTAFY2JDG is not there"):
        parse(folder)
