"""The ways in which inputs store one array, and the one that most of them have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from vz_beam.codecs.pipeline import encode_chunk
from vz_beam.combine.agreement import differing_facts
from vz_beam.combine.attributes import PACKING
from vz_beam.combine.layout import Rewriting
from vz_beam.combine.schema import Facts
from vz_beam.combine.survey import REWRITABLE, Alike, Survey
from vz_beam.errors import UnsupportedError
from vz_beam.manifests.metadata import ArrayMetadata


class Majority(NamedTuple):
    """How most inputs store an array.

    ``metadata`` is that of the first of them; ``why`` tells in what others differ, one sentence for each thing.
    """

    metadata: ArrayMetadata
    rewriting: Rewriting
    why: list[str]


def stored_variants(survey: Survey, path: str, besides: Iterable[str] = ()) -> dict[Facts, list[Alike]]:
    """The classes of inputs that store a virtual array in the same way, in the order of their first ones.

    Facts ``besides`` which they are stored do not count.
    """
    counting = REWRITABLE.difference(besides, (f"attribute {name}" for name in survey.choices.overridden))
    found: dict[Facts, list[Alike]] = {}
    for one in survey.alike:
        for form in one.form:
            if form.path == path and form.chunk_shape is not None:
                facts = tuple(fact for fact in form.facts if fact[0] in counting)
                found.setdefault(facts, []).append(one)
    return found


def majority(survey: Survey, path: str) -> Majority:
    """How most inputs store the array at ``path``, of equally many those that come first."""
    variants = stored_variants(survey, path)
    counts = {facts: sum(len(one.numbers) for one in members) for facts, members in variants.items()}
    most = max(counts, key=lambda facts: counts[facts])
    metadata = {facts: _metadata(survey, path, members[0]) for facts, members in variants.items()}
    others = [facts for facts in variants if facts != most]
    of_input = {
        tuple(numbers): place
        for place, facts in enumerate(others, 1)
        for one in variants[facts]
        for numbers in one.numbers.tolist()
    }
    why = differing_facts({path: {facts: members[0].first.witness for facts, members in variants.items()}})
    return Majority(metadata[most], Rewriting(tuple(metadata[facts] for facts in (most, *others)), of_input), why)


def unwritable(path: str, found: Majority, reasons: Iterable[str]) -> list[str]:
    """Why chunks of the array at ``path`` cannot be written anew, for each reason to do so; nothing where they can."""
    metadata = found.metadata
    types = {one.dtype for one in found.rewriting.variants}
    kinds = {dtype.kind for dtype in types}
    if len(types) > 1 and not kinds <= set("iufb"):
        return [f"{path!r} cannot be rewritten, only numbers can get another type: {reason}" for reason in reasons]
    ones = (1,) * metadata.ndim
    try:
        encode_chunk(metadata.with_shape(ones, ones), np.zeros(ones, metadata.dtype))
    except (UnsupportedError, ValueError, TypeError, NotImplementedError) as error:
        return [f"{path!r} cannot be rewritten, its codecs cannot encode ({error}): {reason}" for reason in reasons]
    return []


def with_packing(found: Majority, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an array with those that say how its numbers are stored as the majority has them."""
    own = {name: value for name, value in found.metadata.attributes.items() if name in PACKING}
    return {**{name: value for name, value in attributes.items() if name not in PACKING}, **own}


def _metadata(survey: Survey, path: str, one: Alike) -> ArrayMetadata:
    metadata = survey.gathered.known[one.form].representatives[path].metadata
    assert metadata is not None
    return metadata
