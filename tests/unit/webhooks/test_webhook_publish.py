import asyncio
import base64
import json
from typing import Any

import pytest
from sqlalchemy import Connection

from callboard.core import clock
from callboard.core.jobs import JobStatus
from callboard.webhooks import repository
from callboard.webhooks.model import Condition, EventType
from callboard.webhooks.service import create_ad_hoc, forget, parse_ad_hoc, publish, reap

from .conftest import Post, run_event

URL = "http://example.com/"


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        pytest.param(Condition(actor_id="actor1"), 1, id="its Actor"),
        pytest.param(Condition(task_id="task1"), 1, id="its task"),
        pytest.param(Condition(run_id="run1"), 1, id="the run"),
        pytest.param(Condition(actor_id="actor2"), 0, id="another Actor"),
        pytest.param(Condition(task_id="task2"), 0, id="another task"),
        pytest.param(Condition(run_id="run2"), 0, id="another run"),
    ],
)
async def test_a_webhook_hears_of_what_it_is_bound_to(
    post: Post, condition: Condition, count: int
) -> None:
    await post.webhook(URL, condition)
    assert await post.publish() == count
    assert len(await post.dispatches()) == count


async def test_all_webhooks_on_one_event_get_a_dispatch_each(post: Post) -> None:
    ids = {
        await post.webhook(URL, condition)
        for condition in (Condition(actor_id="actor1"), Condition(run_id="run1"))
    }
    assert await post.publish() == 2
    assert {dispatch.webhook_id for dispatch in await post.dispatches()} == ids


async def test_only_the_events_asked_for_are_heard(post: Post) -> None:
    await post.webhook(URL, event_types=(EventType.RUN_FAILED, EventType.RUN_ABORTED))
    assert await post.publish(run_event(EventType.RUN_SUCCEEDED)) == 0
    assert await post.publish(run_event(EventType.RUN_ABORTED)) == 1


async def test_a_build_is_heard_by_webhooks_on_its_actor_only(post: Post) -> None:
    data = {"actorId": "actor1", "actorBuildId": "build1"}
    happened = run_event(EventType.BUILD_SUCCEEDED, event_data=data)
    await post.webhook(URL, event_types=(EventType.BUILD_SUCCEEDED,))
    await post.webhook(URL, Condition(task_id="task1"), event_types=(EventType.BUILD_SUCCEEDED,))
    assert await post.publish(happened) == 1
    [dispatch] = await post.dispatches()
    assert dispatch.event_data == data


async def test_a_disabled_webhook_hears_nothing(post: Post) -> None:
    await post.webhook(URL, is_enabled=False)
    assert await post.publish() == 0


async def test_another_users_webhook_hears_nothing(post: Post) -> None:
    await post.webhook(URL)
    assert await post.publish(run_event(user_id="user2user2user2us")) == 0


async def test_a_transaction_undone_leaves_no_dispatch(post: Post) -> None:
    await post.webhook(URL)

    def unit(tx: Connection) -> None:
        publish(tx, run_event())
        raise RuntimeError("the run could not be written")

    with pytest.raises(RuntimeError):
        await post.db.write(unit)
    assert await post.dispatches() == []


async def test_dispatches_are_counted_on_the_webhook(post: Post) -> None:
    webhook_id = await post.webhook(URL)
    for _ in range(3):
        await post.publish()
    webhook = await post.db.read(lambda tx: repository.by_id(tx, webhook_id))
    newest = (await post.dispatches())[-1]
    assert webhook is not None and webhook.last_dispatch is not None
    assert (webhook.total_dispatches, webhook.last_dispatch.status) == (3, "ACTIVE")
    assert {newest.id, webhook.last_dispatch.id} <= {d.id for d in await post.dispatches()}


async def test_without_webhooks_publishing_is_one_indexed_query(post: Post) -> None:
    statements: list[str] = []

    def unit(tx: Connection) -> list[str]:
        driver: Any = tx.connection.dbapi_connection
        driver.set_trace_callback(statements.append)
        assert publish(tx, run_event()) == 0
        driver.set_trace_callback(None)
        return [row.detail for row in tx.exec_driver_sql("EXPLAIN QUERY PLAN " + statements[0])]

    plan = await post.db.write(unit)
    assert len(statements) == 1
    steps = [step for step in plan if "webhooks" in step]
    assert len(steps) == 3
    assert {step.split(" USING INDEX ")[1].split()[0] for step in steps} == {
        "webhooks_actor",
        "webhooks_task",
        "webhooks_run",
    }


def ad_hoc(**options: Any) -> Any:
    hook = {"eventTypes": ["ACTOR.RUN.SUCCEEDED"], "requestUrl": URL} | options
    return parse_ad_hoc(base64.b64encode(json.dumps([hook]).encode()).decode())


async def test_ad_hoc_webhooks_hear_of_their_run_only(post: Post) -> None:
    await post.db.write(lambda tx: create_ad_hoc(tx, post.user_id, "run1", ad_hoc()))
    data = {"actorId": "actor1", "actorRunId": "run2"}
    assert await post.publish(run_event(event_data=data)) == 0
    assert await post.publish() == 1
    [dispatch] = await post.dispatches()
    assert dispatch.target.is_ad_hoc
    assert dispatch.target.condition == Condition(run_id="run1")


async def test_an_idempotency_key_makes_one_ad_hoc_webhook(post: Post) -> None:
    for run_id in ("run1", "run2"):
        hooks = ad_hoc(idempotencyKey="once")
        await post.db.write(
            lambda tx, run_id=run_id, hooks=hooks: create_ad_hoc(tx, post.user_id, run_id, hooks)
        )
    data = {"actorId": "actor1", "actorRunId": "run2"}
    assert await post.publish(run_event(event_data=data)) == 0
    assert await post.publish() == 1


async def test_forgetting_an_actor_deletes_its_webhooks_and_ends_their_dispatches(
    post: Post,
) -> None:
    await post.webhook(URL)
    kept = await post.webhook(URL, Condition(task_id="task1"))
    await post.publish()
    await post.db.write(lambda tx: forget(tx, Condition(actor_id="actor1")))
    assert await post.publish() == 1
    due = await post.db.read(lambda tx: repository.soonest(tx, 10, but_not_to=()))
    dispatches = {dispatch.id: dispatch for dispatch in await post.dispatches()}
    assert {dispatches[dispatch_id].webhook_id for dispatch_id, _, _ in due} == {kept}


async def test_old_dispatches_are_removed_unless_they_are_still_tried(post: Post) -> None:
    webhook_id = await post.webhook(URL)
    await post.publish()
    await post.db.write(lambda tx: repository.delete_webhook(tx, webhook_id))
    await post.webhook(URL)
    await post.publish()
    await asyncio.sleep(0.002)
    removed = await post.db.write(lambda tx: reap(tx, created_before=clock.now()))
    assert removed == 1
    [left] = await post.dispatches()
    assert left.next_attempt_at is not None


@pytest.mark.parametrize(
    ("status", "run_type", "build_type"),
    [
        (JobStatus.SUCCEEDED, EventType.RUN_SUCCEEDED, EventType.BUILD_SUCCEEDED),
        (JobStatus.TIMED_OUT, EventType.RUN_TIMED_OUT, EventType.BUILD_TIMED_OUT),
    ],
)
def test_an_end_has_its_event(
    status: JobStatus, run_type: EventType, build_type: EventType
) -> None:
    assert EventType.of_run_end(status) is run_type
    assert EventType.of_build_end(status) is build_type
    with pytest.raises(ValueError):
        EventType.of_run_end(JobStatus.RUNNING)
