"""Storage calls over HTTP by one client, against crawlee's file storage in process; times are by item."""

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.crawlee_files import CrawleeFiles
from bench.http import Client
from bench.plan import Plan
from bench.report import Goal, Result, Samples
from bench.server import Server
from bench.timing import interleaved

_BLOCK = 50
"""Calls of a kind before the other side has its turn."""
_CLIENTS = 8
_FILES = "crawlee files"


def item(number: int) -> dict[str, Any]:
    """About 200 bytes of JSON."""
    return {
        "id": number,
        "url": f"https://example.com/products/{number}",
        "title": f"Product number {number}, as found on a page",
        "price": 12.5,
        "tags": ["one", "two", "three"],
        "inStock": number % 2 == 0,
    }


class _Storages:
    """Fresh storages of the server, and the calls on them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._dataset, self._store, self._queue = (
            f"/v2/{kind}/{client.ask('POST', f'/v2/{kind}').data['id']}"
            for kind in ("datasets", "key-value-stores", "request-queues")
        )
        self._numbers = itertools.count()

    def push(self, body: bytes) -> None:
        assert self._client.ask("POST", f"{self._dataset}/items", body).status == 201

    def push_each(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.push(body)

    def set_values(self, keys: list[str], body: bytes) -> None:
        for key in keys:
            assert self._client.ask("PUT", f"{self._store}/records/{key}", body).status == 201

    def get_values(self, keys: list[str]) -> None:
        for key in keys:
            assert self._client.ask("GET", f"{self._store}/records/{key}").status == 200

    def add_requests(self, fresh: list[str], per_call: int) -> None:
        add_requests(self._client, self._queue, fresh, per_call)

    def handle_requests(self, count: int, per_lock: int, client: Client | None = None) -> None:
        """Lock some of the head, then mark each as handled, as crawlers do."""
        client = client or self._client
        for _ in range(count // per_lock):
            lock = f"{self._queue}/head/lock?lockSecs=60&limit={per_lock}"
            head = client.ask("POST", lock).data["items"]
            assert len(head) == per_lock
            for request in head:
                handled = {**request, "handledAt": "2026-01-01T00:00:00.000Z"}
                client.ask_json("PUT", f"{self._queue}/requests/{request['id']}", handled)


def measure(server: Server, plan: Plan) -> Iterator[Result]:
    with (
        tempfile.TemporaryDirectory(prefix="callboard-bench-") as folder,
        CrawleeFiles(Path(folder)) as files,
    ):
        client = server.client()
        ours = _Storages(client)
        yield from _datasets(ours, files, plan)
        yield from _key_value_stores(ours, files, plan)
        yield from _request_queues(ours, files, plan)
        yield from _shared_queues(server, ours, files, plan)
        client.close()


def _datasets(ours: _Storages, files: CrawleeFiles, plan: Plan) -> Iterator[Result]:
    items = [item(number) for number in range(100)]
    bodies = [json.dumps(each).encode() for each in items[:_BLOCK]]
    pair = interleaved(
        plan.rounds(20),
        {"http": lambda: ours.push_each(bodies), _FILES: lambda: files.push_each(items[:_BLOCK])},
        per_call=_BLOCK,
    )
    yield _rate("items a second, 1 a call", pair, Goal(2, at_least=True))
    body = json.dumps(items).encode()
    pair = interleaved(
        plan.rounds(20),
        {"http": lambda: ours.push(body), _FILES: lambda: files.push(items)},
        per_call=100,
    )
    yield _rate("items a second, 100 a call", pair, Goal(20, at_least=True))


def _key_value_stores(ours: _Storages, files: CrawleeFiles, plan: Plan) -> Iterator[Result]:
    keys = [f"key-{number}" for number in range(_BLOCK)]
    body = json.dumps(item(1)).encode()
    writes: dict[str, Callable[[], object]] = {
        "http": lambda: ours.set_values(keys, body),
        _FILES: lambda: files.set_values(keys, item(1)),
    }
    yield _rate(
        "records set a second", interleaved(plan.rounds(20), writes, per_call=_BLOCK), _GOAL
    )
    reads: dict[str, Callable[[], object]] = {
        "http": lambda: ours.get_values(keys),
        _FILES: lambda: files.get_values(keys),
    }
    yield _rate("records got a second", interleaved(plan.rounds(20), reads, per_call=_BLOCK), _GOAL)


_GOAL = Goal(2, at_least=True)


def _request_queues(ours: _Storages, files: CrawleeFiles, plan: Plan) -> Iterator[Result]:
    rounds = plan.rounds(20)
    adds: dict[str, Callable[[], object]] = {
        "http, 25 a call": lambda: ours.add_requests(urls(100), 25),
        _FILES: lambda: files.add_requests(urls(100)),
    }
    pair = interleaved(rounds, adds, per_call=100)
    yield _rate("requests added a second", pair, Goal(6, at_least=True))
    handling: dict[str, Callable[[], object]] = {
        "http, lock 1": lambda: ours.handle_requests(25, 1),
        "http, lock 25": lambda: ours.handle_requests(25, 25),
        _FILES: lambda: files.handle_requests(25),
    }
    # Both sides have work left for every round and the one that warms up.
    ours.add_requests(urls(50 * (rounds + 1)), 25)
    files.add_requests(urls(25 * (rounds + 1)))
    three = interleaved(rounds, handling, per_call=25)
    for name in ("http, lock 1", "http, lock 25"):
        pair = {name: three[name], _FILES: three[_FILES]}
        yield _rate(f"requests handled a second, {name}", pair, Goal(2, at_least=True))


def _shared_queues(
    server: Server, ours: _Storages, files: CrawleeFiles, plan: Plan
) -> Iterator[Result]:
    """As a crawler has it that works on several requests at once."""
    rounds, each = plan.rounds(10), 25
    count = _CLIENTS * each
    clients = [server.client() for _ in range(_CLIENTS)]
    ours.add_requests(urls(count * (rounds + 1)), 25)
    files.add_requests(urls(count * (rounds + 1)))

    def handle(client: Client) -> None:
        ours.handle_requests(each, 1, client)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        work: dict[str, Callable[[], object]] = {
            "http": lambda: list(pool.map(handle, clients)),
            _FILES: lambda: files.handle_requests(each, _CLIENTS),
        }
        pair = interleaved(rounds, work, per_call=count)
    for client in clients:
        client.close()
    yield _rate(f"requests handled a second, lock 1, {_CLIENTS} at once", pair, _GOAL)


def add_requests(
    client: Client, queue: str, fresh: list[str], per_call: int, **fields: str
) -> None:
    """Add requests of these URLs, each with the `fields`, to the queue of this path."""
    for start in range(0, len(fresh), per_call):
        some = fresh[start : start + per_call]
        batch = [{"url": url, "uniqueKey": url, **fields} for url in some]
        client.ask_json("POST", f"{queue}/requests/batch", batch)


def urls(count: int) -> list[str]:
    """Fresh ones."""
    mark = os.urandom(6).hex()
    return [f"https://example.com/{mark}/{number}" for number in range(count)]


def _rate(case: str, pair: dict[str, Samples], goal: Goal) -> Result:
    ours, files = pair.values()
    return Result(case, files.p50 / ours.p50, goal=goal, measured=pair)
