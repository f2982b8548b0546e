"""Blobs as files of one folder, for the embedded server.

A blob is written under another name, flushed to disk, renamed, and its folder flushed: only then does it exist.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TypeVar

from callboard.blobs.base import Blob, BlobNotFound, BlobStore, InvalidBlobId
from callboard.core.ids import ID_LENGTH, new_id

T = TypeVar("T")
CHUNK_BYTES = 256 * 1024
LIST_LENGTH = 1000
THREADS = 8
_ID = re.compile(rf"[a-zA-Z0-9]{{{ID_LENGTH}}}")
_UNFINISHED = "unfinished"
_SHARD_LENGTH = 2


class FileBlobStore(BlobStore):
    """Blobs in `folder`, which one server process owns. Ids are spread over subfolders by their first letters."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unfinished = folder / _UNFINISHED
        self._durable_folders: set[Path] = set()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        self._unfinished.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in self._unfinished.iterdir():
            leftover.unlink()
        _flush_folder(folder.parent)

    async def put(self, blob_id: str, chunks: AsyncIterable[bytes]) -> int:
        path = self._path(blob_id)
        unfinished = self._unfinished / new_id()
        try:
            file = await _finished(self._threads, lambda: FileIO(unfinished, "xb"))
            try:
                size = 0
                async for chunk in chunks:
                    await _finished(self._threads, partial(_write_whole, file, chunk))
                    size += len(chunk)
                await _finished(self._threads, lambda: self._finish(file, unfinished, path))
            finally:
                file.close()
        except BaseException:
            self._threads.submit(unfinished.unlink, missing_ok=True)
            raise
        return size

    def _finish(self, file: FileIO, unfinished: Path, path: Path) -> None:
        os.fsync(file.fileno())
        if path.parent not in self._durable_folders:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            _flush_folder(self._folder)
            self._durable_folders.add(path.parent)
        unfinished.rename(path)
        _flush_folder(path.parent)

    async def open(self, blob_id: str) -> Blob:
        if not _ID.fullmatch(blob_id):
            raise BlobNotFound(blob_id)
        path = self._path(blob_id)
        try:
            file, size = await _finished(self._threads, lambda: _open_sized(path))
        except FileNotFoundError as error:
            raise BlobNotFound(blob_id) from error
        return _FileBlob(file, size, self._threads)

    async def delete(self, blob_id: str) -> None:
        if _ID.fullmatch(blob_id):
            path = self._path(blob_id)
            await _finished(self._threads, lambda: path.unlink(missing_ok=True))

    async def list_ids(self, *, before: datetime) -> AsyncIterator[list[str]]:
        found = _old_ids(self._folder, before.timestamp())
        while ids := await _finished(self._threads, lambda: _take(found, LIST_LENGTH)):
            yield ids

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)

    def _path(self, blob_id: str) -> Path:
        if not _ID.fullmatch(blob_id):
            raise InvalidBlobId(f"{blob_id!r} is not a blob's id")
        return self._folder / blob_id[:_SHARD_LENGTH] / blob_id


class _FileBlob(Blob):
    def __init__(self, file: FileIO, size: int, threads: Executor) -> None:
        self._file = file
        self.size = size
        self._threads = threads

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        stop = self.size if end is None else min(end, self.size)
        while start < stop:
            length = min(CHUNK_BYTES, stop - start)
            chunk = await _finished(self._threads, partial(_read_at, self._file, start, length))
            start += len(chunk)
            yield chunk

    async def close(self) -> None:
        self._file.close()


async def _finished(threads: Executor, work: Callable[[], T]) -> T:
    """What `work` returns. Also when cancelled, it comes back only once the thread has let go of the file."""
    future = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()
        raise


def _write_whole(file: FileIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _read_at(file: FileIO, start: int, length: int) -> bytes:
    chunk = os.pread(file.fileno(), length, start)
    if not chunk:
        raise OSError(f"A blob ends at {start}, before its size")
    return chunk


def _open_sized(path: Path) -> tuple[FileIO, int]:
    file = FileIO(path, "rb")
    return file, os.fstat(file.fileno()).st_size


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _old_ids(folder: Path, before: float) -> Iterator[str]:
    with os.scandir(folder) as shards:
        for shard in shards:
            if len(shard.name) == _SHARD_LENGTH:
                with os.scandir(shard.path) as entries:
                    yield from (entry.name for entry in entries if _is_old(entry, before))


def _is_old(entry: os.DirEntry[str], before: float) -> bool:
    if not _ID.fullmatch(entry.name):
        return False
    try:
        return entry.stat().st_mtime < before
    except FileNotFoundError:  # deleted since it was listed
        return False


def _take(ids: Iterator[str], length: int) -> list[str]:
    return [blob_id for _, blob_id in zip(range(length), ids, strict=False)]
