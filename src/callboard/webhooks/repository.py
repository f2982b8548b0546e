"""Rows of webhooks and of their dispatches."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    union_all,
    update,
)

from callboard.api.pagination import Page, PageRequest
from callboard.core.clock import iso, iso_or_none
from callboard.core.ids import new_id
from callboard.db.prepared import Prepared
from callboard.db.tables import webhook_dispatches, webhooks
from callboard.webhooks.model import (
    Condition,
    Definition,
    Delivery,
    Dispatch,
    DispatchCall,
    DispatchStatus,
    Event,
    EventType,
    LastDispatch,
    NewWebhook,
    Target,
    Webhook,
)

_W = webhooks.c
_D = webhook_dispatches.c
_SELECT = select(webhooks)
_DISPATCH_COLUMNS = [column for column in _D if column is not _D.resource]
_SELECT_DISPATCH = select(*_DISPATCH_COLUMNS)


def insert_webhook(
    tx: Connection, user_id: str, condition: Condition, webhook: NewWebhook, *, at: datetime
) -> str:
    """Insert it and return its id."""
    webhook_id = new_id()
    tx.execute(
        insert(webhooks).values(
            id=webhook_id,
            user_id=user_id,
            created_at=at,
            modified_at=at,
            is_ad_hoc=condition.run_id is not None,
            idempotency_key=webhook.idempotency_key,
            **asdict(condition),
            **asdict(webhook.definition),
        )
    )
    return webhook_id


def by_id(tx: Connection, webhook_id: str) -> Webhook | None:
    row = tx.execute(_SELECT.where(_W.id == webhook_id)).first()
    return None if row is None else _webhook(row)


def by_idempotency_key(tx: Connection, user_id: str, key: str) -> Webhook | None:
    row = tx.execute(_SELECT.where(_W.user_id == user_id, _W.idempotency_key == key)).first()
    return None if row is None else _webhook(row)


def count_lasting(tx: Connection, user_id: str) -> int:
    """How many webhooks the user has that are not for a single run."""
    query = select(func.count()).where(_W.user_id == user_id, _W.is_ad_hoc.is_(False))
    return tx.execute(query).scalar_one()


def count_of_run(tx: Connection, user_id: str, run_id: str) -> int:
    query = select(func.count()).where(_W.user_id == user_id, _W.run_id == run_id)
    return tx.execute(query).scalar_one()


def page(
    tx: Connection, user_id: str, request: PageRequest, *, condition: Condition | None
) -> Page[Webhook]:
    """The user's webhooks with that condition, or without one all that are not for a single run."""
    where: list[ColumnElement[bool]] = [_W.user_id == user_id]
    if condition is None:
        where.append(_W.is_ad_hoc.is_(False))
    else:
        where += [_W[name] == value for name, value in asdict(condition).items() if value]
    total = tx.execute(select(func.count()).select_from(webhooks).where(*where)).scalar_one()
    rows = tx.execute(_paged(_SELECT.where(*where), request, _W.created_at, _W.id))
    return Page([_webhook(row) for row in rows], total)


def change(tx: Connection, webhook_id: str, *, at: datetime, **values: Any) -> None:
    tx.execute(update(webhooks).where(_W.id == webhook_id).values(modified_at=at, **values))


def delete_webhook(tx: Connection, webhook_id: str) -> None:
    """Delete it. Its dispatches stay to be read; those still being tried are given up."""
    _give_up(tx, [webhook_id])
    tx.execute(delete(webhooks).where(_W.id == webhook_id))


def delete_of(tx: Connection, condition: Condition) -> None:
    """Delete every user's webhooks with that condition."""
    named = [_W[name] == value for name, value in asdict(condition).items() if value]
    ids = tx.execute(select(_W.id).where(*named)).scalars().all()
    _give_up(tx, ids)
    tx.execute(delete(webhooks).where(_W.id.in_(ids)))


def _give_up(tx: Connection, webhook_ids: Sequence[str]) -> None:
    tx.execute(
        update(webhook_dispatches)
        .where(_D.webhook_id.in_(webhook_ids), _D.next_attempt_at.is_not(None))
        .values(status=DispatchStatus.FAILED, next_attempt_at=None)
    )


