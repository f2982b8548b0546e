import base64
import json
from typing import Any

import pytest
from apify._crypto import decrypt_input_secrets, load_private_key, public_encrypt
from cryptography.hazmat.primitives import serialization

from callboard.inputs.input_schema import InputSchema, InvalidInput, parse_schema
from callboard.inputs.input_schema.secret_values import schema_hash
from callboard.inputs.secret_input import (
    PASSPHRASE_VARIABLE,
    PRIVATE_KEY_VARIABLE,
    KeyPair,
    decrypt_secret_fields,
    encrypt_secret_fields,
)

SECRETS = {"password": "hunter2 🐎", "account": {"name": "me", "pin": [1, 2.5]}, "keys": ["a", "b"]}


@pytest.fixture(scope="module")
def keys() -> KeyPair:
    return KeyPair.generate()


def field(kind: str, **more: Any) -> dict[str, Any]:
    editor = "textfield" if kind == "string" else "json"
    return {"type": kind, "title": "T", "description": "D", "editor": editor, **more}


def schema(**properties: dict[str, Any]) -> InputSchema:
    root = {"title": "T", "type": "object", "schemaVersion": 1, "properties": properties}
    return parse_schema(json.dumps(root))


@pytest.fixture
def secret_schema() -> InputSchema:
    return schema(
        name=field("string"),
        password=field("string", isSecret=True, nullable=True),
        account=field("object", isSecret=True),
        keys=field("array", isSecret=True),
    )


def with_sdk(run_input: dict[str, Any], keys: KeyPair) -> dict[str, Any]:
    """The input as an Actor sees it: decrypted by the SDK from what is in the Actor's environment."""
    env = keys.environment()
    private = load_private_key(env[PRIVATE_KEY_VARIABLE], env[PASSPHRASE_VARIABLE])
    return decrypt_input_secrets(private, dict(run_input))


def test_the_python_sdk_decrypts_what_the_server_encrypted(
    secret_schema: InputSchema, keys: KeyPair
):
    stored = encrypt_secret_fields(secret_schema, {"name": "me", **SECRETS}, keys.public_key_pem)

    assert stored["name"] == "me"
    assert "hunter2" not in json.dumps(stored)
    assert with_sdk(stored, keys) == {"name": "me", **SECRETS}


def test_stored_values_have_the_form_clients_recognise(secret_schema: InputSchema, keys: KeyPair):
    stored = encrypt_secret_fields(secret_schema, SECRETS, keys.public_key_pem)

    prefix, password, value = stored["password"].split(":")
    assert prefix == "ENCRYPTED_VALUE"
    assert len(base64.b64decode(password)) == 256
    assert len(base64.b64decode(value)) == len("hunter2 🐎".encode()) + 16
    prefix, spec_hash, _, _ = stored["account"].split(":")
    assert (prefix, len(spec_hash)) == ("ENCRYPTED_JSON", 10)


def test_the_server_decrypts_what_the_sdk_encrypted(keys: KeyPair):
    public = serialization.load_pem_public_key(keys.public_key_pem.encode())
    made = public_encrypt("hunter2", public_key=public)  # pyright: ignore[reportArgumentType]
    stored = {"password": f"ENCRYPTED_VALUE:{made['encrypted_password']}:{made['encrypted_value']}"}

    assert decrypt_secret_fields(stored, keys) == {"password": "hunter2"}


def test_encrypting_twice_changes_nothing_the_second_time(
    secret_schema: InputSchema, keys: KeyPair
):
    once = encrypt_secret_fields(secret_schema, SECRETS, keys.public_key_pem)

    assert encrypt_secret_fields(secret_schema, once, keys.public_key_pem) == once
    secret_schema.validate(once)


def test_encrypting_leaves_the_given_input_alone(secret_schema: InputSchema, keys: KeyPair):
    given = {"password": "hunter2"}

    encrypt_secret_fields(secret_schema, given, keys.public_key_pem)

    assert given == {"password": "hunter2"}


@pytest.mark.parametrize("empty", [None, ""], ids=["null", "empty"])
def test_an_empty_secret_stays_as_it_is(
    secret_schema: InputSchema, keys: KeyPair, empty: str | None
):
    given = {"password": empty}

    assert encrypt_secret_fields(secret_schema, given, keys.public_key_pem) == given


@pytest.mark.parametrize("value", [{}, [], 5, True], ids=["object", "array", "number", "boolean"])
def test_whatever_stands_in_a_secret_field_is_never_stored_plain(
    secret_schema: InputSchema, keys: KeyPair, value: object
):
    stored = encrypt_secret_fields(secret_schema, {"account": value}, keys.public_key_pem)

    assert stored["account"].startswith("ENCRYPTED_JSON:")
    assert with_sdk(stored, keys) == {"account": value}


def test_a_value_encrypted_for_another_schema_of_its_field_is_refused(keys: KeyPair):
    before = schema(account=field("object", isSecret=True))
    after = schema(account=field("object", isSecret=True, maxProperties=1))
    stored = encrypt_secret_fields(before, {"account": SECRETS["account"]}, keys.public_key_pem)

    for refuse in (
        lambda: after.validate(stored),
        lambda: encrypt_secret_fields(after, stored, keys.public_key_pem),
    ):
        with pytest.raises(InvalidInput, match=r"Field input\.account .* schema has changed"):
            refuse()


def test_a_value_encrypted_before_a_field_was_renamed_for_people_still_passes(keys: KeyPair):
    before = schema(account=field("object", isSecret=True))
    after = schema(
        account=field("object", isSecret=True) | {"title": "Other", "description": "New"}
    )
    stored = encrypt_secret_fields(before, {"account": {"a": 1}}, keys.public_key_pem)

    after.validate(stored)
    assert encrypt_secret_fields(after, stored, keys.public_key_pem) == stored


# The digests were computed with the JavaScript client's own function.
@pytest.mark.parametrize(
    ("spec", "digest"),
    [
        pytest.param(
            {"type": "object", "title": "T", "editor": "json", "isSecret": True},
            "5be0c04285",
            id="plain",
        ),
        pytest.param(
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "b": {"type": "integer", "minimum": 1.0},
                        "10": {},
                        "9": {},
                        "é": {},
                    },
                },
            },
            "8083dbaafa",
            id="order",
        ),
        pytest.param(
            {"type": "object", "default": {"x": 0.5, "y": "ž\n"}, "maxProperties": 3},
            "54706dc565",
            id="values",
        ),
    ],
)
def test_the_schema_hash_is_the_one_clients_compute(spec: dict[str, Any], digest: str):
    assert schema_hash(spec) == digest


def test_a_changed_ciphertext_does_not_decrypt(secret_schema: InputSchema, keys: KeyPair):
    stored = encrypt_secret_fields(secret_schema, {"password": "hunter2"}, keys.public_key_pem)
    head, _, value = stored["password"].rpartition(":")
    other = ("B" if value[0] == "A" else "A") + value[1:]

    with pytest.raises(ValueError, match="changed"):
        decrypt_secret_fields({"password": f"{head}:{other}"}, keys)


def test_printing_a_key_pair_shows_no_secret(keys: KeyPair):
    assert keys.passphrase not in repr(keys)
    assert "ENCRYPTED PRIVATE KEY" not in repr(keys)
    assert "ENCRYPTED PRIVATE KEY" in keys.private_key_pem
