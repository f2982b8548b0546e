"""Handlers for runs: by their own id, through their Actor, and as the last run of an Actor."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from callboard.actors.endpoints import actor_ref
from callboard.api.call import Call
from callboard.api.pagination import page_request, page_wire
from callboard.api.responses import data_response, json_response, no_content
from callboard.core.jobs import JobStatus
from callboard.jobs.observer import JobObserver
from callboard.runs.environment import Addresses
from callboard.runs.input import SentInput, input_for_actor
from callboard.runs.model import Run
from callboard.runs.options import RequestedOptions, options_from_query
from callboard.runs.repository import RunFilter
from callboard.runs.schemas import RunChange, run_wire, short_run_wire, without_costs
from callboard.runs.service import RunService, StartRequest, storages_of
from callboard.runs.sync import SyncRuns
from callboard.webhooks.definitions import parse_ad_hoc


async def sent_input(call: Call) -> SentInput:
    """The body of a call as a run's input. A GET has none."""
    if call.request.method == "GET" and call.query.text("method") is None:
        return SentInput()
    return SentInput(await call.body(), _input_type(call))


def _input_type(call: Call) -> str | None:
    # Sent by clients for an empty body; it says nothing about an input.
    content_type = call.content_type
    if content_type and content_type.startswith("application/x-www-form-urlencoded"):
        return content_type if call.request.headers.get("content-length") != "0" else None
    return content_type


class RunEndpoints:
    """`find_actor_id` resolves the path's Actor to its id, for lists and last runs."""

    def __init__(
        self,
        service: RunService,
        sync: SyncRuns,
        observer: JobObserver,
        *,
        addresses: Callable[[], Addresses],
        actor_id_of: Callable[[Call], Awaitable[str]],
    ) -> None:
        self._service = service
        self._sync = sync
        self._observer = observer
        self._addresses = addresses
        self._actor_id_of = actor_id_of

    def wire(self, run: Run) -> dict[str, object]:
        live = None if run.status.is_terminal else self._observer.newest(run.id)
        return run_wire(
            run,
            container_url=self._addresses().actor_urls.container(run.id),
            is_serving=self._observer.is_serving(run.id),
            live_stats=live,
        )

    async def start_of_actor(self, call: Call) -> Run:
        """Start the run that a call on an Actor asks for."""
        sent = await sent_input(call)
        request = StartRequest(
            requested=options_from_query(call.query),
            make_input=lambda schema: input_for_actor(sent, schema),
            meta=call.meta,
            webhooks=parse_ad_hoc(call.query.text("webhooks")),
        )
        return await self._service.start(call.user, actor_ref(call), request)

    async def started(self, call: Call, run: Run) -> Response:
        """The answer to a run's start, after `waitForFinish`."""
        if wait_secs := wait_secs_of(call):
            run = await self._service.get(call.user, run.id, wait_secs=wait_secs)
        return data_response(
            self.wire(run), status=201, location=f"{call.base_url}/v2/actor-runs/{run.id}"
        )

    async def start(self, call: Call) -> Response:
        return await self.started(call, await self.start_of_actor(call))

    async def run_sync(self, call: Call) -> Response:
        return await self._sync.answer_with_record(call, self.start_of_actor)

    async def run_sync_get_dataset_items(self, call: Call) -> Response:
        return await self._sync.answer_with_items(call, self.start_of_actor)

    async def page(self, call: Call) -> Response:
        return await self.page_of(call, RunFilter(call.user.user_id))

    async def page_of_actor(self, call: Call) -> Response:
        actor_id = await self._actor_id_of(call)
        return await self.page_of(call, RunFilter(call.user.user_id, actor_id=actor_id))

    async def page_of(self, call: Call, base: RunFilter) -> Response:
        request = page_request(call.query)
        page = await self._service.page(call.user, _filtered(call, base), request)
        return data_response(page_wire(page, request, short_run_wire))

    async def get(self, call: Call) -> Response:
        run = await self._service.get(
            call.caller, call.params["runId"], wait_secs=wait_secs_of(call)
        )
        wire = self.wire(run)
        return data_response(without_costs(wire) if call.caller is None else wire)

    async def update(self, call: Call) -> Response:
        change = await call.parsed(RunChange)
        return data_response(
            self.wire(await self._service.update(call.user, call.params["runId"], change))
        )

    async def abort(self, call: Call) -> Response:
        run = await self._service.abort(
            call.user, call.params["runId"], gracefully=call.query.flag("gracefully")
        )
        return data_response(self.wire(run))

    async def delete(self, call: Call) -> Response:
        await self._service.delete(call.user, call.params["runId"])
        return no_content()

    async def validate_input(self, call: Call) -> Response:
        """`{"valid": true}`, without an envelope, or the error that a start would give."""
        sent = await sent_input(call)
        requested = RequestedOptions(build=call.query.text("build"))
        await self._service.check_input(
            call.user, actor_ref(call), requested, lambda schema: input_for_actor(sent, schema)
        )
        return json_response({"valid": True})

    async def resolve_own_actor(self, call: Call) -> None:
        """For mounts under an Actor: make its id the path's."""
        call.params["actorId"] = await self._actor_id_of(call)

    async def resolve_of_actor(self, call: Call) -> None:
        """For the paths of runs under an Actor: the run must be one of its own."""
        await self._service.require_of_actor(call.caller, actor_ref(call), call.params["runId"])

    async def resolve_run(self, call: Call) -> None:
        """For mounts under a run: make its storages and its log the path's."""
        enter_run(call, await self._service.get(call.caller, call.params["runId"]))

    async def resolve_last_of_actor(self, call: Call) -> None:
        """For mounts under an Actor's last run."""
        actor_id = await self._actor_id_of(call)
        await self.resolve_last(call, RunFilter(call.user.user_id, actor_id=actor_id))

    async def resolve_last(self, call: Call, base: RunFilter) -> None:
        enter_run(call, await self._service.last(call.user, _filtered(call, base)))


def enter_run(call: Call, run: Run) -> None:
    call.params |= {
        "runId": run.id,
        "buildOrRunId": run.id,
        "datasetId": run.default_dataset_id,
        "storeId": run.default_key_value_store_id,
        "queueId": run.default_request_queue_id,
    }
    # Whoever may read the run may read what is part of it.
    call.readable_ids |= {storage_id for _, storage_id in storages_of(run)}


def wait_secs_of(call: Call) -> float:
    return call.query.number("waitForFinish") or 0


def _filtered(call: Call, base: RunFilter) -> RunFilter:
    return RunFilter(
        base.user_id,
        actor_id=base.actor_id,
        task_id=base.task_id,
        statuses=call.query.some_of("status", JobStatus),
        origin=call.query.text("origin"),
        started_after=call.query.instant("startedAfter"),
        started_before=call.query.instant("startedBefore"),
    )