# A union rather than OR, so that each part is certain to use the index of its column.
_WAITING = Prepared(
    union_all(
        *(
            select(
                *(_W.id, _W.event_types, _W.request_url, _W.is_ad_hoc),
                *(_W.actor_id, _W.task_id, _W.run_id),
            ).where(column == bindparam(name), _W.user_id == bindparam("user"), _W.is_enabled)
            for column, name in (
                (_W.actor_id, "actorId"),
                (_W.task_id, "actorTaskId"),
                (_W.run_id, "actorRunId"),
            )
        )
    )
)


def waiting_for(tx: Connection, event: Event) -> dict[str, Target]:
    """By id, the enabled webhooks of the event's user that wait for it."""
    named = {name: event.event_data.get(name) for name in ("actorId", "actorTaskId", "actorRunId")}
    rows = _WAITING.all(tx, {**named, "user": event.user_id})
    return {
        webhook_id: Target(Condition(*condition), request_url=url, is_ad_hoc=is_ad_hoc)
        for webhook_id, event_types, url, is_ad_hoc, *condition in rows
        if event.type in event_types
    }


def insert_dispatches(tx: Connection, event: Event, targets: Mapping[str, Target]) -> list[str]:
    """One dispatch, due at once, for each webhook id. Returns their ids."""
    if not targets:
        return []
    ids = {webhook_id: new_id() for webhook_id in targets}
    rows: list[dict[str, Any]] = [
        {
            "id": ids[webhook_id],
            "webhook_id": webhook_id,
            "user_id": event.user_id,
            "created_at": event.created_at,
            "status": DispatchStatus.ACTIVE,
            "event_type": event.type,
            "event_data": event.event_data,
            "webhook": target,
            "resource": event.resource,
            "calls": [],
            "attempts": 0,
            "next_attempt_at": event.created_at,
        }
        for webhook_id, target in targets.items()
    ]
    tx.execute(insert(webhook_dispatches), rows)
    for webhook_id, dispatch_id in ids.items():
        last = _last_dispatch_row(dispatch_id, DispatchStatus.ACTIVE, None)
        tx.execute(
            update(webhooks)
            .where(_W.id == webhook_id)
            .values(total_dispatches=_W.total_dispatches + 1, last_dispatch=last)
        )
    return list(ids.values())


def dispatch_by_id(tx: Connection, dispatch_id: str) -> Dispatch | None:
    row = tx.execute(_SELECT_DISPATCH.where(_D.id == dispatch_id)).first()
    return None if row is None else _dispatch(row)


def dispatch_page(
    tx: Connection, user_id: str, request: PageRequest, *, webhook_id: str | None = None
) -> Page[Dispatch]:
    """The user's dispatches, of one webhook or of all."""
    where: list[ColumnElement[bool]] = [_D.user_id == user_id]
    if webhook_id is not None:
        where = [_D.webhook_id == webhook_id]
    total = tx.execute(
        select(func.count()).select_from(webhook_dispatches).where(*where)
    ).scalar_one()
    rows = tx.execute(_paged(_SELECT_DISPATCH.where(*where), request, _D.created_at, _D.id))
    return Page([_dispatch(row) for row in rows], total)


def soonest(
    tx: Connection, limit: int, *, but_not_to: Collection[str]
) -> list[tuple[str, datetime, str]]:
    """Id, next attempt and URL of the dispatches that are to be sent next, soonest first."""
    rows = tx.execute(
        select(_D.id, _D.next_attempt_at, _W.request_url)
        .join(webhooks, _W.id == _D.webhook_id)
        .where(_D.next_attempt_at.is_not(None), _W.request_url.not_in(but_not_to))
        .order_by(_D.next_attempt_at)
        .limit(limit)
    )
    return [(row.id, row.next_attempt_at, row.request_url) for row in rows]


def bring_forward(tx: Connection, attempts: int, *, latest: datetime) -> None:
    """Let the dispatches with so many calls behind them be sent at `latest` if they were to be sent later."""
    is_later = (_D.attempts == attempts) & (_D.next_attempt_at > latest)
    tx.execute(update(webhook_dispatches).where(is_later).values(next_attempt_at=latest))


