"""The official command line tool, told only where this server is."""

import json
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from callboard.core.ids import new_id
from tests.actors import PRELUDE, ActorMaker
from tests.clients.apify_cli import Apify, plain
from tests.clients.node_tools import APIFY, needs
from tests.server import Client

pytestmark = [needs(APIFY), pytest.mark.xdist_group("cli")]

GREETER = (
    PRELUDE
    + """
name = get_input()["name"]
print("greeting", name, "in", os.environ.get("COLOUR"))
push([{"greeting": "hello " + name, "colour": os.environ.get("COLOUR")}])
"""
)
ARCHIVE_FROM_BYTES = 3 * 1024 * 1024


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
async def apify(tmp_path: Path, compiled: Path, api: Client) -> Apify:
    """The tool, with `api`'s account logged in."""
    tool = Apify(tmp_path, compiled, api)
    await tool.log_in()
    return tool


@pytest.fixture
async def run(api: Client, actors: ActorMaker) -> AsyncGenerator[dict[str, Any]]:
    """A finished run that printed a line and pushed an item."""
    actor = await actors.python("print('a line of the run')\npush([{'a': 1}])", name="worker")
    yield (await api.post(f"/v2/actors/{actor['id']}/runs", params={"waitForFinish": 60})).data


async def create(api: Client, name: str) -> dict[str, Any]:
    """An Actor to push to: for a new one the tool wants a list of templates from the internet."""
    return (await api.post("/v2/actors", json={"name": name})).data


async def read_until(process: Process, words: str) -> None:
    assert process.stdout is not None
    seen = ""
    while words not in seen:
        line = await process.stdout.readline()
        assert line, seen
        seen += plain(line)


async def test_logging_in_keeps_the_token_and_who_it_belongs_to(apify: Apify, api: Client):
    apify.login_file.unlink()
    assert f"You are logged in to Apify as {api.username}" in await apify(
        "login", "-t", api.token or ""
    )
    assert f"username: {api.username}" in await apify("info")
    me = (await api.get("/v2/users/me")).data
    assert json.loads(await apify("api", "v2/users/me"))["data"] == me


async def test_an_unknown_token_is_not_let_in(apify: Apify):
    apify.login_file.unlink()
    _, text = await apify.attempt("login", "-t", "wrong")
    assert "Login to Apify failed" in text
    assert not apify.login_file.exists()


async def test_a_pushed_project_is_built_and_called(apify: Apify, api: Client):
    actor = await create(api, "greeter")
    apify.write_project(
        {"main.py": GREETER}, name="greeter", environmentVariables={"COLOUR": "@paint"}
    )
    await apify("secrets", "add", "paint", "deep red")
    pushed = await apify("push")
    assert "Using Dockerfile" not in pushed and "Build: SUCCEEDED" in pushed
    version = (await api.get(f"/v2/actors/{actor['id']}/versions/0.1")).data
    assert {file["name"] for file in version["sourceFiles"]} == {"main.py", ".actor/actor.json"}
    assert version["envVars"] == [{"name": "COLOUR", "isSecret": True}]
    called = await apify("call", "-o", "--input", '{"name": "Ada"}')
    # The log keeps secrets to itself, the dataset does not.
    assert "greeting Ada in ********" in called
    assert '[{"greeting":"hello Ada","colour":"deep red"}]' in called
    assert "Run: SUCCEEDED" in called
    origin = (await api.get("/v2/actor-runs")).data["items"][0]["meta"]["origin"]
    assert origin in ("CLI", "CI")  # the tool looks at the variable CI


async def test_a_new_actor_is_pushed(apify: Apify, api: Client):
    apify.write_project({"main.py": GREETER}, name="newcomer")
    apify.without_templates()
    pushed = await apify("push")
    assert "Build: SUCCEEDED" in pushed
    actor = (await api.get("/v2/actors/~newcomer")).data
    assert actor["taggedBuilds"]["latest"]["buildNumber"] == "0.1.1"


