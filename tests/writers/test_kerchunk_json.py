import json
from pathlib import Path

import numpy as np
import pytest

from vz_beam.combine.layout import ArrayLayout, Layout
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.testing.kerchunk_writer_suite import KerchunkWriterSuite
from vz_beam.testing.raw_store import RawStore
from vz_beam.testing.writer_suite import CASES
from vz_beam.writers.dataset_references import kerchunk_dict
from vz_beam.writers.kerchunk_json import MAX_REFERENCES, WRITER
from vz_beam.writers.writer import WriteTarget, write_store


class TestKerchunkJSON(KerchunkWriterSuite):
    writer = WRITER
    suffix = ".json"


@pytest.mark.parametrize("case", ["scalars", "nested groups", "strings", "inlined chunk and loaded coordinate"])
def test_the_file_says_what_the_dict_in_memory_says(tmp_path: Path, case: str) -> None:
    store = RawStore(tmp_path)
    CASES[case](store)
    url = tmp_path / "store.json"
    write_store(WRITER, url, store.layout, store.shards())
    assert json.loads(url.read_text()) == kerchunk_dict(store.layout, store.fragments)


def test_keys_are_sorted_and_a_scalar_has_key_0(tmp_path: Path) -> None:
    store = RawStore(tmp_path)
    store.add("crs", np.array(7, "i4"), (), ())
    store.add("v 1", np.arange(24, dtype="i2"), (2,), ("x",))
    store.add("v", np.arange(24, dtype="i2"), (2,), ("x",))
    write_store(WRITER, tmp_path / "store.json", store.layout, store.shards())
    document = json.loads((tmp_path / "store.json").read_text())
    assert document["version"] == 1
    assert list(document["refs"]) == sorted(document["refs"])
    assert document["refs"]["crs/0"] == [f"file://{tmp_path}/crs {{{{0}}}}.bin", 8, 4]
    assert [key for key in document["refs"] if key.startswith("v/1")] == ["v/1", "v/10", "v/11"]


def test_a_store_of_too_many_chunks_is_refused_and_parquet_is_named(tmp_path: Path) -> None:
    metadata = ArrayMetadata((MAX_REFERENCES + 1,), np.dtype("i2"), (1,), dimension_names=("x",))
    with pytest.raises(UnsupportedError, match=r"2,000,001 chunks .*\.parquet"):
        WRITER.begin(WriteTarget(str(tmp_path / "store.json")), Layout({"v": ArrayLayout(metadata)}, {}))
