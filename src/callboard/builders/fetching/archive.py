"""Unpacking an archive: zip, or tar that may be compressed. Nothing it says is trusted."""

import tarfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from callboard.builders.fetching.compression import decompress, decompression
from callboard.builders.fetching.entries import Entry, EntryKind, collect
from callboard.builders.fetching.errors import FetchFailed
from callboard.builders.fetching.limits import Budget, Limits
from callboard.builders.fetching.tar_archive import tar_entries
from callboard.builders.fetching.zip_archive import UNREADABLE, zip_entries
from callboard.builders.sources import shown_name

_CHUNK_BYTES = 256 * 1024
_MAX_LAYERS = 2
"""A server may compress once more what is compressed."""
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_WEB_PAGE = (b"<!doctype html", b"<html")
_DAMAGED = (*UNREADABLE, tarfile.TarError, OSError)


@dataclass(frozen=True)
class Unpacked:
    files: int
    size_bytes: int


def unpack(packed: Path, target: Path, limits: Limits | None = None) -> Unpacked:
    """Write what `packed` holds as a tree at the new folder `target`.

    All names are checked before the first file is written. Raises FetchFailed, then `target` may hold a part.
    Scratch files beside `packed` are left to whoever owns the folder.
    """
    limits = limits or Limits()
    packed_bytes = packed.stat().st_size
    with _entries(_decompressed(packed, limits.budget(packed_bytes))) as entries:
        found = collect(entries, max_files=limits.files)
        return _write(found, target, limits.budget(packed_bytes))


def _decompressed(packed: Path, budget: Budget) -> Path:
    for layer in range(_MAX_LAYERS):
        step = decompression(_start(packed))
        if step is None:
            break
        plain = packed.with_name(f"{packed.name}.{layer}")
        decompress(packed, plain, budget, step)
        packed = plain
    return packed


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _entries(archive: Path) -> AbstractContextManager[Iterator[Entry]]:
    start = _start(archive)
    if start.lstrip().lower().startswith(_WEB_PAGE):
        raise FetchFailed("What was downloaded is a web page, no archive. Is the URL right?")
    return zip_entries(archive) if start.startswith(_ZIP_MAGIC) else tar_entries(archive)


def _write(found: Mapping[str, Entry], target: Path, budget: Budget) -> Unpacked:
    """Links come last: until then nothing can be written through one."""
    target.mkdir()
    for entry in found.values():
        folder = entry.name if entry.kind is EntryKind.FOLDER else entry.name.rpartition("/")[0]
        (target / folder).mkdir(parents=True, exist_ok=True)
    files = [entry for entry in found.values() if entry.kind is EntryKind.FILE]
    for entry in files:
        _write_file(entry, target / entry.name, budget)
    for entry in found.values():
        if entry.kind is EntryKind.LINK:
            (target / entry.name).symlink_to(entry.target)
    return Unpacked(len(files), budget.used_bytes)


def _write_file(entry: Entry, path: Path, budget: Budget) -> None:
    is_executable = entry.is_executable
    with path.open("xb") as file:
        for number, chunk in enumerate(_chunks(entry)):
            if number == 0 and chunk.startswith(b"#!"):
                is_executable = True
            budget.spend(len(chunk), name=shown_name(entry.name))
            file.write(chunk)
    path.chmod(0o755 if is_executable else 0o644)


def _chunks(entry: Entry) -> Iterator[bytes]:
    try:
        source: IO[bytes] | None = entry.open() if entry.open else None
        if source is None:
            return
        with source:
            while chunk := source.read(_CHUNK_BYTES):
                yield chunk
    except _DAMAGED as error:
        raise FetchFailed(
            f"The archive is damaged or cut off: {shown_name(entry.name)} cannot be read."
        ) from error
