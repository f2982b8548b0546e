"""How items become a document: every format is a writer, driven in steps so that no step is long."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Final, TypeAlias

from callboard.datasets.transform import Transform
from callboard.datasets.values import Record

Steps: TypeAlias = Iterator[bytes | None]
"""Pieces of output. None is a point where the driver may let others have their turn."""

BOM: Final = b"\xef\xbb\xbf"
PAUSE_AFTER_RECORDS: Final = 2000


class Writer(ABC):
    """Writes one document, once: `begin`, then `rows` for page after page, then `end`. Never two steps at a time.

    A writer that `needs_survey` is first shown all pages by `survey`. `close` lets go of what it holds and may come
    between any two steps.
    """

    content_type: ClassVar[str]
    needs_survey: bool = False

    def __init__(self, transform: Transform) -> None:
        self._transform = transform

    @abstractmethod
    def begin(self) -> Steps: ...

    def rows(self, items: list[bytes]) -> Steps:
        for number, record in enumerate(self._transform.records(items), start=1):
            yield self.row(record)
            if number % PAUSE_AFTER_RECORDS == 0:
                yield None

    @abstractmethod
    def row(self, record: Record) -> bytes: ...

    @abstractmethod
    def end(self) -> Steps: ...

    def survey(self, items: list[bytes]) -> Steps:
        del items
        return iter(())

    def close(self) -> None:
        """Nothing is held, unless a writer says otherwise."""
        return
