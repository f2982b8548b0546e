"""Excel workbooks, written row by row to a temporary file: memory does not grow with the number of items."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import xlsxwriter

from callboard.datasets.columns import Columns
from callboard.datasets.formats.base import Steps
from callboard.datasets.formats.table import TableWriter
from callboard.datasets.transform import Transform
from callboard.datasets.values import Record, Value, is_string, text_of

MAX_ROWS: Final = 1_048_576
"""Of a sheet, by Excel's own limit. What does not fit goes on another sheet."""

_MAX_EXACT_DIGITS: Final = 15
_READ_BYTES: Final = 262_144


class XlsxWriter(TableWriter):
    content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def __init__(self, transform: Transform, *, columns: Columns, max_rows: int = MAX_ROWS) -> None:
        super().__init__(transform, columns=columns)
        self._max_rows = max_rows
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._workbook: Any = None
        self._sheet: Any = None
        self._next_row = 0

    def header(self, names: list[str]) -> bytes:
        self._folder = tempfile.TemporaryDirectory(prefix="callboard-xlsx-")
        self._workbook = xlsxwriter.Workbook(
            str(Path(self._folder.name, "items.xlsx")),
            {"constant_memory": True, "tmpdir": self._folder.name},
        )
        self._workbook.use_zip64()
        self._add_sheet(names)
        return b""

    def _add_sheet(self, names: list[str]) -> None:
        number = len(self._workbook.worksheets()) + 1
        self._sheet = self._workbook.add_worksheet("Data" if number == 1 else f"Data {number}")
        for column, name in enumerate(names):
            self._sheet.write_string(0, column, name)
        self._next_row = 1

    def row(self, record: Record) -> bytes:
        if self._next_row == self._max_rows:
            self._add_sheet(self._names)
        for column, value in enumerate(self.cells(record)):
            if value is not None:
                self._write(column, value)
        self._next_row += 1
        return b""

    def _write(self, column: int, value: Value) -> None:
        text = text_of(value)
        if is_string(value):
            self._sheet.write_string(self._next_row, column, text)
        elif text in ("true", "false"):
            self._sheet.write_boolean(self._next_row, column, text == "true")
        elif (number := _number(text)) is not None:
            self._sheet.write_number(self._next_row, column, number)
        else:
            self._sheet.write_string(self._next_row, column, text)

    def end(self) -> Steps:
        yield None  # packing the file is a long step: it gets a turn of its own
        self._workbook.close()
        yield from self._file()

    def _file(self) -> Iterator[bytes]:
        with Path(self._workbook.filename).open("rb") as file:
            while chunk := file.read(_READ_BYTES):
                yield chunk

    def close(self) -> None:
        """Also drops a workbook that was left half-written, without writing the rest of it."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _number(text: str) -> float | None:
    """None for what Excel would round or cannot hold: an integer of 16 digits is better shown as it is."""
    if len(text.lstrip("-")) > _MAX_EXACT_DIGITS and text.lstrip("-").isdigit():
        return None
    number = float(text)
    return number if math.isfinite(number) else None
