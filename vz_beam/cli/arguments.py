"""What can be said on the command line of ``vz-beam``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

DESCRIPTION = "Archives of scientific files as one virtual Zarr store: references are written, data is not copied."
EXIT_CODES = """\
exit codes:
  0    all is well; what --unsupported skip left out is in the summary
  1    the input is at fault, or the run failed; no store was made visible
  2    the command was wrong: an option, a pattern, a name
  3    the store was written without some files, which failed (--errors collect)
  130  interrupted
"""
BUILD_EPILOG = """\
Files that the shell lists are taken in natural order of their names (2 before 10), as those of a quoted glob are.
What follows -- goes to Beam: vz-beam build 'data/*.nc' store.parquet --concat-dim time -- --runner=FlinkRunner
"""
APPEND_EPILOG = """\
Files that the store has already are passed over; those among them that have changed are an error.
"""
WATCH_EPILOG = """\
Each round is one commit, which readers see whole or not at all. A watch that was stopped or killed goes on where it
was. A file that fails is tried again in later rounds, and holds up no other; failures.jsonl beside the store names it
in the end.
"""
VERIFY_EPILOG = """\
Chunks are read through the store by fsspec, or icechunk, and zarr, and from their files by the libraries of their
formats (h5py, netCDF4, tifffile, astropy, ecCodes, pyhdf). Inputs that have changed or vanished since are named. The
exit code is 1 where anything differs.
"""


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The parsed command line; what follows ``--`` of ``build``, ``append`` and ``watch`` is its ``beam_options``."""
    own, beam_options = list(arguments), []
    if own[:1] in (["build"], ["append"], ["watch"]) and "--" in own:
        cut = own.index("--")
        own, beam_options = own[:cut], own[cut + 1 :]
    parsed = _parser().parse_args(own)
    parsed.beam_options = beam_options
    return parsed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vz-beam",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_build(commands)
    _add_append(commands)
    _add_watch(commands)
    _add_convert(commands)
    _add_verify(commands)
    _add_inspect(commands)
    _add_demo(commands)
    return parser


def _add_build(commands: Any) -> None:
    parser = _add_command(commands, "build", "build one store from many files", BUILD_EPILOG)
    parser.usage = "vz-beam build FILES [FILES ...] STORE [options] [-- BEAM OPTIONS]"
    parser.add_argument(
        "--mode",
        choices=("create", "overwrite", "append"),
        help="whether a store may be replaced, or grow (default: create)",
    )
    _add_build_options(parser)


def _add_append(commands: Any) -> None:
    parser = _add_command(commands, "append", "put new files to the end of a store", APPEND_EPILOG)
    parser.usage = "vz-beam append FILES [FILES ...] STORE [options] [-- BEAM OPTIONS]"
    parser.set_defaults(mode="append")
    _add_build_options(parser)


def _add_build_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", metavar="FILES ... STORE", help="a glob, a folder or files; the store is last"
    )
    parser.add_argument("--concat-dim", metavar="DIM", help="the dimension along which the files follow each other")
    parser.add_argument(
        "--name-pattern", metavar="TEXT", help="fields in the files' names, such as 'data_{time}_{variable}.nc'"
    )
    parser.add_argument(
        "--append-dim", metavar="DIM", help="the dimension along which a store grows (default: --concat-dim)"
    )
    parser.add_argument(
        "--changed",
        choices=("raise", "replace"),
        default="raise",
        help="what a store that grows does about its files that are not what they were (default: raise)",
    )
    _add_choices(parser)
    parser.add_argument("--attempts", type=_count, metavar="N", help="tries of a file where the failure may pass")
    parser.add_argument(
        "--inputs-per-round", type=_count, metavar="N", help="publish after every N files, which bounds memory"
    )
    parser.add_argument("--dry-run", action="store_true", help="open the files and print the plan; write nothing")
    parser.add_argument("--sample", type=_count, metavar="N", help="with --dry-run: open about N files, evenly spaced")
    parser.add_argument("--no-progress", action="store_true", help="no progress on standard error")


