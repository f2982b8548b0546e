"""The columns of items as a table: nested values have columns of their own, named by their path (`a/b`, `a/0`).

A table has at most 2000 columns, with names of at most 200 characters. What does not fit is left out. A dataset
remembers the columns of all its items as long as they are few: a table of them then begins without a look at each.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec

from callboard.datasets.values import Record, Value, is_null, is_scalar, open_value

MAX_COLUMNS: Final = 2000
MAX_NAME_LENGTH: Final = 200
_MAX_REMEMBERED: Final = 500
_MAX_REMEMBERED_BYTES: Final = 8192
_decode: Final = msgspec.json.Decoder(dict[str, dict[str, bool]]).decode


class Columns:
    """The columns seen so far, those of one field side by side. `fields`, when given, come first and always."""

    def __init__(
        self, fields: tuple[str, ...] | None = None, *, at_most: int = 2 * MAX_COLUMNS
    ) -> None:
        """`at_most` are noted, more than a table has: names may turn out to be no columns."""
        self.is_complete = False
        """Whether they are those of all items to come."""
        self._groups: dict[str, dict[str, bool]] = {}
        self._certain: set[str] = set()  # fields that have had a value of their own
        self._room = at_most
        for field in fields or ():
            self._note(field, field, has_value=False)

    @property
    def is_full(self) -> bool:
        return not self._room

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

    @classmethod
    def remembered(cls, text: str) -> "Columns":
        """Those of all items."""
        columns = cls()
        columns.is_complete = True
        columns._groups = _decode(text)
        return columns

    def to_remember(self) -> str | None:
        """None when they are too many for that."""
        if self.is_full:
            return None
        text = msgspec.json.encode(self._groups)
        return text.decode() if len(text) <= _MAX_REMEMBERED_BYTES else None

    def add(self, more: "Columns") -> None:
        for field, group in more._groups.items():
            for path, has_value in group.items():
                self._note(field, path, has_value=has_value)


def to_be_remembered() -> Columns:
    return Columns(at_most=_MAX_REMEMBERED)


# A crawl pushes items of the same columns to the same dataset, over and over.
@lru_cache(maxsize=512)
def with_more(known: str, more: str) -> str | None:
    """Both as `Columns.to_remember` gives them, the known ones first. None when they are too many together."""
    columns = to_be_remembered()
    columns.add(Columns.remembered(known))
    columns.add(Columns.remembered(more))
    return columns.to_remember()


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
