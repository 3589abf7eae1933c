from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vz_beam.errors import InputError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.testing.mutated_files import MutatedFiles
from vz_beam.testing.mutations import MutationRun, check_places, main
from vz_beam.testing.sample_files import write_daily_files


@pytest.mark.parametrize(("offset", "length", "fits"), [(90, 10, True), (91, 10, False), (2**64 - 1, 10, False)])
def test_references_over_the_end_of_the_file_are_wrong(offset: int, length: int, fits: bool) -> None:
    metadata = ArrayMetadata(shape=(10,), dtype=np.dtype("u1"), chunk_shape=(10,))
    manifest = ChunkManifest.single((1,), "file:///a.h5", offset, length)
    group = ManifestGroup({"v": ManifestArray(metadata, manifest)}, {}, {})
    check_places(group, "file:///b.h5", 100)
    if fits:
        check_places(group, "file:///a.h5", 100)
        return
    with pytest.raises(AssertionError, match="v: 1 chunks reach over the end"):
        check_places(group, "file:///a.h5", 100)


def test_cases_are_tried_in_every_way(tmp_path: Path) -> None:
    run = MutationRun(HDFParser(), MutatedFiles(write_daily_files(tmp_path, 1), 1))
    cases = [run.files.case(number) for number in range(40)]
    assert {(run.is_remote(case), case.number % len(run.parsers)) for case in cases} == {
        (remote, parser) for remote in (False, True) for parser in (0, 1)
    }
    assert [parser.unsupported for parser in run.parsers if isinstance(parser, HDFParser)] == ["raise", "skip"]


def test_replay_keeps_the_file_of_a_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = write_daily_files(tmp_path / "files", 1)
    files = MutatedFiles([path], 1)
    run = MutationRun(HDFParser(), files)
    target = tmp_path / "case.nc"
    number = next(n for n in range(1000) if opens(run, n, target))
    assert main([str(path.parent), "--replay", str(number), "--to", str(target)]) == 0
    assert target.read_bytes() == files.case(number).data
    assert "ManifestGroup" in capsys.readouterr().out


def opens(run: MutationRun, number: int, path: Path) -> bool:
    case = run.files.case(number)
    path.write_bytes(case.data)
    try:
        run.parse(case, path)
    except Exception:
        return False
    return True


def test_folders_without_files_of_the_format_are_told(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader")
    with pytest.raises(InputError, match="no file of the format hdf5"):
        main([str(tmp_path)])
    with pytest.raises(InputError, match="no parser 'x'"):
        main([str(tmp_path), "--parser", "x"])
