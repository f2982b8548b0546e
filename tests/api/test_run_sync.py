"""`run-sync` of an Actor: input, waiting, and the output record in the answer."""

import asyncio
import base64
import gzip
import json

import brotli
import pytest

from tests.actors import ActorMaker
from tests.receivers import Receiver
from tests.server import Client, Server

SMALL = {"memory": 128}

ECHO = """
data = call("GET", f"{STORE}/records/INPUT")
headers = {"Authorization": "Bearer " + os.environ["APIFY_TOKEN"]}
request = urllib.request.Request(f"{STORE}/records/INPUT", headers=headers)
with urllib.request.urlopen(request) as response:
    set_value("OUTPUT", response.read(), response.headers["Content-Type"])
"""

STRICT_SCHEMA = {
    "title": "Strict",
    "type": "object",
    "schemaVersion": 1,
    "properties": {
        "url": {"title": "U", "type": "string", "description": "d", "editor": "textfield"},
        "depth": {"title": "D", "type": "integer", "description": "d", "default": 3},
    },
    "required": ["url"],
}


@pytest.fixture
async def echo(actors: ActorMaker) -> str:
    """An Actor that answers with its input, byte for byte."""
    return (await actors.python(ECHO))["id"]


@pytest.fixture
async def strict(actors: ActorMaker) -> str:
    """The same with an input schema."""
    files = {".actor/INPUT_SCHEMA.json": json.dumps(STRICT_SCHEMA)}
    return (await actors.python(ECHO, files=files))["id"]


async def test_the_output_record_comes_back_byte_for_byte(api: Client, actors: ActorMaker):
    actor = await actors.python('set_value("OUTPUT", b\'{"b": 1,  "a": [2.0]}\')')
    reply = await api.post(f"/v2/acts/{actor['id']}/run-sync", params=SMALL, json={})
    assert (reply.status, reply.body) == (201, b'{"b": 1,  "a": [2.0]}')
    assert reply.headers["Content-Type"].startswith("application/json")


async def test_an_html_and_a_binary_output_keep_their_types(api: Client, actors: ActorMaker):
    actor = await actors.python(
        """
        set_value("PAGE", b"<h1>Hi</h1>", "text/html")
        set_value("OUTPUT", bytes(range(256)), "image/png")
        """
    )
    image = await api.post(f"/v2/acts/{actor['id']}/run-sync", params=SMALL)
    assert (image.status, image.body, image.headers["Content-Type"]) == (
        201,
        bytes(range(256)),
        "image/png",
    )
    page = await api.post(
        f"/v2/acts/{actor['id']}/run-sync", params={**SMALL, "outputRecordKey": "PAGE"}
    )
    assert page.body == b"<h1>Hi</h1>"
    assert page.headers["Content-Type"].startswith("text/html")


async def test_a_gzip_stored_output_is_served_as_the_client_accepts_it(
    api: Client, actors: ActorMaker
):
    actor = await actors.python(
        """
        import gzip
        packed = gzip.compress(b'{"a":1}')
        call("PUT", f"{STORE}/records/OUTPUT", packed, **{"Content-Encoding": "gzip"})
        """
    )
    path = f"/v2/acts/{actor['id']}/run-sync"
    plain = await api.post(path, params=SMALL)
    packed = await api.post(path, params=SMALL, headers={"Accept-Encoding": "gzip"})
    assert plain.body == b'{"a":1}'
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == b'{"a":1}'


async def test_without_an_output_record_the_answer_is_an_empty_201(api: Client, actors: ActorMaker):
    actor = await actors.python('set_value("it\'s(ok)!", 1)')
    path = f"/v2/acts/{actor['id']}/run-sync"
    empty = await api.post(path, params=SMALL)
    assert (empty.status, empty.body, empty.headers.get("Content-Type")) == (201, b"", None)
    named = await api.post(path, params={**SMALL, "outputRecordKey": "it's(ok)!"})
    assert named.json == 1


