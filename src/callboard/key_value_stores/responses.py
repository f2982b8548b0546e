"""A record as an HTTP response: its own bytes and type, in a coding the client takes."""

import hashlib
import re
from collections.abc import AsyncIterator
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from callboard.key_value_stores.codings import is_accepted
from callboard.key_value_stores.content import plain_chunks, stored_chunks
from callboard.key_value_stores.model import Record

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
# A browser's PDF viewer does not work in a sandbox, and a PDF is no part of our origin anyway.
_NEEDS_NO_SANDBOX: Final = "application/pdf"


async def record_response(
    request: Request, record: Record, *, status: int = 200, attachment: bool = False
) -> Response:
    """The response to a request, its body left out for HEAD; takes over `record`. Raises RecordCorrupt.

    A status of 200 heeds If-None-Match and Range. The record's bytes are never altered: what a browser shows is
    sandboxed instead, for a page among Actors' records must not act with the rights of this server's origin, nor
    see the token that may be in its own address.
    """
    headers = request.headers
    is_plain = record.content_encoding is not None and not is_accepted(
        record.content_encoding, headers.get("accept-encoding")
    )
    fields = _fields(record, is_plain=is_plain, attachment=attachment)
    if status == 200:
        fields["ETag"] = _etag(record, is_plain=is_plain)
        if _is_known(headers, fields["ETag"]):
            await record.close()
            return Response(status_code=304, headers=_without_content(fields))
    if request.method == "HEAD":
        await record.close()
        return _head(fields, status, None if is_plain else record.size)
    if is_plain:
        return await _plain(record, fields, status)
    if status == 200:
        fields["Accept-Ranges"] = "bytes"
        if (span := _span(headers, fields["ETag"], record.size)) is not None:
            return await _part(record, fields, span)
    return _stored(record, fields, status, 0, record.size)


def _fields(record: Record, *, is_plain: bool, attachment: bool) -> dict[str, str]:
    fields = {
        "Content-Type": record.content_type,
        "X-Content-Type-Options": "nosniff",
        # Without it browsers guess how long a record stays the same.
        "Cache-Control": "private, no-cache",
    }
    if record.content_encoding is not None:
        fields["Vary"] = "Accept-Encoding"
        if not is_plain:
            fields["Content-Encoding"] = record.content_encoding
    if attachment:
        fields["Content-Disposition"] = f'attachment; filename="{record.key}"'
    elif record.content_type != _NEEDS_NO_SANDBOX:
        fields["Content-Security-Policy"] = "sandbox"
        fields["Referrer-Policy"] = "no-referrer"
    return fields


def _etag(record: Record, *, is_plain: bool) -> str:
    name = record.blob_id or hashlib.blake2b(record.value or b"", digest_size=16).hexdigest()
    return f'"{name}-plain"' if is_plain else f'"{name}"'


def _is_known(headers: Headers, etag: str) -> bool:
    known = headers.get("if-none-match", "")
    return known.strip() == "*" or etag in [
        each.strip().removeprefix("W/") for each in known.split(",")
    ]


def _without_content(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if not name.startswith("Content-T")}


def _head(fields: dict[str, str], status: int, size: int | None) -> Response:
    if size is not None:
        return Response(
            status_code=status,
            headers={**fields, "Content-Length": str(size), "Accept-Ranges": "bytes"},
        )
    response = Response(status_code=status, headers=fields)
    del response.headers["Content-Length"]
    return response


async def _plain(record: Record, fields: dict[str, str], status: int) -> Response:
    """Inflates the beginning first, so that damage shows as an error and small records get their length."""
    chunks = plain_chunks(record)
    first: list[bytes] = []
    try:
        async for chunk in chunks:
            first.append(chunk)
            if len(first) == 2:
                return _RecordStream(record, _chained(first, chunks), status, fields)
    except BaseException:
        await record.close()
        raise
    await record.close()
    return Response(b"".join(first), status_code=status, headers=fields)


async def _chained(first: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in first:
        yield chunk
    async for chunk in rest:
        yield chunk


def _span(headers: Headers, etag: str, size: int) -> tuple[int, int] | None:
    """Start and end of the one range asked for; None for all of it, start = end for nothing that exists."""
    match = _RANGE.fullmatch(headers.get("range", "").strip())
    if match is None or headers.get("if-range", etag).strip() != etag:
        return None
    first, last = match[1][:20], match[2][:20]
    if first:
        start, end = int(first), int(last) + 1 if last else size
        if last and end <= start:
            return None
    elif last:
        start, end = max(size - int(last), 0), size
    else:
        return None
    return (start, min(end, size)) if start < size else (size, size)


async def _part(record: Record, fields: dict[str, str], span: tuple[int, int]) -> Response:
    start, end = span
    if start == end:
        await record.close()
        headers = {**_without_content(fields), "Content-Range": f"bytes */{record.size}"}
        return Response(status_code=416, headers=headers)
    fields["Content-Range"] = f"bytes {start}-{end - 1}/{record.size}"
    return _stored(record, fields, 206, start, end)


def _stored(record: Record, fields: dict[str, str], status: int, start: int, end: int) -> Response:
    if record.blob is None:
        return Response((record.value or b"")[start:end], status_code=status, headers=fields)
    fields["Content-Length"] = str(end - start)
    return _RecordStream(record, stored_chunks(record, start, end), status, fields)


class _RecordStream(StreamingResponse):
    """Lets go of the record however the sending ends."""

    def __init__(
        self, record: Record, chunks: AsyncIterator[bytes], status: int, fields: dict[str, str]
    ) -> None:
        super().__init__(chunks, status_code=status, headers=fields)
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._record.close()
