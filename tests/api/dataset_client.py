"""A dataset as the tests of datasets use it."""

import json
from typing import Any, Self

from tests.server import Client, Reply


class DatasetClient:
    def __init__(self, api: Client, dataset: dict[str, Any]) -> None:
        self.api = api
        self.id: str = dataset["id"]
        self.created = dataset
        self.path = f"/v2/datasets/{self.id}"

    @classmethod
    async def create(cls, api: Client, *items: Any, schema: Any = None) -> Self:
        body = {} if schema is None else {"schema": schema}
        made = cls(api, (await api.post("/v2/datasets", json=body)).data)
        if items:
            await made.push(list(items))
        return made

    async def push(self, items: Any) -> None:
        body = items if isinstance(items, bytes) else json.dumps(items).encode()
        reply = await self.send(body)
        assert (reply.status, reply.body) == (201, b"{}"), reply

    async def send(self, body: bytes, **headers: str) -> Reply:
        all_headers = {"Content-Type": "application/json", **headers}
        return await self.api.post(f"{self.path}/items", data=body, headers=all_headers)

    async def info(self) -> dict[str, Any]:
        return (await self.api.get(self.path)).data

    async def read(self, **params: Any) -> Reply:
        return await self.api.get(f"{self.path}/items", params=params)

    async def items(self, **params: Any) -> Any:
        reply = await self.read(**params)
        assert reply.status == 200, reply
        return reply.json

    async def document(self, format_: str, **params: Any) -> str:
        reply = await self.read(format=format_, **params)
        assert reply.status == 200, reply
        return reply.body.decode()
