"""The table of formats in README, made from what the parsers say of themselves.

``python -m vz_beam.parsers.formats_table README.md`` writes it anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vz_beam.parsers.parser import known_parsers

_HEAD = "| format | parser | reads |\n|---|---|---|\n"


def formats_table() -> str:
    """Markdown: a row for each parser of this package, by its ``title`` and ``reads``."""
    parsers = sorted(known_parsers().found.values(), key=lambda parser: str(parser.title).lower())
    return _HEAD + "".join(f"| {parser.title} | `{type(parser).__name__}` | {parser.reads} |\n" for parser in parsers)


def with_formats_table(text: str) -> str:
    """``text`` with its table of formats made anew.

    Raises:
        ValueError: there is none.
    """
    start = text.index(_HEAD)
    return text[:start] + formats_table() + text[text.index("\n\n", start) + 1 :]


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_formats_table(page.read_text(encoding="utf-8")), encoding="utf-8")
