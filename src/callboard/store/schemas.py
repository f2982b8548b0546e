"""Public Actors on the wire. What others rate and bookmark elsewhere is zero here."""

from typing import Any

from callboard.actors.pricing import PricingModel
from callboard.actors.schemas import stats_wire
from callboard.store.model import StoreActor, StoreFormat


def store_row_wire(found: StoreActor, *, base_url: str, form: StoreFormat) -> dict[str, Any]:
    return _short_wire(found) if form is StoreFormat.AGENT else _full_wire(found, base_url)


def _base_wire(found: StoreActor) -> dict[str, Any]:
    actor = found.actor
    return {
        "id": actor.id,
        "title": found.title,
        "name": actor.name,
        "username": actor.username,
        "description": actor.fields.get("description") or "",
        "notice": "NONE",
        "badge": None,
        "categories": actor.fields.get("categories") or [],
    }


def _short_wire(found: StoreActor) -> dict[str, Any]:
    stats = stats_wire(found.actor, total_builds=found.total_builds)
    kept = ("totalRuns", "totalUsers", "totalUsers30Days")
    return {**_base_wire(found), "stats": {name: stats[name] for name in kept}}


def _full_wire(found: StoreActor, base_url: str) -> dict[str, Any]:
    actor = found.actor
    return {
        **_base_wire(found),
        "userFullName": actor.username,
        "pictureUrl": actor.fields.get("pictureUrl"),
        "userPictureUrl": None,
        "url": f"{base_url}/console/actors/{actor.id}",
        "stats": {
            **stats_wire(actor, total_builds=found.total_builds),
            "actorReviewCount": 0,
            "actorReviewRating": 0,
            "bookmarkCount": 0,
        },
        "currentPricingInfo": found.pricing or {"pricingModel": PricingModel.FREE},
        "isWhiteListedForAgenticPayments": True,
        "actorReviewCount": 0,
        "actorReviewRating": 0,
        "bookmarkCount": 0,
    }
