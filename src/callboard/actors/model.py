"""Actors and their versions."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

NAME = re.compile(r"(?=.{3,63}$)[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]")
VERSION_NUMBER = re.compile(r"(0|[1-9]\d?)\.(0|[1-9]\d?)")
BUILD_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,62}")
DEFAULT_TAG = "latest"


class SourceType(StrEnum):
    """Where a version's sources come from."""

    SOURCE_FILES = "SOURCE_FILES"
    GIT_REPO = "GIT_REPO"
    TARBALL = "TARBALL"
    GITHUB_GIST = "GITHUB_GIST"
    SOURCE_CODE = "SOURCE_CODE"


URL_FIELDS = {
    SourceType.GIT_REPO: "gitRepoUrl",
    SourceType.TARBALL: "tarballUrl",
    SourceType.GITHUB_GIST: "gitHubGistUrl",
}
"""Which property of a version holds the URL of its sources."""


class PermissionLevel(StrEnum):
    """What the token of an Actor's runs may do."""

    LIMITED_PERMISSIONS = "LIMITED_PERMISSIONS"
    FULL_PERMISSIONS = "FULL_PERMISSIONS"


@dataclass(frozen=True)
class EnvVar:
    """An environment variable of a version. A secret one's `value` is sealed."""

    name: str
    value: str
    is_secret: bool


@dataclass(frozen=True)
class ActorVersion:
    """A version. `fields` are its other properties by their wire names."""

    actor_id: str
    version_number: str
    created_at: datetime
    fields: dict[str, Any]
    env_vars: tuple[EnvVar, ...]
    source_files: list[dict[str, Any]] | None
    last_build: int

    @property
    def source_type(self) -> SourceType:
        return SourceType(self.fields["sourceType"])

    @property
    def build_tag(self) -> str:
        return self.fields.get("buildTag") or DEFAULT_TAG


@dataclass(frozen=True)
class Actor:
    """An Actor. `fields` are its descriptive properties by their wire names.

    `tagged_builds` maps a tag to `{buildId, buildNumber, buildNumberInt, finishedAt}`; `keys` holds sealed secrets.
    """

    id: str
    user_id: str
    username: str
    name: str
    created_at: datetime
    modified_at: datetime
    is_public: bool
    fields: dict[str, Any]
    tagged_builds: dict[str, dict[str, Any]]
    keys: dict[str, Any]
    stats: dict[str, Any]
    last_run_started_at: datetime | None
    total_runs: int

    @property
    def full_name(self) -> str:
        return f"{self.username}/{self.name}"

    @property
    def default_run_options(self) -> dict[str, Any]:
        return self.fields.get("defaultRunOptions") or {}

    @property
    def permission_level(self) -> PermissionLevel:
        return PermissionLevel(
            self.fields.get("actorPermissionLevel") or PermissionLevel.FULL_PERMISSIONS
        )
