"""Offset pagination as nearly every list of the contract has it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from callboard.api.params import Query

MAX_LIMIT = 1000

T = TypeVar("T")


@dataclass(frozen=True)
class PageRequest:
    offset: int
    limit: int
    desc: bool


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of `total` rows."""

    items: list[T]
    total: int


def page_request(query: Query, *, max_limit: int = MAX_LIMIT) -> PageRequest:
    """`offset`, `limit` and `desc`. A limit above the maximum, or zero, gives the maximum: clients ask so."""
    limit = query.integer("limit") or max_limit
    return PageRequest(
        offset=query.integer("offset") or 0,
        limit=min(limit, max_limit),
        desc=query.flag("desc"),
    )


def page_wire(
    page: Page[T], request: PageRequest, render: Callable[[T], Any], **extra: Any
) -> dict[str, Any]:
    """The contract's list object."""
    return {
        "total": page.total,
        "offset": request.offset,
        "limit": request.limit,
        "desc": request.desc,
        "count": len(page.items),
        **extra,
        "items": [render(item) for item in page.items],
    }


def list_wire(items: Iterable[Any]) -> dict[str, Any]:
    """The short list object of versions and environment variables."""
    rows = list(items)
    return {"total": len(rows), "items": rows}
