"""One request on an idle server, against a server that does nothing; and lists as a history grows."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack

from bench.http import Client
from bench.plan import Plan
from bench.report import Goal, Result, Samples
from bench.runs import SHELL_DOCKERFILE, run_sync
from bench.server import Server
from bench.timing import interleaved
from bench.yardsticks import NoopServer

_BLOCK = 20


def measure(server: Server, plan: Plan) -> Iterator[Result]:
    ours = _Runs(server)
    yield from _one_request(ours.client, ours.run_id, plan)
    ours.client.close()
    yield from _history(plan)


class _Runs:
    """An Actor that does nothing, which has run once."""

    def __init__(self, server: Server) -> None:
        self.actor_id = server.build({"Dockerfile": SHELL_DOCKERFILE, "main.sh": "true\n"})
        self.client = server.client()
        self.run()
        last = self.client.ask("GET", f"/v2/actors/{self.actor_id}/runs/last")
        self.run_id: str = last.data["id"]

    def run(self) -> None:
        run_sync(self.client, self.actor_id, query="?memory=128")

    def list_newest(self) -> None:
        path = f"/v2/actors/{self.actor_id}/runs?desc=1&limit=100"
        assert self.client.ask("GET", path).status == 200


def _one_request(client: Client, run_id: str, plan: Plan) -> Iterator[Result]:
    path = f"/v2/actor-runs/{run_id}"
    with NoopServer() as noop:
        floor = Client(noop.port)
        pair = interleaved(
            plan.rounds(100),
            {
                "GET run": lambda: _repeat(client, path),
                "noop": lambda: _repeat(floor, "/"),
            },
            per_call=_BLOCK,
        )
        floor.close()
    ratio = pair["GET run"].p50 / pair["noop"].p50
    yield Result("GET run, idle server / ASGI app that does nothing", ratio, "x", Goal(6), pair)


def _repeat(client: Client, path: str) -> None:
    for _ in range(_BLOCK):
        client.ask("GET", path)


def _history(plan: Plan) -> Iterator[Result]:
    """A server for each size. The history is copies of its one run, put into the database behind its back."""
    with ExitStack() as stack:
        by_size: dict[str, _Runs] = {}
        for size in plan.run_counts:
            server = stack.enter_context(Server())
            runs = by_size[f"{size:,}"] = _Runs(server)
            stack.callback(runs.client.close)
            _grow_history(server, runs.run_id, size)
        lists = interleaved(
            plan.rounds(50), {size: runs.list_newest for size, runs in by_size.items()}
        )
        starts = interleaved(plan.rounds(30), {size: runs.run for size, runs in by_size.items()})
    yield Result("newest 100 runs, large history / small", _growth(lists), "x", Goal(1.3), lists)
    yield Result("run-sync, large history / small", _growth(starts), "x", Goal(1.1), starts)


def _growth(by_size: dict[str, Samples]) -> float:
    all_sizes = list(by_size.values())
    return all_sizes[-1].p50 / all_sizes[0].p50


def _grow_history(server: Server, run_id: str, size: int) -> None:
    database = sqlite3.connect(server.data_dir / "callboard.db", timeout=60)
    columns: list[str] = [row[1] for row in database.execute("PRAGMA table_info(runs)")]
    values = {"id": "substr(hex(randomblob(9)), 1, 17)", "started_at": "started_at - number"}
    chosen = ", ".join(values.get(name, name) for name in columns if name != "pk")
    listed = ", ".join(name for name in columns if name != "pk")
    with database:
        (count,) = database.execute("SELECT count(*) FROM runs").fetchone()
        more = max(0, size - count)
        database.execute(
            "WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers LIMIT ?) "
            f"INSERT INTO runs ({listed}) SELECT {chosen} FROM runs, numbers WHERE id = ?",
            (more, run_id),
        )
        database.execute(
            "UPDATE run_counts SET count = count + ? FROM runs "
            "WHERE runs.id = ? AND owner_id IN (runs.user_id, runs.actor_id)",
            (more, run_id),
        )
    database.close()
