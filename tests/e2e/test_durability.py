"""What survives the death of the server. Real signals, real process trees."""

import asyncio
import contextlib
import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.actors import ActorMaker
from tests.receivers import Receiver
from tests.server import Client, Server

SMALL = {"memory": 128}

COUNT = """
for i in $(seq 1 40); do echo "line $i"; sleep 0.1; done
"""


def processes_of(server: Server) -> list[psutil.Process]:
    """Every process of the machine that has to do with the server's data folder."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(server.data_dir) in " ".join(process.cmdline()):
                found.append(process)
    return found


async def started(api: Client, actor_id: str, **params: Any) -> dict[str, Any]:
    run = (await api.post(f"/v2/acts/{actor_id}/runs", params={**SMALL, **params})).data
    async with asyncio.timeout(30):
        while run["status"] == "READY":
            await asyncio.sleep(0.05)
            run = (await api.get(f"/v2/actor-runs/{run['id']}")).data
    return run


async def ended(api: Client, run_id: str) -> dict[str, Any]:
    return (await api.get(f"/v2/actor-runs/{run_id}", params={"waitForFinish": 60})).data


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
async def test_runs_go_on_while_the_server_is_gone(new_server, how: signal.Signals):
    server: Server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell(COUNT)
        run = await started(api, actor["id"])
        server.stop(how)
        server.start()
        run = await ended(api, run["id"])
        log = (await api.get(f"/v2/logs/{run['id']}")).body.decode()
    assert (run["status"], run["exitCode"]) == ("SUCCEEDED", 0)
    assert [line.split("Z ")[1] for line in log.splitlines()] == [f"line {n}" for n in range(1, 41)]


async def test_a_run_that_ends_while_the_server_is_gone_is_recorded(new_server):
    server: Server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("sleep 1; exit 7")
        run = await started(api, actor["id"])
        server.kill()
        await asyncio.sleep(1.5)
        at = datetime.now(UTC)
        server.start()
        run = await ended(api, run["id"])
    assert (run["status"], run["exitCode"]) == ("FAILED", 7)
    assert datetime.fromisoformat(run["finishedAt"]) < at


async def test_a_timeout_holds_while_the_server_is_gone(new_server, tmp_path: Path):
    server: Server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("sleep 60")
        run = await started(api, actor["id"], timeout=2)
        server.kill()
        await asyncio.sleep(2.5)
        server.start()
        run = await ended(api, run["id"])
    assert run["status"] == "TIMED-OUT"


async def test_waiting_runs_start_after_a_restart_in_their_order(new_server):
    server: Server = new_server(memory_limit_mbytes="128")
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("sleep 1.2")
        runs = [
            (await api.post(f"/v2/acts/{actor['id']}/runs", params=SMALL)).data for _ in range(3)
        ]
        server.kill()
        server.start()
        finished = [await ended(api, run["id"]) for run in runs]
    assert [run["status"] for run in finished] == ["SUCCEEDED"] * 3
    ends = [run["finishedAt"] for run in finished]
    assert ends == sorted(ends)


async def test_a_held_request_is_cut_by_a_restart_but_its_run_is_not(new_server):
    server: Server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("sleep 2")
        held = asyncio.ensure_future(api.post(f"/v2/acts/{actor['id']}/run-sync", params=SMALL))
        async with asyncio.timeout(30):
            while (
                await api.get(f"/v2/acts/{actor['id']}/runs/last", params={"status": "RUNNING"})
            ).status != 200:
                await asyncio.sleep(0.05)
        server.kill()
        with pytest.raises(aiohttp.ClientError):
            await held
        server.start()
        last = (await api.get(f"/v2/acts/{actor['id']}/runs/last")).data
        assert (await ended(api, last["id"]))["status"] == "SUCCEEDED"


async def test_a_build_goes_on_while_the_server_is_gone(new_server):
    server: Server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        maker = ActorMaker(api)
        actor = await maker.create(
            {
                "Dockerfile": "FROM debian\nCOPY . ./\nRUN sleep 2 && echo made > made\nCMD cat made\n"
            }
        )
        build = (await api.post(f"/v2/acts/{actor['id']}/builds", params={"version": "0.0"})).data
        await asyncio.sleep(0.7)
        server.kill()
        server.start()
        build = (
            await api.get(f"/v2/actor-builds/{build['id']}", params={"waitForFinish": 60})
        ).data
        assert build["status"] == "SUCCEEDED"
        assert (await api.post(f"/v2/acts/{actor['id']}/run-sync", params=SMALL)).status == 201


async def test_a_webhook_due_when_the_server_dies_is_sent_later(new_server, receiver: Receiver):
    server: Server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("sleep 1")
        await api.post(
            "/v2/webhooks",
            json={
                "eventTypes": ["ACTOR.RUN.SUCCEEDED"],
                "condition": {"actorId": actor["id"]},
                "requestUrl": receiver.url,
            },
        )
        run = await started(api, actor["id"])
        server.kill()
        await asyncio.sleep(1.2)
        assert receiver.received == []
        server.start()
        received = await receiver.until(1)
    assert json.loads(received[0].body)["resource"]["id"] == run["id"]


async def test_ctrl_c_aborts_what_runs_and_leaves_no_process_behind(new_server):
    server: Server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("(setsid sleep 300 &) ; sleep 300")
        run = await started(api, actor["id"])
        assert processes_of(server)
        assert server.stop(signal.SIGINT) == 0
        assert processes_of(server) == []
        server.start()
        run = (await api.get(f"/v2/actor-runs/{run['id']}")).data
    assert run["status"] == "ABORTED"


async def test_what_was_acknowledged_is_there_after_a_kill(new_server):
    server: Server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        dataset = (await api.post("/v2/datasets")).data["id"]
        acknowledged = 0

        async def push() -> None:
            nonlocal acknowledged
            with contextlib.suppress(aiohttp.ClientError):
                while True:
                    reply = await api.post(f"/v2/datasets/{dataset}/items", json={"n": 1})
                    acknowledged += reply.status == 201

        pushing = asyncio.gather(*(push() for _ in range(8)))
        await asyncio.sleep(0.5)
        server.kill()
        await pushing
        server.start()
        info = (await api.get(f"/v2/datasets/{dataset}")).data
        items = (await api.get(f"/v2/datasets/{dataset}/items")).json
    assert acknowledged > 0
    assert acknowledged <= info["itemCount"] == len(items) <= acknowledged + 8


async def test_without_its_launcher_a_run_is_lost_and_said_so(new_server):
    server: Server = new_server()
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("sleep 300")
        run = await started(api, actor["id"])
        for process in processes_of(server):
            if "callboard.executors.launcher" in " ".join(process.cmdline()):
                process.kill()
        run = await ended(api, run["id"])
        again = await api.post(f"/v2/acts/{actor['id']}/run-sync", params={**SMALL, "timeout": 1})
    assert run["status"] == "FAILED"
    assert "lost" in run["statusMessage"]
    assert again.error["type"] == "run-failed"
