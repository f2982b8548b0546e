"""What a dataset costs as it grows: a page at its end, and all of it in every format."""

import json
from collections.abc import Iterator

from bench.http import Client
from bench.memory import peak_mbytes, reset_peak, resident_mbytes
from bench.plan import Plan
from bench.report import Goal, Result, Samples
from bench.server import Server
from bench.storages import item
from bench.timing import interleaved, timed

_FORMATS = ("json", "jsonl", "csv", "xml", "html", "rss", "xlsx")
_PUSH = 5_000
_PAGE_GOALS = {10_000: 1.3, 100_000: 1.5, 1_000_000: 2.0}


def measure(server: Server, plan: Plan) -> Iterator[Result]:
    client = server.client()
    datasets = {count: _filled(client, count) for count in plan.item_counts}
    yield from _pages(client, datasets, plan)
    for kind in _FORMATS:
        yield from _export(server, client, datasets, kind, plan)
    client.close()


def _filled(client: Client, count: int) -> str:
    """The path of a fresh dataset of so many items."""
    path = f"/v2/datasets/{client.ask('POST', '/v2/datasets').data['id']}"
    for start in range(0, count, _PUSH):
        body = json.dumps([item(number) for number in range(start, min(start + _PUSH, count))])
        assert client.ask("POST", f"{path}/items", body.encode()).status == 201
    return path


def _pages(client: Client, datasets: dict[int, str], plan: Plan) -> Iterator[Result]:
    def last_page(count: int) -> None:
        page = min(1000, count)
        path = f"{datasets[count]}/items?offset={count - page}&limit={page}"
        assert client.ask("GET", path).status == 200

    by_size = interleaved(
        plan.rounds(30), {f"{count:,}": (lambda n=count: last_page(n)) for count in datasets}
    )
    smallest, *larger = datasets
    for count in larger:
        ratio = by_size[f"{count:,}"].p50 / by_size[f"{smallest:,}"].p50
        goal = Goal(_PAGE_GOALS[count]) if count in _PAGE_GOALS else None
        yield Result(f"last 1000 of {count:,} items / of {smallest:,}", ratio, "x", goal, by_size)


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
