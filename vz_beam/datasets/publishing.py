"""What arrives at a store that grows: put to its end or into its holes, each input once, whatever comes twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import xarray as xr

from vz_beam.combine.accumulator import SchemaAccumulator
from vz_beam.combine.choices import CombineChoices
from vz_beam.combine.hole import Hole, Holes
from vz_beam.combine.placing import place_all
from vz_beam.combine.planning import plan_layout
from vz_beam.combine.schema import FailedInput, schema_of
from vz_beam.combine.skipped import SkippedInput
from vz_beam.datasets.appending import append_store
from vz_beam.datasets.replacing import replace_inputs
from vz_beam.errors import (
    InputError,
    InputsChangedError,
    LateInputError,
    PatternError,
    StoreError,
    StoreNotFoundError,
    TransientSourceError,
    VzBeamError,
)
from vz_beam.patterns.index import Index
from vz_beam.patterns.natural_order import natural_key
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.identity import IDENTITY_KEY, Identity
from vz_beam.storage.urls import url_in_stores
from vz_beam.writers.input_table import InputTable
from vz_beam.writers.left_out import record_failures, record_skipped
from vz_beam.writers.store_summary import StoreSummary
from vz_beam.writers.writer import Writer, WriteTarget, write_to

Member = TypeVar("Member")
_NOT_OF_ONE = (StoreError, InputError, PatternError, TransientSourceError)
"""Errors that are not the fault of an input: they end the work, and whoever repeats it loses nothing."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An input that was opened, or that could not be: one of the two is ``None``."""

    index: Index
    dataset: xr.Dataset | xr.DataTree | None
    failure: FailedInput | None = None

    @property
    def identity(self) -> Identity:
        """What the file was when it was opened.

        Raises:
            InputError: the user's own steps have lost it.
        """
        assert self.dataset is not None
        found: Identity | None = self.dataset.encoding.get(IDENTITY_KEY)
        if found is None:
            raise InputError(
                f"the dataset of {self.index} does not say which file it is of, and what has come before cannot be "
                "told. Way out: keep the encoding of the dataset that was opened, new.encoding.update(old.encoding)"
            )
        return found

    @property
    def url(self) -> str:
        """Canonical, of the file."""
        return self.identity.url if self.failure is None else url_in_stores(self.failure.url)

    def at(self, numbers: tuple[int, ...], sizes: tuple[int, ...]) -> Arrived:
        """The same at other places of dimensions of these sizes."""
        positions = zip(self.index.positions, numbers, sizes, strict=True)
        index = Index(tuple(replace(position, number=number, size=size) for position, number, size in positions))
        return replace(self, index=index)


@dataclass(slots=True)
class Published:
    """What became of arrivals: the store after each commit, what is in no store, and whether there is a store."""

    summaries: list[StoreSummary] = field(default_factory=list)
    failures: list[FailedInput] = field(default_factory=list)
    is_there: bool = False

    def refuse(self, one: Arrived, error: VzBeamError) -> None:
        """Notes that an input goes into no store; what failed before is noted already."""
        if one.failure is None:
            self.failures.append(FailedInput(one.index, one.url, type(error).__name__, str(error), 1))


