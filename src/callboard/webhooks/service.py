"""Operations on webhooks, and `publish`, by which runs and builds report their events.

`publish` writes the dispatches of an event in the transaction that makes the event true, so a crash leaves both or
neither. Whoever publishes calls `wake_dispatcher` once that transaction is committed.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection

from callboard.api.pagination import Page, PageRequest
from callboard.core import clock
from callboard.core.caller import Caller, require_account
from callboard.core.errors import InsufficientPermissions
from callboard.core.ids import new_id
from callboard.core.signals import Signals
from callboard.db.base import Database
from callboard.webhooks import repository
from callboard.webhooks.definitions import (
    MAX_AD_HOC_PER_RUN,
    check,
    check_condition,
    check_idempotency_key,
)
from callboard.webhooks.definitions import parse_ad_hoc as parse_ad_hoc
from callboard.webhooks.errors import (
    DispatchNotFound,
    TargetNotFound,
    TooManyWebhooks,
    WebhookNotFound,
)
from callboard.webhooks.model import (
    AdHocWebhook,
    Condition,
    Dispatch,
    Event,
    EventType,
    NewWebhook,
    Target,
    Webhook,
)
from callboard.webhooks.schemas import sample_event_data, sample_resource

DISPATCHES: Final = "webhook-dispatches"
"""Topic of `Signals` that wakes the dispatcher: something may be due."""

Owns: TypeAlias = Callable[[Connection, str, str], bool]
"""Whether the user (second) may bind webhooks to what has that id (third)."""


def publish(tx: Connection, event: Event) -> int:
    """Insert a dispatch for every enabled webhook that waits for `event`; return how many those are.

    One indexed query when there are none. After the commit, call `wake_dispatcher` if there were any.
    """
    return len(repository.insert_dispatches(tx, event, repository.waiting_for(tx, event)))


def wake_dispatcher(signals: Signals) -> None:
    """Let the dispatcher look for what is due. On the event loop's thread, after a commit."""
    signals.notify(DISPATCHES)


def create_ad_hoc(
    tx: Connection, user_id: str, run_id: str, webhooks: Sequence[AdHocWebhook]
) -> None:
    """Bind checked webhooks to a new run, before its first event is published.

    One whose idempotency key the user has used before is left out: the first one stands.
    """
    for webhook in webhooks:
        key = webhook.idempotency_key
        if key is None or repository.by_idempotency_key(tx, user_id, key) is None:
            condition = Condition(run_id=run_id)
            repository.insert_webhook(tx, user_id, condition, webhook, at=clock.now())


def forget(tx: Connection, condition: Condition) -> None:
    """Delete all webhooks bound to an Actor, task or run that is being deleted."""
    repository.delete_of(tx, condition)


def reap(tx: Connection, *, created_before: datetime, limit: int = 1000) -> int:
    """Remove up to `limit` old dispatches that are no longer tried; return how many there were."""
    return repository.reap(tx, created_before=created_before, limit=limit)


