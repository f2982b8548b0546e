"""CSV as RFC 4180 quotes it. Values stay as they are: nothing guards against spreadsheet formulas."""

import re

from callboard.datasets.columns import Columns
from callboard.datasets.formats.base import BOM, Steps
from callboard.datasets.formats.table import TableWriter
from callboard.datasets.transform import Transform
from callboard.datasets.values import Record, text_of


class CsvWriter(TableWriter):
    content_type = "text/csv; charset=utf-8"

    def __init__(
        self,
        transform: Transform,
        *,
        columns: Columns,
        bom: bool,
        delimiter: str,
        skip_header_row: bool,
    ) -> None:
        super().__init__(transform, columns=columns)
        self._bom = bom
        self._delimiter = delimiter
        self._skip_header_row = skip_header_row
        self._needs_quotes = re.compile(f'["\r\n{re.escape(delimiter)}]').search

    def header(self, names: list[str]) -> bytes:
        has_row = bool(names) and not self._skip_header_row
        return BOM * self._bom + (self._line(names) if has_row else b"")

    def row(self, record: Record) -> bytes:
        cells = [text_of(value) for value in self.cells(record)]
        # A lone empty cell would be an empty line, which readers skip.
        return b'""\n' if cells == [""] else self._line(cells)

    def end(self) -> Steps:
        return iter(())

    def _line(self, cells: list[str]) -> bytes:
        return (self._delimiter.join([self._quoted(cell) for cell in cells]) + "\n").encode()

    def _quoted(self, cell: str) -> str:
        if not self._needs_quotes(cell):
            return cell
        return '"' + cell.replace('"', '""') + '"'
