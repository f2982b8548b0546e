"""Actors, versions and environment variables on the wire."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from callboard.actors.deploy_keys import public_deploy_key
from callboard.actors.model import Actor, ActorVersion, EnvVar, PermissionLevel, SourceType
from callboard.actors.standby import StandbyBody, standby_config
from callboard.core.actor_urls import ActorUrls
from callboard.core.clock import iso, iso_or_none


class EnvVarBody(msgspec.Struct, rename="camel"):
    name: str
    value: str | None = None
    is_secret: bool | None = None


class VersionBody(msgspec.Struct, rename="camel"):
    """A version as created or changed: what is not given stays."""

    version_number: str | UnsetType | None = UNSET
    source_type: SourceType | UnsetType | None = UNSET
    env_vars: list[EnvVarBody] | UnsetType | None = UNSET
    apply_env_vars_to_build: bool | UnsetType | None = UNSET
    build_tag: str | UnsetType | None = UNSET
    source_files: list[dict[str, Any]] | UnsetType | None = UNSET
    git_repo_url: str | UnsetType | None = UNSET
    tarball_url: str | UnsetType | None = UNSET
    git_hub_gist_url: str | UnsetType | None = msgspec.field(name="gitHubGistUrl", default=UNSET)


class DefaultRunOptions(msgspec.Struct, rename="camel", omit_defaults=True):
    build: str | None = None
    timeout_secs: int | None = None
    memory_mbytes: int | None = None
    restart_on_error: bool | None = None
    max_items: int | None = None
    force_permission_level: PermissionLevel | None = None


class ExampleRunInput(msgspec.Struct, rename="camel", omit_defaults=True):
    body: str | None = None
    content_type: str | None = None


class ActorBody(msgspec.Struct, rename="camel"):
    """An Actor as created or changed: what is not given stays, null clears."""

    name: str | UnsetType | None = UNSET
    title: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    is_public: bool | UnsetType | None = UNSET
    actor_permission_level: PermissionLevel | UnsetType | None = UNSET
    seo_title: str | UnsetType | None = UNSET
    seo_description: str | UnsetType | None = UNSET
    restart_on_error: bool | UnsetType | None = UNSET
    versions: list[VersionBody] | UnsetType | None = UNSET
    pricing_infos: list[dict[str, Any]] | UnsetType | None = UNSET
    categories: list[str] | UnsetType | None = UNSET
    default_run_options: DefaultRunOptions | UnsetType | None = UNSET
    tagged_builds: dict[str, dict[str, Any] | None] | UnsetType | None = UNSET
    actor_standby: StandbyBody | UnsetType | None = UNSET
    example_run_input: ExampleRunInput | UnsetType | None = UNSET
    is_deprecated: bool | UnsetType | None = UNSET
    picture_url: str | UnsetType | None = UNSET


KEPT_FIELDS = (
    "title",
    "description",
    "actor_permission_level",
    "seo_title",
    "seo_description",
    "restart_on_error",
    "pricing_infos",
    "categories",
    "default_run_options",
    "example_run_input",
    "is_deprecated",
    "picture_url",
)
"""Properties of an ActorBody that are kept as they come."""


def given_fields(body: msgspec.Struct, names: Sequence[str]) -> dict[str, Any]:
    """The properties of `body` that were given, by their wire names."""
    wire_names = dict(zip(body.__struct_fields__, body.__struct_encode_fields__, strict=True))
    return {
        wire_names[name]: msgspec.to_builtins(value)
        for name in names
        if (value := getattr(body, name)) is not UNSET
    }


def env_var_wire(variable: EnvVar) -> dict[str, Any]:
    """A secret one is shown without its value."""
    wire: dict[str, Any] = {"name": variable.name, "isSecret": variable.is_secret}
    if not variable.is_secret:
        wire["value"] = variable.value
    return wire


def version_wire(version: ActorVersion) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "versionNumber": version.version_number,
        **version.fields,
        "buildTag": version.build_tag,
        "envVars": [env_var_wire(variable) for variable in version.env_vars],
    }
    if version.source_files is not None:
        wire["sourceFiles"] = version.source_files
    return wire


def stats_wire(actor: Actor, *, total_builds: int) -> dict[str, Any]:
    return {
        "totalBuilds": total_builds,
        "totalRuns": actor.total_runs,
        "totalUsers": 1 if actor.total_runs else 0,
        "totalUsers7Days": 0,
        "totalUsers30Days": 0,
        "totalUsers90Days": 0,
        "totalMetamorphs": actor.stats.get("totalMetamorphs", 0),
        **(
            {"lastRunStartedAt": iso(actor.last_run_started_at)}
            if actor.last_run_started_at
            else {}
        ),
    }


def actor_wire(
    actor: Actor, versions: Sequence[ActorVersion], *, urls: ActorUrls
) -> dict[str, Any]:
    standby_url = urls.standby_actor(actor.id, username=actor.username, name=actor.name)
    return {
        "id": actor.id,
        "userId": actor.user_id,
        "name": actor.name,
        "username": actor.username,
        "isPublic": actor.is_public,
        "createdAt": iso(actor.created_at),
        "modifiedAt": iso(actor.modified_at),
        "restartOnError": bool(actor.fields.get("restartOnError")),
        "actorPermissionLevel": actor.permission_level,
        "title": None,
        "description": None,
        "categories": [],
        "isDeprecated": False,
        **{name: value for name, value in actor.fields.items() if value is not None},
        **({"deploymentKey": key} if (key := public_deploy_key(actor)) else {}),
        "defaultRunOptions": actor.default_run_options,
        "standbyUrl": standby_url if standby_config(actor.fields).is_enabled else None,
        "taggedBuilds": actor.tagged_builds,
        "stats": stats_wire(actor, total_builds=sum(version.last_build for version in versions)),
        "versions": [version_wire(version) for version in versions],
    }


def short_actor_wire(actor: Actor) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "id": actor.id,
        "name": actor.name,
        # apify-cli shows it in any case, so there always is one.
        "title": actor.fields.get("title") or actor.name,
        "username": actor.username,
        "createdAt": iso(actor.created_at),
        "modifiedAt": iso(actor.modified_at),
        "stats": {
            "totalRuns": actor.total_runs,
            "lastRunStartedAt": iso_or_none(actor.last_run_started_at),
        },
    }
    if actor.last_run_started_at is None:
        del wire["stats"]["lastRunStartedAt"]
    return wire
