"""The route table against the contract, both ways: nothing is missing, nothing is there that nobody knows of."""

from functools import cache

import pytest

from callboard.api.contract import ContractEndpoints, load_contract, shape
from callboard.api.router import Route, Router
from callboard.routes import Endpoints, contract_routes


@cache
def the_routes() -> list[Route]:
    """The route table. Handlers are not called, so the endpoints need no services."""
    fields = Endpoints.__dataclass_fields__
    return contract_routes(
        Endpoints(**{name: field.type.__new__(field.type) for name, field in fields.items()})
    )


@cache
def the_router() -> Router:
    return Router(the_routes())


def contract_operations() -> set[tuple[str, str]]:
    return {
        (method.upper(), path)
        for path, methods in load_contract()["paths"].items()
        for method in methods
    }


def served_operations() -> set[tuple[str, str]]:
    """By method and shape; the older name of Actors counts as the newer."""
    return {
        (route.method, shape(route.path).replace("/v2/acts", "/v2/actors", 1))
        for route in the_routes()
    }


def test_every_operation_of_the_contract_is_served():
    served = served_operations()
    missing = {
        f"{method} {path}"
        for method, path in contract_operations()
        if (method, shape(path)) not in served
    }
    assert not missing


def test_every_route_of_ours_is_in_the_contract():
    known = {(method, shape(path)) for method, path in contract_operations()}
    extra = {f"{method} {path}" for method, path in served_operations() - known}
    assert not extra


def test_actors_are_served_under_their_older_name_with_every_sub_path():
    routes = {(route.method, route.path) for route in the_routes()}
    actors = {(method, path) for method, path in routes if path.startswith("/v2/actors")}
    acts = {
        (method, path.replace("/v2/acts", "/v2/actors", 1))
        for method, path in routes
        if path.startswith("/v2/acts")
    }
    assert actors == acts
    assert ("POST", "/v2/actors/{actorId}/run-sync") in acts


@pytest.mark.parametrize(("method", "path"), sorted(contract_operations()))
def test_the_router_leads_to_the_operation(method: str, path: str):
    route, params = the_router().find(method, path.replace("{", "a-").replace("}", ""))
    assert shape(route.path) == shape(path)
    assert len(params) == path.count("{")


def test_the_served_document_leaves_out_what_is_not_served():
    contract = load_contract()
    document = ContractEndpoints(the_routes()[:1]).document
    assert list(document["paths"]) == ["/v2/datasets"]
    assert list(document["paths"]["/v2/datasets"]) == ["get"]
    assert document["components"] == contract["components"]