async def test_an_invalid_output_key_is_refused_before_a_run_starts(api: Client, echo: str):
    reply = await api.post(f"/v2/acts/{echo}/run-sync", params={"outputRecordKey": "a/b"})
    assert (reply.status, reply.error["type"]) == (400, "invalid-record-key")
    assert (await api.get(f"/v2/acts/{echo}/runs")).data["total"] == 0


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"plain \xc3\xa9", "text/plain; charset=utf-8"),
        (b"<a><b/></a>", "application/xml"),
        (bytes(range(256)), "application/octet-stream"),
        (b'{"z":1, "a":  2}', "application/json; charset=utf-8"),
        (b"[1]", "application/json"),
        (b'"x"', "application/json"),
        (b"null", "application/json"),
    ],
    ids=["text", "xml", "binary", "json", "array", "string", "null"],
)
async def test_the_input_keeps_its_bytes_and_type(
    api: Client, echo: str, body: bytes, content_type: str
):
    reply = await api.post(
        f"/v2/actors/{echo}/run-sync",
        params=SMALL,
        data=body,
        headers={"Content-Type": content_type},
    )
    assert (reply.status, reply.body) == (201, body)
    assert reply.headers["Content-Type"] == content_type


async def test_json_without_a_content_type_is_taken_for_json(api: Client, strict: str):
    reply = await api.post(f"/v2/acts/{strict}/run-sync", params=SMALL, data=b'{"url":"x"}')
    assert reply.json == {"url": "x", "depth": 3}


async def test_a_body_that_is_not_json_passes_an_input_schema(api: Client, strict: str):
    reply = await api.post(
        f"/v2/acts/{strict}/run-sync",
        params=SMALL,
        data=b"just text",
        headers={"Content-Type": "text/plain"},
    )
    assert reply.body == b"just text"


async def test_truncated_json_is_refused(api: Client, echo: str):
    reply = await api.post(
        f"/v2/acts/{echo}/run-sync", data=b'{"a":', headers={"Content-Type": "application/json"}
    )
    assert (reply.status, reply.error["type"]) == (400, "run-input-body-not-valid-json")


async def test_a_schema_refuses_json_that_is_no_object(api: Client, strict: str):
    reply = await api.post(f"/v2/acts/{strict}/run-sync", json=[1])
    assert (reply.status, reply.error["type"]) == (400, "input-json-not-object")


async def test_an_input_that_fails_its_schema_starts_no_run(api: Client, strict: str):
    reply = await api.post(f"/v2/acts/{strict}/run-sync", json={"depth": "deep"})
    assert (reply.status, reply.error["type"]) == (400, "invalid-input")
    assert "input.url is required" in reply.error["message"]
    assert (await api.get(f"/v2/acts/{strict}/runs")).data["total"] == 0


async def test_a_get_passes_no_input(api: Client, actors: ActorMaker):
    actor = await actors.python(
        """
        import urllib.error
        try:
            call("GET", f"{STORE}/records/INPUT")
            found = True
        except urllib.error.HTTPError as error:
            found = error.code
        set_value("OUTPUT", [found, os.environ["ACTOR_INPUT_KEY"]])
        """
    )
    reply = await api.get(f"/v2/acts/{actor['id']}/run-sync", params=SMALL)
    assert (reply.status, reply.json) == (201, [404, "INPUT"])


async def test_a_get_misses_a_required_field(api: Client, strict: str):
    reply = await api.get(f"/v2/acts/{strict}/run-sync")
    assert (reply.status, reply.error["type"]) == (400, "invalid-input")


async def test_a_get_turned_into_a_post_has_an_empty_body(api: Client, strict: str, echo: str):
    reply = await api.get(f"/v2/acts/{strict}/run-sync", params={"method": "POST"})
    assert (reply.status, reply.error["type"]) == (400, "invalid-input")


@pytest.mark.parametrize(
    ("script", "exit_code"),
    [("exit 1", 1), ("exit 2", 2), ("exit 91", 91), ("kill -9 $$", 137)],
    ids=["one", "two", "ninety-one", "killed"],
)
async def test_a_run_that_fails_is_told_with_its_id(
    api: Client, actors: ActorMaker, script: str, exit_code: int
):
    actor = await actors.shell(script)
    reply = await api.post(f"/v2/acts/{actor['id']}/run-sync", params=SMALL)
    run = (await api.get(f"/v2/acts/{actor['id']}/runs/last")).data
    assert (reply.status, reply.error) == (
        400,
        {
            "type": "run-failed",
            "message": f"Actor run did not succeed (run ID: {run['id']}, status: FAILED)",
        },
    )
    assert run["exitCode"] == exit_code


