"""The storages that a run begins with: the three default ones, and those its Actor's definition names."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection

from callboard.actors.model import Actor
from callboard.core import clock
from callboard.core.ids import new_id
from callboard.storages import repository as storage_rows
from callboard.storages.model import StorageKind

DEFAULT = "default"
MAX_ALIASES = 10
STORAGE_GROUPS = {
    StorageKind.DATASET: "datasets",
    StorageKind.KEY_VALUE_STORE: "keyValueStores",
    StorageKind.REQUEST_QUEUE: "requestQueues",
}
"""Names of the maps in a run's `storageIds`."""
_SINGLE = {
    StorageKind.DATASET: "dataset",
    StorageKind.KEY_VALUE_STORE: "keyValueStore",
    StorageKind.REQUEST_QUEUE: "requestQueue",
}


@dataclass(frozen=True)
class NewStorages:
    """The storages of a new run, by group and alias. The run's id is theirs too."""

    run_id: str
    at: datetime
    ids: dict[str, dict[str, str]]

    def default(self, kind: StorageKind) -> str:
        return self.ids[STORAGE_GROUPS[kind]][DEFAULT]


def create_storages(
    tx: Connection, user_id: str, actor: Actor, definition: Mapping[str, Any]
) -> NewStorages:
    """Create them, with the schemas that the build's definition gives them."""
    run_id, at = new_id(), clock.now()
    ids = {
        group: {
            alias: storage_rows.create(
                tx, kind, user_id, at=at, actor_id=actor.id, run_id=run_id, schema=schema
            )
            for alias, schema in _wanted(definition, kind).items()
        }
        for kind, group in STORAGE_GROUPS.items()
    }
    return NewStorages(run_id, at, ids)


def _wanted(definition: Mapping[str, Any], kind: StorageKind) -> dict[str, Any]:
    """Schema by alias, the default storage first."""
    storages: Any = definition.get("storages")
    if not isinstance(storages, dict):
        return {DEFAULT: None}
    given = cast("dict[str, Any]", storages)
    named: Any = given.get(STORAGE_GROUPS[kind])
    aliases = cast("dict[str, Any]", named) if isinstance(named, dict) else {}
    wanted = {DEFAULT: aliases.get(DEFAULT, given.get(_SINGLE[kind])), **aliases}
    return dict(list(wanted.items())[:MAX_ALIASES])
