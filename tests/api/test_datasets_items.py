"""Reading items: paging, filtering, reshaping, views, and what the headers say."""

import pytest

from tests.api.dataset_client import DatasetClient
from tests.server import Client, Reply


def pagination(reply: Reply) -> dict[str, str]:
    prefix = "x-apify-pagination-"
    return {
        name.lower().removeprefix(prefix): value
        for name, value in reply.headers.items()
        if name.lower().startswith(prefix)
    }


async def numbered(api: Client, count: int) -> DatasetClient:
    return await DatasetClient.create(api, *[{"n": n} for n in range(count)])


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"limit": 2}, [0, 1]),
        ({"limit": 0}, [0, 1, 2, 3, 4]),
        ({"offset": 3}, [3, 4]),
        ({"offset": 3, "limit": 10}, [3, 4]),
        ({"offset": 5}, []),
        ({"offset": 99, "limit": 1}, []),
        ({"desc": 1}, [4, 3, 2, 1, 0]),
        ({"desc": "true", "offset": 1, "limit": 2}, [3, 2]),
        ({"desc": 1, "offset": 4}, [0]),
        ({"desc": 1, "offset": 5}, []),
    ],
)
async def test_paging_at_every_end(api: Client, params, expected):
    dataset = await numbered(api, 5)
    reply = await dataset.read(**params)
    assert [item["n"] for item in reply.json] == expected
    assert pagination(reply) == {
        "offset": str(params.get("offset", 0)),
        "limit": str(params.get("limit") or 999999999999),
        "count": str(len(expected)),
        "total": "5",
        "desc": "true" if "desc" in params else "false",
    }


async def test_pages_that_span_many_reads_are_whole_in_both_directions(api: Client):
    dataset = await numbered(api, 4500)
    assert [item["n"] for item in await dataset.items(offset=7)] == list(range(7, 4500))
    backwards = await dataset.items(desc=1, offset=7, limit=4490)
    assert [item["n"] for item in backwards] == list(range(4492, 2, -1))


async def test_head_has_the_headers_of_get_and_no_body(api: Client):
    dataset = await numbered(api, 3)
    params = {"format": "csv", "limit": 2, "attachment": 1}
    got = await dataset.read(**params)
    asked = await api.head(f"{dataset.path}/items", params=params)
    assert (asked.status, asked.body) == (200, b"")
    assert pagination(asked) == pagination(got)
    for name in ("Content-Type", "Content-Disposition"):
        assert asked.headers[name] == got.headers[name]


async def test_an_attachment_is_named_after_the_dataset(api: Client):
    dataset = await numbered(api, 1)
    reply = await dataset.read(attachment="true", format="xlsx")
    expected = f'attachment; filename="dataset_{dataset.id}.xlsx"'
    assert reply.headers["Content-Disposition"] == expected
    assert "Content-Disposition" not in (await dataset.read()).headers


async def test_fields_come_in_the_order_asked_for_and_omit_wins(api: Client):
    dataset = await DatasetClient.create(api, {"a": 1, "b": 2, "c": 3}, {"c": 4})
    assert (await dataset.read(fields="c,a")).body == b'[{"c":3,"a":1},{"c":4}]'
    assert (await dataset.read(fields="c,a", omit="c")).body == b'[{"a":1},{}]'
    assert (await dataset.read(omit="b")).body == b'[{"a":1,"c":3},{"c":4}]'


async def test_output_fields_rename_by_position(api: Client):
    dataset = await DatasetClient.create(api, {"headline": "H", "url": "U", "x": 1}, {"url": "V"})
    reply = await dataset.read(fields="headline,url", outputFields="title,link")
    assert reply.body == b'[{"title":"H","link":"U"},{"link":"V"}]'


@pytest.mark.parametrize(
    "params",
    [
        {"outputFields": "x"},
        {"fields": "a,b", "outputFields": "x"},
        {"offset": -1},
        {"limit": "many"},
        {"desc": "maybe"},
        {"format": "csv", "delimiter": ";;"},
        {"format": "csv", "delimiter": '"'},
        {"unwind": ",".join("abc" * 40)},
    ],
)
async def test_parameters_that_make_no_sense_are_refused(api: Client, params):
    dataset = await numbered(api, 1)
    reply = await dataset.read(**params)
    assert (reply.status, reply.error["type"]) == (400, "invalid-parameter")


async def test_an_unknown_format_is_refused(api: Client):
    dataset = await numbered(api, 1)
    reply = await dataset.read(format="yaml")
    assert (reply.status, reply.error["type"]) == (400, "param-not-one-of")


async def test_clean_drops_hidden_fields_then_empty_items_and_counts_what_it_scanned(api: Client):
    dataset = await DatasetClient.create(api, {"a": 1, "#b": 2}, {"#b": 2}, {}, {"c": None})
    reply = await dataset.read(clean=1, limit=3)
    assert reply.json == [{"a": 1}]
    assert pagination(reply)["count"] == "3"
    assert await dataset.items(skipHidden=1) == [{"a": 1}, {}, {}, {"c": None}]
    assert await dataset.items(skipEmpty="true") == [{"a": 1, "#b": 2}, {"#b": 2}, {"c": None}]


