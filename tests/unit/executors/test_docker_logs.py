"""A container's log becomes ours: whole lines, each once, whatever arrives when and whoever is killed in between."""

import asyncio
import contextlib
import os
import select
import struct
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from aiohttp import web

from callboard.executors.docker.cutting import EntryCutter
from callboard.executors.docker.engine import Engine
from callboard.executors.docker.entries import Entry, EntryReader
from callboard.executors.docker.follower import Cursor, Follower, Position, Skipping
from callboard.executors.docker.moments import moment
from callboard.executors.launcher.logfile import timestamp

AT = "2026-01-02T03:04:05.000000001Z"
LATER = "2026-01-02T03:04:06.999999999Z"


def frame(stream: int, content: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(content)) + content


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_entries_are_read_however_they_arrive(size: int):
    data = frame(1, f"{AT} one\n".encode()) + frame(2, f"{LATER} \xff\n".encode("latin-1"))
    reader = EntryReader()
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    entries = [entry for chunk in chunks for entry in reader.feed(chunk)]
    assert entries == [Entry(1, AT, b"one\n"), Entry(2, LATER, b"\xff\n")]


def test_lines_have_the_times_the_engine_gave_them():
    cutter = EntryCutter(())
    assert cutter.feed(Entry(1, AT, b"one\n")) == b"2026-01-02T03:04:05.000Z one\n"
    assert cutter.is_between_lines


def test_pieces_of_a_line_are_put_together_by_their_stream():
    cutter = EntryCutter(())
    assert cutter.feed(Entry(1, AT, b"begun ")) == b""
    assert cutter.feed(Entry(2, AT, b"other\n")) == b"2026-01-02T03:04:05.000Z other\n"
    assert not cutter.is_between_lines
    assert cutter.feed(Entry(1, AT, b"done\n")) == b"2026-01-02T03:04:05.000Z begun done\n"


def test_a_piece_of_another_time_begins_a_new_line():
    cutter = EntryCutter(())
    cutter.feed(Entry(1, AT, b"first"))
    assert cutter.feed(Entry(1, LATER, b"second")) == b"2026-01-02T03:04:05.000Z first\n"
    assert cutter.finish() == b"2026-01-02T03:04:06.999Z second\n"


def test_of_times_to_the_second_lines_keep_their_order_and_pieces_stay_together():
    cutter = EntryCutter(())
    assert cutter.feed(Entry(1, "2026-01-02T03:04:05Z", b"begun ")) == b""
    lines = cutter.feed(Entry(1, "2026-01-02T03:04:06Z", b"done\n"))
    assert lines == b"2026-01-02T03:04:05.999Z begun done\n"
    second = timestamp()[:20].replace(b".", b"Z").decode()
    live = cutter.feed(Entry(1, second, b"now\n"))
    assert lines < live < timestamp() + b" z"
    assert cutter.feed(Entry(1, second, b"now\n")) >= live


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05.25Z",
        "2026-01-02T05:04:05.250000000+02:00",
        "2026-01-01T22:34:05.25-04:30",
    ],
)
def test_an_engines_times_are_read_in_its_own_zone(text: str):
    at = moment(text)
    assert at is not None
    assert (at.whole_secs, at.millis) == (1_767_323_045, 1_767_323_045_250)


def test_times_of_entries_are_in_utc_and_of_one_length():
    stamps = [
        "2026-01-02T05:04:05.25+02:00",
        "2026-01-02T05:04:05.2501+02:00",  # as long as one of Docker's
        "2026-01-02T03:04:05.3Z",
        "2026-01-02T04:04:06+01:00",
    ]
    frames = b"".join(frame(1, f"{stamp} text\n".encode()) for stamp in stamps)
    entries = [entry.stamp for entry in EntryReader().feed(frames)]
    assert entries == sorted(entries)
    assert entries[0] == "2026-01-02T03:04:05.250000000Z"
    assert entries[1] == "2026-01-02T03:04:05.250100000Z"
    assert entries[3] == "2026-01-02T03:04:06Z"


