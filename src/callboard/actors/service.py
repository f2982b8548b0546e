"""Operations on Actors: who sees them, how they are created, changed and deleted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from callboard.actors import repository
from callboard.actors.deploy_keys import new_deploy_key
from callboard.actors.errors import (
    ActorNameNotUnique,
    ActorNotFound,
    CannotPublishActor,
    InvalidActorField,
    InvalidActorName,
    TooFewVersions,
    TooManyActors,
)
from callboard.actors.model import BUILD_TAG, NAME, Actor, ActorVersion
from callboard.actors.pricing import checked_pricing
from callboard.actors.schemas import KEPT_FIELDS, ActorBody, given_fields
from callboard.actors.standby import merged_standby
from callboard.actors.versions import VersionMaker, save_versions
from callboard.api.pagination import Page, PageRequest
from callboard.api.refs import ById, ByName, Ref
from callboard.core import clock
from callboard.core.caller import Caller, require_account
from callboard.core.ids import new_id
from callboard.db.base import Database

FindBuild = Callable[[Connection, str, str], Mapping[str, Any] | None]
"""From an Actor's id and a build's id to the tag entry of that finished build."""


def find_actor(tx: Connection, caller: Caller | None, ref: Ref) -> Actor:
    """The Actor, if it is the caller's or public. Raises ActorNotFound."""
    if isinstance(ref, ById):
        actor = repository.by_id(tx, ref.id)
        if actor is None and caller is not None:
            actor = repository.by_name(tx, caller.user_id, ref.id)
    elif ref.username is not None:
        actor = repository.by_owner_name(tx, ref.username, ref.name)
    else:
        actor = None if caller is None else repository.by_name(tx, caller.user_id, ref.name)
    if actor is None or not (
        actor.is_public or (caller is not None and caller.owns(actor.user_id))
    ):
        raise ActorNotFound
    return actor


def is_named_by(tx: Connection, caller: Caller | None, ref: Ref, actor_id: str) -> bool:
    """Whether a reference means the Actor with that id, seen or unseen by the caller, or deleted meanwhile."""
    if isinstance(ref, ById) and ref.id == actor_id:
        return True
    actor = repository.by_id(tx, actor_id)
    if actor is None:
        return False
    if isinstance(ref, ByName) and ref.username is not None:
        return (actor.username, actor.name) == (ref.username, ref.name)
    name = ref.id if isinstance(ref, ById) else ref.name
    return caller is not None and caller.owns(actor.user_id) and actor.name == name


def own_actor(tx: Connection, caller: Caller, ref: Ref) -> Actor:
    """The Actor, if the caller may change it. Raises ActorNotFound, also for others' public ones."""
    actor = find_actor(tx, caller, ref)
    if not caller.owns(actor.user_id):
        raise ActorNotFound
    return actor


