"""Entries of a zip file."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader, FileIO
from pathlib import Path

from callboard.builders.fetching.entries import Entry, EntryKind
from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.sources import MAX_NAME_BYTES, shown_name

_MAX_DIRECTORY_BYTES = 32 * 1024 * 1024
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Those the library unpacks piece by piece. Of the others it unpacks a whole block at once, however large."""
_ENCRYPTED = 0x1
_UNIX = 3
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    NotImplementedError,  # the library's word for a way of packing, or a version, that it does not know
    struct.error,
)
"""What hostile headers and contents make the library raise."""


class _BoundedFile(BufferedReader):
    """The library reads the whole directory with one call, as long as it claims to be."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_DIRECTORY_BYTES:
            raise FetchFailed("The directory of the zip file is too large.")
        return super().read(size)


@contextmanager
def zip_entries(path: Path) -> Generator[Iterator[Entry]]:
    """Its entries; they can be opened within the block. Raises FetchFailed."""
    with _BoundedFile(FileIO(path)) as file:
        try:
            archive = zipfile.ZipFile(file)
        except UNREADABLE as error:
            raise FetchFailed("The zip file is damaged or cut off.") from error
        with archive:
            yield (_entry(archive, info) for info in archive.infolist())


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    if info.is_dir():
        return Entry(info.filename, EntryKind.FOLDER)
    if info.flag_bits & _ENCRYPTED:
        raise _refused(info, "it is encrypted")
    if info.compress_type not in _METHODS:
        raise _refused(info, "it is not packed in the usual way (deflate)")
    if stat.S_ISLNK(mode):
        return Entry(info.filename, EntryKind.LINK, target=_link_target(archive, info))
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise _refused(info, "it is a device, a pipe or a socket")
    return Entry(
        info.filename,
        EntryKind.FILE,
        is_executable=bool(mode & 0o111),
        open=partial(archive.open, info),
    )


def _refused(info: zipfile.ZipInfo, reason: str) -> FetchFailed:
    return FetchFailed(f"The archive entry {shown_name(info.filename)} is not allowed: {reason}.")


def _link_target(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    try:
        with archive.open(info) as file:
            return file.read(MAX_NAME_BYTES + 1).decode()
    except UNREADABLE as error:
        raise _refused(info, "it is a link that cannot be read") from error
