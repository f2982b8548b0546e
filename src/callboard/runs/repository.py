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
from sqlalchemy.dialects.sqlite import insert as upsert

from callboard.api.pagination import Page, PageRequest
from callboard.core.caller import Caller
from callboard.core.clock import Mark
from callboard.core.jobs import JobStatus
from callboard.db.prepared import Prepared, bound
from callboard.db.tables import charges, run_counts, run_usage, runs, users
from callboard.runs.model import Attempts, Run

_RUN = select(*(runs.c[field.name] for field in fields(Run)))
_FIELDS = tuple(field.name for field in fields(Run))
_BY_ID = Prepared(_RUN.where(runs.c.id == bindparam("id")))
_INSERT = Prepared(insert(runs).values(bound(_FIELDS)))
_COUNTED = Prepared(
    select(run_counts.c.count).where(
        run_counts.c.user_id == bindparam("user"), run_counts.c.owner_id == bindparam("owner")
    )
)
_NEW_COUNT = upsert(run_counts).values(bound(("user_id", "owner_id", "count")))
_ADD = Prepared(
    _NEW_COUNT.on_conflict_do_update(
        index_elements=["user_id", "owner_id"],
        set_={"count": run_counts.c.count + _NEW_COUNT.excluded.count},
    )
)


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

    @property
    def counter(self) -> str | None:
        """Whose counter tells how many runs these are; None when they have to be counted."""
        is_part = self.statuses or self.origin or self.started_after or self.started_before
        if is_part or (self.actor_id and self.task_id):
            return None
        return self.task_id or self.actor_id or self.user_id


@cache
def _changing(names: tuple[str, ...]) -> Prepared:
    """The change of these columns of one run."""
    return Prepared(update(runs).where(runs.c.id == bindparam("run")).values(bound(names)))


def _run(row: Sequence[Any]) -> Run:
    values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    values["status"] = JobStatus(values["status"])
    attempts = values["attempts"]
    attempts["restarted_at_millis"] = tuple(attempts["restarted_at_millis"])
    if attempts["running_since"] is not None:
        attempts["running_since"] = Mark(**attempts["running_since"])
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
    total = _total(tx, wanted)
    key = runs.c.started_at
    order = (key.desc(), runs.c.id.desc()) if request.desc else (key, runs.c.id)
    rows = tx.execute(
        _RUN.where(*conditions).order_by(*order).offset(request.offset).limit(request.limit)
    )
    return Page([_run(row) for row in rows], total)


def _total(tx: Connection, wanted: RunFilter) -> int:
    if wanted.counter is not None:
        row = _COUNTED.first(tx, {"user": wanted.user_id, "owner": wanted.counter})
        return 0 if row is None else row[0]
    counted = select(func.count()).select_from(runs).where(*wanted.conditions())
    return tx.execute(counted).scalar_one()


def unfinished(tx: Connection) -> list[Run]:
    """Runs that are not over, those that came first in front."""
    rows = tx.execute(_RUN.where(runs.c.finished_at.is_(None)).order_by(runs.c.started_at))
    return [_run(row) for row in rows]


def insert_run(tx: Connection, run: Run) -> None:
    values = {name: getattr(run, name) for name in _FIELDS}
    _INSERT.run(tx, values | {"attempts": asdict(run.attempts)})
    _count(tx, run.user_id, run.actor_id, run.task_id, by=1)


def _count(tx: Connection, user_id: str, actor_id: str, task_id: str | None, *, by: int) -> None:
    """Lists of runs say how many there are; counting them each time would take longer with every run."""
    owners = [user_id, actor_id, *([] if task_id is None else [task_id])]
    _ADD.run_each(tx, [{"user_id": user_id, "owner_id": owner, "count": by} for owner in owners])


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
    removed = tx.execute(
        delete(runs)
        .where(runs.c.id == run_id)
        .returning(runs.c.user_id, runs.c.actor_id, runs.c.task_id)
    ).first()
    if removed is not None:
        _count(tx, *removed, by=-1)
        of_removed = run_counts.c.owner_id.in_([owner for owner in removed if owner is not None])
        tx.execute(delete(run_counts).where(of_removed, run_counts.c.count == 0))


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
