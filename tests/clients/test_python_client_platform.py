"""What the official Python client does beside plain runs: public Actors, changing runs, limits, the Store."""

from decimal import Decimal
from typing import Any

import pytest
from apify_client.errors import InvalidRequestError

from callboard.core.ids import new_id
from tests.actors import ActorMaker
from tests.clients.python_client import done, every, until_logged

TELL = """
key = os.environ["ACTOR_INPUT_KEY"]
print("ready", key, flush=True)
set_value("OUTPUT", {"told": get_input().get("told"), "key": key})
time.sleep(get_input().get("sleep", 0))
"""
VISIT = """
keys = json.loads(call("GET", f"{STORE}/keys?prefix=VISIT"))["data"]["items"]
number = len(keys) + 1
set_value(f"VISIT-{number}", number)
print("visit", number, flush=True)
time.sleep(600 if number == 1 else 0)
"""
PAY_PER_EVENT = {
    "pricingModel": "PAY_PER_EVENT",
    "pricingPerEvent": {
        "actorChargeEvents": {
            "page": {"eventTitle": "A page", "eventDescription": "-", "eventPriceUsd": 0.5}
        }
    },
    "apifyMarginPercentage": 0,
    "createdAt": "2026-01-01T00:00:00.000Z",
    "startedAt": "2026-01-01T00:00:00.000Z",
}


async def test_the_account_has_limits_and_usage(client: Any) -> None:
    limits = await done(client.user().limits())
    assert limits.limits.max_actor_memory_gbytes > 0
    assert limits.current.actor_count == 0
    usage = await done(client.user().monthly_usage())
    assert usage.total_usage_credits_usd_after_volume_discount >= 0


async def test_a_public_actor_runs_for_everyone(
    client: Any, stranger: Any, actors: ActorMaker
) -> None:
    made = await actors.python(TELL)
    await done(
        client.actor(made["id"]).update(
            is_public=True, title="Tells", description="Tells it", categories=["AI"]
        )
    )
    theirs = stranger.actor(f"{made['username']}/{made['name']}")
    assert (await done(theirs.get())).id == made["id"]
    run = await done(theirs.start(run_input={"told": 1}, wait_for_finish=60))
    assert run.status == "SUCCEEDED"
    assert run.user_id == (await done(stranger.user().get())).id
    build = await done((await done(theirs.default_build())).get())
    assert build.status == "SUCCEEDED"
    task = await done(stranger.tasks().create(actor_id=made["id"], name="theirs"))
    run = await done(stranger.task(task.id).call(task_input={"told": 2}))
    output = await done(stranger.run(run.id).key_value_store().get_record("OUTPUT"))
    assert output["value"]["told"] == 2


async def test_the_store_lists_public_actors(
    client: Any, stranger: Any, actors: ActorMaker
) -> None:
    made = await actors.python("pass", name=f"found-{new_id()[:8].lower()}")
    await done(client.actor(made["id"]).update(is_public=True, title="Found", categories=["AI"]))
    page = await done(stranger.store().list(search=made["name"], limit=5))
    assert made["id"] in {row.id for row in page.items}
    by_name = stranger.store().iterate(username=made["username"])
    assert [row.name for row in await every(by_name)] == [made["name"]]


async def test_a_build_has_an_openapi_definition(client: Any, actors: ActorMaker) -> None:
    made = await actors.python("pass")
    build = (await done(client.actor(made["id"]).builds().list())).items[0]
    definition = await done(client.build(build.id).get_open_api_definition())
    assert definition["openapi"].startswith("3.")
    assert any("/run-sync" in path for path in definition["paths"])


async def test_a_run_becomes_another_actor(client: Any, actors: ActorMaker) -> None:
    first, second = await actors.python(TELL), await actors.python(TELL)
    run = await done(client.actor(first["id"]).start(run_input={"sleep": 600}))
    await until_logged(client, run.id, "ready INPUT")
    await done(
        client.run(run.id).metamorph(
            target_actor_id=f"{second['username']}/{second['name']}", run_input={"told": "other"}
        )
    )
    ended = await done(client.run(run.id).wait_for_finish())
    assert (ended.status, ended.act_id) == ("SUCCEEDED", first["id"])
    assert await done(client.actor(second["id"]).last_run().get()) is None
    output = await done(client.run(run.id).key_value_store().get_record("OUTPUT"))
    assert output["value"] == {"told": "other", "key": "INPUT-METAMORPH-1"}


async def test_a_run_is_rebooted_and_resurrected(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python(VISIT)
    run = await done(client.actor(actor["id"]).start())
    await until_logged(client, run.id, "visit 1")
    await done(client.run(run.id).reboot())
    ended = await done(client.run(run.id).wait_for_finish())
    assert (ended.status, ended.stats.reboot_count) == ("SUCCEEDED", 1)
    again = await done(client.run(run.id).resurrect(memory_mbytes=256))
    assert again.id == run.id
    ended = await done(client.run(run.id).wait_for_finish())
    assert (ended.status, ended.stats.resurrect_count) == ("SUCCEEDED", 1)
    assert "visit 3" in await done(client.run(run.id).log().get())


async def test_events_are_charged_once_per_key(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python("time.sleep(600)", pricingInfos=[PAY_PER_EVENT])
    run = await done(client.actor(actor["id"]).start(max_total_charge_usd=Decimal(10)))
    charge = client.run(run.id).charge
    await done(charge("page", count=3, idempotency_key="first"))
    await done(charge("page", count=3, idempotency_key="first"))
    await done(charge("page"))
    assert (await done(client.run(run.id).get())).charged_event_counts == {"page": 4}
    with pytest.raises(InvalidRequestError):
        await done(charge("unheard-of"))
    await done(client.run(run.id).abort())


async def test_a_plain_run_cannot_be_charged(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python("pass")
    run = await done(client.actor(actor["id"]).start(wait_for_finish=60))
    with pytest.raises(InvalidRequestError):
        await done(client.run(run.id).charge("page"))
