"""Composition root: from settings to a working server. Nothing else knows how the parts are put together."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from sqlalchemy import Connection
from starlette.types import ASGIApp

from callboard.actors import repository as actor_rows
from callboard.actors.endpoints import ActorEndpoints, actor_ref
from callboard.actors.service import ActorService, find_actor, own_actor
from callboard.actors.versions import VersionMaker, VersionService
from callboard.api.app import Api
from callboard.api.call import Call
from callboard.api.rate_limits import Rate, RateLimiter, Rates
from callboard.backends import choose
from callboard.blobs.files import FileBlobStore
from callboard.builds import repository as build_rows
from callboard.builds.endpoints import BuildEndpoints
from callboard.builds.own_url import OwnUrls
from callboard.builds.service import BuildService, find_tag_entry
from callboard.builds.sourcing import Sourcing
from callboard.builds.supervisor import BuildSupervisor
from callboard.config import Settings
from callboard.core.actor_urls import ActorUrls
from callboard.core.caller import Caller
from callboard.core.signals import Signals
from callboard.datadir import DataDir, write_secret
from callboard.datasets.endpoints import DatasetEndpoints
from callboard.datasets.service import DatasetService
from callboard.db.base import Database
from callboard.db.sqlite import SqliteDatabase
from callboard.executors.base import Executor
from callboard.gateway.parts import GatewayParts
from callboard.health import Health
from callboard.jobs.admission import MemoryBudget
from callboard.jobs.launches import Launches
from callboard.jobs.machine import machine_memory_mbytes
from callboard.jobs.observer import JobObserver
from callboard.key_value_stores.endpoints import KeyValueStoreEndpoints
from callboard.key_value_stores.service import KeyValueStoreService
from callboard.logs.endpoints import LogEndpoints
from callboard.logs.service import LogService
from callboard.metrics import Metrics
from callboard.proxy.server import Proxy
from callboard.proxy.upstreams import Upstreams
from callboard.proxy.ways import Site, Ways
from callboard.reaper.loop import Reaper
from callboard.reaper.policy import Policy
from callboard.reaper.rounds import Rounds
from callboard.request_queues.endpoints import RequestQueueEndpoints
from callboard.request_queues.service import RequestQueueService
from callboard.routes import Endpoints, all_routes
from callboard.runs import repository as run_rows
from callboard.runs.change_endpoints import RunChangeEndpoints
from callboard.runs.changes import RunChanges
from callboard.runs.endpoints import RunEndpoints
from callboard.runs.environment import Addresses
from callboard.runs.events import RunEvents
from callboard.runs.item_charges import ItemCharges
from callboard.runs.launch import RunLauncher
from callboard.runs.service import RunService, require_readable
from callboard.runs.supervisor import RunSupervisor
from callboard.runs.sync import SyncRuns
from callboard.schedules.actions import ActionStarter
from callboard.schedules.endpoints import ScheduleEndpoints
from callboard.schedules.model import MissedPolicy
from callboard.schedules.service import ScheduleService
from callboard.schedules.ticker import Ticker
from callboard.scoping import Scoping
from callboard.store.endpoints import StoreEndpoints
from callboard.store.service import StoreService
from callboard.tasks import repository as task_rows
from callboard.tasks.endpoints import TaskEndpoints
from callboard.tasks.service import TaskService
from callboard.tools.endpoints import ToolEndpoints
from callboard.usage.endpoints import UsageEndpoints
from callboard.usage.meter import Meter
from callboard.usage.service import UsageService
from callboard.users.endpoints import UserEndpoints
from callboard.users.service import UsernameTaken, UserService
from callboard.webhooks.dispatcher import Dispatcher
from callboard.webhooks.endpoints import WebhookEndpoints
from callboard.webhooks.service import WebhookService

log = structlog.get_logger()

ADMIN = "admin"


class Callboard:
    """One server with all its parts, from `open` until `close`. `sockets` are what it listens on."""

    def __init__(self, settings: Settings, data_dir: DataDir, listener: socket.socket) -> None:
        self.settings = settings
        self._data_dir = data_dir
        self._sockets = [listener]
        self._port: int = listener.getsockname()[1]
        self._stack = AsyncExitStack()
        self.signals = Signals()
        self.observer = JobObserver(self.signals)
        self.backends = choose(settings, data_dir.root, api_port=self._port)

    @property
    def executor(self) -> Executor:
        """What runs are started by."""
        return self.backends.runs

    @property
    def sockets(self) -> list[socket.socket]:
        return self._sockets

    @property
    def url(self) -> str:
        """Where this server is reached, without /v2."""
        return self.settings.base_url(self._port)

    def addresses(self) -> Addresses:
        internal = self.settings.internal_url or f"http://{self.executor.api_address}"
        host, _, port = self.executor.api_address.rpartition(":")
        return Addresses(
            internal_url=internal.rstrip("/"),
            public_url=self.url,
            proxy_host=host,
            proxy_port=int(port),
            gateway_host=self.settings.gateway_host,
        )

    def actor_urls(self) -> ActorUrls:
        return ActorUrls(self.url, self.settings.gateway_host)

    def own_urls(self) -> OwnUrls:
        """For builds whose sources lie in this server's own key-value stores."""
        internal = self.settings.internal_url or f"http://{self.backends.builds.api_address}"
        return OwnUrls(internal.rstrip("/"), self.url, self._port)

    def _site(self) -> Site:
        """What the proxy has to know of where it is."""
        executor = self.executor
        api_host = executor.api_address.rpartition(":")[0]
        own = {api_host, "127.0.0.1", "localhost", self.settings.host}
        own |= {each.listen_address for each in self.backends.executors}
        return Site(
            port=self._port,
            listen_address=executor.listen_address,
            own_hosts=frozenset(own - {"0.0.0.0", "::"}),
            gateway_address=executor.gateway_address,
            allow_local=self.settings.allow_local_network,
        )

    async def open(self) -> ASGIApp:
        """Start everything. Unfinished runs and builds of an earlier server are taken up."""
        db = SqliteDatabase(self._data_dir.database)
        self._stack.push_async_callback(db.close)
        await self._open_backends()
        api = await self._compose(db)
        await self._ensure_admin()
        await self._recover()
        return api

    async def _recover(self) -> None:
        with self._budget.closed():
            wanted = await self._builds.unfinished_jobs() | await self._runs.unfinished_jobs()
            for launches in self._launches:
                await launches.drop_all_but(wanted)
            await self._builds.recover()
            await self._runs.recover()
        await self.gateway.standby.recover()
        self._keep_going(self._ticker.run(), "ticker")

    async def _open_backends(self) -> None:
        """And listen where their jobs look for the API."""
        await self.backends.open(self.observer)
        bound: str = self._sockets[0].getsockname()[0]
        addresses = {executor.listen_address for executor in self.backends.executors}
        if bound not in ("0.0.0.0", "::"):
            for address in sorted(addresses - {bound, "0.0.0.0"}):
                self._sockets.append(listen(address, self._port))

    async def _compose(self, db: Database) -> ASGIApp:
        settings, signals, vault = self.settings, self.signals, self._data_dir.vault
        caps = settings.caps
        blobs = FileBlobStore(self._data_dir.blobs)
        self._stack.push_async_callback(blobs.close)
        meter = Meter(db)
        self._stack.push_async_callback(meter.flush)
        self.users = UserService(db, vault, find_run_caller=run_rows.caller_of)
        upstreams = Upstreams(settings.proxy_upstreams)
        self.proxy = Proxy(
            Ways(self._site()), upstreams, meter, find_user=self.users.by_proxy_password
        )
        self._stack.push_async_callback(self.proxy.close)
        logs = LogService(
            self._data_dir.logs,
            signals,
            find_job=lambda caller, job_id: _find_job(db, caller, job_id),
        )
        item_charges = ItemCharges(lambda run: changes.end_over_cap(run))
        self._stack.push_async_callback(item_charges.close)
        datasets = DatasetService(db, meter, listener=item_charges)
        stores = KeyValueStoreService(db, blobs, meter)
        queues = RequestQueueService(db, meter)
        for service in (datasets, stores, queues):
            self._stack.push_async_callback(service.close)
        webhooks = WebhookService(
            db,
            signals,
            owns_actor=_owns_actor,
            owns_task=_owns_task,
            owns_run=_owns_run,
            max_webhooks=caps.webhooks,
        )
        versions = VersionMaker(vault)
        self._budget = budget = MemoryBudget(
            settings.memory_limit_mbytes or machine_memory_mbytes()
        )
        launches_of = {executor: Launches(executor) for executor in self.backends.executors}
        self._launches = list(launches_of.values())
        run_launches = launches_of[self.backends.runs]
        self._builds = BuildSupervisor(
            db,
            launches_of[self.backends.builds],
            self.backends.builder,
            budget,
            signals,
            self.observer,
            logs,
            versions,
            Sourcing(vault, self.own_urls, self._data_dir.cache),
            folder=self._data_dir.builds,
            cache_folder=self._data_dir.cache,
        )
        self._runs = RunSupervisor(
            db,
            run_launches,
            RunLauncher(
                db,
                logs,
                versions,
                build_dir=self._builds.build_dir,
                token_for=self.users.run_token,
                addresses=self.addresses,
                item_charges=item_charges,
            ),
            budget,
            signals,
            self.observer,
            logs,
            meter,
            forget_run=[self.users.forget_run, item_charges.forget],
            rungs=lambda: dict(self.executor.rungs()),
        )
        self._stack.push_async_callback(self._builds.close)
        self._stack.push_async_callback(self._runs.close)
        events = RunEvents(signals, self.observer, self.users)
        runs = RunService(
            db,
            self._runs,
            stores,
            budget,
            signals,
            events,
            vault,
            settings,
            actor_urls=self.actor_urls,
        )
        changes = RunChanges(db, runs, self._runs, stores, budget, vault, logs)
        sync = SyncRuns(runs, stores, datasets, wait_secs=settings.sync_wait_secs)
        tasks = TaskService(db, runs, max_tasks=caps.tasks)
        missed = MissedPolicy(settings.missed_schedules)
        self._ticker = Ticker(db, signals, ActionStarter(runs, tasks), missed=missed)
        await self._start_dispatcher(db)
        run_endpoints = RunEndpoints(
            runs,
            sync,
            self.observer,
            addresses=self.addresses,
            actor_id_of=lambda call: _actor_id_of(db, call),
        )
        endpoints = Endpoints(
            actors=ActorEndpoints(
                ActorService(db, versions, find_build=find_tag_entry, max_actors=caps.actors),
                VersionService(db, versions, find=own_actor),
                urls=self.actor_urls,
            ),
            builds=BuildEndpoints(
                BuildService(
                    db,
                    self._builds,
                    signals,
                    settings,
                    memory_limit_mbytes=budget.limit_mbytes,
                )
            ),
            runs=run_endpoints,
            changes=RunChangeEndpoints(changes, run_endpoints),
            tasks=TaskEndpoints(tasks, run_endpoints, sync, urls=self.actor_urls),
            schedules=ScheduleEndpoints(ScheduleService(db, signals, max_schedules=caps.schedules)),
            datasets=DatasetEndpoints(datasets),
            stores=KeyValueStoreEndpoints(stores),
            queues=RequestQueueEndpoints(queues),
            webhooks=WebhookEndpoints(webhooks),
            logs=LogEndpoints(logs),
            users=UserEndpoints(self.users, proxy_groups=upstreams.groups(), caps=caps),
            usage=UsageEndpoints(
                UsageService(
                    db,
                    meter,
                    retention_days=settings.retention_days,
                    memory_limit_mbytes=budget.limit_mbytes,
                    caps=caps,
                )
            ),
            store=StoreEndpoints(StoreService(db)),
            tools=ToolEndpoints(vault),
        )
        metrics = Metrics(budget)
        reaper = self._start_reaper(db, stores, logs)
        api = Api(
            [
                *reaper.waking(all_routes(endpoints)),
                *Health(self.executor).routes(),
                *metrics.routes(),
            ],
            authenticate=self.users.authenticate,
            limiter=_limiter(settings),
            allows=Scoping(db).allows,
            websockets=events,
            answered=metrics.count,
        )
        self.gateway = GatewayParts.assembled(
            db,
            run_launches,
            self.observer,
            runs,
            tasks,
            signals,
            budget,
            authenticate=self.users.authenticate,
            domain=settings.gateway_host,
        )
        self._stack.push_async_callback(self.gateway.close)
        return self.gateway.before(api)

    async def _start_dispatcher(self, db: Database) -> None:
        allow_private = self.settings.allow_local_network or self.settings.is_loopback
        dispatcher = Dispatcher(
            db,
            self.signals,
            allow_private=allow_private,
            own_urls=(self.url,),
            token_for=self.users.webhook_token,
        )
        self._keep_going(dispatcher.run(), "webhook dispatcher")

    def _start_reaper(self, db: Database, stores: KeyValueStoreService, logs: LogService) -> Reaper:
        rounds = Rounds(
            db,
            stores,
            logs,
            Policy(self.settings.retention_days),
            logs_folder=self._data_dir.logs,
            builds_folder=self._data_dir.builds,
            remove_build_files=self._builds.remove_files_of,
        )
        reaper = Reaper(rounds, self.signals)
        self._keep_going(reaper.run(), "reaper")
        return reaper

    def _keep_going(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a loop in the background until the server closes."""
        loop = asyncio.create_task(work, name=name)

        async def stop() -> None:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)

        self._stack.push_async_callback(stop)

    async def _ensure_admin(self) -> None:
        """On the first start, the user `admin` and a token of theirs in a file only its owner reads."""
        if self._data_dir.token_file.exists():
            return
        try:
            await self.users.create(ADMIN)
        except UsernameTaken:
            log.info("token.renewed", reason="the token file was gone")
        token = await self.users.create_token(ADMIN, name="first start")
        await asyncio.to_thread(write_secret, self._data_dir.token_file, token.encode() + b"\n")

    async def abort_runs(self) -> None:
        """End all runs as ABORTED, which answers the requests that wait for them."""
        await self._runs.abort_all("The run was aborted because the server was stopped")

    async def close(self, *, stop_jobs: bool) -> None:
        """Stop, once no request is under way any more: what they start would not be driven.

        With `stop_jobs`, runs and builds end as ABORTED; else they go on and are found again later.
        """
        try:
            if stop_jobs:
                await self.abort_runs()
        finally:
            try:
                await self._stack.aclose()
            finally:
                await self.backends.close(stop_jobs=stop_jobs)


@asynccontextmanager
async def opened(
    settings: Settings, data_dir: DataDir, listener: socket.socket
) -> AsyncGenerator[tuple[Callboard, ASGIApp]]:
    """A server for the time of the block; its runs are stopped with it."""
    callboard = Callboard(settings, data_dir, listener)
    api = await callboard.open()
    try:
        yield callboard, api
    finally:
        await callboard.close(stop_jobs=True)


def _limiter(settings: Settings) -> RateLimiter:
    per_second = {
        Rate.USUAL: settings.rate_per_second,
        Rate.RECORDS: settings.record_rate_per_second,
        Rate.BUSY: settings.busy_rate_per_second,
    }
    rates = Rates(per_second, settings.rate_per_minute)
    return RateLimiter(rates, is_enforced=settings.enforces_rates)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError when the address is in use or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


async def _find_job(db: Database, caller: Caller | None, job_id: str) -> bool | None:
    """Whether a run or build has ended, None when there is none. Raises what reading the run would raise."""

    def unit(tx: Connection) -> bool | None:
        run = run_rows.by_id(tx, job_id)
        if run is not None:
            require_readable(caller, run)
            return run.status.is_terminal
        build = build_rows.by_id(tx, job_id)
        return None if build is None else build.status.is_terminal

    return await db.read(unit)


async def _actor_id_of(db: Database, call: Call) -> str:
    return (await db.read(lambda tx: find_actor(tx, call.user, actor_ref(call)))).id


def _owns_actor(tx: Connection, user_id: str, actor_id: str) -> bool:
    actor = actor_rows.by_id(tx, actor_id)
    return actor is not None and (actor.user_id == user_id or actor.is_public)


def _owns_task(tx: Connection, user_id: str, task_id: str) -> bool:
    task = task_rows.by_id(tx, task_id)
    return task is not None and task.user_id == user_id


def _owns_run(tx: Connection, user_id: str, run_id: str) -> bool:
    run = run_rows.by_id(tx, run_id)
    return run is not None and run.user_id == user_id
