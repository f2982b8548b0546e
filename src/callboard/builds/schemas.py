"""Builds on the wire."""

import json
from typing import Any

from callboard.actors.model import URL_FIELDS
from callboard.builders.fetching.urls import shown_url
from callboard.builds.model import Build
from callboard.core.clock import iso, iso_or_none
from callboard.core.jobs import JobStatus

_NOT_SHOWN = ("sourceFiles", "envVars")


def build_wire(build: Build) -> dict[str, Any]:
    return {
        "id": build.id,
        "actId": build.actor_id,
        "userId": build.user_id,
        "startedAt": iso(build.started_at),
        "finishedAt": iso_or_none(build.finished_at),
        "status": build.status,
        "statusMessage": build.status_message,
        "exitCode": build.exit_code,
        "meta": build.meta,
        "stats": build.stats,
        "options": build.options,
        "usage": build.usage or {"ACTOR_COMPUTE_UNITS": 0},
        "usageTotalUsd": 0,
        "usageUsd": {"ACTOR_COMPUTE_UNITS": 0},
        "inputSchema": build.input_schema,
        "readme": build.readme,
        "changelog": build.changelog,
        "buildNumber": build.build_number,
        "actVersion": _shown_version(build.version),
        "actorDefinition": _definition_wire(build),
    }


def _definition_wire(build: Build) -> dict[str, Any] | None:
    """With what lay in the usual places, for the official MCP server looks at nothing else; None before the end."""
    if build.status != JobStatus.SUCCEEDED:
        return build.definition
    found: dict[str, Any] = {"readme": build.readme, "changelog": build.changelog}
    if build.input_schema is not None:
        found["input"] = json.loads(build.input_schema)
    definition = {"actorSpecification": 1, **(build.definition or {})}
    return definition | {name: value for name, value in found.items() if value is not None}


def _shown_version(version: dict[str, Any]) -> dict[str, Any]:
    """Whoever knows the build's id sees it: without the sources and variables, and without passwords in URLs."""
    version = {name: value for name, value in version.items() if name not in _NOT_SHOWN}
    urls = {name: version[name] for name in URL_FIELDS.values() if version.get(name)}
    return version | {name: shown_url(url) for name, url in urls.items()}


def short_build_wire(build: Build) -> dict[str, Any]:
    return {
        "id": build.id,
        "actId": build.actor_id,
        "userId": build.user_id,
        "status": build.status,
        "startedAt": iso(build.started_at),
        "finishedAt": iso_or_none(build.finished_at),
        "usageTotalUsd": 0,
        "buildNumber": build.build_number,
        "buildNumberInt": build.build_number_int,
        "meta": build.meta,
    }


def tag_entry(build: Build) -> dict[str, Any]:
    """What an Actor's `taggedBuilds` holds for a tag."""
    return {
        "buildId": build.id,
        "buildNumber": build.build_number,
        "buildNumberInt": build.build_number_int,
        "finishedAt": iso_or_none(build.finished_at),
    }
