"""Ids and secrets: of the right form, and no character likelier than another."""

import string
from collections import Counter

from callboard.core.ids import new_id, new_secret


def test_an_id_has_17_letters_and_digits():
    for _ in range(1000):
        assert len(new_id()) == 17
        assert new_id().isascii() and new_id().isalnum()


def test_every_character_is_about_as_likely():
    counts = Counter("".join(new_secret(1000) for _ in range(300)))
    assert set(counts) == set(string.ascii_letters + string.digits)
    expected = 300_000 / 62
    # Six standard deviations: a fair generator fails this less than once in a million times.
    assert all(abs(count - expected) < 6 * expected**0.5 for count in counts.values())


def test_a_secret_is_as_long_as_asked():
    assert [len(new_secret(length)) for length in (0, 1, 36, 500)] == [0, 1, 36, 500]
