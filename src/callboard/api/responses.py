"""Responses in the contract's envelope."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

JSON = "application/json; charset=utf-8"

_encode = msgspec.json.Encoder().encode


def json_response(
    body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """`body` as compact JSON, without an envelope."""
    return Response(_encode(body), status_code=status, headers=headers, media_type=JSON)


def data_response(data: Any, *, status: int = 200, location: str | None = None) -> Response:
    """`{"data": ...}`, with a Location header where something was created."""
    headers = {"Location": location} if location else None
    return json_response({"data": data}, status=status, headers=headers)


def no_content() -> Response:
    return Response(status_code=204)
