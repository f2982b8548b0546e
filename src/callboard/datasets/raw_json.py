"""JSON values kept as the text they came in, opened one level at a time.

What is not looked into is never re-written: numbers keep their digits, strings their escapes.
"""

from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

Record: TypeAlias = dict[str, Raw]
"""An item with its fields still in text."""

_decode_record: Final = msgspec.json.Decoder(Record).decode
_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_string: Final = msgspec.json.Decoder(str).decode
encode: Final = msgspec.json.Encoder().encode

_OBJECT, _ARRAY, _STRING, _NULL = b'{["n'


def open_record(item: bytes | Raw) -> Record:
    return _decode_record(item)


def open_value(value: Raw) -> Record | list[Raw] | None:
    """The members of an object or the elements of an array, None for anything else."""
    first = memoryview(value)[0]
    if first == _OBJECT:
        return _decode_record(value)
    if first == _ARRAY:
        return _decode_list(value)
    return None


def is_null(value: Raw) -> bool:
    return memoryview(value)[0] == _NULL


def is_string(value: Raw) -> bool:
    return memoryview(value)[0] == _STRING


def text_of(value: Raw) -> str:
    """A string itself, nothing for null, the JSON text of anything else."""
    first = memoryview(value)[0]
    if first == _STRING:
        return _decode_string(value)
    return "" if first == _NULL else bytes(value).decode()
