"""Entries of a tar file, which is plain and on disk."""

import os
import tarfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader, FileIO
from pathlib import Path
from typing import IO

from callboard.builders.fetching.entries import Entry, EntryKind
from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.sources import shown_name

_MAX_HEADER_BYTES = 1024 * 1024
_UNREADABLE = (tarfile.TarError, EOFError, ValueError, IndexError, RecursionError, OverflowError)
"""What hostile headers make the library raise."""


class _BoundedFile(BufferedReader):
    """The library reads a header with one call, as long as the header claims to be."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_HEADER_BYTES:
            raise FetchFailed("The tar file is damaged: a header in it is too long.")
        return super().read(size)


@contextmanager
def tar_entries(path: Path) -> Generator[Iterator[Entry]]:
    """Its entries; they can be opened within the block. Raises FetchFailed."""
    with _BoundedFile(FileIO(path)) as file:
        try:
            archive = tarfile.TarFile(fileobj=file, errorlevel=1)
        except _UNREADABLE as error:
            raise FetchFailed(
                "What was downloaded is no archive: neither zip nor tar, tar.gz, tar.bz2 or tar.xz."
            ) from error
        with archive:
            yield _entries(archive, file)


def _entries(archive: tarfile.TarFile, file: _BoundedFile) -> Iterator[Entry]:
    last = "the start"
    try:
        for member in archive:
            last = shown_name(member.name)
            if member.size < 0:
                raise FetchFailed(f"The tar file is damaged at {last}.")
            yield _entry(archive, member)
    except (*_UNREADABLE, OSError) as error:
        raise FetchFailed(f"The tar file is damaged or cut off after {last}.") from error
    _check_end(archive, file, last)


def _check_end(archive: tarfile.TarFile, file: _BoundedFile, last: str) -> None:
    """The library takes a header that it cannot read for the end."""
    file.seek(archive.offset, os.SEEK_SET)
    if any(file.read(tarfile.BLOCKSIZE)):
        raise FetchFailed(f"The tar file is damaged or cut off after {last}.")


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    if member.isdir():
        return Entry(member.name, EntryKind.FOLDER)
    if member.issym():
        return Entry(member.name, EntryKind.LINK, target=member.linkname)
    if not member.isreg():
        raise FetchFailed(
            f"The archive entry {shown_name(member.name)} is not allowed: it is {_shown_type(member)}."
        )
    return Entry(
        member.name,
        EntryKind.FILE,
        is_executable=bool(member.mode & 0o111),
        open=partial(_opened, archive, member),
    )


def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    if file is None:
        raise FetchFailed(f"The archive entry {shown_name(member.name)} cannot be read.")
    return file


def _shown_type(member: tarfile.TarInfo) -> str:
    if member.islnk():
        return "a hard link"
    if member.isfifo():
        return "a named pipe"
    return "a device" if member.isdev() else "of an unknown type"