def _add_choices(parser: argparse.ArgumentParser) -> None:
    """What ``build``, ``append`` and ``watch`` have in common."""
    parser.add_argument("--workers", type=_count, default=1, metavar="N", help="processes on this machine (default: 1)")
    parser.add_argument("--format", metavar="NAME", help="of the store (default: by its suffix)")
    parser.add_argument(
        "--errors", choices=("raise", "collect"), help="collect: go on past files that fail, and list them"
    )
    parser.add_argument(
        "--max-failures",
        type=_number_or_share,
        metavar="N",
        help="with --errors collect: files that may fail, or a share",
    )
    parser.add_argument(
        "--unsupported",
        choices=("raise", "skip"),
        help="skip: leave out variables that references cannot express, and list them",
    )
    parser.add_argument("--loadable-variables", type=_names, metavar="A,B", help="read now, instead of referencing")
    parser.add_argument("--drop-variables", type=_names, metavar="A,B", help="leave out, by name or path")
    parser.add_argument("--group", metavar="PATH", help="the group of each file (default: the root)")
    parser.add_argument("--tree", action="store_true", default=None, help="all groups of each file, as a tree")
    parser.add_argument("--parser", metavar="NAME", help="of the files (default: by their content)")
    parser.add_argument(
        "--order-by", choices=("index", "coordinate"), help="place files by name, or by their coordinate"
    )
    parser.add_argument(
        "--holes", choices=("raise", "missing"), help="absent or failed files: refuse, or keep their place"
    )
    parser.add_argument(
        "--variables", choices=("raise", "union", "intersection"), help="variables that only some files have"
    )
    parser.add_argument(
        "--fill-value",
        dest="fill_values",
        action=_KeyValue,
        metavar="VARIABLE=VALUE",
        help="what missing parts of a variable read as that has no _FillValue; may be repeated",
    )
    parser.add_argument(
        "--mismatch",
        choices=("raise", "exclude", "split", "rewrite"),
        help="files that disagree: refuse, leave out, group, or write their chunks anew",
    )
    parser.add_argument(
        "--chunk-grid",
        choices=("regular", "rectilinear"),
        help="rectilinear keeps chunks of any lengths along the joined dimensions (.icechunk and .zarr stores)",
    )
    parser.add_argument(
        "--attribute",
        dest="attributes",
        action=_KeyText,
        metavar="NAME=RULE",
        help="same, first, drop_conflicts or override for an attribute that differs, or for all others (*); repeatable",
    )
    parser.add_argument(
        "--tolerance",
        action=_Tolerance,
        metavar="[VARIABLE=]NUMBER",
        help="how far coordinates that must agree may be apart (times: in seconds); may be repeated",
    )
    parser.add_argument(
        "--overlaps", choices=("raise", "warn", "keep"), help="coordinates that overlap or run backwards"
    )
    parser.add_argument("--gaps", choices=("raise", "warn", "keep"), help="steps that a regular coordinate leaves out")
    parser.add_argument("--chunks-per-shard", type=_count, metavar="N", help="references in one object of the store")
    parser.add_argument(
        "--max-concurrency", type=_count, metavar="N", help="files of one server that are opened at once"
    )
    parser.add_argument("--requests-per-second", type=float, metavar="N", help="that one server is sent, at most")
    parser.add_argument("--log-file", metavar="FILE", help="append what happens to FILE, a line of JSON each")
    parser.add_argument("--timeout-seconds", type=float, metavar="S", help="how long a file may take to be opened")
    parser.add_argument(
        "--max-metadata-bytes", type=_count, metavar="N", help="how much of a file may be read to find its chunks"
    )
    _add_allow_external(parser)
    _add_storage_options(parser, "--storage-option", "source_storage_options", "of the files' storage")
    _add_storage_options(parser, "--target-storage-option", "target_storage_options", "of the store's storage")


def _add_allow_external(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-external",
        action="store_true",
        default=None,
        help="read what a file names on other hosts and outside its folder, too; for files that you trust",
    )


def _add_watch(commands: Any) -> None:
    parser = _add_command(commands, "watch", "put new files to the end of a store as they come", WATCH_EPILOG)
    parser.usage = "vz-beam watch SOURCE STORE --concat-dim DIM [options] [-- BEAM OPTIONS]"
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a glob, folder or prefix; @FILE with a URL a line; kafka://HOST:PORT/TOPIC; "
        "pubsub://PROJECT/SUBSCRIPTION; - for stdin",
    )
    parser.add_argument("store", metavar="STORE", help="path or URL of the store, made where it is not there")
    parser.add_argument("--concat-dim", metavar="DIM", required=True, help="along which the files follow each other")
    parser.add_argument("--every", type=float, default=10.0, metavar="S", help="seconds between looks (default: 10)")
    parser.add_argument("--rounds", type=_count, metavar="N", help="end after N rounds")
    parser.add_argument("--idle-seconds", type=float, metavar="S", help="end where nothing has been new for so long")
    parser.add_argument("--inputs-per-round", type=_count, default=1000, metavar="N", help="at most (default: 1000)")
    parser.add_argument(
        "--attempts", type=_count, default=3, metavar="N", help="rounds a file is tried in (default: 3)"
    )
    _add_choices(parser)


