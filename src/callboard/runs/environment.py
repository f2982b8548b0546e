"""What a run's process finds in its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from callboard.actors.model import Actor
from callboard.actors.standby import standby_config
from callboard.builds.model import Build
from callboard.core import clock
from callboard.core.actor_urls import ActorUrls
from callboard.core.clock import iso
from callboard.runs.model import Run
from callboard.runs.web_port import VARIABLE, web_server_port

_OLDER_NAMES = {
    "ACTOR_ID": ("APIFY_ACTOR_ID", "APIFY_ACT_ID"),
    "ACTOR_RUN_ID": ("APIFY_ACTOR_RUN_ID", "APIFY_ACT_RUN_ID"),
    "ACTOR_TASK_ID": ("APIFY_ACTOR_TASK_ID",),
    "ACTOR_BUILD_ID": ("APIFY_ACTOR_BUILD_ID",),
    "ACTOR_BUILD_NUMBER": ("APIFY_ACTOR_BUILD_NUMBER",),
    "ACTOR_EVENTS_WEBSOCKET_URL": ("APIFY_ACTOR_EVENTS_WS_URL",),
    "ACTOR_DEFAULT_DATASET_ID": ("APIFY_DEFAULT_DATASET_ID",),
    "ACTOR_DEFAULT_KEY_VALUE_STORE_ID": ("APIFY_DEFAULT_KEY_VALUE_STORE_ID",),
    "ACTOR_DEFAULT_REQUEST_QUEUE_ID": ("APIFY_DEFAULT_REQUEST_QUEUE_ID",),
    "ACTOR_INPUT_KEY": ("APIFY_INPUT_KEY",),
    "ACTOR_MEMORY_MBYTES": ("APIFY_MEMORY_MBYTES",),
    "ACTOR_STARTED_AT": ("APIFY_STARTED_AT",),
    "ACTOR_TIMEOUT_AT": ("APIFY_TIMEOUT_AT",),
    "ACTOR_WEB_SERVER_PORT": ("APIFY_CONTAINER_PORT", "ACTOR_STANDBY_PORT"),
    "ACTOR_WEB_SERVER_URL": ("APIFY_CONTAINER_URL",),
}
"""Names that older SDKs read, by the name of today."""


@dataclass(frozen=True)
class Addresses:
    """Base URLs, without /v2 and without a trailing slash."""

    internal_url: str
    """Where runs reach the API."""
    public_url: str
    """Where everyone else does."""
    proxy_host: str
    proxy_port: int
    """Where runs reach the proxy."""
    gateway_host: str | None = None
    """Below which Actors' own web servers have names; None: they have paths of the public URL."""

    def events_url(self, run_id: str, token: str) -> str:
        scheme, _, rest = self.internal_url.partition("://")
        return f"{'wss' if scheme == 'https' else 'ws'}://{rest}/events/{run_id}?token={token}"

    @property
    def actor_urls(self) -> ActorUrls:
        return ActorUrls(self.public_url, self.gateway_host)


def run_environment(
    run: Run,
    actor: Actor,
    build: Build,
    *,
    tags: list[str],
    token: str,
    proxy_password: str,
    addresses: Addresses,
    custom: Mapping[str, str],
) -> dict[str, str]:
    """The platform's variables, over the version's own ones; only the web server port is the version's to choose."""
    urls = addresses.actor_urls
    values: dict[str, str | None] = {
        "ACTOR_ID": actor.id,
        "ACTOR_FULL_NAME": actor.full_name,
        "ACTOR_RUN_ID": run.id,
        "ACTOR_TASK_ID": run.task_id or "",
        "ACTOR_BUILD_ID": build.id,
        "ACTOR_BUILD_NUMBER": build.build_number,
        "ACTOR_BUILD_TAGS": ",".join(tags),
        "ACTOR_DEFAULT_DATASET_ID": run.default_dataset_id,
        "ACTOR_DEFAULT_KEY_VALUE_STORE_ID": run.default_key_value_store_id,
        "ACTOR_DEFAULT_REQUEST_QUEUE_ID": run.default_request_queue_id,
        "ACTOR_STORAGES_JSON": msgspec.json.encode(run.storage_ids).decode(),
        "ACTOR_INPUT_KEY": run.input_key,
        "ACTOR_MEMORY_MBYTES": str(run.memory_mbytes),
        "ACTOR_STARTED_AT": iso(run.started_at),
        "ACTOR_TIMEOUT_AT": _timeout_at(run),
        "ACTOR_RESTART_ON_ERROR": "1" if run.restarts_on_error else None,
        "ACTOR_PERMISSION_LEVEL": run.permission_level,
        "ACTOR_MAX_PAID_DATASET_ITEMS": _text(run.options.get("maxItems")),
        "ACTOR_MAX_TOTAL_CHARGE_USD": _text(run.options.get("maxTotalChargeUsd")),
        "ACTOR_WEB_SERVER_URL": urls.container(run.id),
        VARIABLE: str(web_server_port(custom, run.attempts.web_server_port)),
        "ACTOR_STANDBY_URL": urls.standby_actor(actor.id, username=actor.username, name=actor.name)
        if standby_config(actor.fields).is_enabled
        else None,
        "ACTOR_EVENTS_WEBSOCKET_URL": addresses.events_url(run.id, token),
        "APIFY_TOKEN": token,
        "APIFY_USER_ID": run.user_id,
        "APIFY_USER_IS_PAYING": "1",
        "APIFY_USER_PRICING_TIER": "FREE",
        "APIFY_IS_AT_HOME": "1",
        "APIFY_API_BASE_URL": addresses.internal_url,
        "APIFY_API_PUBLIC_BASE_URL": addresses.public_url,
        "APIFY_PROXY_HOSTNAME": addresses.proxy_host,
        "APIFY_PROXY_PORT": str(addresses.proxy_port),
        "APIFY_PROXY_PASSWORD": proxy_password,
        "APIFY_PROXY_STATUS_URL": f"http://{addresses.proxy_host}:{addresses.proxy_port}",
        "APIFY_META_ORIGIN": run.origin,
        "APIFY_WORKFLOW_KEY": run.meta.get("workflowKey"),
        "APIFY_DEDICATED_CPUS": f"{run.memory_mbytes / 4096:g}",
        "APIFY_HEADLESS": "1",
        "APIFY_DISABLE_OUTDATED_WARNING": "1",
        "APIFY_ACTOR_PRICING_INFO": msgspec.json.encode(run.pricing_info).decode()
        if run.pricing_info
        else None,
        "APIFY_CHARGED_ACTOR_EVENT_COUNTS": msgspec.json.encode(run.charged_event_counts).decode()
        if run.charged_event_counts is not None
        else None,
    }
    given = {name: value for name, value in values.items() if value is not None}
    for name, older_names in _OLDER_NAMES.items():
        if name in given:
            given |= dict.fromkeys(older_names, given[name])
    return {**custom, **given}


def _timeout_at(run: Run) -> str | None:
    if not run.timeout_secs or run.attempts.running_since is None:
        return None
    left = timedelta(seconds=run.timeout_secs, milliseconds=-run.passed_millis())
    return iso(clock.now() + left)


def _text(value: float | None) -> str | None:
    return None if value is None else str(value)
