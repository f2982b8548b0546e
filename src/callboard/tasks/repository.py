"""Rows of Actor tasks."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from callboard.api.pagination import Page, PageRequest
from callboard.db.tables import actor_tasks, actors, users
from callboard.tasks.model import ActorTask

_actor_owner = users.alias("actor_owner")
_TASK = (
    select(
        actor_tasks.c.id,
        actor_tasks.c.user_id,
        users.c.username,
        actor_tasks.c.actor_id,
        actors.c.name.label("actor_name"),
        _actor_owner.c.username.label("actor_username"),
        actor_tasks.c.name,
        actor_tasks.c.title,
        actor_tasks.c.created_at,
        actor_tasks.c.modified_at,
        actor_tasks.c.input,
        actor_tasks.c.options,
        actor_tasks.c.actor_standby,
        actor_tasks.c.description,
        actor_tasks.c.publication,
        actor_tasks.c.total_runs,
        actor_tasks.c.last_run_started_at,
        actors.c.fields.label("actor_fields"),
    )
    .join(users, users.c.id == actor_tasks.c.user_id)
    .outerjoin(actors, actors.c.id == actor_tasks.c.actor_id)
    .outerjoin(_actor_owner, _actor_owner.c.id == actors.c.user_id)
)


def _task(row: Row[*tuple[Any, ...]] | None) -> ActorTask | None:
    return None if row is None else ActorTask(*row)


def by_id(tx: Connection, task_id: str) -> ActorTask | None:
    return _task(tx.execute(_TASK.where(actor_tasks.c.id == task_id)).first())


def by_name(tx: Connection, user_id: str, name: str) -> ActorTask | None:
    owned = (actor_tasks.c.user_id == user_id) & (actor_tasks.c.name == name)
    return _task(tx.execute(_TASK.where(owned)).first())


def count_of(tx: Connection, user_id: str) -> int:
    owned = actor_tasks.c.user_id == user_id
    return tx.execute(select(func.count()).select_from(actor_tasks).where(owned)).scalar_one()


def page(tx: Connection, user_id: str, request: PageRequest) -> Page[ActorTask]:
    owned = actor_tasks.c.user_id == user_id
    total = count_of(tx, user_id)
    key = actor_tasks.c.created_at
    order = (key.desc(), actor_tasks.c.id.desc()) if request.desc else (key, actor_tasks.c.id)
    rows = tx.execute(
        _TASK.where(owned).order_by(*order).offset(request.offset).limit(request.limit)
    )
    return Page([ActorTask(*row) for row in rows], total)


def insert_task(tx: Connection, **values: Any) -> None:
    tx.execute(insert(actor_tasks).values(**values))


def change(tx: Connection, task_id: str, **values: Any) -> None:
    tx.execute(update(actor_tasks).where(actor_tasks.c.id == task_id).values(**values))


def remove(tx: Connection, task_id: str) -> None:
    tx.execute(delete(actor_tasks).where(actor_tasks.c.id == task_id))


def note_run(tx: Connection, task_id: str, *, at: datetime) -> None:
    tx.execute(
        update(actor_tasks)
        .where(actor_tasks.c.id == task_id)
        .values(total_runs=actor_tasks.c.total_runs + 1, last_run_started_at=at)
    )
