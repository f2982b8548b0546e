"""The synchronous endpoints: start a run, hold the request until it is over, answer with its output."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.refs import ById
from callboard.core.caller import Caller
from callboard.core.jobs import JobStatus
from callboard.datasets.item_query import parse_item_query
from callboard.datasets.responses import items_response
from callboard.datasets.service import DatasetService
from callboard.key_value_stores.model import check_key
from callboard.key_value_stores.responses import record_response
from callboard.key_value_stores.service import KeyValueStoreService
from callboard.runs.errors import RunFailed, RunTimeoutExceeded
from callboard.runs.model import Run
from callboard.runs.service import RunService
from callboard.storages.service import Need

DEFAULT_OUTPUT_KEY = "OUTPUT"

Start: TypeAlias = Callable[[Call], Awaitable[Run]]
"""Starts the run that a call asks for."""


class SyncRuns:
    """Answers of synchronous runs, whatever they were started on. `wait_secs` is how long one is held."""

    def __init__(
        self,
        runs: RunService,
        stores: KeyValueStoreService,
        datasets: DatasetService,
        *,
        wait_secs: float,
    ) -> None:
        self._runs = runs
        self._stores = stores
        self._datasets = datasets
        self._wait_secs = wait_secs

    async def answer_with_record(self, call: Call, start: Start) -> Response:
        """201 with the bytes and type of the output record; an empty 201 when there is none.

        Raises RunFailed or RunTimeoutExceeded. The run goes on when the time is over or the client leaves.
        """
        key = check_key(call.query.text("outputRecordKey") or DEFAULT_OUTPUT_KEY)
        run = await self._succeeded(call.user, await start(call))
        store = ById(run.default_key_value_store_id)
        record = await self._stores.find_record(call.user, store, key, is_granted=True)
        if record is None:
            return Response(status_code=201, headers=_run_headers(run))
        response = await record_response(call.request, record, status=201)
        return _with_headers(response, run)

    async def answer_with_items(self, call: Call, start: Start) -> Response:
        """201 with the items of the default dataset, as `GET /v2/datasets/{id}/items` gives them."""
        wanted = parse_item_query(call.query)
        run = await self._succeeded(call.user, await start(call))
        dataset = await self._datasets.find(
            call.user, ById(run.default_dataset_id), Need.READ, is_granted=True
        )
        page = self._datasets.read_items(dataset, wanted, caller=call.user)
        return _with_headers(await items_response(page, status=201), run)

    async def _succeeded(self, caller: Caller, run: Run) -> Run:
        ended = await self._runs.wait(caller, run.id, self._wait_secs)
        if not ended.status.is_terminal:
            raise RunTimeoutExceeded(self._wait_secs)
        if ended.status is not JobStatus.SUCCEEDED:
            raise RunFailed(ended.id, ended.status)
        return ended


def _run_headers(run: Run) -> dict[str, str]:
    return {"X-Callboard-Run-Id": run.id}


def _with_headers(response: Response, run: Run) -> Response:
    response.headers.update(_run_headers(run))
    return response
