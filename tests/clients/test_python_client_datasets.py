"""Datasets by the official Python client."""

import csv
import io
import json
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from apify_client.errors import ForbiddenError, NotFoundError

from callboard.core.ids import new_id
from tests.clients.python_client import done, every, opened, streamed
from tests.server import Client

ROWS = [{"n": n, "text": f"row {n}", "#hidden": n} for n in range(6)]

NOT_ALLOWED = (
    r"^Insufficient permissions for the dataset\. Make sure you're passing a correct API token "
    r"and that it has the required permissions\."
)


async def filled(client: Any, items: Any = ROWS) -> Any:
    """A client of a fresh dataset with `items` in it."""
    made = await done(client.datasets().get_or_create(name=f"d-{new_id().lower()}"))
    dataset = client.dataset(made.id)
    await done(dataset.push_items(items))
    return dataset


async def test_a_dataset_is_created_once_renamed_and_deleted(client: Any) -> None:
    first = await done(client.datasets().get_or_create(name="kept"))
    again = await done(client.datasets().get_or_create(name="kept"))
    assert (again.id, again.name) == (first.id, "kept")
    renamed = await done(client.dataset(first.id).update(name="other", title="Titled"))
    assert (renamed.name, renamed.title) == ("other", "Titled")
    assert (await done(client.dataset(first.id).get())).name == "other"
    await done(client.dataset(first.id).delete())
    assert await done(client.dataset(first.id).get()) is None


async def test_a_dataset_is_found_by_name(client: Any) -> None:
    made = await done(client.datasets().get_or_create(name="by-name"))
    username = (await done(client.user().get())).username
    assert (await done(client.dataset(f"{username}/by-name").get())).id == made.id


async def test_named_and_unnamed_datasets_are_listed(client: Any) -> None:
    unnamed = await done(client.datasets().get_or_create())
    named = [(await done(client.datasets().get_or_create(name=f"n{n}"))).id for n in range(3)]
    assert [row.id for row in (await done(client.datasets().list())).items] == named
    newest = await done(client.datasets().list(unnamed=True, desc=True, limit=2, offset=1))
    assert [row.id for row in newest.items] == [named[1], named[0]]
    ids = {row.id for row in await every(client.datasets().iterate(unnamed=True, chunk_size=2))}
    assert ids == {unnamed.id, *named}


@pytest.mark.parametrize(
    "items",
    [{"a": 1}, [{"a": 1}, {"a": 2}], '[{"a": "ř"}]', [{"a": "x" * 3000}]],
    ids=["object", "list", "text", "compressed"],
)
async def test_items_come_back_as_they_were_pushed(client: Any, items: Any) -> None:
    dataset = await filled(client, items)
    expected = json.loads(items) if isinstance(items, str) else items
    page = await done(dataset.list_items())
    assert page.items == (expected if isinstance(expected, list) else [expected])


async def test_a_page_of_items_tells_where_it_is(client: Any) -> None:
    dataset = await filled(client)
    page = await done(dataset.list_items(offset=1, limit=2, desc=True, fields=["n"]))
    assert page.items == [{"n": 4}, {"n": 3}]
    assert (page.total, page.offset, page.count, page.limit, page.desc) == (6, 1, 2, 2, True)


async def test_items_are_cleaned_and_reshaped(client: Any) -> None:
    dataset = await filled(client, [{"a": 1, "#b": 2}, {}, {"a": 3, "list": [{"c": 1}, {"c": 2}]}])
    assert (await done(dataset.list_items(clean=True, omit=["list"]))).items == [{"a": 1}, {"a": 3}]
    assert len((await done(dataset.list_items(skip_empty=True, skip_hidden=True))).items) == 2
    unwound = await done(dataset.list_items(unwind=["list"], offset=2))
    assert unwound.items == [{"a": 3, "c": 1}, {"a": 3, "c": 2}]
    flat = await filled(client, [{"a": {"b": 1}}])
    assert (await done(flat.list_items(flatten=["a"]))).items == [{"a.b": 1}]


