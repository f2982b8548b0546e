"""Versions of an Actor and their environment variables: checked, with secrets sealed, created and changed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from msgspec import UNSET
from sqlalchemy import Connection

from callboard.actors import repository
from callboard.actors.errors import (
    CannotRenameEnvVar,
    EnvVarAlreadyExists,
    EnvVarNotFound,
    InvalidActorField,
    TooFewVersions,
    TooManyVersions,
    VersionAlreadyExists,
    VersionNotFound,
    VersionsSizeExceeded,
)
from callboard.actors.model import (
    BUILD_TAG,
    URL_FIELDS,
    VERSION_NUMBER,
    ActorVersion,
    EnvVar,
    SourceType,
)
from callboard.actors.schemas import EnvVarBody, VersionBody, given_fields
from callboard.api.refs import Ref
from callboard.builders.fetching.urls import InvalidUrl, archive_address, git_address
from callboard.builders.sources import check_source_files
from callboard.core import clock
from callboard.core.caller import Caller, require_account
from callboard.core.vault import Vault
from callboard.db.base import Database

ENV_VAR_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,254}")
VERSIONS_MAX = 100
SOURCES_MAX_BYTES = 64 * 2**20
ENV_VAR_MAX_BYTES = 128 * 1024 - 1
"""Of a name, its value and the sign between: Linux starts no program with a longer one."""
ENV_VARS_MAX_BYTES = 1024 * 1024
"""Of all together, well below what a program can be started with."""
_KEPT = (
    "source_type",
    "apply_env_vars_to_build",
    "build_tag",
    "git_repo_url",
    "tarball_url",
    "git_hub_gist_url",
)


class VersionMaker:
    """Makes versions of what clients send. Pure but for the vault that seals secrets."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    def new(self, actor_id: str, body: VersionBody) -> ActorVersion:
        number = body.version_number
        if not isinstance(number, str) or not VERSION_NUMBER.fullmatch(number):
            raise InvalidActorField(
                'versionNumber must be MAJOR.MINOR, each from 0 to 99, such as "0.1".'
            )
        if body.source_type is UNSET or body.source_type is None:
            raise InvalidActorField("sourceType is required.")
        empty = ActorVersion(actor_id, number, clock.now(), {}, (), None, 0)
        return self.changed(empty, body)

    def new_ones(self, actor_id: str, bodies: Sequence[VersionBody]) -> list[ActorVersion]:
        return self.merged(actor_id, bodies, {})

    def merged(
        self,
        actor_id: str,
        bodies: Sequence[VersionBody],
        existing: Mapping[str, ActorVersion],
    ) -> list[ActorVersion]:
        """The versions of `bodies`, each a change of the existing one with its number if there is one."""
        made: dict[str, ActorVersion] = {}
        for body in bodies:
            before = existing.get(str(body.version_number))
            version = self.new(actor_id, body) if before is None else self.changed(before, body)
            if version.version_number in made:
                raise VersionAlreadyExists(f"Version {version.version_number} is given twice.")
            made[version.version_number] = version
        return list(made.values())

    def changed(self, version: ActorVersion, body: VersionBody) -> ActorVersion:
        given = given_fields(body, _KEPT)
        if given.get("sourceType", UNSET) is None:
            # The contract allows null, which cannot mean that a version has no source.
            del given["sourceType"]
        fields = version.fields | given
        files = version.source_files
        if body.source_files is not UNSET:
            files = body.source_files
        env_vars = version.env_vars
        if body.env_vars is not UNSET:
            env_vars = self.env_vars(version, body.env_vars or [])
        changed = replace(version, fields=fields, source_files=files, env_vars=env_vars)
        _check(changed)
        return changed

    def env_vars(self, version: ActorVersion, bodies: Sequence[EnvVarBody]) -> tuple[EnvVar, ...]:
        """All variables of the version. A secret one sent back without a value keeps the one it had."""
        before = {variable.name: variable for variable in version.env_vars}
        made: dict[str, EnvVar] = {}
        for body in bodies:
            if body.name in made:
                raise EnvVarAlreadyExists(f'Environment variable "{body.name}" is given twice.')
            made[body.name] = self.env_var(version.actor_id, body, before.get(body.name))
        return tuple(made.values())

    def env_var(self, actor_id: str, body: EnvVarBody, before: EnvVar | None) -> EnvVar:
        if not ENV_VAR_NAME.fullmatch(body.name):
            raise InvalidActorField(
                f'"{body.name}" is not a valid name of an environment variable: letters, digits and underscores.'
            )
        is_secret = bool(body.is_secret)
        if body.value is None:
            if before is None or before.is_secret != is_secret:
                raise InvalidActorField(f'Environment variable "{body.name}" needs a value.')
            return before
        if len(f"{body.name}={body.value}".encode()) >= ENV_VAR_MAX_BYTES:
            raise InvalidActorField(f'The value of environment variable "{body.name}" is too long.')
        if "\0" in body.value:
            raise InvalidActorField(f'Environment variable "{body.name}" holds a NUL character.')
        if not is_secret:
            return EnvVar(body.name, body.value, is_secret=False)
        sealed = self.vault.seal(body.value, context=f"{actor_id}:{body.name}")
        return EnvVar(body.name, sealed, is_secret=True)

    def opened(self, actor_id: str, variables: Sequence[EnvVar]) -> dict[str, str]:
        """The variables with their plain values, for a run's or build's environment only."""
        return {
            variable.name: self.vault.open(variable.value, context=f"{actor_id}:{variable.name}")
            if variable.is_secret
            else variable.value
            for variable in variables
        }


