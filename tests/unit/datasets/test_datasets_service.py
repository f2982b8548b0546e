"""What shows only from inside: counters written later, the reaper, and exports that are cut short."""

import asyncio
import tempfile
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select

from callboard.api.refs import ById
from callboard.datasets import repository
from callboard.datasets.export import CLOSING_THREAD, ItemsGoneError
from callboard.datasets.formats.xlsx import XlsxWriter
from callboard.datasets.model import Format, ItemQuery
from callboard.db.tables import dataset_items, run_usage, storages, usage
from callboard.usage.meter import Service


async def test_items_read_and_written_are_counted_for_dataset_and_account(bench):
    dataset = await bench.dataset()
    await bench.push(dataset, [{"n": n} for n in range(5)])
    await bench.read(dataset, ItemQuery(limit=3))
    await bench.read(dataset, ItemQuery(format=Format.CSV, offset=4))
    await bench.service.close()
    await bench.meter.flush()
    counted = await bench.again(dataset)
    assert (counted.read_count, counted.write_count) == (4, 5)
    rows = await bench.db.read(
        lambda tx: tx.execute(select(usage.c.service, usage.c.quantity)).all()
    )
    assert dict(tuple(row) for row in rows) == {
        Service.DATASET_READS: 4,
        Service.DATASET_WRITES: 5,
    }
    assert await bench.db.read(lambda tx: tx.execute(select(run_usage)).all()) == []


async def test_a_page_that_is_not_iterated_counts_nothing(bench):
    dataset = await bench.dataset()
    await bench.push(dataset, {"a": 1})
    page = bench.service.read_items(await bench.again(dataset), ItemQuery(), caller=bench.caller)
    page.body.close()
    await bench.service.close()
    assert (page.count, (await bench.again(dataset)).read_count) == (1, 0)


async def rows_left(bench) -> tuple[int, int]:
    def unit(tx):
        count = select(func.count())
        return (
            tx.execute(count.select_from(dataset_items)).scalar_one(),
            tx.execute(count.select_from(storages)).scalar_one(),
        )

    return await bench.db.read(unit)


async def test_the_reaper_takes_deleted_datasets_piece_by_piece_and_nothing_else(bench):
    kept, empty, full = [await bench.dataset() for _ in range(3)]
    for dataset in (kept, full):
        await bench.push(dataset, [{"n": n} for n in range(25)])
    for dataset in (empty, full):
        await bench.service.delete(bench.caller, ById(dataset.id))
    taken = []
    while gone := await bench.db.write(lambda tx: repository.reclaim(tx, limit=10)):
        taken.append(gone)
    assert max(taken) <= 10 and sum(taken) == 25 + 2
    assert await rows_left(bench) == (25, 1)
    assert (await bench.read(kept, ItemQuery(format=Format.JSONL))).count(b"\n") == 25


async def test_an_export_fails_loudly_when_its_items_are_reclaimed_under_it(bench):
    dataset = await bench.dataset()
    await bench.push(dataset, [{"n": n} for n in range(2500)])
    page = bench.service.read_items(await bench.again(dataset), ItemQuery(), caller=bench.caller)
    assert (await page.body.read()).startswith(b'[{"n":0},')
    await bench.service.delete(bench.caller, ById(dataset.id))
    await bench.db.write(lambda tx: repository.reclaim(tx, limit=10_000))
    with pytest.raises(ItemsGoneError):
        await page.body.read()


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
async def workbook_begun(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set, by the thread that does it, when the files of a workbook are there."""
    begun, loop, header = asyncio.Event(), asyncio.get_running_loop(), XlsxWriter.header

    def noticed_header(self: XlsxWriter, names: list[str]) -> bytes:
        start = header(self, names)
        loop.call_soon_threadsafe(begun.set)
        return start

    monkeypatch.setattr(XlsxWriter, "header", noticed_header)
    return begun


async def test_a_workbook_that_nobody_waits_for_leaves_no_files(
    bench, temporary_folder, workbook_begun
):
    dataset = await bench.dataset()
    await bench.push(dataset, [{"n": n} for n in range(6000)])
    query = ItemQuery(format=Format.XLSX)
    page = bench.service.read_items(await bench.again(dataset), query, caller=bench.caller)
    reading = asyncio.ensure_future(page.body.read())
    await workbook_begun.wait()
    assert list(temporary_folder.iterdir())
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    page.body.close()
    for thread in threading.enumerate():
        if thread.name == CLOSING_THREAD:
            await asyncio.to_thread(thread.join)
    assert reading.cancelled() and list(temporary_folder.iterdir()) == []


async def test_a_workbook_leaves_no_files_when_it_is_sent(bench, temporary_folder):
    dataset = await bench.dataset()
    await bench.push(dataset, [{"n": 1}])
    assert (await bench.read(dataset, ItemQuery(format=Format.XLSX))).startswith(b"PK")
    assert list(temporary_folder.iterdir()) == []
