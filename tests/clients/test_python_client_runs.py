"""Runs, tasks and logs by the official Python client."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apify_client import _status_message_watcher as status_watcher
from apify_client.errors import ForbiddenError, NotFoundError

from tests.actors import ActorMaker
from tests.clients.python_client import done, every, opened, streamed

ECHO = """
given = get_input()
print("line one")
print("line two", flush=True)
set_value("OUTPUT", given)
push([{"n": n} for n in range(given.get("items", 0))])
"""
FOREVER = """
print("waiting", flush=True)
time.sleep(600)
"""


async def test_call_runs_an_actor_to_its_end(
    client: Any, actors: ActorMaker, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(status_watcher.StatusMessageWatcherBase, "_final_sleep_time_s", 1.5)
    actor = await actors.python(ECHO)
    logger = logging.getLogger("called")
    with caplog.at_level(logging.DEBUG, logger="called"):
        run = await done(
            client.actor(actor["id"]).call(run_input={"items": 2}, logger=logger, memory_mbytes=256)
        )
    assert (run.status, run.exit_code, run.options.memory_mbytes) == ("SUCCEEDED", 0, 256)
    messages = [record.getMessage() for record in caplog.records if record.name == "called"]
    assert sum("line one" in message for message in messages) == 1
    assert any(message.startswith("Status: SUCCEEDED") for message in messages)
    record = await done(client.run(run.id).key_value_store().get_record("OUTPUT"))
    assert record["value"] == {"items": 2}
    page = await done(client.run(run.id).dataset().list_items())
    assert page.items == [{"n": 0}, {"n": 1}]


async def test_a_started_run_is_waited_for(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python(ECHO)
    started = await done(
        client.actor(actor["id"]).start(
            run_input={"a": "b"}, run_timeout=timedelta(seconds=120), build="latest", max_items=7
        )
    )
    assert started.status in {"READY", "RUNNING"}
    assert (started.options.timeout_secs, started.options.max_items) == (120, 7)
    run = await done(client.run(started.id).wait_for_finish())
    assert run.status == "SUCCEEDED"
    assert run.stats.run_time_secs > 0
    assert await done(client.run("absent").get()) is None


async def test_start_itself_can_wait(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python(ECHO)
    run = await done(client.actor(actor["id"]).start(run_input=b"{}", wait_for_finish=60))
    assert run.status == "SUCCEEDED"


async def test_an_input_of_another_type_reaches_the_store_as_it_is(
    client: Any, actors: ActorMaker
) -> None:
    actor = await actors.python("pass")
    run = await done(
        client.actor(actor["id"]).start(
            run_input="plain words", content_type="text/plain", wait_for_finish=60
        )
    )
    record = await done(client.run(run.id).key_value_store().get_record("INPUT"))
    assert (record["value"], record["content_type"].split(";")[0]) == ("plain words", "text/plain")


@pytest.mark.parametrize("gracefully", [None, True], ids=["at once", "gracefully"])
async def test_a_run_is_aborted(client: Any, actors: ActorMaker, gracefully: bool | None) -> None:
    actor = await actors.python(FOREVER if not gracefully else "time.sleep(1)")
    started = await done(client.actor(actor["id"]).start())
    await done(client.run(started.id).abort(gracefully=gracefully))
    run = await done(client.run(started.id).wait_for_finish())
    assert run.status == "ABORTED"


async def test_waiting_no_longer_than_told_gives_the_unfinished_run(
    client: Any, actors: ActorMaker
) -> None:
    actor = await actors.python(FOREVER)
    started = await done(client.actor(actor["id"]).start())
    waited = await done(client.run(started.id).wait_for_finish(wait_duration=timedelta(seconds=1)))
    assert waited.status in {"READY", "RUNNING"}
    await done(client.run(started.id).abort())


async def test_runs_are_listed_by_status_and_time(client: Any, actors: ActorMaker) -> None:
    actor = client.actor((await actors.python("sys.exit(get_input()['code'])"))["id"])
    before = datetime.now(UTC)
    good = await done(actor.start(run_input={"code": 0}, wait_for_finish=60))
    bad = await done(actor.start(run_input={"code": 3}, wait_for_finish=60))
    assert (bad.status, bad.exit_code) == ("FAILED", 3)
    newest_first = await done(actor.runs().list(desc=True))
    assert [row.id for row in newest_first.items] == [bad.id, good.id]
    failed = await done(actor.runs().list(status=["FAILED", "ABORTED"]))
    assert [row.id for row in failed.items] == [bad.id]
    assert len(await every(client.runs().iterate(started_after=before))) == 2
    assert await every(client.runs().iterate(started_before=before - timedelta(hours=1))) == []


async def test_the_last_run_is_found_with_its_storages(client: Any, actors: ActorMaker) -> None:
    actor = client.actor((await actors.python(ECHO))["id"])
    with pytest.raises(NotFoundError):
        await done(actor.last_run().dataset().list_items())
    assert await done(actor.last_run().get()) is None
    run = await done(actor.start(run_input={"items": 1}, wait_for_finish=60))
    last = actor.last_run(status="SUCCEEDED", origin="API")
    assert (await done(last.get())).id == run.id
    assert (await done(last.dataset().list_items())).items == [{"n": 0}]
    assert (await done(last.dataset().get())).id == run.default_dataset_id
    assert (await done(last.request_queue().get())).id == run.default_request_queue_id
    assert (await done(last.key_value_store().get())).id == run.default_key_value_store_id
    assert "line two" in await done(last.log().get())


async def test_the_status_message_of_a_run_is_set(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python(FOREVER)
    run = await done(client.actor(actor["id"]).start())
    changed = await done(
        client.run(run.id).update(status_message="Half way", is_status_message_terminal=False)
    )
    assert changed.status_message == "Half way"
    await done(client.run(run.id).abort())


async def test_a_finished_run_is_deleted(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python("pass")
    run = await done(client.actor(actor["id"]).start(wait_for_finish=60))
    await done(client.run(run.id).delete())
    assert await done(client.run(run.id).get()) is None


async def test_the_log_is_read_streamed_and_redirected(
    client: Any, actors: ActorMaker, caplog: Any
) -> None:
    actor = await actors.python(ECHO + "\ntime.sleep(1)\nprint('line three')\n")
    run = await done(client.actor(actor["id"]).start(run_input={}))
    logger = logging.getLogger("redirected")
    with caplog.at_level(logging.DEBUG, logger="redirected"):
        redirection = await done(client.run(run.id).get_streamed_log(to_logger=logger))
        async with opened(redirection):
            async with opened(client.log(run.id).stream(raw=True)) as response:
                text = await streamed(client, response)
            await done(client.run(run.id).wait_for_finish())
    assert text.index(b"line one") < text.index(b"line three")
    assert await done(client.log(run.id).get_as_bytes(raw=True)) == text
    assert any("line two" in record.getMessage() for record in caplog.records)
    async with opened(client.log("absent").stream()) as nothing:
        assert nothing is None
    assert await done(client.log("absent").get()) is None


async def test_items_are_iterated_while_a_run_makes_them(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python("for n in range(3):\n    push([{'n': n}])\n    time.sleep(0.3)\n")
    run = await done(client.actor(actor["id"]).start())
    items = client.run(run.id).iterate_dataset_items(poll_interval=timedelta(seconds=1))
    assert await every(items) == [{"n": 0}, {"n": 1}, {"n": 2}]


async def test_another_accounts_run_is_not_for_everyone(
    client: Any, stranger: Any, actors: ActorMaker
) -> None:
    actor = await actors.python("pass")
    with pytest.raises((ForbiddenError, NotFoundError)):
        await done(stranger.actor(actor["id"]).start())


async def test_a_task_is_created_read_updated_and_deleted(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python(ECHO)
    task = await done(
        client.tasks().create(
            actor_id=actor["id"],
            name="a-task",
            task_input={"a": 1},
            memory_mbytes=256,
            run_timeout=timedelta(seconds=100),
            title="A task",
        )
    )
    assert (task.options.memory_mbytes, task.options.timeout_secs) == (256, 100)
    assert (await done(client.task(f"{actor['username']}/a-task").get())).id == task.id
    changed = await done(client.task(task.id).update(name="renamed", task_input={"b": 2}))
    assert (changed.name, changed.title) == ("renamed", "A task")
    assert await done(client.task(task.id).get_input()) == {"b": 2}
    assert await done(client.task(task.id).update_input(task_input={"c": 3})) == {"b": 2, "c": 3}
    assert [row.id for row in await every(client.tasks().iterate())] == [task.id]
    assert (await done(client.tasks().list(limit=5))).total == 1
    await done(client.task(task.id).delete())
    assert await done(client.task(task.id).get()) is None


async def test_a_task_is_called_with_input_over_its_own(client: Any, actors: ActorMaker) -> None:
    actor = await actors.python(ECHO)
    made = await done(
        client.tasks().create(actor_id=actor["id"], name="merge", task_input={"a": 1, "b": 2})
    )
    task = client.task(made.id)
    run = await done(task.call(task_input={"b": 3, "items": 1}, memory_mbytes=256))
    assert (run.status, run.actor_task_id) == ("SUCCEEDED", made.id)
    output = await done(task.last_run().key_value_store().get_record("OUTPUT"))
    assert output["value"] == {"a": 1, "b": 3, "items": 1}
    plain = await done(task.start(wait_for_finish=60))
    output = await done(client.run(plain.id).key_value_store().get_record("OUTPUT"))
    assert output["value"] == {"a": 1, "b": 2}
    assert [row.id for row in (await done(task.runs().list())).items] == [run.id, plain.id]


async def test_the_account_is_read_with_and_without_its_private_part(
    client: Any, stranger: Any
) -> None:
    mine = await done(client.user().get())
    assert mine.proxy.password
    public = await done(stranger.user(mine.id).get())
    assert public.username == mine.username
    assert getattr(public, "is_paying", None) is None
    assert await done(client.user("absent").get()) is None
