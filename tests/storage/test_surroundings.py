from __future__ import annotations

import os
from pathlib import Path

import pytest

from vz_beam.errors import ExternalFileError
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.surroundings import Surroundings


@pytest.mark.parametrize(
    ("of", "url", "is_there"),
    [
        ("file:///data/a.h5", "file:///data/b/c.h5", True),
        ("file:///data/a.h5", "file:///database/c.h5", False),
        ("file:///data/store.parquet/", "file:///data/c.h5", True),
        ("file:///a.h5", "file:///etc/passwd", True),
        ("file:///data/a.h5", "memory://data/c.h5", False),
        ("file:///data/a.h5", "https://host/data/c.h5", False),
        ("s3://bucket/x/a.h5", "s3://bucket/y/c.h5", True),
        ("s3://bucket/x/a.h5", "gs://bucket/x/c.h5", False),
        ("s3://bucket/x/a.h5", "s3://bucket2/x/c.h5", False),
        ("https://Host/x/a.h5", "http://host/y/c.h5", True),
        ("https://host/x/a.h5", "https://host:8080/y/c.h5", False),
        ("https://host/x/a.h5", "https://host.evil.org/y/c.h5", False),
        ("memory://x/a.h5", "memory://y/c.h5", True),
        ("memory://x/a.h5", "file:///x/c.h5", False),
        ("simplecache::s3://bucket/a.h5", "s3://bucket/c.h5", True),
        ("zip://a.h5::file:///data/a.zip", "file:///etc/passwd", False),
        ("zip://a.h5::file:///data/a.zip", "zip://b.h5::file:///data/a.zip", True),
        ("s3://bucket/a.h5", "zip://b.h5::file:///data/a.zip", False),
    ],
)
def test_a_file_has_its_folder_or_its_host_around_it(of: str, url: str, is_there: bool) -> None:
    assert Surroundings(of).has(url) is is_there
    if not is_there:
        with pytest.raises(ExternalFileError, match="neither below its folder nor on its host"):
            Surroundings(of).check(url)


def test_what_lies_beside_the_file_that_a_link_leads_to_is_around_the_link(tmp_path: Path) -> None:
    real, links = tmp_path / "real", tmp_path / "links"
    real.mkdir()
    links.mkdir()
    (real / "a.h5").write_bytes(b"a")
    (real / "raw.bin").write_bytes(b"raw")
    (tmp_path / "secret").write_bytes(b"secret")
    os.symlink(real / "a.h5", links / "a.h5")
    around = Surroundings(f"file://{links}/a.h5")
    source = open_source(links / "a.h5", surroundings=around)
    beside = source.sibling("raw.bin")
    assert beside.read(0, 3) == b"raw"
    beside.close()
    for name in ("../secret", str(tmp_path / "secret")):
        with pytest.raises(ExternalFileError, match=r"refers to file://.*/secret, which is neither"):
            source.sibling(name)
    with pytest.raises(ExternalFileError):
        source.other((tmp_path / "secret").as_uri())
    source.close()


def test_signatures_do_not_show_in_the_refusal() -> None:
    with pytest.raises(ExternalFileError) as raised:
        Surroundings("file:///a/b.json").check("https://host/c.h5?X-Amz-Signature=canary")
    assert "canary" not in str(raised.value)
