"""The operations on datasets: pushing items, reading them, and statistics of their fields."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from callboard.api.refs import ById, Ref
from callboard.core import clock
from callboard.core.caller import Caller
from callboard.datasets import repository
from callboard.datasets.columns import with_more
from callboard.datasets.errors import DatasetHasNoSchema, SchemaValidationFailed
from callboard.datasets.export import Export, Pass
from callboard.datasets.field_names import with_new
from callboard.datasets.formats.choose import writer_for
from callboard.datasets.incoming import Incoming, parse_items
from callboard.datasets.item_query import Reading
from callboard.datasets.model import UNLIMITED, ItemPage, ItemQuery, Span
from callboard.datasets.statistics import FieldStatistics, Survey
from callboard.datasets.validation import check_items, check_schema, fields_of
from callboard.db.base import Database, Unit
from callboard.storages.errors import StorageNotFound
from callboard.storages.model import Storage, StorageKind
from callboard.storages.service import Need, StorageService
from callboard.usage.meter import Meter, Service

P = ParamSpec("P")
T = TypeVar("T")

_OFF_LOOP_FROM_BYTES: Final = 32_768
_REMEMBERED: Final = 2048


_REMEMBERED_SCHEMA: Final = 16_384
"""A longer one is not kept with the dataset: a push then first tries without and is told."""


@dataclass(frozen=True)
class _Target:
    """What a push needs to know about a dataset."""

    pk: int
    id: str
    schema_text: str | None


class PushListener(Protocol):
    """Slices above may keep account of pushes in the transaction that makes them."""

    def in_push(self, tx: Connection, dataset_id: str, total: int) -> Any:
        """The dataset then has `total` items. What is returned comes back once that is durable, unless it is None."""
        ...

    def pushed(self, told: Any, /) -> None: ...


class _SchemaChanged(Exception):
    """The dataset's schema is not the one that the items were held to."""

    def __init__(self, schema_text: str | None) -> None:
        super().__init__()
        self.schema_text = schema_text


