"""Handlers for the tools: an echo of the request, and values signed for their way through other hands."""

from collections import defaultdict
from typing import Any

import msgspec
from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.responses import data_response, json_response
from callboard.core.vault import Vault
from callboard.tools.signing import decode_and_verify, encode_and_sign


class Encoded(msgspec.Struct):
    """Body of `POST /v2/tools/decode-and-verify`."""

    encoded: str


class ToolEndpoints:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def browser_info(self, call: Call) -> Response:
        """The request as the server sees it, without an envelope."""
        wire: dict[str, Any] = {
            "method": call.request.method,
            "clientIp": call.client_ip,
            "countryCode": None,
            "bodyLength": len(await call.raw_body()),
        }
        if not call.query.flag("skipHeaders"):
            wire["headers"] = _headers(call)
        if call.query.flag("rawHeaders"):
            wire["rawHeaders"] = [
                text.decode("latin-1") for pair in call.request.headers.raw for text in pair
            ]
        return json_response(wire)

    async def encode_and_sign(self, call: Call) -> Response:
        value = await call.json_object()
        return data_response({"encoded": encode_and_sign(self._vault, call.user.user_id, value)})

    async def decode_and_verify(self, call: Call) -> Response:
        body = await call.parsed(Encoded)
        user_id, value = decode_and_verify(self._vault, body.encoded)
        return data_response({"decoded": value, "encodedByUserId": user_id, "isVerifiedUser": True})


def _headers(call: Call) -> dict[str, str | list[str]]:
    """By lower-case name; a list where one came several times."""
    values: dict[str, list[str]] = defaultdict(list)
    for name, value in call.request.headers.items():
        values[name].append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}
