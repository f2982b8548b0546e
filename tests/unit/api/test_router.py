"""The route table: which handler a path finds, and what is said when there is none."""

import pytest
from starlette.responses import Response

from callboard.api.call import Call
from callboard.api.errors import MethodNotAllowed, PageNotFound
from callboard.api.router import Auth, Route, Router, mount


async def handler(call: Call) -> Response:
    return Response()


def routes(*rows: str) -> list[Route]:
    return [Route(*row.split(" ", 1), handler) for row in rows]


ROUTER = Router(
    routes(
        "GET /v2/runs/{runId}",
        "PUT /v2/runs/{runId}",
        "POST /v2/runs/{runId}/abort",
        "GET /v2/runs/last",
        "GET /v2/runs/last/log",
        "GET /v2/stores/{storeId}/records",
        "GET /v2/stores/{storeId}/records/{key...}",
    )
)


def found(method: str, path: str) -> tuple[str, dict[str, str]]:
    route, params = ROUTER.find(method, path)
    return route.path, params


@pytest.mark.parametrize(
    ("path", "route", "params"),
    [
        ("/v2/runs/abc", "/v2/runs/{runId}", {"runId": "abc"}),
        ("/v2/runs/abc/", "/v2/runs/{runId}", {"runId": "abc"}),
        ("/v2/runs/last", "/v2/runs/last", {}),
        ("/v2/runs/a%2Fb%20c", "/v2/runs/{runId}", {"runId": "a/b c"}),
        ("/v2/runs/user~name", "/v2/runs/{runId}", {"runId": "user~name"}),
        ("/v2/stores/s/records", "/v2/stores/{storeId}/records", {"storeId": "s"}),
        (
            "/v2/stores/s/records/a%20b/c",
            "/v2/stores/{storeId}/records/{key...}",
            {"storeId": "s", "key": "a b/c"},
        ),
    ],
)
def test_a_path_finds_its_route_and_parameters(path: str, route: str, params: dict[str, str]):
    assert found("GET", path) == (route, params)


def test_a_fixed_segment_that_leads_nowhere_gives_way_to_a_parameter():
    assert found("POST", "/v2/runs/last/abort") == ("/v2/runs/{runId}/abort", {"runId": "last"})


@pytest.mark.parametrize("path", ["/", "", "/v2", "/v2/runs", "/v2/runs//abort", "/v2/runs/a/b"])
def test_other_paths_are_not_found(path: str):
    with pytest.raises(PageNotFound):
        ROUTER.find("POST", path)


def test_a_wrong_method_lists_the_right_ones():
    with pytest.raises(MethodNotAllowed) as caught:
        ROUTER.find("DELETE", "/v2/runs/abc")
    assert caught.value.allowed == "OPTIONS,GET,PUT"


def test_two_equal_rows_are_a_mistake():
    with pytest.raises(ValueError, match="twice"):
        Router(routes("GET /a/{x}", "GET /a/{y}"))


def test_a_path_of_very_many_segments_is_just_not_found():
    with pytest.raises(PageNotFound):
        ROUTER.find("GET", "/v2/runs" + "/a" * 30_000)


def test_a_mount_serves_the_same_routes_under_another_prefix():
    mounted = mount("/v2/acts", routes("GET /{actorId}"), auth=Auth.OPTIONAL)
    assert [(route.path, route.auth) for route in mounted] == [
        ("/v2/acts/{actorId}", Auth.OPTIONAL)
    ]
