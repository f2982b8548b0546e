"""Responses in the contract's envelope."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

JSON = "application/json; charset=utf-8"

_JSON_TYPE = (b"content-type", JSON.encode())

_encode = msgspec.json.Encoder().encode


def json_response(
    body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """`body` as compact JSON, without an envelope."""
    return _JsonResponse(_encode(body), status, headers)


class _JsonResponse(Response):
    def render(self, content: bytes) -> bytes:
        return content

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Those of all JSON, and the given ones, which must be others."""
        self.raw_headers = [(b"content-length", str(len(self.body)).encode()), _JSON_TYPE]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))


def data_response(data: Any, *, status: int = 200, location: str | None = None) -> Response:
    """`{"data": ...}`, with a Location header where something was created."""
    headers = {"Location": location} if location else None
    return json_response({"data": data}, status=status, headers=headers)


def no_content() -> Response:
    return Response(status_code=204)
