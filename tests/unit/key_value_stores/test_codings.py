"""Undoing content codings piece by piece, and telling who takes them."""

import contextlib
import gzip
import tracemalloc
import zlib

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.key_value_stores.codings import BrokenCoding, Inflater, is_accepted


def bare_deflate(content: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(content) + stream.flush()


ENCODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}


def inflated(coding: str, encoded: bytes, *, step: int = 1 << 20) -> bytes:
    inflater = Inflater(coding)
    pieces = [
        piece
        for start in range(0, len(encoded), step)
        for piece in inflater.feed(encoded[start : start + step])
    ]
    inflater.finish()
    return b"".join(pieces)


@pytest.mark.parametrize("coding", ENCODERS)
@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=3000), step=st.integers(1, 700), repeats=st.integers(1, 400))
def test_any_content_comes_back_however_it_is_cut(
    coding: str, content: bytes, step: int, repeats: int
):
    assert inflated(coding, ENCODERS[coding](content * repeats), step=step) == content * repeats


@pytest.mark.parametrize("coding", ENCODERS)
@settings(max_examples=100, deadline=None)
@given(encoded=st.binary(max_size=300))
def test_any_bytes_inflate_or_are_refused(coding: str, encoded: bytes):
    with contextlib.suppress(BrokenCoding):
        inflated(coding, encoded, step=7)


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_body_cut_short_is_refused(coding: str):
    encoded = ENCODERS[coding](bytes(range(256)) * 100)
    with pytest.raises(BrokenCoding):
        inflated(coding, encoded[:-3])


@pytest.mark.parametrize("coding", ENCODERS)
def test_bytes_after_the_end_are_refused(coding: str):
    with pytest.raises(BrokenCoding):
        inflated(coding, ENCODERS[coding](b"content") + b"more")


@pytest.mark.parametrize("coding", ENCODERS)
def test_nothing_at_all_is_no_encoded_body(coding: str):
    with pytest.raises(BrokenCoding):
        inflated(coding, b"")


def test_gzip_may_have_several_members():
    assert inflated("gzip", gzip.compress(b"one, ") + gzip.compress(b"two")) == b"one, two"


def test_deflate_may_come_without_its_wrapper():
    assert inflated("deflate", bare_deflate(b"content" * 99)) == b"content" * 99


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_bomb_is_undone_in_bounded_memory(coding: str):
    encoded = ENCODERS[coding](bytes(20_000_000))
    tracemalloc.start()
    size = sum(len(piece) for piece in Inflater(coding).feed(encoded))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (size, peak < 4_000_000) == (20_000_000, True)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZip ; q=0.5", True),
        ("br, gzip;q=0", False),
        ("br, gzip;q=0.000", False),
        ("gzip;q=0.001", True),
        ("deflate, *", True),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("identity", False),
        ("xgzip", False),
        (";;,,q=", False),
    ],
)
def test_accept_encoding_is_read_as_the_standard_says(header: str | None, expected: bool):
    assert is_accepted("gzip", header) is expected
