"""Whose a storage is to change, from the row and the caller alone."""

from callboard.core.caller import Caller
from callboard.core.scopes import Action, Kind
from callboard.storages.model import Storage, StorageKind

SCOPE_KINDS = {
    StorageKind.DATASET: Kind.DATASETS,
    StorageKind.KEY_VALUE_STORE: Kind.STORES,
    StorageKind.REQUEST_QUEUE: Kind.QUEUES,
}


def is_usable(caller: Caller, storage: Storage) -> bool:
    """By its owner; by a limited run when it is its own, or one that runs of its Actor have made.

    What a token with scopes may call has been decided before.
    """
    if not caller.owns(storage.user_id):
        return False
    return (
        not caller.is_limited
        or storage.run_id == caller.run_id
        or (storage.creator is not None and storage.actor_id == caller.actor_id is not None)
    )


def is_in_scope(caller: Caller, storage: Storage, action: Action) -> bool:
    """Whether a token with scopes has made it, or is good for it. Others' scope is everything."""
    if caller.scopes is None or storage.creator == caller.token_id:
        return True
    return caller.scopes.allow(SCOPE_KINDS[storage.kind], action, storage.id)


def is_writer(caller: Caller | None, storage: Storage) -> bool:
    """Who may see what opens the storage to others."""
    return (
        caller is not None
        and is_usable(caller, storage)
        and is_in_scope(caller, storage, Action.WRITE)
    )
