"""The public API as one table: method and path to handler, with the mounts that serve one handler at many paths."""

from dataclasses import dataclass, replace

from callboard.actors.endpoints import ActorEndpoints
from callboard.actors.errors import ActorNotFound
from callboard.api.call import Handler
from callboard.api.contract import ContractEndpoints
from callboard.api.errors import InvalidToken
from callboard.api.rate_limits import Rate
from callboard.api.router import Auth, Rewording, Route, mount
from callboard.builds.endpoints import BuildEndpoints
from callboard.core.errors import InsufficientPermissions
from callboard.datasets.endpoints import DatasetEndpoints
from callboard.key_value_stores.endpoints import KeyValueStoreEndpoints
from callboard.logs.endpoints import LogEndpoints
from callboard.request_queues.endpoints import RequestQueueEndpoints
from callboard.runs.change_endpoints import RunChangeEndpoints
from callboard.runs.endpoints import RunEndpoints
from callboard.runs.errors import (
    InputNotJson,
    InputNotObject,
    SyncActorNotFound,
    SyncInvalidInput,
    SyncPermissionDenied,
    SyncTaskNotFound,
    SyncTokenNotValid,
)
from callboard.schedules.endpoints import ScheduleEndpoints
from callboard.store.endpoints import StoreEndpoints
from callboard.tasks.endpoints import TaskEndpoints
from callboard.tasks.service import TaskNotFound
from callboard.tools.endpoints import ToolEndpoints
from callboard.usage.endpoints import UsageEndpoints
from callboard.users.endpoints import UserEndpoints
from callboard.webhooks.endpoints import WebhookEndpoints

OPTIONAL = Auth.OPTIONAL
RECORDS, BUSY = Rate.RECORDS, Rate.BUSY

_SYNC_WORDS: Rewording = {
    InvalidToken: SyncTokenNotValid,
    InsufficientPermissions: SyncPermissionDenied,
}
SYNC_ACTOR_WORDS: Rewording = {**_SYNC_WORDS, ActorNotFound: SyncActorNotFound}
"""The synchronous endpoints of Actors word some errors in their own way."""
SYNC_TASK_WORDS: Rewording = {
    **_SYNC_WORDS,
    TaskNotFound: SyncTaskNotFound,
    InputNotJson: SyncInvalidInput,
    InputNotObject: SyncInvalidInput,
}
"""And so do those of tasks."""


@dataclass(frozen=True)
class Endpoints:
    """The handlers of all slices."""

    actors: ActorEndpoints
    builds: BuildEndpoints
    runs: RunEndpoints
    changes: RunChangeEndpoints
    tasks: TaskEndpoints
    datasets: DatasetEndpoints
    stores: KeyValueStoreEndpoints
    queues: RequestQueueEndpoints
    webhooks: WebhookEndpoints
    logs: LogEndpoints
    users: UserEndpoints
    usage: UsageEndpoints
    store: StoreEndpoints
    schedules: ScheduleEndpoints
    tools: ToolEndpoints


def all_routes(e: Endpoints) -> list[Route]:
    """Every route of the public API, and the document that describes them."""
    routes = contract_routes(e)
    document = ContractEndpoints(routes)
    return [*routes, Route("GET", "/v2/openapi.json", document.get, Auth.NONE)]


def contract_routes(e: Endpoints) -> list[Route]:
    return [
        *storage_routes(e.datasets, e.stores, e.queues),
        *mount("/v2/actors", actor_routes(e)),
        *mount("/v2/acts", actor_routes(e)),
        *mount("/v2/actor-builds", build_routes(e)),
        *mount("/v2/actor-runs", run_routes(e)),
        *mount("/v2/actor-tasks", task_routes(e)),
        *webhook_routes(e.webhooks),
        *schedule_routes(e.schedules),
        Route("GET", "/v2/logs/{buildOrRunId}", e.logs.get, OPTIONAL),
        *account_routes(e),
        Route("GET", "/v2/store", e.store.page, OPTIONAL),
        *tool_routes(e.tools),
    ]


