"""Identifiers, secrets and tokens: everything random that leaves the server."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits
ID_LENGTH = 17


def new_id() -> str:
    """A public id: 17 letters and digits, hard to guess (101 bits), as the contract's ids are."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH))


def new_secret(length: int = 36) -> str:
    """A random secret of letters and digits, about 5.95 bits a character."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
