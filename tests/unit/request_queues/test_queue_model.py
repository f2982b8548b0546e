"""A queue against a model of it: any order of calls by two clients, as time passes, does what the model says."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from callboard.api.refs import ById
from callboard.core.errors import ApiError
from callboard.db.sqlite import SqliteDatabase
from callboard.request_queues.errors import RequestHandledOrLocked, RequestNotFound
from callboard.request_queues.listing import Cursor
from callboard.request_queues.model import Removal, RequestState
from callboard.request_queues.service import RequestQueueService
from callboard.storages.service import Need
from callboard.usage.meter import Meter

from .conftest import ACCOUNT, Clock, Queue, add_account, draft

Outcome: TypeAlias = object

names = st.sampled_from("abcdef")
clients = st.sampled_from(["one", "two"])
ends = st.booleans()
durations = st.sampled_from([1, 5, 30])


@dataclass
class Kept:
    """A request as the model has it."""

    handled: bool
    until: float = 0
    holder: str | None = None


class ModelQueue:
    """The rules in plain Python: `order` is the queue from its head, without handled requests."""

    def __init__(self) -> None:
        self.now = 0.0
        self.requests: dict[str, Kept] = {}
        self.order: list[str] = []

    def is_locked(self, name: str) -> bool:
        return self.requests[name].until > self.now

    def free(self) -> list[str]:
        return [name for name in self.order if not self.is_locked(name)]

    def put(self, name: str, *, forefront: bool) -> None:
        if name in self.order:
            self.order.remove(name)
        self.order.insert(0 if forefront else len(self.order), name)

    def add(self, name: str, *, forefront: bool) -> None:
        if name not in self.requests:
            self.requests[name] = Kept(False)
            self.put(name, forefront=forefront)

    def update(self, name: str, client: str, *, handled: bool, forefront: bool) -> None:
        kept = self.requests.get(name)
        if handled:
            self.requests[name] = Kept(True)
            self.order = [other for other in self.order if other != name]
        elif kept is None or not self.is_locked(name) or kept.holder == client:
            self.requests[name] = Kept(False)
            self.put(name, forefront=forefront)

    def remove(self, name: str) -> None:
        self.requests.pop(name, None)
        self.order = [other for other in self.order if other != name]

    def lock(self, limit: int, client: str, secs: float) -> list[str]:
        taken = self.free()[:limit]
        for name in taken:
            self.requests[name] = Kept(False, self.now + secs, client)
            self.put(name, forefront=False)
        return taken

    def prolong(self, name: str, client: str, secs: float, *, forefront: bool) -> Outcome:
        kept = self.requests.get(name)
        if kept is None:
            return RequestNotFound
        if kept.handled or kept.holder != client:
            return RequestHandledOrLocked
        self.requests[name] = Kept(False, self.now + secs, client)
        self.put(name, forefront=forefront)
        return None

    def release(self, name: str, client: str, *, forefront: bool) -> Outcome:
        kept = self.requests.get(name)
        if kept is None:
            return RequestNotFound
        if not kept.handled and kept.holder == client:
            self.requests[name] = Kept(False)
            self.put(name, forefront=forefront)
        elif kept.handled or self.is_locked(name):
            return RequestHandledOrLocked
        return None

    def unlock_all(self, client: str) -> int:
        held = [
            name
            for name, kept in self.requests.items()
            if kept.holder == client and self.is_locked(name)
        ]
        for name in held:
            self.requests[name] = Kept(False)
        return len(held)


class QueueMachine(RuleBasedStateMachine):
    """Calls the service and the model alike and compares what they say."""

    def __init__(self) -> None:
        super().__init__()
        self.model = ModelQueue()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()

    @initialize()
    def open(self) -> None:
        self.runner.run(self._open())

    async def _open(self) -> None:
        self.clock = Clock()
        self.db = SqliteDatabase(Path(self.folder.name) / "test.db")
        await self.db.write(add_account)
        self.meter = Meter(self.db)
        self.service = RequestQueueService(self.db, self.meter, now=self.clock)
        queue = await Queue.create(self.service)
        self.queues = {key: queue.used_by(key) for key in ("one", "two")}

    def teardown(self) -> None:
        self.runner.run(self._close())
        self.runner.close()
        self.folder.cleanup()

    async def _close(self) -> None:
        await self.service.close()
        await self.meter.flush()
        await self.db.close()

    def outcome(self, call: object) -> Outcome:
        try:
            self.runner.run(call)  # type: ignore[arg-type]
        except ApiError as error:
            return type(error)
        return None

    @rule(batch=st.lists(names, min_size=1, max_size=4), client=clients, forefront=ends)
    def add(self, batch: list[str], client: str, forefront: bool) -> None:
        for name in batch:
            self.model.add(name, forefront=forefront)
        self.runner.run(self.queues[client].add(*batch, forefront=forefront))

    @rule(name=names, client=clients, handled=st.booleans(), forefront=ends)
    def update(self, name: str, client: str, handled: bool, forefront: bool) -> None:
        self.model.update(name, client, handled=handled, forefront=forefront)
        queue = self.queues[client]
        self.runner.run(queue.update(name, is_handled=handled, forefront=forefront))

    @rule(batch=st.lists(names, max_size=3))
    def remove(self, batch: list[str]) -> None:
        for name in batch:
            self.model.remove(name)
        removals = [Removal(draft(name).id, name) for name in batch]
        self.runner.run(self.service.delete_requests(self.queues["one"].access, removals))

    @rule(limit=st.integers(1, 4), client=clients, secs=durations)
    def lock(self, limit: int, client: str, secs: int) -> None:
        expected = self.model.lock(limit, client, secs)
        assert self.runner.run(self.queues[client].lock(limit, secs=secs)) == expected

    @rule(name=names, client=clients, secs=durations, forefront=ends)
    def prolong(self, name: str, client: str, secs: int, forefront: bool) -> None:
        expected = self.model.prolong(name, client, secs, forefront=forefront)
        call = self.queues[client].prolong(name, secs=secs, forefront=forefront)
        assert self.outcome(call) == expected

    @rule(name=names, client=clients, forefront=ends)
    def release(self, name: str, client: str, forefront: bool) -> None:
        expected = self.model.release(name, client, forefront=forefront)
        assert self.outcome(self.queues[client].release(name, forefront=forefront)) == expected

    @rule(client=clients)
    def unlock_all(self, client: str) -> None:
        expected = self.model.unlock_all(client)
        locking = self.service.locking
        assert self.runner.run(locking.unlock_all(self.queues[client].access)) == expected

    @rule(secs=durations)
    def wait(self, secs: int) -> None:
        self.model.now += secs
        self.clock.pass_secs(secs)

    @invariant()
    def the_head_is_what_nobody_holds(self) -> None:
        assert self.runner.run(self.queues["one"].head()) == self.model.free()

    @invariant()
    def counters_and_lists_match(self) -> None:
        self.runner.run(self._compare())

    async def _compare(self) -> None:
        access, requests = self.queues["one"].access, self.model.requests
        stored = await self.service.find(ACCOUNT, ById(access.queue.id), Need.READ)
        handled = {name for name, kept in requests.items() if kept.handled}
        assert stored.total_request_count == len(requests)
        assert stored.handled_request_count == len(handled)
        assert stored.storage_bytes == sum(draft(name).size_bytes for name in requests)
        assert stored.pending_request_count == len(self.model.order)
        locked = {name for name in requests if self.model.is_locked(name)}
        for states, expected in (
            (frozenset[RequestState](), set(requests)),
            (frozenset({RequestState.LOCKED}), locked),
            (frozenset(RequestState), set(requests) - handled),
        ):
            page = await self.service.list_requests(
                access, states=states, cursor=Cursor(), limit=100
            )
            assert {item.unique_key for item in page.items} == expected


TestQueueAgainstModel = QueueMachine.TestCase
TestQueueAgainstModel.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
