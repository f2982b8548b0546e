"""Every format byte for byte, on items that are awkward for it."""

import io
import xml.etree.ElementTree as ElementTree

import openpyxl
import pytest
from lxml import etree

from tests.api.dataset_client import DatasetClient
from tests.server import Client

BOM = "\ufeff"
FOO = [{"foo": "bar"}, {"foo2": "bar2"}]


@pytest.mark.parametrize(
    ("format_", "content_type", "body"),
    [
        ("json", "application/json; charset=utf-8", '[{"foo": "bar"},{"foo2": "bar2"}]'),
        ("jsonl", "application/jsonl; charset=utf-8", '{"foo": "bar"}\n{"foo2": "bar2"}\n'),
        ("csv", "text/csv; charset=utf-8", BOM + "foo,foo2\nbar,\n,bar2\n"),
        (
            "html",
            "text/html; charset=utf-8",
            "<table><tr><th>foo</th><th>foo2</th></tr>"
            "<tr><td>bar</td><td></td></tr><tr><td></td><td>bar2</td></tr></table>",
        ),
        (
            "xml",
            "application/xml; charset=utf-8",
            '<?xml version="1.0" encoding="UTF-8"?>'
            "<items><item><foo>bar</foo></item><item><foo2>bar2</foo2></item></items>",
        ),
    ],
)
async def test_the_contracts_own_example(api: Client, format_, content_type, body):
    dataset = await DatasetClient.create(api, *FOO)
    reply = await dataset.read(format=format_)
    assert reply.headers["Content-Type"] == content_type
    assert reply.body.decode() == body


async def test_rss_has_a_channel_with_title_and_description(api: Client):
    dataset = await DatasetClient.create(api, *FOO)
    head = '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>'
    tail = "<item><foo>bar</foo></item><item><foo2>bar2</foo2></item></channel></rss>"
    label = f"<title>Dataset {dataset.id}</title><description>Items in dataset with id "
    assert await dataset.document("rss") == f'{head}{label}"{dataset.id}".</description>{tail}'
    await api.put(dataset.path, json={"name": "feed"})
    assert "<title>Dataset feed</title>" in await dataset.document("rss")
    told = await dataset.document("rss", feedTitle="<T>", feedDescription="D & E")
    assert told == f"{head}<title>&lt;T&gt;</title><description>D &amp; E</description>{tail}"


@pytest.mark.parametrize(
    ("format_", "body"),
    [
        ("json", "[]"),
        ("jsonl", ""),
        ("csv", BOM),
        ("html", "<table></table>"),
        ("xml", '<?xml version="1.0" encoding="UTF-8"?><items></items>'),
    ],
)
async def test_an_empty_dataset_is_an_empty_document(api: Client, format_, body):
    dataset = await DatasetClient.create(api)
    assert await dataset.document(format_) == body


@pytest.mark.parametrize("format_", ["json", "jsonl", "csv", "html", "xml", "rss"])
async def test_the_byte_order_mark_is_a_matter_of_choice(api: Client, format_):
    dataset = await DatasetClient.create(api, *FOO)
    plain = await dataset.document(format_, bom=0)
    assert not plain.startswith(BOM)
    assert await dataset.document(format_, bom=1) == BOM + plain
    assert await dataset.document(format_) == (BOM * (format_ == "csv")) + plain


async def test_csv_quotes_only_what_needs_it_and_leaves_values_alone(api: Client):
    dataset = await DatasetClient.create(
        api,
        {"a": 'say "hi"', "b": "x,y"},
        {"a": "two\nlines", "b": "=1+1"},
        {"a": " ; ", "b": None},
    )
    assert await dataset.document("csv", bom=0) == (
        'a,b\n"say ""hi""","x,y"\n"two\nlines",=1+1\n ; ,\n'
    )
    assert await dataset.document("csv", bom=0, delimiter=";", skipHeaderRow=1) == (
        '"say ""hi""";x,y\n"two\nlines";=1+1\n" ; ";\n'
    )


async def test_csv_shows_scalars_as_they_were_sent(api: Client):
    dataset = await DatasetClient.create(api)
    await dataset.push(
        b'{"a":1.50,"b":true,"c":false,"d":1e999,"e":12345678901234567890,"f":"\\u0041"}'
    )
    assert await dataset.document("csv", bom=0, skipHeaderRow=1) == (
        "1.50,true,false,1e999,12345678901234567890,A\n"
    )


