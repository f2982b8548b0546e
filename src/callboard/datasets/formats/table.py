"""Items as rows of a table, with the columns that all of them have together."""

from abc import abstractmethod

from callboard.datasets.columns import Columns, leaves
from callboard.datasets.formats.base import PAUSE_AFTER_RECORDS, Steps, Writer
from callboard.datasets.transform import Transform
from callboard.datasets.values import Record, Value, is_scalar


class TableWriter(Writer):
    """A writer that has to know all columns before the first row, from a look at all items if need be."""

    def __init__(self, transform: Transform, *, columns: Columns) -> None:
        super().__init__(transform)
        self._columns = columns
        self.needs_survey = not columns.is_complete
        self._names: list[str] = []

    def survey(self, items: list[bytes]) -> Steps:
        for number, record in enumerate(self._transform.records(items), start=1):
            self._columns.note(record)
            if number % PAUSE_AFTER_RECORDS == 0:
                yield None

    def begin(self) -> Steps:
        self._names = self._columns.names
        yield self.header(self._names)

    @abstractmethod
    def header(self, names: list[str]) -> bytes:
        """The start of the document with the row of column names."""

    def cells(self, record: Record) -> list[Value]:
        """The values in column order, None where there is nothing to show."""
        found: Record = {}
        for field, value in record.items():
            if is_scalar(value):
                found[field] = value
            else:
                found.update(leaves(field, value))
        return [found.get(name) for name in self._names]