async def test_items_are_iterated_over_many_pages(client: Any) -> None:
    dataset = await filled(client)
    items = await every(dataset.iterate_items(chunk_size=2, fields=["n"], offset=1))
    assert items == [{"n": n} for n in range(1, 6)]
    assert len(await every(dataset.iterate_items(limit=4, chunk_size=3))) == 4


@pytest.mark.parametrize("item_format", ["json", "jsonl", "csv", "html", "xml", "rss", "xlsx"])
async def test_items_are_downloaded_in_every_format(client: Any, item_format: str) -> None:
    dataset = await filled(client)
    content = await done(dataset.get_items_as_bytes(item_format=item_format))
    assert content.startswith(b"PK") if item_format == "xlsx" else b"row 5" in content
    async with opened(dataset.stream_items(item_format=item_format)) as response:
        body = await streamed(client, response)
    assert body.startswith(b"PK") if item_format == "xlsx" else body == content


async def test_csv_and_xml_have_their_options(client: Any) -> None:
    dataset = await filled(client, [{"a": 1, "b": "x;y"}])
    table = await done(dataset.get_items_as_bytes(item_format="csv", delimiter=";", bom=True))
    assert table.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(table.decode("utf-8-sig")), delimiter=";"))
    assert rows == [["a", "b"], ["1", "x;y"]]
    bare = await done(dataset.get_items_as_bytes(item_format="csv", skip_header_row=True))
    assert bare.decode("utf-8-sig").split() == ["1,x;y"]
    tree = await done(dataset.get_items_as_bytes(item_format="xml", xml_root="all", xml_row="one"))
    assert b"<all>" in tree and b"<one>" in tree


async def test_statistics_tell_of_the_fields(client: Any) -> None:
    schema = {
        "actorSpecification": 1,
        "fields": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "views": {},
    }
    made = await done(client.datasets().get_or_create(name="counted", schema=schema))
    await done(client.dataset(made.id).push_items([{"n": 1}, {"n": 5}]))
    statistics = await done(client.dataset(made.id).get_statistics())
    assert statistics.field_statistics["n"]["min"] == 1
    assert statistics.field_statistics["n"]["max"] == 5


async def test_what_is_absent_is_none_or_an_error(client: Any) -> None:
    assert await done(client.dataset("absent").get()) is None
    await done(client.dataset("absent").delete())
    with pytest.raises(NotFoundError):
        await done(client.dataset("absent").list_items())
    with pytest.raises(NotFoundError):
        await done(client.dataset("absent").push_items([{}]))


async def test_a_signed_link_opens_a_private_dataset(
    client: Any, stranger: Any, api: Client
) -> None:
    dataset = await filled(client)
    await done(dataset.update(general_access="RESTRICTED"))
    link = await done(dataset.create_items_public_url(item_format="json", limit=1, fields=["n"]))
    reply = await api.get(link, token=None)
    assert (reply.status, reply.json) == (200, [{"n": 0}])
    signature = unquote(link.partition("signature=")[2].partition("&")[0])
    their = stranger.dataset((await done(dataset.get())).id)
    assert (await done(their.list_items(signature=signature))).total == 6
    with pytest.raises(ForbiddenError, match=NOT_ALLOWED):
        await done(their.list_items())


async def test_a_signed_link_ends(client: Any, api: Client) -> None:
    dataset = await filled(client)
    await done(dataset.update(general_access="RESTRICTED"))
    link = await done(dataset.create_items_public_url(expires_in=timedelta(milliseconds=-1)))
    assert (await api.get(link, token=None)).status == 403
    open_link = await done(dataset.create_items_public_url(expires_in=timedelta(hours=1)))
    assert (await api.get(open_link, token=None)).status == 200


async def test_a_public_dataset_is_read_by_others_but_not_written(
    client: Any, stranger: Any
) -> None:
    dataset = await filled(client)
    await done(dataset.update(general_access="ANYONE_WITH_ID_CAN_READ"))
    their = stranger.dataset((await done(dataset.get())).id)
    assert (await done(their.list_items())).total == 6
    with pytest.raises((ForbiddenError, NotFoundError)):
        await done(their.push_items([{}]))
