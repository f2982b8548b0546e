"""Signed access to storages, computed by the clients from the storage's secret and checked here.

The scheme is the clients': HMAC-SHA256 in hexadecimal, its first 30 digits read as a number and written in base 62.
"""

import base64
import binascii
import hashlib
import hmac
import time

_BASE62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
VERSION = "0"


def sign(secret: str, message: str) -> str:
    """The signature of a single record: `message` is its key."""
    digest = hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
    number = int(digest[:30], 16)
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return digits or "0"


def sign_storage(secret: str, storage_id: str, *, expires_at_millis: int = 0) -> str:
    """A signature for reading all of a storage until an instant; 0 means for ever."""
    signed = sign(secret, f"{VERSION}.{expires_at_millis}.{storage_id}")
    text = f"{VERSION}.{expires_at_millis}.{signed}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def is_valid_for_record(secret: str, key: str, signature: str) -> bool:
    return _is_same(sign(secret, key), signature)


def is_valid_for_storage(secret: str, storage_id: str, signature: str) -> bool:
    """True for an unexpired signature of this storage, with or without base64 padding."""
    try:
        text = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)).decode()
        version, expires, signed = text.split(".")
        expires_at_millis = int(expires)
    except (binascii.Error, ValueError):  # also for other characters than base64's
        return False
    if version != VERSION or (expires_at_millis and expires_at_millis < time.time() * 1000):
        return False
    expected = sign(secret, f"{version}.{expires_at_millis}.{storage_id}")
    return _is_same(expected, signed)


def _is_same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())