async def test_nested_values_become_columns_beside_each_other(api: Client):
    dataset = await DatasetClient.create(
        api,
        {"a": {"x": 1, "y": [10, {"z": 2}]}, "b": "-", "e": {}},
        {"a": {"w": 3, "y": [20]}, "b": []},
        {"a": None, "b": "last"},
    )
    assert await dataset.document("csv", bom=0) == (
        "a/x,a/y/0,a/y/1/z,a/w,b,e\n1,10,2,,-,\n,20,,3,,\n,,,,last,\n"
    )


async def test_fields_fix_the_columns_of_a_table(api: Client):
    dataset = await DatasetClient.create(api, {"a": 1, "o": {"x": 2}}, {"a": 3})
    assert await dataset.document("csv", bom=0, fields="gone,o,a") == "gone,o/x,a\n,2,1\n,,3\n"
    renamed = await dataset.document("csv", bom=0, fields="a,gone", outputFields="A,B", offset=1)
    assert renamed == "A,B\n3,\n"


async def test_a_lone_empty_cell_is_still_a_row(api: Client):
    dataset = await DatasetClient.create(api, {"a": 1}, {"a": None}, {"a": 2})
    assert await dataset.document("csv", bom=0) == 'a\n1\n""\n2\n'


async def test_tables_have_at_most_2000_columns_with_names_of_200_characters(api: Client):
    wide = {f"c{n}": n for n in range(2100)}
    dataset = await DatasetClient.create(api, {"x" * 201: 1, **wide}, {"list": list(range(3000))})
    header, first, second = (await dataset.document("csv", bom=0)).splitlines()
    assert header.split(",") == [f"c{n}" for n in range(2000)]
    assert first.split(",") == [str(n) for n in range(2000)]
    assert set(second) == {","}


async def test_html_escapes_what_items_bring(api: Client):
    dataset = await DatasetClient.create(api, {"<b>": "<script>alert('1')</script>&"})
    assert await dataset.document("html") == (
        "<table><tr><th>&lt;b&gt;</th></tr>"
        "<tr><td>&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;&amp;</td></tr></table>"
    )


async def xml_item(api: Client, item: object) -> str:
    dataset = await DatasetClient.create(api)
    await dataset.push(item)
    document = await dataset.document("xml")
    ElementTree.fromstring(document.encode())
    etree.fromstring(document.encode())
    start, end = document.index("<items>"), document.index("</items>")
    return document[start + len("<items>") : end]


async def test_xml_repeats_the_tag_for_arrays_and_leaves_null_empty(api: Client):
    item = {
        "name": "Paul Newman",
        "address": [
            {"type": "home", "street": "21st", "city": "Chicago"},
            {"type": "office", "street": None, "city": None},
        ],
        "nested": [[1, 2], [], [True]],
    }
    assert await xml_item(api, item) == (
        "<item><name>Paul Newman</name>"
        "<address><type>home</type><street>21st</street><city>Chicago</city></address>"
        "<address><type>office</type><street/><city/></address>"
        "<nested>1</nested><nested>2</nested><nested>true</nested></item>"
    )


async def test_xml_takes_attributes_from_at_and_text_from_hash(api: Client):
    item = {
        "address": [
            {"@": {"type": "home"}, "street": "21st", "city": "Chicago"},
            {"@": {"type": "office", "q": 'a"b\n<'}, "#": "unknown"},
            {"@": {"only": 1}},
            {"#": "ignored", "child": 1},
        ]
    }
    assert await xml_item(api, item) == (
        '<item><address type="home"><street>21st</street><city>Chicago</city></address>'
        '<address type="office" q="a&quot;b&#10;&lt;">unknown</address>'
        '<address only="1"/><address><child>1</child></address></item>'
    )


