"""Rows of builds."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from callboard.actors.model import EnvVar
from callboard.api.pagination import Page, PageRequest
from callboard.builds.model import Build
from callboard.core.jobs import JobStatus
from callboard.db.prepared import Prepared
from callboard.db.tables import actor_versions, builds, runs

_BUILD = select(*(builds.c[field.name] for field in fields(Build)))
_FIELDS = tuple(field.name for field in fields(Build))
_BY_ID = Prepared(_BUILD.where(builds.c.id == bindparam("id")))


def _build(row: Sequence[Any]) -> Build:
    values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    values["status"] = JobStatus(values["status"])
    values["env_vars"] = tuple(EnvVar(**variable) for variable in values["env_vars"])
    return Build(**values)


def by_id(tx: Connection, build_id: str) -> Build | None:
    row = _BY_ID.first(tx, {"id": build_id})
    return None if row is None else _build(row)


def by_number(tx: Connection, actor_id: str, number: str) -> Build | None:
    row = tx.execute(
        _BUILD.where(builds.c.actor_id == actor_id, builds.c.build_number == number)
    ).first()
    return None if row is None else _build(row)


def page(
    tx: Connection, request: PageRequest, *, user_id: str, actor_id: str | None = None
) -> Page[Build]:
    """Builds of an Actor, or all of the account, by start."""
    owned: ColumnElement[bool] = builds.c.user_id == user_id
    if actor_id is not None:
        owned = builds.c.actor_id == actor_id
    total = tx.execute(select(func.count()).select_from(builds).where(owned)).scalar_one()
    order = (
        (builds.c.started_at.desc(), builds.c.build_number_int.desc())
        if request.desc
        else (builds.c.started_at, builds.c.build_number_int)
    )
    rows = tx.execute(
        _BUILD.where(owned).order_by(*order).offset(request.offset).limit(request.limit)
    )
    return Page([_build(row) for row in rows], total)


def unfinished(tx: Connection) -> list[Build]:
    rows = tx.execute(_BUILD.where(builds.c.finished_at.is_(None)).order_by(builds.c.started_at))
    return [_build(row) for row in rows]


def is_running(tx: Connection, build_id: str) -> bool:
    """Whether a run that is not over uses the build, be it after a metamorph."""
    uses = (runs.c.build_id == build_id) | type_coerce(runs.c.metamorphs, Text).contains(build_id)
    unfinished_run = select(runs.c.id).where(runs.c.finished_at.is_(None), uses)
    return tx.execute(unfinished_run.limit(1)).first() is not None


def insert_build(tx: Connection, build: Build) -> None:
    tx.execute(insert(builds).values(**asdict(build)))


def change(tx: Connection, build_id: str, **values: Any) -> None:
    tx.execute(update(builds).where(builds.c.id == build_id).values(**values))


def remove(tx: Connection, build_id: str) -> None:
    tx.execute(delete(builds).where(builds.c.id == build_id))


def next_number(tx: Connection, actor_id: str, version_number: str) -> str:
    """Take the next build number of the version."""
    key = (actor_versions.c.actor_id == actor_id) & (
        actor_versions.c.version_number == version_number
    )
    tx.execute(update(actor_versions).where(key).values(last_build=actor_versions.c.last_build + 1))
    last = tx.execute(select(actor_versions.c.last_build).where(key)).scalar_one()
    return f"{version_number}.{last}"
