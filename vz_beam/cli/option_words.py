"""Choices that messages say in the words of Python, said in those of the command line."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Container
from typing import Any

_CHOICE = re.compile(r"""\b([a-z_]+)=(\[[^\[\]]*\]|'[^']*'|"[^"]*"|True\b)""")


def in_option_words(text: str, known: Container[str]) -> str:
    r"""``text`` with the choices that are ``known`` to the command as options of it.

    >>> in_option_words("drop_variables=['a', 'b c'] or unsupported=\"skip\"", {"drop_variables", "unsupported"})
    "--drop-variables 'a,b c' or --unsupported skip"
    >>> in_option_words("load it (loadable_variables=[...]), keys=['a']", {"loadable_variables"})
    "load it (--loadable-variables A,B), keys=['a']"
    >>> in_option_words("allow_external=True, for files that you trust", {"allow_external"})
    '--allow-external, for files that you trust'
    """

    def option(match: re.Match[str]) -> str:
        name, written = match.groups()
        if name not in known:
            return match[0]
        if written == "True":
            return f"--{name.replace('_', '-')}"
        if written == "[...]":
            value = "A,B"
        else:
            try:
                value = _value(ast.literal_eval(written))
            except (ValueError, SyntaxError):
                return match[0]
        return f"--{name.replace('_', '-')} {value}"

    return _CHOICE.sub(option, text)


def _value(given: Any) -> str:
    names = given if isinstance(given, list) else [given]
    if not names or any(not isinstance(name, str) or "," in name for name in names):
        raise ValueError("the command line cannot say it")
    return shlex.quote(",".join(names))
