"""Random requests made of the served document, right and wrong ones: none may break the server or hang."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.actors import ActorMaker
from tests.server import Client, Server

SECS = 25
REQUEST_SECS = 20
LEFT_OUT = "run-sync|/runs$|builds$|resurrect|metamorph"
"""What starts programs: thousands of runs would test the machine, not the answers."""

pytestmark = pytest.mark.timeout(160)


async def things(api: Client) -> dict[str, Any]:
    """One of everything, so that the requests find something."""
    actor = await ActorMaker(api).shell("true")
    run = (await api.post(f"/v2/actors/{actor['id']}/runs", params={"waitForFinish": 60})).data
    task = (await api.post("/v2/actor-tasks", json={"actId": actor["id"], "name": "fuzzed"})).data
    await api.post(f"/v2/actor-tasks/{task['id']}/runs", params={"waitForFinish": 60})
    queue = (await api.post("/v2/request-queues")).data
    request = {"url": "http://a.example/", "uniqueKey": "a"}
    added = await api.post(f"/v2/request-queues/{queue['id']}/requests", json=request)
    schedule = {"cronExpression": "@yearly", "isEnabled": False}
    webhook = {
        "eventTypes": ["ACTOR.RUN.SUCCEEDED"],
        "condition": {"actorId": actor["id"]},
        "requestUrl": "http://127.0.0.1:9/",
    }
    return {
        "actorId": actor["id"],
        "runId": run["id"],
        "buildId": run["buildId"],
        "buildOrRunId": run["id"],
        "actorTaskId": task["id"],
        "datasetId": run["defaultDatasetId"],
        "storeId": run["defaultKeyValueStoreId"],
        "queueId": queue["id"],
        "requestId": added.data["requestId"],
        "scheduleId": (await api.post("/v2/schedules", json=schedule)).data["id"],
        "webhookId": (await api.post("/v2/webhooks", json=webhook)).data["id"],
        "versionNumber": "0.0",
    }


async def test_no_request_breaks_the_server(server: Server, api: Client, tmp_path: Path):
    names = await things(api)
    config = tmp_path / "schemathesis.toml"
    lines = [f'"path.{name}" = "{value}"' for name, value in names.items()]
    config.write_text("\n".join(["[parameters]", '"query.waitForFinish" = 0', *lines, ""]))
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(config), "run", f"{server.url}/v2/openapi.json"),
        *("--header", f"Authorization: Bearer {api.token}"),
        *("--checks", "not_a_server_error", "--phases", "fuzzing", "--max-examples", "3"),
        *("--max-time", str(SECS), "--request-timeout", str(REQUEST_SECS)),
        *("--exclude-method", "DELETE", "--exclude-path-regex", LEFT_OUT),
        *("--suppress-health-check", "all", "--no-shrink", "--no-color"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text[-6000:]
    assert " passed" in text, text[-2000:]
    assert (await api.get("/health")).status == 200