async def test_files_older_than_the_actor_are_not_pushed(apify: Apify, api: Client):
    apify.write_project({"main.py": GREETER}, name="greeter")
    actor = await create(api, "greeter")
    written = apify.written_at()
    # The clock of files need not be the server's to the millisecond.
    while datetime.fromisoformat(actor["modifiedAt"]) <= written:
        actor = (await api.put(f"/v2/actors/{actor['id']}", json={"title": "Later"})).data
    code, text = await apify.attempt("push")
    assert (code != 0, "has newer changes than your local copy" in text) == (True, True), text


async def test_a_large_project_is_pushed_as_an_archive(apify: Apify, api: Client):
    actor = await create(api, "large")
    weight = new_id() * (ARCHIVE_FROM_BYTES // 17 + 1)
    apify.write_project(
        {"main.py": "print(len(open('weight.txt').read()))\n", "weight.txt": weight}, name="large"
    )
    assert "Build: SUCCEEDED" in await apify("push")
    version = (await api.get(f"/v2/actors/{actor['id']}/versions/0.1")).data
    assert version["sourceType"] == "TARBALL"
    started = await api.post(f"/v2/actors/{actor['id']}/runs", params={"waitForFinish": 60})
    log = await api.get(f"/v2/logs/{started.data['id']}")
    assert str(len(weight)) in log.body.decode()


async def test_a_log_is_seen_while_the_run_lives_and_interrupting_aborts_it(
    apify: Apify, api: Client, actors: ActorMaker
):
    await actors.shell("echo under way\nexec sleep 600", name="sleeper")
    process = await apify.start("call", "sleeper")
    await read_until(process, "under way")
    [running] = (await api.get("/v2/actor-runs")).data["items"]
    assert running["status"] == "RUNNING"
    process.send_signal(signal.SIGINT)
    await read_until(process, "gracefully aborting")
    process.send_signal(signal.SIGINT)
    await process.communicate()
    ended = await api.get(f"/v2/actor-runs/{running['id']}", params={"waitForFinish": 60})
    assert ended.data["status"] == "ABORTED"


async def test_calling_an_actor_that_fails_is_a_failure(apify: Apify, actors: ActorMaker):
    await actors.shell("echo went wrong; exit 3", name="failing")
    code, text = await apify.attempt("call", "failing")
    assert code != 0
    assert "went wrong" in text
    assert "Run: FAILED" in text


async def test_a_task_is_run_with_its_own_input(apify: Apify, api: Client, actors: ActorMaker):
    actor = await actors.python(GREETER.removeprefix(PRELUDE), name="greeter")
    await api.post(
        "/v2/actor-tasks",
        json={"actId": actor["id"], "name": "greet-bob", "input": {"name": "Bob"}},
    )
    text = await apify("task", "run", "greet-bob")
    assert "greeting Bob in None" in text
    assert "SUCCEEDED" in text


async def test_runs_are_listed_and_looked_at(apify: Apify, run: dict[str, Any]):
    listed = await apify("runs", "ls", "worker")
    about = await apify("runs", "info", run["id"], "--verbose")
    log = await apify("runs", "log", run["id"])
    waited = await apify("runs", "wait", run["id"])
    assert run["id"] in listed and "Succeeded" in listed
    assert "Status: Succeeded (exit code: 0)" in about
    assert "Results: 1" in about and "Actor compute units" in about
    assert "a line of the run" in log
    assert "Run: SUCCEEDED" in waited


async def test_runs_are_started_aborted_resurrected_and_removed(
    apify: Apify, api: Client, actors: ActorMaker
):
    await actors.shell("exec sleep 600", name="sleeper")
    # It fails when the run still waits for its turn a moment later, so its exit code says nothing.
    _, started = await apify.attempt("actors", "start", "sleeper", "--json")
    run_id = json.loads(started)["run"]["id"]
    await apify("runs", "abort", run_id, "--force")
    aborted = await api.get(f"/v2/actor-runs/{run_id}", params={"waitForFinish": 60})
    assert aborted.data["status"] == "ABORTED"
    assert "resurrected successfully" in await apify("runs", "resurrect", run_id)
    assert (await api.get(f"/v2/actor-runs/{run_id}")).data["finishedAt"] is None
    await api.post(f"/v2/actor-runs/{run_id}/abort")
    await api.get(f"/v2/actor-runs/{run_id}", params={"waitForFinish": 60})
    await apify("runs", "rm", run_id, "--yes")
    assert (await api.get(f"/v2/actor-runs/{run_id}")).status == 404


async def test_builds_are_created_listed_and_tagged(apify: Apify, api: Client, actors: ActorMaker):
    actor = await actors.shell("true", name="built")
    made = await apify("builds", "create", "built", "--log")
    assert "Step 1/3: FROM debian" in made and "Build: SUCCEEDED" in made
    build = (await api.get(f"/v2/actors/{actor['id']}/builds")).data["items"][-1]
    listed = await apify("builds", "ls", "built")
    about = await apify("builds", "info", build["id"])
    log = await apify("builds", "log", build["id"])
    tagged = await apify("builds", "add-tag", "--build", build["id"], "--tag", "beta")
    assert "0.0.2 (latest)" in listed
    assert "Build Number: 0.0.2" in about
    assert "Start command: sh main.sh" in log
    assert 'Tag "beta" added' in tagged
    tags = (await api.get(f"/v2/actors/{actor['id']}")).data["taggedBuilds"]
    assert tags["beta"]["buildId"] == build["id"]


async def test_actors_are_listed_looked_at_built_and_pulled(
    apify: Apify, api: Client, actors: ActorMaker
):
    schema = '{"title": "I", "type": "object", "schemaVersion": 1, "properties": {}}'
    files = {"INPUT_SCHEMA.json": schema}
    actor = await actors.python("print('hello')", name="pullable", files=files)
    full_name = f"{api.username}/pullable"
    listed = await apify("actors", "ls", "--my")
    about = await apify("actors", "info", full_name)
    schema_seen = await apify("actors", "info", "pullable", "--input")
    built = await apify.json("actors", "build", "pullable", "--tag", "latest")
    pulled = await apify("actors", "pull", full_name, "--dir", "copy")
    assert full_name in listed and "undefined" not in listed
    assert f"Information about Actor {full_name} ({actor['id']})" in about
    assert '"schemaVersion": 1' in schema_seen
    builds = (await api.get(f"/v2/actors/{actor['id']}/builds")).data["items"]
    assert built["build"]["id"] == builds[-1]["id"]
    assert "Pulled to" in pulled
    assert (apify.project / "copy/main.py").read_text().endswith("print('hello')")


async def test_datasets_are_made_filled_read_and_removed(apify: Apify, api: Client):
    assert "(called things) was created" in await apify("datasets", "create", "things")
    await apify("datasets", "push-items", "things", '[{"a": 1}, {"a": 2}]')
    listed = await apify("datasets", "ls")
    about = await apify("datasets", "info", "things")
    table = await apify("datasets", "get-items", "things", "--format", "csv", "--offset", "1")
    items = await apify("datasets", "get-items", "things")
    assert f"{api.username}/things" in listed
    assert "Items: 2 clean / 2 total" in about
    assert table.split() == ["text/csv", "\ufeffa", "2"]
    assert '[{"a":1},{"a":2}]' in items
    assert "was changed from things to others" in await apify(
        "datasets", "rename", "things", "others"
    )
    await apify("datasets", "rm", "others", "--yes")
    assert (await api.get("/v2/datasets")).data["total"] == 0


async def test_records_are_written_read_and_deleted(apify: Apify, api: Client):
    assert "(called bag) was created" in await apify("key-value-stores", "create", "bag")
    # A store with nothing in it can be listed too.
    assert f"{api.username}/bag" in await apify("key-value-stores", "ls")
    await apify(
        "key-value-stores", "set-value", "bag", "note", "hello", "--content-type", "text/plain"
    )
    keys = await apify("key-value-stores", "keys", "bag")
    value = await apify("key-value-stores", "get-value", "bag", "note")
    about = await apify("key-value-stores", "info", "bag")
    assert "note" in keys and "5 B" in keys
    assert value.splitlines() == ["text/plain", "hello"]
    assert f"{api.username}/bag" in about
    await apify("key-value-stores", "delete-value", "bag", "note", "--yes")
    store = f"/v2/key-value-stores/{api.username}~bag"
    assert (await api.get(f"{store}/records/note")).status == 404
