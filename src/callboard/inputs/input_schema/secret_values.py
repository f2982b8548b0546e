"""How an encrypted value looks inside an input, so that it can be told from a plain one without any key.

`ENCRYPTED_VALUE:<password>:<text>` stands for a string, `ENCRYPTED_JSON:[<schema hash>:]<password>:<text>`
for an object or array. The hash ties a value to the schema of its field at the time it was encrypted.
The same form is read by the Apify-compatible SDKs and clients.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, cast

VALUE_PREFIX: Final = "ENCRYPTED_VALUE"
JSON_PREFIX: Final = "ENCRYPTED_JSON"

_BASE64: Final = r"[-A-Za-z0-9+/]+={0,3}"
ENCRYPTED: Final = re.compile(
    rf"(?P<prefix>{VALUE_PREFIX}|{JSON_PREFIX}):(?:(?P<hash>{_BASE64}):)?"
    rf"(?P<password>{_BASE64}):(?P<value>{_BASE64})"
)

_HASH_LENGTH: Final = 10
_ONLY_FOR_PEOPLE: Final = frozenset(
    {
        "title",
        "description",
        "sectionCaption",
        "sectionDescription",
        "nullable",
        "example",
        "prefill",
        "editor",
    }
)


def is_encrypted(value: object, field: Mapping[str, Any]) -> bool:
    """Whether the value is an encrypted one that this kind of field may hold."""
    if not isinstance(value, str):
        return False
    match = ENCRYPTED.fullmatch(value)
    return match is not None and (match["prefix"] == JSON_PREFIX or field.get("type") == "string")


def is_encrypted_for(value: str, field: Mapping[str, Any]) -> bool:
    """Whether an encrypted value was made for the field's schema as it is now, as far as it tells."""
    match = ENCRYPTED.fullmatch(value)
    return match is not None and match["hash"] in (None, schema_hash(field))


def secret_schema_changed(name: str) -> str:
    """What to tell who sent a value encrypted for another schema of the field."""
    return (
        f"Field input.{name} is a secret field, but its schema has changed since the value was encrypted. "
        "Please enter the value again."
    )


def schema_hash(field: Mapping[str, Any]) -> str:
    """Ten hex digits that change with what the field accepts, but not with how it is presented."""
    text = json.dumps(_essence(field), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]


def _essence(value: object) -> object:
    """The schema without what only people read, in the one order and number form clients hash too."""
    if isinstance(value, list):
        return [_essence(each) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        spec = cast("dict[str, object]", value)
        kept = sorted(spec.keys() - _ONLY_FOR_PEOPLE, key=_client_order)
        return {key: _essence(spec[key]) for key in kept}
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value


def _client_order(key: str) -> tuple[int, int, bytes]:
    """JavaScript's: keys that are array indices first, by number, then the rest by UTF-16 code units."""
    if key.isascii() and key.isdigit() and str(int(key)) == key and int(key) < 2**32 - 1:
        return (0, int(key), b"")
    return (1, 0, key.encode("utf-16-be", "surrogatepass"))
