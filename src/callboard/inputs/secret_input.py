"""Secret input: encrypted before it is stored, decrypted only inside the Actor that it is meant for.

Every pair of user and Actor has its own key pair. The server needs only the public half to start a run;
the private half travels to the Actor's process in two environment variables, where the SDK of its
language decrypts the input. Whoever reads the input record sees ciphertext.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callboard.core.ids import new_secret
from callboard.inputs.input_schema import InputSchema, InvalidInput
from callboard.inputs.input_schema.secret_values import (
    ENCRYPTED,
    JSON_PREFIX,
    VALUE_PREFIX,
    is_encrypted,
    is_encrypted_for,
    schema_hash,
    secret_schema_changed,
)

PRIVATE_KEY_VARIABLE: Final = "APIFY_INPUT_SECRETS_PRIVATE_KEY_FILE"
PASSPHRASE_VARIABLE: Final = "APIFY_INPUT_SECRETS_PRIVATE_KEY_PASSPHRASE"

_AES_KEY_CHARACTERS: Final = 32
_IV_CHARACTERS: Final = 16
_RSA_BITS: Final = 2048
_OAEP: Final = padding.OAEP(
    mgf=padding.MGF1(algorithm=hashes.SHA1()), algorithm=hashes.SHA1(), label=None
)


@dataclass(frozen=True)
class KeyPair:
    """A key pair as text. The private half is encrypted with the passphrase; keep that one sealed."""

    public_key_pem: str
    private_key_pem: str = field(repr=False)
    passphrase: str = field(repr=False)

    @classmethod
    def generate(cls) -> "KeyPair":
        """A new RSA key pair. Takes a tenth of a second or more of CPU: not for the event loop."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        passphrase = new_secret()
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase.encode()),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return cls(public.decode(), private.decode(), passphrase)

    def environment(self) -> dict[str, str]:
        """What the Actor's process needs to read its secret input. Both values are secrets."""
        return {
            PRIVATE_KEY_VARIABLE: base64.b64encode(self.private_key_pem.encode()).decode(),
            PASSPHRASE_VARIABLE: self.passphrase,
        }


def encrypt_secret_fields(
    schema: InputSchema, run_input: Mapping[str, Any], public_key_pem: str
) -> dict[str, Any]:
    """A copy of the input in which no secret field is readable. Encrypting it again changes nothing.

    Empty values (null, "", false, 0) tell nothing and stay. Raises `InvalidInput` for a value encrypted under another
    schema of its field.
    """
    result = dict(run_input)
    todo = {name: spec for name, spec in schema.secret_fields.items() if _has_secret(result, name)}
    if not todo:
        return result
    key = _public_key(public_key_pem)
    for name, spec in todo.items():
        result[name] = _encrypted_field(name, result[name], spec=spec, key=key)
    return result


def decrypt_secret_fields(run_input: Mapping[str, Any], keys: KeyPair) -> dict[str, Any]:
    """A copy of the input with every encrypted top-level value made plain. Raises `ValueError` if one is
    not for these keys or has been changed."""
    private = serialization.load_pem_private_key(
        keys.private_key_pem.encode(), keys.passphrase.encode()
    )
    if not isinstance(private, rsa.RSAPrivateKey):
        raise ValueError("Secret input needs an RSA private key.")
    try:
        return {name: _plain(value, private) for name, value in run_input.items()}
    except InvalidTag as error:
        raise ValueError("An encrypted value has been changed.") from error


def _has_secret(run_input: Mapping[str, Any], name: str) -> bool:
    value = run_input.get(name)
    return isinstance(value, dict | list) or bool(value)


def _encrypted_field(
    name: str, value: object, *, spec: Mapping[str, Any], key: rsa.RSAPublicKey
) -> str:
    if is_encrypted(value, spec):
        text = cast("str", value)
        if not is_encrypted_for(text, spec):
            raise InvalidInput(f"Input is not valid: {secret_schema_changed(name)}")
        return text
    if isinstance(value, str):
        return f"{VALUE_PREFIX}:{_encrypted(value.encode(), key)}"
    return f"{JSON_PREFIX}:{schema_hash(spec)}:{_encrypted(msgspec.json.encode(value), key)}"


def _public_key(pem: str) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("Secret input needs an RSA public key.")
    return key


def _encrypted(value: bytes, key: rsa.RSAPublicKey) -> str:
    """`<password>:<value>` in base64. The password is a fresh AES key and IV, encrypted for the key pair."""
    aes_key, iv = new_secret(_AES_KEY_CHARACTERS).encode(), new_secret(_IV_CHARACTERS).encode()
    password = key.encrypt(aes_key + iv, _OAEP)
    sealed = AESGCM(aes_key).encrypt(iv, value, None)
    return f"{base64.b64encode(password).decode()}:{base64.b64encode(sealed).decode()}"


def _plain(value: object, key: rsa.RSAPrivateKey) -> object:
    match = ENCRYPTED.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    password = key.decrypt(base64.b64decode(match["password"]), _OAEP)
    aes_key, iv = password[:_AES_KEY_CHARACTERS], password[_AES_KEY_CHARACTERS:]
    plain = AESGCM(aes_key).decrypt(iv, base64.b64decode(match["value"]), None)
    return msgspec.json.decode(plain) if match["prefix"] == JSON_PREFIX else plain.decode()