def delivery(tx: Connection, dispatch_id: str) -> Delivery | None:
    """All that a call needs, or None when the dispatch is no longer to be sent."""
    query = select(*_DISPATCH_COLUMNS, _D.resource).where(
        _D.id == dispatch_id, _D.next_attempt_at.is_not(None)
    )
    row = tx.execute(query).first()
    webhook = None if row is None else by_id(tx, row.webhook_id)
    if row is None or webhook is None:
        return None
    return Delivery(_dispatch(row), resource=row.resource, definition=webhook.definition)


def record_call(
    tx: Connection,
    dispatch_id: str,
    call: DispatchCall,
    *,
    status: DispatchStatus,
    next_attempt_at: datetime | None,
) -> None:
    """Append a call. One whose webhook was deleted meanwhile stays given up."""
    dispatch = dispatch_by_id(tx, dispatch_id)
    if dispatch is None:
        return
    values: dict[str, Any] = {
        "calls": [*map(_call_row, dispatch.calls), _call_row(call)],
        "attempts": dispatch.attempts + 1,
    }
    if dispatch.next_attempt_at is not None:
        values |= {"status": status, "next_attempt_at": next_attempt_at}
    tx.execute(update(webhook_dispatches).where(_D.id == dispatch_id).values(**values))
    if next_attempt_at is None:
        _finish_last(tx, dispatch, status, call.finished_at)


def _finish_last(
    tx: Connection, dispatch: Dispatch, status: DispatchStatus, finished_at: datetime
) -> None:
    last = tx.execute(select(_W.last_dispatch).where(_W.id == dispatch.webhook_id)).scalar()
    if last is not None and last["id"] == dispatch.id:
        tx.execute(
            update(webhooks)
            .where(_W.id == dispatch.webhook_id)
            .values(last_dispatch=_last_dispatch_row(dispatch.id, status, finished_at))
        )


def reap(tx: Connection, *, created_before: datetime, limit: int) -> int:
    """Remove up to `limit` old dispatches that are no longer tried; return how many there were."""
    old = (
        select(_D.id)
        .where(_D.created_at < created_before, _D.next_attempt_at.is_(None))
        .limit(limit)
    )
    return tx.execute(delete(webhook_dispatches).where(_D.id.in_(old))).rowcount


def _paged(query: Select[Any], request: PageRequest, *keys: ColumnElement[Any]) -> Select[Any]:
    order: Iterable[ColumnElement[Any]] = [key.desc() for key in keys] if request.desc else keys
    return query.order_by(*order).offset(request.offset).limit(request.limit)


def _condition(row: Row[*tuple[Any, ...]]) -> Condition:
    return Condition(actor_id=row.actor_id, task_id=row.task_id, run_id=row.run_id)


def _webhook(row: Row[Any]) -> Webhook:
    definition = Definition(
        event_types=tuple(EventType(name) for name in row.event_types),
        request_url=row.request_url,
        payload_template=row.payload_template,
        headers_template=row.headers_template,
        description=row.description,
        ignore_ssl_errors=row.ignore_ssl_errors,
        do_not_retry=row.do_not_retry,
        should_interpolate_strings=row.should_interpolate_strings,
        is_enabled=row.is_enabled,
    )
    last = row.last_dispatch
    return Webhook(
        id=row.id,
        user_id=row.user_id,
        created_at=row.created_at,
        modified_at=row.modified_at,
        is_ad_hoc=row.is_ad_hoc,
        condition=_condition(row),
        definition=definition,
        total_dispatches=row.total_dispatches,
        last_dispatch=None if last is None else msgspec.convert(last, LastDispatch),
    )


def _dispatch(row: Row[Any]) -> Dispatch:
    return Dispatch(
        id=row.id,
        webhook_id=row.webhook_id,
        user_id=row.user_id,
        created_at=row.created_at,
        status=DispatchStatus(row.status),
        event_type=EventType(row.event_type),
        event_data=row.event_data,
        target=msgspec.convert(row.webhook, Target),
        calls=msgspec.convert(row.calls, tuple[DispatchCall, ...]),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
    )


def _call_row(call: DispatchCall) -> dict[str, Any]:
    return asdict(call) | {"started_at": iso(call.started_at), "finished_at": iso(call.finished_at)}


def _last_dispatch_row(
    dispatch_id: str, status: DispatchStatus, finished_at: datetime | None
) -> dict[str, Any]:
    return {"id": dispatch_id, "status": status, "finished_at": iso_or_none(finished_at)}