class WebhookService:
    """Webhooks of users. What conditions name belongs to slices above, which answer for it by `owns_...`."""

    def __init__(
        self,
        db: Database,
        signals: Signals,
        *,
        owns_actor: Owns,
        owns_task: Owns,
        owns_run: Owns,
        max_webhooks: int,
    ) -> None:
        self._db = db
        self._max_webhooks = max_webhooks
        self._signals = signals
        self._owns = {"actor_id": owns_actor, "task_id": owns_task, "run_id": owns_run}

    async def create(self, caller: Caller, condition: Condition, webhook: NewWebhook) -> Webhook:
        """A new webhook, or the one that the user created before with the same idempotency key.

        Raises InvalidWebhook, InvalidTemplate, TargetNotFound, TooManyWebhooks or InsufficientPermissions.
        """
        require_account(caller)
        check(webhook.definition)
        check_condition(condition)
        check_idempotency_key(webhook.idempotency_key)

        def unit(tx: Connection) -> Webhook:
            key = webhook.idempotency_key
            existing = key and repository.by_idempotency_key(tx, caller.user_id, key)
            if existing:
                return existing
            self._require_owned(tx, caller, condition)
            self._require_room(tx, caller, condition)
            webhook_id = repository.insert_webhook(
                tx, caller.user_id, condition, webhook, at=clock.now()
            )
            return _found(tx, caller, webhook_id)

        return await self._db.write(unit)

    async def get(self, caller: Caller, webhook_id: str) -> Webhook:
        """Raises WebhookNotFound, also for another user's."""
        return await self._db.read(lambda tx: _found(tx, caller, webhook_id))

    async def page(
        self, caller: Caller, request: PageRequest, *, condition: Condition | None = None
    ) -> Page[Webhook]:
        """The caller's webhooks: those with that condition, or all that are not for a single run."""
        _require_reach(caller, condition)
        return await self._db.read(
            lambda tx: repository.page(tx, caller.user_id, request, condition=condition)
        )

    async def update(
        self, caller: Caller, webhook_id: str, changes: dict[str, Any], condition: Condition | None
    ) -> Webhook:
        """Change fields of its definition, and what it waits for unless `condition` is None.

        Dispatches that are still being tried go by the new definition from their next call on.
        """
        require_account(caller)
        if condition is not None:
            check_condition(condition)

        def unit(tx: Connection) -> Webhook:
            webhook = _found(tx, caller, webhook_id)
            definition = replace(webhook.definition, **changes)
            check(definition)
            if condition is not None and condition != webhook.condition:
                self._move(tx, caller, webhook, condition)
            repository.change(tx, webhook_id, at=clock.now(), **asdict(definition))
            return _found(tx, caller, webhook_id)

        return await self._db.write(unit)

    def _move(self, tx: Connection, caller: Caller, webhook: Webhook, condition: Condition) -> None:
        self._require_owned(tx, caller, condition)
        is_ad_hoc = condition.run_id is not None
        if is_ad_hoc or webhook.is_ad_hoc:
            self._require_room(tx, caller, condition)
        repository.change(tx, webhook.id, at=clock.now(), is_ad_hoc=is_ad_hoc, **asdict(condition))

    async def delete(self, caller: Caller, webhook_id: str) -> None:
        """Delete it. Nothing is sent any more, not even what was being retried."""

        def unit(tx: Connection) -> None:
            repository.delete_webhook(tx, _found(tx, caller, webhook_id).id)

        await self._db.write(unit)

    async def test(self, caller: Caller, webhook_id: str) -> Dispatch:
        """Send a made-up event, whether or not the webhook is enabled."""

        def unit(tx: Connection) -> Dispatch:
            webhook = _found(tx, caller, webhook_id)
            targets = {webhook.id: _target(webhook)}
            [dispatch_id] = repository.insert_dispatches(tx, _test_event(webhook), targets)
            return _found_dispatch(tx, caller, dispatch_id)

        dispatch = await self._db.write(unit)
        wake_dispatcher(self._signals)
        return dispatch

    async def dispatches(
        self, caller: Caller, request: PageRequest, *, webhook_id: str | None = None
    ) -> Page[Dispatch]:
        """The caller's dispatches, or those of one webhook. Raises WebhookNotFound."""

        def unit(tx: Connection) -> Page[Dispatch]:
            if webhook_id is None:
                _require_reach(caller, None)
            else:
                _found(tx, caller, webhook_id)
            return repository.dispatch_page(tx, caller.user_id, request, webhook_id=webhook_id)

        return await self._db.read(unit)

    async def dispatch(self, caller: Caller, dispatch_id: str) -> Dispatch:
        """Raises DispatchNotFound, also for another user's."""
        return await self._db.read(lambda tx: _found_dispatch(tx, caller, dispatch_id))

    def _require_owned(self, tx: Connection, caller: Caller, condition: Condition) -> None:
        for name, value in asdict(condition).items():
            if value is not None and not self._owns[name](tx, caller.user_id, value):
                raise TargetNotFound(f'There is no {_KIND[name]} with ID "{value}".')

    def _require_room(self, tx: Connection, caller: Caller, condition: Condition) -> None:
        if condition.run_id is not None:
            if repository.count_of_run(tx, caller.user_id, condition.run_id) >= MAX_AD_HOC_PER_RUN:
                raise TooManyWebhooks(
                    f"A run may have at most {MAX_AD_HOC_PER_RUN} ad-hoc webhooks."
                )
        elif repository.count_lasting(tx, caller.user_id) >= self._max_webhooks:
            raise TooManyWebhooks(f"You may have at most {self._max_webhooks} webhooks.")


_KIND = {"actor_id": "Actor", "task_id": "Actor task", "run_id": "Actor run"}


def _found(tx: Connection, caller: Caller, webhook_id: str) -> Webhook:
    webhook = repository.by_id(tx, webhook_id)
    if webhook is None or not caller.owns(webhook.user_id):
        raise WebhookNotFound
    _require_reach(caller, webhook.condition)
    return webhook


def _found_dispatch(tx: Connection, caller: Caller, dispatch_id: str) -> Dispatch:
    dispatch = repository.dispatch_by_id(tx, dispatch_id)
    if dispatch is None or not caller.owns(dispatch.user_id):
        raise DispatchNotFound
    _require_reach(caller, dispatch.target.condition)
    return dispatch


def _require_reach(caller: Caller, condition: Condition | None) -> None:
    """A limited run reaches the webhooks on itself only, and makes none: they may call this server as the account."""
    if caller.is_limited and (condition is None or condition.run_id != caller.run_id):
        raise InsufficientPermissions


def _target(webhook: Webhook) -> Target:
    return Target(webhook.condition, webhook.definition.request_url, webhook.is_ad_hoc)


def _test_event(webhook: Webhook) -> Event:
    at = clock.now()
    event_data = sample_event_data(webhook.condition, dummy_id=new_id())
    return Event(
        type=EventType.TEST,
        user_id=webhook.user_id,
        created_at=at,
        event_data=event_data,
        resource=sample_resource(event_data, user_id=webhook.user_id, created_at=clock.iso(at)),
    )
