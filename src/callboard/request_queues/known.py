"""Remembers which callers own which queues, to spare crawlers a look-up with each of their many small calls.

Only what never changes is remembered: a queue's id, its owner, and the run that created it. Whether the queue still
exists is checked by the operations themselves, inside their transactions.
"""

from typing import TypeAlias

from callboard.api.refs import ById, Ref
from callboard.core.caller import Caller
from callboard.storages.model import Storage

REMEMBERED_MAX = 10_000

_Key: TypeAlias = tuple[Caller, str]
"""The whole caller: runs and tokens of one account are let to different queues."""


class KnownQueues:
    """Counters and other changing fields of the queues it returns are those of their first look-up."""

    def __init__(self) -> None:
        self._queues: dict[_Key, Storage] = {}

    def get(self, caller: Caller | None, ref: Ref) -> Storage | None:
        if caller is None or not isinstance(ref, ById):
            return None
        return self._queues.get((caller, ref.id))

    def add(self, caller: Caller | None, queue: Storage) -> None:
        """Note that the caller was let to the queue. Others than its owner are forgotten at once: rights change."""
        if caller is None or not caller.owns(queue.user_id):
            return
        if len(self._queues) >= REMEMBERED_MAX:
            self._queues.clear()
        self._queues[caller, queue.id] = queue
