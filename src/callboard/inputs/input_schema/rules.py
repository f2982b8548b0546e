"""What version 1 of the input schema lets a property say, as one table by type.

Each kind of property lists its editors and the keywords whose values have a form of their own. Keywords
that no rule names are let through and ignored: schemas in the wild carry many.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

MAX_DEPTH: Final = 32
MAX_SCHEMA_BYTES: Final = 500 * 1024

ROOT_REQUIRED: Final = ("title", "type", "schemaVersion", "properties")
ROOT_KEYS: Final = frozenset(
    {*ROOT_REQUIRED, "description", "required", "additionalProperties", "$schema"}
)

RESOURCE_TYPES: Final = ("dataset", "keyValueStore", "requestQueue", "mcpConnector")
RESOURCE_PERMISSIONS: Final = ("READ", "WRITE")
DATE_TYPES: Final = ("absolute", "relative", "absoluteOrRelative")


def is_integer(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in cast("list[object]", value))


def _is_text_map(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(text, str) for text in cast("dict[object, object]", value).values()
    )


def _is_distinct_strings(value: object) -> bool:
    return is_strings(value) and len(set(cast("list[str]", value))) == len(cast("list[str]", value))


VALUE_TYPES: Final[Mapping[str, Callable[[object], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": is_integer,
    "number": is_number,
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}


@dataclass(frozen=True)
class Form:
    """What a keyword's value must be, and how to say so."""

    words: str
    fits: Callable[[Any], bool]


_TEXT: Final = Form("must be string", VALUE_TYPES["string"])
_SWITCH: Final = Form("must be boolean", VALUE_TYPES["boolean"])
_SIZE: Final = Form("must be integer >= 0", lambda value: is_integer(value) and value >= 0)
_INTEGER: Final = Form("must be integer", is_integer)
_NUMBER: Final = Form("must be number", is_number)
_LABELS: Final = Form("must be a non-empty array of strings", lambda v: is_strings(v) and bool(v))
_CHOICES: Final = Form(
    "must be a non-empty array of unique strings", lambda v: _is_distinct_strings(v) and bool(v)
)
_VALUES: Final = Form("must be a non-empty array", lambda v: VALUE_TYPES["array"](v) and bool(v))
_NAMES: Final = Form("must be an array of unique strings", _is_distinct_strings)

_COMMON: Final[Mapping[str, Form]] = {
    "title": _TEXT,
    "description": _TEXT,
    "sectionCaption": _TEXT,
    "sectionDescription": _TEXT,
    "nullable": _SWITCH,
    "isSecret": _SWITCH,
    "errorMessage": Form("must be an object of texts by keyword", _is_text_map),
}


@dataclass(frozen=True)
class Kind:
    """One kind of property."""

    editors: tuple[str, ...]
    editor_required: bool = False
    secret_editors: tuple[str, ...] = ()
    """The editors that may hold a secret; none means that this kind cannot be secret."""
    own: Mapping[str, Form] = field(default_factory=dict[str, Form])

    @property
    def forms(self) -> Mapping[str, Form]:
        return {**_COMMON, **self.own}


_PATTERNS: Final = {"patternKey": _TEXT, "patternValue": _TEXT}
_LENGTHS: Final = {"pattern": _TEXT, "minLength": _SIZE, "maxLength": _SIZE}
_ITEM_COUNTS: Final = {"minItems": _SIZE, "maxItems": _SIZE, "uniqueItems": _SWITCH}

_STRING_EDITORS: Final = (
    *("textfield", "textarea", "javascript", "python"),
    *("select", "datepicker", "fileupload", "hidden"),
)
_ARRAY_EDITORS: Final = (
    *("json", "requestListSources", "pseudoUrls", "globs", "keyValue"),
    *("stringList", "fileupload", "select", "schemaBased", "hidden"),
)

ANY: Final = Kind(("json", "hidden"), editor_required=True)

RESOURCE: Final = Kind(("resourcePicker", "textfield", "hidden"), own={**_LENGTHS, **_ITEM_COUNTS})

BY_TYPE: Final[Mapping[str, Kind]] = {
    "string": Kind(
        _STRING_EDITORS,
        editor_required=True,
        secret_editors=("textfield", "textarea", "hidden"),
        own={
            **_LENGTHS,
            "enum": _CHOICES,
            "enumTitles": _LABELS,
            "enumSuggestedValues": _CHOICES,
            "dateType": Form(f"must be one of {', '.join(DATE_TYPES)}", lambda v: v in DATE_TYPES),
        },
    ),
    "boolean": Kind(("checkbox", "hidden"), own={"groupCaption": _TEXT, "groupDescription": _TEXT}),
    "integer": Kind(
        ("number", "hidden"),
        own={"minimum": _INTEGER, "maximum": _INTEGER, "unit": _TEXT, "enum": _VALUES},
    ),
    "number": Kind(
        ("number", "hidden"),
        own={"minimum": _NUMBER, "maximum": _NUMBER, "unit": _TEXT, "enum": _VALUES},
    ),
    "object": Kind(
        ("json", "proxy", "schemaBased", "hidden"),
        editor_required=True,
        secret_editors=("json", "hidden"),
        own={
            **_PATTERNS,
            "minProperties": _SIZE,
            "maxProperties": _SIZE,
            "required": _NAMES,
            "additionalProperties": _SWITCH,
        },
    ),
    "array": Kind(
        _ARRAY_EDITORS,
        editor_required=True,
        secret_editors=("json", "hidden"),
        own={**_PATTERNS, **_ITEM_COUNTS, "placeholderKey": _TEXT, "placeholderValue": _TEXT},
    ),
}


def kind_of(field: Mapping[str, Any]) -> Kind | None:
    """The kind of a property by its `type` and `resourceType`, or None when there is none such."""
    types: object = field.get("type")
    if isinstance(types, list):
        return ANY
    if not isinstance(types, str):
        return None
    if "resourceType" in field and types in ("string", "array"):
        return RESOURCE
    return BY_TYPE.get(types)


def types_of(field: Mapping[str, Any]) -> list[str]:
    """The types a property's value may have, null aside."""
    types: str | list[str] = field["type"]
    return [types] if isinstance(types, str) else types
