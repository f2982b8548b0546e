"""What the Store shows, read from the rows of Actors and their builds."""

from collections.abc import Iterable, Mapping
from itertools import islice

from sqlalchemy import Connection, func, select

from callboard.actors import repository as actor_rows
from callboard.actors.model import Actor
from callboard.db.tables import actor_versions, builds

_CHUNK = 500


def public_actors(tx: Connection, username: str | None) -> list[Actor]:
    return actor_rows.public(tx, username)


def build_counts(tx: Connection) -> Mapping[str, int]:
    """How many builds were ever made of each Actor."""
    rows = tx.execute(
        select(actor_versions.c.actor_id, func.sum(actor_versions.c.last_build)).group_by(
            actor_versions.c.actor_id
        )
    )
    return dict(rows.tuples().all())


def readmes(tx: Connection, build_ids: Iterable[str]) -> dict[str, str]:
    """Readme by build, for the builds that have one."""
    found: dict[str, str] = {}
    left = iter(build_ids)
    while chunk := list(islice(left, _CHUNK)):
        rows = tx.execute(
            select(builds.c.id, builds.c.readme).where(
                builds.c.id.in_(chunk), builds.c.readme.is_not(None)
            )
        )
        found |= dict(rows.tuples().all())
    return found
