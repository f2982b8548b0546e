"""What a server finds that died between two steps: nothing runs without an owner, nothing is kept for nobody."""

import asyncio
import os
import sqlite3
from contextlib import closing

from tests.actors import ActorMaker
from tests.server import Client, Server

SLEEPS = """
set_value("PID", os.getpid())
time.sleep(600)
"""


def change(server: Server, statement: str, *values: object) -> None:
    """Bring the database to a state as a crash could have left it."""
    with closing(sqlite3.connect(server.data_dir / "callboard.db")) as db, db:
        db.execute(statement, values)


def jobs(server: Server) -> set[str]:
    return set(os.listdir(server.data_dir / "launcher" / "jobs"))


async def running(api: Client, actor_id: str) -> str:
    """Id of a run whose program is at work."""
    run = (await api.post(f"/v2/acts/{actor_id}/runs", params={"memory": 128})).data
    store = f"/v2/key-value-stores/{run['defaultKeyValueStoreId']}/records/PID"
    async with asyncio.timeout(30):
        while (await api.get(store)).status != 200:
            await asyncio.sleep(0.05)
    return run["id"]


async def test_jobs_of_runs_that_are_over_or_gone_are_ended_and_forgotten(new_server):
    server: Server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        actor = (await ActorMaker(api).python(SLEEPS))["id"]
        over, gone, kept = [await running(api, actor) for _ in range(3)]
        server.kill()
        change(
            server,
            "UPDATE runs SET status = 'ABORTED', finished_at = started_at WHERE id = ?",
            over,
        )
        change(server, "DELETE FROM runs WHERE id = ?", gone)
        assert {f"{over}-1", f"{gone}-1", f"{kept}-1"} <= jobs(server)
        server.start()
        assert jobs(server) == {f"{kept}-1"}
        assert (await api.get(f"/v2/actor-runs/{kept}")).data["status"] == "RUNNING"
        await api.post(f"/v2/actor-runs/{kept}/abort")


async def test_a_run_being_aborted_when_the_server_died_ends_as_aborted(new_server):
    server: Server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        run_id = await running(api, (await ActorMaker(api).python(SLEEPS))["id"])
        await api.post(f"/v2/actor-runs/{run_id}/abort", params={"gracefully": True})
        server.kill()
        server.start()
        ended = await api.get(f"/v2/actor-runs/{run_id}", params={"waitForFinish": 20})
        assert ended.data["status"] == "ABORTED"
        async with asyncio.timeout(10):
            while jobs(server):
                await asyncio.sleep(0.05)
