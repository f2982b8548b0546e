"""An input schema in use: what it fills in, what it allows, which of its fields are special."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, Final, cast

import jsonschema_rs
import msgspec

from callboard.inputs.input_schema.check import check_schema
from callboard.inputs.input_schema.defaults import with_defaults
from callboard.inputs.input_schema.errors import InvalidInput, InvalidInputSchema
from callboard.inputs.input_schema.fields import special_errors
from callboard.inputs.input_schema.js_pattern import ENGINE
from callboard.inputs.input_schema.messages import describe
from callboard.inputs.input_schema.secret_values import (
    is_encrypted,
    is_encrypted_for,
    secret_schema_changed,
)
from callboard.inputs.input_schema.translate import checking_schema, json_schema

_MAX_ERRORS: Final = 20
_MAX_MESSAGE: Final = 4000
_FULLY_TOLD_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class ResourceField:
    """A field whose value names storages or connectors the run may then use."""

    resource_type: str
    permissions: tuple[str, ...] = ()
    """READ, or READ and WRITE, that the run is to be given; none when the schema asks for none."""


@dataclass(frozen=True, eq=False)
class InputSchema:
    """A checked schema. Made by `parse_schema`; safe to share between threads."""

    document: Mapping[str, Any]
    """The schema as written. Not to be changed."""

    @property
    def fields(self) -> Mapping[str, Mapping[str, Any]]:
        """The schemas of the input's properties by name."""
        return self.document["properties"]

    @cached_property
    def secret_fields(self) -> Mapping[str, Mapping[str, Any]]:
        """The schemas of the fields whose values are stored encrypted, by name."""
        return {name: spec for name, spec in self.fields.items() if spec.get("isSecret")}

    @cached_property
    def resource_fields(self) -> Mapping[str, ResourceField]:
        """The top-level fields that pick storages or connectors, by name."""
        return {
            name: ResourceField(spec["resourceType"], tuple(spec.get("resourcePermissions", ())))
            for name, spec in self.fields.items()
            if "resourceType" in spec
        }

    def apply_defaults(self, run_input: Mapping[str, Any]) -> dict[str, Any]:
        """A copy with the schema's defaults where the input has no such property. Idempotent."""
        return with_defaults(self.document, run_input)

    def validate(self, run_input: Mapping[str, Any]) -> None:
        """Raise `InvalidInput` naming every wrong field, of a large input the first. Defaults go in before.

        Takes about 5 ms of CPU for each megabyte.
        """
        try:
            found = list(islice(_distinct(self._errors(dict(run_input))), _MAX_ERRORS))
        except (ValueError, RecursionError) as error:
            raise InvalidInput(
                "Input is not valid: it is not plain JSON or too deeply nested"
            ) from error
        if found:
            message = f"Input is not valid: {', '.join(found)}"
            raise InvalidInput(
                message if len(message) <= _MAX_MESSAGE else message[:_MAX_MESSAGE] + "…"
            )

    def to_json_schema(self) -> dict[str, Any]:
        """A plain JSON Schema saying the same, as far as JSON Schema can. A new object each time."""
        return json_schema(self.document)

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft7Validator:
        return _compiled(checking_schema(self.document))

    def _validator_without(self, sealed: Collection[str]) -> jsonschema_rs.Draft7Validator:
        """One that takes these fields as they are."""
        if not sealed:
            return self._validator
        schema = checking_schema(self.document)
        return _compiled(
            {**schema, "properties": schema["properties"] | dict.fromkeys(sealed, True)}
        )

    def _errors(self, run_input: dict[str, Any]) -> Iterator[str]:
        sealed = {
            name
            for name, spec in self.secret_fields.items()
            if is_encrypted(run_input.get(name), spec)
        }
        for error in _findings(self._validator_without(sealed), run_input):
            yield from describe(error, self.document)
        required = set(cast("list[str]", self.document.get("required", [])))
        for name, spec in self.fields.items():
            if name in sealed:
                if not is_encrypted_for(run_input[name], spec):
                    yield secret_schema_changed(name)
            elif name in run_input:
                yield from special_errors(name, spec, run_input[name], required=name in required)


def _compiled(schema: dict[str, Any]) -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(schema, pattern_options=ENGINE, offline=True)


def _findings(
    validator: jsonschema_rs.Draft7Validator, run_input: dict[str, Any]
) -> list[jsonschema_rs.ValidationError]:
    """The validator finds all errors or one, so of a large input only the first is told."""
    if validator.is_valid(run_input):
        return []
    if len(msgspec.json.encode(run_input)) <= _FULLY_TOLD_BYTES:
        return list(validator.iter_errors(run_input))
    try:
        validator.validate(run_input)
    except jsonschema_rs.ValidationError as error:
        return [error]
    return []


def _distinct(sentences: Iterator[str]) -> Iterator[str]:
    told: set[str] = set()
    for sentence in sentences:
        if sentence not in told:
            told.add(sentence)
            yield sentence


@lru_cache(maxsize=64)
def parse_schema(text: str) -> InputSchema:
    """Raise `InvalidInputSchema` unless the text is JSON of a schema that keeps the rules. Cached."""
    try:
        document = msgspec.json.decode(text.removeprefix("\ufeff"))
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidInputSchema("Input schema is not valid (It is not valid JSON)") from error
    check_schema(document)
    return InputSchema(document)
