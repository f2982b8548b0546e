"""Values that travel through other hands and come back provably unchanged, with the account that signed them."""

import base64
import binascii
from typing import Any

import msgspec

from callboard.core.errors import ApiError
from callboard.core.vault import Vault

_PURPOSE = "encode-and-sign"
_VERSION = 1


class InvalidEncodedValue(ApiError):
    status, type = 400, "invalid-value"
    message = "The encoded value was not made by this server, or has been changed since."


class _Meta(msgspec.Struct):
    u: str
    """The account's id."""
    v: int = _VERSION


def encode_and_sign(vault: Vault, user_id: str, value: dict[str, Any]) -> str:
    """The value as text of letters, digits, `-`, `_` and dots. Anyone can read it; no one else can make it."""
    signed = f"{_packed(_Meta(user_id))}.{_packed(value)}"
    return f"{signed}.{vault.sign(_PURPOSE, signed)}"


def decode_and_verify(vault: Vault, encoded: str) -> tuple[str, Any]:
    """The account that signed it, and the value. Raises InvalidEncodedValue."""
    signed, _, signature = encoded.rpartition(".")
    if not vault.verify(_PURPOSE, signed, signature):
        raise InvalidEncodedValue
    meta, _, body = signed.partition(".")
    try:
        return msgspec.json.decode(_raw(meta), type=_Meta).u, msgspec.json.decode(_raw(body))
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise InvalidEncodedValue from error


def _packed(value: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
