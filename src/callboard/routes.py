"""The public API as one table: method and path to handler, with the mounts that serve one handler at many paths."""

from callboard.api.router import Auth, Route, mount
from callboard.datasets.endpoints import DatasetEndpoints
from callboard.key_value_stores.endpoints import KeyValueStoreEndpoints
from callboard.request_queues.endpoints import RequestQueueEndpoints
from callboard.webhooks.endpoints import WebhookEndpoints

OPTIONAL = Auth.OPTIONAL


def dataset_routes(datasets: DatasetEndpoints) -> list[Route]:
    """Relative to one dataset, wherever it is mounted."""
    return [
        Route("GET", "", datasets.get, OPTIONAL),
        Route("PUT", "", datasets.update),
        Route("DELETE", "", datasets.delete),
        Route("GET", "/items", datasets.list_items, OPTIONAL),
        Route("POST", "/items", datasets.push_items),
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
        Route("GET", "/records/{recordKey...}", stores.get_record, OPTIONAL),
        Route("PUT", "/records/{recordKey...}", stores.set_record),
        Route("POST", "/records/{recordKey...}", stores.set_record),
        Route("DELETE", "/records/{recordKey...}", stores.delete_record),
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
        Route("POST", "/requests", queues.add_request),
        Route("POST", "/requests/batch", queues.add_requests),
        Route("DELETE", "/requests/batch", queues.delete_requests),
        Route("POST", "/requests/unlock", queues.unlock_requests),
        Route("GET", "/requests/{requestId}", queues.get_request, OPTIONAL),
        Route("PUT", "/requests/{requestId}", queues.update_request),
        Route("DELETE", "/requests/{requestId}", queues.delete_request),
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
        Route("HEAD", "/v2/key-value-stores/{storeId}/records/{recordKey...}", stores.get_record, OPTIONAL),
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
