"""Actors with the official Python SDK, run for real."""

import json

import pytest

from tests.actors import ActorMaker
from tests.e2e.sdk import SdkActors, python_program
from tests.server import Client

pytestmark = pytest.mark.xdist_group("sdk")

SCHEMA = {
    "title": "Input",
    "type": "object",
    "schemaVersion": 1,
    "properties": {
        "given": {"title": "Given", "type": "string", "description": "-", "editor": "textfield"},
        "missing": {
            "title": "Missing",
            "type": "integer",
            "description": "-",
            "default": 7,
        },
        "secret": {
            "title": "Secret",
            "type": "string",
            "description": "-",
            "editor": "textfield",
            "isSecret": True,
        },
    },
}


async def test_input_comes_with_defaults_and_opened_secrets(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.python(
        python_program("await Actor.set_value('OUTPUT', await Actor.get_input())"),
        files={".actor/INPUT_SCHEMA.json": json.dumps(SCHEMA)},
    )
    run = await sdk.ran(actor, {"given": "this", "secret": "not for everyone"})
    assert await sdk.record(run) == {"given": "this", "missing": 7, "secret": "not for everyone"}
    stored = await sdk.record(run, "INPUT")
    assert stored["secret"].startswith("ENCRYPTED_")
    assert "not for everyone" not in await sdk.log(run)


async def test_items_and_values_are_stored(sdk: SdkActors) -> None:
    actor = await sdk.python(
        python_program("""
await Actor.push_data({'n': 1})
await Actor.push_data([{'n': n} for n in range(2, 1001)])
await Actor.set_value('page', '<p>text</p>', content_type='text/html')
await Actor.set_value('OUTPUT', {'back': await Actor.get_value('page')})
dataset = await Actor.open_dataset()
await Actor.set_value('count', (await dataset.get_metadata()).item_count)
""")
    )
    run = await sdk.ran(actor)
    assert await sdk.record(run) == {"back": "<p>text</p>"}
    assert await sdk.record(run, "count") == 1000
    assert [item["n"] for item in await sdk.items(run)] == list(range(1, 1001))


async def test_a_request_queue_is_worked_off(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.python(
        python_program("""
queue = await Actor.open_request_queue()
await queue.add_requests([f'https://example.com/{n}' for n in range(30)])
await queue.add_request('https://example.com/0')
seen = []
while not await queue.is_finished():
    request = await queue.fetch_next_request()
    if request is None:
        continue
    seen.append(request.url)
    await queue.mark_request_as_handled(request)
await Actor.set_value('OUTPUT', seen)
""")
    )
    run = await sdk.ran(actor)
    assert await sdk.record(run) == [f"https://example.com/{n}" for n in range(30)]
    queue = (await api.get(f"/v2/request-queues/{run['defaultRequestQueueId']}")).data
    assert (queue["handledRequestCount"], queue["pendingRequestCount"]) == (30, 0)
    assert queue["hadMultipleClients"] is False


async def test_named_storages_outlive_their_run(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.python(
        python_program("""
store = await Actor.open_key_value_store(name='kept')
before = await store.get_value('count', 0)
await store.set_value('count', before + 1)
aside = await Actor.open_dataset(alias='aside')
await aside.push_data({'n': before})
await Actor.set_value('OUTPUT', before)
""")
    )
    runs = [await sdk.ran(actor), await sdk.ran(actor)]
    assert [await sdk.record(run) for run in runs] == [0, 1]
    kept = await api.get(f"/v2/key-value-stores/{api.username}~kept/records/count")
    assert kept.json == 2


async def test_a_terminal_status_message_stays(sdk: SdkActors) -> None:
    actor = await sdk.python(
        python_program("""
await Actor.set_status_message('Working')
await Actor.set_status_message('All found', is_terminal=True)
await Actor.set_status_message('Too late')
""")
    )
    run = await sdk.ran(actor)
    assert (run["status"], run["statusMessage"]) == ("SUCCEEDED", "All found")
    assert run["isStatusMessageTerminal"] is True


@pytest.mark.parametrize(
    ("body", "status", "exit_code", "message"),
    [
        ("pass", "SUCCEEDED", 0, None),
        ("await Actor.exit(status_message='Done early')", "SUCCEEDED", 0, "Done early"),
        ("await Actor.fail(exit_code=5, status_message='No luck')", "FAILED", 5, "No luck"),
        ("raise ValueError('unforeseen')", "FAILED", 91, None),
        ("os._exit(3)", "FAILED", 3, "Actor finished with exit code 3"),
    ],
    ids=["end", "exit", "fail", "exception", "sudden"],
)
async def test_a_run_ends_as_its_program_does(
    sdk: SdkActors, body: str, status: str, exit_code: int, message: str | None
) -> None:
    run = await sdk.ran(await sdk.python(python_program(body)))
    assert (run["status"], run["exitCode"]) == (status, exit_code), await sdk.log(run)
    if message is not None:
        assert run["statusMessage"] == message
    if exit_code == 91:
        assert "ValueError: unforeseen" in await sdk.log(run)


async def test_system_figures_arrive_and_are_real(sdk: SdkActors) -> None:
    actor = await sdk.python(
        python_program("""
ballast = bytearray(64 * 1024 * 1024)
arrived = asyncio.Queue()
Actor.on(Event.SYSTEM_INFO, lambda data: arrived.put_nowait(data))
await arrived.get()
figures = await arrived.get()
await Actor.set_value('OUTPUT', {
    'memory': figures.memory_info.current_size.bytes,
    'cpu': figures.cpu_info.used_ratio,
})
""")
    )
    run = await sdk.ran(actor, memory=512)
    figures = await sdk.record(run)
    assert 64 * 1024 * 1024 < figures["memory"] < 512 * 1024 * 1024
    assert 0 <= figures["cpu"] <= 1.5


async def test_state_is_persisted_when_asked(sdk: SdkActors) -> None:
    actor = await sdk.python(
        python_program("""
state = await Actor.use_state({'pages': 0})
state['pages'] += 3
persisted = asyncio.Event()
Actor.on(Event.PERSIST_STATE, lambda data: persisted.set())
await persisted.wait()
"""),
        version={"envVars": [{"name": "APIFY_PERSIST_STATE_INTERVAL_MILLIS", "value": "500"}]},
    )
    run = await sdk.ran(actor)
    assert run["status"] == "SUCCEEDED"
    assert {"pages": 3} in [
        await sdk.record(run, row["key"])
        for row in (await sdk.api.get(f"/v2/actor-runs/{run['id']}/key-value-store/keys")).data[
            "items"
        ]
        if row["key"] != "INPUT"
    ]


async def test_a_graceful_abort_lets_the_program_save_its_work(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.python(
        python_program("""
aborting = asyncio.Event()
Actor.on(Event.ABORTING, lambda data: aborting.set())
print('waiting for the abort')
await aborting.wait()
await Actor.set_value('OUTPUT', {'saved': True})
""")
    )
    run = await sdk.start(actor)
    await sdk.api.until_logged(run["id"], "waiting for the abort")
    await api.post(f"/v2/actor-runs/{run['id']}/abort", params={"gracefully": True})
    ended = (await api.get(f"/v2/actor-runs/{run['id']}", params={"waitForFinish": 60})).data
    assert ended["status"] == "ABORTED"
    assert await sdk.record(ended) == {"saved": True}


async def test_the_program_knows_its_run(sdk: SdkActors, api: Client) -> None:
    actor = await sdk.python(
        python_program("""
known = Actor.configuration
await Actor.set_value('OUTPUT', {
    'actor': known.actor_id,
    'run': known.actor_run_id,
    'memory': known.memory_mbytes,
    'seconds': (known.timeout_at - known.started_at).total_seconds(),
    'at_home': Actor.is_at_home(),
    'colour': os.environ['COLOUR'],
    'env': Actor.get_env()['build_number'],
})
print('the secret is', os.environ['CLOSED'])
"""),
        version={
            "envVars": [
                {"name": "COLOUR", "value": "red"},
                {"name": "CLOSED", "value": "open-sesame", "isSecret": True},
            ]
        },
    )
    run = await sdk.ran(actor, memory=256, timeout=90)
    known = await sdk.record(run)
    assert known.pop("seconds") == pytest.approx(90, abs=5)
    assert known == {
        "actor": actor["id"],
        "run": run["id"],
        "memory": 256,
        "at_home": True,
        "colour": "red",
        "env": "0.0.1",
    }
    log = await sdk.log(run)
    assert "the secret is" in log and "open-sesame" not in log


async def test_an_actor_calls_another_one(sdk: SdkActors, actors: ActorMaker) -> None:
    called = await actors.python("set_value('OUTPUT', {'twice': get_input()['n'] * 2})")
    actor = await sdk.python(
        python_program(f"""
run = await Actor.call('{called["id"]}', {{'n': 21}})
store = await Actor.open_key_value_store(id=run.default_key_value_store_id)
await Actor.set_value('OUTPUT', await store.get_value('OUTPUT'))
""")
    )
    assert await sdk.record(await sdk.ran(actor)) == {"twice": 42}
