"""Synchronous runs: one after another against bare processes, and a hundred at once."""

import importlib.metadata
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.http import Client
from bench.memory import Platform
from bench.plan import Plan
from bench.probe import probing
from bench.report import Goal, Result, Samples
from bench.server import Server
from bench.timing import interleaved, timed
from bench.yardsticks import JOB_INPUT, PLAIN_ACTOR, SDK_ACTOR, Processes

SHELL_DOCKERFILE = 'FROM debian\nCOPY . ./\nCMD ["sh", "main.sh"]\n'
_BATCH_SECS = Goal(2.5)


def measure(server: Server, plan: Plan) -> Iterator[Result]:
    with tempfile.TemporaryDirectory(prefix="callboard-bench-") as folder:
        processes = Processes(Path(folder))
        yield from _plain(server, plan, processes)
        if not plan.quick:
            yield from _sdk(server, plan, processes)
    yield from _many(server, plan)


def run_sync(client: Client, actor_id: str, body: bytes = b"", query: str = "") -> bytes:
    """The output of a run. Raises RuntimeError when it did not succeed."""
    answer = client.ask("POST", f"/v2/actors/{actor_id}/run-sync{query}", body)
    if answer.status != 201:
        raise RuntimeError(f"{answer.status}: {answer.body[:500]!r}")
    return answer.body


def _plain(server: Server, plan: Plan, processes: Processes) -> Iterator[Result]:
    actor_id = server.build({"main.py": PLAIN_ACTOR})
    client = server.client()
    assert b"55" in run_sync(client, actor_id, JOB_INPUT)
    pair = interleaved(
        plan.rounds(60),
        {"run-sync": lambda: run_sync(client, actor_id, JOB_INPUT), "B": processes.job},
    )
    ours, bare = pair["run-sync"], pair["B"]
    yield Result("plain Python Actor by run-sync / B", ours.p50 / bare.p50, "x", Goal(2.5), pair)
    yield Result("its p95 / its p50", ours.p95 / ours.p50, "x", Goal(3), {"run-sync": ours})
    client.close()


def _sdk(server: Server, plan: Plan, processes: Processes) -> Iterator[Result]:
    """The SDK is the one that this environment has, so that both sides import the same."""
    requirements = f"apify=={importlib.metadata.version('apify')}\n"
    actor_id = server.build({"main.py": SDK_ACTOR, "requirements.txt": requirements})
    client = server.client()
    first: list[float] = []
    alone: list[float] = []
    processes.sdk_actor()
    for _ in range(plan.rounds(7)):
        server.build_again(actor_id)
        first.append(timed(lambda: run_sync(client, actor_id, JOB_INPUT)))
        alone.append(timed(processes.sdk_actor))
    pair = {"first run": Samples(first), "S": Samples(alone)}
    ratio = pair["first run"].p50 / pair["S"].p50
    yield Result("SDK Actor, first run of a build / S", ratio, "x", Goal(1.5), pair)
    three = interleaved(
        plan.rounds(10),
        {
            "run-sync": lambda: run_sync(client, actor_id, JOB_INPUT),
            "S": processes.sdk_actor,
            "I": processes.sdk_import,
        },
    )
    ratio = three["run-sync"].p50 / three["S"].p50
    yield Result("SDK Actor, later runs / S", ratio, "x", None, three)
    client.close()


def _many(server: Server, plan: Plan) -> Iterator[Result]:
    """Shell Actors that sleep for a second, each by a held request of its own."""
    count = plan.concurrent_runs
    actor_id = server.build({"Dockerfile": SHELL_DOCKERFILE, "main.sh": "sleep 1\n"})
    client = server.client()
    run_sync(client, actor_id, query="?memory=128")
    newest = client.ask("GET", "/v2/actor-runs?limit=1&desc=1").data["items"][0]["id"]
    path = f"/v2/actor-runs/{newest}"
    platform = Platform(server.pid)
    before_mbytes = platform.own_mbytes()
    with probing(server.port, server.token, path) as probes:
        time.sleep(plan.rounds(5))
    idle = Samples(probes)
    batches = [_batch(server, actor_id, count, path) for _ in range(plan.rounds(5))]
    walls = Samples([wall for wall, _ in batches])
    busy = Samples([secs for _, probes in batches for secs in probes])
    goal = None if plan.quick else _BATCH_SECS
    yield Result(
        f"{count} runs that sleep 1 s, all answered", walls.p50, "s", goal, {"wall": walls}
    )
    pair = {"meanwhile": busy, "idle": idle}
    yield Result("p95 of GET run meanwhile / idle", busy.p95 / idle.p95, "x", Goal(5), pair)
    yield from _memory(server, plan, platform, before_mbytes)
    client.close()


def _batch(server: Server, actor_id: str, count: int, probed: str) -> tuple[float, list[float]]:
    """Seconds until all are answered, and what a request of another client took meanwhile."""
    clients = [server.client() for _ in range(count)]

    def run(client: Client) -> None:
        run_sync(client, actor_id, query="?memory=128")

    with (
        probing(server.port, server.token, probed) as probes,
        ThreadPoolExecutor(count) as threads,
    ):
        begun = time.perf_counter()
        list(threads.map(run, clients))
        wall = time.perf_counter() - begun
    for client in clients:
        client.close()
    return wall, probes


def _memory(
    server: Server, plan: Plan, platform: Platform, before_mbytes: float
) -> Iterator[Result]:
    """What the platform's own processes hold, idle and for each of many runs."""
    count = plan.concurrent_runs
    actor_id = server.build({"Dockerfile": SHELL_DOCKERFILE, "main.sh": "sleep 30\n"})
    client = server.client()
    yield Result("server and launcher idle", before_mbytes, "MiB", Goal(150))
    started = [
        client.ask("POST", f"/v2/actors/{actor_id}/runs?memory=128").data["id"]
        for _ in range(count)
    ]
    platform.wait_for_programs("sleep", count)
    idle_mbytes = platform.own_mbytes(program="sleep")
    per_run = (idle_mbytes - before_mbytes) / count
    yield Result(f"and for each of {count} runs", per_run, "MiB", Goal(5))
    for run_id in started:
        client.ask("POST", f"/v2/actor-runs/{run_id}/abort")
    client.close()
