"""The body of a push: taken apart into items that are each the text the client sent.

Whatever gets past here can be read again in every format: it is UTF-8, well-formed, an object, and not nested deeper
than the readers go.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import msgspec

from callboard.api.errors import InvalidJson
from callboard.datasets.columns import to_be_remembered
from callboard.datasets.errors import InvalidItems
from callboard.datasets.field_names import memorable
from callboard.datasets.values import Record, decode_record, open_record

MAX_DEPTH: Final = 400
_MAX_NOTED_BYTES: Final = 16_384
"""Of an item that is looked into. More would take too long for those who wait for other things meanwhile."""
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = b" \t\r\n"
_decode_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STEPS: Final = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
_SLICE: Final = 65_536
_BUT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\(?:u[0-9a-fA-F]{4}|.)",
    re.DOTALL,
)
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]..", re.DOTALL)


@dataclass(frozen=True)
class Incoming:
    """Items of one push. `clean_count` are those with any field that is not hidden."""

    items: list[bytes]
    size: int
    clean_count: int
    fields: tuple[str, ...]
    """Names of the top-level fields of all items, as they appear: those that are worth remembering."""
    columns: str | None
    """Those of all items as a table; None when they are too many to be remembered."""


def parse_items(body: bytes) -> Incoming:
    """Raises InvalidJson or InvalidItems."""
    body = body.removeprefix(_BOM).strip(_SPACE)
    try:
        if not body.isascii():
            body.decode()
        return _taken_apart(body)
    except UnicodeDecodeError as error:
        raise InvalidJson("The request body is not valid UTF-8.") from error
    except RecursionError as error:
        raise _too_deep() from error


def _taken_apart(body: bytes) -> Incoming:
    try:
        return _measured(_split(body))
    except msgspec.DecodeError as error:
        # JavaScript cuts strings between surrogates and escapes what is left; parsers there accept it.
        repaired = _ESCAPE.sub(_without_lone_surrogate, body)
        if repaired == body:
            raise InvalidJson(f"The request body is not valid JSON: {error}") from error
        return _taken_apart(repaired)


def _split(body: bytes) -> list[bytes]:
    if body[:1] != b"[":
        return [body]
    return [bytes(item) for item in _decode_items(body)]


def _measured(items: list[bytes]) -> Incoming:
    fields: dict[str, None] = {}
    columns = to_be_remembered()
    is_known = True
    clean_count = size = 0
    for position, item in enumerate(items):
        is_known = is_known and len(item) <= _MAX_NOTED_BYTES and not columns.is_full
        record = _record(item, position, decode_record if is_known else open_record)
        if is_known:
            columns.note(record)
        fields.update(dict.fromkeys(record))
        may_hide = b'"#' in item or b"\\" in item
        clean_count += _is_clean(record) if may_hide else bool(record)
        size += len(item)
    return Incoming(
        items=items,
        size=size,
        clean_count=clean_count,
        fields=memorable(fields),
        columns=columns.to_remember() if is_known else None,
    )


def _record(item: bytes, position: int, opened: Callable[[bytes], Record]) -> Record:
    if item[:1] != b"{":
        raise InvalidItems(
            "The request body must be a JSON object or an array of objects: "
            f"the item at position {position} is something else."
        )
    record = opened(item)
    if len(item) > 2 * MAX_DEPTH and _is_too_deep(item):
        raise _too_deep()
    return record


def _is_clean(names: Iterable[str]) -> bool:
    return any(name[:1] != "#" for name in names)


def _is_too_deep(item: bytes) -> bool:
    if item.count(b"{") + item.count(b"[") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub(b"", item).translate(None, _BUT_BRACKETS)
    depth = 0
    for start in range(0, len(brackets), _SLICE):  # slices, for other threads to have their turns
        steps = map(_STEPS.__getitem__, brackets[start : start + _SLICE])
        depths = list(accumulate(steps, initial=depth))
        if max(depths) > MAX_DEPTH:
            return True
        depth = depths[-1]
    return False


def _too_deep() -> InvalidItems:
    return InvalidItems(f"An item is nested deeper than {MAX_DEPTH} levels.")


def _without_lone_surrogate(escape: re.Match[bytes]) -> bytes:
    """Pairs are twelve characters long, so a surrogate of six stands alone."""
    text = escape.group()
    return rb"\ufffd" if len(text) == 6 and _SURROGATE.fullmatch(text) else text