def account_routes(e: Endpoints) -> list[Route]:
    return [
        Route("GET", "/v2/users/me", e.users.me),
        Route("GET", "/v2/users/me/limits", e.usage.limits),
        Route("PUT", "/v2/users/me/limits", e.usage.change_limits),
        Route("GET", "/v2/users/me/usage/monthly", e.usage.monthly),
        Route("GET", "/v2/users/{userId}", e.users.get, Auth.NONE),
    ]


def tool_routes(tools: ToolEndpoints) -> list[Route]:
    return [
        *(
            Route(method, "/v2/browser-info", tools.browser_info, Auth.NONE)
            for method in ("GET", "POST", "PUT", "DELETE")
        ),
        Route("POST", "/v2/tools/encode-and-sign", tools.encode_and_sign),
        Route("POST", "/v2/tools/decode-and-verify", tools.decode_and_verify, Auth.NONE),
    ]


def actor_routes(e: Endpoints) -> list[Route]:
    """Relative to the list of Actors: served at `/v2/actors` and at its older name."""
    one = "/{actorId}"
    version = f"{one}/versions/{{versionNumber}}"
    variable = f"{version}/env-vars/{{envVarName}}"
    return [
        Route("GET", "", e.actors.page),
        Route("POST", "", e.actors.create),
        Route("GET", one, e.actors.get, OPTIONAL),
        Route("PUT", one, e.actors.update),
        Route("DELETE", one, e.actors.delete),
        Route("GET", f"{one}/versions", e.actors.list_versions),
        Route("POST", f"{one}/versions", e.actors.create_version),
        Route("GET", version, e.actors.get_version),
        Route("PUT", version, e.actors.update_version),
        Route("POST", version, e.actors.update_version),
        Route("DELETE", version, e.actors.delete_version),
        Route("GET", f"{version}/env-vars", e.actors.list_env_vars),
        Route("POST", f"{version}/env-vars", e.actors.create_env_var),
        Route("GET", variable, e.actors.get_env_var),
        Route("PUT", variable, e.actors.update_env_var),
        Route("POST", variable, e.actors.update_env_var),
        Route("DELETE", variable, e.actors.delete_env_var),
        *mount(
            one,
            [Route("GET", "/webhooks", e.webhooks.page_of_actor)],
            resolve=e.runs.resolve_own_actor,
        ),
        Route("POST", f"{one}/validate-input", e.runs.validate_input),
        Route("GET", f"{one}/builds", e.builds.page_of_actor),
        Route("POST", f"{one}/builds", e.builds.start),
        Route("GET", f"{one}/builds/default", e.builds.get_default, OPTIONAL),
        *mount(
            f"{one}/builds/{{buildId}}",
            [
                Route("GET", "", e.builds.get, OPTIONAL),
                Route("POST", "/abort", e.builds.abort),
                Route("GET", "/openapi.json", e.builds.openapi, OPTIONAL),
            ],
            resolve=e.builds.resolve_of_actor,
        ),
        Route("GET", f"{one}/runs", e.runs.page_of_actor),
        Route("POST", f"{one}/runs", e.runs.start, rate=BUSY),
        *mount(
            f"{one}/runs/{{runId}}",
            [
                Route("GET", "", e.runs.get, OPTIONAL),
                Route("POST", "/abort", e.runs.abort),
                Route("POST", "/metamorph", e.changes.metamorph, rate=BUSY),
                Route("POST", "/resurrect", e.changes.resurrect),
            ],
            resolve=e.runs.resolve_of_actor,
        ),
        *mount(f"{one}/runs/last", last_run_routes(e), resolve=e.runs.resolve_last_of_actor),
        *sync_routes(
            one, e.runs.run_sync, e.runs.run_sync_get_dataset_items, words=SYNC_ACTOR_WORDS
        ),
    ]


def sync_routes(
    prefix: str, run_sync: Handler, run_sync_get_dataset_items: Handler, *, words: Rewording
) -> list[Route]:
    """The synchronous family of an Actor or a task, each by GET and POST."""
    return [
        Route(method, f"{prefix}/{name}", handler, rewording=words, rate=BUSY)
        for name, handler in (
            ("run-sync", run_sync),
            ("run-sync-get-dataset-items", run_sync_get_dataset_items),
        )
        for method in ("GET", "POST")
    ]


