from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vz_beam import plugins
from vz_beam.plugins import find_plugins

MODULES = {
    "shop/__init__.py": "",
    "shop/bread.py": "PARSER = 'bread parser'",
    "shop/cheese/__init__.py": "PARSER = 'cheese parser'",
    "shop/counter.py": "NOTHING = 0",
    "shop/wine.py": "import no_such_library\nPARSER = 'wine parser'",
    "elsewhere.py": "TEA = 'tea parser'\nBREAD = 'other bread'",
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in MODULES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        EntryPoint("tea", "elsewhere:TEA", "shop"),
        EntryPoint("bread", "elsewhere:BREAD", "shop"),
        EntryPoint("milk", "elsewhere:MILK", "shop"),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point for point in points if point.group == group])
    find_plugins.cache_clear()
    yield
    find_plugins.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] in ("shop", "elsewhere")]:
        del sys.modules[name]


@pytest.mark.usefixtures("shop")
def test_modules_folders_and_entry_points_are_found() -> None:
    found = find_plugins("shop", "PARSER", "shop").found
    assert found == {"bread": "bread parser", "cheese": "cheese parser", "tea": "tea parser"}


@pytest.mark.usefixtures("shop")
def test_plugins_that_do_not_load_are_noted_and_leave_the_others_alone() -> None:
    failed = find_plugins("shop", "PARSER", "shop").failed
    assert set(failed) == {"wine", "milk"}
    assert "no_such_library" in failed["wine"]
    assert "MILK" in failed["milk"]


def test_the_parsers_of_vz_beam_are_found() -> None:
    found = find_plugins("vz_beam.parsers", "PARSER", "vz_beam.parsers")
    assert "hdf5" in found.found
    assert found.failed == {}


def test_what_was_found_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        find_plugins("vz_beam.parsers", "PARSER", "vz_beam.parsers").found["x"] = 1  # type: ignore[index]
