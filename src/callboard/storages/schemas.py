"""The fields that all storage objects share on the wire."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from callboard.core.caller import Caller
from callboard.core.clock import iso
from callboard.storages.access import is_writer
from callboard.storages.model import Storage

PUBLIC_URL_SECS = 14 * 24 * 3600
"""How long the signed public URLs in storage objects are good for."""


class StorageChange(msgspec.Struct, rename="camel"):
    """Body of a PUT: what is given changes, `"name": null` takes the name away."""

    name: str | UnsetType | None = UNSET
    title: str | UnsetType | None = UNSET
    general_access: str | UnsetType = UNSET
    schema: Any = UNSET


class StorageCreation(msgspec.Struct, rename="camel"):
    """Optional body of a get-or-create."""

    title: str | None = None
    schema: Any = None


def base_wire(storage: Storage, *, console_url: str) -> dict[str, Any]:
    return {
        "id": storage.id,
        "name": storage.name,
        "title": storage.title,
        "userId": storage.user_id,
        "username": storage.username,
        "createdAt": iso(storage.created_at),
        "modifiedAt": iso(storage.modified_at),
        "accessedAt": iso(storage.accessed_at),
        "actId": storage.actor_id,
        "actRunId": storage.run_id,
        "generalAccess": storage.general_access,
        "consoleUrl": console_url,
    }


def signing_secret_for(storage: Storage, caller: Caller | None) -> dict[str, Any]:
    """`urlSigningSecretKey`, for those who may write only."""
    if is_writer(caller, storage):
        return {"urlSigningSecretKey": storage.signing_secret}
    return {}