def build_routes(e: Endpoints) -> list[Route]:
    one = "/{buildId}"
    return [
        Route("GET", "", e.builds.page),
        Route("GET", one, e.builds.get, Auth.NONE),
        Route("DELETE", one, e.builds.delete),
        Route("POST", f"{one}/abort", e.builds.abort),
        Route("GET", f"{one}/openapi.json", e.builds.openapi, Auth.NONE),
        *mount(one, [Route("GET", "/log", e.logs.get, OPTIONAL)], resolve=e.builds.resolve_log),
    ]


def run_routes(e: Endpoints) -> list[Route]:
    one = "/{runId}"
    return [
        Route("GET", "", e.runs.page),
        Route("GET", one, e.runs.get, OPTIONAL),
        Route("PUT", one, e.runs.update),
        Route("DELETE", one, e.runs.delete),
        Route("POST", f"{one}/abort", e.runs.abort),
        Route("POST", f"{one}/reboot", e.changes.reboot),
        Route("POST", f"{one}/metamorph", e.changes.metamorph, rate=BUSY),
        Route("POST", f"{one}/resurrect", e.changes.resurrect),
        Route("POST", f"{one}/charge", e.changes.charge),
        *mount(one, run_part_routes(e), resolve=e.runs.resolve_run),
    ]


def last_run_routes(e: Endpoints) -> list[Route]:
    """Relative to the last run of an Actor or a task."""
    return [
        Route("GET", "", e.runs.get),
        Route("POST", "/abort", e.runs.abort),
        Route("POST", "/reboot", e.changes.reboot),
        Route("POST", "/metamorph", e.changes.metamorph, rate=BUSY),
        *(replace(route, auth=Auth.REQUIRED) for route in run_part_routes(e)),
    ]


def run_part_routes(e: Endpoints) -> list[Route]:
    """The log and the default storages of a run, wherever the run is mounted."""
    return [
        Route("GET", "/log", e.logs.get, OPTIONAL),
        *mount("/dataset", dataset_routes(e.datasets)),
        *mount("/key-value-store", key_value_store_routes(e.stores)),
        *mount("/request-queue", request_queue_routes(e.queues)),
    ]


def task_routes(e: Endpoints) -> list[Route]:
    one = "/{actorTaskId}"
    return [
        Route("GET", "", e.tasks.page),
        Route("POST", "", e.tasks.create),
        Route("GET", one, e.tasks.get),
        Route("PUT", one, e.tasks.update),
        Route("DELETE", one, e.tasks.delete),
        Route("GET", f"{one}/input", e.tasks.get_input),
        Route("PUT", f"{one}/input", e.tasks.update_input),
        *mount(
            one,
            [Route("GET", "/webhooks", e.webhooks.page_of_task)],
            resolve=e.tasks.resolve_task,
        ),
        Route("GET", f"{one}/runs", e.tasks.page_of_runs),
        Route("POST", f"{one}/runs", e.tasks.start, rate=BUSY),
        *mount(f"{one}/runs/last", last_run_routes(e), resolve=e.tasks.resolve_last),
        *sync_routes(
            one, e.tasks.run_sync, e.tasks.run_sync_get_dataset_items, words=SYNC_TASK_WORDS
        ),
    ]


def dataset_routes(datasets: DatasetEndpoints) -> list[Route]:
    """Relative to one dataset, wherever it is mounted."""
    return [
        Route("GET", "", datasets.get, OPTIONAL),
        Route("PUT", "", datasets.update),
        Route("DELETE", "", datasets.delete),
        Route("GET", "/items", datasets.list_items, OPTIONAL),
        Route("POST", "/items", datasets.push_items, rate=BUSY),
        Route("GET", "/statistics", datasets.statistics, OPTIONAL),
    ]


