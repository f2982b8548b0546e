"""Taking off gzip, bzip2 and xz, piece by piece, so that a bomb is noticed before it fills memory or disk."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.fetching.limits import MIB, Budget

_CHUNK_BYTES = 256 * 1024
_XZ_MEMORY_BYTES = 256 * MIB
"""Enough for the largest dictionary of the usual settings; a file may ask for gigabytes."""
_DAMAGED = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)


def decompression(start: bytes) -> Callable[[IO[bytes]], Iterator[bytes]] | None:
    """What unpacks a file that begins with `start`; None when it is not compressed."""
    for magic, unpack in _FORMATS.items():
        if start.startswith(magic):
            return unpack
    return None


def decompress(
    packed: Path, target: Path, budget: Budget, unpack: Callable[[IO[bytes]], Iterator[bytes]]
) -> None:
    """Write the content of `packed` to the new file `target`. Raises FetchFailed."""
    with packed.open("rb") as source, target.open("xb") as file:
        for chunk in _checked(unpack(source)):
            budget.spend(len(chunk), name="the packed tar file")
            file.write(chunk)


def _checked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except _DAMAGED as error:
        raise FetchFailed(
            "The archive is damaged or cut off: it cannot be decompressed."
        ) from error


def _gzip(source: IO[bytes]) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=source) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _bzip2(source: IO[bytes]) -> Iterator[bytes]:
    with bz2.BZ2File(source) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _xz(source: IO[bytes]) -> Iterator[bytes]:
    rest = source.read(_CHUNK_BYTES)
    while rest:
        stream = lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
        while not stream.eof:
            if stream.needs_input and not rest:
                rest = source.read(_CHUNK_BYTES)
                if not rest:
                    raise EOFError
            yield stream.decompress(rest, _CHUNK_BYTES)
            rest = b""
        rest = (stream.unused_data or source.read(_CHUNK_BYTES)).lstrip(b"\0")  # padding


_FORMATS: dict[bytes, Callable[[IO[bytes]], Iterator[bytes]]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": _bzip2,
    b"\xfd7zXZ\x00": _xz,
}
