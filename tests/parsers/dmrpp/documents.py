"""DMR++ documents of HDF5 files, as Hyrax writes them: the places are those that libhdf5 tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import h5py
import numpy as np

_KINDS = {"i": "Int", "u": "UInt", "f": "Float"}
HEAD = (
    '<?xml version="1.0" encoding="ISO-8859-1"?>\n<Dataset xmlns="http://xml.opendap.org/ns/DAP/4.0#" '
    'xmlns:dmrpp="http://xml.opendap.org/dap/dmrpp/1.0.0#" dapVersion="4.0" dmrVersion="1.0" name="data" '
)


def document(body: str, href: str = "data/of/a/server.h5") -> str:
    """A document with ``body`` in its root."""
    return f'{HEAD}dmrpp:href="{href}">\n{body}\n</Dataset>\n'


def describe(path: Path, **words: str) -> Path:
    """Writes the document of an HDF5 file beside it; ``words`` are more for each element ``chunks``."""
    with h5py.File(path) as file:
        body = _group(file, words)
    beside = path.with_name(f"{path.name}.dmrpp")
    beside.write_text(document(body))
    return beside


def _group(group: Any, words: dict[str, str]) -> str:
    parts = [_attributes(group)]
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            parts.append(f"<Group name={quoteattr(name)}>{_group(item, words)}</Group>")
        else:
            parts.append(_variable(name, item, words))
    return "\n".join(parts)


def kind_of(dtype: np.dtype[Any]) -> str:
    """The type's name in DAP4."""
    return f"{_KINDS[dtype.kind]}{8 * dtype.itemsize}"


def _attributes(item: Any) -> str:
    texts = []
    for name, value in item.attrs.items():
        kind = "String" if isinstance(value, str) else kind_of(np.asarray(value).dtype)
        values = "".join(f"<Value>{each}</Value>" for each in np.atleast_1d(value))
        texts.append(f'<Attribute name={quoteattr(name)} type="{kind}">{values}</Attribute>')
    return "".join(texts)


def _variable(name: str, dataset: Any, words: dict[str, str]) -> str:
    dims = "".join(f'<Dim size="{length}"/>' for length in dataset.shape)
    words = {"fillValue": str(dataset.fillvalue), **words}
    words["byteOrder"] = "BE" if dataset.dtype.byteorder == ">" else "LE"
    filters = [("shuffle", dataset.shuffle), ("deflate", dataset.compression), ("fletcher32", dataset.fletcher32)]
    if used := " ".join(word for word, is_used in filters if is_used):
        words["compressionType"] = used
    parts = ""
    if dataset.chunks is None:
        parts = f'<dmrpp:chunk offset="{dataset.id.get_offset()}" nBytes="{dataset.id.get_storage_size()}"/>'
    else:
        sizes = " ".join(map(str, dataset.chunks))
        parts = f"<dmrpp:chunkDimensionSizes>{sizes}</dmrpp:chunkDimensionSizes>"
        for number in range(dataset.id.get_num_chunks()):
            info = dataset.id.get_chunk_info(number)
            position = ",".join(map(str, info.chunk_offset))
            parts += (
                f'<dmrpp:chunk offset="{info.byte_offset}" nBytes="{info.size}" chunkPositionInArray="[{position}]"/>\n'
            )
    said = " ".join(f"{key}={quoteattr(value)}" for key, value in words.items())
    kind = kind_of(dataset.dtype)
    places = f"<dmrpp:chunks {said}>{parts}</dmrpp:chunks>"
    return f"<{kind} name={quoteattr(name)}>{dims}{_attributes(dataset)}{places}</{kind}>"
