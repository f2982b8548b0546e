"""What every blob store promises, held against each of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from callboard.blobs.base import Blob, BlobNotFound, BlobStore, InvalidBlobId, one_chunk
from callboard.blobs.files import FileBlobStore
from callboard.core import clock
from callboard.core.ids import new_id

HOSTILE_IDS = [
    "",
    "..",
    "../../../etc/passwd",
    "a" * 16,
    "a" * 18,
    "a/" + "a" * 15,
    "a" * 16 + "\n",
]


@pytest_asyncio.fixture(params=[FileBlobStore], ids=["files"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    store = request.param(tmp_path / "blobs")
    yield store
    await store.close()


async def content_of(blob: Blob, start: int = 0, end: int | None = None) -> bytes:
    try:
        return b"".join([chunk async for chunk in blob.chunks(start, end)])
    finally:
        await blob.close()


async def all_ids(blobs: BlobStore, *, in_secs: float = 60) -> set[str]:
    before = clock.now() + timedelta(seconds=in_secs)
    return {blob_id async for ids in blobs.list_ids(before=before) for blob_id in ids}


async def test_a_blob_reads_back_as_it_was_put(blobs: BlobStore):
    content = bytes(range(256)) * 5000
    blob_id = new_id()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    assert await blobs.put(blob_id, pieces()) == len(content)
    blob = await blobs.open(blob_id)
    assert blob.size == len(content)
    assert await content_of(blob) == content


async def test_an_empty_blob_is_a_blob(blobs: BlobStore):
    blob_id = new_id()
    assert await blobs.put(blob_id, one_chunk(b"")) == 0
    blob = await blobs.open(blob_id)
    assert (blob.size, await content_of(blob)) == (0, b"")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 4, b"0123"), (3, None, b"3456789"), (3, 5, b"34"), (9, 99, b"9"), (10, None, b"")],
    ids=["head", "tail", "middle", "past-the-end", "after-the-end"],
)
async def test_a_part_of_a_blob_can_be_read(
    blobs: BlobStore, start: int, end: int | None, expected: bytes
):
    blob_id = new_id()
    await blobs.put(blob_id, one_chunk(b"0123456789"))
    assert await content_of(await blobs.open(blob_id), start, end) == expected


async def test_chunks_are_of_bounded_size(blobs: BlobStore):
    blob_id = new_id()
    await blobs.put(blob_id, one_chunk(bytes(3_000_000)))
    blob = await blobs.open(blob_id)
    assert max([len(chunk) async for chunk in blob.chunks()]) <= 1_048_576
    await blob.close()


async def test_putting_again_replaces_the_blob(blobs: BlobStore):
    blob_id = new_id()
    await blobs.put(blob_id, one_chunk(b"a long first content"))
    await blobs.put(blob_id, one_chunk(b"second"))
    assert await content_of(await blobs.open(blob_id)) == b"second"
    assert await all_ids(blobs) == {blob_id}


async def test_an_open_blob_outlives_its_deletion(blobs: BlobStore):
    blob_id = new_id()
    await blobs.put(blob_id, one_chunk(b"still there"))
    blob = await blobs.open(blob_id)
    await blobs.delete(blob_id)
    assert await content_of(blob) == b"still there"
    with pytest.raises(BlobNotFound):
        await blobs.open(blob_id)


async def test_an_open_blob_keeps_its_content_when_replaced(blobs: BlobStore):
    blob_id = new_id()
    await blobs.put(blob_id, one_chunk(b"first"))
    blob = await blobs.open(blob_id)
    await blobs.put(blob_id, one_chunk(b"second"))
    assert await content_of(blob) == b"first"


async def test_deleting_twice_is_harmless(blobs: BlobStore):
    blob_id = new_id()
    await blobs.put(blob_id, one_chunk(b"x"))
    await blobs.delete(blob_id)
    await blobs.delete(blob_id)
    assert await all_ids(blobs) == set()


async def test_a_put_that_fails_half_way_leaves_nothing(blobs: BlobStore):
    blob_id = new_id()

    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await blobs.put(blob_id, broken())
    with pytest.raises(BlobNotFound):
        await blobs.open(blob_id)
    assert await all_ids(blobs) == set()


async def test_a_cancelled_put_leaves_nothing(blobs: BlobStore):
    blob_id = new_id()
    started, never = asyncio.Event(), asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield b"some"
        started.set()
        await never.wait()

    put = asyncio.ensure_future(blobs.put(blob_id, stalled()))
    await started.wait()
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    with pytest.raises(BlobNotFound):
        await blobs.open(blob_id)


@pytest.mark.parametrize("blob_id", HOSTILE_IDS)
async def test_an_id_from_outside_names_nothing(blobs: BlobStore, blob_id: str):
    with pytest.raises(InvalidBlobId):
        await blobs.put(blob_id, one_chunk(b"x"))
    with pytest.raises(BlobNotFound):
        await blobs.open(blob_id)
    await blobs.delete(blob_id)
    assert await all_ids(blobs) == set()


async def test_ids_are_listed_by_age(blobs: BlobStore):
    ids = {new_id() for _ in range(20)}
    for blob_id in ids:
        await blobs.put(blob_id, one_chunk(b"x"))
    assert await all_ids(blobs) == ids
    assert await all_ids(blobs, in_secs=-3600) == set()


async def test_parallel_puts_and_reads_do_not_mix(blobs: BlobStore):
    contents = {new_id(): bytes([n]) * (50_000 + n) for n in range(40)}

    async def round_trip(blob_id: str, content: bytes) -> bool:
        await blobs.put(blob_id, one_chunk(content))
        return await content_of(await blobs.open(blob_id)) == content

    assert all(await asyncio.gather(*(round_trip(*pair) for pair in contents.items())))


async def test_blobs_are_there_after_a_restart(tmp_path: Path):
    blob_id = new_id()
    await with_files(tmp_path, lambda blobs: blobs.put(blob_id, one_chunk(b"kept")))
    await with_files(tmp_path, lambda blobs: is_content(blobs, blob_id, b"kept"))


async def test_what_a_crash_left_unfinished_goes_at_the_next_start(tmp_path: Path):
    await with_files(tmp_path, lambda blobs: blobs.put(new_id(), one_chunk(b"kept")))
    leftover = tmp_path / "unfinished" / new_id()
    leftover.write_bytes(b"half")
    await with_files(tmp_path, all_ids)
    assert not leftover.exists()


async def with_files(folder: Path, work: Callable[[BlobStore], Awaitable[object]]) -> None:
    store = FileBlobStore(folder)
    await work(store)
    await store.close()


async def is_content(blobs: BlobStore, blob_id: str, expected: bytes) -> None:
    assert await content_of(await blobs.open(blob_id)) == expected
