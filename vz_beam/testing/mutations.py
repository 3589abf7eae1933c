"""A parser tried on damaged files: one of our errors or a group, in bounded time and memory, whatever the bytes.

Runs as ``python -m vz_beam.testing.mutations FOLDER... --cases 1000 --seed 1``; ``--replay N`` keeps the file of a
case.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vz_beam.errors import InputError, VzBeamError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.parser import Parser, SkippingParser, known_parsers
from vz_beam.storage.byte_source import ByteSource, open_source
from vz_beam.storage.request_log import RequestLog
from vz_beam.testing.limited_runs import OPENED, CaseResult, Limits, run_cases
from vz_beam.testing.mutated_files import MutatedFile, MutatedFiles

_REMOTE_SHARE = 0.4
"""Of all cases: those parsed by ``read`` alone, as objects of a store are."""
_PROGRESS_CASES = 1000


@dataclass(slots=True)
class Summary:
    """What all cases came to."""

    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[CaseResult] = field(default_factory=list)
    slowest: CaseResult = field(default_factory=lambda: CaseResult(-1, OPENED))
    largest: CaseResult = field(default_factory=lambda: CaseResult(-1, OPENED))

    def add(self, result: CaseResult) -> None:
        """Count one more."""
        self.outcomes[result.outcome] += 1
        self.slowest = max(self.slowest, result, key=lambda each: each.seconds)
        self.largest = max(self.largest, result, key=lambda each: each.memory_bytes)
        if result.is_failure:
            self.failures.append(result)

    def __str__(self) -> str:
        counts = "\n".join(f"  {count:8d}  {outcome}" for outcome, count in self.outcomes.most_common())
        return (
            f"{self.outcomes.total()} cases of seed {self.seed}:\n{counts}\n"
            f"slowest: case {self.slowest.number}, {self.slowest.seconds:.2f} s\n"
            f"largest: case {self.largest.number}, {self.largest.memory_bytes / 2**20:.0f} MiB"
        )


class MutationRun:
    """The cases of one seed, each parsed by one of the ways in which ``parser`` can be asked.

    Args:
        parser: with ``unsupported="raise"``; one that can skip is tried that way too.
        files: what it is tried on.
    """

    def __init__(self, parser: Parser, files: MutatedFiles) -> None:
        self.files = files
        self.parsers = (parser, parser.skipping()) if isinstance(parser, SkippingParser) else (parser,)

    def results(self, numbers: Sequence[int], limits: Limits) -> Iterable[CaseResult]:
        """The results of the cases ``numbers``."""
        with self.files.workplaces() as workplaces:
            self.files.prepare()
            self._load_libraries()

            def run(number: int) -> None:
                case = self.files.case(number)
                path = workplaces[case.original.parent] / f"damaged{case.original.suffix}"
                path.write_bytes(case.data)
                self.parse(case, path)

            yield from run_cases(numbers, run, limits)

    def parse(self, case: MutatedFile, path: Path) -> ManifestGroup:
        """The group of a case whose file is at ``path``, checked.

        Raises:
            VzBeamError: the parser found the damage.
            AssertionError: it did not, and the result is wrong.
        """
        log = RequestLog(open_source(path)) if self.is_remote(case) else None
        source: ByteSource = log or open_source(path)
        try:
            group = self.parsers[case.number % len(self.parsers)].parse(source)
            check_places(group, source.url, source.size())
            return group
        finally:
            for each in (source, *(log.siblings if log else ())):
                each.close()

    def _load_libraries(self) -> None:
        """Parse a whole file, so that not every process loads what the parser needs."""
        source = open_source(self.files.originals[0])
        with suppress(VzBeamError):
            self.parsers[0].parse(source)
        source.close()

    def is_remote(self, case: MutatedFile) -> bool:
        """Whether the operating system does not open the file."""
        return case.choice < _REMOTE_SHARE


def check_places(group: ManifestGroup, url: str, file_nbytes: int) -> None:
    """Raise AssertionError where a reference reaches over the end of the file at ``url``."""
    size = np.uint64(file_nbytes)
    for where, part in group.walk():
        for name, array in part.arrays.items():
            manifest = array.manifest
            if url not in manifest.locations:
                continue
            here = manifest.location_ids == manifest.locations.index(url)
            offsets, lengths = manifest.offsets[here], manifest.lengths[here].astype(np.uint64)
            outside = (offsets > size) | (lengths > size - np.minimum(offsets, size))
            assert not outside.any(), f"{where}/{name}: {int(outside.sum())} chunks reach over the end of the file"


def summarised(run: MutationRun, numbers: Sequence[int], limits: Limits) -> Summary:
    """All results together; failures and progress are printed as they come."""
    summary, start = Summary(run.files.seed), time.monotonic()
    for result in run.results(numbers, limits):
        summary.add(result)
        if result.is_failure:
            name = run.files.case(result.number).original.name
            print(f"case {result.number} ({name}): {result.outcome}: {result.detail}", flush=True)
        if (count := summary.outcomes.total()) % _PROGRESS_CASES == 0:
            took = time.monotonic() - start
            print(f"{count} cases, {len(summary.failures)} failures, {count / took:.0f} a second", flush=True)
    return summary


def main(arguments: Sequence[str] | None = None, folders: Sequence[Path] = ()) -> int:
    """The command: 0 where all cases passed, else 1.

    Args:
        arguments: of the command line.
        folders: what is tried where the command line names none.
    """
    options = _options(arguments)
    searched = options.folders or list(folders)
    parser = known_parsers().found.get(options.parser)
    if parser is None:
        raise InputError(f"there is no parser {options.parser!r}")
    originals = _originals(searched, parser, options.most_bytes)
    if not originals:
        raise InputError(f"no file of the format {options.parser} in {[str(folder) for folder in searched]}")
    run = MutationRun(parser, MutatedFiles(originals, options.seed))
    if options.replay is not None:
        return _replayed(run, options.replay, options.to)
    limits = Limits(options.seconds, options.memory_mib * 2**20)
    summary = summarised(run, range(options.first, options.first + options.cases), limits)
    print(summary)
    return 1 if summary.failures else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folders", nargs="*", type=Path, help="of whole files, folders in them not entered")
    options.add_argument("--parser", default="hdf5", help="name of the parser")
    options.add_argument("--cases", type=int, default=1000)
    options.add_argument("--first", type=int, default=0, help="number of the first case")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--seconds", type=float, default=Limits().seconds, help="that one case may take")
    options.add_argument("--memory-mib", type=int, default=Limits().memory_bytes // 2**20, help="that one may take")
    options.add_argument("--most-bytes", type=int, default=300_000, help="larger files are left out")
    options.add_argument("--replay", type=int, metavar="N", help="write the file of one case, and parse it")
    options.add_argument("--to", type=Path, help="where --replay writes it")
    return options.parse_args(arguments)


def _originals(folders: Iterable[Path], parser: Parser, most_bytes: int) -> list[Path]:
    files = (path for folder in folders for path in sorted(folder.iterdir()) if path.is_file())
    return [path for path in files if 0 < path.stat().st_size <= most_bytes and parser.matches(path.read_bytes())]


def _replayed(run: MutationRun, number: int, target: Path | None) -> int:
    case = run.files.case(number)
    path = target or Path(f"case-{run.files.seed}-{number}{case.original.suffix}")
    path.write_bytes(case.data)
    print(f"{path}: {case.original}, parsed {'by read alone' if run.is_remote(case) else 'as a local file'}")
    print(f"by {run.parsers[number % len(run.parsers)]}", flush=True)
    print(run.parse(case, path))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
