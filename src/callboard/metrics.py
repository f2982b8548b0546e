"""`GET /metrics`: figures for Prometheus."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.router import Auth, Route
from callboard.jobs.admission import MemoryBudget

_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


class Metrics:
    """Counts requests of the API, and shows what the server's parts know. Names no user and no path."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "callboard_http_requests",
            "Answered requests.",
            ["method", "status"],
            registry=self._registry,
        )
        self._counters: dict[tuple[str, int], Counter] = {}
        self._seconds = Histogram(
            "callboard_http_request_seconds",
            "Time until the answer began. Synchronous runs are held on purpose.",
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300),
            registry=self._registry,
        )
        used = Gauge(
            "callboard_run_memory_used_mbytes",
            "Memory reserved by running runs and builds.",
            registry=self._registry,
        )
        used.set_function(lambda: budget.used_mbytes)
        limit = Gauge(
            "callboard_run_memory_limit_mbytes",
            "What they may reserve together.",
            registry=self._registry,
        )
        limit.set(budget.limit_mbytes)
        waiting = Gauge(
            "callboard_jobs_waiting",
            "Runs and builds that wait for memory.",
            registry=self._registry,
        )
        waiting.set_function(lambda: budget.waiting)

    def routes(self) -> list[Route]:
        return [Route("GET", "/metrics", self.get, Auth.NONE)]

    async def get(self, call: Call) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def count(self, method: str, status: int, secs: float) -> None:
        """Count an answered request."""
        self._seconds.observe(secs)
        kind = (method if method in _METHODS else "other", status)
        counter = self._counters.get(kind)
        if counter is None:  # the library's own look-up costs more than counting
            counter = self._counters[kind] = self._requests.labels(*kind)
        counter.inc()
