"""Files made by h5py, parsed, and every value compared with what h5py reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import pytest
from obstore.store import MemoryStore

from vz_beam.errors import UnsupportedError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.hdf5 import HDFParser
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.manifest_store import ManifestStore
from vz_beam.testing.parser_suite import assert_same_values, described, stored_values


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


class Folder:
    """A folder of files that name each other, parsed where it is and as objects of a store."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def write(self, name: str, **datasets: Any) -> Path:
        """A file of plain datasets."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(self.path / name, "w") as file:
            for dataset, values in datasets.items():
                file[dataset] = values
        return self.path / name

    def store(self) -> MemoryStore:
        """All files of the folder, in a store with no path of this machine."""
        store = MemoryStore()
        for file in self.path.rglob("*"):
            if file.is_file():
                store.put(f"far/{file.relative_to(self.path)}", file.read_bytes())
        return store

    def remote(self, name: str, **choices: Any) -> ManifestGroup:
        """What the parser makes of the file as an object."""
        source = open_source(f"s3://bucket/far/{name}", registry={"s3://bucket": self.store()})
        try:
            return HDFParser(**choices).parse(source)
        finally:
            source.close()

    def checked(self, name: str, expected: Mapping[str, Any] | None = None, **choices: Any) -> ManifestGroup:
        """What the parser makes of the file here, the same as of the object; values are those of h5py.

        Args:
            name: of the file.
            expected: values by path where h5py does not give them.
            choices: of the parser.
        """
        group = parsed(self.path / name, **choices)
        remote = self.remote(name, **choices)
        assert len(described(remote)) == len(described(group))
        store = ManifestStore(remote, registry={"s3://bucket": self.store()})
        for values in (stored_values(ManifestStore(group)), stored_values(store)):
            with h5py.File(self.path / name) as file:
                for path, found in values.items():
                    want = file[path][()] if expected is None else expected[path]
                    assert_same_values(found, want, path)
            assert expected is None or set(values) == set(expected)
        return group

    def refused(self, name: str, **choices: Any) -> str:
        """The error of a file that is refused, here and as an object."""
        with pytest.raises(UnsupportedError) as remote:
            self.remote(name, **choices)
        with pytest.raises(UnsupportedError) as local:
            parsed(self.path / name, **choices)
        assert str(remote.value).count("\n") == str(local.value).count("\n")
        return str(local.value)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder."""
    return Folder(tmp_path)
