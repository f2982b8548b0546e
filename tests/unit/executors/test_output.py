"""A job's raw bytes become log lines, however they are cut into reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.executors.launcher.output import MAX_LINE_BYTES, LineCutter, Redactor

STAMP_BYTES = len("2026-01-02T03:04:05.678Z ")


def lines_of(*reads: bytes, secrets: tuple[str, ...] = ()) -> list[bytes]:
    cutter = LineCutter(Redactor(secrets))
    log = b"".join([*(cutter.feed(read) for read in reads), cutter.finish()])
    return [line[STAMP_BYTES:] for line in log.split(b"\n")[:-1]]


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"x", b"\n"))))
def test_lines_are_the_same_however_they_arrive(reads: list[bytes]):
    whole = b"".join(reads)
    expected = whole.split(b"\n")
    assert lines_of(*reads) == (expected if expected[-1] else expected[:-1])


def test_an_unfinished_line_is_held_back():
    cutter = LineCutter(Redactor(()))
    assert cutter.feed(b"half a li") == b""
    assert cutter.feed(b"ne\n").endswith(b"Z half a line\n")


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_a_long_line_is_cut_without_losing_a_byte(ending: bytes):
    data = bytes(range(33, 127)) * 3000
    pieces = lines_of(data[:70_000], data[70_000:] + ending)
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= MAX_LINE_BYTES


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_secret_in_two_reads_is_covered(cut: int):
    data = b"the s3cret-word!\n"
    assert lines_of(data[:cut], data[cut:], secrets=("s3cret-word",)) == [b"the ***********!"]


@pytest.mark.parametrize("before", range(MAX_LINE_BYTES - 12, MAX_LINE_BYTES + 2))
def test_a_secret_across_the_cut_of_a_long_line_is_covered(before: int):
    line = b"-" * before + b"s3cret-word" + b"-" * 100_000
    for reads in ((line,), (line + b"\n",), (line[: before + 5], line[before + 5 :])):
        assert b"".join(lines_of(*reads, secrets=("s3cret-word",))) == line.replace(
            b"s3cret-word", b"*" * 11
        )


def test_each_line_of_a_secret_is_covered_and_short_ones_are_left():
    key = "-----BEGIN KEY-----\nabcdef\n-----END KEY-----"
    assert lines_of(b"abcdef ab 1\n", secrets=(key, "ab", "1", "")) == [b"****** ab 1"]


def test_a_secret_that_contains_another_is_covered_whole():
    assert lines_of(b"token-and-more\n", secrets=("token", "token-and-more")) == [b"*" * 14]
