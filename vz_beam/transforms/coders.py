"""Deterministic coders of the keys that pipelines group by, registered on import."""

from __future__ import annotations

from typing import Any

from apache_beam import coders
from apache_beam.coders.typecoders import registry

from vz_beam.combine.fragment import ShardKey
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


class ShardKeyCoder(coders.Coder):
    """A :class:`ShardKey` as a tuple of ``str`` and ``int``."""

    def encode(self, value: ShardKey) -> bytes:
        return bytes(_PLAIN.encode(tuple(value)))

    def decode(self, encoded: bytes) -> ShardKey:
        return ShardKey(*_PLAIN.decode(encoded))

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return ShardKey

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


registry.register_coder(Index, IndexCoder)
registry.register_coder(ShardKey, ShardKeyCoder)
