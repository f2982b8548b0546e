"""JSON and JSON Lines. Items that nobody wants changed go out exactly as they came in."""

from typing import Final

from callboard.datasets.formats.base import BOM, Steps, Writer
from callboard.datasets.transform import Transform
from callboard.datasets.values import Record, encode

_WITHOUT_LINE_BREAKS: Final = bytes.maketrans(b"\r\n", b"  ")


class JsonWriter(Writer):
    """One array. The separators go before every element but the first."""

    content_type = "application/json; charset=utf-8"

    def __init__(self, transform: Transform, *, bom: bool) -> None:
        super().__init__(transform)
        self._bom = bom
        self._separator = b""

    def begin(self) -> Steps:
        yield BOM * self._bom + b"["

    def rows(self, items: list[bytes]) -> Steps:
        if self._transform.is_identity:
            yield self._next_separator() + b",".join(items)
        else:
            yield from super().rows(items)

    def row(self, record: Record) -> bytes:
        return self._next_separator() + encode(record)

    def end(self) -> Steps:
        yield b"]"

    def _next_separator(self) -> bytes:
        separator, self._separator = self._separator, b","
        return separator


class JsonLinesWriter(Writer):
    """One line for each item. In JSON a line break can only be spacing, so a space does as well."""

    content_type = "application/jsonl; charset=utf-8"

    def __init__(self, transform: Transform, *, bom: bool) -> None:
        super().__init__(transform)
        self._bom = bom

    def begin(self) -> Steps:
        yield BOM * self._bom

    def rows(self, items: list[bytes]) -> Steps:
        if self._transform.is_identity:
            yield b"".join([_line(item) for item in items])
        else:
            yield from super().rows(items)

    def row(self, record: Record) -> bytes:
        return _line(encode(record))

    def end(self) -> Steps:
        return iter(())


def _line(item: bytes) -> bytes:
    if b"\n" in item or b"\r" in item:
        item = item.translate(_WITHOUT_LINE_BREAKS)
    return item + b"\n"