async def test_unwinding_an_array_makes_a_record_of_each_element(api: Client):
    dataset = await DatasetClient.create(
        api,
        {"id": 1, "tags": [{"t": "x"}, {"t": "y", "id": 9}, "z"]},
        {"id": 2, "tags": {"t": "o"}},
        {"id": 3, "tags": "scalar"},
        {"id": 4},
        {"id": 5, "tags": []},
    )
    assert await dataset.items(unwind="tags") == [
        {"id": 1, "t": "x"},
        {"id": 9, "t": "y"},
        {"id": 1, "tags": "z"},
        {"id": 2, "t": "o"},
        {"id": 3, "tags": "scalar"},
        {"id": 4},
    ]


async def test_unwinding_goes_field_by_field_and_ignores_desc_inside_an_item(api: Client):
    dataset = await DatasetClient.create(
        api, {"n": 1, "a": [{"b": [1, 2]}, {"b": [3]}]}, {"n": 2, "a": [{"b": [4]}]}
    )
    reply = await dataset.read(unwind="a,b", desc=1, limit=2)
    assert [(item["n"], item["b"]) for item in reply.json] == [(2, 4), (1, 1), (1, 2), (1, 3)]
    assert pagination(reply)["count"] == "2"


async def test_flattening_takes_the_place_of_the_object(api: Client):
    dataset = await DatasetClient.create(
        api, {"foo": {"bar": "hello", "deep": {"x": [1]}, "none": {}}, "z": 1}, {"foo": 1}
    )
    reply = await dataset.read(flatten="foo,missing")
    assert reply.body == (b'[{"foo.bar":"hello","foo.deep.x":[1],"foo.none":{},"z":1},{"foo":1}]')


async def test_unwinding_comes_before_flattening_and_both_before_fields(api: Client):
    dataset = await DatasetClient.create(api, {"list": [{"o": {"x": 1, "y": 2}}], "other": 1})
    params = {"unwind": "list", "flatten": "o", "fields": "o.y"}
    assert await dataset.items(**params) == [{"o.y": 2}]


async def test_simplified_is_the_legacy_crawlers_output(api: Client):
    dataset = await DatasetClient.create(
        api,
        {"url": "u", "pageFunctionResult": [{"a": 1}, {"a": 2}], "errorInfo": None, "x": 1},
        {"url": "v", "errorInfo": "failed"},
    )
    expected = [{"url": "u", "errorInfo": None, "a": 1}, {"url": "u", "errorInfo": None, "a": 2}]
    assert await dataset.items(simplified=1, skipFailedPages=1) == expected


VIEWS = {
    "views": {
        "overview": {
            "transformation": {
                "fields": ["b", "a"],
                "omit": ["c"],
                "limit": 2,
                "desc": True,
                "skipEmpty": True,
            }
        },
        "odd": {"transformation": {"fields": "a", "limit": "x", "unwind": 7, "desc": 1}},
    }
}


async def test_a_view_shapes_the_items_and_the_query_overrides_it(api: Client):
    items = [{"a": n, "b": -n, "c": 0} for n in range(4)]
    dataset = await DatasetClient.create(api, *items, schema=VIEWS)
    reply = await dataset.read(view="overview")
    assert reply.body == b'[{"b":-3,"a":3},{"b":-2,"a":2}]'
    assert (pagination(reply)["limit"], pagination(reply)["desc"]) == ("2", "true")
    assert await dataset.items(view="overview", desc=0, limit=1, fields="c,a", omit="b") == [
        {"c": 0, "a": 0}
    ]
    assert await dataset.items(view="odd", limit=1) == [{"a": 0}]


@pytest.mark.parametrize("schema", [None, VIEWS, {"views": []}, {"views": {"missing": 1}}])
async def test_a_view_that_is_not_there_is_an_error(api: Client, schema):
    dataset = await DatasetClient.create(api, {"a": 1}, schema=schema)
    reply = await dataset.read(view="missing")
    assert (reply.status, reply.error["type"]) == (400, "requested-dataset-view-does-not-exist")


STATISTICS_SCHEMA = {
    "fields": {"properties": {name: {} for name in ("n", "text", "list", "yes", "object", "none")}}
}


async def test_statistics_measure_every_kind_of_value(api: Client):
    dataset = await DatasetClient.create(api, schema=STATISTICS_SCHEMA)
    await dataset.push([{"n": 3, "text": "é", "list": [1, 2], "yes": True, "object": {"a": 1}}])
    await dataset.push(b'[{"n":-1.5,"text":"","list":[],"yes":false,"object":{}},{"n":1e999}]')
    await dataset.push([{"n": None}])
    fields = (await api.get(f"{dataset.path}/statistics")).data["fieldStatistics"]
    assert fields == {
        "n": {"min": -1.5, "max": 3, "nullCount": 1, "emptyCount": 0},
        "text": {"min": 0, "max": 1, "nullCount": 0, "emptyCount": 2},
        "list": {"min": 0, "max": 2, "nullCount": 0, "emptyCount": 2},
        "yes": {"min": 0, "max": 1, "nullCount": 0, "emptyCount": 2},
        "object": {"min": 0, "max": 1, "nullCount": 0, "emptyCount": 2},
        "none": {"nullCount": 0, "emptyCount": 4},
    }


async def test_statistics_need_a_schema(api: Client):
    dataset = await numbered(api, 1)
    reply = await api.get(f"{dataset.path}/statistics")
    assert (reply.status, reply.error["type"]) == (400, "dataset-does-not-have-schema")
