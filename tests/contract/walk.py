"""A walk through every operation of the contract, in an order that makes sense, on a live server."""

import base64
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from callboard.core.ids import new_id
from tests.actors import PRELUDE
from tests.contract.schemas import Operation, problems_of
from tests.server import Client, Reply

INPUT_SCHEMA = {
    "title": "Input",
    "type": "object",
    "schemaVersion": 1,
    "properties": {
        "word": {"title": "Word", "type": "string", "description": "A word", "editor": "textfield"}
    },
}
CODE = """
print("working", flush=True)
set_value("OUTPUT", {"done": True})
push([{"n": 1}, {"n": 2}])
keys = json.loads(call("GET", f"{STORE}/keys"))["data"]["items"]
has_input = any(one["key"] == "INPUT" for one in keys)
is_first_program = os.environ["ACTOR_INPUT_KEY"] == "INPUT"
if has_input and is_first_program and get_input().get("word") == "wait":
    time.sleep(60)
"""
EVENTS = {"page": {"eventTitle": "Page", "eventDescription": "A page", "eventPriceUsd": 0.01}}
PRICING = {"pricingModel": "PAY_PER_EVENT", "pricingPerEvent": {"actorChargeEvents": EVENTS}}
WAIT = {"word": "wait"}
DATASET_SCHEMA = {
    "actorSpecification": 1,
    "fields": {"type": "object", "properties": {"n": {"type": "integer"}}},
    "views": {"all": {"title": "All", "transformation": {}, "display": {"component": "table"}}},
}


def source_files() -> list[dict[str, Any]]:
    definition = {
        "actorSpecification": 1,
        "name": "walked",
        "version": "0.0",
        "input": INPUT_SCHEMA,
        "storages": {"dataset": DATASET_SCHEMA},
    }
    return [
        {"name": "main.py", "format": "TEXT", "content": PRELUDE + CODE},
        {
            "name": ".actor/actor.json",
            "format": "BASE64",
            "content": base64.b64encode(json.dumps(definition).encode()).decode(),
        },
    ]


