"""Statements for the few places that run thousands of times a second.

Written like any other, compiled once for each dialect and then handed straight to the driver: running a statement in
the toolkit's own way costs several times what the database needs for it. In return, values go to the driver and come
back as they are (an instant is its milliseconds), and errors are the driver's.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.sql.elements import CompilerElement


class Prepared:
    """One statement. Its parameters are its `bindparam`s by name."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._by_dialect: dict[str, tuple[str, list[str] | None]] = {}

    def first(self, tx: Connection, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Run it and return its first row, as the driver gives it."""
        sql, names = self._compiled(tx)
        cursor = tx.connection.cursor()
        try:
            cursor.execute(sql, _arranged(values, names))
            return cursor.fetchone()
        finally:
            cursor.close()

    def run_each(self, tx: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run it once for every set of values."""
        sql, names = self._compiled(tx)
        cursor = tx.connection.cursor()
        try:
            cursor.executemany(sql, [_arranged(values, names) for values in rows])
        finally:
            cursor.close()

    def _compiled(self, tx: Connection) -> tuple[str, list[str] | None]:
        known = self._by_dialect.get(tx.dialect.name)
        if known is None:
            assert isinstance(self._statement, CompilerElement)
            compiled: Any = self._statement.compile(dialect=tx.dialect)
            names = list(compiled.positiontup) if compiled.positional else None
            known = self._by_dialect[tx.dialect.name] = (str(compiled), names)
        return known


def _arranged(values: Mapping[str, Any], names: list[str] | None) -> Any:
    return values if names is None else tuple([values[name] for name in names])
