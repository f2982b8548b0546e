"""The bytes of records: checked before they are stored, read as stored or with their coding undone."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Final

from callboard.api.errors import InvalidContentEncoding, InvalidContentType
from callboard.key_value_stores.codings import BrokenCoding, Inflater
from callboard.key_value_stores.errors import RecordCorrupt, RecordTooLarge
from callboard.key_value_stores.model import DEFAULT_CONTENT_TYPE, Record

MAX_INFLATED_BYTES: Final = 512 * 1024 * 1024
"""What a compressed record may stand for at most, so that reading one stays affordable."""
_CONTENT_TYPE = re.compile(r"[\x20-\x7e\xa0-\xff]{1,500}")


def checked_content_type(content_type: str | None) -> str:
    """The type to store, exactly as sent. Raises InvalidContentType for one that could not be sent back."""
    if not content_type:
        return DEFAULT_CONTENT_TYPE
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise InvalidContentType("The Content-Type header is not valid.")
    return content_type


async def check_coding(value: bytes, coding: str) -> None:
    """Raise InvalidContentEncoding unless `coding` can be undone, RecordTooLarge when that gives too much."""
    pieces = inflated_pieces(value, coding)
    try:
        # Looking for a second piece costs no more than a change of threads, and few values have one.
        first = [piece for _, piece in zip(range(2), pieces, strict=False)]
        if len(first) == 2:
            await asyncio.to_thread(_check_size, pieces, sum(map(len, first)))
    except BrokenCoding as error:
        raise InvalidContentEncoding from error


def inflated_pieces(value: bytes, coding: str) -> Iterator[bytes]:
    """`value` without its coding, in pieces of bounded size. Raises BrokenCoding."""
    inflater = Inflater(coding)
    yield from inflater.feed(value)
    inflater.finish()


def _check_size(pieces: Iterator[bytes], size: int) -> None:
    for piece in pieces:
        size += len(piece)
        if size > MAX_INFLATED_BYTES:
            raise RecordTooLarge(
                f"The record is too large: it inflates to more than {MAX_INFLATED_BYTES} bytes."
            )


async def stored_chunks(
    record: Record, start: int = 0, end: int | None = None
) -> AsyncIterator[bytes]:
    """The bytes as stored."""
    if record.blob is None:
        yield (record.value or b"")[start:end]
    else:
        async for chunk in record.blob.chunks(start, end):
            yield chunk


async def plain_chunks(record: Record) -> AsyncIterator[bytes]:
    """The bytes without their coding. Raises RecordCorrupt where they turn out not to be in it."""
    if record.content_encoding is None:
        async for chunk in stored_chunks(record):
            yield chunk
        return
    inflater = Inflater(record.content_encoding)
    try:
        async for chunk in stored_chunks(record):
            pieces = inflater.feed(chunk)
            while piece := await _next(pieces):
                yield piece
        inflater.finish()
    except BrokenCoding as error:
        raise RecordCorrupt from error


async def _next(pieces: Iterator[bytes]) -> bytes:
    return await asyncio.to_thread(next, pieces, b"")


async def read_plain(record: Record, *, limit: int) -> bytes:
    """All of it without its coding, and let the record go. Raises RecordTooLarge past `limit`, or RecordCorrupt."""
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in plain_chunks(record):
            size += len(chunk)
            if size > limit:
                raise RecordTooLarge(f"The record has more than {limit} bytes.")
            parts.append(chunk)
    finally:
        await record.close()
    return b"".join(parts)
