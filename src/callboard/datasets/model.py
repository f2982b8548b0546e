"""What is asked of a dataset's items and what comes back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

UNLIMITED: Final = 999_999_999_999
"""What clients are told as the limit when there is none."""


class Format(StrEnum):
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    HTML = "html"
    XLSX = "xlsx"
    XML = "xml"
    RSS = "rss"


@dataclass(frozen=True)
class ItemQuery:
    """The parameters of reading items. None means not given: a view of the dataset may then say."""

    format: Format = Format.JSON
    offset: int = 0
    limit: int | None = None
    desc: bool | None = None
    fields: tuple[str, ...] | None = None
    output_fields: tuple[str, ...] | None = None
    omit: tuple[str, ...] | None = None
    unwind: tuple[str, ...] | None = None
    flatten: tuple[str, ...] | None = None
    skip_hidden: bool | None = None
    skip_empty: bool | None = None
    skip_failed_pages: bool = False
    is_simplified: bool = False
    view: str | None = None
    is_attachment: bool = False
    bom: bool | None = None
    delimiter: str = ","
    skip_header_row: bool = False
    xml_root: str = "items"
    xml_row: str = "item"
    feed_title: str | None = None
    feed_description: str | None = None


@dataclass(frozen=True)
class Span:
    """The positions `start <= position < stop` of a dataset, read upwards or, with `desc`, downwards."""

    start: int
    stop: int
    desc: bool = False

    @property
    def count(self) -> int:
        return self.stop - self.start

    @classmethod
    def of(cls, total: int, *, offset: int, limit: int | None, desc: bool) -> "Span":
        """`limit` items after the first `offset` of `total`, counted from the end when `desc`."""
        first = min(offset, total)
        last = total if limit is None else min(first + limit, total)
        if desc:
            return cls(total - last, total - first, desc=True)
        return cls(first, last)

    def after(self, count: int) -> "Span":
        """What is left when the first `count` have been read."""
        if self.desc:
            return Span(self.start, self.stop - count, desc=True)
        return Span(self.start + count, self.stop)


class Body(Protocol):
    """A document made while it is read."""

    @property
    def is_finished(self) -> bool: ...

    async def read(self) -> bytes:
        """The next part, empty only at the end."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def close(self) -> None:
        """Let go of what reading takes. To be called however the reading ended."""
        ...


@dataclass(frozen=True)
class ItemPage:
    """Some items, ready to be sent. `count` is how many were scanned, not how many came through the filters.

    Nothing has been read yet: `body` reads as it is iterated.
    """

    total: int
    offset: int
    limit: int
    count: int
    desc: bool
    content_type: str
    file_name: str | None
    """To be offered as a download of this name."""
    body: Body

    @property
    def headers(self) -> dict[str, str]:
        headers = {
            "X-Apify-Pagination-Offset": str(self.offset),
            "X-Apify-Pagination-Limit": str(self.limit),
            "X-Apify-Pagination-Count": str(self.count),
            "X-Apify-Pagination-Total": str(self.total),
            "X-Apify-Pagination-Desc": str(self.desc).lower(),
        }
        if self.file_name is not None:
            headers["Content-Disposition"] = f'attachment; filename="{self.file_name}"'
        return headers
