"""A bare HTML table. All text is escaped: items come from anywhere."""

from html import escape

from callboard.datasets.columns import Columns
from callboard.datasets.formats.base import BOM, Steps
from callboard.datasets.formats.table import TableWriter
from callboard.datasets.transform import Transform
from callboard.datasets.values import Record, text_of


class HtmlWriter(TableWriter):
    content_type = "text/html; charset=utf-8"

    def __init__(self, transform: Transform, *, columns: Columns, bom: bool) -> None:
        super().__init__(transform, columns=columns)
        self._bom = bom

    def header(self, names: list[str]) -> bytes:
        cells = "".join([f"<th>{escape(name)}</th>" for name in names])
        row = f"<tr>{cells}</tr>" if names else ""
        return BOM * self._bom + f"<table>{row}".encode()

    def row(self, record: Record) -> bytes:
        cells = "".join([f"<td>{escape(text_of(value))}</td>" for value in self.cells(record)])
        return f"<tr>{cells}</tr>".encode()

    def end(self) -> Steps:
        yield b"</table>"