def key_value_store_routes(stores: KeyValueStoreEndpoints) -> list[Route]:
    """Relative to one key-value store, wherever it is mounted."""
    return [
        Route("GET", "", stores.get, OPTIONAL),
        Route("PUT", "", stores.update),
        Route("DELETE", "", stores.delete),
        Route("GET", "/keys", stores.list_keys, OPTIONAL),
        Route("GET", "/records", stores.download_records, OPTIONAL),
        Route("GET", "/records/{recordKey...}", stores.get_record, OPTIONAL, rate=RECORDS),
        Route("PUT", "/records/{recordKey...}", stores.set_record, rate=RECORDS),
        Route("POST", "/records/{recordKey...}", stores.set_record, rate=RECORDS),
        Route("DELETE", "/records/{recordKey...}", stores.delete_record, rate=RECORDS),
    ]


def request_queue_routes(queues: RequestQueueEndpoints) -> list[Route]:
    """Relative to one request queue, wherever it is mounted."""
    return [
        Route("GET", "", queues.get, OPTIONAL),
        Route("PUT", "", queues.update),
        Route("DELETE", "", queues.delete),
        Route("GET", "/head", queues.get_head, OPTIONAL),
        Route("POST", "/head/lock", queues.lock_head),
        Route("GET", "/requests", queues.list_requests, OPTIONAL),
        Route("POST", "/requests", queues.add_request, rate=BUSY),
        Route("POST", "/requests/batch", queues.add_requests, rate=BUSY),
        Route("DELETE", "/requests/batch", queues.delete_requests, rate=BUSY),
        Route("POST", "/requests/unlock", queues.unlock_requests),
        Route("GET", "/requests/{requestId}", queues.get_request, OPTIONAL, rate=BUSY),
        Route("PUT", "/requests/{requestId}", queues.update_request, rate=BUSY),
        Route("DELETE", "/requests/{requestId}", queues.delete_request, rate=BUSY),
        Route("PUT", "/requests/{requestId}/lock", queues.prolong_lock),
        Route("DELETE", "/requests/{requestId}/lock", queues.delete_lock),
    ]


def storage_routes(
    datasets: DatasetEndpoints,
    stores: KeyValueStoreEndpoints,
    queues: RequestQueueEndpoints,
) -> list[Route]:
    """The storages by id or name."""
    return [
        Route("GET", "/v2/datasets", datasets.page),
        Route("POST", "/v2/datasets", datasets.create),
        *mount("/v2/datasets/{datasetId}", dataset_routes(datasets)),
        Route("HEAD", "/v2/datasets/{datasetId}/items", datasets.list_items, OPTIONAL),
        Route("GET", "/v2/key-value-stores", stores.page),
        Route("POST", "/v2/key-value-stores", stores.create),
        *mount("/v2/key-value-stores/{storeId}", key_value_store_routes(stores)),
        Route(
            "HEAD",
            "/v2/key-value-stores/{storeId}/records/{recordKey...}",
            stores.get_record,
            OPTIONAL,
            rate=RECORDS,
        ),
        Route("GET", "/v2/request-queues", queues.page),
        Route("POST", "/v2/request-queues", queues.create),
        *mount("/v2/request-queues/{queueId}", request_queue_routes(queues)),
    ]


def webhook_routes(webhooks: WebhookEndpoints) -> list[Route]:
    return [
        Route("GET", "/v2/webhooks", webhooks.page),
        Route("POST", "/v2/webhooks", webhooks.create),
        Route("GET", "/v2/webhooks/{webhookId}", webhooks.get),
        Route("PUT", "/v2/webhooks/{webhookId}", webhooks.update),
        Route("DELETE", "/v2/webhooks/{webhookId}", webhooks.delete),
        Route("POST", "/v2/webhooks/{webhookId}/test", webhooks.test),
        Route("GET", "/v2/webhooks/{webhookId}/dispatches", webhooks.dispatches_of_webhook),
        Route("GET", "/v2/webhook-dispatches", webhooks.dispatches),
        Route("GET", "/v2/webhook-dispatches/{dispatchId}", webhooks.dispatch),
    ]


def schedule_routes(schedules: ScheduleEndpoints) -> list[Route]:
    one = "/v2/schedules/{scheduleId}"
    return [
        Route("GET", "/v2/schedules", schedules.page),
        Route("POST", "/v2/schedules", schedules.create),
        Route("GET", one, schedules.get),
        Route("PUT", one, schedules.update),
        Route("DELETE", one, schedules.delete),
        Route("GET", f"{one}/log", schedules.log),
    ]
