"""A source of which a parser may ask no more than so many bytes: no hostile or broken file fills a worker."""

from __future__ import annotations

from collections.abc import Sequence

from vz_beam.errors import LimitError
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.passing_source import PassingSource
from vz_beam.storage.url_secrets import shown


class LimitedSource(PassingSource):
    """Refuses, before anything is read, what goes beyond ``most`` bytes in all; files beside it count as well."""

    __slots__ = ("_left", "_most")

    def __init__(self, source: ByteSource, most: int) -> None:
        super().__init__(source)
        self._most = most
        self._left = [most]

    def notice(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Takes the bytes off what is left.

        Raises:
            LimitError: there is not so much left.
        """
        self._left[0] -= sum(stop - start for start, stop in ranges)
        if self._left[0] < 0:
            raise LimitError(
                f"{shown(self.url)} has more metadata than max_metadata_bytes={self._most:,}. Way out: a larger limit, "
                "if the file is what it should be"
            )

    def beside(self, source: ByteSource) -> LimitedSource:
        """A source with the same budget."""
        limited = LimitedSource(source, self._most)
        limited._left = self._left
        return limited
