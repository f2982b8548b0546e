"""Rows of the `records` table, with the counters of their store."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    select,
    tuple_,
    update,
)

from callboard.db.prepared import Prepared, bound
from callboard.db.tables import records, storages
from callboard.key_value_stores.model import KeyEntry, KeyRange, PreparedRecord, Record
from callboard.storages.errors import StorageNotFound
from callboard.storages.model import StorageKind

_ABOVE_ALL = "\U0010ffff"
_COLUMNS = (
    records.c.key,
    records.c.size,
    records.c.content_type,
    records.c.content_encoding,
    records.c.modified_at,
    records.c.value,
    records.c.blob_id,
)

_THE_RECORD = and_(
    records.c.store_pk == bindparam("of_store"), records.c.key == bindparam("of_key")
)
_FIND = Prepared(select(*_COLUMNS).where(_THE_RECORD))
_CURRENT = Prepared(
    select(storages.c.pk, records.c.size, records.c.blob_id)
    .select_from(storages)
    .outerjoin(
        records, and_(records.c.store_pk == storages.c.pk, records.c.key == bindparam("of_key"))
    )
    .where(storages.c.id == bindparam("store_id"), storages.c.deleted_at.is_(None))
)
_VALUES = ("size", "content_type", "content_encoding", "modified_at", "value", "blob_id")
_INSERT = Prepared(
    insert(records).values(
        **bound(_VALUES), store_pk=bindparam("of_store"), key=bindparam("of_key")
    )
)
_UPDATE = Prepared(update(records).where(_THE_RECORD).values(bound(_VALUES)))
_DELETE = Prepared(delete(records).where(_THE_RECORD))
_COUNT = Prepared(
    update(storages)
    .where(storages.c.pk == bindparam("of_pk"))
    .values(
        write_count=storages.c.write_count + bindparam("writes"),
        delete_count=storages.c.delete_count + bindparam("deletes"),
        storage_bytes=storages.c.storage_bytes + bindparam("growth"),
        modified_at=bindparam("at"),
        accessed_at=bindparam("at"),
    )
)


def find(tx: Connection, store_pk: int, key: str) -> Record | None:
    row = _FIND.first(tx, {"of_store": store_pk, "of_key": key})
    return None if row is None else Record(*row)


def store(
    tx: Connection, store_id: str, key: str, record: PreparedRecord, *, at: datetime
) -> str | None:
    """Put the record in the place of any of that key, and return the blob that no row names any more.

    Raises StorageNotFound when the store has been deleted.
    """
    pk, old_size, old_blob_id = _current(tx, store_id, key)
    values = {
        "of_store": pk,
        "of_key": key,
        "size": record.size,
        "content_type": record.content_type,
        "content_encoding": record.content_encoding,
        "modified_at": at,
        "value": record.value,
        "blob_id": record.blob_id,
    }
    (_INSERT if old_size is None else _UPDATE).run(tx, values)
    _count(tx, pk, at=at, writes=1, growth=record.size - (old_size or 0))
    return old_blob_id


def remove(tx: Connection, store_id: str, key: str, *, at: datetime) -> str | None:
    """Remove the record if there is one, and return the blob that no row names any more."""
    pk, size, blob_id = _current(tx, store_id, key)
    if size is not None:
        _DELETE.run(tx, {"of_store": pk, "of_key": key})
    _count(tx, pk, at=at, deletes=1, growth=-(size or 0))
    return blob_id


def _current(tx: Connection, store_id: str, key: str) -> tuple[int, int | None, str | None]:
    """The store's `pk`, with size and blob of the record: both None when there is none."""
    row = _CURRENT.first(tx, {"store_id": store_id, "of_key": key})
    if row is None:
        raise StorageNotFound(StorageKind.KEY_VALUE_STORE)
    pk, size, blob_id = row
    return pk, size, blob_id


def _count(
    tx: Connection, pk: int, *, at: datetime, writes: int = 0, deletes: int = 0, growth: int
) -> None:
    values = {"of_pk": pk, "at": at, "writes": writes, "deletes": deletes, "growth": growth}
    _COUNT.run(tx, values)


def list_keys(tx: Connection, store_pk: int, key_range: KeyRange, *, limit: int) -> list[KeyEntry]:
    rows = tx.execute(
        select(records.c.key, records.c.size)
        .where(*_within(store_pk, key_range))
        .order_by(records.c.key)
        .limit(limit)
    )
    return [KeyEntry(row.key, row.size) for row in rows]


def list_records(tx: Connection, store_pk: int, key_range: KeyRange, *, limit: int) -> list[Record]:
    rows = tx.execute(
        select(*_COLUMNS).where(*_within(store_pk, key_range)).order_by(records.c.key).limit(limit)
    )
    return [Record(*row) for row in rows]


def _within(store_pk: int, key_range: KeyRange) -> list[Any]:
    conditions: list[Any] = [records.c.store_pk == store_pk]
    if key_range.after is not None:
        conditions.append(records.c.key > key_range.after)
    if key_range.exact is not None:
        conditions.append(records.c.key == key_range.exact)
    elif key_range.prefix:
        conditions.append(records.c.key >= key_range.prefix)
        conditions.append(records.c.key < key_range.prefix + _ABOVE_ALL)
    return conditions


def reclaim(tx: Connection, *, limit: int) -> tuple[int, list[str]]:
    """Remove up to `limit` records of deleted stores, and the stores that have none left.

    Returns how many went, zero when nothing is left to do, and the blobs that no row names any more.
    """
    rows = tx.execute(
        select(records.c.store_pk, records.c.key, records.c.blob_id)
        .join(storages, storages.c.pk == records.c.store_pk)
        .where(*_DELETED_STORES)
        .limit(limit)
    ).all()
    if rows:
        keys = [(row.store_pk, row.key) for row in rows]
        tx.execute(delete(records).where(tuple_(records.c.store_pk, records.c.key).in_(keys)))
    gone = len(rows)
    if gone < limit:
        has_records = exists().where(records.c.store_pk == storages.c.pk)
        gone += tx.execute(delete(storages).where(*_DELETED_STORES, ~has_records)).rowcount
    return gone, [row.blob_id for row in rows if row.blob_id is not None]


_DELETED_STORES = (
    storages.c.deleted_at.is_not(None),
    storages.c.kind == StorageKind.KEY_VALUE_STORE,
)


def without_row(tx: Connection, blob_ids: Iterable[str]) -> list[str]:
    """Those of the blobs that no record names."""
    asked = list(blob_ids)
    named = set(tx.scalars(select(records.c.blob_id).where(records.c.blob_id.in_(asked))))
    return [blob_id for blob_id in asked if blob_id not in named]