@dataclass(frozen=True, slots=True)
class GrowingStore:
    """A store that arrivals are put to the end of; the first ones make it where it is not there.

    Args:
        writer: of the store.
        target: where it is; its mode is ``"append"``.
        choices: how inputs are combined.
        storage_options: for the store.
        open_location: gives the byte source of a URL.
    """

    writer: Writer
    target: WriteTarget
    choices: CombineChoices
    storage_options: Mapping[str, Any] | None
    open_location: Callable[[str], ByteSource]

    def publish(self, arrived: Iterable[Arrived], skipped: Iterable[SkippedInput] = (), *, late: bool) -> Published:
        """Put arrivals into the store: those that it has are passed over, so that a repeated call changes nothing.

        Inputs of one commit become visible together. Where they cannot be combined each half is tried, so that an
        input that does not fit holds up no other.

        Args:
            arrived: what has come, in any order.
            skipped: what was left out of it.
            late: whether what follows is published already: then only holes of the store are filled.

        Raises:
            StoreError: the store cannot be written; nothing is lost, and a repeated call goes on.
            TransientSourceError: the same.
        """
        done = Published()
        table = self._table()
        done.is_there = table is not None
        known, holes = {one.url: one for one in table.inputs} if table else {}, Holes(table.holes if table else ())
        new: list[Arrived] = []
        fills: list[tuple[Arrived, Hole]] = []
        failed: set[str] = set()
        for one in sorted(arrived, key=_order):
            if one.url in known:
                if one.failure is None and not known[one.url].is_same(one.identity):
                    done.refuse(one, InputsChangedError(("it has changed since the store was written of it",)))
                continue
            hole = holes.find(one.index, one.url)
            if one.failure is not None:
                if one.url not in failed:
                    done.failures.append(replace(one.failure, url=one.url))
                    new += [one] * (hole is None and not late)
                failed.add(one.url)
                continue
            known[one.url] = one.identity
            if hole is not None:
                fills.append((one, hole))
            elif late:
                done.refuse(
                    one, LateInputError(f"it comes behind what is published, and {self.target.url} has no hole for it")
                )
            else:
                new.append(one)
        by_url = {url_in_stores(each.url): each for each in skipped}
        _in_halves(fills, lambda some: self._fill(some, done), lambda pair, error: done.refuse(pair[0], error))
        is_row = all(len(one.index.positions) == 1 for one in new)  # halves of a grid would be no grid
        _in_halves(new, lambda some: self._append(some, by_url, done), done.refuse, splits=is_row)
        self._record(done, by_url.values(), failed | known.keys())
        return done

    def _table(self) -> InputTable | None:
        """What the store says of its inputs; ``None`` where there is no store."""
        try:
            return self.writer.input_table(self.target, self.storage_options)
        except StoreNotFoundError:
            return None

    def _append(self, some: Sequence[Arrived], skipped: Mapping[str, SkippedInput], done: Published) -> None:
        some = renumbered(some)
        opened = [(one.index, one.dataset) for one in some if one.dataset is not None]
        if not opened:
            return
        gathered = SchemaAccumulator()
        for index, dataset in opened:
            gathered.add(schema_of(index, dataset))
        layout = plan_layout(
            gathered.with_left_out(
                [replace(one.failure, index=one.index) for one in some if one.failure is not None],
                [replace(skipped[one.url], index=one.index) for one in some if one.url in skipped],
            ),
            self.choices,
        )
        shards = place_all(layout, opened)
        excluded = {failure.url for failure in layout.excluded.values()}
        inputs = [one.identity for one in some if one.failure is None and one.url not in excluded]
        target = replace(self.target, run=WriteTarget(self.target.url).run)  # each commit is a run
        options: Any = {"storage_options": self.storage_options, "inputs": inputs}
        if done.is_there:
            summary = append_store(self.writer, target, layout, shards, self.open_location, **options)
        else:
            target = replace(target, mode="create", append_dim=None)
            summary = write_to(self.writer, target, layout, shards, **options)
        done.is_there = True
        notes = tuple(dict.fromkeys((*layout.notes, *summary.notes)))
        done.summaries.append(replace(summary, files=len(inputs), notes=notes))
        done.failures += layout.excluded.values()

    def _fill(self, some: Sequence[tuple[Arrived, Hole]], done: Published) -> None:
        datasets = {one.url: one.dataset for one, _ in some if one.dataset is not None}
        holes = {one.url: hole for one, hole in some}
        how = (self.choices, self.storage_options, self.open_location)
        done.summaries.append(replace_inputs(self.writer, self.target, datasets, *how, holes=holes))

    def _record(self, done: Published, skipped: Iterable[SkippedInput], tried: Iterable[str]) -> None:
        """Lists what is in no store beside the store, once there is one; what was tried again is not listed twice."""
        if not done.is_there:
            return
        summary = done.summaries.pop() if done.summaries else None
        noted = summary or StoreSummary(self.target.url, self.writer.name, 0)
        noted = record_failures(noted, done.failures, self.storage_options, goes_on=True, tried=tried)
        noted = record_skipped(noted, skipped, self.storage_options, goes_on=True)
        if summary is not None:
            done.summaries.append(noted)


def renumbered(some: Sequence[Arrived]) -> list[Arrived]:
    """The same with places counted from 0: nobody knows how many inputs a stream has, or which number is its first.

    Along one dimension each input has a place of its own, whatever its number.
    """
    if all(len(one.index.positions) == 1 for one in some):
        return [one.at((number,), (len(some),)) for number, one in enumerate(some)]
    places = []
    for axis in range(len(some[0].index.positions) if some else 0):
        numbers = sorted({one.index.numbers[axis] for one in some})
        places.append({number: place for place, number in enumerate(numbers)})
    sizes = tuple(map(len, places))
    return [
        one.at(tuple(place[number] for place, number in zip(places, one.index.numbers, strict=True)), sizes)
        for one in some
    ]


def _order(one: Arrived) -> Any:
    return one.index.numbers, natural_key(one.url), one.failure is not None


def _in_halves(
    some: Sequence[Member],
    act: Callable[[Sequence[Member]], None],
    refuse: Callable[[Member, VzBeamError], None],
    *,
    splits: bool = True,
) -> None:
    """Acts on all together; where that fails on each half, so that one that does not fit holds up no other.

    Without ``splits`` all are refused then.
    """
    if not some:
        return
    try:
        act(some)
    except _NOT_OF_ONE:
        raise
    except VzBeamError as error:
        if len(some) == 1 or not splits:
            for one in some:
                refuse(one, error)
            return
        half = len(some) // 2
        _in_halves(some[:half], act, refuse)
        _in_halves(some[half:], act, refuse)
