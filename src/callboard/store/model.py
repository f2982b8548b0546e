"""The Store: this server's public Actors, found by words and put in order."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from callboard.actors.model import Actor
from callboard.actors.pricing import PricingModel


class StoreOrder(StrEnum):
    RELEVANCE = "relevance"
    POPULARITY = "popularity"
    NEWEST = "newest"
    LAST_UPDATE = "lastUpdate"


class StoreFormat(StrEnum):
    FULL = "full"
    AGENT = "agent"
    """Only what a language model needs to choose an Actor."""


@dataclass(frozen=True)
class StoreQuery:
    """Which public Actors a caller wants to see, and in which order."""

    words: Collection[str] = ()
    """Lower-case words that all must occur."""
    order: StoreOrder = StoreOrder.RELEVANCE
    category: str | None = None
    username: str | None = None
    pricing_model: PricingModel | None = None
    allows_agents: bool | None = None


@dataclass(frozen=True)
class StoreActor:
    """A public Actor with its pricing of now."""

    actor: Actor
    pricing: dict[str, Any] | None
    total_builds: int

    @property
    def pricing_model(self) -> PricingModel:
        return PricingModel.FREE if self.pricing is None else self.pricing["pricingModel"]

    @property
    def title(self) -> str:
        return self.actor.fields.get("title") or self.actor.name


_WEIGHTS = (8, 6, 3, 2, 1)


def relevance(found: StoreActor, readme: str, words: Collection[str]) -> int:
    """How well the words describe the Actor; 0 when one of them occurs nowhere."""
    places = (
        found.title,
        found.actor.name,
        found.actor.username,
        found.actor.fields.get("description") or "",
        readme,
    )
    lowered = [place.lower() for place in places]
    scores = [
        max(
            (weight for weight, place in zip(_WEIGHTS, lowered, strict=True) if word in place),
            default=0,
        )
        for word in words
    ]
    return sum(scores) if all(scores) else 0
