"""Requests, their place in a queue, and who holds them.

Crawlers make thousands of these a second; frozen data classes would cost as much as the calls they are made for.
"""

import base64
import hashlib
from datetime import datetime
from enum import StrEnum

import msgspec

from callboard.core.caller import Caller
from callboard.request_queues.errors import RequestIdInvalid
from callboard.storages.model import Storage

_ID_LENGTH = 15
_NOT_IN_IDS = str.maketrans("", "", "+/=")


def request_id(unique_key: str) -> str:
    """The id of the request with this unique key: clients compute the same one by themselves."""
    digest = base64.b64encode(hashlib.sha256(unique_key.encode()).digest()).decode()
    return digest.translate(_NOT_IN_IDS)[:_ID_LENGTH]


def checked_id(unique_key: str, given: str | None) -> str:
    """The id of the request with this unique key. Raises RequestIdInvalid when another one is given for it."""
    own_id = request_id(unique_key)
    if given is not None and given != own_id:
        raise RequestIdInvalid(given, own_id)
    return own_id


class RequestState(StrEnum):
    """What lists of requests can be narrowed to. A locked request is not pending until its lock ends."""

    LOCKED = "locked"
    PENDING = "pending"


class Draft(msgspec.Struct, frozen=True):
    """A request as a client sends it. `extras` is a JSON object of the fields that are not named here."""

    id: str
    unique_key: str
    url: str
    method: str
    retry_count: int
    handled_at: datetime | None
    extras: bytes

    @property
    def is_handled(self) -> bool:
        return self.handled_at is not None

    @property
    def size_bytes(self) -> int:
        return size_bytes(self.unique_key, self.url, len(self.extras))


class QueuedRequest(msgspec.Struct, frozen=True):
    """A request as it is kept. `locked_until` may be past: then the request is free."""

    id: str
    unique_key: str
    url: str
    method: str
    retry_count: int
    handled_at: datetime | None
    locked_until: datetime | None
    extras: bytes


class Place(msgspec.Struct, frozen=True):
    """Where a request stands in its queue and who holds it, if anyone does.

    `lock_owner` and `lock_run_id` outlive a lock that ran out: its holder may take it up again until someone else
    does. They are gone when the lock was given up.
    """

    position: int
    locked_until: datetime | None = None
    lock_owner: str | None = None
    lock_run_id: str | None = None

    def is_locked(self, at: datetime) -> bool:
        return self.locked_until is not None and self.locked_until > at


class Slot(msgspec.Struct, frozen=True):
    """What decides whether a request may be changed, without its contents."""

    id: str
    unique_key: str
    handled_at: datetime | None
    place: Place
    size_bytes: int

    @property
    def is_handled(self) -> bool:
        return self.handled_at is not None


class Client(msgspec.Struct, frozen=True):
    """A user of a queue: by the key it gave and by the run it is part of, either of which may be missing.

    Those outside of runs who give no key count as a new client each time they call, but as one holder of locks:
    they could not end their locks otherwise.
    """

    key: str | None
    run_id: str | None

    @property
    def lock_owner(self) -> str | None:
        return "" if self.key is None and self.run_id is None else self.key

    def was_last_to_lock(self, place: Place) -> bool:
        """True from when it locked the request until someone else does or the lock is given up."""
        if self.run_id is not None and self.run_id == place.lock_run_id:
            return True
        return self.lock_owner is not None and self.lock_owner == place.lock_owner

    def lock(self, position: int, *, until: datetime) -> Place:
        return Place(position, until, self.lock_owner, self.run_id)


class Access(msgspec.Struct, frozen=True):
    """One call's queue, with who calls: as an account, which pays, and as a client, which holds locks."""

    queue: Storage
    caller: Caller | None
    client: Client


class Registration(msgspec.Struct, frozen=True):
    """What adding or updating a request found: the state before the call."""

    id: str
    unique_key: str
    was_already_present: bool
    was_already_handled: bool


class Removal(msgspec.Struct, frozen=True):
    """Names a request to be removed. The unique key is None when only the id was given."""

    id: str
    unique_key: str | None


class HeadItem(msgspec.Struct, frozen=True):
    id: str
    unique_key: str
    url: str
    method: str
    retry_count: int


class Head(msgspec.Struct, frozen=True):
    """The first requests of a queue that nobody holds."""

    items: list[HeadItem]
    queue_modified_at: datetime
    had_multiple_clients: bool


class LockedHead(Head, frozen=True):
    """The same, now held by the caller until `locked_until`."""

    locked_until: datetime
    has_locked_requests: bool


def size_bytes(unique_key: str, url: str, extras_bytes: int) -> int:
    """What a request counts for in `storageBytes`."""
    return len(unique_key.encode()) + len(url.encode()) + extras_bytes