async def test_a_run_over_its_memory_fails_and_says_why(api: Client, actors: ActorMaker):
    actor = await actors.python("hog = bytearray(400 * 1024 * 1024); time.sleep(5)")
    reply = await api.post(f"/v2/acts/{actor['id']}/run-sync", params=SMALL)
    run = (await api.get(f"/v2/acts/{actor['id']}/runs/last")).data
    log = (await api.get(f"/v2/logs/{run['id']}")).body.decode()
    assert (reply.status, reply.error["type"]) == (400, "run-failed")
    assert "memory limit of 128 MB" in run["statusMessage"]
    assert "128 MB" in log


async def test_a_run_over_its_disk_space_fails_and_says_why(api: Client, actors: ActorMaker):
    actor = await actors.shell("for n in 1 2 3 4 5 6; do head -c 60M /dev/zero >$n; done; sleep 30")
    reply = await api.post(f"/v2/acts/{actor['id']}/run-sync", params=SMALL)
    run = (await api.get(f"/v2/acts/{actor['id']}/runs/last")).data
    log = (await api.get(f"/v2/logs/{run['id']}")).body.decode()
    assert (reply.status, reply.error["type"]) == (400, "run-failed")
    assert run["statusMessage"] == "Actor run exceeded its disk limit of 256 MB"
    assert "Disk limit of 256 MB exceeded" in log


async def test_a_run_reaching_its_timeout_is_a_failed_run(api: Client, actors: ActorMaker):
    actor = await actors.shell("sleep 60")
    reply = await api.post(f"/v2/acts/{actor['id']}/run-sync", params={**SMALL, "timeout": 1})
    assert (reply.status, reply.error["type"]) == (400, "run-failed")
    assert "status: TIMED-OUT" in reply.error["message"]


async def test_over_the_cap_the_answer_is_408_and_the_run_goes_on(new_server):
    server: Server = new_server(sync_wait_secs="1")
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("sleep 2.5")
        reply = await api.post(f"/v2/acts/{actor['id']}/run-sync", params={**SMALL, "timeout": 0})
        assert (reply.status, reply.error) == (
            408,
            {
                "type": "run-timeout-exceeded",
                "message": "Actor run exceeded the timeout of 1 seconds for this API endpoint",
            },
        )
        run = (
            await api.get(f"/v2/acts/{actor['id']}/runs/last", params={"waitForFinish": 30})
        ).data
        assert (run["status"], run["options"]["timeoutSecs"]) == ("SUCCEEDED", 0)


async def test_an_abort_from_elsewhere_ends_the_wait(api: Client, actors: ActorMaker):
    actor = await actors.shell("sleep 60")
    held = asyncio.ensure_future(api.post(f"/v2/acts/{actor['id']}/run-sync", params=SMALL))
    run = await running(api, actor["id"])
    aborted = (await api.post(f"/v2/actor-runs/{run['id']}/abort")).data
    reply = await held
    assert aborted["status"] in ("ABORTING", "ABORTED")
    assert reply.error["message"].endswith("status: ABORTED)")


async def test_a_run_goes_on_when_its_client_hangs_up(api: Client, actors: ActorMaker):
    actor = await actors.shell("sleep 1")
    held = asyncio.ensure_future(api.post(f"/v2/acts/{actor['id']}/run-sync", params=SMALL))
    run = await running(api, actor["id"])
    held.cancel()
    ended = (await api.get(f"/v2/actor-runs/{run['id']}", params={"waitForFinish": 30})).data
    assert ended["status"] == "SUCCEEDED"


async def test_restart_on_error_starts_it_three_times_more(api: Client, actors: ActorMaker):
    actor = await actors.shell("echo start; exit 3")
    reply = await api.post(
        f"/v2/acts/{actor['id']}/run-sync", params={**SMALL, "restartOnError": True}
    )
    run = (await api.get(f"/v2/acts/{actor['id']}/runs/last")).data
    log = (await api.get(f"/v2/logs/{run['id']}")).body.decode()
    assert (reply.status, reply.error["type"]) == (400, "run-failed")
    assert run["stats"]["restartCount"] == 3
    assert log.count("Z start") == 4


