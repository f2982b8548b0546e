"""`/health` and `/metrics`."""

from tests.server import Client


async def test_health_tells_what_is_in_force_to_anyone(api: Client):
    reply = await api.get("/health", token=None)
    assert reply.json["status"] == "ok"
    assert reply.json["executor"] == "process"
    assert {"filesystem", "memory", "network", "kill"} <= reply.json["sandbox"].keys()


async def test_metrics_count_requests(api: Client):
    await api.get("/v2/nothing")
    text = (await api.get("/metrics", token=None)).body.decode()
    assert 'callboard_http_requests_total{method="GET",status="404"}' in text
    assert "callboard_run_memory_limit_mbytes 65536.0" in text
