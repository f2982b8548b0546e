"""SQL of datasets: items by position, and the counters that make every question about their number cheap."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Text, bindparam, delete, insert, select, type_coerce, update

from callboard.datasets.incoming import Incoming
from callboard.datasets.model import Span
from callboard.db.prepared import Prepared
from callboard.db.tables import dataset_items, storages
from callboard.storages.model import StorageKind

PAGE_ITEMS: Final = 2000
PAGE_BYTES: Final = 524_288
_INSERT_AT_ONCE: Final = 2000

_ADVANCE: Final = Prepared(
    update(storages)
    .where(storages.c.pk == bindparam("dataset"), storages.c.deleted_at.is_(None))
    .values(
        item_count=storages.c.item_count + bindparam("count"),
        clean_item_count=storages.c.clean_item_count + bindparam("clean_count"),
        write_count=storages.c.write_count + bindparam("count"),
        storage_bytes=storages.c.storage_bytes + bindparam("size"),
        modified_at=bindparam("at"),
        accessed_at=bindparam("at"),
    )
    .returning(
        storages.c.item_count,
        type_coerce(storages.c.fields, Text),
        type_coerce(storages.c.schema, Text),
        storages.c.columns,
    )
)
_INSERT: Final = Prepared(
    insert(dataset_items).values(
        dataset_pk=bindparam("dataset"), position=bindparam("place"), body=bindparam("item")
    )
)
_ITEMS: Final = select(dataset_items.c.body).where(
    dataset_items.c.dataset_pk == bindparam("dataset"),
    dataset_items.c.position >= bindparam("start"),
    dataset_items.c.position < bindparam("stop"),
)
_UPWARDS: Final = _ITEMS.order_by(dataset_items.c.position).limit(PAGE_ITEMS)
_DOWNWARDS: Final = _ITEMS.order_by(dataset_items.c.position.desc()).limit(PAGE_ITEMS)


@dataclass(frozen=True)
class Place:
    """Room made for some items. The texts are of the dataset, as stored."""

    first_position: int
    fields_text: str | None
    schema_text: str | None
    columns: str | None


def make_room(tx: Connection, pk: int, incoming: Incoming, *, at: datetime) -> Place | None:
    """Count the items in and give them the next positions. None when the dataset has been deleted."""
    count = len(incoming.items)
    row = _ADVANCE.first(
        tx,
        {
            "dataset": pk,
            "count": count,
            "clean_count": incoming.clean_count,
            "size": incoming.size,
            "at": at,
        },
    )
    return None if row is None else Place(row[0] - count, row[1], row[2], row[3])


def insert_items(tx: Connection, pk: int, first_position: int, items: list[bytes]) -> None:
    for start in range(0, len(items), _INSERT_AT_ONCE):
        some = enumerate(items[start : start + _INSERT_AT_ONCE], first_position + start)
        _INSERT.run_each(
            tx, [{"dataset": pk, "place": position, "item": item} for position, item in some]
        )


def remember(tx: Connection, pk: int, changed: Mapping[str, object]) -> None:
    """`fields`, `columns`, or both of a dataset."""
    tx.execute(update(storages).where(storages.c.pk == pk).values(changed))


def read_page(tx: Connection, pk: int, span: Span) -> list[bytes]:
    """The first items of a span, of a bounded size unless a single item is larger. Empty when none is there."""
    rows = tx.execute(
        _DOWNWARDS if span.desc else _UPWARDS,
        {"dataset": pk, "start": span.start, "stop": span.stop},
    )
    items: list[bytes] = []
    size = 0
    for row in rows:
        items.append(row[0])
        size += len(row[0])
        if size >= PAGE_BYTES:
            rows.close()
            break
    return items


def reclaim(tx: Connection, *, limit: int) -> int:
    """Remove up to `limit` items of deleted datasets, and the datasets left empty. Returns how many went.

    Zero means that nothing is left to do. What a crash interrupts is taken up by the next call.
    """
    dead = tx.execute(
        select(storages.c.pk)
        .where(storages.c.deleted_at.is_not(None), storages.c.kind == StorageKind.DATASET)
        .order_by(storages.c.deleted_at)
        .limit(limit)
    ).scalars()
    gone = 0
    for pk in list(dead):
        removed = _remove_items(tx, pk, limit=limit - gone)
        gone += removed
        if gone == limit:
            break
        tx.execute(delete(storages).where(storages.c.pk == pk))
        gone += 1
    return gone


def _remove_items(tx: Connection, pk: int, *, limit: int) -> int:
    oldest = (
        select(dataset_items.c.position)
        .where(dataset_items.c.dataset_pk == pk)
        .order_by(dataset_items.c.position)
        .limit(limit)
    )
    return tx.execute(
        delete(dataset_items).where(
            dataset_items.c.dataset_pk == pk, dataset_items.c.position.in_(oldest)
        )
    ).rowcount
