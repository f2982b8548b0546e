"""Looking up what a label of a host name may stand for. In host names case does not count."""

from sqlalchemy import Connection, func, select

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
    named = users.c.username + OWNER_SEPARATOR + func.lower(actors.c.name) == label
    found = select(actors.c.id).join(users, users.c.id == actors.c.user_id)
    return tx.execute(
        found.where(usable, named | (func.lower(actors.c.id) == label))
        # Names that differ in case only, or hold the separator, have one label: the caller's own comes first.
        .order_by(actors.c.user_id != caller.user_id, actors.c.created_at)
        .limit(1)
    ).scalar_one_or_none()


def task_id_of(tx: Connection, caller: Caller, label: str) -> str | None:
    """Of a task of the caller's: `username--name`, or its id."""
    name = label.removeprefix(caller.username + OWNER_SEPARATOR)
    is_it = func.lower(actor_tasks.c.id) == label
    if name != label:
        is_it |= func.lower(actor_tasks.c.name) == name
    return tx.execute(
        select(actor_tasks.c.id)
        .where(actor_tasks.c.user_id == caller.user_id, is_it)
        .order_by(actor_tasks.c.created_at)
        .limit(1)
    ).scalar_one_or_none()