async def test_nothing_is_returned_before_the_exit(api: Client, actors: ActorMaker):
    actor = await actors.python("set_value('OUTPUT', 1); time.sleep(1.5)")
    started = asyncio.get_running_loop().time()
    reply = await api.post(f"/v2/acts/{actor['id']}/run-sync", params=SMALL)
    assert reply.json == 1
    assert asyncio.get_running_loop().time() - started >= 1.5


async def test_simultaneous_runs_do_not_see_each_others_storages(api: Client, echo: str):
    replies = await asyncio.gather(
        *(api.post(f"/v2/acts/{echo}/run-sync", params=SMALL, json={"n": n}) for n in range(4))
    )
    assert [reply.json for reply in replies] == [{"n": n} for n in range(4)]


async def test_every_form_of_reference_finds_the_actor(api: Client, actors: ActorMaker):
    actor = await actors.shell("true")
    name = actor["name"]
    refs = (actor["id"], f"{api.username}~{name}", f"~{name}", f"me~{name}", f"%7E{name}")
    for prefix in ("acts", "actors"):
        for ref in refs:
            reply = await api.post(f"/v2/{prefix}/{ref}/run-sync", params=SMALL)
            assert reply.status == 201, ref


@pytest.mark.parametrize(
    ("params", "status", "error_type"),
    [
        ({"memory": 100}, 400, "invalid-value"),
        ({"memory": 64}, 400, "invalid-value"),
        ({"memory": 65536}, 400, "invalid-value"),
        ({"memory": "abc"}, 400, "invalid-parameter"),
        ({"timeout": -1}, 400, "invalid-parameter"),
        ({"timeout": "NaN"}, 400, "invalid-parameter"),
        ({"maxItems": 0}, 400, "max-items-must-be-greater-than-zero"),
        (
            {"maxTotalChargeUsd": 0},
            400,
            "max-total-charge-usd-must-be-greater-than-zero",
        ),
        ({"build": "0.1"}, 403, "unknown-build-tag"),
        ({"build": "nope"}, 403, "unknown-build-tag"),
        ({"build": "7.7.7"}, 403, "build-not-found"),
        ({"webhooks": "!!!"}, 400, "invalid-value"),
        ({"restartOnError": "maybe"}, 400, "invalid-parameter"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
async def test_a_bad_option_is_refused(
    api: Client, echo: str, params: dict[str, object], status: int, error_type: str
):
    reply = await api.post(f"/v2/acts/{echo}/run-sync", params=params)
    assert (reply.status, reply.error["type"]) == (status, error_type)


async def test_an_actor_that_was_never_built_has_no_latest_build(api: Client, actors: ActorMaker):
    actor = await actors.create({"main.py": ""})
    reply = await api.post(f"/v2/acts/{actor['id']}/run-sync", params={"build": "latest"})
    assert (reply.status, reply.error["type"]) == (403, "unknown-build-tag")


async def test_errors_of_the_synchronous_pages_have_their_own_words(
    api: Client, other: Client, echo: str
):
    missing = await api.post("/v2/acts/nobody~nothing/run-sync")
    assert (missing.status, missing.error) == (
        404,
        {"type": "actor-not-found", "message": "Actor was not found"},
    )
    assert (await other.post(f"/v2/acts/{echo}/run-sync")).error["type"] == "actor-not-found"
    bad = await api.post(f"/v2/acts/{echo}/run-sync", token="nonsense")
    assert (bad.status, bad.error) == (
        401,
        {"type": "token-not-valid", "message": "Authentication token is not valid."},
    )
    none = await api.post(f"/v2/acts/{echo}/run-sync", token=None)
    assert (none.status, none.error["type"]) == (401, "token-not-provided")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "PATCH"])
async def test_other_methods_are_not_allowed(api: Client, echo: str, method: str):
    reply = await api.request(method, f"/v2/acts/{echo}/run-sync")
    assert reply.status == 405
    if method != "HEAD":
        assert reply.error == {
            "type": "method-not-allowed",
            "message": "This API end-point can only be accessed using the following HTTP methods: OPTIONS,GET,POST",
        }


async def test_a_browser_may_ask_first(api: Client, echo: str):
    reply = await api.request("OPTIONS", f"/v2/acts/{echo}/run-sync", token=None)
    assert reply.status == 204
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert reply.headers["Access-Control-Allow-Methods"] == "OPTIONS,GET,POST"


async def test_compressed_bodies_are_inflated(api: Client, echo: str):
    body = json.dumps({"text": "x" * 2000}).encode()
    for coding, packed in (("gzip", gzip.compress(body)), ("br", brotli.compress(body))):
        reply = await api.post(
            f"/v2/acts/{echo}/run-sync",
            params=SMALL,
            data=packed,
            headers={"Content-Type": "application/json", "Content-Encoding": coding},
        )
        assert reply.body == body


async def test_an_unknown_coding_is_415_and_a_bomb_is_413(api: Client, echo: str):
    path = f"/v2/acts/{echo}/run-sync"
    headers = {"Content-Type": "application/json"}
    odd = await api.post(path, data=b"{}", headers={**headers, "Content-Encoding": "zstd"})
    assert (odd.status, odd.error["type"]) == (415, "unsupported-content-encoding")
    bomb = gzip.compress(b" " * 30_000_000)
    big = await api.post(path, data=bomb, headers={**headers, "Content-Encoding": "gzip"})
    assert (big.status, big.error["type"]) == (413, "request-too-large")
    assert "9437184" in big.error["message"]


async def test_ad_hoc_webhooks_fire_once_for_start_and_end(
    api: Client, actors: ActorMaker, receiver: Receiver
):
    actor = await actors.shell("true")
    hooks = [
        {
            "eventTypes": ["ACTOR.RUN.CREATED", "ACTOR.RUN.SUCCEEDED", "ACTOR.RUN.FAILED"],
            "requestUrl": receiver.url,
        }
    ]
    encoded = base64.b64encode(json.dumps(hooks).encode()).decode()
    reply = await api.post(
        f"/v2/acts/{actor['id']}/run-sync", params={**SMALL, "webhooks": encoded}
    )
    assert reply.status == 201
    bodies = [json.loads(received.body) for received in await receiver.until(2)]
    assert sorted(body["eventType"] for body in bodies) == [
        "ACTOR.RUN.CREATED",
        "ACTOR.RUN.SUCCEEDED",
    ]
    assert len(receiver.received) == 2


async def test_a_run_waits_its_turn_for_memory(new_server):
    server: Server = new_server(memory_limit_mbytes="256", sync_wait_secs="1")
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("sleep 2")
        path = f"/v2/acts/{actor['id']}"
        first = (await api.post(f"{path}/runs", params={"memory": 256})).data
        held = await api.post(f"{path}/run-sync", params={"memory": 256})
        second = (await api.get(f"{path}/runs/last")).data
        assert (held.status, second["status"]) == (408, "READY")
        ended = (await api.get(f"/v2/actor-runs/{second['id']}", params={"waitForFinish": 30})).data
        assert ended["status"] == "SUCCEEDED"
        assert ended["id"] != first["id"]
        too_big = await api.post(f"{path}/run-sync", params={"memory": 512})
        assert (too_big.status, too_big.error["type"]) == (402, "actor-memory-limit-exceeded")


async def running(api: Client, actor_id: str) -> dict[str, str]:
    """The Actor's last run, once there is one that is RUNNING."""
    for _ in range(200):
        reply = await api.get(f"/v2/acts/{actor_id}/runs/last", params={"status": "RUNNING"})
        if reply.status == 200:
            return reply.data
        await asyncio.sleep(0.05)
    raise AssertionError("no run started")


async def test_two_hundred_held_requests_starve_nobody(new_server):
    server: Server = new_server(memory_limit_mbytes="128", sync_wait_secs="4")
    async with Client(server.url, server.token, "admin") as api:
        actor = await ActorMaker(api).shell("sleep 300")
        path = f"/v2/acts/{actor['id']}/run-sync"
        held = asyncio.gather(*(api.post(path, params=SMALL) for _ in range(200)))
        async with asyncio.timeout(60):
            while (await api.get(f"/v2/acts/{actor['id']}/runs")).data["total"] < 200:
                await asyncio.sleep(0.05)
            assert (await api.get("/v2/users/me")).status == 200
            assert {reply.status for reply in await held} == {408}
        listed = (await api.get(f"/v2/acts/{actor['id']}/runs", params={"status": "READY"})).data
        assert listed["total"] == 199
