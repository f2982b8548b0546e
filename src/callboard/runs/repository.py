"""Rows of runs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from callboard.api.pagination import Page, PageRequest
from callboard.core.caller import Caller
from callboard.core.jobs import JobStatus
from callboard.db.prepared import Prepared, bound
from callboard.db.tables import charges, run_usage, runs, users
from callboard.runs.model import Attempts, Run

_RUN = select(*(runs.c[field.name] for field in fields(Run)))
_FIELDS = tuple(field.name for field in fields(Run))
_BY_ID = Prepared(_RUN.where(runs.c.id == bindparam("id")))
_INSERT = Prepared(insert(runs).values(bound(_FIELDS)))


@dataclass(frozen=True)
class RunFilter:
    """Which runs a list shows."""

    user_id: str
    actor_id: str | None = None
    task_id: str | None = None
    statuses: Sequence[JobStatus] | None = None
    origin: str | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        wanted: list[ColumnElement[bool]] = [runs.c.user_id == self.user_id]
        if self.actor_id is not None:
            wanted.append(runs.c.actor_id == self.actor_id)
        if self.task_id is not None:
            wanted.append(runs.c.task_id == self.task_id)
        if self.statuses:
            wanted.append(runs.c.status.in_(self.statuses))
        if self.origin is not None:
            wanted.append(runs.c.origin == self.origin)
        if self.started_after is not None:
            wanted.append(runs.c.started_at >= self.started_after)
        if self.started_before is not None:
            wanted.append(runs.c.started_at <= self.started_before)
        return wanted


@cache
def _changing(names: tuple[str, ...]) -> Prepared:
    """The change of these columns of one run."""
    return Prepared(update(runs).where(runs.c.id == bindparam("run")).values(bound(names)))


def _run(row: Sequence[Any]) -> Run:
    values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    values["status"] = JobStatus(values["status"])
    attempts = values["attempts"]
    attempts["restarted_at_millis"] = tuple(attempts["restarted_at_millis"])
    values["attempts"] = Attempts(**attempts)
    return Run(**values)


def by_id(tx: Connection, run_id: str) -> Run | None:
    row = _BY_ID.first(tx, {"id": run_id})
    return None if row is None else _run(row)


def newest(tx: Connection, wanted: RunFilter) -> Run | None:
    row = tx.execute(
        _RUN.where(*wanted.conditions()).order_by(runs.c.started_at.desc()).limit(1)
    ).first()
    return None if row is None else _run(row)


def page(tx: Connection, wanted: RunFilter, request: PageRequest) -> Page[Run]:
    conditions = wanted.conditions()
    total = tx.execute(select(func.count()).select_from(runs).where(*conditions)).scalar_one()
    key = runs.c.started_at
    order = (key.desc(), runs.c.id.desc()) if request.desc else (key, runs.c.id)
    rows = tx.execute(
        _RUN.where(*conditions).order_by(*order).offset(request.offset).limit(request.limit)
    )
    return Page([_run(row) for row in rows], total)


def unfinished(tx: Connection) -> list[Run]:
    """Runs that are not over, those that came first in front."""
    rows = tx.execute(_RUN.where(runs.c.finished_at.is_(None)).order_by(runs.c.started_at))
    return [_run(row) for row in rows]


def insert_run(tx: Connection, run: Run) -> None:
    values = {name: getattr(run, name) for name in _FIELDS}
    _INSERT.run(tx, values | {"attempts": asdict(run.attempts)})


def save(tx: Connection, run: Run) -> None:
    """Put the run in place of the row with its id."""
    change(tx, run.id, **{name: getattr(run, name) for name in _FIELDS})


def change(tx: Connection, run_id: str, **values: Any) -> None:
    if isinstance(values.get("attempts"), Attempts):
        values["attempts"] = asdict(values["attempts"])
    _changing(tuple(values)).run(tx, {"run": run_id, **values})


def with_counts(tx: Connection, run: Run, counts: dict[str, int]) -> Run:
    """The run with these counts of charged events, which are written."""
    change(tx, run.id, charged_event_counts=counts)
    return replace(run, charged_event_counts=counts)


def note_charge(tx: Connection, run_id: str, idempotency_key: str, *, at: datetime) -> bool:
    """Remember a charge's key. False when the run has used it before."""
    key = (charges.c.run_id == run_id) & (charges.c.idempotency_key == idempotency_key)
    if tx.execute(select(charges.c.run_id).where(key)).first() is not None:
        return False
    tx.execute(
        insert(charges).values(run_id=run_id, idempotency_key=idempotency_key, created_at=at)
    )
    return True


def remove(tx: Connection, run_id: str) -> None:
    """Also what stands beside it: its usage and the keys of its charges."""
    tx.execute(delete(charges).where(charges.c.run_id == run_id))
    tx.execute(delete(run_usage).where(run_usage.c.run_id == run_id))
    tx.execute(delete(runs).where(runs.c.id == run_id))


def caller_of(tx: Connection, run_id: str) -> Caller | None:
    """Whom the token of a run stands for: the account that started it. None once the run is over."""
    row = tx.execute(
        select(
            runs.c.user_id,
            runs.c.actor_id,
            runs.c.status,
            runs.c.permission_level,
            users.c.username,
        )
        .join(users, users.c.id == runs.c.user_id)
        .where(runs.c.id == run_id)
    ).first()
    if row is None or JobStatus(row.status).is_terminal:
        return None
    return Caller(
        user_id=row.user_id,
        username=row.username,
        run_id=run_id,
        actor_id=row.actor_id,
        is_limited=row.permission_level == "LIMITED_PERMISSIONS",
        origin="ACTOR",
    )
