"""A request queue as the tests of request queues use it."""

from typing import Any, Self

from tests.server import Client, Reply

QUEUES = "/v2/request-queues"


def request(name: str, **fields: Any) -> dict[str, Any]:
    """A request that a test tells from others by its name."""
    return {"uniqueKey": name, "url": f"https://example.com/{name}", **fields}


class QueueClient:
    """Requests go by their names, which are their unique keys."""

    def __init__(self, api: Client, queue: dict[str, Any], key: str | None = "one") -> None:
        self.api = api
        self.id: str = queue["id"]
        self.created = queue
        self.path = f"{QUEUES}/{self.id}"
        self.key = key

    @classmethod
    async def create(cls, api: Client, *names: str) -> Self:
        made = cls(api, (await api.post(QUEUES)).data)
        if names:
            await made.add(*names)
        return made

    def as_client(self, key: str | None) -> "QueueClient":
        return QueueClient(self.api, self.created, key)

    async def call(self, method: str, path: str = "", **options: Any) -> Reply:
        params = dict(options.pop("params", {}))
        if self.key is not None:
            params.setdefault("clientKey", self.key)
        return await self.api.request(method, self.path + path, params=params, **options)

    async def info(self) -> dict[str, Any]:
        return (await self.api.get(self.path)).data

    async def counts(self) -> tuple[int, int, int]:
        """Total, handled, pending."""
        info = await self.info()
        return (
            info["totalRequestCount"],
            info["handledRequestCount"],
            info["pendingRequestCount"],
        )

    async def add(self, *names: str, **params: Any) -> list[dict[str, Any]]:
        body = [request(name) for name in names]
        return (await self.add_batch(body, **params)).data["processedRequests"]

    async def add_batch(self, body: Any, **params: Any) -> Reply:
        return await self.call("POST", "/requests/batch", json=body, params=params)

    async def add_one(self, body: Any, **params: Any) -> Reply:
        return await self.call("POST", "/requests", json=body, params=params)

    async def ids(self) -> dict[str, str]:
        """The ids of all requests by name."""
        items = (await self.listed())["items"]
        return {item["uniqueKey"]: item["id"] for item in items}

    async def id_of(self, name: str) -> str:
        return (await self.ids())[name]

    async def get(self, request_id: str) -> Reply:
        return await self.call("GET", f"/requests/{request_id}")

    async def update(
        self, name: str, *, params: dict[str, Any] | None = None, **fields: Any
    ) -> Reply:
        request_id = await self.id_of(name)
        body = {"id": request_id, **request(name, **fields)}
        return await self.call("PUT", f"/requests/{request_id}", json=body, params=params or {})

    async def handle(self, name: str) -> None:
        reply = await self.update(name, handledAt="2026-01-02T03:04:05.678Z")
        assert reply.status == 200, reply

    async def listed(self, **params: Any) -> dict[str, Any]:
        return (await self.call("GET", "/requests", params=params)).data

    async def head(self, **params: Any) -> list[str]:
        data = (await self.call("GET", "/head", params=params)).data
        return [item["uniqueKey"] for item in data["items"]]

    async def lock_head(self, lock_secs: float = 60, **params: Any) -> dict[str, Any]:
        params = {"lockSecs": lock_secs, **params}
        reply = await self.call("POST", "/head/lock", params=params)
        assert reply.status == 201, reply
        return reply.data

    async def lock(self, limit: int = 25, lock_secs: float = 60) -> list[str]:
        data = await self.lock_head(lock_secs, limit=limit)
        return [item["uniqueKey"] for item in data["items"]]

    async def prolong(self, name: str, lock_secs: float = 60, **params: Any) -> Reply:
        path = f"/requests/{await self.id_of(name)}/lock"
        return await self.call("PUT", path, params={"lockSecs": lock_secs, **params})

    async def release(self, name: str, **params: Any) -> Reply:
        return await self.call("DELETE", f"/requests/{await self.id_of(name)}/lock", params=params)

    async def unlock_all(self) -> int:
        return (await self.call("POST", "/requests/unlock")).data["unlockedCount"]
