"""Key-value stores and their keys on the wire."""

from typing import Any
from urllib.parse import urlencode

from callboard.api.call import Call
from callboard.core.clock import now, to_millis
from callboard.key_value_stores.model import KeyPage
from callboard.storages.access import is_writer
from callboard.storages.model import Storage
from callboard.storages.schemas import PUBLIC_URL_SECS, base_wire, signing_secret_for
from callboard.storages.signatures import sign, sign_storage


def store_wire(store: Storage, call: Call) -> dict[str, Any]:
    console_url = f"{call.base_url}/console/storage/key-value-stores/{store.id}"
    return {
        **base_wire(store, console_url=console_url),
        "keysPublicUrl": _with_signature(
            f"{_url(store, call)}/keys", _store_signature(store, call)
        ),
        "recordsPublicUrl": f"{_url(store, call)}/records",
        "schema": store.schema,
        "stats": {
            "readCount": store.read_count,
            "writeCount": store.write_count,
            "deleteCount": store.delete_count,
            "listCount": store.list_count,
            "storageBytes": store.storage_bytes,
            # apify-cli fails to list stores where this is zero, but not where it is absent.
            **({"s3StorageBytes": store.storage_bytes} if store.storage_bytes else {}),
        },
        **signing_secret_for(store, call.caller),
    }


def keys_wire(
    page: KeyPage, store: Storage, call: Call, *, limit: int, start: str | None
) -> dict[str, Any]:
    records_url = f"{_url(store, call)}/records"
    return {
        "items": [
            {
                "key": item.key,
                "size": item.size,
                "recordPublicUrl": _with_signature(
                    f"{records_url}/{item.key}", _record_signature(store, item.key, call)
                ),
            }
            for item in page.items
        ],
        "count": len(page.items),
        "limit": limit,
        "exclusiveStartKey": start,
        "isTruncated": page.next_start is not None,
        "nextExclusiveStartKey": page.next_start,
    }


def record_url(store: Storage, key: str, call: Call) -> str:
    return f"{_url(store, call)}/records/{key}"


def _url(store: Storage, call: Call) -> str:
    return f"{call.base_url}/v2/key-value-stores/{store.id}"


def _with_signature(url: str, signature: str | None) -> str:
    return url if signature is None else f"{url}?{urlencode({'signature': signature})}"


def _store_signature(store: Storage, call: Call) -> str | None:
    """Only writers are given new signatures: who came with one that ends must not get one that lasts longer."""
    if not is_writer(call.caller, store):
        return call.query.text("signature")
    expires = to_millis(now()) + PUBLIC_URL_SECS * 1000
    return sign_storage(store.signing_secret, store.id, expires_at_millis=expires)


def _record_signature(store: Storage, key: str, call: Call) -> str | None:
    if not is_writer(call.caller, store):
        return call.query.text("signature")
    return sign(store.signing_secret, key)
