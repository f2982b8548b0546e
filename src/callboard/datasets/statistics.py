"""Statistics of the fields that a dataset's schema names, computed in one pass over its items.

Numbers count by value, strings and arrays by length, objects by their number of keys, booleans as 0 and 1.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from callboard.datasets.formats.base import PAUSE_AFTER_RECORDS, Steps
from callboard.datasets.values import Value, is_null, is_string, open_record, open_value, text_of

_BOOLEANS: Final = {"true": 1, "false": 0}


@dataclass
class FieldStatistics:
    """`empty_count` are items without the field, `null_count` those where it is null."""

    minimum: float | None = None
    maximum: float | None = None
    null_count: int = 0
    empty_count: int = 0

    def note(self, value: Value) -> None:
        if value is None:
            self.empty_count += 1
        elif is_null(value):
            self.null_count += 1
        elif (measure := measure_of(value)) is not None:
            self.minimum = measure if self.minimum is None else min(self.minimum, measure)
            self.maximum = measure if self.maximum is None else max(self.maximum, measure)


def measure_of(value: Value) -> float | None:
    """What a value counts as; None for a number that is beyond all others."""
    members = open_value(value)
    if members is not None:
        return len(members)
    text = text_of(value)
    if is_string(value):
        return len(text)
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    try:
        number = msgspec.json.decode(text, type=int | float)
    except msgspec.ValidationError:
        return None
    return number if math.isfinite(number) else None


class Survey:
    """Adds up statistics of some fields, page after page."""

    def __init__(self, schema_fields: dict[str, Any]) -> None:
        properties = schema_fields.get("properties")
        names = cast("dict[str, Any]", properties) if isinstance(properties, dict) else {}
        self.fields = {name: FieldStatistics() for name in names}

    def work(self, items: list[bytes], is_first: bool, is_last: bool) -> Steps:
        del is_first, is_last
        for number, item in enumerate(items, start=1):
            record = open_record(item)
            for name, statistics in self.fields.items():
                statistics.note(record.get(name))
            if number % PAUSE_AFTER_RECORDS == 0:
                yield None
