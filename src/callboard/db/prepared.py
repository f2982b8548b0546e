"""Statements for the places that run thousands of times a minute.

Written like any other, compiled once for each dialect and then handed straight to the driver: running a statement in
the toolkit's own way costs several times what the database needs for it. Values and errors are those of the toolkit:
each column's type converts, and what the driver raises arrives as the `sqlalchemy.exc` kin of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter, methodcaller
from typing import Any, TypeAlias

from sqlalchemy import Connection, Dialect, Executable, bindparam
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import CompilerElement
from sqlalchemy.types import TypeEngine

_Convert: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True)
class _Plan:
    """A statement as one dialect's driver takes it. Conversions stand only where there is something to convert."""

    sql: str
    pick: Callable[[Mapping[str, Any]], Any] | None
    """From values by name to those of the parameters in their order; None where the driver takes them by name."""
    constants: Mapping[str, Any]
    """Values that stand in the statement itself."""
    incoming: Sequence[tuple[str, _Convert]]
    outgoing: Sequence[tuple[int, _Convert]]
    errors: type[Exception]
    """All that the driver raises."""

    def arranged(self, given: Mapping[str, Any]) -> Any:
        values = {**self.constants, **given}
        for name, convert in self.incoming:
            if values[name] is not None:  # which is NULL in columns of every type
                values[name] = convert(values[name])
        return values if self.pick is None else self.pick(values)

    def row(self, driver_row: Sequence[Any]) -> list[Any]:
        values = list(driver_row)
        for position, convert in self.outgoing:
            if values[position] is not None:
                values[position] = convert(values[position])
        return values


def bound(names: Iterable[str]) -> dict[str, Any]:
    """Parameters named as the columns that they are the values of."""
    return {name: bindparam(name) for name in names}


def toolkit_error(tx: Connection, sql: str, error: Exception) -> BaseException:
    """What the toolkit would have made of an error of its driver, without values."""
    driver: Any = tx.dialect.dbapi
    return DBAPIError.instance(
        sql, None, error, driver.Error, hide_parameters=True, dialect=tx.dialect
    )


class Prepared:
    """One statement. Its parameters are its `bindparam`s by name; of an insert without values, all its columns."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._plans: dict[str, _Plan] = {}

    def first(self, tx: Connection, values: Mapping[str, Any]) -> list[Any] | None:
        """Run it and return its first row."""
        plan = self._plan(tx)
        row = _asked(tx, plan, plan.arranged(values), _FIRST)
        return None if row is None else plan.row(row)

    def all(self, tx: Connection, values: Mapping[str, Any]) -> list[list[Any]]:
        """Run it and return its rows."""
        plan = self._plan(tx)
        return [plan.row(row) for row in _asked(tx, plan, plan.arranged(values), _ALL)]

    def run(self, tx: Connection, values: Mapping[str, Any]) -> int:
        """Run it and return how many rows it changed."""
        plan = self._plan(tx)
        return _asked(tx, plan, plan.arranged(values), _COUNT)

    def run_each(self, tx: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run it once for every set of values."""
        plan = self._plan(tx)
        _asked(tx, plan, [plan.arranged(values) for values in rows], is_many=True)

    def _plan(self, tx: Connection) -> _Plan:
        plan = self._plans.get(tx.dialect.name)
        if plan is None:
            plan = self._plans[tx.dialect.name] = _compiled(self._statement, tx.dialect)
        return plan


_FIRST, _ALL, _COUNT = methodcaller("fetchone"), methodcaller("fetchall"), attrgetter("rowcount")


def _asked(
    tx: Connection,
    plan: _Plan,
    parameters: Any,
    fetch: Callable[[Any], Any] | None = None,
    *,
    is_many: bool = False,
) -> Any:
    """What `fetch` gets from a cursor of the driver's, which is closed then."""
    connection: Any = tx.connection.dbapi_connection
    cursor = connection.cursor()
    try:
        (cursor.executemany if is_many else cursor.execute)(plan.sql, parameters)
        return None if fetch is None else fetch(cursor)
    except plan.errors as error:
        raise toolkit_error(tx, plan.sql, error) from error
    finally:
        cursor.close()


def _compiled(statement: Executable, dialect: Dialect) -> _Plan:
    assert isinstance(statement, CompilerElement)
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    incoming = {  # by name, as one may stand in several places
        name: convert
        for parameter, name in compiled.bind_names.items()
        if (convert := _type_of(parameter, dialect).bind_processor(dialect)) is not None
    }
    constants = {
        name: compiled.params[name]
        for parameter, name in compiled.bind_names.items()
        if not parameter.required
    }
    columns: Any = getattr(statement, "exported_columns", ())
    outgoing = [
        (position, convert)
        for position, column in enumerate(columns)
        if (convert := _type_of(column, dialect).result_processor(dialect, None)) is not None
    ]
    pick = _picker(compiled.positiontup or ()) if compiled.positional else None
    driver: Any = dialect.dbapi
    return _Plan(str(compiled), pick, constants, list(incoming.items()), outgoing, driver.Error)


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Any]:
    if len(names) > 1:
        return itemgetter(*names)  # which for one name would give no tuple
    return lambda values: tuple([values[name] for name in names])


def _type_of(element: Any, dialect: Dialect) -> TypeEngine[Any]:
    return element.type.dialect_impl(dialect)
