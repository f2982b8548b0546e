"""SQLite: units of work are durable, apart from each other, and never reported as what they are not."""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from callboard.db.sqlite import SqliteDatabase

PROMPT_SECS = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "callboard.db"


@pytest.fixture
async def db(path: Path) -> AsyncGenerator[SqliteDatabase]:
    one = SqliteDatabase(path)
    await one.write(
        lambda tx: tx.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY, body)"))
    )
    yield one
    await one.close()


def add(note_id: int) -> Callable[[Connection], int]:
    def unit(tx: Connection) -> int:
        tx.execute(text("INSERT INTO notes VALUES (:id, 'x')"), {"id": note_id})
        return note_id

    return unit


def too_big(tx: Connection) -> None:
    tx.execute(text("INSERT INTO notes VALUES (1000, zeroblob(50000000))"))


async def kept(db: SqliteDatabase) -> list[int]:
    return await db.read(
        lambda tx: list(tx.execute(text("SELECT id FROM notes ORDER BY id")).scalars())
    )


async def together(db: SqliteDatabase, *units: Callable[[Connection], Any]) -> list[Any]:
    """What came of units that go into one commit: they all wait while another one is being written."""
    has_begun, may_end = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        has_begun.set()
        may_end.wait(PROMPT_SECS)

    holding = asyncio.ensure_future(db.write(hold))
    await asyncio.to_thread(has_begun.wait, PROMPT_SECS)
    writes = [asyncio.ensure_future(db.write(unit)) for unit in units]
    await asyncio.sleep(0)
    may_end.set()
    await holding
    async with asyncio.timeout(PROMPT_SECS):
        return await asyncio.gather(*writes, return_exceptions=True)


async def limit_size(db: SqliteDatabase) -> None:
    """Let the database run full soon, as on a full disk."""

    def unit(tx: Connection) -> None:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.exec_driver_sql(f"PRAGMA max_page_count={pages + 50}")

    await db.write(unit)


async def test_units_of_one_commit_all_return_their_values(db: SqliteDatabase):
    assert await together(db, add(1), add(2), add(3)) == [1, 2, 3]
    assert await kept(db) == [1, 2, 3]


async def test_a_unit_that_fails_undoes_only_itself(db: SqliteDatabase):
    def half(tx: Connection) -> None:
        add(2)(tx)
        add(1)(tx)

    first, failed, last = await together(db, add(1), half, add(3))
    assert (first, last) == (1, 3)
    assert isinstance(failed, IntegrityError)
    assert await kept(db) == [1, 3]


async def test_a_unit_that_fills_the_disk_takes_no_acknowledged_unit_with_it(db: SqliteDatabase):
    await limit_size(db)
    first, failed, last = await together(db, add(1), too_big, add(3))
    assert isinstance(failed, OperationalError)
    assert "full" in str(failed)
    assert (first, last) == (1, 3)
    assert await kept(db) == [1, 3]


async def test_a_unit_that_hides_the_loss_of_its_transaction_is_not_acknowledged(
    db: SqliteDatabase,
):
    def hides(tx: Connection) -> str:
        tx.connection.cursor().execute("ROLLBACK")
        return "fine"

    first, failed = await together(db, add(1), hides)
    assert first == 1
    assert isinstance(failed, Exception)
    with pytest.raises(Exception, match="transaction"):
        await db.write(hides)
    assert await kept(db) == [1]


async def test_a_stop_iteration_in_a_unit_hangs_nobody(db: SqliteDatabase):
    first, failed, last = await together(db, add(1), lambda _: next(iter(())), add(2))
    assert (first, last) == (1, 2)
    assert isinstance(failed, RuntimeError)


async def test_the_caller_may_leave_without_undoing_what_has_begun(db: SqliteDatabase):
    has_begun, may_end = threading.Event(), threading.Event()

    def slow(tx: Connection) -> None:
        has_begun.set()
        may_end.wait(PROMPT_SECS)
        add(1)(tx)

    writing = asyncio.ensure_future(db.write(slow))
    await asyncio.to_thread(has_begun.wait, PROMPT_SECS)
    writing.cancel()
    may_end.set()
    assert await db.write(add(2)) == 2
    assert await kept(db) == [1, 2]


async def test_a_lock_held_by_another_process_costs_that_write_only(db: SqliteDatabase, path: Path):
    await db.write(lambda tx: tx.exec_driver_sql("PRAGMA busy_timeout=50").scalar())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"):
        await db.write(add(1))
    other.execute("ROLLBACK")
    other.close()
    assert await db.write(add(2)) == 2


async def test_what_was_asked_for_before_closing_is_done(path: Path, db: SqliteDatabase):
    second = SqliteDatabase(path)
    writes = [asyncio.ensure_future(second.write(add(number))) for number in range(1, 600)]
    await asyncio.sleep(0)
    await second.close()
    await asyncio.gather(*writes)
    assert len(await kept(db)) == 599


async def test_a_closed_database_refuses_instead_of_waiting_for_ever(path: Path):
    one = SqliteDatabase(path)
    await one.close()
    async with asyncio.timeout(PROMPT_SECS):
        with pytest.raises(RuntimeError):
            await one.write(add(1))
        with pytest.raises(RuntimeError):
            await one.read(lambda tx: tx.execute(text("SELECT 1")))


async def test_reads_cannot_write(db: SqliteDatabase):
    with pytest.raises(DBAPIError, match="readonly"):
        await db.read(add(1))
    assert await kept(db) == []


async def test_errors_do_not_show_the_values_of_a_statement(db: SqliteDatabase):
    def unit(tx: Connection) -> None:
        tx.execute(text("INSERT INTO nowhere VALUES (:secret)"), {"secret": "s3cr3t-value"})

    with pytest.raises(OperationalError) as caught:
        await db.write(unit)
    assert "s3cr3t-value" not in str(caught.value)


def test_a_loop_that_is_gone_does_not_stop_the_writer(path: Path):
    has_begun, may_end = threading.Event(), threading.Event()

    def slow(_: Connection) -> None:
        has_begun.set()
        may_end.wait(PROMPT_SECS)

    async def open_and_leave() -> SqliteDatabase:
        one = SqliteDatabase(path)
        leaving = asyncio.ensure_future(one.write(slow))
        await asyncio.to_thread(has_begun.wait, PROMPT_SECS)
        leaving.cancel()
        return one

    async def use(one: SqliteDatabase) -> int:
        async with asyncio.timeout(PROMPT_SECS):
            value = await one.write(lambda tx: tx.execute(text("SELECT 7")).scalar_one())
            await one.close()
            return value

    one = asyncio.run(open_and_leave())
    may_end.set()
    assert asyncio.run(use(one)) == 7


async def test_only_the_owner_can_read_the_files(db: SqliteDatabase, path: Path):
    await db.write(add(1))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("*.db*")}
    assert len(modes) >= 2
    assert set(modes.values()) == {0o600}


async def test_the_log_has_its_size_from_the_start(db: SqliteDatabase, path: Path):
    log = path.with_name("callboard.db-wal")
    at_first = log.stat().st_size
    assert at_first >= 1000 * 4096
    for number in range(50):
        await db.write(add(number))
    assert log.stat().st_size == at_first
    assert await kept(db) == list(range(50))
    tables = await db.read(lambda tx: list(tx.execute(text("SELECT name FROM sqlite_master"))))
    assert ("filler",) not in [tuple(row) for row in tables]
