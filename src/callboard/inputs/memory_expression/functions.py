"""The functions a memory expression may call, and the conversions that its operators share with them."""

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from callboard.inputs.memory_expression.errors import MemoryExpressionError

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


class _Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "undefined"


MISSING: Final = _Missing()
"""What an absent property gives. Not the same as null, except to `??` and `get`."""


def number(value: object) -> float:
    """Numbers, true and false, and texts that are numbers. Raises `MemoryExpressionError` for others."""
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError as error:
            raise MemoryExpressionError("A text is not a number.") from error
    raise MemoryExpressionError("A number is expected.")


def are_equal(one: object, other: object) -> bool:
    """Texts by their characters; numbers up to rounding; null and undefined each only to itself."""
    if one is None or other is None or one is MISSING or other is MISSING:
        return one is other
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return math.isclose(number(one), number(other), rel_tol=1e-12)


def property_of(owner: object, key: str) -> object:
    """A property by name, an array's element by its index from 0, the length of arrays and texts."""
    if isinstance(owner, dict):
        return cast("dict[str, object]", owner).get(key, MISSING)
    if isinstance(owner, list | str):
        items = cast("Sequence[object]", owner)
        if key == "length":
            return len(items)
        if _INDEX.fullmatch(key) and int(key) < len(items):
            return items[int(key)]
    return MISSING


def _get(arguments: Sequence[object]) -> object:
    """`get(object, path, default)`: the default where any step of the dotted path leads nowhere or to null."""
    owner, path, *default = arguments
    if not isinstance(path, str):
        raise MemoryExpressionError("The path of get must be a text.")
    for key in path.split("."):
        owner = property_of(owner, key)
    if owner is None or owner is MISSING:
        return default[0] if default else MISSING
    return owner


def _numbers(values: Sequence[object]) -> Iterator[float]:
    for value in values:
        if isinstance(value, list):
            yield from _numbers(cast("list[object]", value))
        else:
            yield number(value)


def _of_list(function: Callable[[list[float]], float]) -> Callable[[Sequence[object]], object]:
    def call(arguments: Sequence[object]) -> object:
        values = list(_numbers(arguments))
        if not values:
            raise MemoryExpressionError("A function got no values.")
        return function(values)

    return call


def _of_one(function: Callable[[float], float]) -> Callable[[Sequence[object]], object]:
    def call(arguments: Sequence[object]) -> object:
        (value,) = arguments
        return function(number(value))

    return call


def _of_two(function: Callable[[float, float], float]) -> Callable[[Sequence[object]], object]:
    def call(arguments: Sequence[object]) -> object:
        one, other = arguments
        return function(number(one), number(other))

    return call


def divide(one: float, other: float) -> float:
    """By zero gives infinity, which `min` may still bring down."""
    if other != 0:
        return one / other
    return math.copysign(math.inf, one) if one else math.nan


def remainder(one: float, other: float) -> float:
    return one % other if other != 0 else one


def _round(arguments: Sequence[object]) -> object:
    """`round(value, digits)`. Halves go away from zero."""
    value, *digits = map(number, arguments)
    places = digits[0] if digits else 0
    if len(digits) > 1 or not 0 <= places <= 15:
        raise MemoryExpressionError("The number of digits must be 0 to 15.")
    scale = 10.0 ** int(places)
    return math.copysign(math.floor(abs(value) * scale + 0.5) / scale, value)


def _log(arguments: Sequence[object]) -> object:
    """`log(value, base)`, natural without a base."""
    value, *base = map(number, arguments)
    return math.log(value, *base)


def _compare_text(arguments: Sequence[object]) -> object:
    one, other = arguments
    if not isinstance(one, str) or not isinstance(other, str):
        raise MemoryExpressionError("compareText expects two texts.")
    return (one > other) - (one < other)


def _equal(arguments: Sequence[object]) -> object:
    one, other = arguments
    return are_equal(one, other)


def _sign(value: float) -> float:
    return (value > 0) - (value < 0)


_PLAIN: Final[Mapping[str, Callable[[Sequence[Any]], object]]] = {
    "get": _get,
    "compareText": _compare_text,
    "equal": _equal,
    "equalText": lambda arguments: _compare_text(arguments) == 0,
    "unequal": lambda arguments: not _equal(arguments),
    "min": _of_list(min),
    "max": _of_list(max),
    "sum": _of_list(math.fsum),
    "add": _of_list(math.fsum),
    "multiply": _of_list(math.prod),
    "mean": _of_list(lambda values: math.fsum(values) / len(values)),
    "subtract": _of_two(operator.sub),
    "divide": _of_two(divide),
    "mod": _of_two(remainder),
    "pow": _of_two(math.pow),
    "smaller": _of_two(operator.lt),
    "smallerEq": _of_two(operator.le),
    "larger": _of_two(operator.gt),
    "largerEq": _of_two(operator.ge),
    "and": _of_two(lambda one, other: bool(one and other)),
    "or": _of_two(lambda one, other: bool(one or other)),
    "xor": _of_two(lambda one, other: bool(one) != bool(other)),
    "not": _of_one(operator.not_),
    "number": _of_one(float),
    "abs": _of_one(math.fabs),
    "sign": _of_one(_sign),
    "round": _round,
    "floor": _of_one(math.floor),
    "ceil": _of_one(math.ceil),
    "fix": _of_one(int),
    "sqrt": _of_one(math.sqrt),
    "cbrt": _of_one(math.cbrt),
    "square": _of_one(lambda value: value * value),
    "cube": _of_one(lambda value: value * value * value),
    "exp": _of_one(math.exp),
    "log": _log,
    "log2": _of_one(math.log2),
    "log10": _of_one(math.log10),
}


def _guarded(
    name: str, function: Callable[[Sequence[Any]], object]
) -> Callable[[Sequence[Any]], object]:
    def call(arguments: Sequence[Any]) -> object:
        try:
            return function(arguments)
        except (TypeError, ValueError) as error:
            raise MemoryExpressionError(f"Wrong arguments of function {name}.") from error

    return call


FUNCTIONS: Final = {name: _guarded(name, function) for name, function in _PLAIN.items()}
"""By name; each takes its arguments as one sequence and raises `MemoryExpressionError` or `ArithmeticError`."""
