"""XML and RSS: properties become tags, arrays repeat their tag, `@` holds attributes and `#` the text.

Property names come from anywhere, so whatever XML does not allow in a name or in text is replaced: the document is
always well-formed.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from callboard.datasets.formats.base import BOM, Steps, Writer
from callboard.datasets.transform import Transform
from callboard.datasets.values import Record, Value, is_null, open_value, text_of

MAX_DEPTH: Final = 64
"""Deeper values are shown as JSON text: every level costs another look at the text below it."""

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_START: Final = (
    "A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NOT_IN_NAMES: Final = re.compile(f"[^{_START}.0-9\xb7\u0300-\u036f\u203f-\u2040-]")
_NO_START: Final = re.compile(f"[^{_START}]|xml", re.IGNORECASE)
_NOT_IN_TEXT: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE: Final = _TEXT | str.maketrans({'"': "&quot;", "\n": "&#10;", "\t": "&#9;"})


@lru_cache(maxsize=4096)
def tag_name(name: str) -> str:
    """The nearest name that XML allows, without a namespace prefix and outside of the names it reserves."""
    name = _NOT_IN_NAMES.sub("_", name)
    return "_" + name if not name or _NO_START.match(name) else name


def escaped(text: str) -> str:
    return _NOT_IN_TEXT.sub("\ufffd", text).translate(_TEXT)


class XmlWriter(Writer):
    content_type = "application/xml; charset=utf-8"

    def __init__(self, transform: Transform, *, bom: bool, root: str, row: str) -> None:
        super().__init__(transform)
        self._bom = bom
        self._root = tag_name(root)
        self._row = tag_name(row)

    def begin(self) -> Steps:
        yield BOM * self._bom + f"{_DECLARATION}<{self._root}>".encode()

    def row(self, record: Record) -> bytes:
        return "".join(_object(self._row, record, MAX_DEPTH)).encode()

    def end(self) -> Steps:
        yield f"</{self._root}>".encode()


class RssWriter(Writer):
    content_type = "application/rss+xml; charset=utf-8"

    def __init__(self, transform: Transform, *, bom: bool, title: str, description: str) -> None:
        super().__init__(transform)
        self._bom = bom
        self._title = title
        self._description = description

    def begin(self) -> Steps:
        channel = (
            f"<title>{escaped(self._title)}</title>"
            f"<description>{escaped(self._description)}</description>"
        )
        yield BOM * self._bom + f'{_DECLARATION}<rss version="2.0"><channel>{channel}'.encode()

    def row(self, record: Record) -> bytes:
        return "".join(_object("item", record, MAX_DEPTH)).encode()

    def end(self) -> Steps:
        yield b"</channel></rss>"


def _element(tag: str, value: Value, depth: int) -> Iterator[str]:
    members = open_value(value) if depth else None
    if isinstance(members, dict):
        yield from _object(tag, members, depth)
    elif members is not None:
        for element in members:
            yield from _element(tag, element, depth - 1)
    elif is_null(value):
        yield f"<{tag}/>"
    else:
        yield f"<{tag}>{escaped(text_of(value))}</{tag}>"


def _object(tag: str, members: Record, depth: int) -> Iterator[str]:
    attributes = _attributes(members)
    children = [name for name in members if name != "#" and not (name == "@" and attributes)]
    if children:
        yield f"<{tag}{attributes}>"
        for name in children:
            yield from _element(tag_name(name), members[name], depth - 1)
        yield f"</{tag}>"
    elif "#" in members and not is_null(members["#"]):
        yield f"<{tag}{attributes}>{escaped(text_of(members['#']))}</{tag}>"
    else:
        yield f"<{tag}{attributes}/>"


def _attributes(members: Record) -> str:
    opened = open_value(members["@"]) if "@" in members else None
    if not isinstance(opened, dict):
        return ""
    by_name = {tag_name(name): value for name, value in opened.items()}
    return "".join([f' {name}="{_attribute(value)}"' for name, value in by_name.items()])


def _attribute(value: Value) -> str:
    return _NOT_IN_TEXT.sub("\ufffd", text_of(value)).translate(_ATTRIBUTE)
