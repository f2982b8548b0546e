"""Runs on the wire."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from callboard.builds.model import build_number_int
from callboard.core.clock import iso, iso_or_none
from callboard.executors.base import Stats
from callboard.runs.model import Run


class RunChange(msgspec.Struct, rename="camel"):
    """Body of `PUT /v2/actor-runs/{runId}`."""

    status_message: str | UnsetType | None = UNSET
    is_status_message_terminal: bool | UnsetType | None = UNSET
    general_access: str | UnsetType | None = UNSET
    level: str | UnsetType | None = UNSET


def stats_wire(stats: Stats) -> dict[str, Any]:
    """Measured figures by their wire names."""
    return {
        "memAvgBytes": stats.mem_avg_bytes,
        "memMaxBytes": stats.mem_max_bytes,
        "memCurrentBytes": stats.mem_current_bytes,
        "cpuAvgUsage": stats.cpu_avg_usage,
        "cpuMaxUsage": stats.cpu_max_usage,
        "cpuCurrentUsage": stats.cpu_current_usage,
        "netRxBytes": stats.net_rx_bytes,
        "netTxBytes": stats.net_tx_bytes,
    }


def initial_stats(input_bytes: int) -> dict[str, Any]:
    return {
        "inputBodyLen": input_bytes,
        "migrationCount": 0,
        "rebootCount": 0,
        "restartCount": 0,
        "resurrectCount": 0,
        "metamorph": 0,
        "durationMillis": 0,
        "runTimeSecs": 0,
        "computeUnits": 0,
        **stats_wire(Stats()),
    }


def _present_stats(run: Run, live_stats: Stats | None) -> dict[str, Any]:
    """Those of a run that is not over are as new as can be."""
    if run.status.is_terminal:
        return run.stats
    measured = {} if live_stats is None else stats_wire(live_stats)
    return {**run.stats, **measured, **run.times(run.passed_millis())}


def run_wire(
    run: Run,
    *,
    container_url: str | None = None,
    is_serving: bool = False,
    live_stats: Stats | None = None,
) -> dict[str, Any]:
    """A run object. `live_stats` are newer figures than the stored ones."""
    wire: dict[str, Any] = {
        "id": run.id,
        "actId": run.actor_id,
        "userId": run.user_id,
        "actorTaskId": run.task_id,
        "startedAt": iso(run.started_at),
        "finishedAt": iso_or_none(run.finished_at),
        "status": run.status,
        "statusMessage": run.status_message,
        "isStatusMessageTerminal": run.is_status_message_terminal,
        "meta": run.meta,
        "stats": _present_stats(run, live_stats),
        "options": run.options,
        "buildId": run.build_id,
        "buildNumber": run.build_number,
        "exitCode": run.exit_code,
        "generalAccess": run.general_access,
        "defaultKeyValueStoreId": run.default_key_value_store_id,
        "defaultDatasetId": run.default_dataset_id,
        "defaultRequestQueueId": run.default_request_queue_id,
        "storageIds": run.storage_ids,
        "isContainerServerReady": is_serving,
        "usage": run.usage or {},
        "usageTotalUsd": 0,
        "usageUsd": dict.fromkeys(run.usage or {}, 0),
        "platformUsageBillingModel": "USER",
        "sandbox": run.sandbox,
    }
    if container_url is not None:
        wire["containerUrl"] = container_url
    for name, value in (
        ("chargedEventCounts", run.charged_event_counts),
        ("pricingInfo", run.pricing_info),
        ("metamorphs", run.metamorphs),
        ("output", run.output),
    ):
        if value is not None:
            wire[name] = value
    return wire


def without_costs(wire: dict[str, Any]) -> dict[str, Any]:
    """A run object as anonymous readers see it."""
    return {name: value for name, value in wire.items() if name not in _COSTS}


_COSTS = frozenset({"usageTotalUsd", "usageUsd"})


def short_run_wire(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "actId": run.actor_id,
        "userId": run.user_id,
        "actorTaskId": run.task_id,
        "status": run.status,
        "startedAt": iso(run.started_at),
        "finishedAt": iso_or_none(run.finished_at),
        "buildId": run.build_id,
        "buildNumber": run.build_number,
        "buildNumberInt": build_number_int(run.build_number),
        "meta": run.meta,
        "usageTotalUsd": 0,
        "defaultKeyValueStoreId": run.default_key_value_store_id,
        "defaultDatasetId": run.default_dataset_id,
        "defaultRequestQueueId": run.default_request_queue_id,
    }
