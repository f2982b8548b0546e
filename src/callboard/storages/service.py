"""Operations that datasets, key-value stores and request queues share: find, create, list, change, delete."""

import asyncio
import re
from collections import defaultdict
from enum import Enum
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from callboard.api.pagination import Page, PageRequest
from callboard.api.refs import ById, Ref
from callboard.core import clock
from callboard.core.caller import Caller, GeneralAccess
from callboard.core.errors import InvalidValue
from callboard.core.scopes import Action
from callboard.db.base import Database
from callboard.storages import repository
from callboard.storages.access import is_in_scope, is_usable
from callboard.storages.errors import (
    InvalidStorageName,
    StorageAccessDenied,
    StorageNameNotUnique,
    StorageNotFound,
)
from callboard.storages.model import Ownership, Storage, StorageKind
from callboard.storages.signatures import is_valid_for_record, is_valid_for_storage

log = structlog.get_logger()

NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
TOUCH_AFTER_SECS = 2.0


class Need(Enum):
    READ = "read"
    WRITE = "write"


class StorageService:
    """One kind of storage. Slices build on `find`, which is where access is decided."""

    def __init__(self, db: Database, kind: StorageKind) -> None:
        self.kind = kind
        self._db = db
        self._touches = _Touches(db)

    async def find(
        self,
        caller: Caller | None,
        ref: Ref,
        need: Need,
        *,
        signature: str | None = None,
        record_key: str | None = None,
        is_granted: bool = False,
    ) -> Storage:
        """The storage, when the caller may do with it what is needed.

        Reading is also allowed by a valid `signature` (of the storage, or of the record `record_key`), by the
        storage's general access, and by `is_granted`. Raises StorageNotFound or StorageAccessDenied.
        """

        def unit(tx: Connection) -> tuple[Storage | None, Need | None]:
            found = look_up(tx, self.kind, caller, ref)
            return found, given_to(tx, caller, found)

        storage, given = await self._db.read(unit)
        return self._allowed(
            storage,
            caller,
            ref,
            need,
            signature=signature,
            record_key=record_key,
            is_granted=is_granted,
            given=given,
        )

    def _allowed(
        self,
        storage: Storage | None,
        caller: Caller | None,
        ref: Ref,
        need: Need,
        *,
        signature: str | None,
        record_key: str | None = None,
        is_granted: bool,
        given: Need | None,
    ) -> Storage:
        """What `find` decides once it has looked the storage up."""
        if storage is None:
            raise StorageNotFound(self.kind)
        if given is Need.WRITE or (caller is not None and is_usable(caller, storage)):
            return storage
        if need is Need.READ and (
            is_granted
            or given is Need.READ
            or _is_open(storage, ref)
            or (signature and _is_signed(storage, signature, record_key))
        ):
            return storage
        raise StorageAccessDenied(self.kind)

    async def get_or_create(
        self, caller: Caller, *, name: str | None, title: str | None = None, schema: Any = None
    ) -> tuple[Storage, bool]:
        """The caller's storage of that name, and whether it is new. Without a name, always a new one.

        Raises InvalidStorageName, or StorageAccessDenied when there is one that the caller may not use.
        """
        if name is not None and not NAME.fullmatch(name):
            raise InvalidStorageName(name)

        def unit(tx: Connection) -> tuple[Storage, bool]:
            existing = name and repository.by_name(tx, self.kind, caller.user_id, name)
            if existing:
                if not (
                    is_usable(caller, existing) and is_in_scope(caller, existing, Action.WRITE)
                ):
                    raise StorageAccessDenied(self.kind)
                return existing, False
            storage_id = repository.create(
                tx,
                self.kind,
                caller.user_id,
                at=clock.now(),
                name=name,
                title=title,
                schema=schema,
                actor_id=caller.actor_id,
                run_id=caller.run_id,
                creator=caller.run_id or caller.token_id,
            )
            return _required(repository.by_id(tx, self.kind, storage_id), self.kind), True

        return await self._db.write(unit)

    async def page(
        self, caller: Caller, request: PageRequest, *, unnamed: bool, ownership: Ownership | None
    ) -> Page[Storage]:
        return await self._db.read(
            lambda tx: repository.page(
                tx, self.kind, caller, request, unnamed=unnamed, ownership=ownership
            )
        )

    async def update(self, caller: Caller | None, ref: Ref, changes: dict[str, Any]) -> Storage:
        """Change `name` (None takes it away), `title`, `general_access`, `schema`: those given.

        Raises StorageNameNotUnique, InvalidStorageName or InvalidValue.
        """
        storage = await self.find(caller, ref, Need.WRITE)
        name = changes.get("name")
        if name is not None and not NAME.fullmatch(name):
            raise InvalidStorageName(name)
        if "general_access" in changes and changes["general_access"] not in set(GeneralAccess):
            raise InvalidValue(f"generalAccess must be one of {', '.join(GeneralAccess)}.")

        def unit(tx: Connection) -> Storage:
            if changes:
                repository.change(tx, storage.pk, modified_at=clock.now(), **changes)
            return _required(repository.by_id(tx, self.kind, storage.id), self.kind)

        try:
            return await self._db.write(unit)
        except IntegrityError as error:
            raise StorageNameNotUnique(self.kind, str(name)) from error

    async def delete(self, caller: Caller | None, ref: Ref) -> None:
        storage = await self.find(caller, ref, Need.WRITE)
        await self._db.write(lambda tx: repository.mark_deleted(tx, storage.pk, at=clock.now()))

    def touch(self, storage: Storage, **increments: int) -> None:
        """Note that it was read. Written together with other such notes shortly after."""
        self._touches.add(storage.pk, increments)

    async def close(self) -> None:
        await self._touches.flush()


