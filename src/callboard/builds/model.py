"""Builds: one compiled version of an Actor."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from callboard.actors.model import EnvVar
from callboard.core.jobs import JobStatus


def build_number_int(build_number: str) -> int:
    """A number that sorts as build numbers do."""
    major, minor, patch = (int(part) for part in build_number.split("."))
    return major * 10_000_000 + minor * 100_000 + patch


@dataclass(frozen=True)
class Build:
    """A build. `version` is the version it was made of, `env_vars` its variables, secret ones sealed."""

    id: str
    actor_id: str
    user_id: str
    status: JobStatus
    started_at: datetime
    finished_at: datetime | None
    build_number: str
    build_number_int: int
    tag: str | None
    status_message: str | None
    exit_code: int | None
    meta: dict[str, Any]
    options: dict[str, Any]
    stats: dict[str, Any]
    usage: dict[str, float] | None
    version: dict[str, Any]
    env_vars: tuple[EnvVar, ...]
    image: dict[str, Any] | None
    definition: dict[str, Any] | None
    input_schema: str | None
    readme: str | None
    changelog: str | None
    builder: str | None
    timeout_secs: int
    memory_mbytes: int
