"""Holding items to the schema of their dataset.

The schema's `fields` are a JSON Schema of one item, draft-07 unless it says otherwise. Schemas come from Actors: they
cannot make the server fetch anything, and their patterns give up instead of running for ever.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

import jsonschema_rs
import msgspec

from callboard.datasets.errors import InvalidDatasetSchema, SchemaValidationFailed
from callboard.datasets.violations import unreadable, violation

MAX_INVALID_ITEMS: Final = 100
MAX_VIOLATIONS: Final = 100
"""Reported at once, of the items and of each: enough to see what is wrong, small enough to send."""

MAX_SCHEMA_BYTES: Final = 512_000
_BACKTRACK_LIMIT: Final = 100_000

_Validator: TypeAlias = Any  # the library has a class for each draft and no public base


def fields_of(schema: Any) -> dict[str, Any] | None:
    """The JSON Schema of one item, if the dataset's schema has it."""
    if not isinstance(schema, dict):
        return None
    fields = cast("dict[str, Any]", schema).get("fields")
    return cast("dict[str, Any]", fields) if isinstance(fields, dict) and fields else None


def check_schema(schema: Any) -> None:
    """Raise InvalidDatasetSchema unless pushes can be held to it. None is no schema."""
    if schema is None:
        return
    if not isinstance(schema, dict):
        raise InvalidDatasetSchema("The schema of a dataset must be a JSON object.")
    text = msgspec.json.encode(schema)
    if len(text) > MAX_SCHEMA_BYTES:
        raise InvalidDatasetSchema(
            f"The schema of a dataset may be at most {MAX_SCHEMA_BYTES} bytes long."
        )
    _validator(text.decode())


def check_items(items: Iterable[bytes], schema_text: str) -> None:
    """Raise SchemaValidationFailed when any of the items breaks the dataset's schema, given as JSON."""
    validator = _validator(schema_text)
    if validator is None:
        return
    invalid: list[dict[str, Any]] = []
    for position, item in enumerate(items):
        errors = _violations(validator, item, position)
        if errors:
            invalid.append({"itemPosition": position, "validationErrors": errors})
        if len(invalid) == MAX_INVALID_ITEMS:
            break
    if invalid:
        raise SchemaValidationFailed(data={"invalidItems": invalid})


def _violations(validator: _Validator, item: bytes, position: int) -> list[dict[str, Any]]:
    try:
        value = _decode(item)
    except msgspec.ValidationError as error:  # an integer beyond all bounds
        return [unreadable(str(error), position)]
    errors: list[dict[str, Any]] = []
    for error in validator.iter_errors(value):
        errors.append(violation(error, position))
        if len(errors) == MAX_VIOLATIONS:
            break
    return errors


@lru_cache(maxsize=64)
def _validator(schema_text: str) -> _Validator | None:
    fields = fields_of(msgspec.json.decode(schema_text))
    if fields is None:
        return None
    compile_ = jsonschema_rs.validator_for if "$schema" in fields else jsonschema_rs.Draft7Validator
    patterns = jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACK_LIMIT)
    try:
        return compile_(fields, offline=True, pattern_options=patterns)
    except (ValueError, RecursionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InvalidDatasetSchema(
            f"The fields of the dataset's schema are not a valid JSON Schema: {reason}"
        ) from error


def _number(text: str) -> float | str:
    """What no float can hold is a number to no schema either."""
    number = float(text)
    return number if math.isfinite(number) else text


_decode: Final = msgspec.json.Decoder(float_hook=_number).decode
