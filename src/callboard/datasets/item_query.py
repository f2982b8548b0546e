"""Reading the parameters of item endpoints, before anything is started on their account."""

from typing import Any, TypeVar, cast

from callboard.api.params import Query
from callboard.core.errors import InvalidParameter
from callboard.datasets.errors import DatasetViewNotFound
from callboard.datasets.model import Format, ItemQuery
from callboard.datasets.transform import MAX_UNWINDS, Shape

T = TypeVar("T")


def parse_item_query(query: Query) -> ItemQuery:
    """All parameters of reading items. Raises InvalidParameter or ParamNotOneOf for what can never be answered."""
    is_clean = query.flag("clean") or None
    return ItemQuery(
        format=query.one_of("format", Format) or Format.JSON,
        offset=query.integer("offset") or 0,
        limit=query.integer("limit") or None,  # clients send 0 for "no limit"
        desc=query.optional_flag("desc"),
        fields=_names(query, "fields"),
        output_fields=_output_fields(query),
        omit=_names(query, "omit"),
        unwind=_unwind(query),
        flatten=_names(query, "flatten"),
        skip_hidden=is_clean or query.optional_flag("skipHidden"),
        skip_empty=is_clean or query.optional_flag("skipEmpty"),
        skip_failed_pages=query.flag("skipFailedPages"),
        is_simplified=query.flag("simplified"),
        view=query.text("view"),
        is_attachment=query.flag("attachment"),
        bom=query.optional_flag("bom"),
        delimiter=_delimiter(query),
        skip_header_row=query.flag("skipHeaderRow"),
        xml_root=query.text("xmlRoot") or "items",
        xml_row=query.text("xmlRow") or "item",
        feed_title=query.text("feedTitle"),
        feed_description=query.text("feedDescription"),
    )


def _names(query: Query, name: str) -> tuple[str, ...] | None:
    names = query.names(name)
    return tuple(names) if names else None


def _unwind(query: Query) -> tuple[str, ...] | None:
    names = _names(query, "unwind")
    if names is not None and len(names) > MAX_UNWINDS:
        raise InvalidParameter(f'Parameter "unwind" may hold at most {MAX_UNWINDS} fields.')
    return names


def _output_fields(query: Query) -> tuple[str, ...] | None:
    names, fields = _names(query, "outputFields"), _names(query, "fields")
    if names is None:
        return None
    if fields is None:
        raise InvalidParameter('Parameter "outputFields" needs the parameter "fields" as well.')
    if len(names) != len(fields):
        raise InvalidParameter(
            f'Parameter "outputFields" must hold as many names as "fields" ({len(fields)}), '
            f"not {len(names)}."
        )
    return names


def _delimiter(query: Query) -> str:
    delimiter = query.text("delimiter") or ","
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise InvalidParameter(
            'Parameter "delimiter" must be a single character other than a quote or a line break.'
        )
    return delimiter


class Reading:
    """An item query with the dataset's view applied: what the query says itself goes before the view.

    Raises DatasetViewNotFound when the query names a view that the dataset's schema lacks.
    """

    def __init__(self, query: ItemQuery, schema: Any) -> None:
        view = {} if query.view is None else _view(query.view, schema)
        is_clean = _flag(view, "clean")
        self.desc = _first(query.desc, _flag(view, "desc")) or False
        self.limit = _first(query.limit, _limit(view))
        self.shape = Shape(
            is_simplified=query.is_simplified,
            skip_failed_pages=query.skip_failed_pages,
            skip_hidden=_first(query.skip_hidden, is_clean or _flag(view, "skipHidden")) or False,
            skip_empty=_first(query.skip_empty, is_clean or _flag(view, "skipEmpty")) or False,
            unwind=_first(query.unwind, _list(view, "unwind")) or (),
            flatten=_first(query.flatten, _list(view, "flatten")) or (),
            fields=_first(query.fields, _list(view, "fields")),
            output_fields=query.output_fields,
            omit=frozenset(_first(query.omit, _list(view, "omit")) or ()),
        )


def _view(name: str, schema: Any) -> dict[str, Any]:
    """The transformation of a view. Schemas are data from outside: nothing about their shape is certain."""
    view = _object(_object(_object(schema).get("views")).get(name))
    if not view:
        raise DatasetViewNotFound(name)
    return _object(view.get("transformation"))


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _first(value: T | None, other: T | None) -> T | None:
    return other if value is None else value


def _flag(view: dict[str, Any], name: str) -> bool | None:
    value = view.get(name)
    return value if isinstance(value, bool) else None


def _limit(view: dict[str, Any]) -> int | None:
    value = view.get("limit")
    return value if type(value) is int and value > 0 else None


def _list(view: dict[str, Any], name: str) -> tuple[str, ...] | None:
    value = view.get(name)
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(name for name in cast("list[Any]", value) if isinstance(name, str)) or None
    return None