class DatasetService(StorageService):
    def __init__(self, db: Database, meter: Meter, *, listener: PushListener | None = None) -> None:
        super().__init__(db, StorageKind.DATASET)
        self._listener = listener
        self._meter = meter
        self._targets: dict[tuple[Caller, str], _Target] = {}

    async def get_or_create(
        self, caller: Caller, *, name: str | None, title: str | None = None, schema: Any = None
    ) -> tuple[Storage, bool]:
        check_schema(schema)
        return await super().get_or_create(caller, name=name, title=title, schema=schema)

    async def update(self, caller: Caller | None, ref: Ref, changes: dict[str, Any]) -> Storage:
        check_schema(changes.get("schema"))
        return await super().update(caller, ref, changes)

    async def push(self, caller: Caller, ref: Ref, body: bytes) -> None:
        """Append the object, or the objects of the array, in `body`. All or none; durable on return.

        Pushes at the same time get positions without gaps, each push's own in a row. Raises InvalidJson,
        InvalidItems or SchemaValidationFailed.
        """
        target = await self._target(caller, ref)
        incoming = await _in_time(len(body), parse_items, body)
        if not incoming.items:
            return
        try:
            await self._append(caller, target, incoming)
        except (StorageNotFound, SchemaValidationFailed):
            # Perhaps only by what was remembered: look again, and take that for the answer.
            self._targets.pop((caller, target.id), None)
            await self._append(caller, await self._target(caller, ref), incoming)
        self._meter.count(caller, Service.DATASET_WRITES, len(incoming.items))

    async def _target(self, caller: Caller, ref: Ref) -> _Target:
        """Remembered, because a crawl pushes to one dataset item by item.

        What is remembered does no harm when it is out of date: owner and origin of a dataset never change, and
        appending to a deleted one, or by another schema than it has, fails by itself.
        """
        known = self._targets.get((caller, ref.id)) if isinstance(ref, ById) else None
        if known is not None:
            return known
        dataset = await self.find(caller, ref, Need.WRITE)
        if len(self._targets) >= _REMEMBERED:
            self._targets.clear()
        target = _Target(dataset.pk, dataset.id, _short_schema_text(dataset.schema))
        self._targets[caller, dataset.id] = target
        return target

    async def _append(self, caller: Caller, target: _Target, incoming: Incoming) -> None:
        schema_text = target.schema_text
        while True:
            if schema_text is not None:
                await _in_time(incoming.size, check_items, incoming.items, schema_text)
            try:
                return await self._write(target, incoming, schema_text)
            except _SchemaChanged as changed:
                self._targets.pop((caller, target.id), None)
                schema_text = changed.schema_text

    async def _write(self, target: _Target, incoming: Incoming, schema_text: str | None) -> None:
        listener = self._listener
        append = _appending(target.pk, incoming, schema_text)
        if listener is None:
            await self._db.write(append)
            return
        told = await self._db.write(lambda tx: listener.in_push(tx, target.id, append(tx)))
        if told is not None:
            listener.pushed(told)

    def read_items(self, dataset: Storage, query: ItemQuery, *, caller: Caller | None) -> ItemPage:
        """The items asked for, read as the page's body is. Raises DatasetViewNotFound.

        The items are those present when `dataset` was looked up.
        """
        reading = Reading(query, dataset.schema)
        span = Span.of(
            dataset.item_count, offset=query.offset, limit=reading.limit, desc=reading.desc
        )
        writer = writer_for(query, reading, dataset, span)

        def on_start() -> None:
            self.touch(dataset, read_count=span.count)
            self._meter.count(caller, Service.DATASET_READS, span.count)

        return ItemPage(
            total=dataset.item_count,
            offset=query.offset,
            limit=reading.limit or UNLIMITED,
            count=span.count,
            desc=reading.desc,
            content_type=writer.content_type,
            file_name=f"dataset_{dataset.id}.{query.format}" if query.is_attachment else None,
            body=Export(self._db, dataset.pk, span, writer, on_start=on_start),
        )

    async def statistics(
        self, dataset: Storage, *, caller: Caller | None
    ) -> dict[str, FieldStatistics]:
        """Of the fields that the dataset's schema names. Raises DatasetHasNoSchema."""
        fields = fields_of(dataset.schema)
        if fields is None:
            raise DatasetHasNoSchema
        survey = Survey(fields)
        reading = Pass(self._db, dataset.pk, Span(0, dataset.item_count), survey.work)
        while not reading.is_finished:
            await reading.step()
        self.touch(dataset, read_count=dataset.item_count)
        self._meter.count(caller, Service.DATASET_READS, dataset.item_count)
        return survey.fields


async def _in_time(size: int, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Small work at once, larger in a thread: changing threads has its price too."""
    if size < _OFF_LOOP_FROM_BYTES:
        return work(*args, **options)
    return await asyncio.to_thread(work, *args, **options)


def _short_schema_text(schema: Any) -> str | None:
    text = None if schema is None else msgspec.json.encode(schema).decode()
    return text if text and len(text) <= _REMEMBERED_SCHEMA else None


def _appending(pk: int, incoming: Incoming, schema_text: str | None) -> Unit[int]:
    """Appends, and returns how many items there are then."""

    def unit(tx: Connection) -> int:
        place = repository.make_room(tx, pk, incoming, at=clock.now())
        if place is None:
            raise StorageNotFound(StorageKind.DATASET)
        if place.schema_text != schema_text:
            raise _SchemaChanged(place.schema_text)
        changed: dict[str, object] = {}
        if (fields := with_new(place.fields_text, incoming.fields)) is not None:
            changed["fields"] = fields
        if (columns := _columns_with(place, incoming)) != place.columns:
            changed["columns"] = columns
        if changed:
            repository.remember(tx, pk, changed)
        repository.insert_items(tx, pk, place.first_position, incoming.items)
        return place.first_position + len(incoming.items)

    return unit


def _columns_with(place: repository.Place, incoming: Incoming) -> str | None:
    """Once some were too many to be remembered, those of the dataset are not known any more."""
    if not place.first_position:
        return incoming.columns
    if place.columns is None or incoming.columns is None:
        return None
    return with_more(place.columns, incoming.columns)
