"""Identifiers, secrets and tokens: everything random that leaves the server."""

import os
import string

_ALPHABET = (string.ascii_letters + string.digits).encode()
# A byte stands for a character; those past the last whole multiple of 62 stand for none, or some would be likelier.
_CHARACTERS = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))
_UNUSED = bytes(range(256 - 256 % len(_ALPHABET), 256))
ID_LENGTH = 17


def new_id() -> str:
    """A public id: 17 letters and digits, hard to guess (101 bits), as the contract's ids are."""
    return new_secret(ID_LENGTH)


def new_secret(length: int = 36) -> str:
    """A random secret of letters and digits, about 5.95 bits a character."""
    text = b""
    while len(text) < length:
        text += os.urandom(length + 8).translate(_CHARACTERS, _UNUSED)
    return text[:length].decode()
