"""Every operation of the contract is called on a live server and its reply held to the contract's schemas."""

import tomllib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.contract.schemas import OPERATIONS, Operation
from tests.contract.walk import Walk
from tests.receivers import listening
from tests.server import Client, Server

DIFFERENCES = tomllib.loads((Path(__file__).parent / "differences.toml").read_text())

# One walk for all of them.
pytestmark = pytest.mark.xdist_group("contract replies")


@pytest.fixture(scope="module")
async def walk(server: Server) -> AsyncGenerator[Walk]:
    username, token = await server.user()
    async with Client(server.url, token, username) as api, listening() as receiver:
        walked = Walk(api, receiver.url)
        await walked.everything()
        yield walked


@pytest.fixture(scope="module")
async def anonymous_walk(server: Server) -> AsyncGenerator[Walk]:
    async with Client(server.url, None, "nobody") as api:
        walked = Walk(api, "")
        await walked.anonymously(one for one in OPERATIONS if one.needs_token)
        yield walked


def unexcused(operation: Operation, problems: list[str]) -> list[str]:
    excused = [
        one["text"]
        for one in DIFFERENCES.get("replies", [])
        if one["operation"] in ("*", str(operation))
    ]
    return [one for one in problems if not any(text in one for text in excused)]


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_the_reply_is_what_the_contract_says(walk: Walk, operation: Operation):
    assert operation in walk.problems, "the walk never called it"
    assert unexcused(operation, walk.problems[operation]) == []


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.needs_token], ids=str)
def test_without_a_token_the_error_is_what_the_contract_says(
    anonymous_walk: Walk, operation: Operation
):
    assert unexcused(operation, anonymous_walk.problems[operation]) == []


def test_every_difference_has_a_reason_and_is_still_there(walk: Walk, anonymous_walk: Walk):
    all_problems = [
        (str(operation), problem)
        for one in (walk, anonymous_walk)
        for operation, problems in one.problems.items()
        for problem in problems
    ]
    for difference in DIFFERENCES.get("replies", []):
        assert difference["reason"]
        assert any(
            difference["text"] in problem
            for operation, problem in all_problems
            if difference["operation"] in ("*", operation)
        ), difference
