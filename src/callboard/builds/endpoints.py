"""Handlers for builds, by their own id and through their Actor."""

from starlette.responses import Response

from callboard.actors.endpoints import actor_ref
from callboard.api.call import Call
from callboard.api.pagination import page_request, page_wire
from callboard.api.responses import data_response, json_response, no_content
from callboard.builds.openapi import actor_openapi
from callboard.builds.schemas import build_wire, short_build_wire
from callboard.builds.service import BuildRequest, BuildService

DEFAULT = "default"
"""In place of a build's id: the build that a run without a `build` option would take."""


class BuildEndpoints:
    def __init__(self, service: BuildService) -> None:
        self._service = service

    async def start(self, call: Call) -> Response:
        request = BuildRequest(
            version_number=call.query.required_text("version"),
            tag=call.query.text("tag"),
            use_cache=call.query.flag("useCache", default=True),
            beta_packages=call.query.flag("betaPackages"),
            meta=call.meta,
        )
        build = await self._service.start(call.user, actor_ref(call), request)
        if wait_secs := _wait_secs(call):
            build = await self._service.get(call.user, build.id, wait_secs=wait_secs)
        return data_response(
            build_wire(build), status=201, location=f"{call.base_url}/v2/actor-builds/{build.id}"
        )

    async def page(self, call: Call) -> Response:
        return await self._page(call, of_actor=False)

    async def page_of_actor(self, call: Call) -> Response:
        return await self._page(call, of_actor=True)

    async def _page(self, call: Call, *, of_actor: bool) -> Response:
        request = page_request(call.query)
        ref = actor_ref(call) if of_actor else None
        page = await self._service.page(call.user, request, actor=ref)
        return data_response(page_wire(page, request, short_build_wire))

    async def get(self, call: Call) -> Response:
        build = await self._service.get(
            call.caller, call.params["buildId"], wait_secs=_wait_secs(call)
        )
        return data_response(build_wire(build))

    async def get_default(self, call: Call) -> Response:
        build = await self._service.get_default(
            call.caller, actor_ref(call), wait_secs=_wait_secs(call)
        )
        return data_response(build_wire(build))

    async def openapi(self, call: Call) -> Response:
        """The OpenAPI document of the Actor in this build, without an envelope."""
        build_id = call.params["buildId"]
        if build_id == DEFAULT and "actorId" in call.params:
            build_id = (await self._service.get_default(call.caller, actor_ref(call))).id
        build, actor = await self._service.with_actor(build_id)
        return json_response(actor_openapi(actor, build, base_url=call.base_url))

    async def resolve_of_actor(self, call: Call) -> None:
        """For the paths of builds under an Actor: the build must be one of its own."""
        build_id = call.params["buildId"]
        if build_id != DEFAULT:
            await self._service.require_of_actor(call.caller, actor_ref(call), build_id)

    async def resolve_log(self, call: Call) -> None:
        """For the log's mount under a build."""
        build = await self._service.get(call.caller, call.params["buildId"])
        call.params["buildOrRunId"] = build.id

    async def abort(self, call: Call) -> Response:
        return data_response(
            build_wire(await self._service.abort(call.user, call.params["buildId"]))
        )

    async def delete(self, call: Call) -> Response:
        await self._service.delete(call.user, call.params["buildId"])
        return no_content()


def _wait_secs(call: Call) -> float:
    return call.query.number("waitForFinish") or 0
