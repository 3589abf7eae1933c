"""Storage options and registries that may hold credentials: kept in this process, never pickled."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from vz_beam.errors import InputError
from vz_beam.storage.storage_options import SECRET_WORDS

_HELD: dict[str, tuple[Mapping[str, Any], Any]] = {}


class HeldOptions:
    """Options that a transform was given.

    What is no secret travels with the pipeline. Secrets and registries stay in the process that made them: workers
    in other processes get credentials from their own surroundings (environment variables, an instance's role).
    """

    def __init__(self, storage_options: Mapping[str, Any] | None = None, registry: Any = None) -> None:
        options = dict(storage_options or {})
        self._open = {key: value for key, value in options.items() if not _is_secret(key, value)}
        self._held = sorted(options.keys() - self._open.keys())
        self._token = ""
        if self._held or registry is not None:
            self._token = uuid.uuid4().hex
            _HELD[self._token] = (options, registry)

    @property
    def storage_options(self) -> Mapping[str, Any] | None:
        """All options.

        Raises:
            InputError: in another process than the one that made them, where some are secret.
        """
        if not self._token:
            return self._open or None
        return self._found()[0] or None

    @property
    def public(self) -> Mapping[str, Any]:
        """Those that are no secret."""
        return self._open

    @property
    def registry(self) -> Any:
        """The registry, or ``None``."""
        return self._found()[1] if self._token else None

    def _found(self) -> tuple[Mapping[str, Any], Any]:
        if self._token not in _HELD:
            what = f"the storage options {self._held}" if self._held else "a registry"
            raise InputError(
                f"{what} may hold credentials, which are never sent to workers: give the workers credentials of their "
                "own (environment variables such as AWS_ACCESS_KEY_ID, or the role of their machine), or run with one "
                "worker in this process"
            )
        return _HELD[self._token]


def _is_secret(key: str, value: Any) -> bool:
    return isinstance(value, Mapping) or any(word in key.lower() for word in SECRET_WORDS)
