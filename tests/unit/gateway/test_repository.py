"""What labels of host names stand for, and that finding it takes an index and no reading of tables."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from callboard.actors import repository as actor_rows
from callboard.actors.model import Actor
from callboard.core import clock
from callboard.core.caller import Caller
from callboard.core.ids import new_id
from callboard.db.sqlite import SqliteDatabase
from callboard.gateway import repository
from callboard.tasks import repository as task_rows
from callboard.users import repository as users


@pytest.fixture
async def db(tmp_path: Path) -> AsyncGenerator[SqliteDatabase]:
    db = SqliteDatabase(tmp_path / "test.db")
    yield db
    await db.close()


def account(tx: Connection, username: str) -> Caller:
    user = users.create_user(tx, username, at=clock.now())
    return Caller(user.id, user.username)


def actor_of(tx: Connection, owner: Caller, name: str, *, is_public: bool = False) -> str:
    now = clock.now()
    actor = Actor(
        new_id(), owner.user_id, owner.username, name, now, now, is_public, {}, {}, {}, {}, None, 0
    )
    actor_rows.insert_actor(tx, actor)
    return actor.id


def task_of(tx: Connection, owner: Caller, actor_id: str, name: str) -> str:
    task_id, now = new_id(), clock.now()
    values = {"user_id": owner.user_id, "actor_id": actor_id, "name": name, "options": {}}
    task_rows.insert_task(tx, id=task_id, created_at=now, modified_at=now, **values)
    return task_id


async def test_a_label_is_an_id_or_the_one_name_that_is_spelled_so(db: SqliteDatabase):
    def unit(tx: Connection) -> None:
        me, with_hyphens = account(tx, "me"), account(tx, "me--a")
        own = {name: actor_of(tx, me, name) for name in ("a", "A", "a--b")}
        other = actor_of(tx, with_hyphens, "b", is_public=True)
        assert repository.actor_id_of(tx, me, "me--a") == own["a"]
        assert repository.actor_id_of(tx, me, "me--a--b") == own["a--b"]
        assert repository.actor_id_of(tx, with_hyphens, "me--a--b") is None
        for actor_id in (*own.values(), other):
            assert repository.actor_id_of(tx, me, actor_id.lower()) == actor_id

    await db.write(unit)


async def test_only_public_actors_of_others_are_found(db: SqliteDatabase):
    def unit(tx: Connection) -> None:
        me, other = account(tx, "me"), account(tx, "other")
        private, public = actor_of(tx, other, "a"), actor_of(tx, other, "b", is_public=True)
        assert repository.actor_id_of(tx, me, "other--a") is None
        assert repository.actor_id_of(tx, me, private.lower()) is None
        assert repository.actor_id_of(tx, me, "other--b") == public
        assert repository.actor_id_of(tx, me, public.lower()) == public

    await db.write(unit)


async def test_only_own_tasks_are_found(db: SqliteDatabase):
    def unit(tx: Connection) -> None:
        me, other = account(tx, "me"), account(tx, "other")
        mine, theirs = task_of(tx, me, "x", "a"), task_of(tx, other, "x", "a")
        assert repository.task_id_of(tx, me, "me--a") == mine
        assert repository.task_id_of(tx, me, mine.lower()) == mine
        assert repository.task_id_of(tx, me, "other--a") is None
        assert repository.task_id_of(tx, me, theirs.lower()) is None

    await db.write(unit)


@pytest.mark.parametrize("label", ["me--a", "q7ho5l9gzkxd3vtbw"])
@pytest.mark.parametrize("find", [repository.actor_id_of, repository.task_id_of])
async def test_finding_reads_no_table(
    db: SqliteDatabase, find: Callable[[Connection, Caller, str], str | None], label: str
):
    def unit(tx: Connection) -> list[str]:
        seen: list[tuple[str, object]] = []

        def note(_: object, __: object, statement: str, values: object, *___: object) -> None:
            seen.append((statement, values))

        me = account(tx, "me")
        event.listen(tx, "before_cursor_execute", note)
        find(tx, me, label)
        event.remove(tx, "before_cursor_execute", note)
        ((sql, values),) = seen
        return [str(row[3]) for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]

    steps = await db.write(unit)
    assert steps
    assert all(step.startswith("SEARCH") for step in steps), steps
