"""Rows of schedules and their logs."""

from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from callboard.api.pagination import Page, PageRequest
from callboard.db.tables import schedule_log, schedules, users
from callboard.schedules.model import LOG_MAX, LogEntry, Schedule

_SCHEDULE = select(
    *(
        users.c.username if field.name == "username" else schedules.c[field.name]
        for field in fields(Schedule)
    )
).join(users, users.c.id == schedules.c.user_id)


def _schedule(row: Row[*tuple[Any, ...]] | None) -> Schedule | None:
    return None if row is None else Schedule(*row)


def by_id(tx: Connection, schedule_id: str) -> Schedule | None:
    return _schedule(tx.execute(_SCHEDULE.where(schedules.c.id == schedule_id)).first())


def by_name(tx: Connection, user_id: str, name: str) -> Schedule | None:
    owned = (schedules.c.user_id == user_id) & (schedules.c.name == name)
    return _schedule(tx.execute(_SCHEDULE.where(owned)).first())


def count_of(tx: Connection, user_id: str) -> int:
    owned = schedules.c.user_id == user_id
    return tx.execute(select(func.count()).select_from(schedules).where(owned)).scalar_one()


def page(tx: Connection, user_id: str, request: PageRequest) -> Page[Schedule]:
    owned = schedules.c.user_id == user_id
    total = count_of(tx, user_id)
    key = schedules.c.created_at
    order = (key.desc(), schedules.c.id.desc()) if request.desc else (key, schedules.c.id)
    rows = tx.execute(
        _SCHEDULE.where(owned).order_by(*order).offset(request.offset).limit(request.limit)
    )
    return Page([Schedule(*row) for row in rows], total)


def insert_schedule(tx: Connection, schedule: Schedule) -> None:
    values = {field.name: getattr(schedule, field.name) for field in fields(Schedule)}
    del values["username"]
    tx.execute(insert(schedules).values(**values))


def change(tx: Connection, schedule_id: str, **values: Any) -> None:
    tx.execute(update(schedules).where(schedules.c.id == schedule_id).values(**values))


def remove(tx: Connection, schedule_id: str) -> None:
    tx.execute(delete(schedule_log).where(schedule_log.c.schedule_id == schedule_id))
    tx.execute(delete(schedules).where(schedules.c.id == schedule_id))


def soonest(tx: Connection) -> Schedule | None:
    """The enabled schedule that is due first."""
    return _schedule(
        tx.execute(
            _SCHEDULE.where(schedules.c.is_enabled, schedules.c.next_run_at.is_not(None))
            .order_by(schedules.c.next_run_at)
            .limit(1)
        ).first()
    )


def waiting(tx: Connection, *, after: datetime) -> list[Schedule]:
    """The enabled schedules that are due later than that."""
    rows = tx.execute(_SCHEDULE.where(schedules.c.is_enabled, schedules.c.next_run_at > after))
    return [Schedule(*row) for row in rows]


def add_log(tx: Connection, schedule_id: str, entry: LogEntry) -> None:
    """Add an entry and drop those that are too many."""
    added = insert(schedule_log).values(
        schedule_id=schedule_id,
        created_at=entry.created_at,
        level=entry.level,
        message=entry.message,
    )
    tx.execute(added)
    oldest_kept = (
        select(schedule_log.c.pk)
        .where(schedule_log.c.schedule_id == schedule_id)
        .order_by(schedule_log.c.pk.desc())
        .offset(LOG_MAX - 1)
        .limit(1)
        .scalar_subquery()
    )
    tx.execute(
        delete(schedule_log).where(
            schedule_log.c.schedule_id == schedule_id, schedule_log.c.pk < oldest_kept
        )
    )


def log_of(tx: Connection, schedule_id: str) -> list[LogEntry]:
    """Newest first."""
    rows = tx.execute(
        select(schedule_log.c.created_at, schedule_log.c.level, schedule_log.c.message)
        .where(schedule_log.c.schedule_id == schedule_id)
        .order_by(schedule_log.c.pk.desc())
        .limit(LOG_MAX)
    )
    return [LogEntry(*row) for row in rows]
