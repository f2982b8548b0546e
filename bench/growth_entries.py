"""What calls on a key-value store or a request queue cost as it grows."""

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.growth import compared
from bench.http import Client
from bench.plan import Plan
from bench.report import Result
from bench.server import Server
from bench.storages import add_requests, item, urls

_BLOCK = 20
"""Calls of a kind before another size has its turn."""
_WRITERS = 8
_BATCH = 25
_GOALS = [1.2, 1.3]


def measure(server: Server, plan: Plan) -> Iterator[Result]:
    client = server.client()
    yield from _key_value_stores(server, client, plan)
    yield from _request_queues(client, plan)
    client.close()


def _key_value_stores(server: Server, client: Client, plan: Plan) -> Iterator[Result]:
    body = json.dumps(item(1)).encode()
    stores = {count: _filled(server, count, body) for count in plan.entry_counts}
    numbers = itertools.count()

    def put(path: str) -> None:
        for _ in range(_BLOCK):
            key = f"fresh-{next(numbers)}"
            assert client.ask("PUT", f"{path}/records/{key}", body).status == 201

    def get(path: str, count: int) -> None:
        for number in range(0, count, count // _BLOCK):
            assert client.ask("GET", f"{path}/records/key-{number}").status == 200

    def page(path: str, count: int) -> None:
        after = f"key-{count // 2}"
        answer = client.ask("GET", f"{path}/keys?limit=100&exclusiveStartKey={after}")
        assert len(answer.data["items"]) >= min(_BLOCK, count // 10)

    rounds = plan.rounds(30)
    sets = {count: partial(put, path) for count, path in stores.items()}
    yield from compared("a record set in a store", sets, rounds, _GOALS)
    gets = {count: partial(get, path, count) for count, path in stores.items()}
    yield from compared("a record got from a store", gets, rounds, _GOALS)
    pages = {count: partial(page, path, count) for count, path in stores.items()}
    yield from compared("a page of keys of a store", pages, rounds, _GOALS)


def _filled(server: Server, count: int, body: bytes) -> str:
    """The path of a fresh key-value store of so many records, set by several clients at once."""
    clients = [server.client() for _ in range(_WRITERS)]
    path = f"/v2/key-value-stores/{clients[0].ask('POST', '/v2/key-value-stores').data['id']}"

    def fill(turn: int) -> None:
        for number in range(turn, count, _WRITERS):
            status = clients[turn].ask("PUT", f"{path}/records/key-{number}", body).status
            assert status == 201

    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(fill, range(_WRITERS)))
    for client in clients:
        client.close()
    return path


def _request_queues(client: Client, plan: Plan) -> Iterator[Result]:
    queues = {count: _filled_queue(client, count) for count in plan.entry_counts}

    def add(path: str) -> None:
        add_requests(client, path, urls(_BATCH), _BATCH)

    def head(path: str) -> None:
        for _ in range(_BLOCK):
            assert client.ask("GET", f"{path}/head?limit=10").data["items"]

    rounds = plan.rounds(30)
    adds = {count: partial(add, path) for count, path in queues.items()}
    yield from compared("25 requests added to a queue", adds, rounds, _GOALS)
    heads = {count: partial(head, path) for count, path in queues.items()}
    yield from compared("the head of a queue", heads, rounds, _GOALS)


def _filled_queue(client: Client, count: int) -> str:
    """The path of a fresh request queue of so many requests, nine of ten handled."""
    path = f"/v2/request-queues/{client.ask('POST', '/v2/request-queues').data['id']}"
    handled_at = "2026-01-01T00:00:00.000Z"
    add_requests(client, path, urls(count - count // 10), _BATCH, handledAt=handled_at)
    add_requests(client, path, urls(count // 10), _BATCH)
    handled = client.ask("GET", path).data["handledRequestCount"]
    assert handled == count - count // 10
    return path
