"""How much memory a run gets, when its Actor computes that from the input.

An example: `min(get(input, 'startUrls.length', 1) * 64, 4096)`. The language is the part of MathJS that
Actors use for this. It has an evaluator of its own because the Python libraries for safe expressions
(simpleeval, asteval) read Python's syntax: no `? :`, no `??`, and `^` as exclusive or. There are no loops,
so the work is bounded by the length, and nothing but the given values can be reached.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from callboard.inputs.memory_expression.errors import MemoryExpressionError
from callboard.inputs.memory_expression.evaluation import evaluate
from callboard.inputs.memory_expression.syntax import parse
from callboard.inputs.memory_expression.templates import without_braces
from callboard.inputs.memory_expression.tree import Statement

__all__ = ["MemoryExpressionError", "check_expression", "memory_from_expression"]

MIN_MEMORY_MBYTES: Final = 128
MAX_MEMORY_MBYTES: Final = 32768


def memory_from_expression(
    expression: str,
    run_input: Mapping[str, Any] | None,
    run_options: Mapping[str, Any],
    *,
    min_mbytes: int | None = None,
    max_mbytes: int | None = None,
) -> int:
    """The memory in megabytes: the nearest power of two, within the Actor's and then the platform's bounds.

    `run_options` has the wire's names (`maxItems`, `timeoutSecs`, ...). Raises `MemoryExpressionError` and
    nothing else; the Actor's fixed default applies then.
    """
    variables = {"input": dict(run_input or {}), "runOptions": dict(run_options)}
    try:
        value = evaluate(_parsed(expression), variables)
    except (ArithmeticError, RecursionError, ValueError) as error:
        raise MemoryExpressionError("It has no finite value.") from error
    memory = _nearest_power_of_two(value)
    memory = min(max(memory, min_mbytes or 0), max_mbytes or MAX_MEMORY_MBYTES)
    return min(max(memory, MIN_MEMORY_MBYTES), MAX_MEMORY_MBYTES)


def check_expression(expression: str) -> None:
    """Raise `MemoryExpressionError` when the expression could not be evaluated for any input."""
    _parsed(expression)


@lru_cache(maxsize=256)
def _parsed(expression: str) -> tuple[Statement, ...]:
    return parse(without_braces(expression))


def _nearest_power_of_two(value: object) -> int:
    """Nearest by ratio: 900 is closer to 1024 than to 512, 181 closer to 128 than to 256."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MemoryExpressionError("The result is not a number.")
    if not 0 < value < math.inf:
        raise MemoryExpressionError("The result must be a positive number.")
    exponent = math.floor(math.log2(value) + 0.5)
    return 2 ** min(max(exponent, 0), 30)
