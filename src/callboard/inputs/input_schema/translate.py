"""An input schema as plain JSON Schema, without what only Apify-compatible tools understand.

Only known keywords are carried over. So a schema can neither reference other documents nor use parts of
JSON Schema that input schemas do not have. Fields stay where they were: a path in one is a path in the other.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from callboard.inputs.input_schema import rules
from callboard.inputs.input_schema.js_pattern import strict

_DECIDING: Final = (
    *("enum", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
)
_EXPLAINING: Final = ("title", "description", "default")


def json_schema(root: Mapping[str, Any]) -> dict[str, Any]:
    """For people and other tools, such as the OpenAPI description of an Actor."""
    result: dict[str, Any] = {key: root[key] for key in ("title", "description") if key in root}
    return {**result, **_object(root, for_checking=False), "type": "object"}


def checking_schema(root: Mapping[str, Any]) -> dict[str, Any]:
    """For the validator: what decides validity and nothing else, with patterns in strict syntax."""
    return {**_object(root, for_checking=True), "type": "object"}


def _field(spec: Mapping[str, Any], *, for_checking: bool) -> dict[str, Any]:
    kind = rules.kind_of(spec)
    known: Mapping[str, rules.Form] = kind.forms if kind else {}
    result = {key: spec[key] for key in _DECIDING if key in spec and key in known}
    result["type"] = _type(spec)
    if "enum" in result and spec.get("nullable"):
        result["enum"] = [*spec["enum"], None]
    if "pattern" in result and for_checking:
        result["pattern"] = strict(spec["pattern"])
    if not for_checking:
        result.update({key: spec[key] for key in _EXPLAINING if key in spec})
        result.update(_examples(spec))
    if spec["type"] == "object":
        result.update(_object(spec, for_checking=for_checking))
    if spec["type"] == "array":
        result.update(_items(spec, for_checking=for_checking))
    return result


def _type(spec: Mapping[str, Any]) -> str | list[str]:
    return [*rules.types_of(spec), "null"] if spec.get("nullable") else spec["type"]


def _examples(spec: Mapping[str, Any]) -> dict[str, Any]:
    found = [spec[key] for key in ("example", "prefill") if spec.get(key) is not None]
    return {"examples": found} if found else {}


def _object(spec: Mapping[str, Any], *, for_checking: bool) -> dict[str, Any]:
    properties = cast("Mapping[str, Mapping[str, Any]]", spec.get("properties", {}))
    result: dict[str, Any] = {
        "properties": {
            name: _field(each, for_checking=for_checking) for name, each in properties.items()
        }
    }
    for key in ("required", "additionalProperties"):
        if key in spec:
            result[key] = spec[key]
    return result


def _items(spec: Mapping[str, Any], *, for_checking: bool) -> dict[str, Any]:
    if "items" in spec:
        return {"items": _field(spec["items"], for_checking=for_checking)}
    return {"items": {"type": "string"}} if "resourceType" in spec else {}
