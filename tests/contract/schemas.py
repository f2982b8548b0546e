"""Replies held to the contract: status, media type, and the JSON body to the operation's schema."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema_rs

from callboard.api.contract import load_contract
from tests.server import Reply

CONTRACT = load_contract()


@dataclass(frozen=True)
class Operation:
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def definition(self) -> dict[str, Any]:
        return CONTRACT["paths"][self.path][self.method.lower()]

    @property
    def needs_token(self) -> bool:
        return self.definition.get("security", CONTRACT["security"]) != []

    def response(self, status: int) -> dict[str, Any] | None:
        """What the contract says of a status; None when it does not know it here."""
        found = self.definition["responses"].get(str(status))
        if found is not None and "$ref" in found:
            return CONTRACT["components"]["responses"][found["$ref"].rpartition("/")[2]]
        return found


OPERATIONS = [
    Operation(method.upper(), path)
    for path, methods in CONTRACT["paths"].items()
    for method in methods
]


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    """Of a schema given as JSON text, so that it can be remembered."""

    whole = {**json.loads(schema), "components": CONTRACT["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def problems_of(operation: Operation, reply: Reply) -> list[str]:
    """What the contract does not allow of a reply. Empty when all is well."""
    response = operation.response(reply.status)
    if response is None:
        return [f"status {reply.status} is not in the contract: {reply.body[:300]!r}"]
    content: dict[str, Any] = response.get("content", {})
    if reply.status == 204 or operation.method == "HEAD":
        return ["a body where there must be none"] if reply.body else []
    media_type = reply.headers.get("Content-Type", "").partition(";")[0]
    if not content:
        return []
    if media_type not in content:
        return [] if "*/*" in content else [f"media type {media_type} is not in the contract"]
    if media_type != "application/json":
        return []
    return _problems(content[media_type].get("schema", {}), reply.json)


def _problems(schema: dict[str, Any], body: Any) -> list[str]:

    validator = _validator(json.dumps(schema))
    return [
        f"{'/'.join(str(part) for part in error.instance_path)}: {error.message[:300]}"
        for error in validator.iter_errors(body)
    ]