@contextlib.asynccontextmanager
async def engine_with_log(log: bytes, folder: Path) -> AsyncGenerator[Engine]:
    """What an engine says when it is asked for a log, again and again the same."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=log)

    app = web.Application()
    app.router.add_get("/{version}/containers/{id}/logs", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "engine.sock")).start()
    async with Engine(f"unix://{folder}/engine.sock") as engine:
        yield engine
    await runner.cleanup()


async def test_a_log_that_takes_no_more_holds_up_nothing_else_and_loses_nothing(tmp_path: Path):
    lines = [f"line {number} {'x' * 1000}\n" for number in range(400)]
    log = b"".join(frame(1, f"{AT} {line}".encode()) for line in lines)
    os.mkfifo(tmp_path / "log")  # takes 64 KB, until somebody reads
    reading = os.open(tmp_path / "log", os.O_RDWR)
    grown = asyncio.Event()
    follower = await asyncio.to_thread(Follower, tmp_path, tmp_path / "log", (), grown.set)
    async with engine_with_log(log, tmp_path) as engine:
        following = asyncio.create_task(follower.follow(engine, "c", until=never))
        await asyncio.to_thread(select.select, [reading], [], [])
        following.cancel()
        await asyncio.wait([following])
        taking = asyncio.create_task(asyncio.to_thread(taken, reading, len(lines)))
        await follower.catch_up(engine, "c")
        await follower.close()
    assert await taking == [f"2026-01-02T03:04:05.000Z {line}".encode() for line in lines]
    assert select.select([reading], [], [], 0)[0] == []
    assert grown.is_set()
    os.close(reading)


async def never() -> bool:
    return False


def taken(descriptor: int, count: int) -> list[bytes]:
    """So many lines, as soon as they are there."""
    data = b""
    while data.count(b"\n") < count:
        data += os.read(descriptor, 65536)
    return data.splitlines(keepends=True)


def test_the_year_one_is_no_time():
    assert moment("0001-01-01T00:00:00Z") is None
    assert moment("2026-13-01T00:00:00Z") is None


def test_secrets_are_covered_also_across_pieces_and_cuts():
    cutter = EntryCutter(("hidden-value",))
    text = b"x" * 65_530 + b"hidden-value" + b"y" * 70_000
    pieces = [text[at : at + 16_384] for at in range(0, len(text), 16_384)]
    lines = b"".join(cutter.feed(Entry(1, AT, piece)) for piece in pieces) + cutter.finish()
    assert b"hidden-value" not in lines.replace(b"\n2026-01-02T03:04:05.000Z ", b"")
    assert lines.count(b"*") == len("hidden-value")


@pytest.mark.parametrize(("written", "expected"), [(b"", "before"), (b"the lines\n", "after")])
def test_the_log_tells_whether_the_lines_of_the_cursor_were_written(
    tmp_path: Path, written: bytes, expected: str
):
    log = tmp_path / "a.log"
    log.write_bytes(b"earlier\n")
    cursor = Cursor(tmp_path / "cursor", log)
    positions = {"before": Position(AT, 1), "after": Position(LATER, 2)}
    cursor.save(positions["before"], positions["after"], log.stat().st_size)
    with log.open("ab") as file:  # unless the server was killed just here
        file.write(written)
    assert Cursor(tmp_path / "cursor", log).load() == positions[expected]


def test_a_broken_cursor_begins_anew(tmp_path: Path):
    (tmp_path / "cursor").write_text('{"log_b')
    assert Cursor(tmp_path / "cursor", tmp_path / "a.log").load() == Position()


@pytest.mark.parametrize(
    "seconds", [(1, 2, 2, 3, 4), (1, 5, 5, 2, 2, 3, 5, 5, 6, 7), (3, 2, 1, 1)], ids=str
)
def test_reading_goes_on_after_any_entry_also_when_the_clock_was_set_back(seconds: tuple[int, ...]):
    stamps = [f"2026-01-02T03:04:0{second}.000000000Z" for second in seconds]
    entries = [Entry(1, stamp, str(n).encode()) for n, stamp in enumerate(stamps)]
    position = Position()
    for read, entry in enumerate(entries, 1):
        position = position.after(entry)
        now = moment(entry.stamp)
        assert now is not None
        for asked in (position.going_on(now.secs), position.going_on(now.secs - 86_400)):
            skipping = Skipping(asked)
            offered = [entry for entry in entries if entry.stamp >= asked.stamp]
            rest = [entry for entry in offered if skipping.is_new(entry)]
            assert rest == [one for one in entries[read:] if one.stamp >= asked.stamp]
