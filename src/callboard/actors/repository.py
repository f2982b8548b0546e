"""Rows of Actors and their versions."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from callboard.actors.model import Actor, ActorVersion, EnvVar
from callboard.api.pagination import Page, PageRequest
from callboard.db.prepared import Prepared
from callboard.db.tables import actor_versions, actors, run_counts, users

_ACTOR = select(
    *(
        users.c.username if field.name == "username" else actors.c[field.name]
        for field in fields(Actor)
    )
).join(users, users.c.id == actors.c.user_id)
_VERSION = select(actor_versions)
_BY_ID = Prepared(_ACTOR.where(actors.c.id == bindparam("id")))
_BY_OWNER_NAME = Prepared(
    _ACTOR.where(users.c.username == bindparam("username"), actors.c.name == bindparam("name"))
)
_NOTE_RUN = Prepared(
    update(actors)
    .where(actors.c.id == bindparam("actor"))
    .values(total_runs=actors.c.total_runs + 1, last_run_started_at=bindparam("at"))
)


def _actor(row: Sequence[Any] | None) -> Actor | None:
    return None if row is None else Actor(*row)


def _version(row: Row[*tuple[Any, ...]]) -> ActorVersion:
    return ActorVersion(
        actor_id=row.actor_id,
        version_number=row.version_number,
        created_at=row.created_at,
        fields=row.fields,
        env_vars=tuple(EnvVar(**variable) for variable in row.env_vars),
        source_files=row.source_files,
        last_build=row.last_build,
    )


def by_id(tx: Connection, actor_id: str) -> Actor | None:
    return _actor(_BY_ID.first(tx, {"id": actor_id}))


def by_name(tx: Connection, user_id: str, name: str) -> Actor | None:
    return _actor(
        tx.execute(_ACTOR.where(actors.c.user_id == user_id, actors.c.name == name)).first()
    )


def by_owner_name(tx: Connection, username: str, name: str) -> Actor | None:
    return _actor(_BY_OWNER_NAME.first(tx, {"username": username, "name": name}))


def page(
    tx: Connection, user_id: str, request: PageRequest, *, by_last_run: bool, own_only: bool
) -> Page[Actor]:
    """Actors of the account, and unless `own_only` the public ones of others that it has runs of."""
    owned = actors.c.user_id == user_id
    if own_only:
        total = count_of(tx, user_id)
    else:
        used = select(run_counts.c.owner_id).where(
            run_counts.c.user_id == user_id, run_counts.c.count > 0
        )
        owned = owned | (actors.c.is_public & actors.c.id.in_(used))
        total = tx.execute(select(func.count()).select_from(actors).where(owned)).scalar_one()
    key = actors.c.last_run_started_at if by_last_run else actors.c.created_at
    order = (key.desc(), actors.c.id.desc()) if request.desc else (key, actors.c.id)
    rows = tx.execute(
        _ACTOR.where(owned).order_by(*order).offset(request.offset).limit(request.limit)
    )
    return Page([Actor(*row) for row in rows], total)


def count_of(tx: Connection, user_id: str) -> int:
    owned = actors.c.user_id == user_id
    return tx.execute(select(func.count()).select_from(actors).where(owned)).scalar_one()


def public(tx: Connection, username: str | None = None) -> list[Actor]:
    """All public Actors, or those of one owner."""
    rows = tx.execute(
        _ACTOR.where(
            actors.c.is_public, *([] if username is None else [users.c.username == username])
        )
    )
    return [Actor(*row) for row in rows]


def insert_actor(tx: Connection, actor: Actor) -> None:
    values = asdict(actor)
    del values["username"]
    tx.execute(insert(actors).values(**values))


def change_actor(tx: Connection, actor_id: str, **values: Any) -> None:
    tx.execute(update(actors).where(actors.c.id == actor_id).values(**values))


def delete_actor(tx: Connection, actor_id: str) -> None:
    tx.execute(delete(actor_versions).where(actor_versions.c.actor_id == actor_id))
    tx.execute(delete(actors).where(actors.c.id == actor_id))


def note_run(tx: Connection, actor_id: str, *, at: datetime) -> None:
    _NOTE_RUN.run(tx, {"actor": actor_id, "at": at})


def versions(tx: Connection, actor_id: str) -> list[ActorVersion]:
    rows = tx.execute(
        _VERSION.where(actor_versions.c.actor_id == actor_id).order_by(
            actor_versions.c.created_at, actor_versions.c.version_number
        )
    )
    return [_version(row) for row in rows]


def sizes_of_versions(tx: Connection, actor_id: str) -> tuple[int, int]:
    """How many versions there are, and how much text their sources are together."""
    row = tx.execute(
        select(
            func.count(), func.coalesce(func.sum(func.length(actor_versions.c.source_files)), 0)
        ).where(actor_versions.c.actor_id == actor_id)
    ).one()
    return row[0], row[1]


def version(tx: Connection, actor_id: str, number: str) -> ActorVersion | None:
    row = tx.execute(
        _VERSION.where(
            actor_versions.c.actor_id == actor_id, actor_versions.c.version_number == number
        )
    ).first()
    return None if row is None else _version(row)


def save_version(tx: Connection, version: ActorVersion) -> None:
    """Insert the version or put it in place of the one with its number."""
    values = asdict(version)
    key = (actor_versions.c.actor_id == version.actor_id) & (
        actor_versions.c.version_number == version.version_number
    )
    if tx.execute(update(actor_versions).where(key).values(**values)).rowcount == 0:
        tx.execute(insert(actor_versions).values(**values))


def delete_version(tx: Connection, actor_id: str, number: str) -> None:
    tx.execute(
        delete(actor_versions).where(
            actor_versions.c.actor_id == actor_id, actor_versions.c.version_number == number
        )
    )
