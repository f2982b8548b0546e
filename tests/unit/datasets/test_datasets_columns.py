"""What a dataset remembers of its columns is what a look at all of its items finds, or nothing."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from callboard.datasets import repository
from callboard.datasets.columns import Columns, with_more
from callboard.datasets.incoming import parse_items
from callboard.datasets.model import Format, ItemQuery, Span
from callboard.datasets.values import decode_record

NAMES = st.sampled_from(["a", "b", "a/b", "a/0", "", "/", "#h", "x" * 200, "x" * 201])
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
PUSHES = st.lists(
    st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=4), min_size=1
)


@given(pushes=PUSHES)
def test_pushes_together_have_the_columns_that_their_items_have(pushes: list[list[dict[str, Any]]]):
    looked = Columns()
    remembered: str | None = None
    for items in pushes:
        incoming = parse_items(msgspec.json.encode(items))
        assert incoming.columns is not None
        first = remembered is None
        remembered = incoming.columns if first else with_more(remembered, incoming.columns)
        assert remembered is not None
        for item in incoming.items:
            looked.note(decode_record(item))
    assert Columns.remembered(remembered).names == looked.names


def wide(columns: int) -> dict[str, Any]:
    return {f"c{number}": {"deep": number} for number in range(columns)}


@pytest.mark.parametrize(
    ("pushes", "is_known"),
    [
        ([[{"a": [1, {"b": None}]}], [{"c": 1}]], True),
        ([[wide(300)], [wide(310)]], True),
        ([[wide(300)], [{f"d{number}": 1 for number in range(300)}]], False),
        ([[wide(600)], [{"a": 1}]], False),
        ([[{"a": 1}], [wide(600)], [{"a": 1}]], False),
        ([[{"a": "x" * 20_000}], [{"a": 1}]], False),
        ([[{"n" * 190 + str(number): 1 for number in range(60)}]], False),
    ],
)
async def test_a_table_is_the_same_with_columns_remembered_and_looked_for(
    bench: Any, pushes: list[list[dict[str, Any]]], is_known: bool
):
    dataset = await bench.dataset()
    for items in pushes:
        await bench.push(dataset, items)
    seen = await bench.again(dataset)
    assert (seen.columns is not None) == is_known
    for kind in (Format.CSV, Format.HTML):
        remembered = await bench.read(dataset, ItemQuery(format=kind))
        # No item is empty: this changes nothing, but has them looked through.
        assert remembered == await bench.read(dataset, ItemQuery(format=kind, skip_empty=True))


@pytest.mark.parametrize(("query", "pages"), [({}, 1), ({"skip_empty": True}, 4)])
async def test_a_table_of_remembered_columns_begins_with_its_first_page(
    bench: Any, monkeypatch: pytest.MonkeyPatch, query: dict[str, Any], pages: int
):
    dataset = await bench.dataset()
    await bench.push(dataset, [{"n": number} for number in range(5000)])
    spans: list[Span] = []
    read_page = repository.read_page

    def counted(tx: Connection, pk: int, span: Span) -> list[bytes]:
        spans.append(span)
        return read_page(tx, pk, span)

    monkeypatch.setattr(repository, "read_page", counted)
    page = bench.service.read_items(
        await bench.again(dataset), ItemQuery(format=Format.CSV, **query), caller=bench.caller
    )
    assert (await page.body.read()).startswith(b"\xef\xbb\xbfn\n0\n1\n")
    assert len(spans) == pages
    page.body.close()


async def test_a_part_of_a_dataset_has_only_its_own_columns(bench: Any):
    dataset = await bench.dataset()
    await bench.push(dataset, [{"a": 1}, {"b": 2}])
    assert await read(bench, dataset, offset=1) == b"b\n2\n"
    assert await read(bench, dataset, desc=True) == b"b,a\n2,\n,1\n"
    assert await read(bench, dataset, fields=("c", "a")) == b"c,a\n,1\n,\n"
    assert await read(bench, dataset) == b"a,b\n1,\n,2\n"


async def read(bench: Any, dataset: Any, **query: Any) -> bytes:
    return await bench.read(dataset, ItemQuery(format=Format.CSV, bom=False, **query))
