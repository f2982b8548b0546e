"""What one master key protects: secrets at rest, and signatures that only this server can make.

The key lives in the data directory. Each purpose gets a key of its own derived from it, so a value
sealed, a token signed and a cookie signed never share one.
"""

import base64
import hashlib
import hmac
import secrets
import string
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_BASE62: Final = string.digits + string.ascii_letters
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SIGNATURE_LENGTH: Final = 43
_VERSION: Final = "v1"


class SealBroken(Exception):
    """The text was not sealed with this key for this context, or has been changed since."""


def new_master_key() -> bytes:
    """32 random bytes. Losing them loses every sealed secret and ends every signed token."""
    return secrets.token_bytes(_KEY_BYTES)


class Vault:
    """Seals and signs. Pure, quick and safe to share between threads."""

    def __init__(self, key: bytes) -> None:
        if len(key) < _KEY_BYTES:
            raise ValueError(f"The master key must have at least {_KEY_BYTES} bytes.")
        self._master = key
        self._derived: dict[str, bytes] = {}
        self._aead = AESGCM(self.derive("seal"))

    def derive(self, purpose: str) -> bytes:
        """32 bytes, always the same for one master key and purpose, useless for any other purpose."""
        if purpose not in self._derived:
            info = b"callboard:" + purpose.encode()
            kdf = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info)
            self._derived[purpose] = kdf.derive(self._master)
        return self._derived[purpose]

    def seal(self, text: str, *, context: str = "") -> str:
        """Encrypt, as printable ASCII. `context` says where the value belongs, such as a row's id: `open`
        must name the same one, so a sealed value copied to another place does not open there."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._aead.encrypt(nonce, text.encode(), _bound(context))
        return f"{_VERSION}.{_encoded(nonce + sealed)}"

    def open(self, sealed: str, *, context: str = "") -> str:
        """Decrypt what `seal` made. Raises `SealBroken`, whose message never holds the text."""
        version, _, body = sealed.partition(".")
        if version != _VERSION:
            raise SealBroken("The secret is sealed in a form this server does not know.")
        try:
            raw = _decoded(body)
            return self._aead.decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(context)
            ).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBroken("The secret cannot be opened with this server's key.") from error

    def sign(self, purpose: str, message: str) -> str:
        """HMAC-SHA256 as 43 letters and digits. Signatures of one purpose mean nothing in another."""
        digest = hmac.digest(self.derive("sign:" + purpose), message.encode(), hashlib.sha256)
        return _base62(int.from_bytes(digest, "big"))

    def verify(self, purpose: str, message: str, signature: str) -> bool:
        """Whether `sign` made this signature, in time that does not depend on how wrong it is."""
        return hmac.compare_digest(self.sign(purpose, message).encode(), signature.encode())


def _bound(context: str) -> bytes:
    return f"{_VERSION}:{context}".encode()


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def _decoded(body: str) -> bytes:
    """Raises `ValueError`, also for other spellings of the same bytes: one value has one sealed text."""
    raw = base64.b64decode(body, altchars=b"-_", validate=True)
    if _encoded(raw) != body:
        raise ValueError("Not canonical base64.")
    return raw


def _base62(number: int) -> str:
    digits: list[str] = []
    for _ in range(_SIGNATURE_LENGTH):
        number, digit = divmod(number, len(_BASE62))
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
