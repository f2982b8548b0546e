"""What an Actor's definition gives to its runs: schemas and aliases of storages, and the run's output."""

import json
from typing import Any

from tests.actors import ActorMaker
from tests.server import Client

ITEM = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
DATASET = {"actorSpecification": 1, "fields": ITEM, "views": {}}
STORE = {
    "actorKeyValueStoreSchemaVersion": 1,
    "title": "Store",
    "collections": {"text": {"title": "Text", "key": "NOTE", "contentTypes": ["text/plain"]}},
}
CODE = "set_value('OUTPUT', json.loads(os.environ['ACTOR_STORAGES_JSON']))\n"


async def run_with(
    api: Client, actors: ActorMaker, code: str = CODE, **definition: Any
) -> dict[str, Any]:
    base = {"actorSpecification": 1, "name": "defined", "version": "0.0"}
    files = {".actor/actor.json": json.dumps(base | definition)}
    actor = await actors.python(code, files=files)
    reply = await api.post(f"/v2/actors/{actor['id']}/runs", params={"waitForFinish": 60})
    assert reply.data["status"] == "SUCCEEDED"
    return reply.data


async def test_items_are_held_to_the_schema_of_the_default_dataset(api: Client, actors: ActorMaker):
    run = await run_with(api, actors, storages={"dataset": DATASET})
    url = f"/v2/datasets/{run['defaultDatasetId']}"
    assert (await api.get(url)).data["schema"] == DATASET
    assert (await api.post(f"{url}/items", json={"n": 1})).status == 201
    wrong = await api.post(f"{url}/items", json={"n": "one"})
    assert (wrong.status, wrong.error["type"]) == (400, "schema-validation-error")


async def test_records_are_held_to_the_schema_of_the_default_store(api: Client, actors: ActorMaker):
    run = await run_with(api, actors, storages={"keyValueStore": STORE})
    url = f"/v2/key-value-stores/{run['defaultKeyValueStoreId']}/records/NOTE"
    assert (await api.put(url, data=b"x", headers={"Content-Type": "text/plain"})).status == 201
    assert (await api.put(url, json={})).status == 400


async def test_a_run_has_a_dataset_for_each_alias(api: Client, actors: ActorMaker):
    datasets = {"default": DATASET, "errors": {"actorSpecification": 1, "views": {}}}
    run = await run_with(api, actors, storages={"datasets": datasets})
    ids = run["storageIds"]
    assert set(ids["datasets"]) == {"default", "errors"}
    assert ids["datasets"]["default"] == run["defaultDatasetId"]
    output = await api.get(f"/v2/actor-runs/{run['id']}/key-value-store/records/OUTPUT")
    assert output.json == ids
    other = f"/v2/datasets/{ids['datasets']['errors']}"
    assert (await api.get(other)).data["actRunId"] == run["id"]
    assert (await api.delete(f"/v2/actor-runs/{run['id']}")).status == 204
    assert (await api.get(other)).status == 404


async def test_the_output_names_where_results_are(api: Client, actors: ActorMaker):
    templates = {
        "items": "{{links.apiDefaultDatasetUrl}}/items?view=all",
        "errors": "{{storages.datasets.errors.apiUrl}}/items",
        "page": "{{ run.containerUrl }}/page",
        "odd": "a{{run.nothing}}b{{links}}c{{",
    }
    properties = {
        name: {"type": "string", "title": name, "template": template}
        for name, template in templates.items()
    }
    output = {"actorOutputSchemaVersion": 1, "title": "Output", "properties": properties}
    datasets = {"default": {"views": {}}, "errors": {"views": {}}}
    run = await run_with(api, actors, output=output, storages={"datasets": datasets})
    errors = run["storageIds"]["datasets"]["errors"]
    assert run["output"] == {
        "items": f"{api.url}/v2/datasets/{run['defaultDatasetId']}/items?view=all",
        "errors": f"{api.url}/v2/datasets/{errors}/items",
        "page": f"{api.url}/containers/{run['id']}/page",
        "odd": "abc{{",
    }


async def test_a_run_without_an_output_schema_has_no_output(api: Client, actors: ActorMaker):
    assert "output" not in await run_with(api, actors)
