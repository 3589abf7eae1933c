"""What all sources and sinks share: they are open handles, which stay in their process."""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn, Self

from vz_beam.storage.url_secrets import shown


class OpenHandle:
    """An open source or sink: a context manager that refuses to be pickled, since it holds clients and credentials."""

    __slots__ = ("url",)

    url: str

    def close(self) -> None:
        """Gives the handle back; closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled: it holds an open client and maybe credentials. "
            "Way out: send the URL, and open it on the worker"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown(self.url)!r})"
