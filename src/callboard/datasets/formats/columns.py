"""Items as rows of a table: nested values become columns of their own, named by their path (`a/b`, `a/0`).

A table has at most 2000 columns, with names of at most 200 characters. What does not fit is left out.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Final

from callboard.datasets.formats.base import PAUSE_AFTER_RECORDS, Steps, Writer
from callboard.datasets.transform import Transform
from callboard.datasets.values import Record, Value, is_null, is_scalar, open_value

MAX_COLUMNS: Final = 2000
MAX_NAME_LENGTH: Final = 200


class Columns:
    """The columns seen so far, those of one field side by side. `fields`, when given, come first and always."""

    def __init__(self, fields: tuple[str, ...] | None = None) -> None:
        self._groups: dict[str, dict[str, bool]] = {}
        self._certain: set[str] = set()  # fields that have had a value of their own
        self._room = 2 * MAX_COLUMNS  # for names that turn out to be no columns
        for field in fields or ():
            self._note(field, field, has_value=False)

    def note(self, record: Record) -> None:
        for field, value in record.items():
            if not is_scalar(value):
                for path, leaf in leaves(field, value):
                    self._note(field, path, has_value=leaf is not None)
            elif value is not None and field in self._certain:
                continue
            elif len(field) <= MAX_NAME_LENGTH:
                self._note(field, field, has_value=value is not None)

    def _note(self, field: str, path: str, *, has_value: bool) -> None:
        group = self._groups.get(field)
        if group is not None and path in group:
            group[path] = group[path] or has_value
        elif self._room:
            self._room -= 1
            self._groups.setdefault(field, {})[path] = has_value
        else:
            return
        if has_value and path == field:
            self._certain.add(field)

    @property
    def names(self) -> list[str]:
        """A field that is an object here and empty there has no column of its own."""
        names: list[str] = []
        for group in self._groups.values():
            parents = {path[:end] for path in group for end in _slashes(path)}
            names += [path for path, has_value in group.items() if has_value or path not in parents]
        return names[:MAX_COLUMNS]


def _slashes(path: str) -> Iterator[int]:
    end = path.find("/")
    while end >= 0:
        yield end
        end = path.find("/", end + 1)


def leaves(path: str, value: Value) -> Iterator[tuple[str, Value]]:
    """The scalars below a value by their paths; None for null and for empty objects and arrays."""
    if len(path) > MAX_NAME_LENGTH:
        return
    members = open_value(value)
    if members is None:
        yield path, None if is_null(value) else value
    elif not members:
        yield path, None
    elif isinstance(members, dict):
        for name, member in members.items():
            yield from leaves(f"{path}/{name}", member)
    else:
        for index, element in enumerate(members[:MAX_COLUMNS]):
            yield from leaves(f"{path}/{index}", element)


class TableWriter(Writer):
    """A writer whose columns are known only when all items have been looked at."""

    needs_survey = True

    def __init__(self, transform: Transform, *, fields: tuple[str, ...] | None) -> None:
        super().__init__(transform)
        self._columns = Columns(fields)
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
