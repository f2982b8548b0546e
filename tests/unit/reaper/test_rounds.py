"""What the reaper takes away and what it lets be, on a real database and real files."""

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from callboard.actors import repository as actor_rows
from callboard.actors.model import Actor
from callboard.blobs.files import FileBlobStore
from callboard.builds import repository as build_rows
from callboard.builds.model import Build
from callboard.core.caller import Caller
from callboard.core.ids import new_id
from callboard.core.jobs import JobStatus
from callboard.core.signals import Signals
from callboard.db.sqlite import SqliteDatabase
from callboard.db.tables import dataset_items, records, requests, storages, users
from callboard.key_value_stores.service import KeyValueStoreService
from callboard.logs.service import LogService
from callboard.reaper.loop import DELETIONS, Pace, Reaper
from callboard.reaper.policy import Policy
from callboard.reaper.rounds import Rounds
from callboard.runs import repository as run_rows
from callboard.runs.model import Attempts, Run
from callboard.runs.schemas import initial_stats
from callboard.storages import repository as storage_rows
from callboard.storages.model import StorageKind
from callboard.usage.meter import Meter

NOW = datetime.now(UTC)


async def no_job(caller: Caller | None, job_id: str) -> bool | None:
    return None


@dataclass
class World:
    """A database with an account in it, and the folders of logs and builds."""

    db: SqliteDatabase
    stores: KeyValueStoreService
    rounds: Rounds
    folder: Path
    user_id: str
    removed_builds: list[str]

    async def storage(self, kind: StorageKind, *, age_days: float = 0, **values: Any) -> str:
        at = NOW - timedelta(days=age_days)
        return await self.db.write(
            lambda tx: storage_rows.create(tx, kind, self.user_id, at=at, **values)
        )

    async def is_there(self, storage_id: str) -> bool:
        condition = (storages.c.id == storage_id) & storages.c.deleted_at.is_(None)
        return bool(await self.count(storages, condition))

    async def count(self, table: Any, *conditions: Any) -> int:
        query = select(func.count()).select_from(table).where(*conditions)
        return await self.db.read(lambda tx: tx.execute(query).scalar_one())

    async def delete(self, storage_id: str) -> None:
        marked = update(storages).where(storages.c.id == storage_id).values(deleted_at=NOW)
        await self.db.write(lambda tx: tx.execute(marked))

    async def run(self, *, actor_id: str = "actor", age_days: float, **values: Any) -> Run:
        run = await self.db.write(lambda tx: self._insert_run(tx, actor_id, age_days, values))
        self.log(run.id).write_text("a line\n")
        return run

    def _insert_run(self, tx: Any, actor_id: str, age_days: float, values: Any) -> Run:
        at = NOW - timedelta(days=age_days)
        run_id = new_id()
        ids = [
            storage_rows.create(tx, kind, self.user_id, at=at, run_id=run_id)
            for kind in StorageKind
        ]
        run = a_run(run_id, self.user_id, actor_id, at, ids)
        run = replace(run, **values)
        run_rows.insert_run(tx, run)
        return run

    async def runs_left(self) -> set[str]:
        wanted = run_rows.RunFilter(self.user_id)
        page = await self.db.read(
            lambda tx: run_rows.page(tx, wanted, run_rows.PageRequest(0, 1000, desc=False))
        )
        return {run.id for run in page.items}

    def log(self, log_id: str) -> Path:
        return self.folder / "logs" / f"{log_id}.log"


