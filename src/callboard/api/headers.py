"""Headers as they are in a request's scope: every call looks at some of them."""

from collections.abc import Iterable


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of the header of that name, which is to be in lower case."""
    for key, value in headers:
        if key == name:
            return value
    return None
