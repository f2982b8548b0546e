"""Corners of formats that are too large, or too odd, to reach over HTTP."""

import io
import json

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from callboard.datasets.columns import Columns
from callboard.datasets.formats.xlsx import XlsxWriter
from callboard.datasets.formats.xml_tree import XmlWriter, tag_name
from callboard.datasets.transform import Shape, Transform


def test_rows_beyond_a_sheets_limit_go_on_another_sheet():
    writer = XlsxWriter(Transform(Shape()), columns=Columns(), max_rows=3)
    items = [b'{"n":%d}' % n for n in range(5)]
    assert list(writer.survey(items)) == []
    parts = [*writer.begin(), *writer.rows(items), *writer.end()]
    writer.close()
    book = openpyxl.load_workbook(io.BytesIO(b"".join(part for part in parts if part)))
    sheets = {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}
    assert sheets == {
        "Data": [("n",), (0,), (1,)],
        "Data 2": [("n",), (2,), (3,)],
        "Data 3": [("n",), (4,)],
    }


keys = st.text(max_size=6) | st.sampled_from(["@", "#", "xmlns", "a:b", "<", "-"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50, deadline=None)
@given(item=st.dictionaries(keys, json_values, max_size=5), root=st.text(max_size=5))
def test_xml_is_well_formed_whatever_the_items_hold(item, root):
    writer = XmlWriter(Transform(Shape()), bom=False, root=root, row="item")
    steps = [*writer.begin(), *writer.rows([json.dumps(item).encode()]), *writer.end()]
    document = etree.fromstring(b"".join(step for step in steps if step))
    assert document.tag == tag_name(root)
    assert [row.tag for row in document] == ["item"]


@pytest.mark.parametrize("name", ["", "1", "xml", "XMLx", "a b", "é", "名", "-", ":", "·", "\x00"])
def test_tag_names_are_what_xml_accepts_and_stay_as_they_are_once_they_are(name):
    tag = tag_name(name)
    assert etree.fromstring(f"<{tag}/>".encode()).tag == tag
    assert tag_name(tag) == tag
