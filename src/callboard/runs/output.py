"""A run's `output`: where its results will be, as its Actor's output schema words it. Known from the start."""

import re
from typing import Any, cast

from callboard.core.actor_urls import ActorUrls
from callboard.runs.model import Run

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_.\-]{1,200})\s*\}\}")
_MAX_PROPERTIES = 100
_MAX_LENGTH = 4000
_MISSING = ""
"""Stands where a template names what there is not."""


def output_of(definition: dict[str, Any], run: Run, *, urls: ActorUrls) -> dict[str, str] | None:
    """The map of the definition's output schema, None when it has none. Parts that make no sense are left out."""
    schema = _object(definition.get("output") or definition.get("outputSchema"))
    if "properties" not in schema:
        return None
    properties = _object(schema["properties"])
    known = _variables(run, urls)
    templates = {
        name: _object(field).get("template")
        for name, field in list(properties.items())[:_MAX_PROPERTIES]
    }
    return {
        name: _filled(template, known)
        for name, template in templates.items()
        if isinstance(template, str)
    }


def _filled(template: str, known: dict[str, Any]) -> str:
    return _VARIABLE.sub(lambda match: _look_up(match[1], known), template[:_MAX_LENGTH])


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _look_up(path: str, known: dict[str, Any]) -> str:
    value: Any = known
    for part in path.split("."):
        if not isinstance(value, dict):
            return _MISSING
        value = cast("dict[str, Any]", value).get(part)
    return _MISSING if value is None or isinstance(value, (dict, list)) else str(value)


def _variables(run: Run, urls: ActorUrls) -> dict[str, Any]:
    api = f"{urls.base_url}/v2"
    page = f"{urls.base_url}/console/runs/{run.id}"
    datasets = f"{api}/datasets/"
    stores = f"{api}/key-value-stores/"
    return {
        "links": {
            "publicRunUrl": page,
            "consoleRunUrl": page,
            "apiRunUrl": f"{api}/actor-runs/{run.id}",
            "apiDefaultDatasetUrl": datasets + run.default_dataset_id,
            "apiDefaultKeyValueStoreUrl": stores + run.default_key_value_store_id,
        },
        "run": {
            "id": run.id,
            "actId": run.actor_id,
            "userId": run.user_id,
            "buildId": run.build_id,
            "buildNumber": run.build_number,
            "actorTaskId": run.task_id,
            "containerUrl": urls.container(run.id),
            "defaultDatasetId": run.default_dataset_id,
            "defaultKeyValueStoreId": run.default_key_value_store_id,
            "defaultRequestQueueId": run.default_request_queue_id,
            "options": run.options,
            "storageIds": run.storage_ids,
        },
        "storages": {
            "datasets": _urls(datasets, run.storage_ids["datasets"]),
            "keyValueStores": _urls(stores, run.storage_ids["keyValueStores"]),
        },
    }


def _urls(base: str, ids: dict[str, str]) -> dict[str, Any]:
    return {alias: {"apiUrl": base + storage_id} for alias, storage_id in ids.items()}