def look_up(tx: Connection, kind: StorageKind, caller: Caller | None, ref: Ref) -> Storage | None:
    """What a reference means, whether or not the caller may see it."""
    if isinstance(ref, ById):
        storage = repository.by_id(tx, kind, ref.id)
        if storage is None and caller is not None:
            # Clients address a storage by its bare name to see whether it exists.
            storage = repository.by_name(tx, kind, caller.user_id, ref.id)
        return storage
    if ref.username is not None:
        return repository.by_owner_name(tx, kind, ref.username, ref.name)
    return caller and repository.by_name(tx, kind, caller.user_id, ref.name)


class _Touches:
    """Reads noted in memory, so that a read costs no write of its own."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pending: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._timer: asyncio.TimerHandle | None = None
        self._flushes: set[asyncio.Task[None]] = set()

    def add(self, pk: int, increments: dict[str, int]) -> None:
        counts = self._pending[pk]
        for name, by in increments.items():
            counts[name] += by
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TOUCH_AFTER_SECS, self._start)

    def _start(self) -> None:
        flush = asyncio.ensure_future(self._flush_in_background())
        self._flushes.add(flush)
        flush.add_done_callback(self._flushes.discard)

    async def _flush_in_background(self) -> None:
        try:
            await self.flush()
        except SQLAlchemyError as error:
            log.error("storages.not_touched", error=str(error), retry_secs=TOUCH_AFTER_SECS)

    async def flush(self) -> None:
        """Write what has been noted. What the database does not take is kept for the next time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._pending:
            return
        pending = {pk: dict(counts) for pk, counts in self._pending.items()}
        self._pending.clear()
        at = clock.now()

        def unit(tx: Connection) -> None:
            for pk, counts in pending.items():
                repository.touch(tx, pk, at=at, **counts)

        try:
            await self._db.write(unit)
        except SQLAlchemyError:
            for pk, counts in pending.items():
                self.add(pk, counts)
            raise


def _required(storage: Storage | None, kind: StorageKind) -> Storage:
    if storage is None:
        raise StorageNotFound(kind)
    return storage


def given_to(tx: Connection, caller: Caller | None, storage: Storage | None) -> Need | None:
    """What a limited run may do with a storage that is not its own.

    It reads the results of runs that it has started, and has what its input was given with.
    """
    if caller is None or not caller.is_limited or caller.run_id is None or storage is None:
        return None
    if is_usable(caller, storage) or not caller.owns(storage.user_id):
        return None
    if given := repository.grants_of(tx, caller.run_id).get(storage.id):
        return Need(given)
    is_result = storage.run_id is not None and repository.was_started_by(
        tx, storage.run_id, caller.run_id
    )
    return Need.READ if is_result else None


def may_hand_on(tx: Connection, caller: Caller, storage: Storage, need: Need) -> bool:
    """Whether the caller may give a run that it starts such a right."""
    if not caller.owns(storage.user_id):
        return False
    action = Action.READ if need is Need.READ else Action.WRITE
    if caller.scopes is not None:
        return is_in_scope(caller, storage, action) or (
            storage.run_id is not None
            and caller.token_id is not None
            and repository.was_started_by(
                tx, storage.run_id, caller.token_id, by="startedByTokenId"
            )
        )
    return is_usable(caller, storage) or given_to(tx, caller, storage) in (need, Need.WRITE)


def _is_open(storage: Storage, ref: Ref) -> bool:
    access = GeneralAccess(storage.general_access)
    if isinstance(ref, ById):
        return access.allows_id_readers
    return access is GeneralAccess.ANYONE_WITH_NAME_CAN_READ


def _is_signed(storage: Storage, signature: str, record_key: str | None) -> bool:
    if record_key is not None and is_valid_for_record(
        storage.signing_secret, record_key, signature
    ):
        return True
    return is_valid_for_storage(storage.signing_secret, storage.id, signature)
