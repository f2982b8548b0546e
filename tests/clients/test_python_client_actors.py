"""Actors, versions, environment variables and builds by the official Python client."""

from datetime import timedelta
from typing import Any

import pytest
from apify_client.errors import ConflictError, InvalidRequestError, NotFoundError

from callboard.core.ids import new_id
from tests.actors import ActorMaker
from tests.clients.python_client import done, every, opened, streamed

HELLO = [{"name": "main.py", "format": "TEXT", "content": "print('hello from the program')\n"}]


def fresh_name() -> str:
    return f"actor-{new_id()[:8].lower()}"


async def created(client: Any, **fields: Any) -> Any:
    version = {
        "versionNumber": "0.1",
        "sourceType": "SOURCE_FILES",
        "buildTag": "latest",
        "sourceFiles": HELLO,
    }
    return await done(
        client.actors().create(name=fresh_name(), **{"versions": [version], **fields})
    )


async def test_an_actor_is_created_read_updated_and_deleted(client: Any) -> None:
    actor = await created(
        client,
        title="A title",
        description="What it does",
        categories=["AI"],
        default_run_memory_mbytes=256,
        default_run_timeout=timedelta(seconds=90),
        example_run_input_body='{"a": 1}',
        example_run_input_content_type="application/json",
    )
    by_name = await done(client.actor(f"{actor.username}/{actor.name}").get())
    assert by_name.id == actor.id
    assert by_name.default_run_options.memory_mbytes == 256
    assert by_name.default_run_options.timeout_secs == 90
    assert by_name.example_run_input.body == '{"a": 1}'
    renamed = await done(client.actor(actor.id).update(title="Another", is_deprecated=True))
    assert renamed.title == "Another"
    assert renamed.description == "What it does"
    await done(client.actor(actor.id).delete())
    assert await done(client.actor(actor.id).get()) is None


async def test_standby_options_of_an_actor_are_kept(client: Any) -> None:
    actor = await created(
        client,
        actor_standby_is_enabled=True,
        actor_standby_desired_requests_per_actor_run=3,
        actor_standby_max_requests_per_actor_run=5,
        actor_standby_idle_timeout=timedelta(seconds=60),
        actor_standby_memory_mbytes=512,
    )
    standby = actor.actor_standby
    assert (standby.is_enabled, standby.memory_mbytes) == (True, 512)
    assert standby.desired_requests_per_actor_run == 3
    assert standby.idle_timeout_secs == 60


async def test_actors_are_listed_and_iterated(client: Any) -> None:
    made = [(await created(client)).id for _ in range(3)]
    page = await done(client.actors().list(my=True, limit=2, desc=True))
    assert (page.total, page.count, page.limit) == (3, 2, 2)
    assert [row.id for row in page.items] == made[:0:-1]
    assert [row.id for row in await every(client.actors().iterate(my=True))] == made


async def test_a_taken_name_and_an_unknown_actor_are_errors(client: Any) -> None:
    actor = await created(client)
    with pytest.raises(ConflictError):
        await done(client.actors().create(name=actor.name))
    with pytest.raises(NotFoundError) as caught:
        await done(client.actor("absent").start())
    assert caught.value.type == "record-not-found"
    with pytest.raises(InvalidRequestError):
        await done(client.actors().create(name="not a name"))


async def test_versions_are_managed(client: Any) -> None:
    actor = client.actor((await created(client)).id)
    second = await done(
        actor.versions().create(
            version_number="0.2",
            build_tag="beta",
            env_vars=[{"name": "COLOUR", "value": "red"}],
            source_type="SOURCE_FILES",
            source_files=HELLO,
        )
    )
    assert second.env_vars[0].value == "red"
    assert (await done(actor.versions().list())).total == 2
    numbers = [version.version_number for version in await every(actor.versions().iterate())]
    assert numbers == ["0.1", "0.2"]
    changed = await done(
        actor.version("0.2").update(
            source_type="GIT_REPO", git_repo_url="https://example.com/repository.git"
        )
    )
    assert str(changed.git_repo_url) == "https://example.com/repository.git"
    assert (await done(actor.version("0.2").get())).build_tag == "beta"
    await done(actor.version("0.2").delete())
    assert await done(actor.version("0.2").get()) is None


