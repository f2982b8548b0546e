"""Builds over HTTP: numbers, tags, failures, aborts, logs."""

import asyncio
import json

import pytest

from tests.actors import ActorMaker
from tests.server import Client

SLOW = {"Dockerfile": "FROM debian\nCOPY . ./\nRUN echo begun && sleep 60\nCMD true\n"}


async def test_builds_are_numbered_and_move_their_tag(api: Client, actors: ActorMaker):
    actor = await actors.create({"main.py": "print(1)"})
    first = await actors.build(actor["id"])
    second = await actors.build(actor["id"], tag="beta")
    tags = (await api.get(f"/v2/acts/{actor['id']}")).data["taggedBuilds"]
    assert (first["buildNumber"], second["buildNumber"]) == ("0.0.1", "0.0.2")
    assert tags["latest"]["buildId"] == first["id"]
    assert tags["beta"]["buildNumber"] == "0.0.2"
    default = (await api.get(f"/v2/acts/{actor['id']}/builds/default")).data
    assert default["id"] == first["id"]


async def test_a_failing_build_tells_the_tools_own_words(api: Client, actors: ActorMaker):
    actor = await actors.create(
        {"Dockerfile": "FROM debian\nRUN echo the reason >&2; exit 4\nCMD true\n"}
    )
    build = await actors.build(actor["id"])
    log = (await api.get(f"/v2/actor-builds/{build['id']}/log")).body.decode()
    assert build["status"] == "FAILED"
    assert "the reason" in log
    assert "exit code 4" in log
    started = await api.post(f"/v2/acts/{actor['id']}/runs")
    assert started.error["type"] == "unknown-build-tag"


async def test_a_build_log_streams_while_it_runs(api: Client, actors: ActorMaker):
    actor = await actors.create({"Dockerfile": SLOW["Dockerfile"].replace("sleep 60", "sleep 1")})
    build = (await api.post(f"/v2/acts/{actor['id']}/builds", params={"version": "0.0"})).data
    log = await api.get(f"/v2/logs/{build['id']}", params={"stream": 1})
    ended = (await api.get(f"/v2/actor-builds/{build['id']}")).data
    assert "Built in" in log.body.decode()
    assert ended["status"] == "SUCCEEDED"


async def test_a_build_is_aborted(api: Client, actors: ActorMaker):
    actor = await actors.create(SLOW)
    build = (await api.post(f"/v2/acts/{actor['id']}/builds", params={"version": "0.0"})).data
    async with asyncio.timeout(30):
        while (await api.get(f"/v2/actor-builds/{build['id']}")).data["status"] == "READY":
            await asyncio.sleep(0.05)
    await api.post(f"/v2/actor-builds/{build['id']}/abort")
    ended = (await api.get(f"/v2/actor-builds/{build['id']}", params={"waitForFinish": 20})).data
    assert ended["status"] == "ABORTED"
    again = (await api.post(f"/v2/actor-builds/{build['id']}/abort")).data
    assert (again["status"], again["finishedAt"]) == ("ABORTED", ended["finishedAt"])


async def test_a_build_times_out(new_server):
    server = new_server(build_timeout_secs="1")
    async with Client(server.url, server.token, "admin") as api:
        maker = ActorMaker(api)
        actor = await maker.create(SLOW)
        build = await maker.build(actor["id"])
    assert build["status"] == "TIMED-OUT"


async def test_a_build_that_fills_the_disk_fails_and_says_why(new_server):
    fill = "for i in $(seq 60); do head -c 8000000 /dev/zero >$HOME/$i; sleep 0.1; done"
    server = new_server(build_memory_mbytes="64")
    async with Client(server.url, server.token, "admin") as api:
        maker = ActorMaker(api)
        actor = await maker.create({"Dockerfile": f"FROM alpine\nRUN {fill}\nCMD true"})
        build = await maker.build(actor["id"])
        log = (await api.get(f"/v2/actor-builds/{build['id']}/log")).body.decode()
    assert build["status"] == "FAILED"
    assert build["statusMessage"] == "The build exceeded its disk limit of 128 MB."
    assert build["options"]["diskMbytes"] == 128
    assert log.endswith("ACTOR: Disk limit of 128 MB exceeded, the job was stopped.\n")
    assert not (server.data_dir / "builds" / build["id"] / "work").exists()


async def test_metadata_is_read_from_the_sources(api: Client, actors: ActorMaker):
    actor = await actors.create(
        {
            "main.py": "",
            "README.md": "# Hello",
            ".actor/actor.json": '{"actorSpecification": 1, "name": "x", "version": "0.0", "input": "./in.json"}',
            ".actor/in.json": '{"title": "T", "type": "object", "schemaVersion": 1, "properties": {}}',
        }
    )
    build = await actors.build(actor["id"])
    assert build["readme"] == "# Hello"
    assert '"title": "T"' in build["inputSchema"]
    assert build["actorDefinition"]["name"] == "x"


async def test_a_definition_has_what_lay_in_the_usual_places(api: Client, actors: ActorMaker):
    schema = '{"title": "T", "type": "object", "schemaVersion": 1, "properties": {}}'
    files = {"main.py": "", "INPUT_SCHEMA.json": schema, "README.md": "# Hello"}
    build = await actors.build((await actors.create(files))["id"])
    assert build["actorDefinition"] == {
        "actorSpecification": 1,
        "input": json.loads(schema),
        "readme": "# Hello",
    }


async def test_an_invalid_input_schema_fails_the_build(api: Client, actors: ActorMaker):
    actor = await actors.create({"main.py": "", "INPUT_SCHEMA.json": '{"title": 5}'})
    build = await actors.build(actor["id"])
    assert build["status"] == "FAILED"


async def test_a_missing_version_is_not_found(api: Client, actors: ActorMaker):
    actor = await actors.create({"main.py": ""})
    missing = await api.post(f"/v2/acts/{actor['id']}/builds", params={"version": "3.3"})
    assert (missing.status, missing.error["type"]) == (404, "record-not-found")
    none = await api.post(f"/v2/acts/{actor['id']}/builds")
    assert (none.status, none.error["type"]) == (400, "parameter-required")


async def test_the_default_build_cannot_be_deleted(api: Client, actors: ActorMaker):
    actor = await actors.create({"main.py": ""})
    build = await actors.build(actor["id"])
    refused = await api.delete(f"/v2/actor-builds/{build['id']}")
    assert (refused.status, refused.error["type"]) == (403, "deleting-default-build")
    await actors.build(actor["id"])
    assert (await api.delete(f"/v2/actor-builds/{build['id']}")).status == 204
    assert (await api.get(f"/v2/actor-builds/{build['id']}")).error["type"] == "record-not-found"


@pytest.mark.parametrize("method", ["get", "post"])
async def test_others_cannot_list_or_start_builds(other: Client, actors: ActorMaker, method: str):
    actor = await actors.create({"main.py": ""})
    reply = await getattr(other, method)(
        f"/v2/acts/{actor['id']}/builds", params={"version": "0.0"}
    )
    assert reply.status == 404
