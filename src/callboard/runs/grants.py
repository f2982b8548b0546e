"""Storages that a run's input names and its schema asks for: all that a limited run gets beyond its own."""

from typing import Any, cast

from sqlalchemy import Connection

from callboard.actors.model import PermissionLevel
from callboard.api.refs import parse_ref
from callboard.core.caller import Caller
from callboard.inputs.input_schema import InputSchema
from callboard.storages.model import StorageKind
from callboard.storages.service import Need, look_up, may_hand_on

WRITE = "WRITE"
_KINDS = {
    "dataset": StorageKind.DATASET,
    "keyValueStore": StorageKind.KEY_VALUE_STORE,
    "requestQueue": StorageKind.REQUEST_QUEUE,
}


def grants_of_input(
    tx: Connection, caller: Caller, schema: InputSchema | None, value: Any, *, level: str
) -> dict[str, str] | None:
    """What a run with this input may do with storages by their ids, None when it needs no grants.

    The caller hands on no more than it has itself. What it cannot hand on, or does not exist, is left out: the input
    may be right all the same, and the run is told when it tries.
    """
    if (
        schema is None
        or level != PermissionLevel.LIMITED_PERMISSIONS
        or not isinstance(value, dict)
    ):
        return None
    given = cast("dict[str, Any]", value)
    grants: dict[str, str] = {}
    for name, field in schema.resource_fields.items():
        kind = _KINDS.get(field.resource_type)
        if kind is None or not field.permissions:
            continue
        need = Need.WRITE if WRITE in field.permissions else Need.READ
        for text in _texts(given.get(name)):
            storage = look_up(tx, kind, caller, parse_ref(text, caller))
            if storage is not None and may_hand_on(tx, caller, storage, need):
                grants[storage.id] = _stronger(grants.get(storage.id), need)
    return grants or None


def _texts(value: Any) -> list[str]:
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str) and each]


def _stronger(one: str | None, other: Need) -> str:
    return Need.WRITE.value if Need.WRITE.value in (one, other.value) else other.value
