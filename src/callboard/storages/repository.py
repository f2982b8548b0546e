"""Rows of the `storages` table, whatever their kind."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from callboard.api.pagination import Page, PageRequest
from callboard.core.caller import Caller, GeneralAccess
from callboard.core.ids import new_id, new_secret
from callboard.db.prepared import Prepared, bound
from callboard.db.tables import runs, storages, users
from callboard.storages.model import Ownership, Storage, StorageKind

_FIELDS = tuple(field.name for field in fields(Storage))
_SELECT = select(
    *(users.c.username if name == "username" else storages.c[name] for name in _FIELDS)
).join(users, users.c.id == storages.c.user_id)
_ALIVE = storages.c.deleted_at.is_(None)
_BY_ID = Prepared(
    _SELECT.where(storages.c.id == bindparam("id"), storages.c.kind == bindparam("kind"), _ALIVE)
)
_INSERT = Prepared(
    insert(storages).values(
        bound(
            (
                *("id", "kind", "user_id", "name", "title", "schema"),
                *("actor_id", "run_id", "creator"),
                *("created_at", "modified_at", "accessed_at", "general_access", "signing_secret"),
            )
        )
    )
)


def _storage(row: Sequence[Any]) -> Storage:
    values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    values["kind"] = StorageKind(values["kind"])
    return Storage(**values)


def create(
    tx: Connection,
    kind: StorageKind,
    user_id: str,
    *,
    at: datetime,
    name: str | None = None,
    title: str | None = None,
    schema: Any = None,
    actor_id: str | None = None,
    run_id: str | None = None,
    creator: str | None = None,
    general_access: str = GeneralAccess.FOLLOW_USER_SETTING,
) -> str:
    """Insert an empty storage and return its id."""
    storage_id = new_id()
    values = {
        "id": storage_id,
        "kind": kind,
        "user_id": user_id,
        "name": name,
        "title": title,
        "schema": schema,
        "actor_id": actor_id,
        "run_id": run_id,
        "creator": creator,
        "created_at": at,
        "modified_at": at,
        "accessed_at": at,
        "general_access": general_access,
        "signing_secret": new_secret(),
    }
    _INSERT.run(tx, values)
    return storage_id


def by_id(tx: Connection, kind: StorageKind, storage_id: str) -> Storage | None:
    row = _BY_ID.first(tx, {"id": storage_id, "kind": kind})
    return None if row is None else _storage(row)


def by_name(tx: Connection, kind: StorageKind, user_id: str, name: str) -> Storage | None:
    row = tx.execute(
        _SELECT.where(
            storages.c.user_id == user_id, storages.c.kind == kind, storages.c.name == name, _ALIVE
        )
    ).first()
    return None if row is None else _storage(row)


def by_owner_name(tx: Connection, kind: StorageKind, username: str, name: str) -> Storage | None:
    row = tx.execute(
        _SELECT.where(
            users.c.username == username, storages.c.kind == kind, storages.c.name == name, _ALIVE
        )
    ).first()
    return None if row is None else _storage(row)


def page(
    tx: Connection,
    kind: StorageKind,
    caller: Caller,
    request: PageRequest,
    *,
    unnamed: bool,
    ownership: Ownership | None,
) -> Page[Storage]:
    """The caller's storages by creation. Named ones only, unless `unnamed`. Nothing is shared with an account."""
    conditions = [storages.c.user_id == caller.user_id, storages.c.kind == kind, _ALIVE]
    if caller.is_limited:
        conditions.append(
            (storages.c.run_id == caller.run_id)
            | ((storages.c.actor_id == caller.actor_id) & storages.c.creator.is_not(None))
        )
    if not unnamed:
        conditions.append(storages.c.name.is_not(None))
    if ownership is Ownership.SHARED_WITH_ME:
        return Page([], 0)
    total = tx.execute(select(func.count()).select_from(storages).where(*conditions)).scalar_one()
    order = storages.c.pk.desc() if request.desc else storages.c.pk
    # First which ones, from an index alone: what the page begins after is not read.
    found = select(storages.c.pk).where(*conditions).order_by(order)
    keys = tx.execute(found.offset(request.offset).limit(request.limit)).scalars().all()
    rows = tx.execute(_SELECT.where(storages.c.pk.in_(keys)).order_by(order))
    return Page([_storage(row) for row in rows], total)


def grants_of(tx: Connection, run_id: str) -> dict[str, str]:
    """What the input of a run entitles it to, by the ids of storages."""
    grants = tx.execute(select(runs.c.storage_grants).where(runs.c.id == run_id))
    return grants.scalar_one_or_none() or {}


def was_started_by(
    tx: Connection, run_id: str, starter_id: str, *, by: str = "startedByRunId"
) -> bool:
    """Whether a run, or what else `by` is the mark of in a run's `meta`, started the run."""
    meta = tx.execute(select(runs.c.meta).where(runs.c.id == run_id)).scalar_one_or_none()
    return meta is not None and meta.get(by) == starter_id


def change(tx: Connection, pk: int, **values: Any) -> None:
    tx.execute(update(storages).where(storages.c.pk == pk).values(**values))


def add(tx: Connection, pk: int, *, at: datetime | None = None, **increments: int) -> None:
    """Add to counters. With `at`, the storage counts as modified then."""
    values: dict[str, Any] = {name: storages.c[name] + by for name, by in increments.items()}
    if at is not None:
        values |= {"modified_at": at, "accessed_at": at}
    tx.execute(update(storages).where(storages.c.pk == pk).values(**values))


def touch(tx: Connection, pk: int, *, at: datetime, **increments: int) -> None:
    """Add to the counters of reading and mark the storage as accessed at `at`."""
    values: dict[str, Any] = {name: storages.c[name] + by for name, by in increments.items()}
    tx.execute(update(storages).where(storages.c.pk == pk).values(accessed_at=at, **values))


def mark_deleted(tx: Connection, pk: int, *, at: datetime) -> None:
    """Take it out of sight; its contents are reclaimed later, off the request path."""
    tx.execute(update(storages).where(storages.c.pk == pk).values(deleted_at=at))
