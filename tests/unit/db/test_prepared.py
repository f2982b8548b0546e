"""Prepared statements give and take what the toolkit would, at a fraction of its price."""

from collections.abc import Generator
from datetime import UTC, datetime

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from callboard.db.prepared import Prepared, bound
from callboard.db.types import Instant, Json

AT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
THINGS = Table(
    "things",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("at", Instant),
    Column("what", Json),
    Column("is_good", Boolean),
    Column("count", Integer, nullable=False),
)
INSERT = Prepared(insert(THINGS).values(bound(column.name for column in THINGS.c)))
BY_ID = Prepared(select(THINGS).where(THINGS.c.id == bindparam("id")))


@pytest.fixture
def tx() -> Generator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        THINGS.create(connection)
        yield connection
    engine.dispose()


def put(tx: Connection, name: str, **values: object) -> None:
    INSERT.run(tx, {"id": name, "at": AT, "what": {"a": [1]}, "is_good": True, "count": 1} | values)


def test_values_are_converted_by_the_types_of_their_columns(tx: Connection) -> None:
    put(tx, "one")
    assert BY_ID.first(tx, {"id": "one"}) == ["one", AT, {"a": [1]}, True, 1]
    assert tx.execute(select(THINGS)).one() == ("one", AT, {"a": [1]}, True, 1)


def test_none_stays_none(tx: Connection) -> None:
    put(tx, "one", at=None, what=None, is_good=None)
    assert BY_ID.first(tx, {"id": "one"}) == ["one", None, None, None, 1]


def test_a_row_that_is_not_there_is_none(tx: Connection) -> None:
    assert BY_ID.first(tx, {"id": "nobody"}) is None


def test_values_in_the_statement_itself_need_not_be_given(tx: Connection) -> None:
    put(tx, "one")
    more = update(THINGS).where(THINGS.c.id == bindparam("thing"))
    add = Prepared(more.values(count=THINGS.c.count + 5).returning(THINGS.c.count, THINGS.c.at))
    assert add.first(tx, {"thing": "one"}) == [6, AT]


def test_a_value_that_stands_in_two_places_is_converted_for_both(tx: Connection) -> None:
    put(tx, "one", at=None)
    at = bindparam("now", type_=Instant())
    same = Prepared(update(THINGS).where(THINGS.c.at.is_(None) | (THINGS.c.at < at)).values(at=at))
    assert same.run(tx, {"now": AT}) == 1
    assert BY_ID.first(tx, {"id": "one"}) == ["one", AT, {"a": [1]}, True, 1]


def test_it_tells_how_many_rows_it_changed(tx: Connection) -> None:
    put(tx, "one")
    put(tx, "two")
    assert Prepared(update(THINGS).values(count=2)).run(tx, {}) == 2
    assert Prepared(update(THINGS).values(count=3).where(THINGS.c.id == "none")).run(tx, {}) == 0


def test_it_runs_once_for_each_set_of_values(tx: Connection) -> None:
    row = {"at": AT, "what": 1, "is_good": False}
    INSERT.run_each(tx, [{"id": str(number), "count": number, **row} for number in range(3)])
    every = Prepared(select(THINGS.c.count, THINGS.c.is_good).order_by(THINGS.c.count))
    assert every.all(tx, {}) == [[0, False], [1, False], [2, False]]


def test_errors_of_the_driver_arrive_as_those_of_the_toolkit(tx: Connection) -> None:
    put(tx, "one")
    with pytest.raises(IntegrityError) as caught:
        put(tx, "one", what={"password": "hunter2"})
    assert "hunter2" not in str(caught.value)