def a_run(run_id: str, user_id: str, actor_id: str, at: datetime, ids: list[str]) -> Run:
    return Run(
        id=run_id,
        actor_id=actor_id,
        user_id=user_id,
        task_id=None,
        build_id="build",
        build_number="0.0.1",
        status=JobStatus.SUCCEEDED,
        status_message=None,
        is_status_message_terminal=False,
        started_at=at,
        finished_at=at,
        exit_code=0,
        origin="API",
        meta={"origin": "API"},
        options={"timeoutSecs": 0, "memoryMbytes": 128},
        memory_mbytes=128,
        stats=initial_stats(0),
        usage=None,
        default_dataset_id=ids[0],
        default_key_value_store_id=ids[1],
        default_request_queue_id=ids[2],
        storage_ids={
            "datasets": {"default": ids[0]},
            "keyValueStores": {"default": ids[1]},
            "requestQueues": {"default": ids[2]},
        },
        input_key="INPUT",
        general_access="RESTRICTED",
        permission_level="FULL_PERMISSIONS",
        charged_event_counts=None,
        pricing_info=None,
        metamorphs=None,
        output=None,
        attempts=Attempts(),
        sandbox=None,
    )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    db = SqliteDatabase(tmp_path / "test.db")
    blobs = FileBlobStore(tmp_path / "blobs")
    meter = Meter(db)
    stores = KeyValueStoreService(db, blobs, meter)
    (tmp_path / "builds").mkdir()
    removed: list[str] = []

    async def remove_build_files(build_id: str) -> None:
        removed.append(build_id)

    rounds = Rounds(
        db,
        stores,
        LogService(tmp_path / "logs", Signals(), find_job=no_job),
        Policy(retention_days=7),
        logs_folder=tmp_path / "logs",
        builds_folder=tmp_path / "builds",
        remove_build_files=remove_build_files,
    )
    user_id = new_id()
    await db.write(lambda tx: tx.execute(insert(users).values(**a_user(user_id))))
    yield World(db, stores, rounds, tmp_path, user_id, removed)
    await stores.close()
    await meter.flush()
    await blobs.close()
    await db.close()


def a_user(user_id: str, **settings: Any) -> dict[str, Any]:
    return {
        "id": user_id,
        "username": f"u-{user_id}",
        "created_at": NOW,
        "proxy_password": "",
        "settings": settings,
    }


async def test_unnamed_storages_go_when_unused_for_the_retention(world: World):
    for kind in StorageKind:
        old = await world.storage(kind, age_days=8)
        young = await world.storage(kind, age_days=6)
        named = await world.storage(kind, age_days=800, name="kept")
        await world.rounds.sweep()
        there = [await world.is_there(one) for one in (old, young, named)]
        assert there == [False, True, True], kind


async def test_an_account_may_keep_things_longer(world: World):
    storage = await world.storage(StorageKind.DATASET, age_days=8)
    keep = update(users).values(settings={"dataRetentionDays": 30})
    await world.db.write(lambda tx: tx.execute(keep))
    await world.rounds.sweep()
    assert await world.is_there(storage)


async def test_the_storages_of_a_run_stay_with_it(world: World):
    run = await world.run(age_days=80)
    await world.rounds.sweep()
    assert await world.is_there(run.default_dataset_id)


async def test_all_but_the_ten_newest_runs_of_each_actor_go(world: World):
    runs = [await world.run(age_days=20 - number / 10) for number in range(12)]
    other = await world.run(actor_id="another", age_days=100)
    young = [await world.run(actor_id="busy", age_days=1) for _ in range(12)]
    await world.rounds.sweep()
    kept = {run.id for run in [*runs[2:], other, *young]}
    assert await world.runs_left() == kept
    assert not world.log(runs[0].id).exists() and world.log(runs[2].id).exists()
    assert await world.count(storages, storages.c.run_id == runs[0].id) == 0


async def test_a_run_that_has_not_ended_is_never_taken(world: World):
    running = await world.run(age_days=99, status=JobStatus.RUNNING, finished_at=None)
    for _ in range(11):
        await world.run(age_days=1)
    await world.rounds.sweep()
    assert running.id in await world.runs_left()


async def test_named_storages_outlive_their_run(world: World):
    run = await world.run(age_days=99)
    name = update(storages).where(storages.c.id == run.default_dataset_id).values(name="kept")
    await world.db.write(lambda tx: tx.execute(name))
    for _ in range(10):
        await world.run(age_days=1)
    await world.rounds.sweep()
    assert run.id not in await world.runs_left()
    assert await world.is_there(run.default_dataset_id)
    assert not await world.is_there(run.default_key_value_store_id)


async def test_what_deleted_storages_held_is_reclaimed(world: World):
    dataset, store, queue = [await world.storage(kind) for kind in StorageKind]
    await fill(world, dataset, store, queue)
    await world.rounds.reclaim()
    assert await world.count(dataset_items) == 600
    for one in (dataset, store, queue):
        await world.delete(one)
    await world.rounds.reclaim()
    for table in (dataset_items, records, requests, storages):
        assert await world.count(table) == 0, table.name


