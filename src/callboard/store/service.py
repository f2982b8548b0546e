"""Finding public Actors. Small enough to look at all of them: the Actors of one server, not of the world."""

from datetime import datetime

from sqlalchemy import Connection

from callboard.actors.model import DEFAULT_TAG, Actor
from callboard.actors.pricing import current_pricing
from callboard.api.pagination import Page, PageRequest
from callboard.core import clock
from callboard.db.base import Database
from callboard.store import repository
from callboard.store.model import StoreActor, StoreOrder, StoreQuery, relevance


class StoreService:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def page(self, wanted: StoreQuery, request: PageRequest) -> Page[StoreActor]:
        """Those of all public Actors that the query lets through, best first."""
        found = await self._db.read(lambda tx: _find(tx, wanted, clock.now()))
        if request.desc:
            found.reverse()
        return Page(found[request.offset :][: request.limit], len(found))


def _find(tx: Connection, wanted: StoreQuery, at: datetime) -> list[StoreActor]:
    counts = repository.build_counts(tx)
    candidates = [
        StoreActor(actor, current_pricing(actor.fields, at), counts.get(actor.id, 0))
        for actor in repository.public_actors(tx, wanted.username)
    ]
    candidates = [one for one in candidates if _is_wanted(one, wanted)]
    scores = _scores(tx, candidates, wanted)
    if wanted.words:
        candidates = [one for one in candidates if scores[one.actor.id]]
    return _sorted(candidates, wanted.order, scores)


def _is_wanted(found: StoreActor, wanted: StoreQuery) -> bool:
    # Nobody pays here, so there is no Actor that an agent could not run.
    return (
        wanted.allows_agents is not False
        and (
            wanted.category is None
            or wanted.category in (found.actor.fields.get("categories") or [])
        )
        and wanted.pricing_model in (None, found.pricing_model)
    )


def _scores(tx: Connection, found: list[StoreActor], wanted: StoreQuery) -> dict[str, int]:
    if not wanted.words:
        return {}
    shown = {one.actor.id: _shown_build(one.actor) for one in found}
    readmes = repository.readmes(tx, (build_id for build_id in shown.values() if build_id))
    return {
        one.actor.id: relevance(one, readmes.get(shown[one.actor.id] or "", ""), wanted.words)
        for one in found
    }


def _shown_build(actor: Actor) -> str | None:
    """The build whose readme stands for the Actor."""
    entry = actor.tagged_builds.get(actor.default_run_options.get("build") or DEFAULT_TAG)
    return None if entry is None else entry["buildId"]


def _sorted(found: list[StoreActor], order: StoreOrder, scores: dict[str, int]) -> list[StoreActor]:
    found.sort(key=lambda one: (-one.actor.total_runs, one.actor.full_name))
    if order is StoreOrder.NEWEST:
        found.sort(key=lambda one: one.actor.created_at, reverse=True)
    elif order is StoreOrder.LAST_UPDATE:
        found.sort(key=lambda one: one.actor.modified_at, reverse=True)
    elif order is StoreOrder.RELEVANCE and scores:
        found.sort(key=lambda one: scores[one.actor.id], reverse=True)
    return found
