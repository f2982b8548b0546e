"""Items in the two forms in which they are read.

For JSON the values stay the text they came in (`Raw`), opened one level at a time: what is not looked into is never
re-written. For all other formats items are decoded at once, with the text of fractions kept, which is several times
faster. The functions here take values of both forms.
"""

from typing import Any, Final, TypeAlias, cast

import msgspec
from msgspec import Raw

Value: TypeAlias = Any
"""`Raw`, or a decoded value in which a `Fraction` is the text of a number."""

Record: TypeAlias = dict[str, Value]


class Fraction(str):
    """A number that is no integer, as it was written: 1.50 stays 1.50, and 1e999 is nobody's infinity."""

    __slots__ = ()


_decode_record: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_string: Final = msgspec.json.Decoder(str).decode
_decode_whole: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Fraction).decode
encode: Final = msgspec.json.Encoder().encode

_OBJECT, _ARRAY, _STRING, _NULL = b'{["n'


def open_record(item: bytes) -> Record:
    """The fields of an item, their values still in text."""
    return _decode_record(item)


def decode_record(item: bytes) -> Record:
    """The fields of an item, decoded; in text where an integer is beyond what can be decoded."""
    try:
        return _decode_whole(item)
    except msgspec.ValidationError:
        return _decode_record(item)


def is_scalar(value: object) -> bool:
    """True for a decoded value without parts. What is still in text is not known to be one."""
    kind = type(value)
    return not (kind is dict or kind is list or kind is Raw)


def open_value(value: Value) -> Record | list[Value] | None:
    """The members of an object or the elements of an array, None for anything else."""
    if type(value) is not Raw:
        return None if is_scalar(value) else value
    first = memoryview(value)[0]
    if first == _OBJECT:
        return cast("Record", _decode_record(value))
    if first == _ARRAY:
        return cast("list[Value]", _decode_list(value))
    return None


def is_null(value: Value) -> bool:
    return value is None or (type(value) is Raw and memoryview(value)[0] == _NULL)


def is_string(value: Value) -> bool:
    return type(value) is str or (type(value) is Raw and memoryview(value)[0] == _STRING)


def text_of(value: Value) -> str:
    """A string itself, nothing for null, the JSON text of anything else."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    if type(value) is not Raw:
        return encode(_with_fractions(value)).decode()
    first = memoryview(value)[0]
    if first == _STRING:
        return _decode_string(value)
    return "" if first == _NULL else bytes(value).decode()


def _with_fractions(value: Value) -> Value:
    """The value with the texts of fractions as numbers again."""
    if type(value) is Fraction:
        return Raw(value.encode())
    if type(value) is dict:
        members = cast("Record", value)
        return {name: _with_fractions(member) for name, member in members.items()}
    if type(value) is list:
        return [_with_fractions(element) for element in cast("list[Value]", value)]
    return value
