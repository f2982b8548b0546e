"""Webhooks and their dispatches by the official Python client."""

import json
from typing import Any

from tests.actors import ActorMaker
from tests.clients.python_client import done, every
from tests.receivers import listening

SUCCEEDED = ["ACTOR.RUN.SUCCEEDED"]


async def test_a_webhook_is_created_read_updated_and_deleted(
    client: Any, actors: ActorMaker
) -> None:
    actor = await actors.python("pass")
    made = await done(
        client.webhooks().create(
            event_types=SUCCEEDED,
            request_url="https://example.com/hook",
            actor_id=actor["id"],
            payload_template='{"run": {{resource.id}}}',
            headers_template='{"X-A": "b"}',
            description="Tells",
            ignore_ssl_errors=True,
            do_not_retry=True,
        )
    )
    webhook = client.webhook(made.id)
    kept = await done(webhook.get())
    assert kept.condition.actor_id == actor["id"]
    assert (kept.do_not_retry, kept.ignore_ssl_errors) == (True, True)
    changed = await done(
        webhook.update(event_types=["ACTOR.RUN.FAILED"], request_url="https://example.com/two")
    )
    assert changed.event_types == ["ACTOR.RUN.FAILED"]
    assert changed.description == "Tells"
    await done(webhook.delete())
    assert await done(webhook.get()) is None


async def test_webhooks_are_listed_everywhere_they_belong(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python("pass")
    task = await done(client.tasks().create(actor_id=actor["id"], name="hooked"))
    create, url = client.webhooks().create, "https://example.com/hook"
    of_actor = await done(create(event_types=SUCCEEDED, request_url=url, actor_id=actor["id"]))
    of_task = await done(create(event_types=SUCCEEDED, request_url=url, actor_task_id=task.id))
    assert (await done(client.webhooks().list())).total == 2
    iterated = await every(client.webhooks().iterate(desc=True))
    assert [row.id for row in iterated] == [of_task.id, of_actor.id]
    rows = (await done(client.actor(actor["id"]).webhooks().list())).items
    assert [row.id for row in rows] == [of_actor.id]
    rows = (await done(client.task(task.id).webhooks().list())).items
    assert [row.id for row in rows] == [of_task.id]


async def test_creating_twice_with_one_key_makes_one_webhook(
    client: Any, actors: ActorMaker
) -> None:
    actor = await actors.python("pass")
    fields = {
        "event_types": SUCCEEDED,
        "request_url": "https://example.com/hook",
        "actor_id": actor["id"],
        "idempotency_key": "once",
    }
    first = await done(client.webhooks().create(**fields))
    assert (await done(client.webhooks().create(**fields))).id == first.id


async def test_a_test_dispatch_is_sent_and_found(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python("pass")
    async with listening() as receiver:
        made = await done(
            client.webhooks().create(
                event_types=SUCCEEDED, request_url=receiver.url, actor_id=actor["id"]
            )
        )
        dispatch = await done(client.webhook(made.id).test())
        await receiver.until(1)
    assert dispatch.webhook_id == made.id
    assert (await done(client.webhook_dispatch(dispatch.id).get())).id == dispatch.id
    assert (await done(client.webhook(made.id).dispatches().list())).total == 1
    assert dispatch.id in {row.id for row in await every(client.webhook_dispatches().iterate())}
    assert await done(client.webhook_dispatch("absent").get()) is None


async def test_an_ad_hoc_webhook_is_called_when_its_run_ends(
    client: Any, actors: ActorMaker
) -> None:
    actor = await actors.python("pass")
    async with listening() as receiver:
        run = await done(
            client.actor(actor["id"]).start(
                webhooks=[
                    {
                        "event_types": SUCCEEDED,
                        "request_url": receiver.url,
                        "payload_template": '{"ended": {{resource.id}}}',
                    }
                ]
            )
        )
        received = await receiver.until(1)
    assert json.loads(received[0].body) == {"ended": run.id}


async def test_a_task_started_with_a_webhook_calls_it(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python("pass")
    task = await done(client.tasks().create(actor_id=actor["id"], name="told"))
    async with listening() as receiver:
        hooks = [{"event_types": ["ACTOR.RUN.CREATED"], "request_url": receiver.url}]
        run = await done(client.task(task.id).start(webhooks=hooks))
        received = await receiver.until(1)
    message = json.loads(received[0].body)
    assert message["eventType"] == "ACTOR.RUN.CREATED"
    assert message["eventData"]["actorRunId"] == run.id
