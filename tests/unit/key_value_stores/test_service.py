"""What the service promises beyond HTTP: blobs, crashes, transactions of others, reclaiming."""

import asyncio
import gzip
import io
import zipfile
from datetime import timedelta

import pytest
from sqlalchemy import Connection, update

from callboard.blobs.base import one_chunk
from callboard.core.ids import new_id
from callboard.db.tables import records
from callboard.key_value_stores.archive import archive_of
from callboard.key_value_stores.content import read_plain
from callboard.key_value_stores.errors import InvalidRecordKey, RecordCorrupt, RecordTooLarge
from callboard.key_value_stores.model import MAX_ROW_BYTES, KeyRange
from callboard.storages.errors import StorageNotFound

from .conftest import Stores

LARGE = bytes(MAX_ROW_BYTES + 1)
NO_AGE = timedelta(seconds=-60)


async def test_only_large_values_become_blobs(stores: Stores):
    store = await stores.new()
    await stores.put(store, "small", bytes(MAX_ROW_BYTES))
    assert await stores.blob_ids() == set()
    await stores.put(store, "large", LARGE)
    assert len(await stores.blob_ids()) == 1
    assert await stores.get(store, "large") == LARGE


async def test_a_replaced_or_deleted_blob_is_deleted(stores: Stores):
    store = await stores.new()
    await stores.put(store, "key", LARGE)
    before = await stores.blob_ids()
    await stores.put(store, "key", LARGE + b"x")
    after = await stores.blob_ids()
    assert (len(after), before & after) == (1, set())
    await stores.put(store, "key", b"small")
    assert await stores.blob_ids() == set()
    await stores.put(store, "key", LARGE)
    await stores.service.delete_record(stores.caller, store, "key")
    assert await stores.blob_ids() == set()


async def test_an_open_record_outlives_its_replacement(stores: Stores):
    store = await stores.new()
    await stores.put(store, "key", LARGE)
    record = await stores.service.read_record(store, "key")
    await stores.put(store, "key", b"small")
    assert record is not None
    assert await read_plain(record, limit=1 << 20) == LARGE


async def test_another_slice_stores_a_record_in_its_own_transaction(stores: Stores):
    store = await stores.new()
    for value in (b'{"a": 1}', LARGE):
        prepared = await stores.service.prepare(value, "application/json")
        await stores.db.write(
            lambda tx, prepared=prepared: stores.service.store(tx, store.id, "INPUT", prepared)
        )
        assert await stores.get(store, "INPUT") == value


async def test_a_transaction_that_fails_leaves_no_record(stores: Stores):
    store = await stores.new()
    prepared = await stores.service.prepare(LARGE, None)

    def unit(tx: Connection) -> None:
        stores.service.store(tx, store.id, "INPUT", prepared)
        raise LookupError

    with pytest.raises(LookupError):
        await stores.db.write(unit)
    assert await stores.get(store, "INPUT") is None
    assert await stores.service.reclaim_orphans(older_than=NO_AGE) == 1
    assert await stores.blob_ids() == set()


async def test_only_old_blobs_without_a_row_are_orphans(stores: Stores):
    store = await stores.new()
    await stores.put(store, "key", LARGE)
    orphan = new_id()
    await stores.blobs.put(orphan, one_chunk(b"left by a crash"))
    assert await stores.service.reclaim_orphans() == 0
    assert orphan in await stores.blob_ids()
    assert await stores.service.reclaim_orphans(older_than=NO_AGE) == 1
    assert orphan not in await stores.blob_ids()
    assert await stores.get(store, "key") == LARGE


async def test_deleted_stores_are_reclaimed_piece_by_piece(stores: Stores):
    gone, kept = await stores.new(), await stores.new()
    for number in range(7):
        await stores.put(gone, f"key-{number}", LARGE if number % 2 else b"small")
    await stores.put(kept, "key", LARGE)
    await stores.delete(gone)
    went: list[int] = []
    while count := await stores.service.reclaim(limit=3):
        went.append(count)
    assert went == [3, 3, 2]
    assert len(await stores.blob_ids()) == 1
    assert await stores.get(kept, "key") == LARGE


async def test_writing_to_a_store_deleted_meanwhile_leaves_nothing(stores: Stores):
    store = await stores.new()
    await stores.delete(store)
    with pytest.raises(StorageNotFound):
        await stores.put(store, "key", LARGE)
    assert await stores.blob_ids() == set()
    with pytest.raises(StorageNotFound):
        await stores.service.delete_record(stores.caller, store, "key")


async def test_a_key_is_checked_in_every_operation(stores: Stores):
    store = await stores.new()
    prepared = await stores.service.prepare(b"x", None)
    with pytest.raises(InvalidRecordKey):
        await stores.db.write(lambda tx: stores.service.store(tx, store.id, "a/b", prepared))
    with pytest.raises(InvalidRecordKey):
        await stores.put(store, "", b"x")
    with pytest.raises(InvalidRecordKey):
        await stores.get(store, "a b")


async def test_damage_to_the_disk_shows_as_an_error(stores: Stores):
    store = await stores.new()
    await stores.put(store, "key", gzip.compress(b"value" * 100), "gzip")

    def damage(tx: Connection) -> None:
        tx.execute(update(records).values(value=b"\x1f\x8b\x08\x00damaged"))

    await stores.db.write(damage)
    with pytest.raises(RecordCorrupt):
        await stores.get(store, "key")


async def test_a_blob_that_is_gone_or_cut_shows_as_an_error(stores: Stores):
    store = await stores.new()
    await stores.put(store, "key", LARGE)
    (blob_id,) = await stores.blob_ids()
    await stores.blobs.put(blob_id, one_chunk(LARGE[:-1]))
    with pytest.raises(RecordCorrupt):
        await stores.get(store, "key")
    await stores.blobs.delete(blob_id)
    with pytest.raises(RecordCorrupt):
        await stores.get(store, "key")


async def test_reading_whole_is_bounded(stores: Stores):
    store = await stores.new()
    await stores.put(store, "key", gzip.compress(bytes(3_000_000)), "gzip")
    record = await stores.service.read_record(store, "key")
    assert record is not None
    with pytest.raises(RecordTooLarge):
        await read_plain(record, limit=2_000_000)


async def test_keys_that_name_folders_do_not_in_an_archive(stores: Stores):
    store = await stores.new()
    for key in (".", "..", "...", "a..", ".a"):
        await stores.put(store, key, key.encode())
    chunks = [each async for each in archive_of(stores.service.records(store, KeyRange()))]
    with zipfile.ZipFile(io.BytesIO(b"".join(chunks))) as files:
        names = {name: files.read(name).decode() for name in files.namelist()}
    assert names == {"%2E": ".", "%2E%2E": "..", "%2E%2E%2E": "...", "a..": "a..", ".a": ".a"}


async def test_an_archive_lives_with_records_deleted_meanwhile(stores: Stores):
    store = await stores.new()
    for key in ("a", "b", "c"):
        await stores.put(store, key, LARGE)
    found = stores.service.records(store, KeyRange())
    first = await anext(found)
    await stores.service.delete_record(stores.caller, store, "b")
    rest = [record async for record in found]
    assert [first.key, *(record.key for record in rest)] == ["a", "c"]
    await asyncio.gather(*(record.close() for record in (first, *rest)))
