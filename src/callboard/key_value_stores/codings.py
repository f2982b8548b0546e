"""Content codings of records: telling whether a client takes one, and undoing it piece by piece.

Records stay compressed as they were sent, and a small record may stand for a very large one. So nothing here holds
more than one piece of bounded size, whatever the input.
"""

import zlib
from collections.abc import Iterator

import brotli

PIECE_BYTES = 256 * 1024


class BrokenCoding(ValueError):
    """The bytes are not, or not all, of what their coding says."""


def is_accepted(coding: str, accept_encoding: str | None) -> bool:
    """Whether an Accept-Encoding header, None when there was none, allows a coding."""
    wildcard = False
    for part in (accept_encoding or "").split(","):
        name, *params = (each.strip().lower() for each in part.split(";"))
        is_wanted = not any(_is_zero_quality(param) for param in params)
        if name == coding:
            return is_wanted
        if name == "*":
            wildcard = is_wanted
    return wildcard


def _is_zero_quality(param: str) -> bool:
    name, _, value = param.partition("=")
    return name.strip() == "q" and value.strip().strip("0") in ("", ".")


class Inflater:
    """Undoes one coding. Feed it the encoded bytes in order, then call `finish`."""

    def __init__(self, coding: str) -> None:
        self._stream = _Brotli() if coding == "br" else _Zlib(coding)

    def feed(self, encoded: bytes) -> Iterator[bytes]:
        """What these bytes stand for, in pieces of about `PIECE_BYTES` at most. Raises BrokenCoding."""
        try:
            yield from self._stream.feed(encoded)
        except (zlib.error, brotli.error) as error:
            raise BrokenCoding(str(error)) from error

    def finish(self) -> None:
        """Raise BrokenCoding unless the encoded bytes were complete."""
        if not self._stream.is_complete:
            raise BrokenCoding("the encoded bytes end too early")


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def is_complete(self) -> bool:
        return self._stream.is_finished()

    def feed(self, encoded: bytes) -> Iterator[bytes]:
        if encoded and self._stream.is_finished():
            raise BrokenCoding("bytes after the end")
        while piece := self._stream.process(encoded, output_buffer_limit=PIECE_BYTES):
            yield piece
            if self._stream.is_finished():
                return
            encoded = b""


class _Zlib:
    """gzip, with as many members as there are, and deflate, with or without its zlib wrapper."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: zlib._Decompress | None = None  # pyright: ignore[reportPrivateUsage] - the only name of that type
        self.is_complete = False

    def feed(self, encoded: bytes) -> Iterator[bytes]:
        is_full = False
        while encoded or is_full:
            stream = self._stream or self._begin(encoded)
            piece = stream.decompress(encoded, PIECE_BYTES)
            # A full piece may leave output behind in the stream though all input is used up.
            encoded, is_full = stream.unconsumed_tail, len(piece) == PIECE_BYTES
            if piece:
                yield piece
            if stream.eof:
                encoded, is_full = self._end(stream.unused_data), False

    def _begin(self, encoded: bytes) -> "zlib._Decompress":  # pyright: ignore[reportPrivateUsage] - as above
        if self.is_complete and self._coding != "gzip":
            raise BrokenCoding("bytes after the end")
        self._stream = zlib.decompressobj(_window(self._coding, encoded))
        self.is_complete = False
        return self._stream

    def _end(self, rest: bytes) -> bytes:
        self._stream = None
        self.is_complete = True
        return rest


def _window(coding: str, encoded: bytes) -> int:
    if coding == "gzip":
        return zlib.MAX_WBITS | 16
    # "deflate" means zlib by the standard and a bare stream by some clients' habit. Zlib's first byte tells.
    return zlib.MAX_WBITS if encoded[0] & 0x0F == 8 and encoded[0] >> 4 <= 7 else -zlib.MAX_WBITS
