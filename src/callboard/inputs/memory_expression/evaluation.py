"""Works a memory expression out, with the types and conversions of MathJS where Actors rely on them."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from callboard.inputs.memory_expression.errors import MemoryExpressionError
from callboard.inputs.memory_expression.functions import (
    FUNCTIONS,
    MISSING,
    are_equal,
    divide,
    number,
    property_of,
    remainder,
)
from callboard.inputs.memory_expression.tree import (
    Assignment,
    Call,
    Chain,
    Conditional,
    Listing,
    Literal,
    Member,
    Name,
    Node,
    Prefix,
    Statement,
)

_ARITHMETIC: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "%": remainder,
    "mod": remainder,
    "^": math.pow,
}
_COMPARISONS: Final[Mapping[str, Callable[[object, object], bool]]] = {
    "==": are_equal,
    "!=": lambda a, b: not are_equal(a, b),
    "<": lambda a, b: number(a) < number(b),
    ">": lambda a, b: number(a) > number(b),
    "<=": lambda a, b: number(a) <= number(b),
    ">=": lambda a, b: number(a) >= number(b),
}


def evaluate(statements: Sequence[Statement], variables: Mapping[str, Any]) -> object:
    """The value of the last statement that shows one. Raises `MemoryExpressionError`."""
    scope = {"undefined": MISSING, **variables}
    result: object = MISSING
    for statement in statements:
        value = _value(statement.value, scope)
        result = value if statement.is_result else result
    return result


def _value(node: Node, scope: dict[str, Any]) -> object:
    match node:
        case Literal(value):
            return value
        case Name(name):
            return _lookup(name, scope)
        case Listing(items):
            return [_value(item, scope) for item in items]
        case Member(owner, keys):
            return _member(_value(owner, scope), [_value(key, scope) for key in keys])
        case Call(function, arguments):
            return _call(function, [_value(argument, scope) for argument in arguments])
        case Prefix(sign, operand):
            return _prefixed(sign, _value(operand, scope))
        case Chain(first, rest):
            return _chain(first, rest, scope)
        case Conditional(condition, then, otherwise):
            return _value(then if _truth(_value(condition, scope)) else otherwise, scope)
        case Assignment(name, value):
            scope[name] = _value(value, scope)
            return scope[name]


def _lookup(name: str, scope: Mapping[str, Any]) -> object:
    if name not in scope:
        raise MemoryExpressionError(f"Undefined symbol {name}.")
    return cast("object", scope[name])


def _member(owner: object, keys: Sequence[object]) -> object:
    for key in keys:
        if not isinstance(owner, dict | list) or not isinstance(key, str):
            raise MemoryExpressionError("There is no such property.")
        owner = property_of(cast("object", owner), key)
    return owner


def _call(name: str, arguments: Sequence[object]) -> object:
    function = FUNCTIONS.get(name)
    if function is None:
        raise MemoryExpressionError(f"Undefined function {name}.")
    return function(arguments)


def _prefixed(sign: str, value: object) -> object:
    if sign == "not":
        return not _truth(value)
    return -number(value) if sign == "-" else number(value)


def _chain(first: Node, rest: Sequence[tuple[str, Node]], scope: dict[str, Any]) -> object:
    if rest[0][0] in _COMPARISONS:
        return _compared(first, rest, scope)
    value = _value(first, scope)
    for sign, operand in rest:
        value = _combined(sign, value, operand, scope)
    return value


def _combined(sign: str, left: object, operand: Node, scope: dict[str, Any]) -> object:
    match sign:
        case "??":
            return _value(operand, scope) if left is None or left is MISSING else left
        case "and":
            return _truth(left) and _truth(_value(operand, scope))
        case "or":
            return _truth(left) or _truth(_value(operand, scope))
        case "xor":
            return _truth(left) != _truth(_value(operand, scope))
        case _:
            return _ARITHMETIC[sign](number(left), number(_value(operand, scope)))


def _compared(first: Node, rest: Sequence[tuple[str, Node]], scope: dict[str, Any]) -> bool:
    """`a < b < c` means that both hold."""
    left = _value(first, scope)
    for sign, operand in rest:
        right = _value(operand, scope)
        if not _COMPARISONS[sign](left, right):
            return False
        left = right
    return True


def _truth(value: object) -> bool:
    if isinstance(value, dict | list):
        raise MemoryExpressionError("A list or object is neither true nor false.")
    return value is not MISSING and bool(value)
