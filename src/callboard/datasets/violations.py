"""Breaches of a schema in the words that clients know: AJV's, which the contract's validation errors come from.

Paths start at the pushed array, so an error of the second item begins with `/1`.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import jsonschema_rs

MAX_MESSAGE_LENGTH: Final = 500

_Words: TypeAlias = Callable[[dict[str, Any]], tuple[dict[str, Any], str]]


def violation(error: jsonschema_rs.ValidationError, position: int) -> dict[str, Any]:
    keyword = str(error.kind.name)
    params, message = _worded(keyword, error)
    return {
        "instancePath": _pointer([position, *error.instance_path]),
        "schemaPath": _pointer(["items", *error.schema_path]),
        "keyword": keyword,
        "params": params,
        "message": message,
    }


def unreadable(message: str, position: int) -> dict[str, Any]:
    return {
        "instancePath": _pointer([position]),
        "schemaPath": _pointer(["items"]),
        "keyword": "type",
        "params": {},
        "message": message,
    }


def _worded(keyword: str, error: jsonschema_rs.ValidationError) -> tuple[dict[str, Any], str]:
    words = _WORDS.get(keyword)
    if words is None:
        return {}, error.message[:MAX_MESSAGE_LENGTH]
    return words(error.kind.as_dict())


def _pointer(path: list[str | int]) -> str:
    return "".join(["/" + str(step).replace("~", "~0").replace("/", "~1") for step in path])


def _limit(comparison: str) -> _Words:
    return lambda kind: (
        {"comparison": comparison, "limit": kind["limit"]},
        f"must be {comparison} {kind['limit']}",
    )


def _size(words: str, unit: str) -> _Words:
    return lambda kind: (
        {"limit": kind["limit"]},
        f"must NOT have {words} than {kind['limit']} {unit}",
    )


def _type(kind: dict[str, Any]) -> tuple[dict[str, Any], str]:
    types = ",".join(kind["types"])
    return {"type": types}, f"must be {types}"


def _required(kind: dict[str, Any]) -> tuple[dict[str, Any], str]:
    name = kind["property"]
    return {"missingProperty": name}, f"must have required property '{name}'"


def _additional(kind: dict[str, Any]) -> tuple[dict[str, Any], str]:
    return (
        {"additionalProperty": kind["unexpected"][0][:MAX_MESSAGE_LENGTH]},
        "must NOT have additional properties",
    )


def _enum(kind: dict[str, Any]) -> tuple[dict[str, Any], str]:
    return {"allowedValues": kind["options"]}, "must be equal to one of the allowed values"


def _pattern(kind: dict[str, Any]) -> tuple[dict[str, Any], str]:
    pattern = kind.get("pattern")
    if pattern is None:  # the engine gave up on it
        return {}, str(kind["error"])
    return {"pattern": pattern}, f'must match pattern "{pattern}"'


def _format(kind: dict[str, Any]) -> tuple[dict[str, Any], str]:
    return {"format": kind["format"]}, f'must match format "{kind["format"]}"'


_WORDS: Final[dict[str, _Words]] = {
    "type": _type,
    "required": _required,
    "additionalProperties": _additional,
    "enum": _enum,
    "pattern": _pattern,
    "format": _format,
    "minimum": _limit(">="),
    "maximum": _limit("<="),
    "exclusiveMinimum": _limit(">"),
    "exclusiveMaximum": _limit("<"),
    "minLength": _size("fewer", "characters"),
    "maxLength": _size("more", "characters"),
    "minItems": _size("fewer", "items"),
    "maxItems": _size("more", "items"),
    "minProperties": _size("fewer", "properties"),
    "maxProperties": _size("more", "properties"),
}