class VersionService:
    """Versions and environment variables of the caller's own Actors. `find` gives the Actor's id."""

    def __init__(self, db: Database, maker: VersionMaker, *, find: Any) -> None:
        self._db = db
        self._maker = maker
        self._find = find

    async def all(self, caller: Caller, ref: Ref) -> list[ActorVersion]:
        require_account(caller)
        return await self._db.read(
            lambda tx: repository.versions(tx, self._find(tx, caller, ref).id)
        )

    async def get(self, caller: Caller, ref: Ref, number: str) -> ActorVersion:
        require_account(caller)
        return await self._db.read(lambda tx: self._version(tx, caller, ref, number))

    def _version(self, tx: Connection, caller: Caller, ref: Ref, number: str) -> ActorVersion:
        version = repository.version(tx, self._find(tx, caller, ref).id, number)
        if version is None:
            raise VersionNotFound
        return version

    async def create(self, caller: Caller, ref: Ref, body: VersionBody) -> ActorVersion:
        """Raises VersionAlreadyExists or an error about what is wrong with it."""
        require_account(caller)

        def unit(tx: Connection) -> ActorVersion:
            actor_id = self._find(tx, caller, ref).id
            version = self._maker.new(actor_id, body)
            if repository.version(tx, actor_id, version.version_number) is not None:
                raise VersionAlreadyExists(f"Version {version.version_number} already exists.")
            self._save(tx, version)
            return version

        return await self._db.write(unit)

    async def update(
        self, caller: Caller, ref: Ref, number: str, body: VersionBody
    ) -> ActorVersion:
        require_account(caller)

        def unit(tx: Connection) -> ActorVersion:
            version = self._maker.changed(self._version(tx, caller, ref, number), body)
            self._save(tx, version)
            return version

        return await self._db.write(unit)

    async def delete(self, caller: Caller, ref: Ref, number: str) -> None:
        """Raises TooFewVersions for the last one."""
        require_account(caller)

        def unit(tx: Connection) -> None:
            version = self._version(tx, caller, ref, number)
            if len(repository.versions(tx, version.actor_id)) == 1:
                raise TooFewVersions
            repository.delete_version(tx, version.actor_id, number)

        await self._db.write(unit)

    async def get_env_var(self, caller: Caller, ref: Ref, number: str, name: str) -> EnvVar:
        version = await self.get(caller, ref, number)
        return _env_var(version, name)

    async def create_env_var(
        self, caller: Caller, ref: Ref, number: str, body: EnvVarBody
    ) -> EnvVar:
        require_account(caller)

        def unit(tx: Connection) -> EnvVar:
            version = self._version(tx, caller, ref, number)
            if any(variable.name == body.name for variable in version.env_vars):
                raise EnvVarAlreadyExists(f'Environment variable "{body.name}" already exists.')
            made = self._maker.env_var(version.actor_id, body, None)
            self._save(tx, replace(version, env_vars=(*version.env_vars, made)))
            return made

        return await self._db.write(unit)

    async def update_env_var(
        self, caller: Caller, ref: Ref, number: str, name: str, body: EnvVarBody
    ) -> EnvVar:
        require_account(caller)
        if body.name != name:
            raise CannotRenameEnvVar

        def unit(tx: Connection) -> EnvVar:
            version = self._version(tx, caller, ref, number)
            made = self._maker.env_var(version.actor_id, body, _env_var(version, name))
            variables = tuple(made if old.name == name else old for old in version.env_vars)
            self._save(tx, replace(version, env_vars=variables))
            return made

        return await self._db.write(unit)

    async def delete_env_var(self, caller: Caller, ref: Ref, number: str, name: str) -> None:
        require_account(caller)

        def unit(tx: Connection) -> None:
            version = self._version(tx, caller, ref, number)
            _env_var(version, name)
            variables = tuple(old for old in version.env_vars if old.name != name)
            self._save(tx, replace(version, env_vars=variables))

        await self._db.write(unit)

    def _save(self, tx: Connection, version: ActorVersion) -> None:
        save_versions(tx, version.actor_id, [version])
        repository.change_actor(tx, version.actor_id, modified_at=clock.now())