def _add_inspect(commands: Any) -> None:
    parser = _add_command(commands, "inspect", "show what is in a file, or in a store of references")
    parser.add_argument("file", metavar="FILE", help="path or URL of a file or store")
    parser.add_argument("--group", metavar="PATH", help="only this group")
    parser.add_argument("--json", action="store_true", help="as JSON")
    _add_allow_external(parser)
    _add_storage_options(parser, "--storage-option", "storage_options", "of the file's storage")


def _add_convert(commands: Any) -> None:
    parser = _add_command(commands, "convert", "write a store, or one file, as a store of another format")
    parser.add_argument("source", metavar="SOURCE", help="path or URL of a store or file")
    parser.add_argument("store", metavar="STORE", help="path or URL of the new store, whose suffix says its format")
    parser.add_argument("--mode", choices=("create", "overwrite"), default="create", help="default: create")
    parser.add_argument("--chunks-per-shard", type=_count, metavar="N", help="references in one object of the store")
    _add_allow_external(parser)
    _add_storage_options(parser, "--storage-option", "source_storage_options", "of the source's storage")
    _add_storage_options(parser, "--target-storage-option", "target_storage_options", "of the store's storage")


def _add_verify(commands: Any) -> None:
    parser = _add_command(commands, "verify", "compare a store with the files that it points at", VERIFY_EPILOG)
    parser.add_argument("store", metavar="STORE", help="path or URL of the store")
    parser.add_argument("--sample", type=_count, default=200, metavar="N", help="chunks to compare (default: 200)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which chunks (default: 0)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    _add_storage_options(parser, "--storage-option", "source_storage_options", "of the files' storage")
    _add_storage_options(parser, "--target-storage-option", "storage_options", "of the store's storage")


def _add_demo(commands: Any) -> None:
    parser = _add_command(commands, "demo", "make a small archive, build its store, and compare every value")
    parser.add_argument("folder", nargs="?", default="vz-beam-demo", metavar="FOLDER", help="default: ./vz-beam-demo")


def _add_command(commands: Any, name: str, text: str, epilog: str | None = None) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=epilog, allow_abbrev=False
    )
    parser.add_argument("--traceback", action="store_true", help="show where an error comes from")
    parser.add_argument("--verbose", action="store_true", help="show logs and warnings, those of Beam included")
    return parser


def _number_or_share(text: str) -> float:
    """A number of files, or a share of them where it has a point."""
    return float(text) if "." in text else int(text)


def _add_storage_options(parser: argparse.ArgumentParser, flag: str, name: str, text: str) -> None:
    parser.add_argument(
        flag, dest=name, action=_KeyValue, metavar="KEY=VALUE", help=f"{text}; may be repeated, VALUE may be JSON"
    )


class _KeyValue(argparse.Action):
    """Gathers ``KEY=VALUE`` into a dict; a key that is given twice is wrong."""

    @staticmethod
    def value_of(text: str) -> Any:
        """The value that a text stands for."""
        return value_of(text)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        key, mark, value = values.partition("=")
        options = dict(getattr(namespace, self.dest) or {})
        if not (key and mark):
            # the text is not repeated: it may be a secret
            parser.error(f"argument {option_string}: expected {self.metavar}")
        if key in options:
            parser.error(f"argument {option_string}: {key} is given twice")
        setattr(namespace, self.dest, {**options, key: self.value_of(value)})


class _KeyText(_KeyValue):
    """As ``_KeyValue``, with texts as they are."""

    @staticmethod
    def value_of(text: str) -> Any:
        """The text."""
        return text


class _Tolerance(_KeyValue):
    """As ``_KeyValue``; a number alone is for all."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        super().__call__(parser, namespace, values if "=" in values else f"*={values}", option_string)


def value_of(text: str) -> Any:
    """The JSON value that a text is, else the text itself.

    >>> value_of("true"), value_of("us-west-2"), value_of('{"allow_http": true}'), value_of('"007"')
    (True, 'us-west-2', {'allow_http': True}, '007')
    """
    try:
        return json.loads(text)
    except ValueError:
        return text


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, not {text!r}")
    return int(text)
