"""Reading and writing records of key-value stores.

Values up to 64 KiB live in the row, larger ones in a blob written before the row that names it. So a reader never
finds a row without its value, and a crash at worst leaves a blob without a row, which `reclaim_orphans` removes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from callboard.api.body import inflate
from callboard.api.refs import Ref
from callboard.blobs.base import Blob, BlobNotFound, BlobStore, one_chunk
from callboard.core import clock
from callboard.core.caller import Caller
from callboard.core.ids import new_id
from callboard.db.base import Database
from callboard.key_value_stores import repository
from callboard.key_value_stores.content import check_coding, checked_content_type
from callboard.key_value_stores.errors import RecordCorrupt
from callboard.key_value_stores.model import (
    MAX_ROW_BYTES,
    KeyPage,
    KeyRange,
    PreparedRecord,
    Record,
    check_key,
)
from callboard.key_value_stores.store_schema import find_collection, parse_collections
from callboard.storages.errors import StorageNotFound
from callboard.storages.model import Storage, StorageKind
from callboard.storages.service import Need, StorageService, given_to, look_up
from callboard.usage.meter import Meter, Service

log = structlog.get_logger()

RECLAIM_LIMIT: Final = 500
ORPHAN_AGE: Final = timedelta(hours=1)
"""Far longer than any request holds a blob that it has yet to name."""
_PAGE_RECORDS: Final = 64
_OFF_LOOP_FROM_BYTES: Final = 64 * 1024


class KeyValueStoreService(StorageService):
    """Key-value stores and their records. `blobs` holds nothing but their values."""

    def __init__(self, db: Database, blobs: BlobStore, meter: Meter) -> None:
        super().__init__(db, StorageKind.KEY_VALUE_STORE)
        self._blobs = blobs
        self._meter = meter

    async def get_or_create(
        self, caller: Caller, *, name: str | None, title: str | None = None, schema: Any = None
    ) -> tuple[Storage, bool]:
        parse_collections(schema)
        return await super().get_or_create(caller, name=name, title=title, schema=schema)

    async def update(self, caller: Caller | None, ref: Ref, changes: dict[str, Any]) -> Storage:
        parse_collections(changes.get("schema"))
        return await super().update(caller, ref, changes)

    async def prepare(
        self, value: bytes, content_type: str | None, *, content_encoding: str | None = None
    ) -> PreparedRecord:
        """Make a value ready to be stored by a transaction; a large one is safe on disk when this returns.

        Raises InvalidContentType, InvalidContentEncoding or RecordTooLarge. What is never stored is reclaimed later.
        """
        checked_type = checked_content_type(content_type)
        coding = content_encoding if value else None
        if coding is not None:
            await check_coding(value, coding)
        if len(value) <= MAX_ROW_BYTES:
            return PreparedRecord(len(value), checked_type, coding, value, None)
        blob_id = new_id()
        await self._blobs.put(blob_id, one_chunk(value))
        return PreparedRecord(len(value), checked_type, coding, None, blob_id)

    def store(
        self, tx: Connection, store_id: str, key: str, prepared: PreparedRecord
    ) -> str | None:
        """Write a prepared record as part of the caller's transaction.

        Returns the blob that it replaces, if any, for `discard` after the commit. Raises InvalidRecordKey, or
        StorageNotFound when the store has been deleted.
        """
        return repository.store(tx, store_id, check_key(key), prepared, at=clock.now())

    async def discard(self, blob_ids: Iterable[str | None]) -> None:
        """Delete blobs that no row names any more. A failure is only logged: they are reclaimed later."""
        for blob_id in blob_ids:
            if blob_id is not None:
                try:
                    await self._blobs.delete(blob_id)
                except OSError as error:
                    log.warning("blob.not_deleted", blob_id=blob_id, exc_info=error)

    async def set_record(
        self,
        caller: Caller | None,
        storage: Storage,
        key: str,
        value: bytes,
        *,
        content_type: str | None,
        content_encoding: str | None,
    ) -> None:
        """Store the value under the key, durably. Raises what `prepare` and the store's schema raise."""
        check_key(key)
        await _check_schema(storage, key, value, content_type, content_encoding)
        prepared = await self.prepare(value, content_type, content_encoding=content_encoding)
        try:
            replaced = await self._db.write(lambda tx: self.store(tx, storage.id, key, prepared))
        except StorageNotFound:
            await self.discard([prepared.blob_id])
            raise
        self._meter.count(caller, Service.KEY_VALUE_STORE_WRITES)
        await self.discard([replaced])

    async def delete_record(self, caller: Caller | None, storage: Storage, key: str) -> None:
        """Harmless when there is no such record."""
        check_key(key)
        removed = await self._db.write(
            lambda tx: repository.remove(tx, storage.id, key, at=clock.now())
        )
        self._meter.count(caller, Service.KEY_VALUE_STORE_WRITES)
        await self.discard([removed])

    async def find_record(
        self,
        caller: Caller | None,
        ref: Ref,
        key: str,
        *,
        signature: str | None = None,
        is_granted: bool = False,
    ) -> Record | None:
        """`find` for reading and `read_record`, for the price of one look at the database."""
        check_key(key)

        def unit(tx: Connection) -> tuple[Storage | None, Record | None, Need | None]:
            found = look_up(tx, self.kind, caller, ref)
            record = None if found is None else repository.find(tx, found.pk, key)
            return found, record, given_to(tx, caller, found)

        found, record, given = await self._db.read(unit)
        storage = self._allowed(
            found,
            caller,
            ref,
            Need.READ,
            signature=signature,
            record_key=key,
            is_granted=is_granted,
            given=given,
        )
        return await self._opened(storage, record, caller)

    async def read_record(
        self, storage: Storage, key: str, *, caller: Caller | None = None
    ) -> Record | None:
        """The record, open for reading, or None. Hand it to `record_response`, or close it."""
        check_key(key)
        return await self._opened(storage, await self._find(storage, key), caller)

    async def _opened(
        self, storage: Storage, record: Record | None, caller: Caller | None
    ) -> Record | None:
        self.touch(storage, read_count=1)
        self._meter.count(caller, Service.KEY_VALUE_STORE_READS)
        return None if record is None else await self._open(storage, record)

    async def _open(self, storage: Storage, record: Record) -> Record | None:
        """A blob may be replaced between the look at its row and its opening: then look again.

        Raises RecordCorrupt when the blob of a row is not there, or not whole.
        """
        found: Record | None = record
        while found is not None and found.blob_id is not None:
            blob_id = found.blob_id
            try:
                return await _with_blob(found, await self._blobs.open(blob_id))
            except BlobNotFound as error:
                found = await self._find(storage, record.key)
                if found is not None and found.blob_id == blob_id:
                    raise RecordCorrupt from error
        return found

    async def _find(self, storage: Storage, key: str) -> Record | None:
        return await self._db.read(lambda tx: repository.find(tx, storage.pk, key))

    async def list_keys(
        self,
        storage: Storage,
        key_range: KeyRange,
        *,
        limit: int,
        collection: str | None = None,
        caller: Caller | None = None,
    ) -> KeyPage:
        """Keys in byte order. Raises StoreSchemaInvalid or InvalidCollection."""
        wanted = _in_collection(storage, key_range, collection)
        self.touch(storage, list_count=1)
        self._meter.count(caller, Service.KEY_VALUE_STORE_LISTS)
        if wanted is None:
            return KeyPage([], None)
        items = await self._db.read(
            lambda tx: repository.list_keys(tx, storage.pk, wanted, limit=limit + 1)
        )
        page = items[:limit]
        return KeyPage(page, page[-1].key if len(items) > limit else None)

    def records(
        self,
        storage: Storage,
        key_range: KeyRange,
        *,
        collection: str | None = None,
        caller: Caller | None = None,
    ) -> AsyncIterator[Record]:
        """All records of a range, each open for reading. Raises StoreSchemaInvalid or InvalidCollection at once."""
        wanted = _in_collection(storage, key_range, collection)
        self.touch(storage, list_count=1)
        self._meter.count(caller, Service.KEY_VALUE_STORE_LISTS)
        return self._records(storage, wanted, caller)

    async def _records(
        self, storage: Storage, wanted: KeyRange | None, caller: Caller | None
    ) -> AsyncIterator[Record]:
        while wanted is not None:
            rows = await self._db.read(
                partial(
                    repository.list_records,
                    store_pk=storage.pk,
                    key_range=wanted,
                    limit=_PAGE_RECORDS,
                )
            )
            self._meter.count(caller, Service.KEY_VALUE_STORE_READS, len(rows))
            for row in rows:
                if (record := await self._open(storage, row)) is not None:
                    yield record
            is_last = len(rows) < _PAGE_RECORDS
            wanted = None if is_last else replace(wanted, after=rows[-1].key)

    async def reclaim(self, *, limit: int = RECLAIM_LIMIT) -> int:
        """Remove some of what deleted stores held. Returns how much went: zero when nothing is left to do."""
        gone, blob_ids = await self._db.write(lambda tx: repository.reclaim(tx, limit=limit))
        await self.discard(blob_ids)
        return gone

    async def reclaim_orphans(self, *, older_than: timedelta = ORPHAN_AGE) -> int:
        """Delete the blobs that a crash left without a row. Returns how many."""
        count = 0
        async for ids in self._blobs.list_ids(before=clock.now() - older_than):
            orphans = await self._db.read(lambda tx, ids=ids: repository.without_row(tx, ids))
            await self.discard(orphans)
            count += len(orphans)
        return count


async def _with_blob(record: Record, blob: Blob) -> Record:
    if blob.size != record.size:
        await blob.close()
        raise RecordCorrupt
    return replace(record, blob=blob)


async def _check_schema(
    storage: Storage,
    key: str,
    value: bytes,
    content_type: str | None,
    content_encoding: str | None,
) -> None:
    """Raise RecordAgainstSchema when the record may not be in a collection that its key belongs to."""
    collections = [each for each in parse_collections(storage.schema) if each.has(key)]
    if not collections:
        return
    checked_type = checked_content_type(content_type)
    is_content_needed = any(collection.needs_content for collection in collections)
    content = await inflate(value, content_encoding) if is_content_needed else b""

    def check() -> None:
        for collection in collections:
            collection.check(checked_type, content)

    if len(content) < _OFF_LOOP_FROM_BYTES:
        check()
    else:
        await asyncio.to_thread(check)


def _in_collection(
    storage: Storage, key_range: KeyRange, collection: str | None
) -> KeyRange | None:
    """The range cut to a collection; None when they have no key in common."""
    if collection is None:
        return key_range
    found = find_collection(storage.schema, collection)
    return key_range.within(prefix=found.key_prefix, exact=found.key)
