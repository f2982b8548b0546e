"""Looking up what a label of a host name may stand for. In host names case does not count, in ids it does."""

from sqlalchemy import ColumnElement, Connection, Select, func, select

from callboard.core.actor_urls import OWNER_SEPARATOR
from callboard.core.caller import Caller
from callboard.db.tables import actor_tasks, actors, runs, users


def run_id_of(tx: Connection, label: str) -> str | None:
    """Of a run that is not over: of those there are few."""
    unfinished = runs.c.finished_at.is_(None)
    return tx.execute(
        select(runs.c.id).where(unfinished, func.lower(runs.c.id) == label)
    ).scalar_one_or_none()


def actor_id_of(tx: Connection, caller: Caller, label: str) -> str | None:
    """Of an Actor the caller may use: `username--name`, or its id."""
    usable = (actors.c.user_id == caller.user_id) | actors.c.is_public
    username, is_named, name = label.partition(OWNER_SEPARATOR)
    found = select(actors.c.id).where(usable)
    if is_named:
        owned = found.join(users, users.c.id == actors.c.user_id)
        return _first(tx, owned, users.c.username == username, actors.c.name == name)
    return _first(tx, found, func.lower(actors.c.id) == label)


def task_id_of(tx: Connection, caller: Caller, label: str) -> str | None:
    """Of a task of the caller's: `username--name`, or its id."""
    username, is_named, name = label.partition(OWNER_SEPARATOR)
    if is_named and username != caller.username:
        return None
    is_it = actor_tasks.c.name == name if is_named else func.lower(actor_tasks.c.id) == label
    own = select(actor_tasks.c.id).where(actor_tasks.c.user_id == caller.user_id)
    return _first(tx, own, is_it)


def _first(tx: Connection, query: Select[str], *conditions: ColumnElement[bool]) -> str | None:
    """Two ids that differ in case only are not to be expected, and do no harm."""
    return tx.execute(query.where(*conditions).limit(1)).scalar_one_or_none()
