"""The older way to name a variable: `{{input.count}}`, which means the same as `input.count`."""

import re
from typing import Final

from callboard.inputs.memory_expression.errors import MemoryExpressionError

_VARIABLE: Final = re.compile(r"\{\{\s*([A-Za-z0-9_.]+)\s*\}\}")
_RUN_OPTIONS: Final = frozenset(
    {
        "build",
        "timeoutSecs",
        "memoryMbytes",
        "diskMbytes",
        "maxItems",
        "maxTotalChargeUsd",
        "restartOnError",
    }
)


def without_braces(expression: str) -> str:
    """Raises `MemoryExpressionError` for a variable that is neither the input's nor a run option."""
    return _VARIABLE.sub(_bare, expression)


def _bare(match: re.Match[str]) -> str:
    source, _, key = match[1].partition(".")
    if (source == "input" and key) or (source == "runOptions" and key in _RUN_OPTIONS):
        return match[1]
    raise MemoryExpressionError(f"Invalid variable {{{{{match[1]}}}}}.")
