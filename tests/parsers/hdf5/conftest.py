"""Files made by h5py, parsed, and every value compared with what h5py reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import pytest

from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.testing.parser_suite import assert_same_values, stored_values


def parsed(path: Path, **choices: Any) -> ManifestGroup:
    """What the parser makes of ``path``."""
    source = open_source(str(path))
    try:
        return HDFParser(**choices).parse(source)
    finally:
        source.close()


class Hdf5File:
    """A file to be made by h5py and parsed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def write(self, **options: Any) -> Iterator[h5py.File]:
        """The open file, new."""
        with h5py.File(self.path, "w", **options) as file:
            yield file

    def parse(self, **choices: Any) -> ManifestGroup:
        """What the parser makes of it, nothing compared."""
        return parsed(self.path, **choices)

    def checked(self, **choices: Any) -> ManifestGroup:
        """What the parser makes of it, after every array's values were found to be those that h5py reads."""
        group = self.parse(**choices)
        values = stored_values(ManifestStore(group))
        with h5py.File(self.path) as file:
            for name, found in values.items():
                assert_same_values(found, file[name][()], name)
        return group


@pytest.fixture
def hdf5(tmp_path: Path) -> Hdf5File:
    """A file that is not there yet."""
    return Hdf5File(tmp_path / "sample.h5")
