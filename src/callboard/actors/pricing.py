"""Pricing of Actors. No money moves here: prices are metadata, and charging for events is counting them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from callboard.actors.errors import InvalidActorField
from callboard.core.clock import iso, parse_iso


class PricingModel(StrEnum):
    FREE = "FREE"
    FLAT_PRICE_PER_MONTH = "FLAT_PRICE_PER_MONTH"
    PRICE_PER_DATASET_ITEM = "PRICE_PER_DATASET_ITEM"
    PAY_PER_EVENT = "PAY_PER_EVENT"


class _Event(msgspec.Struct, rename="camel"):
    event_title: str
    event_price_usd: float | None = None
    event_tiered_pricing_usd: dict[str, dict[str, float]] | None = None


class _PerEvent(msgspec.Struct, rename="camel"):
    actor_charge_events: dict[str, _Event]


class _Info(msgspec.Struct, rename="camel"):
    """What must be right about a pricing record; the rest of it is kept as it comes."""

    pricing_model: PricingModel
    created_at: str
    started_at: str
    pricing_per_event: _PerEvent | None = None
    minimal_max_total_charge_usd: float | None = None


def checked_pricing(infos: list[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
    """Pricing records as they are kept: dates filled in, `at` where none is given.

    Raises InvalidActorField.
    """
    return [_checked(info, at) for info in infos]


def _checked(info: dict[str, Any], at: datetime) -> dict[str, Any]:
    complete = {"apifyMarginPercentage": 0, "createdAt": iso(at), "startedAt": iso(at), **info}
    try:
        parsed = msgspec.convert(complete, _Info)
        parse_iso(parsed.created_at)
        parse_iso(parsed.started_at)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidActorField(f"A record of pricingInfos is not valid: {error}") from error
    if parsed.pricing_model is PricingModel.PAY_PER_EVENT and parsed.pricing_per_event is None:
        raise InvalidActorField("A pay-per-event pricing needs pricingPerEvent.actorChargeEvents.")
    return complete


def current_pricing(fields: Mapping[str, Any], at: datetime) -> dict[str, Any] | None:
    """The pricing record in force: of those that have begun, the one that began last. None means free."""
    infos: list[dict[str, Any]] = fields.get("pricingInfos") or []
    begun = [info for info in infos if parse_iso(info["startedAt"]) <= at]
    return max(begun, key=_began_at, default=None)


def _began_at(info: dict[str, Any]) -> datetime:
    return parse_iso(info["startedAt"])


def charge_events(pricing: Mapping[str, Any] | None) -> dict[str, dict[str, Any]] | None:
    """The events a pay-per-event Actor charges for, by name. None when it is not one."""
    if pricing is None or pricing.get("pricingModel") != PricingModel.PAY_PER_EVENT:
        return None
    return pricing["pricingPerEvent"]["actorChargeEvents"]


def event_price_usd(event: Mapping[str, Any]) -> float:
    """Of one event. Of prices in tiers the free one, which everyone here is on."""
    tiers: dict[str, dict[str, float]] = event.get("eventTieredPricingUsd") or {}
    no_tier: dict[str, float] = {}
    tier = tiers.get("FREE", next(iter(tiers.values()), no_tier))
    return event.get("eventPriceUsd") or tier.get("tieredEventPriceUsd") or 0
