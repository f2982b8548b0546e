"""Servers whose runs have networks of user-mode stacks: another user's, and root's own without nftables."""

import os
from collections.abc import AsyncGenerator, Iterator

import pytest

from tests.actors import ActorMaker
from tests.another_user import PYTHON, USER, as_another_user, open_folder, server_environment
from tests.api.test_gateway import WEB_SERVER, until_listening
from tests.server import Client, Server

pytestmark = pytest.mark.xdist_group("usermode")


@pytest.fixture(scope="module")
def unprivileged() -> Iterator[Server]:
    """One server for the module. Files and processes are all of a user who owns nothing else."""
    with open_folder() as folder:
        environment = server_environment(folder)
        data_dir = folder / "data"
        data_dir.mkdir(mode=0o700)
        os.chown(data_dir, USER, USER)
        command = as_another_user(folder, PYTHON)
        server = Server(data_dir, command=command, environment=environment).start()
        yield server
        server.stop()


@pytest.fixture
async def api(unprivileged: Server) -> AsyncGenerator[Client]:
    async with Client(unprivileged.url, unprivileged.token, "admin") as client:
        network = (await client.get("/health")).json["sandbox"]["network"]
        if network not in ("pasta", "slirp4netns"):
            pytest.skip(f"runs of another user have the network {network!r} on this machine")
        yield client


async def test_a_container_url_leads_into_the_network_of_a_run(api: Client, actors: ActorMaker):
    actor = await actors.python(WEB_SERVER)
    run = (await api.post(f"/v2/actors/{actor['id']}/runs", params={"memory": 256})).data
    await until_listening(api, run)
    reply = await api.get(f"{run['containerUrl']}/some/path", token=None)
    assert (reply.status, reply.json["run"]) == (200, run["id"])
    assert reply.json["path"] == "/some/path"
    await api.post(f"/v2/actor-runs/{run['id']}/abort")


async def test_an_actor_in_standby_answers_from_such_a_network(api: Client, actors: ActorMaker):
    standby = {"isEnabled": True, "memoryMbytes": 256}
    actor = await actors.python(WEB_SERVER, actorStandby=standby)
    replies = [await api.get(f"{actor['standbyUrl']}/search?q={n}") for n in range(2)]
    assert [reply.json["path"] for reply in replies] == ["/search?q=0", "/search?q=1"]
    (run,) = (await api.get(f"/v2/actors/{actor['id']}/runs")).data["items"]
    assert {reply.json["run"] for reply in replies} == {run["id"]}
    await api.post(f"/v2/actor-runs/{run['id']}/abort")


@pytest.fixture(scope="module")
def without_nftables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("without-nftables") / "data"
    server = Server(folder, environment={"PATH": "/usr/bin:/bin"}).start()
    yield server
    server.stop()


async def test_an_actor_is_built_and_run_in_such_networks_also_by_root(without_nftables: Server):
    dockerfile = "FROM debian\nRUN echo built > /srv/step\nCMD cat /srv/step\n"
    async with Client(without_nftables.url, without_nftables.token, "admin") as api:
        network = (await api.get("/health")).json["sandbox"]["network"]
        if network not in ("pasta", "slirp4netns"):
            pytest.skip(f"runs have the network {network!r} without nftables on this machine")
        actor = await ActorMaker(api).built({"Dockerfile": dockerfile})
        run = (
            await api.post(
                f"/v2/acts/{actor['id']}/runs", params={"memory": 128, "waitForFinish": 30}
            )
        ).data
        assert run["status"] == "SUCCEEDED"
        assert await api.logged(run["id"]) == ["built"]
