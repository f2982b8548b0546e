"""Rows of usage, and counts of what an account holds. Counts only: other slices' rows are theirs to read."""

from collections import defaultdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, func, select, update

from callboard.db.tables import actor_tasks, actors, builds, runs, schedules, usage, users
from callboard.usage.model import Cycle, DayUsage, Holdings


def days(tx: Connection, user_id: str, cycle: Cycle) -> list[DayUsage]:
    """The days of the cycle on which anything was used, in order."""
    rows = tx.execute(
        select(usage.c.day, usage.c.service, usage.c.quantity)
        .where(usage.c.user_id == user_id, usage.c.day.between(cycle.first_day, cycle.last_day))
        .order_by(usage.c.day, usage.c.service)
    )
    by_day: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        by_day[row.day][row.service] = row.quantity
    return [DayUsage(day, quantities) for day, quantities in by_day.items()]


def holdings(tx: Connection, user_id: str) -> Holdings:
    """An account's Actors, tasks and schedules, and its runs and builds that have not ended."""
    jobs = [_unfinished(tx, table, user_id) for table in (runs, builds)]
    return Holdings(
        actor_count=_count(tx, actors, actors.c.user_id == user_id),
        task_count=_count(tx, actor_tasks, actor_tasks.c.user_id == user_id),
        schedule_count=_count(tx, schedules, schedules.c.user_id == user_id),
        active_job_count=sum(count for count, _ in jobs),
        active_memory_mbytes=sum(mbytes for _, mbytes in jobs),
    )


def _count(tx: Connection, table: FromClause, condition: ColumnElement[bool]) -> int:
    return tx.execute(select(func.count()).select_from(table).where(condition)).scalar_one()


def _unfinished(tx: Connection, table: FromClause, user_id: str) -> tuple[int, int]:
    row = tx.execute(
        select(func.count(), func.coalesce(func.sum(table.c.memory_mbytes), 0))
        .select_from(table)
        .where(table.c.user_id == user_id, table.c.finished_at.is_(None))
    ).one()
    return row[0], row[1]


def settings_of(tx: Connection, user_id: str) -> dict[str, Any]:
    return tx.execute(select(users.c.settings).where(users.c.id == user_id)).scalar_one()


def change_settings(tx: Connection, user_id: str, changes: dict[str, Any]) -> None:
    """Put `changes` over the account's settings."""
    settings = settings_of(tx, user_id) | changes
    tx.execute(update(users).where(users.c.id == user_id).values(settings=settings))