async def test_xml_replaces_what_xml_does_not_allow(api: Client):
    item = b"""{"a b":1,"1st":2,"":3,"xml:x":4,"n\\u00e1zev":5,"<!--":"<&>]]>","c":"\\u0000\\ufffe\\r",
        "@":"no object","v":{"@":{"a b":1,"a-b":2,"a:b":3,"xmlns":"x"}}}"""
    assert await xml_item(api, item) == (
        "<item><a_b>1</a_b><_1st>2</_1st><_>3</_><_xml_x>4</_xml_x><název>5</název>"
        "<__-->&lt;&amp;&gt;]]&gt;</__--><c>\ufffd\ufffd&#13;</c><_>no object</_>"
        '<v a_b="3" a-b="2" _xmlns="x"/></item>'
    )


async def test_xml_shows_what_is_nested_very_deep_as_json(api: Client):
    shown = await xml_item(api, b'{"a":' * 70 + b'[1.50,"x"]' + b"}" * 70)
    assert shown == (
        "<item>" + "<a>" * 64 + '{"a":' * 6 + '[1.50,"x"]' + "}" * 6 + "</a>" * 64 + "</item>"
    )


@pytest.mark.parametrize("format_", ["json", "jsonl", "csv", "html", "xml", "rss", "xlsx"])
@pytest.mark.parametrize("opening", ['{"a":', '{"":', '{"@":', '{"#":', "["])
async def test_what_is_nested_as_deep_as_allowed_goes_into_every_format(
    api: Client, format_: str, opening: str
):
    closing = {"{": "}", "[": "]"}[opening[0]]
    dataset = await DatasetClient.create(api)
    await dataset.push(f'{{"x":{opening * 399}1.5{closing * 399}}}'.encode())
    assert (await dataset.read(format=format_)).status == 200
    assert (await dataset.read(format=format_, flatten="x", unwind="x")).status == 200


@pytest.mark.parametrize("format_", ["csv", "html", "xml", "rss", "xlsx"])
async def test_an_integer_beyond_all_bounds_is_shown_by_its_digits(api: Client, format_):
    dataset = await DatasetClient.create(api)
    digits = "9" * 5000
    await dataset.push(b'{"s":"text","n":%s,"list":[1.50,null,{}],"z":null}' % digits.encode())
    reply = await dataset.read(format=format_)
    assert reply.status == 200
    if format_ == "csv":
        assert reply.body.decode() == (f"{BOM}s,n,list/0,list/1,list/2,z\ntext,{digits},1.50,,,\n")
    elif format_ != "xlsx":
        assert digits in reply.body.decode()


async def test_root_and_row_of_xml_can_be_named(api: Client):
    dataset = await DatasetClient.create(api, {"a": 1})
    assert await dataset.document("xml", xmlRoot="feed", xmlRow="a row") == (
        '<?xml version="1.0" encoding="UTF-8"?><feed><a_row><a>1</a></a_row></feed>'
    )


async def test_xlsx_keeps_types_and_never_makes_formulas(api: Client):
    dataset = await DatasetClient.create(api)
    await dataset.push(
        b'[{"n":1.5,"s":"=1+1","b":true,"o":{"x":"http://example.com"},"id":1234567890123456789},'
        b'{"n":1e999,"s":"\\u0001","b":null,"o":{"x":"' + b"y" * 40_000 + b'"},"id":-7}]'
    )
    reply = await dataset.read(format="xlsx")
    assert reply.headers["Content-Type"].endswith("spreadsheetml.sheet")
    sheet = openpyxl.load_workbook(io.BytesIO(reply.body)).active
    assert sheet is not None and sheet.title == "Data"
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0] == ("n", "s", "b", "o/x", "id")
    assert rows[1] == (1.5, "=1+1", True, "http://example.com", "1234567890123456789")
    assert rows[2] == ("1e999", "_x0001_", None, "y" * 32_767, -7)
    assert sheet["B2"].data_type == "s"


async def test_an_empty_xlsx_opens(api: Client):
    dataset = await DatasetClient.create(api)
    reply = await dataset.read(format="xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(reply.body)).active
    assert sheet is not None and list(sheet.iter_rows(values_only=True)) == []


async def test_json_lines_are_lines_even_when_items_were_sent_on_several(api: Client):
    dataset = await DatasetClient.create(api)
    await dataset.push(b'{"a":\r\n{"b":\n1}}')
    assert await dataset.document("jsonl") == '{"a":  {"b": 1}}\n'
    assert await dataset.document("jsonl", fields="a") == '{"a":{"b": 1}}\n'
