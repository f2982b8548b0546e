"""Laying out a build's sources for its driver: files written, keys unsealed, this server's own URLs rewritten."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callboard.actors.deploy_keys import private_deploy_key
from callboard.actors.model import URL_FIELDS, Actor, SourceType
from callboard.builders.base import SOURCE_NAME, WORK_NAME, BuildSource, SourceKind
from callboard.builders.fetching.urls import InvalidUrl, git_address, secrets_of
from callboard.builders.removing import remove_tree
from callboard.builders.sources import write_source_files
from callboard.builds.own_url import OwnUrls
from callboard.core.vault import Vault

_KEY_NAME = "deploy-key"


@dataclass(frozen=True)
class Sourcing:
    """Prepares builds. `cache_folder` is where builds keep what later ones use."""

    vault: Vault
    own_urls: Callable[[], OwnUrls]
    cache_folder: Path

    def prepare(
        self, version: Mapping[str, Any], actor: Actor | None, build_dir: Path
    ) -> BuildSource:
        """Write what the driver needs into `build_dir`. Again after a crash, with the same result. Blocks."""
        build_dir.mkdir(parents=True, exist_ok=True)
        match SourceType(version["sourceType"]):
            case SourceType.TARBALL:
                return self._archive(source_url(version))
            case SourceType.GIT_REPO | SourceType.GITHUB_GIST:
                return self._repository(source_url(version), actor, build_dir)
            case SourceType.SOURCE_FILES | SourceType.SOURCE_CODE:
                if not (build_dir / SOURCE_NAME).exists():
                    write_source_files(version.get("sourceFiles") or [], build_dir / SOURCE_NAME)
                return BuildSource()

    def _archive(self, url: str) -> BuildSource:
        inside = self.own_urls().inside(url)
        return BuildSource(SourceKind.ARCHIVE, inside or url, direct=inside is not None)

    def _repository(self, url: str, actor: Actor | None, build_dir: Path) -> BuildSource:
        key = None if actor is None else private_deploy_key(self.vault, actor)
        if actor is None or key is None or not _is_ssh(url):
            return BuildSource(SourceKind.GIT, url)
        path = build_dir / _KEY_NAME
        _write_private(path, key)
        known_hosts = self.cache_folder / "known-hosts" / actor.id
        return BuildSource(SourceKind.GIT, url, deploy_key=str(path), known_hosts=str(known_hosts))

    def clean(self, build_dir: Path) -> None:
        """Take away the secrets once the driver has ended."""
        (build_dir / _KEY_NAME).unlink(missing_ok=True)
        remove_tree(build_dir / WORK_NAME)  # of a driver that was killed


def source_url(version: Mapping[str, Any]) -> str:
    """The URL of a version's sources, empty when it has files."""
    name = URL_FIELDS.get(version["sourceType"])
    return version.get(name) or "" if name else ""


def source_secrets(version: Mapping[str, Any]) -> tuple[str, ...]:
    """What the build log must not show of the URL."""
    return secrets_of(source_url(version))


def _is_ssh(url: str) -> bool:
    try:
        return git_address(url).is_ssh
    except InvalidUrl:
        return False


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
