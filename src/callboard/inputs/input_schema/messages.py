"""Says what is wrong with an input, in the words that Apify-compatible clients and their users know."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import jsonschema_rs

from callboard.inputs.input_schema.rules import types_of

_COUNTED: Final = {
    "minLength": "must NOT have fewer than {} characters",
    "maxLength": "must NOT have more than {} characters",
    "minItems": "must NOT have fewer than {} items",
    "maxItems": "must NOT have more than {} items",
    "minProperties": "must NOT have fewer than {} properties",
    "maxProperties": "must NOT have more than {} properties",
    "minimum": "must be >= {}",
    "maximum": "must be <= {}",
}


def describe(error: jsonschema_rs.ValidationError, root: Mapping[str, Any]) -> Iterator[str]:
    """Sentences for one finding of the validator; the schema's own words where it has some."""
    keyword = str(error.schema_path[-1])
    spec = _spec_at(root, error.schema_path[:-1])
    custom = spec.get("errorMessage")
    if isinstance(custom, dict) and isinstance(
        text := cast("dict[str, Any]", custom).get(keyword), str
    ):
        yield text
    elif keyword == "required":
        yield f"Field {_path(error.instance_path, error.kind.as_dict()['property'])} is required"
    elif keyword == "additionalProperties":
        for name in error.kind.as_dict()["unexpected"]:
            yield f"Property {_path(error.instance_path, name)} is not allowed."
    else:
        yield f"Field {_path(error.instance_path)} {_words(keyword, spec)}"


def _path(steps: Sequence[str | int], *more: str) -> str:
    return ".".join(["input", *(str(step) for step in steps), *more])


def _spec_at(root: Mapping[str, Any], path: Sequence[str | int]) -> Mapping[str, Any]:
    """The part of the input schema a path of the JSON Schema made from it leads to."""
    spec: object = root
    for step in path:
        spec = cast("dict[str | int, object]", spec).get(step) if isinstance(spec, dict) else None
    return cast("dict[str, Any]", spec) if isinstance(spec, dict) else {}


def _words(keyword: str, spec: Mapping[str, Any]) -> str:
    limit = spec.get(keyword)
    match keyword:
        case "type":
            return f"must be {','.join(types_of(spec)) if spec else 'string'}"
        case "enum":
            allowed = '", "'.join(str(value) for value in cast("list[object]", limit or []))
            return f'must be equal to one of the allowed values: "{allowed}"'
        case "pattern":
            return f'must match pattern "{limit}"'
        case "uniqueItems":
            return "must NOT have duplicate items"
        case _:
            return _COUNTED.get(keyword, "is not valid").format(limit)
