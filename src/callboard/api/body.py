"""Request bodies: read within the payload limit, inflated within the same limit, parsed with clear errors."""

import asyncio
import zlib
from typing import Any, TypeVar

import brotli
import msgspec
from starlette.requests import ClientDisconnect, Request

from callboard.api.errors import (
    InvalidContentEncoding,
    InvalidJson,
    RequestTooLarge,
    UnsupportedContentEncoding,
)
from callboard.api.headers import first
from callboard.core.errors import InvalidRequest

MAX_BODY_BYTES = 9_437_184
CODINGS = ("gzip", "br", "deflate")
_OFF_LOOP_FROM_BYTES = 65_536

S = TypeVar("S")


def content_coding(request: Request) -> str | None:
    """The coding the body came in, None for identity. Raises UnsupportedContentEncoding."""
    given = first(request.scope["headers"], b"content-encoding")
    if not given:
        return None
    coding = given.decode("latin-1").strip().lower()
    if coding in ("", "identity"):
        return None
    if coding not in CODINGS:
        raise UnsupportedContentEncoding(
            f'Content-Encoding "{coding}" is not supported. Use one of: gzip, br, deflate, identity.'
        )
    return coding


async def read_raw(request: Request) -> bytes:
    """The body as sent. Raises RequestTooLarge as soon as that is known."""
    declared = first(request.scope["headers"], b"content-length") or b""
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _too_large(int(declared))
    pieces: list[bytes] = []
    size, is_whole = 0, False
    while not is_whole:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > MAX_BODY_BYTES:
            raise _too_large(size)
        is_whole = not message.get("more_body", False)
    return b"".join(pieces)


async def inflate(body: bytes, coding: str | None) -> bytes:
    """Undo `coding`. A body that grows beyond the payload limit is refused before it fills the memory."""
    if coding is None or not body:
        return body
    if len(body) < _OFF_LOOP_FROM_BYTES:
        return _inflate(body, coding)
    return await asyncio.to_thread(_inflate, body, coding)


def _inflate(body: bytes, coding: str) -> bytes:
    try:
        inflated, is_whole = _unbrotli(body) if coding == "br" else _unzip(body, coding)
    except (zlib.error, brotli.error) as error:
        raise InvalidContentEncoding from error
    if len(inflated) > MAX_BODY_BYTES:
        raise _too_large(len(inflated))
    if not is_whole:
        raise InvalidContentEncoding
    return inflated


def _unzip(body: bytes, coding: str) -> tuple[bytes, bool]:
    # "deflate" means zlib by the standard and a bare stream by some clients' habit.
    is_bare = coding == "deflate" and (
        body[0] & 0x0F != 8 or int.from_bytes(body[:2], "big") % 31 != 0
    )
    window = -zlib.MAX_WBITS if is_bare else zlib.MAX_WBITS | 32
    stream = zlib.decompressobj(window)
    inflated = stream.decompress(body, MAX_BODY_BYTES + 1)
    return inflated, stream.eof or len(inflated) > MAX_BODY_BYTES


def _unbrotli(body: bytes) -> tuple[bytes, bool]:
    stream = brotli.Decompressor()
    inflated = stream.process(body, output_buffer_limit=MAX_BODY_BYTES + 1)
    while not stream.is_finished() and len(inflated) <= MAX_BODY_BYTES:
        more = stream.process(b"", output_buffer_limit=MAX_BODY_BYTES + 1 - len(inflated))
        if not more:
            break
        inflated += more
    return inflated, stream.is_finished()


def _too_large(size: int) -> RequestTooLarge:
    return RequestTooLarge(
        f"The POST payload is too large (limit: {MAX_BODY_BYTES} bytes, actual length: {size} bytes)."
    )


def parse_json(body: bytes) -> Any:
    """Any JSON value. Raises InvalidJson."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(f"The request body is not valid JSON: {error}") from error


def parse_as(body: bytes, shape: type[S]) -> S:
    """JSON of a given shape. Raises InvalidJson, or InvalidRequest naming the field that is wrong."""
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The request body is not valid: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(f"The request body is not valid JSON: {error}") from error
