"""Coders of what flows between workers: keys the same way everywhere, references in few bytes. Registered on import."""

from __future__ import annotations

from typing import Any

from apache_beam import coders
from apache_beam.coders.typecoders import registry

from vz_beam.combine.compact import packed_fragment, packed_references, unpacked_fragment, unpacked_references
from vz_beam.combine.fragment import Fragment, ShardKey
from vz_beam.combine.placing import InputReferences
from vz_beam.combine.rewriting import RewriteKey
from vz_beam.patterns.index import Index

_PLAIN = coders.FastPrimitivesCoder()
"""Encodes nested tuples of ``str`` and ``int`` the same way everywhere."""


class _OneKind(coders.Coder):
    """Any two coders of one class do the same."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class IndexCoder(_OneKind):
    """An :class:`Index` as nested tuples of ``str`` and ``int``."""

    def encode(self, value: Index) -> bytes:
        return bytes(_PLAIN.encode(value.to_tuple()))

    def decode(self, encoded: bytes) -> Index:
        return Index.from_tuple(_PLAIN.decode(encoded))

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return Index


class _PathAndNumberCoder(_OneKind):
    """A named tuple of a path and a number as a plain one."""

    kind: type[ShardKey] | type[RewriteKey]

    def encode(self, value: ShardKey | RewriteKey) -> bytes:
        return bytes(_PLAIN.encode(tuple(value)))

    def decode(self, encoded: bytes) -> ShardKey | RewriteKey:
        return self.kind(*_PLAIN.decode(encoded))

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return self.kind


class ShardKeyCoder(_PathAndNumberCoder):
    """A :class:`ShardKey` as a tuple of ``str`` and ``int``."""

    kind = ShardKey


class RewriteKeyCoder(_PathAndNumberCoder):
    """A :class:`RewriteKey` as a tuple of ``str`` and ``int``."""

    kind = RewriteKey


class FragmentCoder(_OneKind):
    """A :class:`Fragment` in two or three bytes a reference."""

    def encode(self, value: Fragment) -> bytes:
        return packed_fragment(value)

    def decode(self, encoded: bytes) -> Fragment:
        return unpacked_fragment(encoded)

    def is_deterministic(self) -> bool:
        return False  # equal references may be in another order of locations

    def to_type_hint(self) -> Any:
        return Fragment


class InputReferencesCoder(_OneKind):
    """The references of one input, as those of a fragment."""

    def encode(self, value: InputReferences) -> bytes:
        return packed_references(value)

    def decode(self, encoded: bytes) -> InputReferences:
        return unpacked_references(encoded)

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> Any:
        return InputReferences


registry.register_coder(Index, IndexCoder)
registry.register_coder(ShardKey, ShardKeyCoder)
registry.register_coder(RewriteKey, RewriteKeyCoder)
registry.register_coder(Fragment, FragmentCoder)
registry.register_coder(InputReferences, InputReferencesCoder)
