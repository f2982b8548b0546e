"""The contract as data, and `GET /v2/openapi.json`: what this server answers to, in the contract's own terms.

`contract.json` holds the interface only: paths, parameters and shapes, without prose or examples.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from importlib.resources import files
from typing import Any

import msgspec
from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.responses import json_response
from callboard.api.router import Route

_PARAMETER = re.compile(r"\{[^}]*\}")


def load_contract() -> dict[str, Any]:
    """The whole contract, an OpenAPI 3.1 document. A new object each time."""
    return msgspec.json.decode(files("callboard.api").joinpath("contract.json").read_bytes())


def shape(path: str) -> str:
    """A path with its parameters' names taken out: what two spellings of one path have in common."""
    return _PARAMETER.sub("{}", path)


class ContractEndpoints:
    """Serves the contract, cut down to the operations that are in the route table."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._served = {(route.method.lower(), shape(route.path)) for route in routes}

    @cached_property
    def document(self) -> dict[str, Any]:
        contract = load_contract()
        paths = {
            path: operations
            for path, methods in contract["paths"].items()
            if (operations := self._served_operations(path, methods))
        }
        return {**contract, "paths": paths}

    def _served_operations(self, path: str, methods: dict[str, Any]) -> dict[str, Any]:
        return {
            method: operation
            for method, operation in methods.items()
            if (method, shape(path)) in self._served
        }

    async def get(self, call: Call) -> Response:
        """The document as it is, without an envelope, naming the server the way the client addressed it."""
        return json_response({**self.document, "servers": [{"url": call.base_url}]})