async def fill(world: World, dataset: str, store: str, queue: str) -> None:
    """600 rows each: more than one batch."""

    def unit(tx: Any) -> None:
        pk = {
            one: tx.execute(select(storages.c.pk).where(storages.c.id == one)).scalar_one()
            for one in (dataset, store, queue)
        }
        for number in range(600):
            tx.execute(
                insert(dataset_items).values(dataset_pk=pk[dataset], position=number, body=b"{}")
            )
            tx.execute(
                insert(records).values(
                    store_pk=pk[store],
                    key=f"k{number}",
                    size=1,
                    content_type="text/plain",
                    modified_at=NOW,
                    value=b"1",
                )
            )
            tx.execute(
                insert(requests).values(
                    queue_pk=pk[queue],
                    id=f"r{number}",
                    position=number,
                    unique_key=f"u{number}",
                    url="http://example.com",
                    method="GET",
                    retry_count=0,
                    body=b"{}",
                )
            )

    await world.db.write(unit)


async def test_unused_builds_go_unless_a_tag_points_to_them(world: World):
    actor = an_actor(world.user_id)
    builds = [a_build(actor, number, age_days=100) for number in range(3)]
    tagged = replace(actor, tagged_builds={"latest": {"buildId": builds[0].id}})

    def unit(tx: Any) -> None:
        actor_rows.insert_actor(tx, tagged)
        for build in builds:
            build_rows.insert_build(tx, build)

    await world.db.write(unit)
    await world.run(age_days=1, actor_id=actor.id, build_id=builds[1].id)
    await world.rounds.sweep()
    assert world.removed_builds == [builds[2].id]


async def test_builds_of_a_deleted_actor_go_with_the_retention(world: World):
    actor = an_actor(world.user_id)
    old, young = a_build(actor, 1, age_days=8), a_build(actor, 2, age_days=6)

    def unit(tx: Any) -> None:
        build_rows.insert_build(tx, old)
        build_rows.insert_build(tx, young)

    await world.db.write(unit)
    await world.rounds.sweep()
    assert world.removed_builds == [old.id]


def an_actor(user_id: str) -> Actor:
    return Actor(
        id=new_id(),
        user_id=user_id,
        username="",
        name="an-actor",
        created_at=NOW,
        modified_at=NOW,
        is_public=False,
        fields={},
        tagged_builds={},
        keys={},
        stats={},
        last_run_started_at=None,
        total_runs=0,
    )


def a_build(actor: Actor, number: int, *, age_days: float) -> Build:
    at = NOW - timedelta(days=age_days)
    return Build(
        id=new_id(),
        actor_id=actor.id,
        user_id=actor.user_id,
        status=JobStatus.SUCCEEDED,
        started_at=at,
        finished_at=at,
        build_number=f"0.0.{number}",
        build_number_int=number,
        tag=None,
        status_message=None,
        exit_code=0,
        meta={},
        options={},
        stats={},
        usage=None,
        version={},
        env_vars=(),
        image=None,
        definition=None,
        input_schema=None,
        readme=None,
        changelog=None,
        builder=None,
        timeout_secs=1,
        memory_mbytes=128,
    )


async def test_files_without_a_row_go_when_they_are_old(world: World):
    run = await world.run(age_days=1)
    old, young = new_id(), new_id()
    foreign = world.folder / "logs" / "notes.txt"
    for path in (world.log(old), world.log(young), foreign):
        path.write_text("")
    build = world.folder / "builds" / new_id()
    build.mkdir()
    for path in (world.log(old), world.log(run.id), foreign, build):
        os.utime(path, (0, 0))
    await world.rounds.sweep()
    there = [path.exists() for path in (world.log(old), world.log(young), foreign)]
    assert there == [False, True, True]
    assert world.log(run.id).exists()
    assert world.removed_builds == [build.name]


async def test_the_reaper_wakes_after_a_deletion(world: World):
    signals = Signals()
    reaper = Reaper(world.rounds, signals, Pace(first=3600, soon=0))
    loop = asyncio.create_task(reaper.run())
    await asyncio.sleep(0)
    dataset = await world.storage(StorageKind.DATASET)
    await world.delete(dataset)
    signals.notify(DELETIONS)
    async with asyncio.timeout(20):
        while await world.count(storages):
            await asyncio.sleep(0.01)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