def save_versions(tx: Connection, actor_id: str, versions: Sequence[ActorVersion]) -> None:
    """Write versions of an Actor, which is always shown with all it has.

    Raises TooManyVersions or VersionsSizeExceeded.
    """
    for version in versions:
        _check_variables(version)
        repository.save_version(tx, version)
    count, size = repository.sizes_of_versions(tx, actor_id)
    if count > VERSIONS_MAX:
        raise TooManyVersions(f"An Actor may have at most {VERSIONS_MAX} versions.")
    if size > SOURCES_MAX_BYTES:
        raise VersionsSizeExceeded(
            f"The source files of an Actor's versions are too large: {size} of {SOURCES_MAX_BYTES} bytes. "
            "Delete versions, or keep sources in a repository."
        )


def _env_var(version: ActorVersion, name: str) -> EnvVar:
    for variable in version.env_vars:
        if variable.name == name:
            return variable
    raise EnvVarNotFound


def _check_variables(version: ActorVersion) -> None:
    if sum(len(each.name) + len(each.value) for each in version.env_vars) > ENV_VARS_MAX_BYTES:
        raise InvalidActorField("The environment variables of the version are too large together.")


def _check(version: ActorVersion) -> None:
    tag = version.fields.get("buildTag")
    if tag is not None and not BUILD_TAG.fullmatch(tag):
        raise InvalidActorField(f'"{tag}" is not a valid build tag.')
    if version.source_files is not None:
        check_source_files(version.source_files)
    if version.source_type is SourceType.SOURCE_CODE:
        raise InvalidActorField("SOURCE_CODE is no longer built. Use SOURCE_FILES instead.")
    url_field = URL_FIELDS.get(version.source_type)
    if url_field is not None:
        _check_url(version, url_field)


def _check_url(version: ActorVersion, field: str) -> None:
    url = version.fields.get(field)
    if not url:
        raise InvalidActorField(f"{field} is required for {version.source_type}.")
    try:
        archive_address(url) if version.source_type is SourceType.TARBALL else git_address(url)
    except InvalidUrl as error:
        raise InvalidActorField(f"{field} cannot be built from. {error}") from None