class ActorService:
    def __init__(
        self, db: Database, versions: VersionMaker, *, find_build: FindBuild, max_actors: int
    ) -> None:
        self._max_actors = max_actors
        self._db = db
        self._versions = versions
        self._find_build = find_build

    async def get(self, caller: Caller | None, ref: Ref) -> tuple[Actor, list[ActorVersion]]:
        """The Actor with its versions; those of others' Actors, and to limited runs all, are not shown."""

        def unit(tx: Connection) -> tuple[Actor, list[ActorVersion]]:
            actor = find_actor(tx, caller, ref)
            is_own = caller is not None and caller.owns(actor.user_id) and not caller.is_limited
            return actor, repository.versions(tx, actor.id) if is_own else []

        return await self._db.read(unit)

    async def page(
        self, caller: Caller, request: PageRequest, *, by_last_run: bool, own_only: bool
    ) -> Page[Actor]:
        """Actors that the caller has made or used, or only the former."""
        require_account(caller)
        return await self._db.read(
            lambda tx: repository.page(
                tx, caller.user_id, request, by_last_run=by_last_run, own_only=own_only
            )
        )

    async def create(self, caller: Caller, body: ActorBody) -> tuple[Actor, list[ActorVersion]]:
        """Raises ActorNameNotUnique, InvalidActorName, CannotPublishActor, TooManyActors or a version's error."""
        require_account(caller)
        at = clock.now()
        name = body.name or f"my-actor-{new_id()[:8].lower()}"
        actor_id = new_id()
        actor = Actor(
            id=actor_id,
            user_id=caller.user_id,
            username=caller.username,
            name=_checked_name(name),
            created_at=at,
            modified_at=at,
            is_public=bool(body.is_public),
            fields=_kept_fields(body, {}),
            tagged_builds={},
            keys=new_deploy_key(self._versions.vault, actor_id),
            stats={},
            last_run_started_at=None,
            total_runs=0,
        )
        _check(actor)
        versions = self._versions.new_ones(actor.id, body.versions or [])

        def unit(tx: Connection) -> None:
            if repository.count_of(tx, caller.user_id) >= self._max_actors:
                raise TooManyActors(self._max_actors)
            repository.insert_actor(tx, actor)
            save_versions(tx, actor_id, versions)

        await self._write(unit)
        return actor, versions

    async def update(
        self, caller: Caller, ref: Ref, body: ActorBody
    ) -> tuple[Actor, list[ActorVersion]]:
        """Change what is given. A list of versions takes the place of all; `taggedBuilds` is a patch."""
        require_account(caller)

        def unit(tx: Connection) -> tuple[Actor, list[ActorVersion]]:
            actor = self._changed(tx, own_actor(tx, caller, ref), body)
            repository.change_actor(
                tx,
                actor.id,
                name=actor.name,
                is_public=actor.is_public,
                fields=actor.fields,
                tagged_builds=actor.tagged_builds,
                modified_at=actor.modified_at,
            )
            if isinstance(body.versions, list):
                self._replace_versions(tx, actor.id, body.versions)
            return actor, repository.versions(tx, actor.id)

        return await self._write(unit)

    def _changed(self, tx: Connection, actor: Actor, body: ActorBody) -> Actor:
        changed = replace(
            actor,
            name=_checked_name(body.name) if isinstance(body.name, str) else actor.name,
            is_public=actor.is_public if body.is_public is UNSET else bool(body.is_public),
            fields=actor.fields | _kept_fields(body, actor.fields),
            tagged_builds=self._patched_tags(tx, actor, body),
            modified_at=clock.now(),
        )
        _check(changed)
        return changed

    def _patched_tags(self, tx: Connection, actor: Actor, body: ActorBody) -> dict[str, Any]:
        tags: dict[str, Any] = dict(actor.tagged_builds)
        patch = body.tagged_builds if isinstance(body.tagged_builds, dict) else {}
        for tag, entry in patch.items():
            if not BUILD_TAG.fullmatch(tag):
                raise InvalidActorField(f'"{tag}" is not a valid build tag.')
            if entry is None:
                tags.pop(tag, None)
                continue
            found = self._find_build(tx, actor.id, str(entry.get("buildId")))
            if found is None:
                raise InvalidActorField(
                    f'taggedBuilds.{tag}: the Actor has no finished build "{entry.get("buildId")}".'
                )
            tags[tag] = dict(found)
        return tags

    def _replace_versions(self, tx: Connection, actor_id: str, bodies: Sequence[Any]) -> None:
        if not bodies:
            raise TooFewVersions
        existing = {
            version.version_number: version for version in repository.versions(tx, actor_id)
        }
        versions = self._versions.merged(actor_id, bodies, existing)
        for number in existing.keys() - {version.version_number for version in versions}:
            repository.delete_version(tx, actor_id, number)
        save_versions(tx, actor_id, versions)

    async def delete(self, caller: Caller, ref: Ref) -> None:
        """Its runs, builds and their storages stay until retention takes them."""
        require_account(caller)
        await self._db.write(lambda tx: repository.delete_actor(tx, own_actor(tx, caller, ref).id))

    async def _write(self, unit: Callable[[Connection], Any]) -> Any:
        try:
            return await self._db.write(unit)
        except IntegrityError as error:
            raise ActorNameNotUnique from error


def _kept_fields(body: ActorBody, before: Mapping[str, Any]) -> dict[str, Any]:
    kept = given_fields(body, KEPT_FIELDS)
    if not isinstance(body.actor_standby, UnsetType):
        kept["actorStandby"] = merged_standby(before.get("actorStandby"), body.actor_standby)
    if kept.get("pricingInfos"):
        kept["pricingInfos"] = checked_pricing(kept["pricingInfos"], clock.now())
    return kept


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise InvalidActorName
    return name


def _check(actor: Actor) -> None:
    if actor.is_public and not (actor.fields.get("title") and actor.fields.get("categories")):
        raise CannotPublishActor
    options = actor.default_run_options
    memory = options.get("memoryMbytes")
    if memory is not None and (memory & (memory - 1) or not 128 <= memory <= 32_768):
        raise InvalidActorField(
            "defaultRunOptions.memoryMbytes must be a power of two between 128 and 32768."
        )
    timeout = options.get("timeoutSecs")
    if timeout is not None and timeout < 0:
        raise InvalidActorField("defaultRunOptions.timeoutSecs must not be negative.")
