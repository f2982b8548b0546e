"""Rows of the `records` table, with the counters of their store."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, and_, delete, exists, insert, select, tuple_, update

from callboard.db.tables import records, storages
from callboard.key_value_stores.model import KeyEntry, KeyRange, PreparedRecord, Record
from callboard.storages import repository as storage_rows
from callboard.storages.errors import StorageNotFound
from callboard.storages.model import StorageKind

_Row: TypeAlias = "Row[*tuple[Any, ...]]"
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


def find(tx: Connection, store_pk: int, key: str) -> Record | None:
    row = tx.execute(
        select(*_COLUMNS).where(records.c.store_pk == store_pk, records.c.key == key)
    ).first()
    return None if row is None else _record(row)


def store(
    tx: Connection, store_id: str, key: str, record: PreparedRecord, *, at: datetime
) -> str | None:
    """Put the record in the place of any of that key, and return the blob that no row names any more.

    Raises StorageNotFound when the store has been deleted.
    """
    replaced = _current(tx, store_id, key)
    values = {
        "size": record.size,
        "content_type": record.content_type,
        "content_encoding": record.content_encoding,
        "modified_at": at,
        "value": record.value,
        "blob_id": record.blob_id,
    }
    if replaced.size is None:
        tx.execute(insert(records).values(store_pk=replaced.pk, key=key, **values))
    else:
        tx.execute(
            update(records)
            .where(records.c.store_pk == replaced.pk, records.c.key == key)
            .values(**values)
        )
    growth = record.size - (replaced.size or 0)
    storage_rows.add(tx, replaced.pk, at=at, write_count=1, storage_bytes=growth)
    return replaced.blob_id


def remove(tx: Connection, store_id: str, key: str, *, at: datetime) -> str | None:
    """Remove the record if there is one, and return the blob that no row names any more."""
    removed = _current(tx, store_id, key)
    if removed.size is None:
        storage_rows.touch(tx, removed.pk, at=at, delete_count=1)
        return None
    tx.execute(delete(records).where(records.c.store_pk == removed.pk, records.c.key == key))
    storage_rows.add(tx, removed.pk, at=at, delete_count=1, storage_bytes=-removed.size)
    return removed.blob_id


def _current(tx: Connection, store_id: str, key: str) -> _Row:
    """The store's `pk`, with `size` and `blob_id` of the record: both None when there is none."""
    row = tx.execute(
        select(storages.c.pk, records.c.size, records.c.blob_id)
        .select_from(storages)
        .outerjoin(records, and_(records.c.store_pk == storages.c.pk, records.c.key == key))
        .where(storages.c.id == store_id, storages.c.deleted_at.is_(None))
    ).first()
    if row is None:
        raise StorageNotFound(StorageKind.KEY_VALUE_STORE)
    return row


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
    return [_record(row) for row in rows]


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


def _record(row: _Row) -> Record:
    return Record(*row)


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
