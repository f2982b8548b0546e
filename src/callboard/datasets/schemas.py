"""Datasets on the wire."""

import time
from typing import Any

from callboard.core.caller import Caller
from callboard.datasets.statistics import FieldStatistics
from callboard.storages.access import is_writer
from callboard.storages.model import Storage
from callboard.storages.schemas import PUBLIC_URL_SECS, base_wire, signing_secret_for
from callboard.storages.signatures import sign_storage


def dataset_row_wire(dataset: Storage, *, base_url: str) -> dict[str, Any]:
    """A dataset in a list: nothing that opens it, and a name that is always a text.

    The Python client cannot read a list with a name that is null.
    """
    return _plain_wire(dataset, base_url=base_url) | {"name": dataset.name or ""}


def _plain_wire(dataset: Storage, *, base_url: str) -> dict[str, Any]:
    return {
        **base_wire(dataset, console_url=f"{base_url}/console/storage/datasets/{dataset.id}"),
        "itemCount": dataset.item_count,
        "cleanItemCount": dataset.clean_item_count,
        "fields": dataset.fields or [],
        "schema": dataset.schema,
        "stats": {
            "readCount": dataset.read_count,
            "writeCount": dataset.write_count,
            "storageBytes": dataset.storage_bytes,
            "inflatedBytes": dataset.storage_bytes,
        },
    }


def dataset_wire(dataset: Storage, *, base_url: str, caller: Caller | None) -> dict[str, Any]:
    return {
        **_plain_wire(dataset, base_url=base_url),
        "itemsPublicUrl": _items_url(dataset, base_url=base_url, caller=caller),
        **signing_secret_for(dataset, caller),
    }


def _items_url(dataset: Storage, *, base_url: str, caller: Caller | None) -> str:
    """Signed for writers only: a reader must not get a longer-lived key than the one they came with."""
    url = f"{base_url}/v2/datasets/{dataset.id}/items"
    if not is_writer(caller, dataset):
        return url
    expires_at_millis = int((time.time() + PUBLIC_URL_SECS) * 1000)
    signature = sign_storage(
        dataset.signing_secret, dataset.id, expires_at_millis=expires_at_millis
    )
    return f"{url}?signature={signature}"


def statistics_wire(fields: dict[str, FieldStatistics]) -> dict[str, Any]:
    return {"fieldStatistics": {name: _field_wire(field) for name, field in fields.items()}}


def _field_wire(field: FieldStatistics) -> dict[str, Any]:
    bounds = {} if field.minimum is None else {"min": field.minimum, "max": field.maximum}
    return {**bounds, "nullCount": field.null_count, "emptyCount": field.empty_count}
