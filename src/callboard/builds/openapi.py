"""An Actor as an OpenAPI document: its run endpoints, with its input schema as the body."""

from typing import Any

from callboard.actors.model import Actor
from callboard.builds.model import Build
from callboard.inputs.input_schema import parse_schema

_ANY_INPUT: dict[str, Any] = {"type": "object"}


def actor_openapi(actor: Actor, build: Build, *, base_url: str) -> dict[str, Any]:
    """An OpenAPI 3.0 document that tools can call the Actor by. `base_url` is this server's, without /v2."""
    schema = build.input_schema
    path = f"/actors/{actor.username}~{actor.name}"
    operations = (
        ("run-sync", "runSync", "Run the Actor, wait for its end and return its output record"),
        (
            "run-sync-get-dataset-items",
            "runSyncGetDatasetItems",
            "Run the Actor, wait for its end and return the items of its dataset",
        ),
        ("runs", "run", "Start the Actor and return the run"),
    )
    return {
        "openapi": "3.0.1",
        "info": {
            "title": actor.fields.get("title") or actor.name,
            "description": actor.fields.get("description") or "",
            "version": ".".join(build.build_number.split(".")[:2]),
            "x-build-id": build.id,
        },
        "servers": [{"url": f"{base_url}/v2"}],
        "security": [{"bearer": []}],
        "paths": {
            f"{path}/{name}": {
                "post": _operation(f"{operation}-{actor.username}-{actor.name}", text)
            }
            for name, operation, text in operations
        },
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "input": _ANY_INPUT if schema is None else parse_schema(schema).to_json_schema()
            },
        },
    }


def _operation(operation_id: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/input"}}},
        },
        "responses": {"201": {"description": "Done", "content": {"application/json": {}}}},
    }
