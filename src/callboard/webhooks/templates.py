"""Payload and headers templates: JSON with `{{variable.property}}` where a value goes.

Outside of strings a variable is replaced by its JSON (anything falsy by null). Inside strings it is text like any
other, unless strings are interpolated: then a string that is only a variable becomes its value, and a variable
within more text becomes text. Templates come from users, so both time and size are bounded.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import msgspec

from callboard.core.clock import iso
from callboard.webhooks.errors import InvalidTemplate
from callboard.webhooks.model import EventType

MAX_RENDERED_CHARS = 9_437_184
ROOTS = ("userId", "createdAt", "eventType", "eventData", "resource", "globals")
_DEFAULT_KEYS = ROOTS[:-1]

# Possessive repeats and character classes that exclude each other keep both patterns linear.
_STRING_OR_VARIABLE = re.compile(r'"(?:[^"\\]|\\.)*+"?|\{\{([^{}"]*+)\}\}', re.DOTALL)
_VARIABLE_IN_STRING = re.compile(r"\{\{[ \t]*+([A-Za-z0-9_.-]++)[ \t]*+\}\}")


def variables(
    *,
    user_id: str,
    created_at: datetime,
    event_type: EventType,
    event_data: Mapping[str, Any],
    resource: Mapping[str, Any],
) -> dict[str, Any]:
    """What templates of a dispatch may name. The instant is that of the event, however late the call."""
    return {
        "userId": user_id,
        "createdAt": iso(created_at),
        "eventType": event_type,
        "eventData": event_data,
        "resource": resource,
        "globals": {"dateISO": iso(created_at), "dateUnix": int(created_at.timestamp())},
    }


def check(payload: str | None, headers: str | None, *, interpolate: bool) -> None:
    """Raise InvalidTemplate for templates that could not be rendered whatever the variables hold."""
    render_payload(payload, {}, interpolate=interpolate)
    render_headers(headers, {}, interpolate=interpolate)


def render_payload(template: str | None, values: Mapping[str, Any], *, interpolate: bool) -> bytes:
    """The JSON payload. Without a template, an object of all variables but `globals`."""
    if template is None:
        return msgspec.json.encode({name: values.get(name) for name in _DEFAULT_KEYS})
    return _Rendering("payloadTemplate", values).render(template, interpolate=interpolate)


def render_headers(
    template: str | None, values: Mapping[str, Any], *, interpolate: bool
) -> dict[str, str]:
    """The headers that a template gives; those whose value is null are left out."""
    if template is None:
        return {}
    rendered = _Rendering("headersTemplate", values).render(template, interpolate=interpolate)
    headers = msgspec.json.decode(rendered)
    if not isinstance(headers, dict):
        raise InvalidTemplate("headersTemplate must be a JSON object.")
    return {
        name: _header_text(name, value)
        for name, value in cast("dict[str, Any]", headers).items()
        if value is not None
    }


def _header_text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return msgspec.json.encode(value).decode()
    raise InvalidTemplate(f'headersTemplate must have only strings as values: "{name}" is not one.')


class _Rendering:
    """One template being filled in. Values may be missing: then every variable is null."""

    def __init__(self, field: str, values: Mapping[str, Any]) -> None:
        self._field = field
        self._values = values
        self._chars_left = MAX_RENDERED_CHARS

    def render(self, template: str, *, interpolate: bool) -> bytes:
        text = _STRING_OR_VARIABLE.sub(self._replace, template)
        try:
            value = msgspec.json.decode(text)
            if not interpolate:
                return text.encode()
            return msgspec.json.encode(self._interpolated(value))
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise InvalidTemplate(
                f"{self._field} is not valid JSON once its variables are filled in: {error}"
            ) from error

    def _replace(self, match: re.Match[str]) -> str:
        name: str | None = match.group(1)
        if name is None:
            return match.group()
        return self._spent(_json(self._look_up(name.strip()) or None))

    def _interpolated(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._interpolated_text(value)
        if isinstance(value, list):
            return [self._interpolated(item) for item in cast("list[Any]", value)]
        if isinstance(value, dict):
            pairs = cast("dict[str, Any]", value).items()
            return {key: self._interpolated(item) for key, item in pairs}
        return value

    def _interpolated_text(self, text: str) -> Any:
        whole = _VARIABLE_IN_STRING.fullmatch(text)
        if whole is not None:
            found = self._look_up(whole.group(1))
            self._spent(_json(found))
            return found
        return _VARIABLE_IN_STRING.sub(self._as_text, text)

    def _as_text(self, match: re.Match[str]) -> str:
        found = self._look_up(match.group(1))
        return self._spent(found if isinstance(found, str) else _json(found))

    def _look_up(self, name: str) -> Any:
        root, *properties = name.split(".")
        if root not in ROOTS:
            raise InvalidTemplate(
                f'{self._field} names an unknown variable "{name}". Use one of: {", ".join(ROOTS)}.'
            )
        found = self._values.get(root)
        for key in properties:
            found = _property(found, key)
        return found

    def _spent(self, text: str) -> str:
        self._chars_left -= len(text)
        if self._chars_left < 0:
            raise InvalidTemplate(
                f"{self._field} grows beyond {MAX_RENDERED_CHARS} characters "
                "once its variables are filled in."
            )
        return text


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _property(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).get(key)
    if isinstance(value, list) and key.isdecimal() and len(key) < 7:
        items = cast("list[Any]", value)
        return items[int(key)] if int(key) < len(items) else None
    return None