class Walk:
    """Calls operations and takes down what is wrong with their replies, by operation."""

    def __init__(self, api: Client, webhook_url: str) -> None:
        self._api = api
        self._webhook_url = webhook_url
        self._names: dict[str, str] = {"username": api.username}
        self.problems: defaultdict[Operation, list[str]] = defaultdict(list)

    async def call(self, method: str, template: str, **options: Any) -> Reply:
        """Path parameters are taken from what earlier steps remembered."""
        operation = Operation(method, template)
        path = template.format_map(self._names)
        reply = await self._api.request(method, path, **options)
        self.problems[operation] += [f"{path}: {one}" for one in problems_of(operation, reply)]
        if reply.status >= 400:
            self.problems[operation].append(f"{path}: {reply.status} {reply.body[:300]!r}")
        return reply

    def remember(self, **names: str) -> None:
        self._names |= names

    async def everything(self) -> None:
        await self.accounts_and_tools()
        await self.actors()
        await self.builds()
        await self.runs()
        await self.changes()
        await self.tasks()
        await self.storages()
        await self.webhooks()
        await self.schedules()
        await self.farewell()

    async def accounts_and_tools(self) -> None:
        me = (await self.call("GET", "/v2/users/me")).data
        self.remember(userId=me["id"])
        await self.call("GET", "/v2/users/{userId}")
        await self.call("PUT", "/v2/users/me/limits", json={"dataRetentionDays": 30})
        await self.call("GET", "/v2/users/me/limits")
        for method in ("GET", "POST", "PUT", "DELETE"):
            await self.call(method, "/v2/browser-info", params={"rawHeaders": 1})
        reply = await self.call("POST", "/v2/tools/encode-and-sign", json={"a": 1})
        await self.call("POST", "/v2/tools/decode-and-verify", json=reply.data)

    async def actors(self) -> None:
        version = {
            "versionNumber": "0.0",
            "sourceType": "SOURCE_FILES",
            "buildTag": "latest",
            "sourceFiles": source_files(),
            "envVars": [
                {"name": "PLAIN", "value": "1"},
                {"name": "SECRET", "value": "2", "isSecret": True},
            ],
        }
        body = {
            "name": "walked",
            "title": "Walked",
            "description": "For the walk",
            "isPublic": True,
            "categories": ["AI"],
            "versions": [version],
            "pricingInfos": [PRICING],
            "defaultRunOptions": {"build": "latest", "timeoutSecs": 100, "memoryMbytes": 256},
        }
        actor = (await self.call("POST", "/v2/actors", json=body)).data
        self.remember(actorId=actor["id"])
        await self.call("GET", "/v2/actors", params={"my": 1})
        await self.call("GET", "/v2/actors/{actorId}")
        await self.call("PUT", "/v2/actors/{actorId}", json={"seoTitle": "Walk"})
        await self.versions()
        await self.call("GET", "/v2/store", params={"username": self._api.username})
        await self.call(
            "GET", "/v2/store", params={"username": self._api.username, "responseFormat": "agent"}
        )

    async def versions(self) -> None:
        versions = "/v2/actors/{actorId}/versions"
        one = versions + "/{versionNumber}"
        body = {
            "versionNumber": "0.1",
            "sourceType": "GIT_REPO",
            "gitRepoUrl": "https://example.com/x.git",
        }
        await self.call("POST", versions, json=body)
        self.remember(versionNumber="0.1", envVarName="WORD")
        await self.call("GET", versions)
        await self.call("GET", one)
        await self.call("PUT", one, json={"buildTag": "beta"})
        await self.call("POST", one, json={"buildTag": "gamma"})
        variable = {"name": "WORD", "value": "x"}
        variables = one + "/env-vars"
        await self.call("POST", variables, json=variable)
        await self.call("GET", variables)
        await self.call("GET", variables + "/{envVarName}")
        await self.call("PUT", variables + "/{envVarName}", json=variable)
        await self.call("POST", variables + "/{envVarName}", json=variable)
        await self.call("DELETE", variables + "/{envVarName}")
        await self.call("DELETE", one)

    async def builds(self) -> None:
        of_actor = "/v2/actors/{actorId}/builds"
        params = {"version": "0.0", "waitForFinish": 60}
        for _ in range(2):
            build = (await self.call("POST", of_actor, params=params)).data
            assert build["status"] == "SUCCEEDED", build["statusMessage"]
            self.remember(oldBuildId=self._names.get("buildId", ""), buildId=build["id"])
        await self.call("GET", of_actor)
        await self.call("GET", of_actor + "/default")
        for prefix in (of_actor + "/{buildId}", "/v2/actor-builds/{buildId}"):
            await self.call("GET", prefix)
            await self.call("POST", prefix + "/abort")
            await self.call("GET", prefix + "/openapi.json")
        await self.call("GET", "/v2/actor-builds")
        await self.call("GET", "/v2/actor-builds/{buildId}/log")
        self.remember(buildOrRunId=build["id"])
        await self.call("GET", "/v2/logs/{buildOrRunId}")
        self.remember(buildId=self._names["oldBuildId"])
        await self.call("DELETE", "/v2/actor-builds/{buildId}")

    async def started(self, template: str = "/v2/actors/{actorId}/runs", **options: Any) -> None:
        """Start a run and remember it."""
        run = (await self.call("POST", template, **{"json": {"word": "go"}, **options})).data
        self.remember(runId=run["id"])

    async def ended(self) -> None:
        params = {"waitForFinish": 60}
        run = (await self.call("GET", "/v2/actor-runs/{runId}", params=params)).data
        assert run["status"] in ("SUCCEEDED", "ABORTED"), run

    async def runs(self) -> None:
        actor = "/v2/actors/{actorId}"
        await self.call("POST", actor + "/validate-input", json={"word": "x"})
        for method, body in (("POST", {"json": {"word": "x"}}), ("GET", {})):
            await self.call(method, actor + "/run-sync", **body)
            await self.call(method, actor + "/run-sync-get-dataset-items", **body)
        await self.started(params={"waitForFinish": 60})
        await self.call("GET", actor + "/runs", params={"desc": 1, "limit": 2})
        await self.call("GET", actor + "/runs/{runId}")
        await self.call("POST", actor + "/runs/{runId}/abort")
        await self.call("GET", "/v2/actor-runs", params={"status": "SUCCEEDED"})
        await self.call("GET", "/v2/actor-runs/{runId}/log")
        await self.call("GET", actor + "/runs/last")
        await self.call("GET", actor + "/runs/last/log")
        await self.call("GET", "/v2/users/me/usage/monthly")

    async def changes(self) -> None:
        """Runs that are started again, by each way that leads to them."""
        one, target = "/v2/actor-runs/{runId}", {"targetActorId": self._names["actorId"]}
        await self.started(json=WAIT)
        await self.running()
        await self.call(
            "PUT", one, json={"statusMessage": "Busy", "isStatusMessageTerminal": False}
        )
        await self.call("POST", one + "/charge", json={"eventName": "page", "count": 1})
        await self.call("POST", one + "/reboot")
        await self.call("POST", "/v2/actors/{actorId}/runs/last/reboot")
        await self.call("POST", one + "/metamorph", params=target, json=WAIT)
        await self.ended()
        for template in (one, "/v2/actors/{actorId}/runs/{runId}"):
            await self.call("POST", template + "/resurrect")
            await self.ended()
        for template in (
            "/v2/actors/{actorId}/runs/{runId}/metamorph",
            "/v2/actors/{actorId}/runs/last/metamorph",
        ):
            await self.started(json=WAIT)
            await self.running()
            await self.call("POST", template, params=target, json=WAIT)
            await self.ended()
        await self.started(json=WAIT)
        await self.call("POST", one + "/abort")
        await self.call("POST", "/v2/actors/{actorId}/runs/last/abort")
        await self.ended()

    async def running(self) -> None:
        await self._api.until_logged(self._names["runId"], "working")

    async def tasks(self) -> None:
        body = {"actId": self._names["actorId"], "name": "walked-task", "input": {"word": "task"}}
        task = (await self.call("POST", "/v2/actor-tasks", json=body)).data
        self.remember(actorTaskId=task["id"])
        one, last = "/v2/actor-tasks/{actorTaskId}", "/v2/actor-tasks/{actorTaskId}/runs/last"
        await self.call("GET", "/v2/actor-tasks")
        await self.call("PUT", one, json={"title": "A task", "options": {"timeoutSecs": 90}})
        await self.call("GET", one + "/input")
        await self.call("PUT", one + "/input", json={"word": "other"})
        for method in ("GET", "POST"):
            await self.call(method, one + "/run-sync")
            await self.call(method, one + "/run-sync-get-dataset-items")
        await self.call("GET", one)
        await self.call("GET", one + "/runs")
        await self.started(one + "/runs", json=WAIT)
        await self.running()
        await self.call("GET", last)
        await self.call("GET", last + "/log")
        await self.call("POST", last + "/reboot")
        target = {"targetActorId": self._names["actorId"]}
        await self.call("POST", last + "/metamorph", params=target)
        await self.ended()
        await self.call("POST", last + "/abort")
        await self.call("GET", one + "/webhooks")

    async def storages(self) -> None:
        """The storages by id and name, and those of a run by each way that leads to it."""
        for kind, name in (
            ("datasets", "datasetId"),
            ("key-value-stores", "storeId"),
            ("request-queues", "queueId"),
        ):
            for _ in range(2):
                reply = await self.call("POST", f"/v2/{kind}", params={"name": "walked"})
            self.remember(**{name: reply.data["id"]})
            await self.call("GET", f"/v2/{kind}", params={"unnamed": 1})
        await self.all_of(
            dataset="/v2/datasets/{datasetId}",
            store="/v2/key-value-stores/{storeId}",
            queue="/v2/request-queues/{queueId}",
        )
        starts = {
            "/v2/actor-runs/{runId}": "/v2/actors/{actorId}/runs",
            "/v2/actors/{actorId}/runs/last": "/v2/actors/{actorId}/runs",
            "/v2/actor-tasks/{actorTaskId}/runs/last": "/v2/actor-tasks/{actorTaskId}/runs",
        }
        for run, start in starts.items():
            await self.started(start, params={"waitForFinish": 60})
            await self.all_of(
                dataset=run + "/dataset",
                store=run + "/key-value-store",
                queue=run + "/request-queue",
            )

    async def all_of(self, *, dataset: str, store: str, queue: str) -> None:
        await self.dataset(dataset)
        await self.store(store)
        await self.queue(queue)

    async def dataset(self, one: str) -> None:
        await self.call("POST", one + "/items", json=[{"n": 5}, {"n": 6, "m": "x"}])
        for form in ("json", "jsonl", "csv", "html", "xlsx", "xml", "rss"):
            await self.call("GET", one + "/items", params={"format": form})
        if one == "/v2/datasets/{datasetId}":
            await self.call("HEAD", one + "/items")
            await self.call("PUT", one, json={"schema": DATASET_SCHEMA})
        await self.call("PUT", one, json={"generalAccess": "RESTRICTED"})
        await self.call("GET", one)
        await self.call("GET", one + "/statistics")
        await self.call("DELETE", one)

    async def store(self, one: str) -> None:
        self.remember(recordKey="a-key")
        record = one + "/records/{recordKey}"
        await self.call("PUT", record, json={"a": 1})
        await self.call("POST", record, data=b"text", headers={"Content-Type": "text/plain"})
        if one == "/v2/key-value-stores/{storeId}":
            await self.call("HEAD", record)
        await self.call("GET", record)
        await self.call("GET", one + "/keys")
        await self.call("GET", one + "/records")
        await self.call("PUT", one, json={"generalAccess": "RESTRICTED"})
        await self.call("GET", one)
        await self.call("DELETE", record)
        await self.call("DELETE", one)

    async def queue(self, one: str) -> None:
        requests = one + "/requests"
        single = requests + "/{requestId}"
        added = await self.call(
            "POST", requests, json={"url": "http://a.example/", "uniqueKey": "a"}
        )
        self.remember(requestId=added.data["requestId"])
        batch = [{"url": f"http://b.example/{n}", "uniqueKey": f"b{n}"} for n in range(3)]
        await self.call("POST", requests + "/batch", json=batch)
        await self.call("GET", requests)
        await self.call("GET", one + "/head")
        client = {"clientKey": "walk", "lockSecs": 60}
        locked = await self.call("POST", one + "/head/lock", params={**client, "limit": 4})
        self.remember(requestId=locked.data["items"][0]["id"])
        await self.call("GET", requests, params={"filter": "locked"})
        await self.call("PUT", single + "/lock", params=client)
        await self.call("DELETE", single + "/lock", params={"clientKey": "walk"})
        await self.call("POST", requests + "/unlock", params={"clientKey": "walk"})
        request = (await self.call("GET", single)).data
        await self.call("PUT", single, json={**request, "handledAt": "2026-01-02T03:04:05.678Z"})
        await self.call("DELETE", single)
        await self.call(
            "DELETE", requests + "/batch", json=[{"uniqueKey": "b1"}, {"uniqueKey": "?"}]
        )
        await self.call("PUT", one, json={"generalAccess": "RESTRICTED"})
        await self.call("GET", one)
        await self.call("DELETE", one)

    async def webhooks(self) -> None:
        body = {
            "eventTypes": ["ACTOR.RUN.SUCCEEDED"],
            "condition": {"actorId": self._names["actorId"]},
            "requestUrl": self._webhook_url,
            "idempotencyKey": new_id(),
        }
        webhook = (await self.call("POST", "/v2/webhooks", json=body)).data
        self.remember(webhookId=webhook["id"])
        one = "/v2/webhooks/{webhookId}"
        await self.call("GET", "/v2/webhooks")
        await self.call("GET", one)
        await self.call("PUT", one, json={"description": "Walked"})
        dispatch = (await self.call("POST", one + "/test")).data
        self.remember(dispatchId=dispatch["id"])
        await self.call("GET", one + "/dispatches")
        await self.call("GET", "/v2/webhook-dispatches")
        await self.call("GET", "/v2/webhook-dispatches/{dispatchId}")
        await self.call("GET", "/v2/actors/{actorId}/webhooks")
        await self.call("DELETE", one)

    async def schedules(self) -> None:
        actions = [
            {
                "type": "RUN_ACTOR",
                "actorId": self._names["actorId"],
                "runInput": {"body": "{}", "contentType": "application/json"},
                "runOptions": {"timeoutSecs": 5},
            },
            {"type": "RUN_ACTOR_TASK", "actorTaskId": self._names["actorTaskId"], "input": {}},
        ]
        body = {"name": "walked-schedule", "cronExpression": "@yearly", "actions": actions}
        schedule = (await self.call("POST", "/v2/schedules", json=body)).data
        self.remember(scheduleId=schedule["id"])
        one = "/v2/schedules/{scheduleId}"
        await self.call("GET", "/v2/schedules")
        await self.call("GET", one)
        await self.call("PUT", one, json={"title": "Walked"})
        await self.call("GET", one + "/log")
        await self.call("DELETE", one)

    async def farewell(self) -> None:
        await self.call("DELETE", "/v2/actor-runs/{runId}")
        await self.call("DELETE", "/v2/actor-tasks/{actorTaskId}")
        await self.call("DELETE", "/v2/actors/{actorId}")

    async def anonymously(self, operations: Iterable[Operation]) -> None:
        """Call operations that need a token without one."""
        for operation in operations:
            path = operation.path.format_map(defaultdict(lambda: "absent"))
            reply = await self._api.request(operation.method, path, token=None)
            self.problems[operation] += problems_of(operation, reply)
