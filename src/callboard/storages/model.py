"""What datasets, key-value stores and request queues have in common."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class StorageKind(StrEnum):
    DATASET = "dataset"
    KEY_VALUE_STORE = "key-value store"
    REQUEST_QUEUE = "request queue"


class Ownership(StrEnum):
    """Whose storages a list shows."""

    OWNED_BY_ME = "ownedByMe"
    SHARED_WITH_ME = "sharedWithMe"


@dataclass(frozen=True)
class Storage:
    """A row of `storages`. `pk` is the short key that its items, records or requests carry."""

    pk: int
    id: str
    kind: StorageKind
    user_id: str
    username: str
    name: str | None
    title: str | None
    actor_id: str | None
    run_id: str | None
    creator: str | None
    """The run or API token that asked for it; None for what runs are given at their start."""
    created_at: datetime
    modified_at: datetime
    accessed_at: datetime
    general_access: str
    signing_secret: str
    schema: Any
    fields: Any
    columns: str | None
    """Of a dataset's items as a table, as `datasets.columns` remembers them; None when they are not known."""
    item_count: int
    clean_item_count: int
    total_request_count: int
    handled_request_count: int
    had_multiple_clients: bool
    read_count: int
    write_count: int
    delete_count: int
    list_count: int
    head_item_read_count: int
    storage_bytes: int

    @property
    def pending_request_count(self) -> int:
        return self.total_request_count - self.handled_request_count
