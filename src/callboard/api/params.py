"""Query parameters as the clients send them, read with the contract's errors."""

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from callboard.core.clock import parse_iso
from callboard.core.errors import ApiError, InvalidParameter

E = TypeVar("E", bound=StrEnum)

_TRUE = frozenset({"true", "1"})
_FALSE = frozenset({"false", "0"})
EXACT_MAX = 2**53
"""Up to here every whole number has a double of its own; above, databases refuse them too."""


class ParamNotOneOf(ApiError):
    status, type = 400, "param-not-one-of"


class ParameterRequired(ApiError):
    status, type = 400, "parameter-required"


class Query:
    """The query of one request. An empty value counts as not given, as clients rely on."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return self.text(name) is not None

    def text(self, name: str) -> str | None:
        return self._values.get(name) or None

    def raw(self, name: str) -> str | None:
        """The value as sent, an empty one included."""
        return self._values.get(name)

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise ParameterRequired(f'Parameter "{name}" is required.')
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """`true`/`1` and `false`/`0`, in any case."""
        value = self.optional_flag(name)
        return default if value is None else value

    def optional_flag(self, name: str) -> bool | None:
        value = self.text(name)
        if value is None:
            return None
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
        raise InvalidParameter(
            f'Parameter "{name}" must be a boolean (true, false, 1 or 0), not "{value}".'
        )

    def number(self, name: str, *, minimum: float = 0) -> float | None:
        """A finite number of at least `minimum`."""
        value = self.text(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < minimum:
            raise InvalidParameter(
                f'Parameter "{name}" must be a number of at least {minimum:g}, not "{value}".'
            )
        return number

    def integer(self, name: str, *, minimum: int = 0, maximum: int | None = None) -> int | None:
        """A whole number within the bounds. `10.0` is accepted: the contract calls its integers "double"."""
        number = self.number(name, minimum=minimum)
        if number is None:
            return None
        if number != int(number) or number > (EXACT_MAX if maximum is None else maximum):
            limit = f" and at most {EXACT_MAX if maximum is None else maximum}"
            raise InvalidParameter(
                f'Parameter "{name}" must be a whole number of at least {minimum}{limit}, '
                f'not "{self.text(name)}".'
            )
        return int(number)

    def names(self, name: str) -> list[str] | None:
        """A comma list without empty parts, or None when not given."""
        value = self.text(name)
        if value is None:
            return None
        return [part.strip() for part in value.split(",") if part.strip()]

    def one_of(self, name: str, choices: type[E]) -> E | None:
        value = self.text(name)
        return None if value is None else _choose(name, value, choices)

    def some_of(self, name: str, choices: type[E]) -> list[E] | None:
        values = self.names(name)
        return None if values is None else [_choose(name, value, choices) for value in values]

    def instant(self, name: str) -> datetime | None:
        """An ISO 8601 instant."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return parse_iso(value.replace(" ", "+"))
        except ValueError as error:
            raise InvalidParameter(
                f'Parameter "{name}" must be an ISO 8601 date, not "{value}".'
            ) from error


def _choose(name: str, value: str, choices: type[E]) -> E:
    try:
        return choices(value)
    except ValueError as error:
        options = ", ".join(choices)
        raise ParamNotOneOf(
            f'Parameter "{name}" must be one of {options}, not "{value}".'
        ) from error
