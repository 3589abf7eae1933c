"""The templates of Kerchunk's JSON: texts with names in double braces, put in place without running any code.

Source: https://fsspec.github.io/kerchunk/spec.html, version 1. Of Jinja2, which it builds on, this is what the
specification shows: ``{{name}}``, ``{{name(argument='text')}}``, and sums such as ``{{(i + 1) * 10}}``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from vz_beam.errors import FormatError

_MARK = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_OTHER_MARKS = ("{%", "{#")
_MOST_CHARACTERS = 200
"""Of one expression: those of the specification have 20, and the parser's depth is bounded by it."""
_MOST_TEXT = 2**16
"""Characters of one text: templates may name each other, and so grow."""
_LARGEST = 2**63 - 1
_OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}

Value = str | int


class Templates:
    """The templates of one file by name.

    Args:
        texts: as the file has them.

    Raises:
        FormatError: names or texts that cannot be.
    """

    def __init__(self, texts: Any) -> None:
        if not isinstance(texts, Mapping):
            raise FormatError(f"its templates are a {type(texts).__name__}, and should be a JSON object")
        if odd := [name for name, text in texts.items() if not isinstance(text, str) or not name.isidentifier()]:
            raise FormatError(f"template {odd[0]!r} is no text with a name")
        self._texts: dict[str, str] = dict(texts)

    def __bool__(self) -> bool:
        return bool(self._texts)

    def expanded(self, text: str, values: Mapping[str, Value] | None = None) -> str:
        """``text`` with all that is in double braces put in place.

        Args:
            text: of a file with templates.
            values: what names stand for beside the templates.

        Raises:
            FormatError: a name that is not known, an expression that is more than names and sums.

        >>> Templates({"u": "s3://b", "f": "{{c}}.nc"}).expanded("{{u}}/{{ f(c='x') }}_{{i + 1}}", {"i": 2})
        's3://b/x.nc_3'
        """
        known = {**self._texts, **(values or {})}

        def put(match: re.Match[str]) -> str:
            return str(self._evaluated(match.group(1).strip(), known, text))

        if any(mark in text for mark in _OTHER_MARKS):
            raise FormatError(f"{text!r} has statements of Jinja2: only names and sums in double braces are read")
        result = _MARK.sub(put, text)
        if len(result) > _MOST_TEXT:
            raise FormatError(f"{text[:80]!r} becomes more than {_MOST_TEXT:,} characters")
        return result

    def _evaluated(self, expression: str, known: Mapping[str, Value], text: str) -> Value:
        try:
            return self._value(_parsed(expression), known)
        except (_NotAllowed, ArithmeticError) as error:
            raise FormatError(
                f"{{{{{expression}}}}} in {text[:200]!r}: {error or 'it cannot be read'}. Templates may name each "
                f"other and count; the names here are {sorted(known)}"
            ) from None

    def _value(self, node: ast.expr, known: Mapping[str, Value]) -> Value:
        if isinstance(node, ast.Constant) and type(node.value) in (int, str):
            return _bounded(node.value)  # type: ignore[arg-type]  # mypy does not follow type() in a tuple
        if isinstance(node, ast.Name):
            if node.id not in known:
                raise _NotAllowed(f"{node.id!r} is not known")
            value = known[node.id]
            if isinstance(value, str) and node.id in self._texts and "{{" in value:
                raise _NotAllowed(f"template {node.id!r} needs arguments")
            return value
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            left, right = self._value(node.left, known), self._value(node.right, known)
            if not (isinstance(left, int) and isinstance(right, int)):
                raise _NotAllowed("only whole numbers are counted with")
            return _bounded(_OPERATIONS[type(node.op)](left, right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = self._value(node.operand, known)
            if not isinstance(number, int):
                raise _NotAllowed("only whole numbers are counted with")
            return _bounded(-number)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
            return self._called(node.func.id, node.keywords, known)
        raise _NotAllowed("it is neither a name, nor a template with arguments, nor a sum")

    def _called(self, name: str, keywords: list[ast.keyword], known: Mapping[str, Value]) -> Value:
        if name not in self._texts:
            raise _NotAllowed(f"there is no template {name!r}")
        arguments: dict[str, Value] = {}
        for keyword in keywords:
            if keyword.arg is None:
                raise _NotAllowed("arguments need names")
            arguments[keyword.arg] = self._value(keyword.value, known)
        # A template sees its arguments and nothing else, so it cannot call itself for ever.
        return Templates({}).expanded(self._texts[name], arguments)


class _NotAllowed(Exception):
    """An expression that is not within the grammar."""


@lru_cache(maxsize=1024)
def _parsed(expression: str) -> ast.expr:
    if len(expression) > _MOST_CHARACTERS:
        raise _NotAllowed(f"it has more than {_MOST_CHARACTERS} characters")
    try:
        return ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _NotAllowed("it is no expression") from None


def _bounded(value: Value) -> Value:
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        raise _NotAllowed("a number is too large")
    return value
