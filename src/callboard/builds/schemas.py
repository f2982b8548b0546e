"""Builds on the wire."""

from typing import Any

from callboard.builds.model import Build
from callboard.core.clock import iso, iso_or_none


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
        "actVersion": build.version,
        "actorDefinition": build.definition,
    }


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