async def test_environment_variables_are_managed(client: Any) -> None:
    version = client.actor((await created(client)).id).version("0.1")
    await done(version.env_vars().create(name="OPEN", value="seen"))
    secret = await done(version.env_vars().create(name="CLOSED", value="hidden", is_secret=True))
    assert secret.value is None
    assert (await done(version.env_vars().list())).total == 2
    assert {one.name for one in await every(version.env_vars().iterate())} == {"OPEN", "CLOSED"}
    changed = await done(version.env_var("OPEN").update(name="OPEN", value="changed"))
    assert changed.value == "changed"
    assert (await done(version.env_var("OPEN").get())).value == "changed"
    await done(version.env_var("OPEN").delete())
    assert await done(version.env_var("OPEN").get()) is None


async def test_a_build_is_waited_for_and_found_again(client: Any) -> None:
    actor = client.actor((await created(client)).id)
    started = await done(actor.build(version_number="0.1", tag="latest", use_cache=True))
    build = await done(client.build(started.id).wait_for_finish())
    assert (build.status, build.build_number) == ("SUCCEEDED", "0.1.1")
    assert (await done((await done(actor.default_build())).get())).build_number == "0.1.1"
    assert [row.id for row in (await done(actor.builds().list())).items] == [build.id]
    assert build.id in {row.id for row in await every(client.builds().iterate(desc=True))}
    tagged = (await done(actor.get())).tagged_builds
    assert tagged["latest"].build_id == build.id


async def test_the_log_of_a_build_is_read_and_streamed(client: Any) -> None:
    actor = client.actor((await created(client)).id)
    build = await done(actor.build(version_number="0.1", wait_for_finish=60))
    text = await done(client.build(build.id).log().get())
    assert "main.py" in text
    async with opened(client.log(build.id).stream()) as response:
        assert (await streamed(client, response)).decode() == text


async def test_a_build_without_sources_to_start_fails(client: Any) -> None:
    nothing = [{"name": "notes.txt", "format": "TEXT", "content": "nothing to start"}]
    actor = client.actor((await created(client)).id)
    await done(actor.version("0.1").update(source_type="SOURCE_FILES", source_files=nothing))
    build = await done(actor.build(version_number="0.1", wait_for_finish=60))
    assert build.status == "FAILED"


async def test_a_finished_build_can_be_aborted_to_no_effect(client: Any) -> None:
    actor = client.actor((await created(client)).id)
    build = await done(actor.build(version_number="0.1", wait_for_finish=60))
    assert (await done(client.build(build.id).abort())).status == "SUCCEEDED"


async def test_a_build_is_deleted_unless_it_is_the_default(client: Any) -> None:
    actor = client.actor((await created(client)).id)
    first = await done(actor.build(version_number="0.1", wait_for_finish=60))
    second = await done(actor.build(version_number="0.1", wait_for_finish=60))
    await done(client.build(first.id).delete())
    assert await done(client.build(first.id).get()) is None
    assert (await done(client.build(second.id).get())).build_number == "0.1.2"


async def test_a_build_gets_another_tag(client: Any) -> None:
    actor = client.actor((await created(client)).id)
    build = await done(actor.build(version_number="0.1", wait_for_finish=60))
    moved = await done(actor.update(tagged_builds={"stable": {"buildId": build.id}}))
    assert moved.tagged_builds["stable"].build_number == "0.1.1"
    assert moved.tagged_builds["latest"].build_id == build.id


async def test_input_is_validated_against_the_schema(client: Any, actors: ActorMaker) -> None:
    schema = (
        '{"title": "I", "type": "object", "schemaVersion": 1, "required": ["n"], "properties": '
        '{"n": {"title": "N", "type": "integer", "description": "A number"}}}'
    )
    actor = await actors.python("pass", files={".actor/INPUT_SCHEMA.json": schema})
    assert await done(client.actor(actor["id"]).validate_input({"n": 1})) is True
    with pytest.raises(InvalidRequestError) as caught:
        await done(client.actor(actor["id"]).validate_input({"n": "one"}))
    assert caught.value.type == "invalid-input"
