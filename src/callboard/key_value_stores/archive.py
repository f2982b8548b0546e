"""All records of a store as one ZIP archive, made while it is sent.

Memory holds a record or a few at a time, and for each one sent its line in the archive's directory.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import Final, cast
from zipfile import ZIP_DEFLATED

from zipstream import ZipStream

from callboard.key_value_stores.content import inflated_pieces, stored_chunks
from callboard.key_value_stores.model import Record

_BATCH_BYTES: Final = 1024 * 1024
_BATCH_RECORDS: Final = 100
_PIECE_BYTES: Final = 256 * 1024
_LEVEL: Final = 1
"""Fast: sending is what takes the time."""


async def archive_of(records: AsyncIterator[Record]) -> AsyncIterator[bytes]:
    """A file for each record, named as its key, without the coding it is stored in.

    Ends early, so that clients notice, when a record is damaged.
    """
    archive = ZipStream(compress_type=ZIP_DEFLATED, compress_level=_LEVEL)
    async for batch in _batches(records):
        files = chain.from_iterable(_file(archive, record, value) for record, value in batch)
        while piece := await asyncio.to_thread(_take, files):
            yield piece
    directory = cast("Iterator[bytes]", archive.footer())
    while piece := await asyncio.to_thread(_take, directory):
        yield piece


async def _batches(records: AsyncIterator[Record]) -> AsyncIterator[list[tuple[Record, bytes]]]:
    """The records with their stored bytes, so many at once that changing threads for them pays."""
    batch: list[tuple[Record, bytes]] = []
    size = 0
    async for record in records:
        value = await _stored(record)
        batch.append((record, value))
        size += len(value)
        if size >= _BATCH_BYTES or len(batch) == _BATCH_RECORDS:
            yield batch
            batch, size = [], 0
    yield batch


async def _stored(record: Record) -> bytes:
    try:
        return b"".join([chunk async for chunk in stored_chunks(record)])
    finally:
        await record.close()


def _file(archive: ZipStream, record: Record, value: bytes) -> Iterator[bytes]:
    coding = record.content_encoding
    content = value if coding is None else inflated_pieces(value, coding)
    archive.add(content, _file_name(record.key))  # pyright: ignore[reportUnknownMemberType] - untyped library
    yield from archive.file()


def _file_name(key: str) -> str:
    """The key, except where it would name a folder. No key has a `%`, so no two names are the same."""
    return key if key.strip(".") else key.replace(".", "%2E")


def _take(pieces: Iterator[bytes]) -> bytes:
    """The next pieces, together about `_PIECE_BYTES`; empty at the end."""
    taken: list[bytes] = []
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size >= _PIECE_BYTES:
            break
    return b"".join(taken)
