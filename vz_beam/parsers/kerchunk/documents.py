"""The metadata documents of a store by key, sorted into groups and arrays."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vz_beam.errors import FormatError
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.manifests.zarr_v2_reading import from_v2, separator_v2
from vz_beam.manifests.zarr_v3 import from_v3

DOCUMENTS = (".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json")
"""Names of metadata documents, the last parts of their keys."""


@dataclass(frozen=True, slots=True)
class ArrayDocument:
    """What the store says about one array.

    Args:
        path: of the array.
        version: 2 or 3, of Zarr.
        document: ``.zarray`` or ``zarr.json``.
        attributes: ``.zattrs``; empty for version 3.
    """

    path: str
    version: int
    document: Any
    attributes: Any

    def metadata(self) -> ArrayMetadata:
        """The array's metadata.

        Raises:
            FormatError: a document that no array has.
            UnsupportedError: what cannot be referenced.
        """
        if not isinstance(self.document, Mapping) or not isinstance(self.attributes, Mapping):
            raise FormatError("its metadata is no JSON object")
        if self.version == 2:
            return from_v2(self.document, self.attributes)
        try:
            return from_v3(self.document)
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise FormatError(f"its zarr.json is wrong: {type(error).__name__}: {error}") from error

    def key_encoding(self) -> tuple[str, str]:
        """What stands in a chunk's key before the numbers, after the array's path, and what stands between them.

        Raises:
            FormatError: an encoding that Zarr does not have.
        """
        if self.version == 2:
            return "", separator_v2(self.document)
        encoding = self.document.get("chunk_key_encoding") or {"name": "default"}
        if isinstance(encoding, str):
            encoding = {"name": encoding}
        name = encoding.get("name") if isinstance(encoding, Mapping) else None
        configuration = (encoding.get("configuration") if isinstance(encoding, Mapping) else None) or {}
        default = {"default": "/", "v2": "."}.get(str(name))
        separator = configuration.get("separator", default) if isinstance(configuration, Mapping) else None
        if default is None or separator not in (".", "/"):
            raise FormatError(f"chunk_key_encoding is {encoding!r}, which is neither 'default' nor 'v2'")
        return ("c" + separator if name == "default" else ""), separator


@dataclass(frozen=True, slots=True)
class Documents:
    """Arrays by path in the order of the store, and the attributes of groups by path; ``""`` is the root."""

    arrays: Mapping[str, ArrayDocument]
    groups: Mapping[str, Any]


def is_document(key: str) -> bool:
    """Whether a key names a metadata document.

    >>> is_document("g/.zattrs"), is_document("zarr.json"), is_document("g/v/0.0")
    (True, True, False)
    """
    return key.rpartition("/")[2] in DOCUMENTS


def parsed_document(key: str, value: Any) -> Any:
    """The JSON value of a document, which may be there as it is, as text, or as base64 of a text.

    Raises:
        FormatError: none of those.
    """
    if isinstance(value, str):
        try:
            if value.startswith("base64:"):
                value = base64.b64decode(value[7:], validate=True)
            return json.loads(value)
        except (ValueError, RecursionError, binascii.Error) as error:
            raise FormatError(f"{key!r} is no JSON: {error}") from error
    if isinstance(value, (dict, bytes)):
        return value
    raise FormatError(f"{key!r} is a {type(value).__name__}, and should be JSON")


def sorted_documents(documents: Mapping[str, Any]) -> Documents:
    """The groups and arrays that the documents make; groups that only paths name are there as well.

    Consolidated metadata counts where a document is not there itself.

    Raises:
        FormatError: no document of a group or array, or paths that name no place.
    """
    known = {**_consolidated(documents), **documents}
    arrays: dict[str, ArrayDocument] = {}
    groups: dict[str, Any] = {}
    for key, value in known.items():
        path, _, name = key.rpartition("/")
        if name == "zarr.json":
            if not isinstance(value, Mapping) or value.get("node_type") not in ("array", "group"):
                raise FormatError(f"{key!r} is the document of neither an array nor a group")
            if value["node_type"] == "array":
                arrays[path] = ArrayDocument(path, 3, value, {})
            else:
                groups[path] = value.get("attributes") or {}
        elif name == ".zarray" and f"{path}/zarr.json".lstrip("/") not in known:
            arrays[path] = ArrayDocument(path, 2, value, known.get(f"{path}/.zattrs" if path else ".zattrs", {}))
        elif name == ".zgroup" and f"{path}/zarr.json".lstrip("/") not in known:
            groups[path] = known.get(f"{path}/.zattrs" if path else ".zattrs", {})
    if not arrays and not groups:
        raise FormatError("no array or group is described in it: there is no '.zgroup', '.zarray' or 'zarr.json'")
    if "" in arrays:
        raise FormatError("it is one array without a group, and arrays need names")
    for path in [*arrays, *groups]:
        _check_path(path)
    for parent in _parents([*arrays, *groups]):
        if parent in arrays:
            raise FormatError(f"{parent!r} is an array, and other arrays or groups are below it")
        groups.setdefault(parent, known.get(f"{parent}/.zattrs" if parent else ".zattrs", {}))
    if both := sorted(arrays.keys() & groups.keys()):
        raise FormatError(f"{both[0]!r} is both an array and a group")
    if odd := [path for path, attributes in groups.items() if not isinstance(attributes, Mapping)]:
        raise FormatError(f"the attributes of group {odd[0]!r} are no JSON object")
    return Documents(arrays, dict(sorted(groups.items())))


def _consolidated(documents: Mapping[str, Any]) -> dict[str, Any]:
    """Documents in ``.zmetadata`` of Zarr v2 and in the root's ``zarr.json`` of Zarr v3, by key."""
    found: dict[str, Any] = {}
    for key in (".zmetadata", "zarr.json"):
        document = documents.get(key)
        metadata = document.get("metadata") if isinstance(document, Mapping) and key == ".zmetadata" else None
        if isinstance(document, Mapping) and key == "zarr.json":
            inline = document.get("consolidated_metadata")
            metadata = inline.get("metadata") if isinstance(inline, Mapping) else None
        if isinstance(metadata, Mapping):
            end = "/zarr.json" if key == "zarr.json" else ""
            found.update({f"{path}{end}": value for path, value in metadata.items()})
    return found


def _parents(paths: Iterable[str]) -> dict[str, None]:
    parents: dict[str, None] = {"": None}
    for path in paths:
        while path := path.rpartition("/")[0]:
            if path in parents:
                break
            parents[path] = None
    return parents


def _check_path(path: str) -> None:
    if path and any(part in ("", ".", "..") for part in path.split("/")):
        raise FormatError(f"{path!r} is no path of an array or group")
