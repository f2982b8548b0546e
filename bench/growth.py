"""What a dataset costs as it grows: to push, to read a page or all of it in every format, to keep and to delete."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from bench.http import Client
from bench.memory import peak_mbytes, reset_peak, resident_mbytes
from bench.plan import Plan
from bench.report import Goal, Result, Samples
from bench.server import Server
from bench.storages import item
from bench.timing import interleaved, timed

_FORMATS = ("json", "jsonl", "csv", "xml", "html", "rss", "xlsx")
_PUSH = 5_000
_BLOCK = 20
"""Calls of a kind before another size has its turn."""


def measure(server: Server, plan: Plan) -> Iterator[Result]:
    client = server.client()
    before_bytes = _bytes_below(server.data_dir)
    datasets = {count: _filled(client, count) for count in plan.item_counts}
    yield _kept(_bytes_below(server.data_dir) - before_bytes, sum(plan.item_counts))
    yield from _pages(client, datasets, plan)
    yield from _calls(client, datasets, plan)
    for kind in _FORMATS:
        yield from _export(server, client, datasets, kind, plan)
    yield from _deletes(client, plan)
    client.close()


def compared(
    case: str, work: Mapping[int, Callable[[], object]], rounds: int, goals: list[float]
) -> Iterator[Result]:
    """A line for each size but the smallest, against that one."""
    by_size = interleaved(rounds, {f"{count:,}": call for count, call in work.items()})
    smallest, *larger = by_size
    for name, goal in zip(larger, goals, strict=False):
        ratio = by_size[name].p50 / by_size[smallest].p50
        yield Result(f"{case} of {name} / of {smallest}", ratio, "x", Goal(goal), by_size)


def _filled(client: Client, count: int) -> str:
    """The path of a fresh dataset of so many items."""
    path = f"/v2/datasets/{client.ask('POST', '/v2/datasets').data['id']}"
    for start in range(0, count, _PUSH):
        body = json.dumps([item(number) for number in range(start, min(start + _PUSH, count))])
        assert client.ask("POST", f"{path}/items", body.encode()).status == 201
    return path


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _kept(kept_bytes: int, count: int) -> Result:
    """On disk, the database's log included."""
    item_bytes = len(json.dumps(item(count // 2)).encode())
    return Result(
        "bytes on disk for a byte of items", kept_bytes / count / item_bytes, "", Goal(1.5)
    )


def _pages(client: Client, datasets: dict[int, str], plan: Plan) -> Iterator[Result]:
    def last_page(count: int) -> None:
        page = min(1000, count)
        path = f"{datasets[count]}/items?offset={count - page}&limit={page}"
        assert client.ask("GET", path).status == 200

    work = {count: partial(last_page, count) for count in datasets}
    yield from compared("last 1000 items", work, plan.rounds(30), [1.3, 1.5, 2])


def _calls(client: Client, datasets: dict[int, str], plan: Plan) -> Iterator[Result]:
    body = json.dumps(item(1)).encode()

    def push(path: str) -> None:
        for _ in range(_BLOCK):
            assert client.ask("POST", f"{path}/items", body).status == 201

    def look(path: str) -> None:
        for _ in range(_BLOCK):
            assert client.ask("GET", path).status == 200

    rounds = plan.rounds(30)
    pushes = {count: partial(push, path) for count, path in datasets.items()}
    yield from compared("an item pushed to a dataset", pushes, rounds, [1.2, 1.2, 1.3])
    looks = {count: partial(look, path) for count, path in datasets.items()}
    yield from compared("a look at a dataset", looks, rounds, [1.2, 1.2, 1.2])


def _export(
    server: Server, client: Client, datasets: dict[int, str], kind: str, plan: Plan
) -> Iterator[Result]:
    def whole(count: int) -> float:
        def fetch() -> None:
            client.send("GET", f"{datasets[count]}/items?format={kind}")
            assert client.receive(keep=False).status == 200

        return timed(fetch) / count

    small, *_, large = datasets
    whole(small)
    smalls = [whole(small) for _ in range(plan.rounds(10))]
    before_mbytes = resident_mbytes(server.pid)
    reset_peak(server.pid)
    larges = [whole(large) for _ in range(1 if plan.quick or large > 100_000 else 2)]
    growth_mbytes = peak_mbytes(server.pid) - before_mbytes
    smalls += [whole(small) for _ in range(plan.rounds(10))]
    measured = {f"an item of {large:,}": Samples(larges), f"of {small:,}": Samples(smalls)}
    ratio = measured[f"an item of {large:,}"].p50 / measured[f"of {small:,}"].p50
    yield Result(f"all items as {kind}, seconds an item", ratio, "x", Goal(1.2), measured)
    yield Result(f"peak memory of that, {kind}", growth_mbytes, "MiB", Goal(64))
    yield from _first_bytes(
        server, {count: datasets[count] for count in (small, large)}, kind, plan
    )


def _first_bytes(
    server: Server, datasets: dict[int, str], kind: str, plan: Plan
) -> Iterator[Result]:
    """Until the first of a body has come. The rest is not waited for."""

    def begin(path: str) -> None:
        client = server.client()
        client.send("GET", f"{path}/items?format={kind}")
        assert client.wait_for_body() == 200
        client.close()

    work = {count: partial(begin, path) for count, path in datasets.items()}
    rounds = plan.rounds(5)
    yield from compared(f"first byte of all items as {kind}", work, rounds, [2])


def _deletes(client: Client, plan: Plan) -> Iterator[Result]:
    """The reply to a DELETE. What was in the dataset is reclaimed later."""
    rounds = plan.rounds(3)
    doomed = {
        count: iter([_filled(client, count) for _ in range(rounds + 1)])
        for count in plan.entry_counts
    }

    def delete(paths: Iterator[str]) -> None:
        assert client.ask("DELETE", next(paths)).status == 204

    work = {count: partial(delete, paths) for count, paths in doomed.items()}
    yield from compared("a dataset deleted", work, rounds, [2, 3, 5])
