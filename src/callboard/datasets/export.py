"""Streaming items out: page by page through the database's readers, never more than a page in memory.

A page is read, transformed and written in threads, so the event loop is free for others: a small page all in the
database's reader, a large one in two turns. Positions never change, so pages read one after another are one whole.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from itertools import chain
from typing import Final, TypeAlias

from sqlalchemy import Connection

from callboard.datasets import repository
from callboard.datasets.formats.base import Steps, Writer
from callboard.datasets.model import Span
from callboard.db.base import Database

CHUNK_BYTES: Final = 524_288
_AT_ONCE_BYTES: Final = 65_536
CLOSING_THREAD: Final = "dataset-export-close"

_Work: TypeAlias = Callable[[list[bytes], bool, bool], Steps]
"""What to do with a page of items, told whether it is the first and whether it is the last."""


class ItemsGoneError(RuntimeError):
    """The dataset was deleted and reclaimed while it was being read."""


class Pass:
    """One way through a span of items, in steps that each end after a bounded amount of output."""

    def __init__(self, db: Database, pk: int, span: Span, work: _Work) -> None:
        self._db = db
        self._pk = pk
        self._rest = span
        self._work = work
        self._steps: Steps | None = None
        self._is_first = True
        self._is_stopped = False
        self._turn = (
            threading.Lock()
        )  # held while at work, also when no coroutine waits for it any more

    @property
    def is_finished(self) -> bool:
        return not self._is_first and self._steps is None and not self._rest.count

    async def step(self) -> bytes:
        """Some output, possibly none. Raises ItemsGoneError when there is no more to read but should be."""
        if self._steps is None:
            return await self._db.read(self._next_page)
        return await asyncio.to_thread(self._advance, self._steps)

    def _next_page(self, tx: Connection) -> bytes:
        items = repository.read_page(tx, self._pk, self._rest) if self._rest.count else []
        if self._rest.count and not items:
            raise ItemsGoneError(f"The items of dataset {self._pk} are gone.")
        self._rest = self._rest.after(len(items))
        steps = self._work(items, self._is_first, self._rest.count == 0)
        self._is_first = False
        if sum(map(len, items)) > _AT_ONCE_BYTES:
            self._steps = steps  # too long to keep a reader of the database from others
            return b""
        return self._advance(steps)

    def _advance(self, steps: Steps) -> bytes:
        chunk: list[bytes] = []
        size = 0
        with self._turn:
            if self._is_stopped:
                return b""
            self._steps = steps
            for piece in steps:
                if piece is not None:
                    chunk.append(piece)
                    size += len(piece)
                if piece is None or size > CHUNK_BYTES:
                    break
            else:
                self._steps = None
        return b"".join(chunk)

    def stop(self) -> None:
        """Do no more. Returns when the step that may be at work in another thread has ended."""
        with self._turn:
            self._is_stopped = True

    @property
    def is_at_work(self) -> bool:
        return self._turn.locked()


class Export:
    """A document of a dataset's items, made while it is read: iterate it once, and close it in any case."""

    def __init__(
        self,
        db: Database,
        pk: int,
        span: Span,
        writer: Writer,
        *,
        on_start: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._on_start: Callable[[], None] | None = on_start
        self._survey = Pass(db, pk, span, lambda items, _first, _last: writer.survey(items))
        self._writing = Pass(db, pk, span, self._written)

    def _written(self, items: list[bytes], is_first: bool, is_last: bool) -> Steps:
        return chain(
            self._writer.begin() if is_first else (),
            self._writer.rows(items),
            self._writer.end() if is_last else (),
        )

    @property
    def is_finished(self) -> bool:
        return self._writing.is_finished

    async def read(self) -> bytes:
        """The next part of the document, empty only at its end."""
        if self._on_start is not None:
            self._on_start()
            self._on_start = None
        while self._writer.needs_survey and not self._survey.is_finished:
            await self._survey.step()
        chunk = b""
        while not chunk and not self.is_finished:
            chunk = await self._writing.step()
        return chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read():
            yield chunk

    def close(self) -> None:
        """Let go of temporary files, as soon as the step that may still be at work in a thread has ended."""
        if self._writing.is_at_work:
            threading.Thread(target=self._close, name=CLOSING_THREAD).start()
        else:
            self._close()

    def _close(self) -> None:
        self._writing.stop()
        self._writer.close()
