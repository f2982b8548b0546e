"""Counting the events that a pay-per-event run charges for. No money moves: counts, once each, and the run's cap."""

from typing import Any

from sqlalchemy import Connection

from callboard.actors.pricing import charge_events, event_price_usd
from callboard.core import clock
from callboard.core.errors import InvalidValue
from callboard.runs import repository
from callboard.runs.errors import MaxTotalChargeBelowMinimum, NotPayPerEvent, SyntheticEvent
from callboard.runs.model import Run
from callboard.storages import repository as storage_rows
from callboard.storages.model import StorageKind

SYNTHETIC_PREFIX = "apify-"
START_EVENT = "apify-actor-start"
ITEM_EVENT = "apify-default-dataset-item"
_MBYTES_PER_START = 1024
COUNT_MAX = 1_000_000_000


def initial_counts(pricing: dict[str, object] | None, memory_mbytes: int) -> dict[str, int] | None:
    """What a new run has charged: its start, one for each gigabyte begun. None without pay-per-event."""
    events = charge_events(pricing)
    if events is None:
        return None
    if START_EVENT not in events:
        return {}
    return {START_EVENT: -(-memory_mbytes // _MBYTES_PER_START)}


def add_charge(
    tx: Connection, run: Run, event: str, count: int, *, idempotency_key: str | None
) -> Run:
    """Count an event. A key that the run has used before counts nothing.

    Raises NotPayPerEvent, SyntheticEvent or InvalidValue.
    """
    events = charge_events(run.pricing_info)
    if events is None:
        raise NotPayPerEvent
    if event.startswith(SYNTHETIC_PREFIX):
        raise SyntheticEvent(event)
    if event not in events:
        raise InvalidValue(f'The Actor\'s pricing has no event "{event}".')
    if not 1 <= count <= COUNT_MAX:
        raise InvalidValue(f"count must be from 1 to {COUNT_MAX}.")
    if idempotency_key is not None and not repository.note_charge(
        tx, run.id, idempotency_key, at=clock.now()
    ):
        return run
    counts = run.charged_event_counts or {}
    charged = counts.get(event, 0) + count
    if events[event].get("isOneTimeEvent"):
        charged = 1
    return repository.with_counts(tx, run, {**counts, event: charged})


def total_usd(run: Run) -> float:
    """What the counted events would cost."""
    events = charge_events(run.pricing_info) or {}
    return sum(
        count * event_price_usd(events[name])
        for name, count in (run.charged_event_counts or {}).items()
        if name in events
    )


def is_over_cap(run: Run) -> bool:
    """Whether the run has charged more than whoever started it allowed."""
    cap = run.options.get("maxTotalChargeUsd")
    # Sums of decimal prices in binary: what is equal on paper must not count as more.
    return cap is not None and total_usd(run) > cap * (1 + 1e-9)


def require_enough(pricing: dict[str, Any] | None, cap: float | None) -> None:
    """Raise MaxTotalChargeBelowMinimum for a cap with which the Actor would not get anywhere."""
    least = None if pricing is None else pricing.get("minimalMaxTotalChargeUsd")
    if cap is not None and least is not None and cap < least:
        raise MaxTotalChargeBelowMinimum(least)


def charges_for_items(run: Run) -> bool:
    """Whether the items of the run's default dataset are charged for as they are pushed."""
    return ITEM_EVENT in (charge_events(run.pricing_info) or ())


def with_item_count(run: Run, items: int) -> dict[str, int]:
    """The run's counts when its default dataset has so many items."""
    return {**(run.charged_event_counts or {}), ITEM_EVENT: items}


def counted_at_end(tx: Connection, run: Run) -> dict[str, int] | None:
    """The run's counts with the items of its default dataset, where its Actor charges for those."""
    if not charges_for_items(run):
        return run.charged_event_counts
    dataset = storage_rows.by_id(tx, StorageKind.DATASET, run.default_dataset_id)
    return with_item_count(run, 0 if dataset is None else dataset.item_count)
