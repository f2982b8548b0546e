"""Every public method of the official Python client, each called at least once, in both of its forms.

What there is to call is taken from the client's own classes: a method that a new version brings is a gap here.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from apify_client import ApifyClient, ApifyClientAsync
from apify_client import _resource_clients as resource_clients

from callboard.core.ids import new_id
from tests.actors import ActorMaker
from tests.clients.python_client import done, every, opened, until_logged

LEFT_OUT = {
    "ApifyClient.with_custom_http_client": "makes a client, and calls no server",
}
ACTOR = """
print("started", flush=True)
push([{"n": 1}, {"n": 2}])
time.sleep(get_input().get("sleep", 0))
"""
VERSION = {"versionNumber": "0.0", "sourceType": "SOURCE_FILES", "sourceFiles": []}
PAY_PER_EVENT = [
    {
        "pricingModel": "PAY_PER_EVENT",
        "pricingPerEvent": {
            "actorChargeEvents": {
                "page": {"eventTitle": "A page", "eventDescription": "-", "eventPriceUsd": 0.5}
            }
        },
    }
]


def client_classes() -> Iterator[type]:
    yield from (ApifyClient, ApifyClientAsync)
    for module in pkgutil.iter_modules(resource_clients.__path__):
        found = importlib.import_module(f"{resource_clients.__name__}.{module.name}")
        for name, one in vars(found).items():
            is_own = inspect.isclass(one) and one.__module__ == found.__name__
            if is_own and name.removesuffix("Async").endswith("Client"):
                yield one


def public_methods(one: type) -> list[str]:
    return [
        name
        for name, value in inspect.getmembers(one)
        if callable(value) and not name.startswith("_")
    ]


def title(one: type, method: str) -> str:
    """The same for both forms."""
    return f"{one.__name__.removesuffix('Async')}.{method}"


@dataclass
class Tour:
    """What has been called so far, and where the tour has come to."""

    client: Any
    actors: ActorMaker
    called: set[str] = field(default_factory=set)

    def record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for one in client_classes():
            for method in public_methods(one):
                monkeypatch.setattr(one, method, self._recorded(one, method))

    def _recorded(self, one: type, method: str) -> Any:
        original = inspect.getattr_static(one, method)
        if not inspect.isfunction(original):
            return original

        def recorded(this: Any, *args: Any, **options: Any) -> Any:
            self.called.add(title(one, method))
            return original(this, *args, **options)

        return recorded


async def datasets(tour: Tour) -> None:
    client, name = tour.client, f"tour-{new_id().lower()}"
    made = await done(client.datasets().get_or_create(name=name))
    one = client.dataset(made.id)
    await done(one.push_items([{"n": 1}, {"n": 2}]))
    assert (await done(one.list_items())).count == 2
    assert [item["n"] for item in await every(one.iterate_items())] == [1, 2]
    assert b"n" in await done(one.get_items_as_bytes(item_format="csv"))
    async with opened(one.stream_items(item_format="jsonl")) as response:
        assert response.status_code == 200
    with pytest.raises(Exception, match="schema"):
        await done(one.get_statistics())
    assert made.id in await done(one.create_items_public_url())
    assert (await done(one.update(name=f"{name}-2"))).name == f"{name}-2"
    assert (await done(one.get())).id == made.id
    assert (await done(client.datasets().list())).total == 1
    assert len(await every(client.datasets().iterate())) == 1
    await done(one.delete())


async def key_value_stores(tour: Tour) -> None:
    client, name = tour.client, f"tour-{new_id().lower()}"
    made = await done(client.key_value_stores().get_or_create(name=name))
    one = client.key_value_store(made.id)
    await done(one.set_record("a", {"b": 1}))
    assert (await done(one.get_record("a")))["value"] == {"b": 1}
    assert await done(one.record_exists("a")) is True
    assert b"b" in (await done(one.get_record_as_bytes("a")))["value"]
    async with opened(one.stream_record("a")) as record:
        assert record["key"] == "a"
    assert [item.key for item in (await done(one.list_keys())).items] == ["a"]
    assert [item.key for item in await every(one.iterate_keys())] == ["a"]
    assert made.id in await done(one.get_record_public_url("a"))
    assert made.id in await done(one.create_keys_public_url())
    await done(one.delete_record("a"))
    await done(one.update(name=f"{name}-2"))
    assert (await done(one.get())).name == f"{name}-2"
    assert (await done(client.key_value_stores().list())).total == 1
    assert len(await every(client.key_value_stores().iterate())) == 1
    await done(one.delete())


async def request_queues(tour: Tour) -> None:
    client, name = tour.client, f"tour-{new_id().lower()}"
    made = await done(client.request_queues().get_or_create(name=name))
    one = client.request_queue(made.id, client_key="tour")
    urls = [{"url": f"https://example.com/{n}", "unique_key": str(n)} for n in range(3)]
    first = await done(one.add_request(urls[0]))
    await done(one.batch_add_requests(urls[1:]))
    assert len((await done(one.list_head())).items) == 3
    locked = await done(one.list_and_lock_head(lock_duration=timedelta(seconds=60), limit=2))
    ids = [item.id for item in locked.items]
    await done(one.prolong_request_lock(ids[0], lock_duration=timedelta(seconds=60)))
    await done(one.delete_request_lock(ids[0]))
    assert (await done(one.unlock_requests())).unlocked_count == 1
    request = await done(one.get_request(first.request_id))
    await done(one.update_request(request))
    assert len((await done(one.list_requests())).items) == 3
    assert len(await every(one.iterate_requests())) == 3
    await done(one.delete_request(first.request_id))
    await done(one.batch_delete_requests([{"unique_key": "1"}]))
    await done(one.update(name=f"{name}-2"))
    assert (await done(one.get())).total_request_count == 1
    assert (await done(client.request_queues().list())).total == 1
    assert len(await every(client.request_queues().iterate())) == 1
    await done(one.delete())


async def actors_and_versions(tour: Tour) -> None:
    client = tour.client
    made = await done(client.actors().create(name=f"tour-{new_id()}", versions=[VERSION]))
    one = client.actor(made.id)
    await done(one.update(title="New"))
    assert (await done(one.get())).title == "New"
    assert (await done(client.actors().list(my=True))).total >= 1
    assert await every(client.actors().iterate())
    version = await done(
        one.versions().create(version_number="0.1", source_type="SOURCE_FILES", source_files=[])
    )
    assert version.version_number == "0.1"
    assert (await done(one.versions().list())).total == 2
    assert len(await every(one.versions().iterate())) == 2
    inner = one.version("0.1")
    await done(inner.update(build_tag="beta"))
    assert (await done(inner.get())).build_tag == "beta"
    await done(inner.env_vars().create(name="A", value="1"))
    assert (await done(inner.env_vars().list())).total == 1
    assert len(await every(inner.env_vars().iterate())) == 1
    variable = inner.env_var("A")
    await done(variable.update(name="A", value="2"))
    assert (await done(variable.get())).value == "2"
    await done(variable.delete())
    await done(inner.delete())
    assert (await done(one.webhooks().list())).total == 0
    await done(one.delete())


async def builds(tour: Tour, actor_id: str) -> None:
    client, actor = tour.client, tour.client.actor(actor_id)
    default = await done((await done(actor.default_build())).get())
    assert (await done(actor.builds().list())).total == 1
    build = await done(actor.build(version_number="0.0", tag="tour"))
    one = client.build(build.id)
    assert (await done(one.wait_for_finish())).status == "SUCCEEDED"
    assert (await done(one.get())).build_number == "0.0.2"
    assert (await done(one.get_open_api_definition()))["openapi"].startswith("3.")
    assert await done(one.log().get())
    assert (await done(one.abort())).status == "SUCCEEDED"
    assert (await done(client.builds().list())).total == 2
    assert len(await every(client.builds().iterate())) == 2
    assert default.id != build.id
    await done(one.delete())


async def runs(tour: Tour, actor_id: str) -> None:
    client, actor = tour.client, tour.client.actor(actor_id)
    assert await done(actor.validate_input({"sleep": 0}))
    called = await done(actor.call(run_input={"sleep": 0}, memory_mbytes=128))
    assert called.status == "SUCCEEDED"
    last = actor.last_run(status="SUCCEEDED")
    assert (await done(last.get())).id == called.id
    one = client.run(called.id)
    assert (await done(one.dataset().list_items())).count == 2
    assert len(await every(one.iterate_dataset_items())) == 2
    assert (await done(one.key_value_store().get_record("INPUT")))["value"] == {"sleep": 0}
    assert (await done(one.request_queue().get())).total_request_count == 0
    assert "started" in await done(one.log().get())
    assert b"started" in await done(client.log(called.id).get_as_bytes())
    async with opened(client.log(called.id).stream()) as response:
        assert response.status_code == 200
    async with opened(await done(one.get_streamed_log())):
        pass
    async with opened(await done(one.get_status_message_watcher())):
        pass
    await done(one.update(status_message="seen"))
    assert (await done(actor.runs().list())).total == 1
    assert len(await every(client.runs().iterate())) == 1
    assert (await done(client.runs().list())).total == 1
    assert (await done(one.resurrect())).id == called.id
    assert (await done(one.wait_for_finish())).status == "SUCCEEDED"
    await running(tour, actor_id)
    await done(one.delete())


async def running(tour: Tour, actor_id: str) -> None:
    """What is done with a run that is under way."""
    client = tour.client
    run = await done(client.actor(actor_id).start(run_input={"sleep": 600}, memory_mbytes=128))
    one = client.run(run.id)
    await until_logged(client, run.id, "started")
    await done(one.charge("page", count=2))
    await done(one.reboot())
    await until_logged(client, run.id, "(start 2)")
    await done(one.metamorph(target_actor_id=actor_id, run_input={"sleep": 600}))
    await done(one.abort())
    assert (await done(one.wait_for_finish())).status == "ABORTED"


async def tasks(tour: Tour, actor_id: str) -> None:
    client = tour.client
    made = await done(
        client.tasks().create(actor_id=actor_id, name=f"tour-{new_id()}", memory_mbytes=128)
    )
    one = client.task(made.id)
    await done(one.update(title="New"))
    assert (await done(one.get())).title == "New"
    await done(one.update_input(task_input={"sleep": 0}))
    assert await done(one.get_input()) == {"sleep": 0}
    assert (await done(one.publish())).is_public is True
    assert (await done(one.unpublish())).is_public is False
    assert (await done(one.call())).status == "SUCCEEDED"
    started = await done(one.start(wait_for_finish=60))
    assert (await done(one.last_run().get())).id == started.id
    assert (await done(one.runs().list())).total == 2
    assert (await done(one.webhooks().list())).total == 0
    assert (await done(client.tasks().list())).total == 1
    assert len(await every(client.tasks().iterate())) == 1
    await done(one.delete())


async def schedules(tour: Tour) -> None:
    client = tour.client
    made = await done(
        client.schedules().create(
            cron_expression="@daily", is_enabled=True, is_exclusive=False, name="tour"
        )
    )
    one = client.schedule(made.id)
    assert (await done(one.update(cron_expression="@hourly"))).cron_expression == "@hourly"
    assert (await done(one.get())).name == "tour"
    assert await done(one.get_log()) is not None
    assert (await done(client.schedules().list())).total == 1
    assert len(await every(client.schedules().iterate())) == 1
    await done(one.delete())


async def webhooks(tour: Tour, actor_id: str) -> None:
    client = tour.client
    made = await done(
        client.webhooks().create(
            event_types=["ACTOR.BUILD.ABORTED"],
            request_url="https://example.invalid/",
            actor_id=actor_id,
            do_not_retry=True,
        )
    )
    one = client.webhook(made.id)
    await done(one.update(description="New"))
    assert (await done(one.get())).description == "New"
    dispatch = await done(one.test())
    assert (await done(client.webhook_dispatch(dispatch.id).get())).id == dispatch.id
    assert (await done(one.dispatches().list())).total == 1
    assert (await done(client.webhook_dispatches().list())).total == 1
    assert len(await every(client.webhook_dispatches().iterate())) == 1
    assert (await done(client.webhooks().list())).total == 1
    assert len(await every(client.webhooks().iterate())) == 1
    await done(one.delete())


async def account(tour: Tour) -> None:
    client = tour.client
    assert (await done(client.user().get())).username
    assert await done(client.user().limits())
    assert await done(client.user().monthly_usage())
    await done(client.user().update_limits(data_retention_days=9))
    assert (await done(client.store().list())).total >= 0
    await every(client.store().iterate(limit=1))


async def test_every_public_method_is_called(
    client: Any, actors: ActorMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tour = Tour(client, actors)
    tour.record(monkeypatch)
    made = await actors.python(ACTOR, pricingInfos=PAY_PER_EVENT)
    for part in (datasets, key_value_stores, request_queues, actors_and_versions):
        await part(tour)
    for part in (builds, runs, tasks, webhooks):
        await part(tour, made["id"])
    await schedules(tour)
    await account(tour)
    there_are = {title(one, name) for one in client_classes() for name in public_methods(one)}
    assert there_are - tour.called == LEFT_OUT.keys()
