from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.parsers.kerchunk.damaged_stores import damaged_store, opened
from tests.parsers.kerchunk.stores import FORMATS, GENERATED, write_json, written_store

ROOT = Path(__file__).parents[3]
NAMES = ("nested groups", "strings", "60 references, middle chunk missing, several record file")


def write_stores(folder: Path) -> list[Path]:
    """Stores of both forms, and one with templates, generators and an array of Zarr v3."""
    stores = []
    for number, name in enumerate(NAMES):
        for form, suffix in FORMATS.items():
            raw = folder / f"raw-{number}-{form}"
            raw.mkdir(parents=True)
            stores.append(Path(written_store(raw, name, form)[1]).rename(folder / f"store-{number}{suffix}"))
    return [*stores, Path(write_json(folder / "generated.json", GENERATED))]


def test_the_stores_are_well_before_they_are_damaged(tmp_path: Path) -> None:
    for path in write_stores(tmp_path):
        for way in range(3):
            assert opened(path, way) is not None


def test_damage_reaches_every_kind_of_file(tmp_path: Path) -> None:
    stores = write_stores(tmp_path / "stores")
    found = set()
    for number in range(60):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, what = damaged_store(stores, folder, number, 7)
        found.add("record file" if what.endswith(".parq") else Path(what).name)
    assert found == {"case.json", ".zmetadata", "record file"}


def test_400_damaged_stores_raise_none_but_our_errors(tmp_path: Path) -> None:
    write_stores(tmp_path)
    # in a process of its own: it forks, which one with threads had better not do
    command = [sys.executable, "-m", "tests.parsers.kerchunk.damaged_stores", str(tmp_path)]
    run = subprocess.run([*command, "--cases", "400", "--seed", "7"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "400 cases of seed 7" in run.stdout
    assert "'opened'" in run.stdout
    assert "'FormatError'" in run.stdout
