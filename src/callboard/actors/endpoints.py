"""Handlers for Actors, versions and environment variables."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from starlette.responses import Response

from callboard.actors.model import Actor, ActorVersion
from callboard.actors.schemas import (
    ActorBody,
    EnvVarBody,
    VersionBody,
    actor_wire,
    env_var_wire,
    short_actor_wire,
    version_wire,
)
from callboard.actors.service import ActorService
from callboard.actors.versions import VersionService
from callboard.api.call import Call
from callboard.api.pagination import list_wire, page_request, page_wire
from callboard.api.refs import Ref, parse_ref
from callboard.api.responses import data_response, no_content
from callboard.core.actor_urls import ActorUrls


class SortBy(StrEnum):
    CREATED_AT = "createdAt"
    LAST_RUN = "stats.lastRunStartedAt"


def actor_ref(call: Call) -> Ref:
    return parse_ref(call.params["actorId"], call.caller)


class ActorEndpoints:
    def __init__(
        self, actors: ActorService, versions: VersionService, *, urls: Callable[[], ActorUrls]
    ) -> None:
        self._actors = actors
        self._versions = versions
        self._urls = urls

    def _wire(self, actor: Actor, versions: Sequence[ActorVersion]) -> dict[str, Any]:
        return actor_wire(actor, versions, urls=self._urls())

    async def page(self, call: Call) -> Response:
        request = page_request(call.query)
        by_last_run = call.query.one_of("sortBy", SortBy) is SortBy.LAST_RUN
        page = await self._actors.page(
            call.user, request, by_last_run=by_last_run, own_only=call.query.flag("my")
        )
        return data_response(page_wire(page, request, short_actor_wire))

    async def create(self, call: Call) -> Response:
        actor, versions = await self._actors.create(call.user, await call.parsed(ActorBody))
        return data_response(
            self._wire(actor, versions),
            status=201,
            location=f"{call.base_url}/v2/actors/{actor.id}",
        )

    async def get(self, call: Call) -> Response:
        return data_response(self._wire(*await self._actors.get(call.caller, actor_ref(call))))

    async def update(self, call: Call) -> Response:
        body = await call.parsed(ActorBody)
        return data_response(
            self._wire(*await self._actors.update(call.user, actor_ref(call), body))
        )

    async def delete(self, call: Call) -> Response:
        await self._actors.delete(call.user, actor_ref(call))
        return no_content()

    async def list_versions(self, call: Call) -> Response:
        versions = await self._versions.all(call.user, actor_ref(call))
        return data_response(list_wire(version_wire(version) for version in versions))

    async def create_version(self, call: Call) -> Response:
        body = await call.parsed(VersionBody)
        version = await self._versions.create(call.user, actor_ref(call), body)
        return data_response(
            version_wire(version),
            status=201,
            location=f"{call.base_url}/v2/actors/{version.actor_id}/versions/{version.version_number}",
        )

    async def get_version(self, call: Call) -> Response:
        version = await self._versions.get(call.user, actor_ref(call), _number(call))
        return data_response(version_wire(version))

    async def update_version(self, call: Call) -> Response:
        body = await call.parsed(VersionBody)
        version = await self._versions.update(call.user, actor_ref(call), _number(call), body)
        return data_response(version_wire(version))

    async def delete_version(self, call: Call) -> Response:
        await self._versions.delete(call.user, actor_ref(call), _number(call))
        return no_content()

    async def list_env_vars(self, call: Call) -> Response:
        version = await self._versions.get(call.user, actor_ref(call), _number(call))
        return data_response(list_wire(env_var_wire(variable) for variable in version.env_vars))

    async def create_env_var(self, call: Call) -> Response:
        body = await call.parsed(EnvVarBody)
        variable = await self._versions.create_env_var(
            call.user, actor_ref(call), _number(call), body
        )
        return data_response(env_var_wire(variable), status=201)

    async def get_env_var(self, call: Call) -> Response:
        variable = await self._versions.get_env_var(
            call.user, actor_ref(call), _number(call), call.params["envVarName"]
        )
        return data_response(env_var_wire(variable))

    async def update_env_var(self, call: Call) -> Response:
        body = await call.parsed(EnvVarBody)
        variable = await self._versions.update_env_var(
            call.user, actor_ref(call), _number(call), call.params["envVarName"], body
        )
        return data_response(env_var_wire(variable))

    async def delete_env_var(self, call: Call) -> Response:
        await self._versions.delete_env_var(
            call.user, actor_ref(call), _number(call), call.params["envVarName"]
        )
        return no_content()


def _number(call: Call) -> str:
    return call.params["versionNumber"]
