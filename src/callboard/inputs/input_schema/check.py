"""Whether an Actor's input schema keeps the rules of version 1. Asked once, when the Actor is built."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, cast

import msgspec

from callboard.inputs.input_schema import rules
from callboard.inputs.input_schema.errors import InvalidInputSchema
from callboard.inputs.input_schema.pattern_safety import PatternRefused, check_pattern

_PATTERN_KEYWORDS: Final = ("pattern", "patternKey", "patternValue")
_EXAMPLE_KEYWORDS: Final = ("default", "prefill", "example")


def check_schema(schema: object) -> None:
    """Raise `InvalidInputSchema` for the first thing that breaks a rule, naming the field and the rule."""
    if not isinstance(schema, dict):
        raise InvalidInputSchema("Input schema is not valid (It must be a JSON object)")
    root = cast("dict[str, Any]", schema)
    _check_size(root)
    _check_root(root)
    for name, spec in cast("dict[str, object]", root["properties"]).items():
        _check_property(f"schema.properties.{name}", spec, depth=0)
    _check_required(root, "schema")


def _refuse(path: str, words: str) -> NoReturn:
    raise InvalidInputSchema(f"Input schema is not valid (Field {path} {words})")


def _check_size(root: Mapping[str, Any]) -> None:
    try:
        size = len(msgspec.json.encode(root))
    except (RecursionError, ValueError, TypeError) as error:
        raise InvalidInputSchema("Input schema is not valid (It is not plain JSON)") from error
    if size > rules.MAX_SCHEMA_BYTES:
        limit = rules.MAX_SCHEMA_BYTES
        raise InvalidInputSchema(f"Input schema is not valid (It is larger than {limit} bytes)")


def _check_root(root: Mapping[str, Any]) -> None:
    for key in rules.ROOT_REQUIRED:
        if key not in root:
            _refuse(f"schema.{key}", "is required")
    for key in root:
        if key not in rules.ROOT_KEYS:
            raise InvalidInputSchema(
                f"Input schema is not valid (Property schema.{key} is not allowed.)"
            )
    if root["type"] != "object":
        _refuse("schema.type", 'must be equal to one of the allowed values: "object"')
    if not rules.is_integer(root["schemaVersion"]) or root["schemaVersion"] != 1:
        _refuse("schema.schemaVersion", "must be 1")
    if not isinstance(root["properties"], dict):
        _refuse("schema.properties", "must be object")
    for key in ("title", "description", "$schema"):
        if not isinstance(root.get(key, ""), str):
            _refuse(f"schema.{key}", "must be string")
    if not isinstance(root.get("additionalProperties", True), bool):
        _refuse("schema.additionalProperties", "must be boolean")


def _check_required(owner: Mapping[str, Any], path: str) -> None:
    required: object = owner.get("required", [])
    if not rules.is_strings(required):
        _refuse(f"{path}.required", "must be an array of strings")
    properties = owner.get("properties")
    for name in cast("list[str]", required):
        if isinstance(properties, dict) and name not in properties:
            _refuse(
                f"{path}.properties.{name}",
                f"does not exist, but it is specified in {path}.required. Either define the field or "
                f"remove it from {path}.required.",
            )


def _check_property(path: str, spec: object, *, depth: int) -> None:
    """`depth` 0 is a field of the input itself; deeper ones need no more than a type."""
    if not isinstance(spec, dict):
        _refuse(path, "must be object")
    if depth > rules.MAX_DEPTH:
        _refuse(path, "is nested too deeply")
    field = cast("dict[str, Any]", spec)
    kind = _kind(path, field)
    for key in ("title", "description") if depth == 0 else ():
        if key not in field:
            _refuse(f"{path}.{key}", "is required")
    for keyword, form in kind.forms.items():
        if keyword in field and not form.fits(field[keyword]):
            _refuse(f"{path}.{keyword}", form.words)
    _check_editor(path, field, kind=kind, depth=depth)
    _check_secret(path, field, kind=kind, depth=depth)
    _check_examples(path, field)
    _check_patterns(path, field)
    if "resourceType" in field:
        _check_resource(path, field)
    _check_nested(path, field, depth=depth)


def _kind(path: str, field: Mapping[str, Any]) -> rules.Kind:
    if "type" not in field:
        _refuse(f"{path}.type", "is required")
    kind = rules.kind_of(field)
    if kind is None:
        _refuse(
            path,
            "is not matching any input schema type definition. Please make sure that its type is valid.",
        )
    if kind is rules.ANY:
        _check_type_list(path, field["type"])
    return kind


def _check_type_list(path: str, types: Sequence[object]) -> None:
    if not types or not all(isinstance(each, str) and each in rules.VALUE_TYPES for each in types):
        _refuse(f"{path}.type", f"must list types out of {', '.join(rules.VALUE_TYPES)}")
    if len(set(types)) != len(types):
        _refuse(f"{path}.type", "must NOT have duplicate items")


def _check_editor(path: str, field: Mapping[str, Any], *, kind: rules.Kind, depth: int) -> None:
    if "editor" not in field:
        if kind.editor_required and depth == 0 and "enum" not in field:
            _refuse(f"{path}.editor", "is required")
        return
    if field["editor"] not in kind.editors:
        allowed = '", "'.join(kind.editors)
        _refuse(f"{path}.editor", f'must be equal to one of the allowed values: "{allowed}"')
    picks = field["editor"] == "select" and field["type"] == "string"
    if picks and "enum" not in field and "enumSuggestedValues" not in field:
        _refuse(path, "with editor select needs enum or enumSuggestedValues")


def _check_secret(path: str, field: Mapping[str, Any], *, kind: rules.Kind, depth: int) -> None:
    if not field.get("isSecret"):
        return
    if depth > 0:
        _refuse(f"{path}.isSecret", "is allowed only for fields of the input itself")
    if not kind.secret_editors:
        _refuse(f"{path}.isSecret", "is allowed only for types string, object and array")
    if field.get("editor") not in kind.secret_editors:
        allowed = '", "'.join(kind.secret_editors)
        _refuse(f"{path}.editor", f'of a secret field must be one of "{allowed}"')


def _check_examples(path: str, field: Mapping[str, Any]) -> None:
    types = rules.types_of(field)
    for keyword in _EXAMPLE_KEYWORDS:
        value = field.get(keyword)
        if value is None and (
            keyword not in field or keyword != "default" or field.get("nullable")
        ):
            continue
        if not any(rules.VALUE_TYPES[name](value) for name in types):
            _refuse(f"{path}.{keyword}", f"must be {','.join(types)}")


def _check_patterns(path: str, field: Mapping[str, Any]) -> None:
    for keyword in _PATTERN_KEYWORDS:
        if isinstance(field.get(keyword), str):
            try:
                check_pattern(field[keyword])
            except PatternRefused as error:
                raise InvalidInputSchema(
                    f'Input schema is not valid (The regular expression "{field[keyword][:200]}" in field '
                    f"{path}.{keyword} {error}.)"
                ) from error


def _check_resource(path: str, field: Mapping[str, Any]) -> None:
    if field["type"] not in ("string", "array"):
        _refuse(f"{path}.resourceType", "is allowed only for types string and array")
    if field["resourceType"] not in rules.RESOURCE_TYPES:
        allowed = '", "'.join(rules.RESOURCE_TYPES)
        _refuse(f"{path}.resourceType", f'must be equal to one of the allowed values: "{allowed}"')
    if field["resourceType"] == "mcpConnector" and not _is_servers(field.get("mcpServers")):
        _refuse(f"{path}.mcpServers", "must be a non-empty array of objects with a url")
    if "resourcePermissions" in field:
        _check_permissions(path, field)


def _is_servers(servers: object) -> bool:
    if not isinstance(servers, list) or not servers:
        return False
    return all(
        isinstance(each, dict) and bool(cast("dict[str, object]", each).get("url"))
        for each in cast("list[object]", servers)
    )


def _check_permissions(path: str, field: Mapping[str, Any]) -> None:
    permissions = field["resourcePermissions"]
    if permissions not in (["READ"], ["READ", "WRITE"], ["WRITE", "READ"]):
        _refuse(f"{path}.resourcePermissions", 'must be ["READ"] or ["READ", "WRITE"]')
    for keyword in ("default", "prefill"):
        if keyword in field:
            _refuse(f"{path}.{keyword}", "is not allowed together with resourcePermissions")


def _check_nested(path: str, field: Mapping[str, Any], *, depth: int) -> None:
    if field["type"] == "object":
        properties = field.get("properties", {})
        if not isinstance(properties, dict):
            _refuse(f"{path}.properties", "must be object")
        for name, spec in cast("dict[str, object]", properties).items():
            _check_property(f"{path}.properties.{name}", spec, depth=depth + 1)
        _check_required(field, path)
    if field["type"] == "array" and "items" in field:
        _check_property(f"{path}.items", field["items"], depth=depth + 1)
