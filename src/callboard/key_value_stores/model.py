"""Records, their keys, and what is known of them."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from callboard.blobs.base import Blob
from callboard.key_value_stores.errors import InvalidRecordKey

KEY: Final = re.compile(r"[a-zA-Z0-9!\-_.'()]{1,256}")
DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"
MAX_ROW_BYTES: Final = 64 * 1024
"""Larger values are blobs."""


def check_key(key: str) -> str:
    """Raise InvalidRecordKey unless the text can be a record's key."""
    if not KEY.fullmatch(key):
        raise InvalidRecordKey
    return key


@dataclass(frozen=True)
class Record:
    """A record with its value, or with the blob that holds it. Whoever has one with an open `blob` closes it."""

    key: str
    size: int
    """Of the value as stored, in bytes."""
    content_type: str
    content_encoding: str | None
    modified_at: datetime
    value: bytes | None
    blob_id: str | None
    blob: Blob | None = None

    async def close(self) -> None:
        if self.blob is not None:
            await self.blob.close()


@dataclass(frozen=True)
class PreparedRecord:
    """A value that is safe on disk, or small enough for a row: all that a transaction needs to store it."""

    size: int
    content_type: str
    content_encoding: str | None
    value: bytes | None
    blob_id: str | None


@dataclass(frozen=True)
class KeyEntry:
    key: str
    size: int


@dataclass(frozen=True)
class KeyPage:
    """Keys in byte order. `next_start` is the last of them when there are more."""

    items: list[KeyEntry]
    next_start: str | None


@dataclass(frozen=True)
class KeyRange:
    """Which keys: those above `after`, with a prefix, or exactly one."""

    after: str | None = None
    prefix: str = ""
    exact: str | None = None

    def within(self, *, prefix: str = "", exact: str | None = None) -> "KeyRange | None":
        """This range cut to another prefix or key; None when nothing is left."""
        longer, shorter = sorted((self.prefix, prefix), key=len, reverse=True)
        if not longer.startswith(shorter) or (exact is not None and not exact.startswith(longer)):
            return None
        return KeyRange(self.after, longer, exact)
