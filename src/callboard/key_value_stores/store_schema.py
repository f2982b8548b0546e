"""Schemas of key-value stores: collections of keys, with the content types and JSON their records must have.

A schema comes from a client or an Actor, so anything may be in it. Parts that mean nothing here are ignored.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final, cast

import jsonschema_rs
import msgspec

from callboard.key_value_stores.errors import (
    InvalidCollection,
    RecordAgainstSchema,
    StoreSchemaInvalid,
)

_PATTERNS: Final = jsonschema_rs.FancyRegexOptions(backtrack_limit=200_000)
"""Past this many steps back a value counts as not matching, so no pattern can hold up the server."""
_MAX_ERRORS: Final = 20
_JSON: Final = "application/json"


class _CollectionWire(msgspec.Struct, rename="camel"):
    key: str | None = None
    key_prefix: str | None = None
    content_types: list[str] | None = None
    json_schema: dict[str, Any] | bool | None = None


class _SchemaWire(msgspec.Struct):
    collections: dict[str, _CollectionWire] = {}


@dataclass(frozen=True)
class Collection:
    """The records with one key, or with keys of one prefix, and what they must be."""

    name: str
    key: str | None
    key_prefix: str
    content_types: tuple[str, ...]
    json_schema: bytes | None

    def has(self, key: str) -> bool:
        return key.startswith(self.key_prefix) if self.key is None else key == self.key

    @property
    def needs_content(self) -> bool:
        """Whether `check` looks at the content."""
        return self.json_schema is not None

    def check(self, content_type: str, content: bytes) -> None:
        """Raise RecordAgainstSchema for a record that may not be here. `content` is without its coding."""
        media_type = content_type.partition(";")[0].strip().lower()
        if self.content_types and not any(_is_of(media_type, each) for each in self.content_types):
            allowed = ", ".join(self.content_types)
            raise RecordAgainstSchema(
                f'Records of the collection "{self.name}" must have the content type {allowed}, '
                f'not "{media_type}".'
            )
        if self.json_schema is not None:
            self._check_json(content)

    def _check_json(self, content: bytes) -> None:
        try:
            value = msgspec.json.decode(content)
            errors = list(
                islice(_validator(self.json_schema or b"").iter_errors(value), _MAX_ERRORS)
            )
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise RecordAgainstSchema(
                f'Records of the collection "{self.name}" must be JSON: {error}'
            ) from error
        if errors:
            found = [_error_wire(error) for error in errors]
            raise RecordAgainstSchema(
                f'The record does not match the JSON schema of the collection "{self.name}": '
                f"{found[0]['message']}",
                data={"validationErrors": found},
            )


def parse_collections(schema: Any) -> tuple[Collection, ...]:
    """The collections of a store's schema, none when there is no schema. Raises StoreSchemaInvalid."""
    if schema is None:
        return ()
    try:
        wire = msgspec.convert(schema, _SchemaWire)
    except msgspec.ValidationError as error:
        raise StoreSchemaInvalid(
            f"The schema of the key-value store is not valid: {error}"
        ) from error
    return tuple(_collection(name, spec) for name, spec in wire.collections.items())


def find_collection(schema: Any, name: str) -> Collection:
    """Raise StoreSchemaInvalid without a usable schema, InvalidCollection when it has no such collection."""
    if schema is None:
        raise StoreSchemaInvalid("The key-value store has no schema, so it has no collections.")
    for collection in parse_collections(schema):
        if collection.name == name:
            return collection
    raise InvalidCollection(name)


def _collection(name: str, spec: _CollectionWire) -> Collection:
    if (spec.key is None) == (spec.key_prefix is None):
        raise StoreSchemaInvalid(f'The collection "{name}" must have either a key or a keyPrefix.')
    encoded = None
    if spec.json_schema is not None:
        encoded = msgspec.json.encode(spec.json_schema)
        _check_compiles(name, encoded)
    types = [_JSON] if encoded is not None else spec.content_types or []
    return Collection(
        name=name,
        key=spec.key,
        key_prefix=spec.key_prefix or "",
        content_types=tuple(each.strip().lower() for each in types),
        json_schema=encoded,
    )


def _check_compiles(name: str, encoded: bytes) -> None:
    try:
        _validator(encoded)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        message = str(error).partition("\n")[0]
        raise StoreSchemaInvalid(
            f'The jsonSchema of the collection "{name}" is not valid: {message}'
        ) from error


@lru_cache(maxsize=128)
def _validator(encoded: bytes) -> jsonschema_rs.Draft7Validator:
    """Never fetches what a schema refers to."""
    schema = cast("dict[str, Any] | bool", msgspec.json.decode(encoded))
    return jsonschema_rs.Draft7Validator(schema, pattern_options=_PATTERNS, offline=True)


def _is_of(media_type: str, allowed: str) -> bool:
    allowed = allowed.partition(";")[0].strip()
    if allowed.endswith("/*"):
        return media_type.startswith(allowed[:-1])
    return media_type == allowed


def _error_wire(error: jsonschema_rs.ValidationError) -> dict[str, Any]:
    return {
        "instancePath": "".join(f"/{part}" for part in error.instance_path),
        "message": error.message[:500],
    }
