"""Lists of storages read the rows of their page, and count the rest in an index alone."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from callboard.api.pagination import PageRequest
from callboard.core import clock
from callboard.core.caller import Caller
from callboard.db.sqlite import SqliteDatabase
from callboard.storages import repository
from callboard.storages.model import StorageKind
from callboard.users import repository as users

KIND = StorageKind.DATASET


@pytest.fixture
async def db(tmp_path: Path) -> AsyncGenerator[SqliteDatabase]:
    db = SqliteDatabase(tmp_path / "test.db")
    yield db
    await db.close()


async def account(db: SqliteDatabase) -> Caller:
    """One with twenty datasets, of which every fourth has a name."""

    def unit(tx: Connection) -> Caller:
        user = users.create_user(tx, "ann", at=clock.now())
        for number in range(20):
            name = f"n{number}" if number % 4 == 0 else None
            repository.create(tx, KIND, user.id, at=clock.now(), name=name)
        return Caller(user.id, user.username)

    return await db.write(unit)


@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("desc", [True, False])
async def test_nothing_but_the_page_is_read(db: SqliteDatabase, unnamed: bool, desc: bool):
    caller = await account(db)

    def unit(tx: Connection) -> list[str]:
        seen: list[tuple[str, object]] = []

        def note(_: object, __: object, statement: str, values: object, *___: object) -> None:
            seen.append((statement, values))

        event.listen(tx, "before_cursor_execute", note)
        repository.page(tx, KIND, caller, PageRequest(2, 3, desc), unnamed=unnamed, ownership=None)
        event.remove(tx, "before_cursor_execute", note)
        return [
            " ".join(str(row[3]) for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values))
            for sql, values in seen
        ]

    plans = await db.read(unit)
    counting, finding = plans[:2]
    assert "COVERING INDEX" in counting and "COVERING INDEX" in finding
    assert "TEMP B-TREE" not in finding


async def test_pages_follow_each_other_in_the_order_of_creation(db: SqliteDatabase):
    caller = await account(db)

    def names(offset: int, *, desc: bool) -> list[str | None]:
        page = pages[offset, desc]
        return [storage.name for storage in page.items]

    pages = {
        (offset, desc): await db.read(
            lambda tx, offset=offset, desc=desc: repository.page(
                tx, KIND, caller, PageRequest(offset, 2, desc), unnamed=False, ownership=None
            )
        )
        for offset in (0, 2, 4)
        for desc in (False, True)
    }
    assert [names(offset, desc=False) for offset in (0, 2, 4)] == [
        ["n0", "n4"],
        ["n8", "n12"],
        ["n16"],
    ]
    assert names(0, desc=True) == ["n16", "n12"]
    assert pages[0, False].total == 5
