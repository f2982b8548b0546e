"""A server that is killed at each step of a run's life: the next one carries the run to its end, once and whole."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.mortality import MortalServer, at_each, cut_off, until_idle
from tests.receivers import Receiver, listening
from tests.server import Client

CHANGES = "callboard.runs.changes"
CLIENT = "callboard.executors.launcher.client"
DISPATCHER = "callboard.webhooks.dispatcher"
LAUNCHES = "callboard.jobs.launches:Launches"
OBSERVER = "callboard.jobs.observer"
PROCESS = "callboard.executors.process:ProcessExecutor"
SENDER = "callboard.webhooks.sender"
SERVICE = "callboard.runs.service"
SUPERVISOR = "callboard.runs.supervisor"

END = {
    "its end is known": f"{PROCESS}._note_end before",
    "its end is half written": f"{SUPERVISOR}:end_run after",
    "its end is recorded": f"{SUPERVISOR}:record after",
    "all who wait are told": f"{LAUNCHES}.forget before",
    "its job is forgotten": f"{LAUNCHES}.forget after",
}
START = {
    "it is recorded": f"{SERVICE}:RunService._create after",
    "it is taken up": f"{SUPERVISOR}:_begin after",
    "it is RUNNING": "callboard.runs.launch:RunLauncher.prepare before",
    "its launch is prepared": f"{LAUNCHES}.run before",
    "the launcher has answered": f"{CLIENT}:Link._take before",
    "the launcher has its job": f"{PROCESS}.start after",
    "it prints": f"{OBSERVER}:JobObserver.log_grew before",
    "a webhook is due": f"{DISPATCHER}:Dispatcher._attempt before",
    "a webhook has been called": f"{SENDER}:Sender.send after",
    **END,
}
STOP = {
    "its program is about to be stopped": f"{LAUNCHES}.stop before",
    "its program is being stopped": f"{LAUNCHES}.stop after",
}
KNOWN_END = {name: END[name] for name in ("its end is known", "its end is recorded")}
ABORT = {"it is ABORTING": f"{SERVICE}:RunService._stop before", **STOP, **KNOWN_END}
METAMORPH = {
    "it is asked for": f"{CHANGES}:RunChanges._replace_program before",
    "the end of the old program is known": f"{PROCESS}._note_end before",
    "the new start is noted": f"{SUPERVISOR}:record after",
    "the new launch is prepared": f"{LAUNCHES}.run before",
}
REBOOT = {
    **METAMORPH,
    **STOP,
    "the old job is forgotten": f"{LAUNCHES}.forget after",
    "the new job is with the launcher": f"{PROCESS}.start after",
}
RESTART = {
    "the end is known": f"{PROCESS}._note_end before",
    "the new start is half noted": f"{SUPERVISOR}:_restarted after",
    "the new start is noted": f"{SUPERVISOR}:record after",
    "the old job is forgotten": f"{LAUNCHES}.forget after",
}
RESURRECTION = {
    "it is recorded": "callboard.logs.service:LogService.append before",
    "its launch is prepared": f"{LAUNCHES}.run before",
    "the launcher has its job": f"{PROCESS}.start after",
    "its end is recorded": f"{SUPERVISOR}:record after",
}
RECOVERY = {
    "jobs of nobody are dropped": f"{LAUNCHES}.drop_all_but after",
    "runs are taken up": f"{SUPERVISOR}:RunSupervisor.recover after",
    "its job is found": f"{PROCESS}.start after",
}
STORAGES_MADE = f"{SERVICE}:create_storages after"
IN_GRACE = f"{SUPERVISOR}:RunSupervisor.stop_later after"
READY_ABORTED = f"{SUPERVISOR}:RunSupervisor.cancel_waiting before"
RESURRECTED = f"{CHANGES}:resurrected after"
REMOVED = f"{SERVICE}:remove_run after"
DELETED = f"{SERVICE}:RunService.delete after"
STEPS = sorted(
    {STORAGES_MADE, IN_GRACE, READY_ABORTED, RESURRECTED, REMOVED, DELETED}
    | {*START.values(), *ABORT.values(), *REBOOT.values(), *RESTART.values()}
    | {*RESURRECTION.values(), *RECOVERY.values()}
)

WORKS = "echo begun; sleep 0.1; echo done"
SLEEPS = "echo begun; sleep 600"
FAILS = "echo begun; exit 3"
SMALL = {"memory": 128}


@dataclass
class Stage:
    """A server that can be told where to die, Actors, and a receiver of all that is told of their runs."""

    server: MortalServer
    api: Client
    receiver: Receiver
    works: str
    sleeps: str
    fails: str

    async def total(self) -> int:
        return (await self.api.get("/v2/actor-runs")).data["total"]

    async def newest(self) -> dict[str, Any]:
        return (await self.api.get("/v2/actor-runs", params={"desc": 1, "limit": 1})).data["items"][
            0
        ]

    async def started(self, actor: str, **params: Any) -> str:
        """Id of a run that has begun to print."""
        reply = await self.api.post(f"/v2/acts/{actor}/runs", params={**SMALL, **params})
        run_id: str = reply.data["id"]
        await self.api.until_logged(run_id, "begun")
        return run_id

    async def ended(self, run_id: str) -> dict[str, Any]:
        reply = await self.api.get(f"/v2/actor-runs/{run_id}", params={"waitForFinish": 20})
        return reply.data

    async def abort(self, run_id: str) -> None:
        await self.api.post(f"/v2/actor-runs/{run_id}/abort")
        assert (await self.ended(run_id))["status"] == "ABORTED"

    async def until_told(self, run_id: str, *events: str) -> None:
        """Every one of the events of the run has been sent, at least once."""
        wanted = {f"ACTOR.RUN.{event}" for event in events}
        async with asyncio.timeout(20):
            while not wanted <= self._told(run_id):
                await self.receiver.until(len(self.receiver.received) + 1)

    def _told(self, run_id: str) -> set[str]:
        bodies = [json.loads(each.body) for each in self.receiver.received]
        return {body["eventType"] for body in bodies if body["resource"]["id"] == run_id}

    async def until_idle(self) -> None:
        await until_idle(self.server, self.api)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MortalServer]:
    folder = tmp_path_factory.mktemp("mortal") / "data"
    with closing(
        MortalServer(folder, STEPS, memory_limit_mbytes="256", rate_per_second="1000")
    ) as one:
        yield one.start()


@pytest.fixture(scope="module")
async def stage(server: MortalServer) -> AsyncIterator[Stage]:
    async with Client(server.url, server.token, "admin") as api, listening() as receiver:
        maker = ActorMaker(api)
        actors = [(await maker.shell(script))["id"] for script in (WORKS, SLEEPS, FAILS)]
        for actor in actors:
            events = ["CREATED", "SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT", "RESURRECTED"]
            webhook = {
                "eventTypes": [f"ACTOR.RUN.{event}" for event in events],
                "condition": {"actorId": actor},
                "requestUrl": receiver.url,
            }
            assert (await api.post("/v2/webhooks", json=webhook)).status == 201
        yield Stage(server, api, receiver, *actors)


async def test_a_start_that_was_not_committed_leaves_nothing(stage: Stage):
    before = await stage.total()
    async with stage.server.dying_at(STORAGES_MADE):
        path = f"/v2/acts/{stage.works}/runs"
        assert await cut_off(stage.api.post(path, params=SMALL, json={"n": 1})) is None
    assert await stage.total() == before
    await stage.until_idle()


@at_each(START)
async def test_a_run_ends_once_and_whole_after_a_death_when(stage: Stage, step: str):
    before = await stage.total()
    async with stage.server.dying_at(step):
        path = f"/v2/acts/{stage.works}/runs"
        reply = await cut_off(stage.api.post(path, params=SMALL, json={"n": 1}))
    assert await stage.total() == before + 1
    run = await stage.ended((await stage.newest())["id"])
    assert reply is None or reply.data["id"] == run["id"]
    assert (run["status"], run["exitCode"]) == ("SUCCEEDED", 0)
    assert await stage.api.printed(run["id"]) == ["begun", "done"]
    store = f"/v2/key-value-stores/{run['defaultKeyValueStoreId']}/records/INPUT"
    assert (await stage.api.get(store)).json == {"n": 1}
    assert (await stage.api.get(f"/v2/datasets/{run['defaultDatasetId']}")).status == 200
    assert (await stage.api.get(f"/v2/request-queues/{run['defaultRequestQueueId']}")).status == 200
    await stage.until_told(run["id"], "CREATED", "SUCCEEDED")
    await stage.until_idle()


@at_each(KNOWN_END)
async def test_a_request_that_waited_is_answered_when_made_again_after_a_death_when(
    stage: Stage, step: str
):
    async with stage.server.dying_at(step):
        path = f"/v2/acts/{stage.works}/run-sync"
        await cut_off(stage.api.post(path, params=SMALL))
    run_id = (await stage.newest())["id"]
    assert (await stage.ended(run_id))["status"] == "SUCCEEDED"


@at_each(ABORT)
async def test_an_aborted_run_ends_as_aborted_after_a_death_when(stage: Stage, step: str):
    run_id = await stage.started(stage.sleeps)
    async with stage.server.dying_at(step):
        await cut_off(stage.api.post(f"/v2/actor-runs/{run_id}/abort"))
    assert (await stage.ended(run_id))["status"] == "ABORTED"
    assert await stage.api.printed(run_id) == ["begun"]
    await stage.until_told(run_id, "ABORTED")
    await stage.until_idle()


async def test_a_run_in_its_grace_ends_as_aborted(stage: Stage):
    run_id = await stage.started(stage.sleeps)
    async with stage.server.dying_at(IN_GRACE):
        path = f"/v2/actor-runs/{run_id}/abort"
        await cut_off(stage.api.post(path, params={"gracefully": True}))
    assert (await stage.ended(run_id))["status"] == "ABORTED"
    await stage.until_idle()


async def test_a_waiting_run_that_was_aborted_is_never_started(stage: Stage):
    holds = await stage.started(stage.sleeps, memory=256)
    waits = (await stage.api.post(f"/v2/acts/{stage.works}/runs", params=SMALL)).data["id"]
    async with stage.server.dying_at(READY_ABORTED):
        await cut_off(stage.api.post(f"/v2/actor-runs/{waits}/abort"))
    assert (await stage.ended(waits))["status"] == "ABORTED"
    await stage.abort(holds)
    await stage.until_idle()
    assert (await stage.api.get(f"/v2/logs/{waits}")).body == b""


@at_each(KNOWN_END)
async def test_a_timed_out_run_ends_as_timed_out_after_a_death_when(stage: Stage, step: str):
    run_id = await stage.started(stage.sleeps, timeout=2)
    async with stage.server.dying_at(step):
        pass
    assert (await stage.ended(run_id))["status"] == "TIMED-OUT"
    await stage.until_told(run_id, "TIMED_OUT")
    await stage.until_idle()


@at_each(REBOOT)
async def test_a_reboot_starts_one_more_program_after_a_death_when(stage: Stage, step: str):
    run_id = await stage.started(stage.sleeps)
    async with stage.server.dying_at(step):
        await cut_off(stage.api.post(f"/v2/actor-runs/{run_id}/reboot"))
    await stage.api.until_logged(run_id, "begun", times=2)
    run = (await stage.api.get(f"/v2/actor-runs/{run_id}")).data
    assert (run["status"], run["stats"]["rebootCount"]) == ("RUNNING", 1)
    await stage.abort(run_id)
    assert await stage.api.printed(run_id) == ["begun"] * 2
    await stage.until_idle()


@at_each(METAMORPH)
async def test_a_metamorph_goes_on_as_the_other_actor_after_a_death_when(stage: Stage, step: str):
    run_id = await stage.started(stage.sleeps)
    async with stage.server.dying_at(step):
        path = f"/v2/actor-runs/{run_id}/metamorph"
        params = {"targetActorId": stage.works}
        await cut_off(stage.api.post(path, params=params, json={"n": 2}))
    run = await stage.ended(run_id)
    assert run["status"] == "SUCCEEDED"
    assert await stage.api.printed(run_id) == ["begun", "begun", "done"]
    store = f"/v2/key-value-stores/{run['defaultKeyValueStoreId']}"
    assert (await stage.api.get(f"{store}/records/INPUT-METAMORPH-1")).json == {"n": 2}
    await stage.until_idle()


@at_each(RESTART)
async def test_a_failing_run_is_restarted_as_often_as_ever_after_a_death_when(
    stage: Stage, step: str
):
    async with stage.server.dying_at(step):
        path = f"/v2/acts/{stage.fails}/runs"
        await cut_off(stage.api.post(path, params={**SMALL, "restartOnError": True}))
    run = await stage.ended((await stage.newest())["id"])
    assert (run["status"], run["exitCode"], run["stats"]["restartCount"]) == ("FAILED", 3, 3)
    assert await stage.api.printed(run["id"]) == ["begun"] * 4
    await stage.until_told(run["id"], "FAILED")
    await stage.until_idle()


@at_each(RESURRECTION)
async def test_a_resurrected_run_goes_on_after_a_death_when(stage: Stage, step: str):
    run_id = await stage.started(stage.works)
    assert (await stage.ended(run_id))["status"] == "SUCCEEDED"
    await stage.until_idle()
    async with stage.server.dying_at(step):
        await cut_off(stage.api.post(f"/v2/actor-runs/{run_id}/resurrect"))
    run = await stage.ended(run_id)
    assert (run["status"], run["stats"]["resurrectCount"]) == ("SUCCEEDED", 1)
    assert await stage.api.printed(run_id) == ["begun", "done"] * 2
    await stage.until_told(run_id, "RESURRECTED")
    await stage.until_idle()


async def test_a_resurrection_that_was_not_committed_changes_nothing(stage: Stage):
    run_id = await stage.started(stage.works)
    before = await stage.ended(run_id)
    await stage.until_idle()
    async with stage.server.dying_at(RESURRECTED):
        assert await cut_off(stage.api.post(f"/v2/actor-runs/{run_id}/resurrect")) is None
    assert await stage.ended(run_id) == before
    await stage.until_idle()


@pytest.mark.parametrize(("step", "status"), [(REMOVED, 200), (DELETED, 404)])
async def test_a_run_is_deleted_with_its_storages_or_not_at_all(
    stage: Stage, step: str, status: int
):
    run_id = await stage.started(stage.works)
    run = await stage.ended(run_id)
    await stage.until_idle()
    async with stage.server.dying_at(step):
        assert await cut_off(stage.api.delete(f"/v2/actor-runs/{run_id}")) is None
    paths = (f"/v2/actor-runs/{run_id}", f"/v2/datasets/{run['defaultDatasetId']}")
    assert [(await stage.api.get(path)).status for path in paths] == [status] * 2


@at_each(RECOVERY)
async def test_a_run_outlives_also_a_server_that_dies_as_it_starts_when(stage: Stage, step: str):
    run_id = await stage.started(stage.sleeps)
    stage.server.kill()
    async with stage.server.dying_at(step):
        stage.server.begin()
    assert (await stage.api.get(f"/v2/actor-runs/{run_id}")).data["status"] == "RUNNING"
    assert await stage.api.printed(run_id) == ["begun"]
    await stage.abort(run_id)
    await stage.until_idle()
