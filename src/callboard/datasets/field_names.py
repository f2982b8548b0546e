"""The names of fields that a dataset remembers having seen. Items may have any; what is remembered has bounds."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Final

import msgspec

MAX_FIELDS: Final = 2000
MAX_NAME_LENGTH: Final = 200
_CACHED_NAMES: Final = 64
_CACHED_TEXT: Final = 8192

_decode: Final = msgspec.json.Decoder(list[str]).decode


def memorable(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(islice((name for name in names if len(name) <= MAX_NAME_LENGTH), MAX_FIELDS))


def with_new(known_text: str | None, names: tuple[str, ...]) -> list[str] | None:
    """The known names, given as JSON, and what is new among `names`. None when nothing is."""
    if len(names) > _CACHED_NAMES or (known_text and len(known_text) > _CACHED_TEXT):
        return _with_new(known_text, names)
    return _with_new_cached(known_text, names)


def _with_new(known_text: str | None, names: tuple[str, ...]) -> list[str] | None:
    known = dict.fromkeys(() if known_text is None else _decode(known_text))
    new = [name for name in names if name not in known]
    room = MAX_FIELDS - len(known)
    return [*known, *new[:room]] if new and room > 0 else None


# A crawl pushes items of the same fields to the same dataset, over and over.
_with_new_cached: Final = lru_cache(maxsize=512)(_with_new)
