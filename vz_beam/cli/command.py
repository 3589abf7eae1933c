"""One command line, from its words to its exit code. Nothing heavy loads before a command is chosen."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from vz_beam.cli.arguments import parse_arguments
from vz_beam.cli.interrupts import interruptible
from vz_beam.cli.option_words import in_option_words
from vz_beam.cli.quiet import logged_to, quiet
from vz_beam.errors import InputError, VzBeamError

ALL_WELL = 0
FAILED = 1
WRONG_USAGE = 2
SOME_FILES_FAILED = 3
INTERRUPTED = 130
"""What a shell gives to a process that SIGINT ended: 128 and the number of the signal."""
_MODULES = {
    "build": "vz_beam.cli.build_command",
    "append": "vz_beam.cli.build_command",
    "watch": "vz_beam.cli.watch_command",
    "convert": "vz_beam.cli.convert_command",
    "verify": "vz_beam.cli.verify_command",
    "inspect": "vz_beam.cli.inspect_command",
    "demo": "vz_beam.cli.demo",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``vz-beam`` with these arguments, those of the process by default; gives the exit code."""
    try:
        arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
    except SystemExit as end:  # argparse has said what is wrong, or has given help
        return end.code if isinstance(end.code, int) else WRONG_USAGE
    with interruptible(INTERRUPTED, _say_interrupted) as interrupt:
        try:
            with quiet(arguments.verbose), logged_to(getattr(arguments, "log_file", None)):
                code: int = import_module(_MODULES[arguments.command]).run(arguments)
            sys.stdout.flush()
        except KeyboardInterrupt:
            _say_interrupted()
            return INTERRUPTED
        except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        except Exception as error:
            if interrupt.has_come:  # Beam has made an error of the interrupt
                _say_interrupted()
                return INTERRUPTED
            if arguments.traceback:
                traceback.print_exc()
            _say(f"error: {in_option_words(describe(error), vars(arguments))}")
            return WRONG_USAGE if isinstance(error, InputError) else FAILED
    return code


def describe(error: BaseException) -> str:
    r"""The message of an error: that of ours as it is, of any other its type and the last line of its text.

    >>> describe(KeyError("a")), describe(RuntimeError("Traceback:\n  ...\nOSError: disk full"))
    ("KeyError: 'a' (--traceback shows more)", 'RuntimeError: OSError: disk full (--traceback shows more)')
    """
    if isinstance(error, VzBeamError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ": ".join([type(error).__name__, *lines[-1:]]) + " (--traceback shows more)"


def _say_interrupted() -> None:
    _say("interrupted; a store becomes visible when it is complete, so nothing of this run is")


def _say(text: str) -> None:
    print(f"vz-beam: {text}", file=sys.stderr)
