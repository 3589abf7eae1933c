"""Deterministic coders of the keys that pipelines group by, registered on import."""

from __future__ import annotations

from typing import Any

from apache_beam import coders
from apache_beam.coders.typecoders import registry

from vz_beam.combine.fragment import ShardKey
from vz_beam.combine.rewriting import RewriteKey
from vz_beam.patterns.index import Index

_PLAIN = coders.FastPrimitivesCoder()
"""Encodes nested tuples of ``str`` and ``int`` the same way everywhere."""


class IndexCoder(coders.Coder):
    """An :class:`Index` as nested tuples of ``str`` and ``int``."""

    def encode(self, value: Index) -> bytes:
        return bytes(_PLAIN.encode(value.to_tuple()))

    def decode(self, encoded: bytes) -> Index:
        return Index.from_tuple(_PLAIN.decode(encoded))

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return Index

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class _PathAndNumberCoder(coders.Coder):
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

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class ShardKeyCoder(_PathAndNumberCoder):
    """A :class:`ShardKey` as a tuple of ``str`` and ``int``."""

    kind = ShardKey


class RewriteKeyCoder(_PathAndNumberCoder):
    """A :class:`RewriteKey` as a tuple of ``str`` and ``int``."""

    kind = RewriteKey


registry.register_coder(Index, IndexCoder)
registry.register_coder(ShardKey, ShardKeyCoder)
registry.register_coder(RewriteKey, RewriteKeyCoder)
