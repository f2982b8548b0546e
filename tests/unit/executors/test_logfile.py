"""Logs grow, are trimmed and are followed, and offsets stay what they were."""

import errno
from pathlib import Path

import pytest

from callboard.executors.launcher import linux, logfile

BLOCK = b"".join(b"2026-01-02T03:04:05.678Z %06d %s\n" % (n, b"=" * 90) for n in range(10_000))


@pytest.fixture(params=["punching holes", "without holes"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "without holes":

        def refuse(_fd: int, _length: int) -> None:
            raise OSError(errno.EOPNOTSUPP, "not here")

        monkeypatch.setattr(linux, "punch_hole", refuse)
    return tmp_path / "job.log"


def trimmed(path: Path) -> bytes:
    """A log trimmed at least twice; all that was ever written to it."""
    log = logfile.LogFile(path)
    for _ in range(20):
        log.write(BLOCK)
    log.close()
    return BLOCK * 20


def test_a_log_that_does_not_exist_is_empty(tmp_path: Path):
    assert logfile.bounds(tmp_path / "none") == (0, 0)
    assert logfile.read(tmp_path / "none", 7, 100) == (b"", 7)


def test_trimming_keeps_the_newest_part_at_its_offsets(path: Path):
    everything = trimmed(path)
    start, end = logfile.bounds(path)
    assert end == len(everything)
    assert logfile.KEEP_BYTES * 0.99 < end - start < logfile.TRIM_AT_BYTES + len(BLOCK)
    assert everything[start - 1 : start] == b"\n"
    assert logfile.read(path, start, end) == (everything[start:], end)
    assert path.stat().st_blocks * 512 < logfile.TRIM_AT_BYTES + 2 * len(BLOCK)


def test_a_follower_left_behind_goes_on_at_the_oldest_line(path: Path):
    everything = trimmed(path)
    start, _ = logfile.bounds(path)
    for offset in (0, start // 2, start - 1):
        assert logfile.read(path, offset, 50) == (everything[start : start + 50], start + 50)


def test_a_follower_reads_every_byte_once(path: Path):
    log = logfile.LogFile(path)
    seen, offset = b"", 0
    for _ in range(20):
        log.write(BLOCK)
        while True:
            data, offset = logfile.read(path, offset, 300_000)
            if not data:
                break
            seen += data
    log.close()
    assert seen == BLOCK * 20


def test_others_append_to_a_log_that_is_being_trimmed(path: Path):
    trimmed(path)
    logfile.append(path, "ACTOR: two\nlines are one")
    log = logfile.LogFile(path)
    log.write(BLOCK)
    log.close()
    start, end = logfile.bounds(path)
    text = logfile.read(path, start, end)[0]
    assert text.count(b"Z ACTOR: two lines are one\n") == 1
    assert text.endswith(BLOCK)


def test_zeros_printed_by_a_job_are_no_hole(tmp_path: Path):
    path = tmp_path / "job.log"
    log = logfile.LogFile(path)
    log.write(b"2026-01-02T03:04:05.678Z a\0\0b\n")
    log.close()
    assert logfile.read(path, 26, 3) == (b"\0\0b", 29)


def test_a_log_is_readable_by_its_owner_only(tmp_path: Path):
    logfile.append(tmp_path / "job.log", "line")
    assert (tmp_path / "job.log").stat().st_mode & 0o777 == 0o600
