"""What happens to items between the dataset and the reader: filtered, unwound, flattened, picked, renamed.

The order is fixed: failed pages, hidden fields and empty items go first, then unwinding, flattening, and last the
choice and the names of fields.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from callboard.datasets.values import Record, Value, is_null, open_record, open_value

SIMPLIFIED_FIELDS: Final = ("url", "pageFunctionResult", "errorInfo")
SIMPLIFIED_UNWIND: Final = "pageFunctionResult"
MAX_UNWINDS: Final = 50
MAX_FLATTEN_DEPTH: Final = 64
"""Deeper objects stay as they are: every level costs another look at the text below it."""


@dataclass(frozen=True)
class Shape:
    """What a reader wants items to look like. The default leaves them alone."""

    is_simplified: bool = False
    skip_failed_pages: bool = False
    skip_hidden: bool = False
    skip_empty: bool = False
    unwind: tuple[str, ...] = ()
    flatten: tuple[str, ...] = ()
    fields: tuple[str, ...] | None = None
    output_fields: tuple[str, ...] | None = None
    """New names of `fields`, one each."""
    omit: frozenset[str] = frozenset()

    @property
    def is_identity(self) -> bool:
        return self == Shape()

    @property
    def renaming(self) -> list[tuple[str, str]] | None:
        """Pairs of field and output name in output order, None when all fields are wanted. Omitting wins."""
        if self.fields is None:
            return None
        pairs = zip(self.fields, self.output_fields or self.fields, strict=True)
        return [(field, output) for field, output in pairs if field not in self.omit]


class Transform:
    """Turns stored items into records of a shape, one at a time: an unwound item may be any number of them."""

    def __init__(self, shape: Shape, *, opened: Callable[[bytes], Record] = open_record) -> None:
        self._opened = opened
        self._shape = shape
        self.is_identity = shape.is_identity
        self._renaming = shape.renaming
        simplified = (SIMPLIFIED_UNWIND,) if shape.is_simplified else ()
        self._unwind = (*simplified, *shape.unwind)[:MAX_UNWINDS]

    def records(self, items: Iterable[bytes]) -> Iterator[Record]:
        for item in items:
            record = self._filtered(self._opened(item))
            if record is not None:
                if self.is_identity:
                    yield record
                    continue
                for unwound in _unwound(record, self._unwind):
                    yield self._chosen(self._flattened(unwound))

    def _filtered(self, record: Record) -> Record | None:
        shape = self._shape
        if shape.skip_failed_pages and _is_failed(record):
            return None
        if shape.skip_hidden:
            record = {name: value for name, value in record.items() if name[:1] != "#"}
        if shape.skip_empty and not record:
            return None
        if shape.is_simplified:
            return {name: record[name] for name in SIMPLIFIED_FIELDS if name in record}
        return record

    def _flattened(self, record: Record) -> Record:
        for name in self._shape.flatten:
            if name in record:
                record = _flattened(record, name)
        return record

    def _chosen(self, record: Record) -> Record:
        if self._renaming is not None:
            return {output: record[name] for name, output in self._renaming if name in record}
        if self._shape.omit:
            return {name: value for name, value in record.items() if name not in self._shape.omit}
        return record


def _is_failed(record: Record) -> bool:
    error = record.get("errorInfo")
    return error is not None and not is_null(error)


def _unwound(record: Record, names: tuple[str, ...]) -> Iterator[Record]:
    if not names:
        yield record
        return
    for one in _unwound_once(record, names[0]):
        yield from _unwound(one, names[1:])


def _unwound_once(record: Record, name: str) -> Iterator[Record]:
    opened = open_value(record[name]) if name in record else None
    if opened is None:
        yield record
        return
    parent = {key: value for key, value in record.items() if key != name}
    if isinstance(opened, dict):
        yield parent | opened
        return
    for element in opened:
        members = open_value(element)
        yield parent | (members if isinstance(members, dict) else {name: element})


def _flattened(record: Record, name: str) -> Record:
    """The record with the object in `name` replaced, where it stands, by its members."""
    flat: Record = {}
    for key, value in record.items():
        if key == name:
            flat.update(_leaves(key, value, MAX_FLATTEN_DEPTH))
        else:
            flat[key] = value
    return flat


def _leaves(path: str, value: Value, depth: int) -> Iterator[tuple[str, Value]]:
    members = open_value(value) if depth else None
    if not isinstance(members, dict) or not members:
        yield path, value
        return
    for name, member in members.items():
        yield from _leaves(f"{path}.{name}", member, depth - 1)
