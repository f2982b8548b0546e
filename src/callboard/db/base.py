"""How the rest of Callboard reaches its rows: synchronous units of work, run off the event loop.

A unit is a plain function of a connection, free of side effects outside the database: what it did is undone when
it raises, and no one else sees it before it is durable. It may be run a second time, after all that its first time
did was undone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")
Unit: TypeAlias = Callable[[Connection], T]


class Database(ABC):
    """Runs units of work. `tests/conformance/test_databases.py` holds every database to this."""

    @abstractmethod
    async def write(self, unit: Unit[T]) -> T:
        """Run `unit` in a transaction and return its value once that is durable on disk.

        An exception raised by `unit` undoes its own changes only and is raised here. Cancelling the caller
        does not undo a unit that has begun.
        """

    @abstractmethod
    async def read(self, unit: Unit[T]) -> T:
        """Run `unit` on a consistent view of what has been committed. It must not write."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what has been asked for, then let go."""
