"""Options that may hold credentials: they stay in their process and out of every text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vz_beam.errors import PatternError


class OpenOptions:
    """The options of a pattern's inputs. A pickle of it holds none of them and says so when it is asked."""

    __slots__ = ("_fsspec_open_kwargs", "_query_string_secrets", "_withheld")

    def __init__(
        self,
        fsspec_open_kwargs: Mapping[str, Any] | None = None,
        query_string_secrets: Mapping[str, str] | None = None,
        withheld: bool = False,
    ) -> None:
        self._fsspec_open_kwargs = _checked(fsspec_open_kwargs, "fsspec_open_kwargs")
        self._query_string_secrets = _checked(query_string_secrets, "query_string_secrets")
        self._withheld = withheld

    @property
    def fsspec_open_kwargs(self) -> dict[str, Any]:
        """Options of the file system."""
        return dict(self._here()._fsspec_open_kwargs)

    @property
    def query_string_secrets(self) -> dict[str, Any]:
        """What is added to the query of each URL."""
        return dict(self._here()._query_string_secrets)

    def _here(self) -> OpenOptions:
        if self._withheld:
            raise PatternError(
                "this pattern was pickled, and its fsspec_open_kwargs and query_string_secrets were left out of the "
                "pickle because they may hold credentials. Way out: give storage_options to OpenWithVirtualizarr, "
                "or credentials to the workers' environment"
            )
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        any_given = bool(self._withheld or self._fsspec_open_kwargs or self._query_string_secrets)
        return (OpenOptions, (None, None, any_given))

    def __copy__(self) -> OpenOptions:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> OpenOptions:
        return self

    def __repr__(self) -> str:
        return "OpenOptions(...)"


def _checked(options: Any, name: str) -> dict[str, Any]:
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise PatternError(f"{name} is a dict or None, not a {type(options).__name__}")
    return dict(options)
