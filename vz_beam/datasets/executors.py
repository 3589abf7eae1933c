"""Where many files are opened: one after the other, or by an executor that opens several at a time."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from vz_beam.errors import InputError

_T = TypeVar("_T")

NAMED = {
    "beam": "vz_beam.transforms.beam_executor:BeamExecutor",
    "dask": "vz_beam.datasets.executors:DaskExecutor",
}
"""Classes by the word for them. They are named, not imported: Beam stands to the right of here in the order of imports,
and both libraries are loaded by whoever asks for them."""


def executor_class(parallel: Any) -> type[Executor]:
    """The class that ``parallel`` means: ``False``, a word of ``NAMED``, or a class itself.

    Raises:
        InputError: anything else.
    """
    if parallel is False:
        return SerialExecutor
    if isinstance(parallel, str) and parallel in NAMED:
        parallel = pkgutil.resolve_name(NAMED[parallel])
    if isinstance(parallel, type) and issubclass(parallel, Executor):
        return parallel
    words = ", ".join(map(repr, NAMED))
    raise InputError(
        f"Invalid value for `parallel`: parallel={parallel!r} is not one of False, {words} or a class of "
        "concurrent.futures.Executor, such as ThreadPoolExecutor"
    )


class SerialExecutor(Executor):
    """One after the other in this thread, each when it is asked for."""

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """What ``fn`` gives, which is known at once."""
        return _done(lambda: fn(*args, **kwargs))

    def map(self, fn: Callable[..., _T], *iterables: Iterable[Any], **_: Any) -> Iterator[_T]:
        """What ``fn`` gives for each."""
        return map(fn, *iterables)


class DaskExecutor(Executor):
    """By the scheduler that dask is set to: its threads, unless there is a client or a configuration."""

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """What ``fn`` gives, computed alone and at once: many are better given to :meth:`map`."""
        return _done(lambda: next(self.map(lambda _: fn(*args, **kwargs), [None])))

    def map(self, fn: Callable[..., _T], *iterables: Iterable[Any], **_: Any) -> Iterator[_T]:
        """What ``fn`` gives for each, computed together; as many as the shortest of ``iterables`` has."""
        from dask.base import compute  # optional
        from dask.delayed import delayed

        tasks = [delayed(fn, pure=False)(*arguments) for arguments in zip(*iterables, strict=False)]
        return iter(compute(*tasks))  # type: ignore[no-untyped-call]


def _done(call: Callable[[], _T]) -> Future[_T]:
    """A future that holds what ``call`` gave or raised."""
    future: Future[_T] = Future()
    try:
        future.set_result(call())
    except Exception as error:  # raised by whoever asks for the result
        future.set_exception(error)
    return future
