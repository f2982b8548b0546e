"""Handlers for Actor tasks."""

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.pagination import page_request, page_wire
from callboard.api.refs import Ref, parse_ref
from callboard.api.responses import data_response, json_response, no_content
from callboard.core.actor_urls import ActorUrls
from callboard.runs.endpoints import RunEndpoints, sent_input
from callboard.runs.model import Run
from callboard.runs.options import options_from_query
from callboard.runs.repository import RunFilter
from callboard.runs.service import StartRequest
from callboard.runs.sync import SyncRuns
from callboard.tasks.model import ActorTask
from callboard.tasks.schemas import TaskBody, short_task_wire, task_wire
from callboard.tasks.service import TaskService
from callboard.webhooks.definitions import parse_ad_hoc


def task_ref(call: Call) -> Ref:
    return parse_ref(call.params["actorTaskId"], call.caller)


class TaskEndpoints:
    def __init__(
        self,
        service: TaskService,
        runs: RunEndpoints,
        sync: SyncRuns,
        *,
        urls: Callable[[], ActorUrls],
    ) -> None:
        self._service = service
        self._runs = runs
        self._sync = sync
        self._urls = urls

    def _wire(self, task: ActorTask) -> dict[str, Any]:
        return task_wire(task, urls=self._urls())

    async def page(self, call: Call) -> Response:
        request = page_request(call.query)
        page = await self._service.page(call.user, request)
        return data_response(page_wire(page, request, short_task_wire))

    async def create(self, call: Call) -> Response:
        task = await self._service.create(call.user, await call.parsed(TaskBody))
        return data_response(
            self._wire(task), status=201, location=f"{call.base_url}/v2/actor-tasks/{task.id}"
        )

    async def get(self, call: Call) -> Response:
        return data_response(self._wire(await self._service.get(call.user, task_ref(call))))

    async def update(self, call: Call) -> Response:
        body = await call.parsed(TaskBody)
        return data_response(
            self._wire(await self._service.update(call.user, task_ref(call), body))
        )

    async def delete(self, call: Call) -> Response:
        await self._service.delete(call.user, task_ref(call))
        return no_content()

    async def get_input(self, call: Call) -> Response:
        """The bare input object, without an envelope."""
        return json_response((await self._service.get(call.user, task_ref(call))).input or {})

    async def update_input(self, call: Call) -> Response:
        merged = await self._service.merge_input(
            call.user, task_ref(call), await call.json_object()
        )
        return json_response(merged)

    async def start_of_task(self, call: Call) -> Run:
        """Start the run that a call on a task asks for."""
        request = StartRequest(
            requested=options_from_query(call.query),
            make_input=lambda _: None,
            meta=call.meta,
            webhooks=parse_ad_hoc(call.query.text("webhooks")),
        )
        return await self._service.start(call.user, task_ref(call), request, await sent_input(call))

    async def start(self, call: Call) -> Response:
        return await self._runs.started(call, await self.start_of_task(call))

    async def run_sync(self, call: Call) -> Response:
        return await self._sync.answer_with_record(call, self.start_of_task)

    async def run_sync_get_dataset_items(self, call: Call) -> Response:
        return await self._sync.answer_with_items(call, self.start_of_task)

    async def page_of_runs(self, call: Call) -> Response:
        return await self._runs.page_of(call, await self._filter(call))

    async def resolve_task(self, call: Call) -> None:
        """For mounts under a task: make its id the path's."""
        call.params["actorTaskId"] = (await self._service.get(call.user, task_ref(call))).id

    async def resolve_last(self, call: Call) -> None:
        """For mounts under a task's last run."""
        await self._runs.resolve_last(call, await self._filter(call))

    async def _filter(self, call: Call) -> RunFilter:
        task = await self._service.get(call.user, task_ref(call))
        return RunFilter(call.user.user_id, task_id=task.id)
