"""What parsers of one file have in common: their arguments, the call of VirtualiZarr's parsers, pickling."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from vz_beam import storage
from vz_beam.errors import InputError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.parser import CallableParser
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import open_file_or_folder

if TYPE_CHECKING:
    from vz_beam.storage.manifest_store import ManifestStore

_OPTIONS = "storage_options"
_NAMES = ("skip_variables", "drop_variables")


@dataclass(frozen=True, slots=True)
class FileParser(CallableParser):
    """The arguments of a parser.

    Args:
        group: path of the group to take, with all below it; ``None`` is the whole file.
        skip_variables: names or paths of variables and groups to leave out, where a file has them; VirtualiZarr's word.
        reader_options: ``{"storage_options": ...}`` for the file, where the parser opens it itself because it is
            called with a URL. They are not pickled.
        drop_variables: as ``skip_variables``.
        unsupported: ``"raise"`` one error that names every variable that cannot be expressed, or ``"skip"``
            them and list them in ``ManifestGroup.skipped``.
    """

    group: str | None = None
    skip_variables: Sequence[str] | None = None
    reader_options: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    drop_variables: Sequence[str] | None = None
    unsupported: Literal["raise", "skip"] = "raise"

    def __post_init__(self) -> None:
        if self.unsupported not in ("raise", "skip"):
            raise InputError(f'unsupported={self.unsupported!r}: it is "raise" or "skip"')
        for name in _NAMES:
            value = getattr(self, name)
            if isinstance(value, str):
                raise InputError(f"{name}={value!r}: give a list of names, [{value!r}]")
            object.__setattr__(self, name, tuple(value or ()))
        if odd := sorted((self.reader_options or {}).keys() - {_OPTIONS}):
            raise InputError(f"reader_options has {odd[0]!r}, and only {_OPTIONS!r} is known")

    def __reduce__(self) -> tuple[Any, ...]:
        kept = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "reader_options"}
        return (_rebuilt, (type(self), kept))

    def __call__(self, url: str | os.PathLike[str], registry: Any = None) -> ManifestStore:
        """A read-only Zarr store over the file at ``url``; ``registry`` is a registry of object stores."""
        options = (self.reader_options or {}).get(_OPTIONS)
        source = open_file_or_folder(url, options, registry)
        try:
            group = self.parse(source)
        finally:
            source.close()
        return storage.ManifestStore(group, registry=registry, storage_options=options)

    def parse(self, source: ByteSource) -> ManifestGroup:
        """The arrays, groups and attributes of ``source``."""
        raise NotImplementedError

    def skipping(self) -> Self:
        """The same parser with ``unsupported="skip"``."""
        return replace(self, unsupported="skip")

    def wants(self) -> Callable[[str], bool]:
        """Tells of a path of a variable or group whether it is to be taken."""
        dropped = frozenset(
            name.strip("/") for names in (self.skip_variables, self.drop_variables) for name in names or ()
        )
        root = (self.group or "").strip("/")

        def is_wanted(path: str) -> bool:
            if not dropped:
                return True
            for text in {path, path.removeprefix(f"{root}/")}:
                parts = text.split("/")
                if not dropped.isdisjoint([*parts, *("/".join(parts[: end + 1]) for end in range(len(parts)))]):
                    return False
            return True

        return is_wanted


def _rebuilt(kind: type[FileParser], words: Mapping[str, Any]) -> FileParser:
    return kind(**words)
