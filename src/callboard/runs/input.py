"""From what the caller sent to the INPUT record: merged, filled with defaults, validated, its secrets encrypted."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import msgspec

from callboard.inputs.input_schema import InputSchema, parse_schema
from callboard.inputs.secret_input import encrypt_secret_fields
from callboard.runs.errors import InputNotJson, InputNotObject

JSON = "application/json; charset=utf-8"
BINARY = "application/octet-stream"


@dataclass(frozen=True)
class SentInput:
    """Body and type as the caller sent them. No body and no type: no input at all."""

    body: bytes = b""
    content_type: str | None = None

    @property
    def is_absent(self) -> bool:
        return not self.body


@dataclass(frozen=True)
class RunInput:
    """The INPUT record of a run; `value` when it is a JSON object."""

    body: bytes
    content_type: str
    value: dict[str, Any] | None = None


@lru_cache(maxsize=256)
def schema_of(text: str) -> InputSchema:
    return parse_schema(text)


def is_json_type(content_type: str | None) -> bool:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def input_for_actor(sent: SentInput, schema: InputSchema | None) -> RunInput | None:
    """The input of a run started on an Actor.

    Bytes and type are kept as they came unless the schema adds to them. Without a body there is a record only if
    the schema has defaults. Raises InputNotJson, InputNotObject or InvalidInput.
    """
    if sent.is_absent:
        return _completed({}, None, schema)
    if not _is_json(sent):
        return RunInput(sent.body, sent.content_type or BINARY)
    value = _parsed(sent.body)
    content_type = sent.content_type or JSON
    if schema is None:
        return RunInput(sent.body, content_type, _object_or_none(value))
    if not isinstance(value, dict):
        raise InputNotObject
    return _completed(cast("dict[str, Any]", value), RunInput(sent.body, content_type), schema)


def input_for_task(
    sent: SentInput, task_input: dict[str, Any] | None, schema: InputSchema | None
) -> RunInput | None:
    """The input of a run started on a task: the caller's top-level properties over the task's.

    Raises InputNotJson, InputNotObject or InvalidInput.
    """
    override: Any = {}
    if not sent.is_absent:
        if sent.content_type is not None and not is_json_type(sent.content_type):
            raise InputNotJson("Only a JSON object can override the input of a task.")
        override = _parsed(sent.body)
    if not isinstance(override, dict):
        raise InputNotObject
    return _completed({**(task_input or {}), **override}, None, schema)


def _completed(
    value: dict[str, Any], sent: RunInput | None, schema: InputSchema | None
) -> RunInput | None:
    filled = value
    if schema is not None:
        filled = schema.apply_defaults(value)
        schema.validate(filled)
    if sent is not None and filled == value:
        return replace(sent, value=value)
    if not filled and sent is None:
        return None
    return RunInput(msgspec.json.encode(filled), JSON, filled)


def encrypted(
    run_input: RunInput | None, schema: InputSchema | None, public_key: Callable[[], str]
) -> RunInput | None:
    """The same input with its secret fields encrypted. `public_key` is asked for only when there are any."""
    if run_input is None or run_input.value is None or schema is None or not schema.secret_fields:
        return run_input
    value = encrypt_secret_fields(schema, run_input.value, public_key())
    if value == run_input.value:
        return run_input
    return RunInput(msgspec.json.encode(value), JSON, value)


def _is_json(sent: SentInput) -> bool:
    if sent.content_type is not None:
        return is_json_type(sent.content_type)
    try:
        msgspec.json.decode(sent.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _parsed(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputNotJson(f"The run's input is not valid JSON: {error}") from error


def _object_or_none(value: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
