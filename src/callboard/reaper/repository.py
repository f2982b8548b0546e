"""What has outlived its use. Looks across slices, because only all of them together know what is still used."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, exists, func, or_, select, union_all, update

from callboard.db.tables import actors, builds, runs, storages, users


def retentions(tx: Connection) -> dict[str, int | None]:
    """By account the days it has chosen to keep things for, None where it has not."""
    rows = tx.execute(select(users.c.id, users.c.settings))
    return {row.id: row.settings.get("dataRetentionDays") for row in rows}


def expired_runs(
    tx: Connection, user_id: str, *, before: datetime, keep: int, limit: int
) -> list[str]:
    """Runs that ended before an instant, but none of the newest `keep` of each Actor. Oldest first."""
    place = func.row_number().over(partition_by=runs.c.actor_id, order_by=runs.c.started_at.desc())
    placed = (
        select(runs.c.id, runs.c.finished_at, place.label("place"))
        .where(runs.c.user_id == user_id)
        .subquery()
    )
    rows = tx.execute(
        select(placed.c.id)
        .where(placed.c.place > keep, placed.c.finished_at < before)
        .order_by(placed.c.finished_at)
        .limit(limit)
    )
    return list(rows.scalars())


def expire_storages(
    tx: Connection, user_id: str, *, before: datetime, at: datetime, limit: int
) -> int:
    """Mark unnamed storages as deleted that nobody has used since an instant. Returns how many.

    Those of a run that is still there stay with it.
    """
    of_a_run = exists().where(runs.c.id == storages.c.run_id)
    expired = (
        select(storages.c.pk)
        .where(
            storages.c.user_id == user_id,
            storages.c.name.is_(None),
            storages.c.deleted_at.is_(None),
            storages.c.accessed_at < before,
            ~of_a_run,
        )
        .limit(limit)
    )
    return tx.execute(
        update(storages).where(storages.c.pk.in_(expired)).values(deleted_at=at)
    ).rowcount


def unused_builds(
    tx: Connection, *, before: datetime, orphaned_before: datetime, limit: int
) -> list[str]:
    """Finished builds that no run used, ended before an instant, or before another if their Actor is gone."""
    is_used = exists().where(runs.c.build_id == builds.c.id)
    has_actor = exists().where(actors.c.id == builds.c.actor_id)
    rows = tx.execute(
        select(builds.c.id)
        .where(
            ~is_used,
            or_(
                builds.c.finished_at < before, ~has_actor & (builds.c.finished_at < orphaned_before)
            ),
        )
        .order_by(builds.c.finished_at)
        .limit(limit)
    )
    return list(rows.scalars())


def known_jobs(tx: Connection, ids: Iterable[str]) -> set[str]:
    """Those of the ids that are a run's or a build's."""
    asked = list(ids)
    return set(
        tx.scalars(
            union_all(
                select(runs.c.id).where(runs.c.id.in_(asked)),
                select(builds.c.id).where(builds.c.id.in_(asked)),
            )
        )
    )
